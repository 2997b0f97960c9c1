//! The client: each command asks a running Firefly over HTTP, and follows what comes of it on the live socket.

mod api;
mod bars;
pub mod containers;
mod follow;
mod history;
pub mod logs;
pub mod projections;
mod token;

use std::io::ErrorKind;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use serde_json::{Value, json};

use crate::{args, output};
use api::Api;
use follow::{End, Follower, Seen};

pub use history::run as history;

/// Runs a command of the client on a small runtime of its own.
pub fn run(command: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start")?
        .block_on(command)
}

/// Opens a project and waits until its preview is ready, or has failed.
pub async fn open(args: args::Open) -> anyhow::Result<ExitCode> {
    let source = absolute(&args.source)?;
    let mut api = Api::connect(&args.client).await?;
    let mut follower = Follower::connect(&api, args.client.json).await?;
    let answer = api
        .post(
            "projects/open",
            json!({"source": source, "branch": args.branch}),
        )
        .await?;
    follower.until(&answer, opened).await
}

/// Closes a project and waits until its container is gone.
pub async fn close(args: args::Target) -> anyhow::Result<ExitCode> {
    command(
        &args,
        "close",
        json!({}),
        |seen| match seen.project["state"].as_str() {
            Some("closed") => Some(End::success("closed; its workspace is kept")),
            Some("deleted") => Some(End::success("deleted")),
            _ => None,
        },
    )
    .await
}

/// Gives a project a new container and waits until its preview is ready.
pub async fn restart(args: args::Target) -> anyhow::Result<ExitCode> {
    command(&args, "restart", json!({}), opened).await
}

/// Deletes a project and waits until its workspace is gone, or is kept after all.
pub async fn delete(args: args::Delete) -> anyhow::Result<ExitCode> {
    command(
        &args.target,
        "delete",
        json!({"force": args.force}),
        deleted,
    )
    .await
}

/// Lists the projects.
pub async fn projects(args: args::Projects) -> anyhow::Result<ExitCode> {
    let mut api = Api::connect(&args.client).await?;
    let query = [("at", args.at.as_deref())];
    let answer = api.get_with("projects", &query).await?;
    let projects = answer["projects"]
        .as_array()
        .context("the answer has no projects")?;
    for project in projects {
        if args.client.json {
            output::json(project)?;
        } else {
            output::line(&format!(
                "{:<9} {:<40} {}",
                text(project, "state"),
                text(project, "key"),
                below(&remark(project), 51)
            ))?;
        }
    }
    if projects.is_empty() && !args.client.json {
        output::line(match args.at {
            None => "no projects; open one with: firefly open template:starter",
            Some(_) => "there were no projects then",
        })?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn command(
    args: &args::Target,
    name: &str,
    body: Value,
    end: impl Fn(&Seen<'_>) -> Option<End>,
) -> anyhow::Result<ExitCode> {
    let mut api = Api::connect(&args.client).await?;
    let key = resolve(&mut api, &args.project).await?;
    let mut follower = Follower::connect(&api, args.client.json).await?;
    let answer = api.post(&format!("projects/{key}/{name}"), body).await?;
    follower.until(&answer, end).await
}

fn opened(seen: &Seen<'_>) -> Option<End> {
    let project = seen.project;
    match project["state"].as_str()? {
        "ready" => Some(End::success(text(project, "preview_url"))),
        "failed" => Some(End::failure(text(&project["failure"], "detail"))),
        "closed" if text(project, "closed_reason") == "crashed" => {
            Some(End::failure(&match seen.exit {
                Some(how) => format!("its container ended: {how}"),
                None => "its container ended unexpectedly".to_owned(),
            }))
        }
        "closed" => Some(End::failure("it was closed in the meantime")),
        "deleted" => Some(End::failure("it was deleted in the meantime")),
        _ => None,
    }
}

fn deleted(seen: &Seen<'_>) -> Option<End> {
    match seen.project["state"].as_str()? {
        "deleted" => Some(End::success("deleted")),
        "closed" => Some(End::failure(&match seen.kept {
            Some(kept) if kept["data"]["detail"].is_null() => {
                format!("{}; --force deletes it", text(kept, "summary"))
            }
            Some(kept) => text(kept, "summary").to_owned(),
            None => "not deleted; its history tells why".to_owned(),
        })),
        _ => None,
    }
}

/// The project that a person means: by its names, its last two names, or its source.
async fn resolve(api: &mut Api, named: &str) -> anyhow::Result<String> {
    let parts = named.split('/').filter(|part| !part.is_empty()).count();
    if !named.contains(':') && !named.starts_with(['/', '.']) {
        match parts {
            3 => return Ok(named.trim_matches('/').to_owned()),
            2 => return Ok(format!("{}/{}", api.user(), named.trim_matches('/'))),
            _ => {}
        }
    }
    // A project outlives the directory that it was opened from.
    let source = absolute(named).unwrap_or_else(|_| named.to_owned());
    let projects = api.get("projects").await?;
    let found = projects["projects"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|project| text(project, "source") == source);
    match found {
        Some(project) => Ok(text(project, "key").to_owned()),
        None => bail!(
            "no project is called {named} or was opened from it; `firefly projects` lists them"
        ),
    }
}

/// Paths go to the server as it sees them; everything else goes as it is.
fn absolute(source: &str) -> anyhow::Result<String> {
    if is_two_names(source) && Path::new(source).is_dir() {
        bail!(
            "{source} is a directory here, and may be a repository on GitHub; say ./{source} for the one, \
             https://github.com/{source} for the other"
        );
    }
    if !source.starts_with(['/', '.']) || source.contains(':') {
        return Ok(source.to_owned());
    }
    match std::fs::canonicalize(source) {
        Ok(absolute) => Ok(absolute.to_string_lossy().into_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            bail!("there is no directory {source}")
        }
        Err(error) => Err(error).with_context(|| format!("cannot open {source}")),
    }
}

/// Whether a text looks like owner/repo.
fn is_two_names(text: &str) -> bool {
    !text.starts_with(['/', '.'])
        && !text.contains(':')
        && text.split('/').filter(|part| !part.is_empty()).count() == 2
}

fn remark(project: &Value) -> String {
    match text(project, "state") {
        "ready" => text(project, "preview_url").to_owned(),
        "opening" => format!("at {}", text(project, "step")),
        "failed" => text(&project["failure"], "detail").to_owned(),
        _ => match (
            project["unsaved"]["files"].as_u64(),
            project["unsaved"]["commits"].as_u64(),
        ) {
            (Some(0), Some(0)) => String::new(),
            (files, commits) => format!(
                "unsaved: {}, {}",
                count(files.unwrap_or_default(), "file"),
                count(commits.unwrap_or_default(), "commit")
            ),
        },
    }
}

/// A text of several lines, the later ones below the first in a column.
fn below(text: &str, column: usize) -> String {
    text.replace('\n', &format!("\n{:column$}", ""))
}

/// A number of things.
pub fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(project: &Value, exit: Option<&str>) -> String {
        let seen = Seen {
            project,
            exit,
            kept: None,
        };
        opened(&seen).unwrap().text().to_owned()
    }

    #[test]
    fn a_crash_during_an_opening_is_told_as_one() {
        let crashed = json!({"state": "closed", "closed_reason": "crashed"});
        assert_eq!(
            said(&crashed, Some("container ran out of memory")),
            "its container ended: container ran out of memory"
        );
        assert_eq!(said(&crashed, None), "its container ended unexpectedly");
        let closed = json!({"state": "closed", "closed_reason": "user"});
        assert_eq!(
            said(&closed, Some("container crashed")),
            "it was closed in the meantime"
        );
    }

    #[test]
    fn a_path_must_be_there_and_everything_else_goes_as_it_is() {
        let error = absolute("./missing").unwrap_err().to_string();
        assert_eq!(error, "there is no directory ./missing");
        assert!(absolute(".").unwrap().starts_with('/'));
        for source in ["owner/repo", "template:starter", "https://host/a/b"] {
            assert_eq!(absolute(source).unwrap(), source);
        }
    }

    #[test]
    fn a_directory_that_reads_like_a_repository_on_github_is_asked_about() {
        // Tests run in the directory of their package.
        let error = absolute("src/client").unwrap_err().to_string();
        for way in ["./src/client", "https://github.com/src/client"] {
            assert!(error.contains(way), "{error}");
        }
        assert!(absolute("./src/client").unwrap().starts_with('/'));
        assert_eq!(absolute("src/clients").unwrap(), "src/clients");
    }
}
