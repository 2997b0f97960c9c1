//! Firefly in one binary: `up` for everything at once, the project-server for containers, and the client.
//!
//! Nothing is decided here. `up` wires the services together, `log` works on the event log itself, the rest talks to a
//! running Firefly over HTTP.

mod args;
mod client;
mod doctor;
mod documents;
mod exit;
mod log;
mod output;
mod project_server;
mod telemetry;
mod up;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};

fn main() -> ExitCode {
    // In a project's container the same program goes by another name.
    if let Some(arguments) = project_server::called_by_name() {
        return project_server::main(arguments);
    }
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return exit::usage(&error),
    };
    match args.command {
        Command::ProjectServer { arguments } => project_server::main(arguments),
        Command::Up(up) => with(up.json, || up::main(up)),
        Command::Open(open) => with(open.client.json, || client::run(client::open(open))),
        Command::Close(target) => with(target.client.json, || client::run(client::close(target))),
        Command::Restart(target) => {
            with(target.client.json, || client::run(client::restart(target)))
        }
        Command::Delete(delete) => with(delete.target.client.json, || {
            client::run(client::delete(delete))
        }),
        Command::Projects(list) => with(list.client.json, || client::run(client::projects(list))),
        Command::History(history) => {
            with(history.json(), || client::run(client::history(*history)))
        }
        Command::Containers(list) => with(list.client.json, || {
            client::run(client::containers::run(list))
        }),
        Command::Logs(logs) => with(logs.target.client.json, || {
            client::run(client::logs::run(logs))
        }),
        Command::Doctor(doctor) => with(doctor.up.json, || doctor::main(*doctor)),
        Command::Projections(args) => with(args.client().json, || {
            client::run(client::projections::run(args))
        }),
        Command::Log(log) => with(log.json(), || log::main(log)),
    }
}

/// Runs a command and ends as it did.
fn with(json: bool, command: impl FnOnce() -> anyhow::Result<ExitCode>) -> ExitCode {
    exit::code(command(), json)
}
