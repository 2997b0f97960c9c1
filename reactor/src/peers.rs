//! The other processes of this installation. They share a host and a data directory, so more can be known of them than the
//! log says: whether they live.

use std::io;

use async_trait::async_trait;
use firefly_domain::lease::Holder;

/// What is known of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// It has ended, or does nothing any more.
    Over,
    /// It lives, or stands still. The number changes with each sign of life that it gives.
    Signs(u64),
    /// It is of another installation, or nobody can tell: only the log says more.
    Unknown,
}

/// The processes of this installation, as one of them sees them.
#[async_trait]
pub trait Peers: Send + Sync + 'static {
    /// Gives a sign of life; whoever looks from then on sees it.
    ///
    /// # Errors
    ///
    /// Nobody may see it.
    async fn sign(&self) -> io::Result<()>;

    /// Looks at a process.
    async fn life(&self, process: Holder) -> Life;

    /// Says that this process does nothing any more; whether it was the last one. Then none begins before it has ended.
    async fn leave(&self) -> bool;
}
