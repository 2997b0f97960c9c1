//! `firefly-bench log --compare`: the same load on both engines and on other event stores, one after the other on one disk.
//!
//! The peers' servers and the program that loads them (`bench/peers/`) are installed below the build directory first.

mod process;
mod setup;
mod table;

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

/// How long one peer's load may take altogether.
const LOAD_TIMEOUT: Duration = Duration::from_secs(600);

/// How long message-db's own script may take.
const SCRIPT_TIMEOUT: Duration = Duration::from_secs(60);

/// Connections of the peers at which they were fastest; further writers share them.
const UMADB_CONNECTIONS: usize = 4;
const POSTGRES_CONNECTIONS: usize = 32;

/// How much of each load there is.
#[derive(Clone, Copy, Debug)]
struct Size {
    seconds: u64,
    read_events: usize,
}

const FULL: Size = Size {
    seconds: 5,
    read_events: 200_000,
};

const QUICK: Size = Size {
    seconds: 1,
    read_events: 20_000,
};

/// Measures all of them and prints figures and ratios.
pub async fn run(quick: bool, json: bool) -> anyhow::Result<()> {
    let size = if quick { QUICK } else { FULL };
    let installed = setup::install().await?;
    let home = tempfile::tempdir().context("cannot make a directory for the logs")?;
    let run = Run {
        size,
        home: home.path(),
        installed: &installed,
    };
    let mut measured = vec![run.sqlite().await?, run.umadb().await?];
    measured.append(&mut run.on_postgres().await?);
    if json {
        table::print_json(&measured);
        return Ok(());
    }
    println!("{}\n", setup::VERSIONS);
    println!(
        "{}\n{}",
        table::figures(&measured),
        table::ratios(&measured)
    );
    Ok(())
}

struct Run<'a> {
    size: Size,
    home: &'a Path,
    installed: &'a Installed,
}

impl Run<'_> {
    async fn sqlite(&self) -> anyhow::Result<Measured> {
        let url = format!("sqlite:{}", self.home.join("events.db").display());
        self.ours("SQLite", &url).await
    }

    async fn umadb(&self) -> anyhow::Result<Measured> {
        let data = self.home.join("umadb");
        std::fs::create_dir(&data)?;
        let server = Server::start(&self.installed.umadb, &data).await?;
        let url = format!("http://{}", server.address);
        self.peer("UmaDB", "umadb", &url, UMADB_CONNECTIONS).await
    }

    /// Ours and three others, on one server, each in a database of its own.
    async fn on_postgres(&self) -> anyhow::Result<Vec<Measured>> {
        let server = Postgres::start();
        let mut measured = Vec::new();
        let url = database(&server, "firefly").await?;
        measured.push(self.ours("PostgreSQL", &url).await?);

        checkpoint(&server).await?;
        let url = self.message_db(&server).await?;
        let peer = self.peer("message-db", "message-db", &url, POSTGRES_CONNECTIONS);
        measured.push(peer.await?);

        for name in ["postgres-es", "disintegrate"] {
            let url = database(&server, name).await?;
            let peer = self.peer(name, name, &url, POSTGRES_CONNECTIONS);
            measured.push(peer.await?);
        }
        Ok(measured)
    }

    /// What the machine does just before a store is measured.
    fn floor(&self, name: &str) -> anyhow::Result<Figures> {
        eprintln!("measuring {name}");
        let mut figures = Figures::default();
        let load = report::load()?.parse().context("the load is no number")?;
        figures.add(table::LOAD, load, "processes");
        floor::disk(self.home, &mut figures)?;
        Ok(figures)
    }

    async fn ours(&self, name: &'static str, url: &str) -> anyhow::Result<Measured> {
        let mut figures = self.floor(name)?;
        let store: Store = firefly_event_store::open(url).await?;
        let Size {
            seconds,
            read_events,
        } = self.size;
        appends::single_events(&store, seconds, &mut figures).await?;
        appends::to_a_subscriber(&store, SUBSCRIBED_RATE, seconds, &mut figures).await?;
        reads::fill(&store, read_events).await?;
        let rate = reads::read(&store, read_events).await?;
        figures.add("full read", rate, "events/s");
        Ok(Measured::new(name, &figures))
    }

    async fn peer(
        &self,
        name: &'static str,
        peer: &str,
        url: &str,
        connections: usize,
    ) -> anyhow::Result<Measured> {
        let figures = self.floor(name)?;
        let writers = appends::WRITERS.map(|writers| writers.to_string());
        let mut load = process::bound_to_this(&self.installed.load);
        load.args(["--peer", peer, "--url", url])
            .args(["--writers", &writers.join(",")])
            .args(["--connections", &connections.to_string()])
            .args(["--seconds", &self.size.seconds.to_string()])
            .args(["--read-events", &self.size.read_events.to_string()])
            .args(["--subscribed-rate", &SUBSCRIBED_RATE.to_string()]);
        let said = process::output(load, LOAD_TIMEOUT)
            .await
            .with_context(|| format!("{name} was not measured"))?;
        let mut measured = Measured::new(name, &figures);
        measured.add_json(&said)?;
        Ok(measured)
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

/// Makes a database, with nothing left to write for those before it.
async fn database(server: &Postgres, name: &str) -> anyhow::Result<String> {
    let url = server.url();
    let mut connection = PgConnection::connect(&url).await?;
    if !name.chars().all(|c| c.is_ascii_lowercase() || c == '-') {
        bail!("{name} is no name for a database");
    }
    let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE \"{name}\""));
    sqlx::raw_sql(create).execute(&mut connection).await?;
    checkpoint(server).await?;
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
