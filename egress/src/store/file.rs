//! The form of an entry's file: content, footer in JSON, the footer's length in four bytes, and a mark.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha512};

/// The last bytes of an entry. Another form has another mark.
const MARK: [u8; 8] = *b"firefly1";

/// What comes behind the footer: its length and the mark.
const TAIL_BYTES: u64 = 4 + MARK.len() as u64;

/// Keys and fields have bounds far below.
const FOOTER_BYTES_MAX: u64 = 16 * 1_024;

/// Read at once when an entry is verified.
const READ_BYTES: usize = 256 * 1_024;

/// What an entry is.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct About {
    /// What it is kept under.
    pub(crate) key: String,
    /// Bytes of its content.
    pub(crate) bytes: u64,
    /// The SHA-512 of its content, in base64.
    pub(crate) sha512: String,
    /// What the registry calls this state of it.
    pub(crate) etag: Option<String>,
    /// What kind of content it is.
    pub(crate) content_type: Option<String>,
}

impl About {
    /// Bytes of the whole file.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.bytes + self.footer().len() as u64 + TAIL_BYTES
    }

    fn footer(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and numbers make JSON")
    }

    /// Puts the footer behind the content.
    pub(super) fn write(&self, file: &mut File) -> io::Result<()> {
        let mut footer = self.footer();
        let length = u32::try_from(footer.len()).map_err(io::Error::other)?;
        footer.extend(length.to_be_bytes());
        footer.extend(MARK);
        file.write_all(&footer)
    }
}

/// Reads the footer of a file of so many bytes, and its content to its end; what is not as it was written is an error.
pub(super) fn verify(file: &File, file_bytes: u64) -> io::Result<About> {
    let broken = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let tail_at = file_bytes
        .checked_sub(TAIL_BYTES)
        .ok_or_else(|| broken("it is too short"))?;
    let (mut length, mut mark) = ([0; 4], [0; MARK.len()]);
    file.read_exact_at(&mut length, tail_at)?;
    file.read_exact_at(&mut mark, tail_at + 4)?;
    if mark != MARK {
        return Err(broken("its end is missing"));
    }
    let length = u64::from(u32::from_be_bytes(length));
    let footer_at = tail_at
        .checked_sub(length)
        .filter(|_| length <= FOOTER_BYTES_MAX)
        .ok_or_else(|| broken("its footer is damaged"))?;
    let mut footer = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    file.read_exact_at(&mut footer, footer_at)?;
    let about: About = serde_json::from_slice(&footer)?;
    if about.bytes != footer_at {
        return Err(broken("its length is wrong"));
    }
    let mut hash = Sha512::new();
    let mut buffer = vec![0; READ_BYTES];
    let mut at = 0;
    while at < about.bytes {
        let wanted =
            usize::try_from(about.bytes - at).map_or(READ_BYTES, |left| left.min(READ_BYTES));
        file.read_exact_at(&mut buffer[..wanted], at)?;
        hash.update(&buffer[..wanted]);
        at += wanted as u64;
    }
    if super::draft::text(&hash.finalize()) == about.sha512 {
        Ok(about)
    } else {
        Err(broken("its content is damaged"))
    }
}

/// Reads the first bytes of a file in order, whoever else reads it.
pub(crate) struct Reader {
    file: Arc<File>,
    at: u64,
    end: u64,
}

impl Reader {
    /// Reads up to `end`.
    pub(crate) const fn new(file: Arc<File>, end: u64) -> Self {
        Self { file, at: 0, end }
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let wanted = left.min(buffer.len());
        let read = self.file.read_at(&mut buffer[..wanted], self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}
