//! The event log and the read models: whether they open, are whole, and how far they are.

use std::path::Path;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use firefly_event_store::transfer::about::Engine;
use firefly_event_store::transfer::verify::{Fault, verify};
use firefly_event_store::{EventStore, Position};
use firefly_read_models::Build;
use firefly_read_models::builds::Status;

use super::Patient;
use super::check::Check;
use super::running::Running;
use crate::args::log::EventLog;
use crate::log;
use crate::up::data_dir::READ_MODELS;

const EVENT_LOG: &str = "event log";
const MODELS: &str = "read models";
const CLOCK: &str = "clock";

/// Times of the log and of this machine may differ by so much where the log is another machine's.
const CLOCK_TOLERANCE: TimeDelta = TimeDelta::seconds(5);

/// Faults that are told; `firefly log verify` tells all.
const FAULTS_TOLD: usize = 3;

/// What was found of an event log.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Log {
    /// The first start makes it.
    None,
    /// It cannot be opened or read, for this reason.
    Refused(String),
    /// It was read.
    Read {
        head: u64,
        /// Some of what is wrong with it, and how much in all.
        faults: (Vec<String>, u64),
        /// Whether each event was read, or only the file looked through.
        whole: bool,
        last: Option<DateTime<Utc>>,
    },
}

/// What was found of read models.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Models {
    None,
    Refused(String),
    Read(Vec<Build>),
}

pub async fn checks(patient: &Patient, running: &Running) -> Vec<Check> {
    let found = look_at_log(patient).await;
    let models = look_at_models(patient).await;
    let (head, last) = match &found {
        Log::Read { head, last, .. } => (Some(*head), *last),
        Log::None | Log::Refused(_) => (None, None),
    };
    let mut checks = vec![
        judge_log(&found),
        judge_models(&models, head, running.is_there()),
    ];
    checks.extend(last.map(|last| judge_clock(last, Utc::now())));
    checks
}

async fn look_at_log(patient: &Patient) -> Log {
    let args = EventLog {
        event_log: patient.up.event_log.clone(),
        data_dir: patient.data_dir().clone(),
        json: false,
    };
    let url = match log::url(&args) {
        Ok(url) => url,
        Err(error) => return Log::Refused(format!("{error:#}")),
    };
    let engine = Engine::of(&url);
    if let Engine::Sqlite(path) = &engine
        && is_nothing_yet(path)
    {
        return Log::None;
    }
    read_log(&url, &engine, !patient.quick)
        .await
        .unwrap_or_else(|error| Log::Refused(format!("{error:#}")))
}

/// A file that is missing or empty; the first start makes it, and then its content.
fn is_nothing_yet(path: &Path) -> bool {
    match path.metadata() {
        Ok(found) => found.len() == 0,
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}

async fn read_log(url: &str, engine: &Engine, whole: bool) -> anyhow::Result<Log> {
    let store = log::open_damaged(url).await?;
    let (mut told, mut count) = (Vec::new(), 0);
    let mut on_fault = |fault: Fault| {
        count += 1;
        if told.len() < FAULTS_TOLD {
            told.push(fault.to_string());
        }
    };
    log::structure(engine)
        .await?
        .into_iter()
        .for_each(&mut on_fault);
    if whole {
        verify(&*store, engine.is_contiguous(), &mut on_fault, &mut |_| {}).await?;
    }
    let head = store.head().borrow().number();
    Ok(Log::Read {
        head,
        faults: (told, count),
        whole,
        last: last(&*store, count == 0).await?,
    })
}

/// When the last event was recorded; of a damaged log that is not asked.
async fn last(store: &dyn EventStore, is_whole: bool) -> anyhow::Result<Option<DateTime<Utc>>> {
    if !is_whole || *store.head().borrow() == Position::START {
        return Ok(None);
    }
    let last = store.read_all_back(None, 1).await?;
    Ok(last.first().map(|event| event.recorded_at))
}

fn judge_log(found: &Log) -> Check {
    match found {
        Log::None => Check::fine(EVENT_LOG, "there is none yet; the first start makes it"),
        Log::Refused(error) => Check::broken(
            EVENT_LOG,
            format!("it cannot be read: {error}"),
            "see that its server or its file can be reached by this user and has room; `firefly log info` tries again",
        ),
        Log::Read {
            faults: (told, count),
            ..
        } if *count > 0 => Check::broken(
            EVENT_LOG,
            format!("faults: {count}\n{}", told.join("\n")),
            "`firefly log verify` names all; put a backup in its place with `firefly log restore`, or bring what can \
             be read into another with `firefly log copy`",
        ),
        Log::Read { head, whole, .. } => {
            let looked = if *whole {
                "each event was read"
            } else {
                "its file was looked through"
            };
            Check::fine(
                EVENT_LOG,
                format!("head {head}; {looked}, and nothing is damaged or missing"),
            )
        }
    }
}

async fn look_at_models(patient: &Patient) -> Models {
    let url = match &patient.up.read_models {
        Some(url) => url.clone(),
        None => format!("sqlite:{}", patient.data_dir().join(READ_MODELS).display()),
    };
    if let Engine::Sqlite(path) = Engine::of(&url)
        && is_nothing_yet(&path)
    {
        return Models::None;
    }
    let builds = async {
        let database = firefly_read_models::look(&url).await?;
        database.builds().await
    };
    match builds.await {
        Ok(builds) => Models::Read(builds),
        Err(error) => Models::Refused(format!("{:#}", anyhow::Error::new(error))),
    }
}

fn judge_models(found: &Models, head: Option<u64>, is_running: bool) -> Check {
    let builds = match found {
        Models::None => {
            return Check::fine(MODELS, "there are none yet; the first start makes them");
        }
        Models::Refused(error) => {
            return Check::broken(
                MODELS,
                format!("they cannot be read: {error}"),
                "see that their server or file can be reached; a file that is damaged may be deleted while Firefly is \
                 stopped, since the event log makes it anew",
            );
        }
        Models::Read(builds) => builds,
    };
    let live = || builds.iter().filter(|build| build.status == Status::Live);
    if let Some((build, failure)) = live().find_map(|build| Some((build, build.failure.as_ref()?)))
    {
        return Check::broken(
            MODELS,
            format!("projection {} stopped: {failure}", build.projection),
            "`firefly projections` says at which event, and how it goes on",
        );
    }
    let Some(position) = live().map(|build| build.position.unsigned_abs()).min() else {
        return Check::fine(MODELS, "nothing is in them yet");
    };
    match head.map(|head| head.saturating_sub(position)) {
        None => Check::fine(MODELS, format!("at {position}")),
        Some(0) => Check::fine(MODELS, format!("at {position}, where the log is")),
        Some(behind) if is_running => Check::warning(
            MODELS,
            format!("at {position}, {behind} positions behind the log"),
            "a Firefly that runs catches up within seconds; look again, and at `firefly projections`",
        ),
        Some(behind) => Check::fine(
            MODELS,
            format!(
                "at {position}, {behind} positions behind the log; they catch up when Firefly starts"
            ),
        ),
    }
}

fn judge_clock(last: DateTime<Utc>, now: DateTime<Utc>) -> Check {
    let shown = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
    if last > now + CLOCK_TOLERANCE {
        return Check::broken(
            CLOCK,
            format!(
                "it is {} here, and the last event is of {}",
                shown(now),
                shown(last)
            ),
            "set the clock, such as with `timedatectl set-ntp true`; times of the log would stand still until then",
        );
    }
    Check::fine(
        CLOCK,
        format!("the last event is of {}, which is over", shown(last)),
    )
}

#[cfg(test)]
mod tests;
