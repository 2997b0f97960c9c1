//! The command line of `firefly log`.

use std::path::PathBuf;

use clap::Subcommand;

/// Which event log to work on.
#[derive(Clone, Debug, clap::Args)]
pub struct EventLog {
    /// The event log, as sqlite:PATH, postgres://USER@HOST/DATABASE or esdb://USER:PASSWORD@HOST; without it, the one in the
    /// data directory.
    #[arg(
        long,
        env = "FIREFLY_EVENT_LOG",
        value_name = "URL",
        hide_env_values = true
    )]
    pub event_log: Option<String>,
    /// The data directory whose event log it is.
    #[arg(
        long,
        env = "FIREFLY_DATA_DIR",
        value_name = "DIRECTORY",
        default_value = ".firefly"
    )]
    pub data_dir: PathBuf,
    /// Say everything as JSON, one object a line.
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Debug, Subcommand)]
pub enum Log {
    /// Say what the log is and how much it holds.
    Info(EventLog),
    /// Show events, oldest first.
    Read(Read),
    /// Show the last events.
    Tail(Tail),
    /// Write all events to a file, one a line.
    Export(Export),
    /// Append the events of an export, passing over those that are there.
    Import(Import),
    /// Bring everything of one log into another, and compare both; goes on where it broke off.
    Copy(Copy),
    /// Read everything and say what is damaged or missing; exit code 0 only if nothing is.
    Verify(EventLog),
    /// Copy a SQLite log to a file, also while Firefly writes to it.
    Backup(Backup),
    /// Put a backup in the place of a SQLite log that is not there.
    Restore(Restore),
}

impl Log {
    /// Whether everything is said as JSON.
    pub const fn json(&self) -> bool {
        match self {
            Self::Info(log) | Self::Verify(log) => log.json,
            Self::Read(read) => read.log.json,
            Self::Tail(tail) => tail.log.json,
            Self::Export(export) => export.log.json,
            Self::Import(import) => import.log.json,
            Self::Copy(copy) => copy.json,
            Self::Backup(backup) => backup.log.json,
            Self::Restore(restore) => restore.log.json,
        }
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Read {
    #[command(flatten)]
    pub log: EventLog,
    /// Only this stream, such as project-UUID.
    #[arg(long)]
    pub stream: Option<String>,
    /// Only what comes behind this position.
    #[arg(long, value_name = "POSITION", default_value_t = 0)]
    pub after: u64,
    /// Newest first.
    #[arg(long)]
    pub backward: bool,
    /// So many events at most.
    #[arg(long, value_name = "COUNT")]
    pub limit: Option<u64>,
}

#[derive(Clone, Debug, clap::Args)]
pub struct Tail {
    #[command(flatten)]
    pub log: EventLog,
    /// How many events.
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 10,
        value_parser = clap::value_parser!(u32).range(..=1_000)
    )]
    pub lines: u32,
    /// Go on with new events as they come.
    #[arg(long, short)]
    pub follow: bool,
}

#[derive(Clone, Debug, clap::Args)]
pub struct Export {
    #[command(flatten)]
    pub log: EventLog,
    /// The file to make, or - for standard output. A file that is there is not overwritten.
    #[arg(default_value = "-")]
    pub file: PathBuf,
    /// Write CloudEvents 1.0 instead of Firefly's own fields.
    #[arg(long)]
    pub cloudevents: bool,
    /// Only what comes behind this position.
    #[arg(long, value_name = "POSITION", default_value_t = 0)]
    pub after: u64,
}

#[derive(Clone, Debug, clap::Args)]
pub struct Import {
    #[command(flatten)]
    pub log: EventLog,
    /// An export in either format, or - for standard input.
    #[arg(value_name = "EXPORT")]
    pub file: PathBuf,
}

#[derive(Clone, Debug, clap::Args)]
pub struct Copy {
    /// The log that is read.
    #[arg(long, value_name = "URL")]
    pub from: String,
    /// The log that is written: empty, not there yet, or the beginning of the other.
    #[arg(long, value_name = "URL")]
    pub to: String,
    /// Say everything as JSON, one object a line.
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Debug, clap::Args)]
pub struct Backup {
    #[command(flatten)]
    pub log: EventLog,
    /// The backup to make. A file that is there is not overwritten.
    #[arg(value_name = "BACKUP")]
    pub file: PathBuf,
}

#[derive(Clone, Debug, clap::Args)]
pub struct Restore {
    #[command(flatten)]
    pub log: EventLog,
    /// The backup to put in place.
    #[arg(value_name = "BACKUP")]
    pub file: PathBuf,
}
