//! Learns of what other processes append to the file.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::watch;

use super::writer::last;
use crate::event::Position;
use crate::store::{Error, engine};
use crate::writer::announce;

/// How often the file is looked at. A look costs some microseconds; followers of other processes wait this long at most.
const INTERVAL: Duration = Duration::from_millis(20);

/// Looks until it is dropped.
#[derive(Debug)]
pub(super) struct Watcher {
    _stop: Sender<()>,
}

impl Watcher {
    /// Announces the head whenever another connection moved it.
    pub(super) fn start(
        connection: Connection,
        head: watch::Sender<Position>,
    ) -> Result<Self, Error> {
        let (stop, stopped) = mpsc::channel();
        thread::Builder::new()
            .name("event-log-watcher".to_owned())
            .spawn(move || {
                let mut seen = None;
                while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                    // What keeps the file from being read is told by those who need it.
                    let _ = look(&connection, &mut seen, &head);
                }
            })
            .map_err(engine("start a thread"))?;
        Ok(Self { _stop: stop })
    }
}

fn look(
    connection: &Connection,
    seen: &mut Option<i64>,
    head: &watch::Sender<Position>,
) -> Result<(), rusqlite::Error> {
    // It changes when another connection has committed (sqlite.org/pragma.html#pragma_data_version).
    let version = connection
        .prepare_cached("PRAGMA data_version")?
        .query_row([], |row| row.get(0))?;
    if *seen != Some(version) {
        announce(head, last(connection)?.0);
        *seen = Some(version);
    }
    Ok(())
}
