//! A project-server in this process, on a free port or a socket and a temporary workspace.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use firefly_domain::control::{Assignment, Hello, Listening, Report, ReportBody, Unsaved};
use firefly_domain::{Address, Branch, Generation, GitUrl, ProjectKey, Segment, Source};
use firefly_project_server::{Config, Error, Listen, SelfExe, run};
use futures::StreamExt;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Nothing in these tests takes nearly as long on a machine that works.
const PATIENCE: Duration = Duration::from_secs(60);

const KEY: &str = "a key of the tests";

/// What a client of a socket says for a host.
const ANY_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 80);

/// The files of a repository that opens without trouble and without the network.
pub const PAGE: &[(&str, &str)] = &[
    ("index.html", "<head></head>hello"),
    ("package.json", r#"{"name":"plain","version":"1.0.0"}"#),
];

/// A running project-server.
pub struct Server {
    pub client: reqwest::Client,
    pub workspace: PathBuf,
    pub address: SocketAddr,
    pub task: JoinHandle<Result<(), Error>>,
    /// Closing it is the end of standard input.
    pub stdin: Option<DuplexStream>,
    _stop: oneshot::Sender<()>,
    _directory: Option<tempfile::TempDir>,
}

impl Server {
    /// Starts one on an empty workspace.
    pub async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut server = Self::start_in(directory.path()).await;
        server._directory = Some(directory);
        server
    }

    /// Starts one on a workspace that is there already.
    pub async fn start_in(workspace: &Path) -> Self {
        Self::start_as(config(workspace)).await
    }

    /// Starts one with other children.
    pub async fn start_with(self_exe: SelfExe, workspace: &Path) -> Self {
        let config = Config {
            self_exe,
            ..config(workspace)
        };
        Self::start_as(config).await
    }

    /// Starts one that is set up otherwise.
    pub async fn start_as(config: Config) -> Self {
        let (mut stdin, server_stdin) = tokio::io::duplex(4096);
        let (server_stdout, stdout) = tokio::io::duplex(4096);
        let (stop, stopped) = oneshot::channel::<()>();
        let workspace = config.workspace.clone();
        let shutdown = async {
            if stopped.await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let task = tokio::spawn(run(config, server_stdin, server_stdout, shutdown));
        let hello = Hello {
            control_key: KEY.to_owned(),
        };
        let mut line = serde_json::to_vec(&hello).unwrap();
        line.push(b'\n');
        stdin.write_all(&line).await.unwrap();
        let mut answer = String::new();
        BufReader::new(stdout).read_line(&mut answer).await.unwrap();
        let listening: Listening = serde_json::from_str(&answer).unwrap();
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        let (client, address) = match listening.endpoint.address().unwrap() {
            Address::Tcp(authority) => (client, authority.parse().unwrap()),
            Address::Unix(path) => (client.unix_socket(path), ANY_ADDRESS),
        };
        Self {
            client: client.build().unwrap(),
            workspace,
            address,
            task,
            stdin: Some(stdin),
            _stop: stop,
            _directory: None,
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A request with the key.
    pub fn control(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        let url = self.url(&format!("/control/v1/{path}"));
        self.client.request(method, url).bearer_auth(KEY)
    }

    /// Gives the assignment and waits until the opening has ended; all outcomes, in their order.
    pub async fn open(&self, assignment: &Assignment) -> Vec<ReportBody> {
        let response = self.assign(assignment).await;
        assert_eq!(response.status(), 204);
        self.outcomes_until(|body| matches!(body, ReportBody::Ready { .. } | ReportBody::Failed(_)))
            .await
    }

    pub async fn assign(&self, assignment: &Assignment) -> reqwest::Response {
        self.control(reqwest::Method::POST, "assignment")
            .json(assignment)
            .send()
            .await
            .unwrap()
    }

    /// Every outcome from the first on, up to the one that is waited for. Progress is left out.
    pub async fn outcomes_until(&self, last: impl Fn(&ReportBody) -> bool) -> Vec<ReportBody> {
        let mut outcomes = Vec::new();
        let collect = async {
            let mut reports = self.reports(0).await;
            while let Some(report) = reports.next().await {
                if matches!(report.body, ReportBody::Progress(_)) {
                    continue;
                }
                assert_eq!(report.sequence, outcomes.len() as u64 + 1);
                outcomes.push(report.body);
                if outcomes.last().is_some_and(&last) {
                    return true;
                }
            }
            false
        };
        let found = tokio::time::timeout(PATIENCE, collect).await;
        assert_eq!(found, Ok(true), "only these outcomes came: {outcomes:?}");
        outcomes
    }

    /// The stream of reports above `after`.
    pub async fn reports(&self, after: u64) -> impl futures::Stream<Item = Report> + Unpin {
        let response = self
            .control(reqwest::Method::GET, &format!("reports?after={after}"))
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 200);
        let bytes = response.bytes_stream().map(|chunk| chunk.unwrap());
        let buffer = Vec::new();
        let lines = futures::stream::unfold(
            (Box::pin(bytes), buffer),
            |(mut bytes, mut buffer)| async move {
                loop {
                    if let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                        let rest = buffer.split_off(end + 1);
                        let report = serde_json::from_slice(&buffer).unwrap();
                        return Some((report, (bytes, rest)));
                    }
                    buffer.extend_from_slice(&bytes.next().await?);
                }
            },
        );
        Box::pin(lines)
    }

    pub async fn unsaved(&self) -> Unsaved {
        let request = self.control(reqwest::Method::GET, "workspace");
        request.send().await.unwrap().json().await.unwrap()
    }

    pub async fn get(&self, path: &str) -> reqwest::Response {
        self.client.get(self.url(path)).send().await.unwrap()
    }

    pub fn write(&self, name: &str, content: &str) {
        let path = self.workspace.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
}

/// Waits until something is so.
pub async fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(
        tokio::time::timeout(PATIENCE, wait).await.is_ok(),
        "this never became true: {what}"
    );
}

pub fn assignment(source: Source) -> Assignment {
    Assignment {
        project: ProjectKey::new("alice", "montage", "app").unwrap(),
        generation: Generation::new(7),
        source,
        branch: None,
    }
}

pub fn from_git(url: &str) -> Assignment {
    assignment(Source::Git(GitUrl::parse(url).unwrap()))
}

pub fn from_template(name: &str) -> Assignment {
    assignment(Source::Template(Segment::parse(name).unwrap()))
}

pub fn on_branch(assignment: Assignment, branch: &str) -> Assignment {
    Assignment {
        branch: Some(Branch::parse(branch).unwrap()),
        ..assignment
    }
}

/// The settings of a project-server on a free port.
pub fn config(workspace: &Path) -> Config {
    Config {
        listen: Listen::Tcp((Ipv4Addr::LOCALHOST, 0).into()),
        workspace: workspace.to_owned(),
        local_source: None,
        npm_cache: None,
        egress: None,
        exit_on_stdin_eof: true,
        self_exe: SelfExe {
            program: tool(),
            args: Vec::new(),
        },
    }
}

/// The example that runs the tool; cargo builds it together with this test, beside its directory.
pub fn tool() -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.push("examples/tool");
    assert!(path.exists(), "{} is missing", path.display());
    path
}
