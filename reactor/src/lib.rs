//! The log turned into container actions, and their outcomes into events.
//!
//! The reactor reconciles: it folds the log into what is wanted ([`desired`]), lists the containers there are
//! ([`runtime`]), decides what to do ([`plan`], pure), and does it ([`execute`]). A pass takes no input: whatever woke it
//! (an event, the engine, a timer), it looks at everything. So starting, recovering and running are one path.
//!
//! ```text
//! log ──▶ desired ──┐
//!                   ├──▶ plan ──▶ actions ──▶ execute ──▶ containers
//! runtime.list() ───┘                            │
//!                                                ▼
//! containers ──▶ link ──▶ report ──▶ decide ──▶ log
//! ```

pub mod control;
pub mod desired;
mod execute;
pub mod lease;
mod link;
mod links;
pub mod peers;
pub mod plan;
mod report;
mod retry;
pub mod runtime;
mod service;
#[cfg(test)]
mod simulation;

pub use peers::{Life, Peers};
pub use retry::BackOff;
pub use service::{Config, Error, Reactor};
