//! The contract between the reactor and the project-server in a container.
//!
//! A container knows nothing when it is created. The reactor hands over a [`Hello`] on standard input and gets a
//! [`Listening`] line on standard output; from then on both speak HTTP where it says, each request carrying the
//! hello's key as a bearer token:
//!
//! | request | meaning |
//! |---|---|
//! | `GET /control/v1/ping` | 204 |
//! | `POST /control/v1/claim` | body [`Claim`]; 204, and from then on only the new key counts; 409 once there is an assignment |
//! | `POST /control/v1/assignment` | body [`Assignment`]; 204, also when repeated; 409 if another one is at work |
//! | `GET /control/v1/reports?after=N` | newline-delimited [`Report`]s with a sequence above N, then live ones, until either side ends |
//! | `GET /control/v1/workspace` | the [`Unsaved`] work as it is now |
//! | `POST /control/v1/shutdown` | stops all work, answers the final [`Unsaved`] (503 if it cannot be had within 20 s), then the program exits with 0 |
//!
//! The gateway reaches the workspace below `/static/…` in the same place, WebSocket upgrades included. It names the project
//! it means in the header [`PROJECT_HEADER`]; a project-server that serves another one answers 421.
//!
//! A project-server in a container has no network. Where it is given a Unix socket that leads out, it passes on to it
//! whatever connects to [`EGRESS_PORT`] of its loopback interface; behind the socket is a proxy, which serves npm's
//! registry itself below [`EGRESS_REGISTRY`].

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Branch, Endpoint, Failure, Generation, ProjectKey, Source, Step};

/// The port, on the loopback interface of a container, of the way out of it.
pub const EGRESS_PORT: u16 = 3128;

/// The path of npm's registry on the way out.
pub const EGRESS_REGISTRY: &str = "/npm/";

/// The header in which the gateway names the project whose files it asks for: an address may have been another's before.
pub const PROJECT_HEADER: &str = "firefly-project";

/// The first and only line a project-server reads from standard input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// The bearer token of every control request.
    pub control_key: String,
}

/// The first line a project-server writes to standard output, once it accepts connections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listening {
    /// Where it listens, as itself sees it; with the port that the system chose, if that was left to it.
    pub endpoint: Endpoint,
}

/// What a project-server that was started ahead learns when a project gets it, before its assignment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// The bearer token of every control request from here on.
    pub control_key: String,
}

/// What a project-server is to work on. It takes one in its life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assignment {
    /// The project's names; the preview's URLs begin with them.
    pub project: ProjectKey,
    /// The opening this is for; every report carries it.
    pub generation: Generation,
    /// Where the files come from if the workspace has none yet.
    pub source: Source,
    /// The branch to check out; the remote's default branch otherwise.
    pub branch: Option<Branch>,
}

/// Work that exists in the workspace only, and would be lost with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Unsaved {
    /// Files changed, added or deleted since the last commit, ignored ones apart.
    pub files: u64,
    /// Commits on local branches that no remote branch has.
    pub commits: u64,
}

impl Unsaved {
    /// Nothing would be lost.
    pub const NONE: Self = Self {
        files: 0,
        commits: 0,
    };

    /// Whether anything would be lost.
    pub const fn any(self) -> bool {
        self.files > 0 || self.commits > 0
    }
}

impl fmt::Display for Unsaved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |number: u64, noun: &str| {
            format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
        };
        match (self.files, self.commits) {
            (0, 0) => f.write_str("nothing"),
            (files, 0) => f.write_str(&count(files, "changed file")),
            (0, commits) => write!(f, "{} nowhere else", count(commits, "commit")),
            (files, commits) => {
                write!(
                    f,
                    "{} and {} nowhere else",
                    count(files, "changed file"),
                    count(commits, "commit")
                )
            }
        }
    }
}

/// One line of the report stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Counts up from 1 in one project-server's life. Progress is not kept and carries the sequence before it.
    pub sequence: u64,
    /// The generation of the assignment.
    pub generation: Generation,
    /// What is reported.
    #[serde(flatten)]
    pub body: ReportBody,
}

/// What a project-server reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "kebab-case")]
pub enum ReportBody {
    /// The repository was cloned.
    Cloned {
        /// The branch checked out.
        branch: String,
        /// The commit checked out, in hex.
        commit: String,
        /// How long it took, in milliseconds.
        duration_ms: u64,
    },
    /// The workspace was made from a template.
    TemplateApplied {
        /// The template's name.
        template: String,
        /// The first commit, in hex.
        commit: String,
        /// How long it took, in milliseconds.
        duration_ms: u64,
    },
    /// The workspace of an earlier opening was found.
    Resumed {
        /// The branch checked out, if any.
        branch: Option<String>,
        /// The commit checked out, in hex, if there is one.
        commit: Option<String>,
        /// How long it took, in milliseconds.
        duration_ms: u64,
    },
    /// The packages are there.
    Installed {
        /// How many packages `node_modules` holds.
        packages: u64,
        /// Whether they were there already, so that npm was not run.
        reused: bool,
        /// How long it took, in milliseconds.
        duration_ms: u64,
    },
    /// The preview is served.
    Ready {
        /// From assignment to here, in milliseconds.
        duration_ms: u64,
    },
    /// The opening failed. Nothing follows.
    Failed(Failure),
    /// The amount of unsaved work went from none to some, or back.
    UnsavedWork(Unsaved),
    /// How far a step has come. Live only: a late reader does not get it.
    Progress(Progress),
}

/// How far a step has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The step.
    pub step: Step,
    /// How many are done (objects, packages).
    pub done: u64,
    /// Of how many, where that is known.
    pub total: Option<u64>,
    /// A few words on what is being done now.
    pub text: String,
}

/// How far a step of one project has come; what the reactor passes on to live queries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectProgress {
    /// Whose.
    pub project: ProjectKey,
    /// In which opening.
    pub generation: Generation,
    /// How far.
    pub progress: Progress,
}
