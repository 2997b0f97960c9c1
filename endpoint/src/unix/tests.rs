//! What strangers may put in a socket's place, and that none of it is connected to.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::Command;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, listen, socket};
use tempfile::TempDir;

use super::*;
use crate::connect;

/// Longer than any refusal takes.
const LIMIT: Duration = Duration::from_secs(10);

/// Firefly's directory with one that a container writes to, and where the socket of that is to be.
fn directories() -> (TempDir, PathBuf) {
    let holder = tempfile::tempdir().unwrap();
    let directory = holder.path().join("container");
    std::fs::create_dir(&directory).unwrap();
    let path = directory.join("server.sock");
    (holder, path)
}

async fn connected(path: &Path) -> Result<crate::Stream, Error> {
    connect(&Endpoint::unix(path), LIMIT).await
}

/// A socket that must not be reached: whoever connects to it is seen.
fn precious(holder: &TempDir) -> (PathBuf, UnixListener) {
    let path = holder.path().join("precious.sock");
    let listener = UnixListener::bind(&path).unwrap();
    listener.set_nonblocking(true).unwrap();
    (path, listener)
}

fn is_untouched(listener: &UnixListener) -> bool {
    listener
        .accept()
        .is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

#[tokio::test]
async fn a_socket_is_connected_to_however_long_its_path_is() {
    let (holder, _) = directories();
    let deep = holder.path().join("d".repeat(200));
    std::fs::create_dir(&deep).unwrap();
    let directory = openat(CWD, &deep, HANDLE, Mode::empty()).unwrap();
    let short = format!("/proc/self/fd/{}/server.sock", directory.as_raw_fd());
    let listener = UnixListener::bind(short).unwrap();
    let stream = connected(&deep.join("server.sock")).await.unwrap();
    assert!(listener.accept().is_ok());
    drop(stream);
}

#[tokio::test]
async fn a_link_in_the_sockets_place_is_not_followed() {
    let (holder, path) = directories();
    let (target, listener) = precious(&holder);
    symlink(&target, &path).unwrap();
    let refused = connected(&path).await;
    assert!(
        matches!(refused, Err(Error::NotASocket { .. })),
        "{refused:?}"
    );
    assert!(is_untouched(&listener));
}

#[tokio::test]
async fn a_link_in_the_directorys_place_is_not_followed() {
    let (holder, path) = directories();
    let (target, listener) = precious(&holder);
    let directory = path.parent().unwrap();
    std::fs::remove_dir(directory).unwrap();
    symlink(target.parent().unwrap(), directory).unwrap();
    let refused = connected(&directory.join("precious.sock")).await;
    assert!(matches!(refused, Err(Error::Refused { .. })), "{refused:?}");
    assert!(is_untouched(&listener));
}

#[tokio::test]
async fn a_directory_that_others_could_replace_is_not_entered() {
    let (holder, path) = directories();
    let listener = UnixListener::bind(&path).unwrap();
    listener.set_nonblocking(true).unwrap();
    let mode = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(holder.path(), mode).unwrap();
    let refused = connected(&path).await;
    assert!(matches!(refused, Err(Error::Open { .. })), "{refused:?}");
    assert!(is_untouched(&listener));
}

#[tokio::test]
async fn neither_files_nor_fifos_nor_directories_are_sockets() {
    let (_holder, path) = directories();
    std::fs::write(&path, "x").unwrap();
    let file = connected(&path).await;
    assert!(
        matches!(
            file,
            Err(Error::NotASocket {
                found: "a file",
                ..
            })
        ),
        "{file:?}"
    );
    std::fs::remove_file(&path).unwrap();

    let made = Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    let fifo = connected(&path).await;
    assert!(
        matches!(
            fifo,
            Err(Error::NotASocket {
                found: "a FIFO",
                ..
            })
        ),
        "{fifo:?}"
    );
    std::fs::remove_file(&path).unwrap();

    std::fs::create_dir(&path).unwrap();
    let directory = connected(&path).await;
    let found = matches!(
        directory,
        Err(Error::NotASocket {
            found: "a directory",
            ..
        })
    );
    assert!(found, "{directory:?}");
}

#[tokio::test]
async fn a_socket_that_a_dead_server_left_refuses() {
    let (_holder, path) = directories();
    drop(UnixListener::bind(&path).unwrap());
    let Err(Error::Refused { source, .. }) = connected(&path).await else {
        panic!("somebody answered");
    };
    assert_eq!(source.kind(), io::ErrorKind::ConnectionRefused);
    std::fs::remove_file(&path).unwrap();
    let Err(Error::Refused { source, .. }) = connected(&path).await else {
        panic!("somebody answered");
    };
    assert_eq!(source.kind(), io::ErrorKind::NotFound);
}

#[tokio::test]
async fn a_full_queue_is_waited_for_and_not_for_ever() {
    let (_holder, path) = directories();
    let server = socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
    bind(&server, &SocketAddrUnix::new(&path).unwrap()).unwrap();
    listen(&server, 0).unwrap();
    let endpoint = Endpoint::unix(&path);
    let first = connect(&endpoint, LIMIT).await.unwrap();
    let full = connect(&endpoint, QUEUE_FULL_PAUSE * 3).await;
    assert!(matches!(full, Err(Error::TimedOut { .. })), "{full:?}");

    let waiting = tokio::spawn(async move { connect(&endpoint, LIMIT).await });
    drop(rustix::net::accept(&server).unwrap());
    assert!(waiting.await.unwrap().is_ok());
    drop(first);
}
