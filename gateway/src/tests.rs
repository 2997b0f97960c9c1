//! The gateway as its clients meet it: a real listener in front, a small project-server behind.

mod app;
mod containers;
mod lifetime;
mod previews;
mod sleeping;
mod sockets;
mod support;
mod unix;
