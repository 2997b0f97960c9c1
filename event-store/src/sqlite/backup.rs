//! A log's file as another file, beside a Firefly that writes to it, and back.
//!
//! `VACUUM INTO` reads in one transaction, so a backup is the log as it was at one moment (sqlite.org/lang_vacuum.html).
//! It keeps nobody from writing. What was made is read to its end before it gets its name.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::reader::Readers;
use super::schema::{check_known, failed, readable};
use super::{COMPANIONS, companion, structure, wal};
use crate::crash;
use crate::event::Position;
use crate::gaps::{Count, ascending};
use crate::store::{self, engine};
use crate::transfer::PAGE_EVENTS;
use crate::transfer::about::Counts;
use crate::transfer::file::NewFile;

/// Why there is no backup, or nothing restored.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log that is copied failed, or is damaged.
    #[error("the event log cannot be copied")]
    Log(#[source] store::Error),
    /// The file that is restored, or that was made, is no whole log.
    #[error("the copy cannot be trusted")]
    Copy(#[source] store::Error),
    /// A file could not be made.
    #[error("{} cannot be made", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// What a copy holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copy {
    /// Its events, every one of which was read.
    pub events: u64,
    /// The position of the last.
    pub head: Position,
}

/// Writes the log in a file to another file, which must not be there.
///
/// # Errors
///
/// See [`Error`]; then there is no new file.
pub async fn backup(log: &Path, target: &Path) -> Result<Copy, Error> {
    let (log, made) = (log.to_owned(), create(target)?);
    let made = blocking(move || {
        wal::check(&log)?;
        let connection = readable(&log)?;
        check_known(&connection, &log)?;
        // Rows that the file hides would be missing from the copy, and nothing in it would tell.
        structure::check(&connection)?;
        vacuum(&connection, made.path())?;
        crash::point("mid-backup");
        Ok(made)
    })
    .await
    .map_err(Error::Log)?;
    finish(made, target).await
}

/// Puts a backup in the place of a log that is not there.
///
/// # Errors
///
/// See [`Error`]; then there is no new file.
pub async fn restore(backup: &Path, log: &Path) -> Result<Copy, Error> {
    let made = create(log)?;
    let leftover = COMPANIONS.map(|suffix| companion(log, suffix));
    if let Some(path) = leftover.into_iter().find(|path| path.exists()) {
        // SQLite would take it for a part of the new file.
        let source = io::Error::new(
            io::ErrorKind::AlreadyExists,
            "it belongs to a log that is or was here",
        );
        return Err(Error::File { path, source });
    }
    let backup = backup.to_owned();
    let made = blocking(move || {
        // A mere copy of the file could miss what is in a write-ahead log beside it.
        wal::check(&backup)?;
        let connection = readable(&backup)?;
        check_known(&connection, &backup)?;
        structure::check(&connection)?;
        vacuum(&connection, made.path())?;
        Ok(made)
    })
    .await
    .map_err(Error::Copy)?;
    finish(made, log).await
}

/// What the file of a log has.
pub(crate) fn counts(path: &Path) -> Result<Counts, store::Error> {
    let connection = readable(path)?;
    let count = |query| {
        let count: i64 = connection
            .query_row(query, [], |row| row.get(0))
            .map_err(failed("count its events"))?;
        Ok(Some(count.unsigned_abs()))
    };
    let size = |path: PathBuf| fs::metadata(path).map_or(0, |found| found.len());
    Ok(Counts {
        events: count("SELECT count(*) FROM events")?,
        streams: count("SELECT count(*) FROM streams")?,
        bytes: Some(size(path.to_owned()) + size(companion(path, "-wal"))),
    })
}

fn create(target: &Path) -> Result<NewFile, Error> {
    NewFile::create(target).map_err(|source| Error::File {
        path: target.to_owned(),
        source,
    })
}

fn vacuum(connection: &Connection, target: &Path) -> Result<(), store::Error> {
    let failed = failed("copy its file");
    let target = target
        .to_str()
        .ok_or_else(|| engine("copy its file")("the name of the new file is not in UTF-8"))?;
    connection
        .execute("VACUUM INTO ?", [target])
        .map(|_| ())
        .map_err(failed)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, store::Error> + Send + 'static,
) -> Result<T, store::Error> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(engine("copy its file"))?
}

/// Reads all of the new file, then gives it its name.
async fn finish(made: NewFile, target: &Path) -> Result<Copy, Error> {
    let path = made.path().to_owned();
    let copy = Readers::new(path.clone())
        .read("read the copy", move |reader| {
            check_known(&reader.connection, &path)?;
            structure::check(&reader.connection)?;
            let mut copy = Copy {
                events: 0,
                head: Position::START,
            };
            loop {
                let bounds = [copy.head.number().cast_signed(), PAGE_EVENTS as i64];
                let page = reader.events("position > ? ORDER BY position LIMIT ?", bounds)?;
                let page = ascending(page, Count::Positions, copy.head.next().number())?;
                let Some(last) = page.last() else {
                    return Ok(copy);
                };
                crash::point("mid-backup");
                copy.events += page.len() as u64;
                copy.head = last.position;
            }
        })
        .await
        .map_err(Error::Copy)?;
    crash::point("mid-backup");
    made.finish().map_err(|source| Error::File {
        path: target.to_owned(),
        source,
    })?;
    Ok(copy)
}
