//! Who is calling.
//!
//! [`secret`] is the one key of an installation; everything signed here is derived from it. [`token`] says who a caller
//! is, [`local`] lets a person on Firefly's own host in, and [`control`] makes the keys that the reactor and a
//! container's project-server recognise each other by.

pub mod control;
pub mod local;
pub mod secret;
pub mod token;

pub use control::ControlKeys;
pub use local::LocalSignIn;
pub use secret::Secret;
pub use token::{Identity, Tokens};
