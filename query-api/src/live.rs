//! Following what happens: a snapshot, then every change once and in order, on a WebSocket or as an event stream.
//!
//! A client that was cut off comes back with the position it has seen and gets what it missed from the log, in the same
//! form. A client that reads too slowly is closed with a position to come back with; it is never served with holes.
//!
//! An event that cannot be read ends those who follow its project or session alone, as `failed`. Who follows all projects of
//! a user, or the log, is told of the event, live and when coming back, and never of what nobody knows.
//!
//! [`request`] reads what somebody asks to follow, [`scope`] says what that is and who may, [`room`] how many may at once,
//! and [`subscription`] what comes when, with [`catch_up`] for what was missed. [`web_socket`] and [`event_stream`] carry it.

mod catch_up;
pub mod event_stream;
pub mod request;
pub mod room;
pub mod scope;
pub mod subscription;
pub mod web_socket;
