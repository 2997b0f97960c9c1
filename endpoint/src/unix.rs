//! Sockets in directories that strangers write to.
//!
//! A path that is simply connected to is resolved by the kernel, links and all; Firefly may be root, and a link may
//! lead to the socket of the Docker engine. So the directory is opened first, below one that is Firefly's own, then
//! the name in it, as a mere handle and through no link. What the handle means is looked at, and that very thing is
//! connected to, however often the name has changed its meaning since. Opening a handle also waits for nobody, as
//! opening a FIFO would, and a handle has no use for the 108 bytes that a socket's path may have.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use firefly_domain::Endpoint;
use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};
use rustix::path::Arg;
use tokio::net::UnixStream;
use tokio::time::sleep;

use crate::Error;

/// How anything is opened here: to be named, and neither to be read nor to be written.
const HANDLE: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

/// Between two tries where the socket's queue is full. Over TCP the kernel would try again by itself.
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(10);

/// The bits of a mode that let the group and others write.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// Connects to the socket at an absolute path, trying for as long as its queue is full.
pub(crate) async fn connect(path: &Path) -> Result<UnixStream, Error> {
    loop {
        let socket = open(path)?;
        let handle = format!("/proc/self/fd/{}", socket.as_raw_fd());
        match UnixStream::connect(handle).await {
            Ok(stream) => return Ok(stream),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                sleep(QUEUE_FULL_PAUSE).await;
            }
            Err(error) => return Err(refused(path, error)),
        }
    }
}

/// A handle of the socket at `path`, whose directory lies in one that is Firefly's.
fn open(path: &Path) -> Result<OwnedFd, Error> {
    let directory = path.parent();
    let places = (
        directory.and_then(Path::parent),
        directory.and_then(Path::file_name),
        path.file_name(),
    );
    let (Some(holder), Some(directory), Some(name)) = places else {
        // A socket in the root directory or right below it.
        return Err(refused(path, io::ErrorKind::InvalidInput.into()));
    };
    let handle = |at, name, flags| openat(at, name, HANDLE.union(flags), Mode::empty());
    let said = |error: rustix::io::Errno| refused(path, error.into());
    let parent = open_directory(CWD, holder, OFlags::empty()).map_err(said)?;
    if !is_ours(&parent).map_err(said)? {
        let path = holder.to_owned();
        return Err(Error::Open { path });
    }
    let directory = open_directory(&parent, directory, OFlags::NOFOLLOW).map_err(said)?;
    let socket = handle(directory.as_fd(), name, OFlags::NOFOLLOW).map_err(said)?;
    match FileType::from_raw_mode(fstat(&socket).map_err(said)?.st_mode) {
        FileType::Socket => Ok(socket),
        other => Err(Error::NotASocket {
            path: path.to_owned(),
            found: describe(other),
        }),
    }
}

fn open_directory(at: impl AsFd, name: impl Arg, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let flags = HANDLE.union(OFlags::DIRECTORY).union(flags);
    openat(at, name, flags, Mode::empty())
}

/// Whether nobody but this process's user, or root, can change what a directory holds.
fn is_ours(directory: &OwnedFd) -> rustix::io::Result<bool> {
    let stat = fstat(directory)?;
    let owner_is_us = stat.st_uid == 0 || stat.st_uid == rustix::process::geteuid().as_raw();
    Ok(owner_is_us && stat.st_mode & WRITABLE_BY_OTHERS == 0)
}

fn describe(found: FileType) -> &'static str {
    match found {
        FileType::Symlink => "a symbolic link",
        FileType::RegularFile => "a file",
        FileType::Directory => "a directory",
        FileType::Fifo => "a FIFO",
        _ => "a device",
    }
}

fn refused(path: &Path, source: io::Error) -> Error {
    let endpoint = Endpoint::unix(path);
    Error::Refused { endpoint, source }
}

#[cfg(test)]
mod tests;
