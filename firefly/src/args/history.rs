//! The command line of `firefly history`.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};

use super::Client;

#[derive(Clone, Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct History {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub show: Show,
}

impl History {
    /// Whether everything is said as JSON.
    pub const fn json(&self) -> bool {
        match &self.command {
            None => self.show.client.json,
            Some(Command::Diff(diff)) => diff.client.json,
            Some(Command::Export(export)) => export.client.json,
        }
    }
}

#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Show what changed in a project from one moment to another.
    Diff(Diff),
    /// Write events to a file, for other programs.
    Export(Export),
}

/// Which events are shown.
#[derive(Clone, Debug, clap::Args)]
pub struct Show {
    /// Only this project: user/owner/repo, or owner/repo for one of your own, or what it was opened from.
    pub project: Option<String>,
    /// Only projects and sessions of this user.
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Only this session.
    #[arg(long, value_name = "ID", conflicts_with = "project")]
    pub session: Option<String>,
    /// Only what follows from one request, by the correlation_id of its events.
    #[arg(long, value_name = "ID")]
    pub correlation: Option<String>,
    /// Only what this one caused: a user's name, system:ROLE or anonymous.
    #[arg(long, value_name = "ACTOR")]
    pub actor: Option<String>,
    /// Only events of this type, such as ProjectOpened; several with commas in between.
    #[arg(long = "type", value_name = "TYPE")]
    pub types: Option<String>,
    /// From this position or time on; of one project, also a revision such as rev-3.
    #[arg(long, value_name = "MOMENT")]
    pub from: Option<String>,
    /// Up to this position or time; of one project, also a revision.
    #[arg(long, value_name = "MOMENT")]
    pub to: Option<String>,
    /// Newest first.
    #[arg(long)]
    pub newest: bool,
    /// So many events at most.
    #[arg(long, value_name = "COUNT")]
    pub limit: Option<u64>,
    #[command(flatten)]
    pub client: Client,
}

#[derive(Clone, Debug, clap::Args)]
pub struct Diff {
    /// The project: user/owner/repo, or owner/repo for one of your own, or what it was opened from.
    pub project: String,
    /// The earlier moment: a position, a time such as 2026-11-24T10:00:00Z, or a revision such as rev-3.
    #[arg(long, value_name = "MOMENT")]
    pub from: String,
    /// The later moment; now, without it.
    #[arg(long, value_name = "MOMENT")]
    pub to: Option<String>,
    #[command(flatten)]
    pub client: Client,
}

#[derive(Clone, Debug, clap::Args)]
pub struct Export {
    /// The file to make, or - for standard output. A file that is there is not overwritten.
    #[arg(default_value = "-")]
    pub file: PathBuf,
    /// Only this project: user/owner/repo, or owner/repo for one of your own, or what it was opened from.
    #[arg(long, value_name = "PROJECT")]
    pub project: Option<String>,
    /// Only projects and sessions of this user.
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Only this session.
    #[arg(long, value_name = "ID", conflicts_with = "project")]
    pub session: Option<String>,
    /// From this position or time on; of one project, also a revision such as rev-3.
    #[arg(long, value_name = "MOMENT")]
    pub from: Option<String>,
    /// Up to this position or time; of one project, also a revision.
    #[arg(long, value_name = "MOMENT")]
    pub to: Option<String>,
    /// ndjson for one event a line, json for one array, or cloudevents for a batch of CloudEvents 1.0.
    #[arg(long, value_enum, default_value_t = Format::Ndjson)]
    pub format: Format,
    #[command(flatten)]
    pub client: Client,
}

/// How events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Ndjson,
    Json,
    #[value(name = "cloudevents")]
    CloudEvents,
}

impl Format {
    /// What the server calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ndjson => "ndjson",
            Self::Json => "json",
            Self::CloudEvents => "cloudevents",
        }
    }

    /// Lines that hold no event: the brackets of an array.
    pub const fn lines_around(self) -> u64 {
        match self {
            Self::Ndjson => 0,
            Self::Json | Self::CloudEvents => 2,
        }
    }
}
