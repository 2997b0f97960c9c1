//! Kills `firefly log copy` again and again, until everything is copied, and begins anew.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use firefly_event_store::store::READ_EVENTS_MAX;
use firefly_event_store::{Expected, Position, Revision, StreamId};
use tokio::process::Command;
use uuid::Uuid;

use super::death::{Deaths, is_violent};
use super::kills::Kills;
use super::{Survived, firefly, writer};
use crate::postgres::Postgres;
use crate::report::Figure;

/// Events of the source: a dozen of the pages that are copied at a time.
const EVENTS: usize = 6_000;

const STREAMS: usize = 40;

/// Kills between two looks at the target from outside. The copy looks at it too, at each start; looking less often leaves it
/// to the next copy to recover what the last one left.
const KILLS_PER_CHECK: usize = 3;

const DEATHS: Deaths = Deaths {
    points: &[
        "mid-copy",
        "before-append",
        "between-write-and-commit",
        "after-commit",
    ],
    passed_max: 12,
    life_max: Duration::from_millis(400),
};

/// Kills, copies on and compares.
pub async fn run(kills: &mut Kills, postgres: bool) -> anyhow::Result<Survived> {
    let home = tempfile::tempdir().context("cannot make a directory for the logs")?;
    let program = firefly()?;
    let source = format!("sqlite:{}", home.path().join("source.db").display());
    let originals = fill(&source).await?;
    let mut copies = 0;
    let mut target = Target::new(home.path(), postgres, copies);
    let mut died = 0;
    while let Some(kill) = kills.next() {
        let death = DEATHS.choose(kill);
        let mut copy = command(&program, &source, &target.url)
            .envs(death.environment())
            .spawn()
            .context("cannot start the copy")?;
        let ended = death.of(&mut copy).await?;
        if is_violent(ended) {
            died += 1;
            if kill.is_multiple_of(KILLS_PER_CHECK) {
                is_beginning(&target.url, &originals).await?;
            }
        } else {
            is_whole(&program, ended, &target.url, &originals).await?;
            copies += 1;
            target = Target::new(home.path(), postgres, copies);
        }
    }
    let last = command(&program, &source, &target.url).status().await?;
    is_whole(&program, last, &target.url, &originals).await?;
    copies += 1;
    Ok(Survived {
        words: format!(
            "{copies} copies of {EVENTS} events were made whole in spite of {died} ends in the middle"
        ),
        figures: vec![
            Figure::count("copies made whole", copies, "copies"),
            Figure::count("copies that ended in the middle", died, "copies"),
            Figure::count("events of each copy", originals.len(), "events"),
        ],
    })
}

/// Where a copy goes.
struct Target {
    url: String,
    _server: Option<Postgres>,
}

impl Target {
    fn new(home: &Path, postgres: bool, number: usize) -> Self {
        let server = postgres.then(Postgres::start);
        let url = match &server {
            None => format!(
                "sqlite:{}",
                home.join(format!("copy-{number}.db")).display()
            ),
            Some(server) => server.url(),
        };
        Self {
            url,
            _server: server,
        }
    }
}

fn command(program: &Path, source: &str, target: &str) -> Command {
    let mut command = Command::new(program);
    command
        .args(["log", "copy", "--json", "--from", source, "--to", target])
        .stdout(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Makes the source; its events as they are shown.
async fn fill(source: &str) -> anyhow::Result<Vec<String>> {
    let store = firefly_event_store::open(source).await?;
    let streams: Vec<StreamId> = (0..STREAMS)
        .map(|_| StreamId::of("soak", &Uuid::new_v4()))
        .collect();
    let mut lasts: Vec<Option<Revision>> = vec![None; STREAMS];
    let mut events = 0;
    while events < EVENTS {
        for (stream, last) in streams.iter().zip(&mut lasts) {
            let some = writer::events();
            events += some.len();
            let appended = store.append(stream, Expected::after(*last), some).await?;
            *last = Some(appended.revision);
        }
    }
    shown(source).await
}

/// All events of a log, with everything that they have.
async fn shown(log: &str) -> anyhow::Result<Vec<String>> {
    let store = firefly_event_store::open(log).await?;
    let (mut all, mut after) = (Vec::new(), Position::START);
    loop {
        let page = store.read_all(after, READ_EVENTS_MAX).await?;
        let Some(last) = page.last() else {
            return Ok(all);
        };
        after = last.position;
        all.extend(page.iter().map(|event| format!("{event:?}")));
    }
}

/// What is in the target so far is the beginning of the source.
async fn is_beginning(target: &str, originals: &[String]) -> anyhow::Result<()> {
    let there = shown(target).await?;
    ensure!(
        originals.starts_with(&there),
        "the {} events of a copy that broke off are not the first of the source",
        there.len()
    );
    Ok(())
}

/// The copy ended well, the target is the source's equal, and nothing is wrong with it.
async fn is_whole(
    program: &Path,
    ended: ExitStatus,
    target: &str,
    originals: &[String],
) -> anyhow::Result<()> {
    ensure!(ended.success(), "a copy failed: {ended}");
    ensure!(
        shown(target).await? == originals,
        "a copy that says it is done differs from its source"
    );
    verify(program, target).await
}

/// `firefly log verify` finds nothing.
pub async fn verify(program: &Path, log: &str) -> anyhow::Result<()> {
    let verified = Command::new(program)
        .args(["log", "verify", "--json", "--event-log", log])
        .output()
        .await
        .context("cannot start the verification")?;
    ensure!(
        verified.status.success(),
        "`firefly log verify` says: {}",
        String::from_utf8_lossy(&verified.stdout)
    );
    Ok(())
}
