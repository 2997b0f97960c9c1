//! How a process ends before its time: at any moment, or at a place where that is most awkward.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::process::Child;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

/// The signals of a process that aborts itself and of one that is killed.
const SIGABRT: i32 = 6;
const SIGKILL: i32 = 9;

/// How long a process may take to come to the place where it ends itself.
const CRASH_TIMEOUT: Duration = Duration::from_secs(60);

/// What may be done to a process.
#[derive(Debug)]
pub struct Deaths {
    /// Where it ends itself, by name in the event store; only debug builds do.
    pub points: &'static [&'static str],
    /// How often such a place is passed before, at the most.
    pub passed_max: u128,
    /// How long it may live at the most before it is killed.
    pub life_max: Duration,
}

/// One end.
#[derive(Debug)]
pub enum Death {
    Killed {
        after: Duration,
    },
    Crashed {
        point: &'static str,
        passed_before: u128,
    },
}

impl Deaths {
    /// Every other one is at a place, each place in turn.
    pub fn choose(&self, kill: usize) -> Death {
        let chance = Uuid::new_v4().as_u128();
        if cfg!(debug_assertions) && kill.is_multiple_of(2) {
            return Death::Crashed {
                point: self.points[(kill / 2) % self.points.len()],
                passed_before: chance % self.passed_max,
            };
        }
        let life_max = self.life_max.as_micros();
        Death::Killed {
            after: Duration::from_micros((chance % life_max) as u64),
        }
    }
}

impl Death {
    /// What tells the process of the place.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Killed { .. } => vec![],
            Self::Crashed {
                point,
                passed_before,
            } => vec![
                ("FIREFLY_CRASH_AT", (*point).to_owned()),
                ("FIREFLY_CRASH_AFTER", passed_before.to_string()),
            ],
        }
    }

    /// Waits for it, or brings it about, and answers how the process ended: perhaps by itself, before.
    pub async fn of(&self, process: &mut Child) -> anyhow::Result<ExitStatus> {
        match self {
            Self::Killed { after } => {
                tokio::select! {
                    ended = process.wait() => return Ok(ended?),
                    () = sleep(*after) => {}
                }
                process.kill().await.context("cannot kill a process")?;
                Ok(process.wait().await?)
            }
            Self::Crashed { point, .. } => timeout(CRASH_TIMEOUT, process.wait())
                .await
                .with_context(|| format!("the process never came to {point}"))?
                .context("cannot wait for a process"),
        }
    }

    /// Makes sure that a process which does not end by itself ended as it should.
    pub fn was_of(&self, ended: ExitStatus) -> anyhow::Result<()> {
        ensure!(
            is_violent(ended),
            "a process ended by itself and should have been {self:?}: {ended}"
        );
        Ok(())
    }
}

/// Whether it was killed or crashed.
pub fn is_violent(ended: ExitStatus) -> bool {
    matches!(ended.signal(), Some(SIGKILL | SIGABRT))
}
