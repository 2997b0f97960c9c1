//! What was acknowledged, one entry a line, on the disk before the client that it was acknowledged to goes on.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::Context;
use serde::de::DeserializeOwned;
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
    /// Goes on behind the last whole line: a kill can cut a write short, and what it cut was never acknowledged.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let file = OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .open(path);
        let mut file = file.context("cannot open the journal")?;
        let mut lines = Vec::new();
        file.read_to_end(&mut lines)?;
        let end = lines.iter().rposition(|byte| *byte == b'\n');
        file.set_len(end.map_or(0, |end| end as u64 + 1))?;
        Ok(Self(Mutex::new(file)))
    }

    pub fn write(&self, entry: &impl Serialize) -> anyhow::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(&line)?;
        Ok(file.sync_data()?)
    }
}

/// Reads on behind what was read before.
pub struct Reader {
    path: PathBuf,
    read_bytes: u64,
}

impl Reader {
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            read_bytes: 0,
        }
    }

    /// The entries that are new. A last line without an end was never acknowledged.
    pub fn entries<T: DeserializeOwned>(&mut self) -> anyhow::Result<Vec<T>> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
            Err(error) => return Err(error).context("cannot read the journal"),
        };
        file.seek(SeekFrom::Start(self.read_bytes))?;
        let mut lines = BufReader::new(file);
        let (mut entries, mut line) = (Vec::new(), Vec::new());
        while lines.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
            entries.push(serde_json::from_slice(&line).context("the journal is damaged")?);
            self.read_bytes += line.len() as u64;
            line.clear();
        }
        Ok(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_counts_once_it_is_whole() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("journal");
        let mut reader = Reader::new(&path);
        let mut read = || reader.entries::<u64>().unwrap();
        assert_eq!(read(), [0; 0]);
        let journal = Journal::open(&path).unwrap();
        journal.write(&17).unwrap();
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"4").unwrap();
        assert_eq!(read(), [17]);
        file.write_all(b"2\n").unwrap();
        assert_eq!(read(), [42]);
        assert_eq!(read(), [0; 0]);
        file.write_all(b"4").unwrap();
        Journal::open(&path).unwrap().write(&21).unwrap();
        assert_eq!(read(), [21]);
    }
}
