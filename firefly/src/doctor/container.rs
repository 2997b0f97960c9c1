//! A container as for a project, made, started and removed again: the proof that all the rest is for.

use std::path::Path;
use std::time::Duration;

use firefly_reactor::runtime::Directories;
use firefly_reactor::runtime::docker::checkup::{self, Image, Trial};
use uuid::Uuid;

use super::Patient;
use super::check::Check;
use super::engine::Found;
use crate::up::runtime::docker_config;

const CONTAINER: &str = "container";

/// A start that takes longer keeps people waiting.
const SLOW: Duration = Duration::from_secs(5);

/// What came of the trial.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    /// It was not made, for this reason.
    LeftOut(&'static str),
    Done(Trial),
    Failed(String),
}

pub async fn checks(patient: &Patient, engine: &Found) -> Vec<Check> {
    let Some(Ok((_, image))) = engine else {
        return Vec::new();
    };
    let outcome = if patient.quick {
        Outcome::LeftOut("--quick leaves it out")
    } else if matches!(image, Image::Missing(_) | Image::NotThere(_)) {
        Outcome::LeftOut("there is no image to make one of")
    } else {
        try_out(patient).await
    };
    vec![judge(&outcome)]
}

/// Beside the workspaces of projects, where the engine is sure to find it; elsewhere before there are any.
async fn try_out(patient: &Patient) -> Outcome {
    let home = if patient.data_dir().is_dir() {
        patient.data_dir().clone()
    } else {
        std::env::temp_dir()
    };
    let home = home.join(format!(".doctor-{}", Uuid::new_v4().simple()));
    let tried = in_directory(patient, &home).await;
    // It holds nothing, and its name says whose it was.
    let _ = std::fs::remove_dir_all(&home);
    tried.map_or_else(|error| Outcome::Failed(format!("{error:#}")), Outcome::Done)
}

async fn in_directory(patient: &Patient, home: &Path) -> anyhow::Result<Trial> {
    // The container's user must be able to pass through.
    std::fs::create_dir(home)?;
    let directories = Directories::new(
        &home.join("workspaces"),
        &home.join("npm"),
        &home.join("containers"),
    )?;
    let config = docker_config(&patient.up, Uuid::new_v4(), directories);
    let trial = checkup::try_out(config).await;
    trial.map_err(|error| anyhow::anyhow!(error.with_causes()))
}

fn judge(outcome: &Outcome) -> Check {
    match outcome {
        Outcome::LeftOut(why) => Check::fine(CONTAINER, format!("none was started: {why}")),
        Outcome::Failed(error) => Check::broken(
            CONTAINER,
            format!("one could not be made, started and removed: {error}"),
            "what the checks above say comes first; else `journalctl -u docker` has the engine's own words",
        ),
        Outcome::Done(trial) => {
            let said = format!(
                "one was made and answered after {:.1} s, and was gone after {:.1} s more",
                trial.started.as_secs_f64(),
                trial.removed.as_secs_f64()
            );
            if trial.started <= SLOW {
                return Check::fine(CONTAINER, said);
            }
            Check::warning(
                CONTAINER,
                said,
                "that is slow; look at the load of the machine and at the disk of the engine",
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::Verdict;
    use super::*;

    #[test]
    fn a_trial_is_judged_by_what_came_of_it_and_how_soon() {
        let done = |started| {
            judge(&Outcome::Done(Trial {
                started,
                removed: Duration::from_millis(340),
            }))
        };
        let quick = done(Duration::from_millis(820));
        assert_eq!(quick.verdict, Verdict::Fine);
        assert_eq!(
            quick.said,
            "one was made and answered after 0.8 s, and was gone after 0.3 s more"
        );
        assert_eq!(done(SLOW * 2).verdict, Verdict::Warning);
        assert_eq!(judge(&Outcome::LeftOut("no")).verdict, Verdict::Fine);
        assert_eq!(
            judge(&Outcome::Failed("no".to_owned())).verdict,
            Verdict::Broken
        );
    }
}
