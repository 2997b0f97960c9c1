//! What was acknowledged, one append a line, on the disk before the client that appended goes on.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// One acknowledged append.
#[derive(Debug, Deserialize, Serialize)]
pub struct Entry {
    pub stream: String,
    /// The ids of its events, in order.
    pub ids: Vec<Uuid>,
    /// The revision and the position of its last event; none if it was acknowledged before they were known.
    pub last: Option<(u64, u64)>,
}

pub struct Journal(Mutex<File>);

impl Journal {
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        Ok(Self(Mutex::new(file.context("cannot open the journal")?)))
    }

    pub fn write(&self, entry: &Entry) -> anyhow::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(&line)?;
        Ok(file.sync_data()?)
    }
}

/// The entries behind the first `known` ones. A last line without an end was never acknowledged.
pub fn read(path: &Path, known: usize) -> anyhow::Result<Vec<Entry>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
        Err(error) => return Err(error).context("cannot read the journal"),
    };
    let mut entries = Vec::new();
    for line in BufReader::new(file).split(b'\n').skip(known) {
        match serde_json::from_slice(&line?) {
            Ok(entry) => entries.push(entry),
            Err(error) if error.is_eof() => break,
            Err(error) => return Err(error).context("the journal is damaged"),
        }
    }
    Ok(entries)
}
