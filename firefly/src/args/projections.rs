//! The command line of `firefly projections`.

use clap::Subcommand;

use super::Client;

#[derive(Clone, Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Projections {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    client: Client,
}

impl Projections {
    /// Where the running Firefly is, and how to speak of it.
    pub const fn client(&self) -> &Client {
        match &self.command {
            None => &self.client,
            Some(Command::Rebuild(rebuild)) => &rebuild.client,
            Some(Command::Cancel(named) | Command::Retry(named)) => &named.client,
            Some(Command::Skip(skip)) => &skip.client,
        }
    }
}

#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Build projections anew from the event log, while queries go on, and let them take the place of what is there.
    Rebuild(Rebuild),
    /// End a rebuild before it is done.
    Cancel(Named),
    /// Let a projection that stopped try again.
    Retry(Named),
    /// Let a projection that stopped pass its event over; that is recorded with your name and the reason.
    Skip(Skip),
}

#[derive(Clone, Debug, clap::Args)]
pub struct Rebuild {
    /// The projections.
    #[arg(required_unless_present = "all", value_name = "NAME")]
    pub names: Vec<String>,
    /// All of them, one after the other.
    #[arg(long, conflicts_with = "names")]
    pub all: bool,
    /// Only compare what is built with what is there.
    #[arg(long)]
    pub verify: bool,
    #[command(flatten)]
    client: Client,
}

#[derive(Clone, Debug, clap::Args)]
pub struct Named {
    /// The projection.
    pub name: String,
    #[command(flatten)]
    client: Client,
}

#[derive(Clone, Debug, clap::Args)]
pub struct Skip {
    /// The projection.
    pub name: String,
    /// The id of the event, as the list of projections shows it.
    #[arg(long, value_name = "ID")]
    pub event: String,
    /// Why nothing is lost by it.
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    #[command(flatten)]
    client: Client,
}
