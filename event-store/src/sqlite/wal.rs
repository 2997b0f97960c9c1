//! Whether the write-ahead log beside the file can be trusted (sqlite.org/fileformat2.html#walformat).
//!
//! SQLite takes a frame whose checksum is wrong for the place where a crash cut the last commit short, and forgets it with all
//! that comes behind it. After a flipped bit that may be a thousand acknowledged commits. But a commit is on the disk before
//! the next one is written, so where *two* whole commits come behind a wrong frame, no crash has made it wrong.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::Path;

use super::companion;
use crate::store::{Error, engine};

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;

/// The first four bytes; the last bit tells in which order of bytes checksums are made.
const MAGIC: u32 = 0x377f_0682;

/// Pages of a log have this size, whatever a damaged header says.
const PAGE_BYTES: usize = 4_096;

const FRAME_BYTES: usize = FRAME_HEADER_BYTES + PAGE_BYTES;

/// Commits behind a wrong frame that no crash explains.
const COMMITS_BEHIND: usize = 2;

type Checksum = [u32; 2];

/// Refuses a file whose write-ahead log has lost commits, before SQLite forgets them.
pub(super) fn check(path: &Path) -> Result<(), Error> {
    let path = companion(path, "-wal");
    let failed = engine("read its write-ahead log");
    let look = || match File::open(&path) {
        Ok(file) => damaged_frame(BufReader::new(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    };
    let Some(first) = look().map_err(&failed)? else {
        return Ok(());
    };
    // Another process may have been writing that very frame.
    if look().map_err(&failed)? != Some(first) {
        return Ok(());
    }
    Err(Error::Corrupt {
        what: "its write-ahead log".to_owned(),
        detail: format!(
            "frame {first} is not what was written, and commits behind it would be lost; to go on without them, move {} \
             away",
            path.display()
        ),
        position: None,
    })
}

/// The first frame that is wrong though commits come behind it; 0 is the header.
fn damaged_frame(mut log: impl Read) -> io::Result<Option<u64>> {
    let (mut header, mut frame) = ([0; HEADER_BYTES], Frame([0; FRAME_BYTES]));
    if !fill(&mut log, &mut header)? {
        return Ok(None);
    }
    let big_endian = word(&header, 0) == MAGIC | 1;
    let mut before = sum(&header[..24], [0, 0], big_endian);
    let header_is_right = word(&header, 0) & !1 == MAGIC
        && word(&header, 8) as usize == PAGE_BYTES
        && before == [word(&header, 24), word(&header, 28)];
    let mut salt = header_is_right.then(|| header[16..24].to_owned());
    let mut wrong = (!header_is_right).then_some(0);
    let (mut number, mut commits_behind) = (0, 0);
    while fill(&mut log, &mut frame.0)? {
        number += 1;
        let salt = salt.get_or_insert_with(|| frame.salt().to_owned());
        let right = frame.salt() == salt && frame.sum(before, big_endian) == frame.stored();
        match wrong {
            None if !right => wrong = Some(number),
            Some(_) if right && frame.is_commit() => commits_behind += 1,
            _ => {}
        }
        // Each checksum goes on from the one before it, so what comes behind a wrong page can still be told.
        before = frame.stored();
    }
    Ok(wrong.filter(|_| commits_behind >= COMMITS_BEHIND))
}

/// Whether there was enough left.
fn fill(log: &mut impl Read, bytes: &mut [u8]) -> io::Result<bool> {
    match log.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// A page and what is said of it.
struct Frame([u8; FRAME_BYTES]);

impl Frame {
    fn salt(&self) -> &[u8] {
        &self.0[8..16]
    }

    fn stored(&self) -> Checksum {
        [word(&self.0, 16), word(&self.0, 20)]
    }

    /// The last frame of a commit says how many pages the file then has.
    fn is_commit(&self) -> bool {
        word(&self.0, 4) != 0
    }

    fn sum(&self, before: Checksum, big_endian: bool) -> Checksum {
        let head = sum(&self.0[..8], before, big_endian);
        sum(&self.0[FRAME_HEADER_BYTES..], head, big_endian)
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(four(&bytes[at..at + 4]))
}

fn sum(bytes: &[u8], before: Checksum, big_endian: bool) -> Checksum {
    let [mut first, mut second] = before;
    for pair in bytes.as_chunks::<8>().0 {
        let number = u64::from_le_bytes(*pair);
        let (mut left, mut right) = (number as u32, (number >> 32) as u32);
        if big_endian {
            (left, right) = (left.swap_bytes(), right.swap_bytes());
        }
        first = first.wrapping_add(left).wrapping_add(second);
        second = second.wrapping_add(right).wrapping_add(first);
    }
    [first, second]
}

fn four(bytes: &[u8]) -> [u8; 4] {
    bytes.try_into().expect("four bytes were taken")
}
