//! A real git remote for tests: git's own `http-backend` behind a small HTTP server on a free port.
//!
//! Repositories are bare ones below the directory it serves. Some paths misbehave on purpose: `/private/…` wants
//! credentials, `/moved/…` redirects to the same path without `moved`, `/elsewhere/…` redirects to another host,
//! `/turncoat/…` answers Firefly's first question honestly and redirects whoever comes after, and `/silent/…` takes the
//! request and never answers.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode, header};
use tokio::io::AsyncWriteExt;
use tokio::task::JoinHandle;

/// Enough for every push and fetch of a test.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A running remote; it stops when dropped.
pub struct GitServer {
    /// Where it listens.
    pub address: SocketAddr,
    root: tempfile::TempDir,
    task: JoinHandle<()>,
}

impl GitServer {
    /// Starts a remote without repositories that only this host reaches.
    pub async fn start() -> Self {
        Self::start_on(Ipv4Addr::LOCALHOST.into()).await
    }

    /// Starts a remote without repositories on an address of this host.
    pub async fn start_on(address: IpAddr) -> Self {
        let root = tempfile::tempdir().expect("a temporary directory can be made");
        let listener = tokio::net::TcpListener::bind((address, 0))
            .await
            .expect("a port of the address is free");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let directory: Arc<Path> = root.path().into();
        let app = Router::new().fallback(serve).with_state(directory);
        let task = tokio::spawn(async move {
            axum::serve(listener, app)
                .await
                .expect("the test's remote serves");
        });
        Self {
            address,
            root,
            task,
        }
    }

    /// Makes `<name>.git` with one commit on `main` that holds these files, and answers its URL.
    pub fn repository(&self, name: &str, files: &[(&str, &str)]) -> String {
        let bare = self.empty(name);
        let work = tempfile::tempdir().expect("a temporary directory can be made");
        git(work.path(), &["init", "--quiet", "--initial-branch=main"]);
        write(work.path(), files);
        git(work.path(), &["add", "--all", "--force"]);
        git(
            work.path(),
            &["commit", "--quiet", "--allow-empty", "--message=First"],
        );
        let target = bare.to_string_lossy().into_owned();
        git(work.path(), &["push", "--quiet", &target, "main"]);
        self.url(name)
    }

    /// Adds a commit with these files on a branch, made from `main` if it is new.
    pub fn commit(&self, name: &str, branch: &str, files: &[(&str, &str)]) {
        let bare = self.directory(name);
        let work = tempfile::tempdir().expect("a temporary directory can be made");
        let source = bare.to_string_lossy().into_owned();
        git(work.path(), &["clone", "--quiet", &source, "."]);
        let remote_branch = format!("origin/{branch}");
        let known = git_succeeds(work.path(), &["rev-parse", "--verify", &remote_branch]);
        let start = if known {
            remote_branch.as_str()
        } else {
            "origin/main"
        };
        git(work.path(), &["checkout", "--quiet", "-B", branch, start]);
        write(work.path(), files);
        git(work.path(), &["add", "--all", "--force"]);
        git(work.path(), &["commit", "--quiet", "--message=Next"]);
        git(work.path(), &["push", "--quiet", "origin", branch]);
    }

    /// Makes `<name>.git` without any commit, and answers its directory.
    pub fn empty(&self, name: &str) -> PathBuf {
        let bare = self.directory(name);
        std::fs::create_dir_all(&bare).expect("a directory can be made");
        git(
            &bare,
            &["init", "--quiet", "--bare", "--initial-branch=main"],
        );
        git(&bare, &["config", "http.receivepack", "true"]);
        bare
    }

    /// The URL of a repository, whether it is there or not.
    pub fn url(&self, name: &str) -> String {
        format!("http://{}/{name}.git", self.address)
    }

    /// The directory of a repository.
    pub fn directory(&self, name: &str) -> PathBuf {
        self.root.path().join(format!("{name}.git"))
    }
}

impl Drop for GitServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn write(directory: &Path, files: &[(&str, &str)]) {
    for (name, content) in files {
        let path = directory.join(name);
        let parent = path.parent().expect("a file has a directory");
        std::fs::create_dir_all(parent).expect("a directory can be made");
        std::fs::write(&path, content).expect("a file can be written");
    }
}

/// Runs git and fails the test if git does.
pub fn git(directory: &Path, arguments: &[&str]) {
    assert!(
        git_succeeds(directory, arguments),
        "git {arguments:?} failed"
    );
}

fn git_succeeds(directory: &Path, arguments: &[&str]) -> bool {
    Command::new("git")
        .args(["-c", "user.name=Test", "-c", "user.email=test@localhost"])
        .args(arguments)
        .current_dir(directory)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("git can be run")
        .success()
}

async fn serve(State(root): State<Arc<Path>>, request: Request) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let query = request.uri().query().unwrap_or_default().to_owned();
    let plain = |status: StatusCode| {
        let mut response = Response::new(Body::from(format!("{status}\n")));
        *response.status_mut() = status;
        response
    };
    let redirect = |location: String| {
        let mut response = plain(StatusCode::MOVED_PERMANENTLY);
        let location = location.parse().expect("a URL is a header value");
        response.headers_mut().insert(header::LOCATION, location);
        response
    };
    if path.starts_with("/private/") {
        return plain(StatusCode::UNAUTHORIZED);
    }
    if path.starts_with("/silent/") {
        return std::future::pending().await;
    }
    if let Some(rest) = path.strip_prefix("/moved") {
        return redirect(format!("{rest}?{query}"));
    }
    if let Some(rest) = path.strip_prefix("/elsewhere") {
        return redirect(format!("http://elsewhere.invalid{rest}?{query}"));
    }
    let mut path = path;
    if let Some(rest) = path.strip_prefix("/turncoat") {
        let agent = request.headers().get(header::USER_AGENT);
        if !agent.is_some_and(|agent| agent.as_bytes().starts_with(b"git/2 (firefly")) {
            return redirect(format!("{rest}?{query}"));
        }
        path = rest.to_owned();
    }
    backend(&root, request, &path, &query)
        .await
        .unwrap_or_else(|| plain(StatusCode::INTERNAL_SERVER_ERROR))
}

/// Runs git's CGI program for one request (RFC 3875).
async fn backend(root: &Path, request: Request, path: &str, query: &str) -> Option<Response<Body>> {
    let (parts, body) = request.into_parts();
    let text = |name: &str| {
        let value = parts.headers.get(name);
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    };
    let mut child = tokio::process::Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("REQUEST_METHOD", parts.method.as_str())
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("CONTENT_TYPE", text("content-type"))
        .env("HTTP_CONTENT_ENCODING", text("content-encoding"))
        .env("GIT_PROTOCOL", text("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .ok()?;
    let body = to_bytes(body, BODY_BYTES_MAX).await.ok()?;
    let mut stdin = child.stdin.take()?;
    let feed = async move { stdin.write_all(&body).await };
    let (_, output) = tokio::join!(feed, child.wait_with_output());
    let output = output.ok()?.stdout;
    let end = output.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&output[..end]).into_owned();
    let mut response = Response::new(Body::from(output[end + 4..].to_vec()));
    for line in head.lines() {
        let (name, value) = line.split_once(": ")?;
        if name.eq_ignore_ascii_case("status") {
            let code = value.split(' ').next()?.parse().ok()?;
            *response.status_mut() = StatusCode::from_u16(code).ok()?;
        } else {
            let name: header::HeaderName = name.parse().ok()?;
            response.headers_mut().insert(name, value.parse().ok()?);
        }
    }
    Some(response)
}
