//! `firefly doctor`: whether all is there that Firefly needs, told so that a person can mend it.
//!
//! Each check gathers facts, which may fail and take time, and judges them by a pure function. It looks and changes nothing, but
//! for a container of its own that it makes and removes, and the project image for it if only the last layer of that is missing. What it looks at is what `firefly up` would use with the same arguments.

mod check;
mod container;
mod engine;
mod installation;
mod machine;
mod running;
mod store;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use firefly_reactor::runtime::Preference;
use firefly_reactor::runtime::choice::Kind;
use serde_json::json;

use crate::args::{Doctor, Up};
use crate::output;
use check::{Check, exit_code, sum};
use installation::Installation;

/// What the checks look at.
struct Patient {
    up: Up,
    quick: bool,
    installation: Installation,
}

impl Patient {
    /// Whether projects run in Docker, or would with the next start.
    fn needs_docker(&self) -> bool {
        match self.up.runtime {
            Preference::Docker => true,
            Preference::Process => false,
            Preference::Auto => self.installation.last_runtime == Some(Kind::Docker),
        }
    }

    fn may_use_docker(&self) -> bool {
        self.up.runtime != Preference::Process
    }

    fn data_dir(&self) -> &PathBuf {
        &self.up.data_dir
    }
}

pub fn main(args: Doctor) -> anyhow::Result<ExitCode> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start")?
        .block_on(run(args))
}

async fn run(args: Doctor) -> anyhow::Result<ExitCode> {
    let installation = Installation::look(&args.up.data_dir);
    let patient = Patient {
        up: args.up,
        quick: args.quick,
        installation,
    };
    let mut told = Told {
        json: patient.up.json,
        checks: Vec::new(),
    };
    let running = running::look(&patient.up).await;
    told.tell(running.checks())?;
    told.tell(installation::checks(&patient, &running))?;
    told.tell(machine::checks(&patient))?;
    told.tell(store::checks(&patient, &running).await)?;
    let engine = engine::look(&patient).await;
    told.tell(engine::checks(&patient, &engine))?;
    told.tell(container::checks(&patient, &engine).await)?;
    told.end()
}

/// The checks that were made, each told as soon as it is.
struct Told {
    json: bool,
    checks: Vec<Check>,
}

impl Told {
    fn tell(&mut self, checks: Vec<Check>) -> anyhow::Result<()> {
        for check in checks {
            if self.json {
                output::json(&check.json())?;
            } else {
                output::line(&check.shown())?;
            }
            self.checks.push(check);
        }
        Ok(())
    }

    fn end(self) -> anyhow::Result<ExitCode> {
        let sum = sum(&self.checks);
        if self.json {
            output::json(&json!({"type": "done", "text": sum}))?;
        } else {
            output::line(&sum)?;
        }
        Ok(exit_code(&self.checks))
    }
}
