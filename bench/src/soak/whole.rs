//! Kills the whole of Firefly while sixteen clients send it commands over HTTP.
//!
//! The clients are tasks of this process, which outlives every Firefly: each notes what it was answered in a journal that is
//! flushed before it goes on, and what it was not answered it sends again to the next Firefly, under the same
//! `Idempotency-Key`. After each start the log is read on from outside and held against the journal; after every twentieth
//! kill the read models are made anew and held against those of the running Firefly.

mod check;
mod client;
mod models;
mod server;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::death::Deaths;
use super::journal::{Journal, Reader};
use super::kills::Kills;
use super::{COMMIT_POINTS, Survived, firefly};
use crate::report::Figure;
use check::Checker;
use client::Client;
use server::Server;

const CLIENTS: usize = 16;

/// Kills between two times that the read models are made anew.
const KILLS_PER_REBUILD: usize = 20;

/// After so many kills it is done at twice as many each time, so that a long log is not read through too often.
const OFTEN_REBUILT: usize = 200;

/// How long another process may take to let go of a file that it has closed.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(10);

const DEATHS: Deaths = Deaths {
    points: &COMMIT_POINTS,
    passed_max: 50,
    life_max: Duration::from_millis(250),
};

/// Kills, starts again and checks.
pub async fn run(kills: &mut Kills, early: bool) -> anyhow::Result<Survived> {
    let home = tempfile::tempdir().context("cannot make a directory for Firefly")?;
    let program = firefly()?;
    let mut soak = Soak::new(program, home.path(), early)?;
    let (mut comparisons, mut compared_at) = (0, 0);
    while let Some(kill) = kills.next() {
        soak.live_and_die(kill).await?;
        if kill == next_rebuild(compared_at) {
            soak.compare_models().await?;
            (comparisons, compared_at) = (comparisons + 1, kill);
        }
    }
    if compared_at != kills.done() {
        soak.compare_models().await?;
        comparisons += 1;
    }
    Ok(soak.survived(comparisons))
}

const fn next_rebuild(last: usize) -> usize {
    if last < OFTEN_REBUILT {
        last + KILLS_PER_REBUILD
    } else {
        last * 2
    }
}

struct Soak {
    program: PathBuf,
    data: PathBuf,
    events: PathBuf,
    clients: Vec<Client>,
    checker: Checker,
}

impl Soak {
    fn new(program: PathBuf, home: &Path, early: bool) -> anyhow::Result<Self> {
        let journal = home.join("acknowledged");
        let (data, writer) = (home.join("data"), Arc::new(Journal::open(&journal)?));
        let clients = (0..CLIENTS)
            .map(|number| Client::new(number, Arc::clone(&writer), early))
            .collect::<anyhow::Result<_>>()?;
        let events = data.join("events.db");
        Ok(Self {
            program,
            clients,
            checker: Checker::new(&events, Reader::new(&journal)),
            data,
            events,
        })
    }

    async fn live_and_die(&mut self, kill: usize) -> anyhow::Result<()> {
        let death = DEATHS.choose(kill);
        let Some(mut server) = Server::start(&self.program, &self.data, Some(&death)).await? else {
            // It came to the place on its way up, by what the reactor appends.
            return Ok(());
        };
        self.checker.check().await?;
        self.released().await?;
        let mut lives = JoinSet::new();
        for client in self.clients.drain(..) {
            lives.spawn(client.run(server.url.clone()));
        }
        server.die(&death).await?;
        while let Some(client) = lives.join_next().await {
            self.clients.push(client??);
        }
        Ok(())
    }

    /// Starts a Firefly that nobody kills or asks for anything, and compares its read models when it has nothing left to do.
    async fn compare_models(&mut self) -> anyhow::Result<()> {
        let Some(server) = Server::start(&self.program, &self.data, None).await? else {
            bail!("Firefly does not start any more");
        };
        self.checker.check().await?;
        let client = self.clients.iter().find(|client| client.is_signed_in());
        let client = client.context("no client was ever signed in")?;
        models::compare(&server, client, &self.data).await?;
        server.stop().await?;
        self.released().await
    }

    fn survived(&self, compared: usize) -> Survived {
        let mut survived = self.checker.survived();
        survived.words +=
            &format!("; {compared} times the read models were those that are made anew");
        let compared = Figure::count("comparisons of read models", compared, "comparisons");
        survived.figures.push(compared);
        survived
    }

    /// Waits until this process has closed the log: what it holds open, no start has to recover.
    async fn released(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + RELEASE_TIMEOUT;
        while is_open(&self.events)? {
            if Instant::now() > deadline {
                bail!("the log is still open after the check");
            }
            sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }
}

/// Whether this process has a file open.
fn is_open(path: &Path) -> anyhow::Result<bool> {
    let path = path.canonicalize()?;
    let open = std::fs::read_dir("/proc/self/fd")?
        .flatten()
        .filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .any(|file| file == path);
    Ok(open)
}
