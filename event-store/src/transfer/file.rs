//! A file that is there as a whole or not at all, and never in place of another.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use uuid::Uuid;

/// A log may tell of private things; only its owner reads what is made of it.
const MODE: u32 = 0o600;

/// A file in the making, under a name of its own beside the one it is for. Dropped before its end, it is removed.
#[derive(Debug)]
pub struct NewFile {
    target: PathBuf,
    temporary: PathBuf,
    file: File,
}

impl NewFile {
    /// Begins a file, unless there is one of that name.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::AlreadyExists`] if there is one, or the directory takes none.
    pub fn create(target: &Path) -> io::Result<Self> {
        if fs::symlink_metadata(target).is_ok() {
            return Err(taken(target));
        }
        let name = target
            .file_name()
            .ok_or_else(|| io::Error::from(ErrorKind::IsADirectory))?;
        let name = format!(".{}.{}.part", name.to_string_lossy(), Uuid::new_v4());
        let temporary = target.with_file_name(name);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(MODE)
            .open(&temporary)?;
        Ok(Self {
            target: target.to_owned(),
            temporary,
            file,
        })
    }

    /// What to write to.
    pub const fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Where it is in the meantime.
    pub fn path(&self) -> &Path {
        &self.temporary
    }

    /// Puts the file in its place, durably.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::AlreadyExists`] if somebody else was faster, or the disk failed; then there is no file.
    pub fn finish(self) -> io::Result<()> {
        self.file.sync_all()?;
        // A link, unlike a renaming, never replaces a file.
        match fs::hard_link(&self.temporary, &self.target) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                return Err(taken(&self.target));
            }
            // Not every file system has links.
            Err(_) if !self.target.try_exists()? => fs::rename(&self.temporary, &self.target)?,
            Err(_) => return Err(taken(&self.target)),
        }
        let directory = match self.target.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        File::open(directory)?.sync_all()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // It has its other name by now, or nobody wants it.
        let _ = fs::remove_file(&self.temporary);
    }
}

fn taken(target: &Path) -> io::Error {
    io::Error::new(
        ErrorKind::AlreadyExists,
        format!(
            "{} is there already and is not overwritten",
            target.display()
        ),
    )
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn a_file_is_there_only_when_it_is_finished_and_replaces_none() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("log.ndjson");
        drop(NewFile::create(&target).unwrap());
        assert!(names(folder.path()).is_empty());

        let mut first = NewFile::create(&target).unwrap();
        let second = NewFile::create(&target).unwrap();
        first.file().write_all(b"first").unwrap();
        assert!(!target.exists());
        first.finish().unwrap();
        let late = second.finish().unwrap_err();
        assert_eq!(late.kind(), ErrorKind::AlreadyExists);
        let third = NewFile::create(&target).unwrap_err();
        assert_eq!(third.kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&target).unwrap(), b"first");
        assert_eq!(names(folder.path()), ["log.ndjson"]);
    }
}
