//! What every HTTP service of Firefly shares.
//!
//! Refusals look the same everywhere ([`problem`]), bodies are read strictly ([`body`]), names in paths are parsed once
//! ([`path`]), and callers are recognised in one place ([`caller`]). What is the same in the documentation of all of them is
//! added in one place as well ([`document`]). It knows no service and no storage.

pub mod body;
pub mod caller;
pub mod document;
pub mod etag;
pub mod path;
pub mod problem;

pub use body::StrictJson;
pub use caller::{Authenticator, Caller};
pub use document::Document;
pub use path::ProjectPath;
pub use problem::Problem;
