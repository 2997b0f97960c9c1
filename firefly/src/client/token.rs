//! Tokens kept between calls, so that not every call is a sign-in in the history.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;

use uuid::Uuid;

/// A token and whose it is.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Token {
    pub user: String,
    pub token: String,
}

/// The token kept for a server, if there is one.
pub fn load(server: &str) -> Option<Token> {
    serde_json::from_slice(&std::fs::read(file(server)?).ok()?).ok()
}

/// Keeps a token where only its owner can read it. Where that is impossible, the next call signs in again.
pub fn store(server: &str, token: &Token) {
    let Some(path) = file(server) else { return };
    let written = || -> std::io::Result<()> {
        if let Some(folder) = path.parent() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)?;
        }
        let draft = path.with_extension(format!("{}.new", std::process::id()));
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&draft)?;
        file.write_all(&serde_json::to_vec(token)?)?;
        std::fs::rename(draft, &path)
    };
    if let Err(error) = written() {
        tracing::debug!(%error, "the token could not be kept");
    }
}

fn file(server: &str) -> Option<PathBuf> {
    let cache = match std::env::var_os("XDG_CACHE_HOME") {
        Some(cache) if !cache.is_empty() => PathBuf::from(cache),
        _ => PathBuf::from(std::env::var_os("HOME")?).join(".cache"),
    };
    let name = Uuid::new_v5(&Uuid::NAMESPACE_URL, server.as_bytes());
    Some(cache.join("firefly/tokens").join(format!("{name}.json")))
}
