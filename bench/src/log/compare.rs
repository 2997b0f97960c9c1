//! `firefly-bench log --compare`: the same loads on both engines and on other event stores, in turn, on one disk.
//!
//! The peers' servers and the program that loads them (`bench/peers/`) are installed below the build directory first.

mod process;
mod setup;
mod table;

// What the peers' program counts with; nothing else of it is built with the tests.
#[cfg(test)]
#[path = "../../peers/src/figures.rs"]
#[expect(dead_code, reason = "the tests do not print")]
mod peers_figures;
#[cfg(test)]
#[path = "../../peers/src/payload.rs"]
mod peers_payload;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use sqlx::{Connection, PgConnection};
use tokio::process::Command;

use super::{Figures, Store, appends, floor, reads};
use crate::postgres::Postgres;
use crate::report;
use process::Server;
use setup::Installed;
use table::Measured;

/// Appends a second while a subscriber's delay is measured. Every peer that has subscriptions can follow that.
const SUBSCRIBED_RATE: u32 = 200;

/// How long one load of a peer may take altogether.
const LOAD_TIMEOUT: Duration = Duration::from_secs(240);

/// How long message-db's own script may take.
const SCRIPT_TIMEOUT: Duration = Duration::from_secs(60);

/// Connections of the peers at which they were fastest; further writers share them.
const UMADB_CONNECTIONS: usize = 4;
const POSTGRES_CONNECTIONS: usize = 32;

/// Flushes of a page that are timed before each load.
const FLUSHES: usize = 100;

/// How much of each load there is, and how often; the median counts.
#[derive(Clone, Copy, Debug)]
struct Size {
    rounds: usize,
    time: Duration,
    events: usize,
}

const FULL: Size = Size {
    rounds: 3,
    time: Duration::from_millis(2_000),
    events: 200_000,
};

const QUICK: Size = Size {
    rounds: 1,
    time: Duration::from_millis(500),
    events: 20_000,
};

/// One load that every store gets.
#[derive(Clone, Copy, Debug)]
enum Load {
    Append(usize),
    Subscribe,
    Read,
}

/// A store that is open, and all that was measured of it.
struct Contestant {
    store: Kind,
    measured: Measured,
}

enum Kind {
    Ours(Store),
    Peer {
        peer: &'static str,
        url: String,
        connections: usize,
    },
}

/// Measures all of them, load by load, so that what else the machine does meets them all, and prints figures and ratios.
pub async fn run(quick: bool, json: bool) -> anyhow::Result<()> {
    let size = if quick { QUICK } else { FULL };
    let installed = setup::install().await?;
    let home = tempfile::tempdir().context("cannot make a directory for the logs")?;
    let data = home.path().join("umadb");
    std::fs::create_dir(&data)?;
    let umadb = Server::start(&installed.umadb, &data).await?;
    let postgres = Postgres::start();
    let run = Run {
        size,
        home: home.path(),
        installed: &installed,
    };
    let mut contestants = run.open(&umadb, &postgres).await?;
    let appends = appends::WRITERS.map(Load::Append);
    for _ in 0..size.rounds {
        for load in appends.into_iter().chain([Load::Subscribe]) {
            run.in_turn(&mut contestants, load, &postgres).await?;
        }
    }
    for contestant in &contestants {
        run.fill(&contestant.store).await?;
    }
    for _ in 0..size.rounds {
        run.in_turn(&mut contestants, Load::Read, &postgres).await?;
    }
    let measured: Vec<Measured> = contestants.into_iter().map(|one| one.measured).collect();
    if json {
        table::print_json(&measured);
        return Ok(());
    }
    println!("{}\n", setup::VERSIONS);
    let (figures, ratios) = (table::figures(&measured), table::ratios(&measured));
    println!("{figures}\n{ratios}");
    Ok(())
}

struct Run<'a> {
    size: Size,
    home: &'a Path,
    installed: &'a Installed,
}

impl Run<'_> {
    /// Those on PostgreSQL have a database each.
    async fn open(&self, umadb: &Server, postgres: &Postgres) -> anyhow::Result<Vec<Contestant>> {
        let sqlite = format!("sqlite:{}", self.home.join("events.db").display());
        let firefly = database(postgres, "firefly").await?;
        let mut contestants = Vec::new();
        let mut add = |name: &'static str, store: Kind| {
            let measured = Measured::new(name);
            contestants.push(Contestant { store, measured });
        };
        add(
            "SQLite",
            Kind::Ours(firefly_event_store::open(&sqlite).await?),
        );
        let ours = firefly_event_store::open(&firefly).await?;
        add("PostgreSQL", Kind::Ours(ours));
        let peer = |peer, url, connections| Kind::Peer {
            peer,
            url,
            connections,
        };
        let url = format!("http://{}", umadb.address);
        add("UmaDB", peer("umadb", url, UMADB_CONNECTIONS));
        let url = self.message_db(postgres).await?;
        add("message-db", peer("message-db", url, POSTGRES_CONNECTIONS));
        for name in ["postgres-es", "disintegrate"] {
            let url = database(postgres, name).await?;
            add(name, peer(name, url, POSTGRES_CONNECTIONS));
        }
        Ok(contestants)
    }

    async fn in_turn(
        &self,
        contestants: &mut [Contestant],
        load: Load,
        postgres: &Postgres,
    ) -> anyhow::Result<()> {
        eprintln!("{load:?}");
        for contestant in contestants {
            // Nothing that those before have left to write is to be paid for by the next.
            checkpoint(postgres).await?;
            self.measure(contestant, load).await?;
        }
        Ok(())
    }

    async fn fill(&self, store: &Kind) -> anyhow::Result<()> {
        match store {
            Kind::Ours(store) => reads::fill(store, self.size.events).await,
            Kind::Peer { .. } => self.peer(store, &["--load", "fill"]).await.map(drop),
        }
    }

    async fn measure(&self, contestant: &mut Contestant, load: Load) -> anyhow::Result<()> {
        let Contestant { store, measured } = contestant;
        let mut figures = Figures::default();
        let busy = report::load()?.parse().context("the load is no number")?;
        figures.add(table::LOAD, busy, "processes");
        floor::disk(self.home, FLUSHES, &mut figures)?;
        let Size { time, events, .. } = self.size;
        match (&*store, load) {
            (Kind::Ours(store), Load::Append(writers)) => {
                appends::by_writers(store, time, writers, &mut figures).await?;
            }
            (Kind::Ours(store), Load::Subscribe) => {
                appends::to_a_subscriber(store, SUBSCRIBED_RATE, time, &mut figures).await?;
            }
            (Kind::Ours(store), Load::Read) => {
                let rate = reads::read(store, events).await?;
                figures.add("full read", rate, "events/s");
            }
            (Kind::Peer { .. }, load) => {
                let writers = match load {
                    Load::Append(writers) => writers.to_string(),
                    Load::Subscribe | Load::Read => "1".to_owned(),
                };
                let load = match load {
                    Load::Append(_) => "append",
                    Load::Subscribe => "subscribe",
                    Load::Read => "read",
                };
                let arguments = ["--load", load, "--writers", &writers];
                measured.add_json(&self.peer(store, &arguments).await?)?;
            }
        }
        measured.add(&figures);
        Ok(())
    }

    /// Has the other program load a peer, and returns what it printed.
    async fn peer(&self, store: &Kind, arguments: &[&str]) -> anyhow::Result<String> {
        let Kind::Peer {
            peer,
            url,
            connections,
        } = store
        else {
            bail!("ours is loaded in this process");
        };
        let mut load = process::bound_to_this(&self.installed.load);
        load.args(["--peer", peer, "--url", url])
            .args(arguments)
            .args(["--connections", &connections.to_string()])
            .args(["--milliseconds", &self.size.time.as_millis().to_string()])
            .args(["--events", &self.size.events.to_string()])
            .args(["--rate", &SUBSCRIBED_RATE.to_string()]);
        process::output(load, LOAD_TIMEOUT)
            .await
            .with_context(|| format!("{peer} was not measured"))
    }

    /// Has message-db's own script make its database.
    async fn message_db(&self, server: &Postgres) -> anyhow::Result<String> {
        let url = server.url();
        let port = url
            .rsplit_once('/')
            .and_then(|(server, _)| server.rsplit_once(':'))
            .map(|(_, port)| port)
            .context("the server's URL has no port")?;
        let mut script = Command::new("bash");
        script
            .arg(&self.installed.message_db)
            .envs([
                ("PGHOST", "127.0.0.1"),
                ("PGPORT", port),
                ("PGUSER", "firefly"),
            ])
            .env("DATABASE_NAME", "message_store");
        process::output(script, SCRIPT_TIMEOUT)
            .await
            .context("message-db's script did not make its database; it needs psql and createdb")?;
        Ok(beside(&url, "message_store"))
    }
}

/// Makes a database.
async fn database(server: &Postgres, name: &str) -> anyhow::Result<String> {
    let url = server.url();
    let mut connection = PgConnection::connect(&url).await?;
    if !name.chars().all(|c| c.is_ascii_lowercase() || c == '-') {
        bail!("{name} is no name for a database");
    }
    let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE \"{name}\""));
    sqlx::raw_sql(create).execute(&mut connection).await?;
    Ok(beside(&url, name))
}

async fn checkpoint(server: &Postgres) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(&server.url()).await?;
    sqlx::raw_sql("CHECKPOINT").execute(&mut connection).await?;
    Ok(())
}

/// The URL of another database on the same server.
fn beside(url: &str, name: &str) -> String {
    let (server, _) = url.rsplit_once('/').unwrap_or((url, ""));
    format!("{server}/{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_database_is_on_the_same_server() {
        let url = "postgres://firefly@127.0.0.1:5432/postgres";
        assert_eq!(
            beside(url, "other"),
            "postgres://firefly@127.0.0.1:5432/other"
        );
    }
}
