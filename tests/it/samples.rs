//! Repositories for tests.

use std::path::{Path, PathBuf};

use firefly_tests::git_server::git;
use firefly_tests::{GitServer, Runtime};

/// An ordinary repository, which opens at once: there is nothing to install.
pub const PLAIN: &[(&str, &str)] = &[
    (
        "index.html",
        "<!DOCTYPE html><html><head><title>Plain</title></head><body><h1>A plain page</h1></body></html>",
    ),
    ("notes.txt", "first line\n"),
];

/// A Montage application of its own: the starter's files with other words and one more dependency.
pub fn montage_app() -> Vec<(&'static str, String)> {
    macro_rules! starter {
        ($file:literal) => {
            (
                $file,
                include_str!(concat!("../../project-server/templates/starter/", $file)).to_owned(),
            )
        };
    }
    let mut files = vec![
        starter!("index.html"),
        starter!("package.json"),
        starter!("ui/main.reel/main.html"),
        starter!("ui/main.reel/main.css"),
        starter!("ui/main.reel/main.js"),
    ];
    for (_, content) in &mut files {
        *content = content.replace("Welcome to Firefly", "An application from afar");
    }
    files
}

/// A git remote that the runtime's project-servers reach.
pub async fn git_server(runtime: Runtime) -> GitServer {
    GitServer::start_on(runtime.host_address()).await
}

/// A repository on this host with the files of [`PLAIN`], to be opened by its path.
pub struct LocalRepository {
    home: tempfile::TempDir,
    name: &'static str,
}

impl LocalRepository {
    pub fn plain() -> Self {
        Self::named("plain-pages")
    }

    pub fn named(name: &'static str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join(name);
        std::fs::create_dir(&directory).unwrap();
        for (name, content) in PLAIN {
            std::fs::write(directory.join(name), content).unwrap();
        }
        git(&directory, &["init", "--quiet", "--initial-branch=main"]);
        git(&directory, &["add", "--all"]);
        git(&directory, &["commit", "--quiet", "--message=First"]);
        // A container's user is not the one who runs the tests.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(home.path(), open).unwrap();
        Self { home, name }
    }

    pub fn path(&self) -> PathBuf {
        self.home.path().join(self.name).canonicalize().unwrap()
    }

    /// The path as it is written in a request.
    pub fn source(&self) -> String {
        self.path().to_string_lossy().into_owned()
    }
}

/// Replaces a text in a file in place, so that the file keeps its owner.
pub fn edit(file: &Path, from: &str, to: &str) {
    let content = std::fs::read_to_string(file).unwrap();
    assert!(
        content.contains(from),
        "{from:?} is not in {}",
        file.display()
    );
    std::fs::write(file, content.replace(from, to)).unwrap();
}
