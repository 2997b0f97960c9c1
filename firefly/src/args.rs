//! The command line, and with it every configuration key: each is a flag and an environment variable.
//!
//! The texts here are the help of the program and the tables of `docs/configuration.md`, which a test keeps in step.

#[cfg(test)]
mod configuration_page;
pub mod history;
pub mod log;
pub mod projections;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use firefly_domain::project_key::InvalidSegment;
use firefly_domain::source::InvalidGitUrl;
use firefly_domain::{GitUrl, Segment};
use firefly_event_store::transfer::about::Engine;
use firefly_reactor::runtime::Preference;
use reqwest::Url;
use tracing_subscriber::EnvFilter;

/// Characters of a host's name, and of what stands between two of its dots (RFC 1035 §2.3.4); `project.` comes in front.
const HOST_LENGTH_MAX: usize = 253 - "project.".len();
const HOST_LABEL_LENGTH_MAX: usize = 63;

/// The backend of Montage Studio.
#[derive(Debug, Parser)]
#[command(name = "firefly", version, about, disable_help_subcommand = true)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start all of Firefly in this process.
    Up(Up),
    /// Open a project and wait until its preview is ready.
    Open(Open),
    /// Close a project: its container ends, its workspace is kept.
    Close(Target),
    /// Give a project a new container.
    Restart(Target),
    /// Delete a project, container and workspace.
    Delete(Delete),
    /// List the projects.
    Projects(Projects),
    /// Show what happened: to a project, a user, in a session, or at all.
    History(Box<history::History>),
    /// Tell how far the read models are; rebuild them, or let one that stopped go on.
    Projections(projections::Projections),
    /// Work on the event log itself, also while Firefly runs.
    #[command(subcommand)]
    Log(log::Log),
    /// Serve one workspace, as a container's only program. Firefly starts this by itself.
    #[command(hide = true)]
    ProjectServer {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

#[derive(Clone, Debug, clap::Args)]
pub struct Up {
    /// Open this once everything runs: a git URL, owner/repo, template:NAME, or a path to a repository.
    #[arg(long, value_name = "SOURCE")]
    pub open: Option<String>,
    /// The address of the one public port. Local sign-in needs a loopback address.
    #[arg(
        long,
        env = "FIREFLY_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:2440"
    )]
    pub listen: SocketAddr,
    /// An address for `/metrics` alone, open to whoever reaches it; without it, they are on the public port for this host.
    #[arg(long, env = "FIREFLY_METRICS_LISTEN", value_name = "ADDRESS")]
    pub metrics_listen: Option<SocketAddr>,
    /// The name browsers know this host by; previews are on `project.<host>`.
    #[arg(
        long,
        env = "FIREFLY_HOST",
        value_name = "NAME",
        default_value = "localhost",
        value_parser = host
    )]
    pub host: String,
    /// Where the event log, the read models, the secret and the workspaces are kept; made if it is not there.
    /// Fireflies that share it are one installation: all of them answer, one acts, and another takes over from it.
    #[arg(
        long,
        env = "FIREFLY_DATA_DIR",
        value_name = "DIRECTORY",
        default_value = ".firefly"
    )]
    pub data_dir: PathBuf,
    /// The event log, as sqlite:PATH, postgres://USER@HOST/DATABASE or esdb://USER:PASSWORD@HOST; without it, a SQLite file
    /// in the data directory.
    /// Of several Fireflies on it one acts.
    #[arg(
        long,
        env = "FIREFLY_EVENT_LOG",
        value_name = "URL",
        hide_env_values = true,
        value_parser = event_log
    )]
    pub event_log: Option<String>,
    /// The read models, as sqlite:PATH or postgres://USER@HOST/DATABASE; without it, a SQLite file in the data directory.
    /// They can be made again from the event log.
    #[arg(
        long,
        env = "FIREFLY_READ_MODELS",
        value_name = "URL",
        hide_env_values = true,
        value_parser = read_models
    )]
    pub read_models: Option<String>,
    /// What runs projects: docker, process, or auto for Docker where it answers and processes elsewhere.
    #[arg(long, env = "FIREFLY_RUNTIME", default_value_t = Preference::Auto)]
    pub runtime: Preference,
    /// A ready project image for Docker to use as it is; without it, Firefly makes its own.
    #[arg(long, env = "FIREFLY_PROJECT_IMAGE", value_name = "IMAGE")]
    pub project_image: Option<String>,
    /// Certificates, in PEM, that projects trust besides the usual ones, for networks that re-sign TLS; without it, the
    /// file that `NODE_EXTRA_CA_CERTS` names, if any.
    #[arg(long, env = "FIREFLY_CA_BUNDLE", value_name = "FILE", value_parser = readable_file)]
    pub ca_bundle: Option<PathBuf>,
    /// Memory of one container, in MiB, 128 or more; there is no swap on top.
    #[arg(
        long,
        env = "FIREFLY_CONTAINER_MEMORY_MIB",
        value_name = "MIB",
        default_value_t = 1024,
        value_parser = clap::value_parser!(u32).range(128..)
    )]
    pub container_memory_mib: u32,
    /// Processor cores of one container, 1 or more; never more are used than Docker's host has.
    #[arg(
        long,
        env = "FIREFLY_CONTAINER_CPUS",
        value_name = "CORES",
        default_value_t = 2,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub container_cpus: u32,
    /// Processes and threads of one container, 32 or more.
    #[arg(
        long,
        env = "FIREFLY_CONTAINER_PIDS",
        value_name = "COUNT",
        default_value_t = 512,
        value_parser = clap::value_parser!(u32).range(32..)
    )]
    pub container_pids: u32,
    /// The name of the user that local sign-in signs in; projects belong to it.
    #[arg(long, env = "FIREFLY_LOCAL_USER", value_name = "NAME", default_value = "local", value_parser = segment)]
    pub local_user: Segment,
    /// The git host that owner/repo is cloned from.
    #[arg(
        long,
        env = "FIREFLY_GITHUB_URL",
        value_name = "URL",
        default_value = firefly_command_api::GITHUB_URL,
        value_parser = github_url
    )]
    pub github_url: String,
    /// What is logged to standard error, as a tracing filter such as `info,firefly_reactor=debug`.
    #[arg(
        long,
        env = "FIREFLY_LOG",
        value_name = "FILTER",
        default_value = "warn",
        value_parser = log_filter
    )]
    pub log: String,
    /// Say everything as JSON, one object a line.
    #[arg(long)]
    pub json: bool,
}

/// Where a running Firefly is, and how to speak of it.
#[derive(Clone, Debug, clap::Args)]
pub struct Client {
    /// Where the running Firefly answers.
    #[arg(
        long,
        env = "FIREFLY_SERVER",
        value_name = "URL",
        default_value = "http://localhost:2440",
        value_parser = server
    )]
    pub server: String,
    /// The address behind the server's name, where that is known already.
    #[arg(skip)]
    pub address: Option<SocketAddr>,
    /// Say everything as JSON, one object a line.
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Debug, clap::Args)]
pub struct Open {
    /// A git URL, owner/repo, template:NAME, or a path to a repository.
    pub source: String,
    /// The branch to check out when the project is first opened; the repository's default otherwise.
    #[arg(long)]
    pub branch: Option<String>,
    #[command(flatten)]
    pub client: Client,
}

#[derive(Clone, Debug, clap::Args)]
pub struct Target {
    /// The project: user/owner/repo, or owner/repo for one of your own, or what it was opened from.
    pub project: String,
    #[command(flatten)]
    pub client: Client,
}

#[derive(Clone, Debug, clap::Args)]
pub struct Projects {
    /// As they were at this position or time.
    #[arg(long, value_name = "MOMENT")]
    pub at: Option<String>,
    #[command(flatten)]
    pub client: Client,
}

#[derive(Clone, Debug, clap::Args)]
pub struct Delete {
    #[command(flatten)]
    pub target: Target,
    /// Delete it even if that loses work which is nowhere else.
    #[arg(long)]
    pub force: bool,
}

/// A file's absolute path: whoever is told of it may look from another directory.
fn readable_file(text: &str) -> Result<PathBuf, String> {
    match std::fs::File::open(text).and_then(|file| file.metadata()) {
        Ok(found) if found.is_file() => {
            std::path::absolute(text).map_err(|error| error.to_string())
        }
        Ok(_) => Err("it is no file".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// What names an event log. The engine behind it says what else is wrong with it.
fn event_log(text: &str) -> Result<String, &'static str> {
    let names_a_server = || {
        text.split_once("://")
            .is_some_and(|(_, server)| !server.is_empty())
    };
    match Engine::of(text) {
        Engine::Sqlite(_) => Ok(text.to_owned()),
        Engine::Postgres | Engine::EventStoreDb if names_a_server() => Ok(text.to_owned()),
        _ => Err("give sqlite:PATH, postgres://USER@HOST/DATABASE or esdb://USER:PASSWORD@HOST"),
    }
}

/// What names a database for read models.
fn read_models(text: &str) -> Result<String, &'static str> {
    match Engine::of(text) {
        Engine::Sqlite(_) | Engine::Postgres => event_log(text),
        Engine::EventStoreDb | Engine::Other(_) => Err("no database"),
    }
    .map_err(|_| "give sqlite:PATH or postgres://USER@HOST/DATABASE")
}

/// Where a Firefly may answer.
fn server(text: &str) -> Result<String, &'static str> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {
            Ok(text.to_owned())
        }
        _ => Err("give a URL such as http://localhost:2440"),
    }
}

fn segment(text: &str) -> Result<Segment, InvalidSegment> {
    Segment::parse(text)
}

/// A name as browsers write it in a URL. An address is none: `project.<address>` is no host.
fn host(text: &str) -> Result<String, &'static str> {
    let is_label = |label: &str| {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        (1..=HOST_LABEL_LENGTH_MAX).contains(&label.len())
            && label.bytes().all(allowed)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // Browsers take a name whose last part is a number for an address.
    let last = text.rsplit('.').next().unwrap_or_default();
    let is_address = last.bytes().all(|byte| byte.is_ascii_digit());
    if text.len() <= HOST_LENGTH_MAX && text.split('.').all(is_label) && !is_address {
        Ok(text.to_owned())
    } else {
        Err(
            "give a host's name in lower-case letters, digits, dashes and dots, without a port; an IP address is none",
        )
    }
}

/// What `owner/repo.git` can be put behind. It comes without a slash at its end.
fn github_url(text: &str) -> Result<String, InvalidGitUrl> {
    let url = text.trim_end_matches('/');
    GitUrl::parse(&format!("{url}/owner/repo.git"))?;
    Ok(url.to_owned())
}

fn log_filter(text: &str) -> Result<String, tracing_subscriber::filter::ParseError> {
    EnvFilter::try_new(text)?;
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_taken(arguments: &[&str]) -> bool {
        let up = ["firefly", "up"].iter().chain(arguments);
        Args::try_parse_from(up).is_ok()
    }

    #[test]
    fn a_bad_value_is_refused_before_anything_starts() {
        let long = "a".repeat(HOST_LABEL_LENGTH_MAX + 1);
        for name in [
            "",
            "a b",
            "127.0.0.1",
            "1",
            "::1",
            "[::1]",
            "Host",
            "a:80",
            "a..b",
            ".a",
            "a.",
            "-a",
            "a/b",
            "a_b",
            &long,
        ] {
            assert!(!is_taken(&[&format!("--host={name}")]), "{name:?}");
        }
        for name in ["localhost", "firefly.localhost", "app.example-1.org", "1a"] {
            assert!(is_taken(&["--host", name]), "{name:?}");
        }
        for url in [
            "",
            "ftp://x",
            "https://",
            "https://u:p@host",
            "https://host/?x",
        ] {
            assert!(!is_taken(&["--github-url", url]), "{url:?}");
        }
        for url in ["https://github.com", "http://127.0.0.1:3000/git/"] {
            assert!(is_taken(&["--github-url", url]), "{url:?}");
        }
        for log in [
            "",
            "sqlite:",
            "sqlite",
            "mysql://host/db",
            "/plain/path",
            "postgres:x",
            "esdb:x",
            "esdb://",
            "kafka://host",
        ] {
            assert!(!is_taken(&["--event-log", log]), "{log:?}");
        }
        for log in [
            "sqlite:events.db",
            "postgres://u:p@h/d",
            "postgresql:///d?host=/run",
            "esdb://admin:changeit@host:2113?tls=true",
            "kurrentdb+discover://cluster.host:2113",
        ] {
            assert!(is_taken(&["--event-log", log]), "{log:?}");
        }
        for models in ["esdb://host", "sqlite:", "postgres:x"] {
            assert!(!is_taken(&["--read-models", models]), "{models:?}");
        }
        assert!(is_taken(&["--read-models", "postgres://u:p@h/d"]));
        assert!(!is_taken(&["--log", "info,=x"]));
        assert!(is_taken(&["--log", "info,firefly_reactor=debug"]));
    }

    #[test]
    fn the_certificates_are_found_from_any_directory() {
        // Tests run in the directory of their package.
        let file = readable_file("Cargo.toml").unwrap();
        assert!(file.is_absolute() && file.is_file(), "{}", file.display());
    }

    #[test]
    fn a_server_is_named_by_a_url_with_a_host() {
        for url in [
            "",
            "localhost:2440",
            "localhost",
            "ftp://host",
            "http://",
            "/path",
        ] {
            assert!(server(url).is_err(), "{url:?}");
        }
        for url in [
            "http://localhost:2440",
            "https://firefly.example.org/",
            "http://[::1]:7",
        ] {
            assert!(server(url).is_ok(), "{url:?}");
        }
    }
}
