//! `firefly logs`: what a project's container prints.
//!
//! Whoever follows comes back behind the last line when the connection breaks, as it does when Firefly is started anew. That one
//! container has taken the place of another is seen by the opening that lines are of.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::anyhow;
use reqwest::Response;
use serde_json::Value;

use super::api::Api;
use super::{resolve, text};
use crate::args::Logs;
use crate::exit::Refused;
use crate::output::{self, OutputLost};

/// Bytes of a line that are waited for; the server cuts texts at 8 KiB, of which JSON makes six times as much at the most.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// How often one interruption is met by asking again; with the waits between, this gives a restart 15 seconds.
const RESUMES_MAX: u32 = 5;

/// The wait before the first of them; it doubles each time.
const RESUME_WAIT: Duration = Duration::from_millis(500);

pub async fn run(args: Logs) -> anyhow::Result<ExitCode> {
    let mut api = Api::connect(&args.target.client).await?;
    let key = resolve(&mut api, &args.target.project).await?;
    let mut shown = Shown {
        json: args.target.client.json,
        last: None,
        generation: None,
    };
    let mut resumes = 0;
    loop {
        let before = shown.last.clone();
        let failure = match ask(&mut api, &key, &args, before.as_deref()).await {
            Ok(response) => shown.show(response).await?,
            Err(error) if !args.follow || error.downcast_ref::<Refused>().is_some() => {
                return Err(error);
            }
            Err(error) => Some(error),
        };
        if shown.last != before {
            resumes = 0;
        }
        match failure {
            Some(error) if !args.follow || resumes == RESUMES_MAX => return Err(error),
            None if !args.follow => return Ok(ExitCode::SUCCESS),
            None if resumes == RESUMES_MAX => {
                return Err(anyhow!("Firefly ended the connection again and again"));
            }
            _ => {}
        }
        tokio::time::sleep(RESUME_WAIT * 2_u32.pow(resumes)).await;
        resumes += 1;
    }
}

async fn ask(
    api: &mut Api,
    key: &str,
    args: &Logs,
    last: Option<&str>,
) -> anyhow::Result<Response> {
    // What was asked for at first were the last of the lines that there were then.
    let tail = args.tail.filter(|_| last.is_none());
    let tail = tail.map(|tail| tail.to_string());
    let query = [
        ("follow", args.follow.then_some("true")),
        ("tail", tail.as_deref()),
        ("after", last),
    ];
    api.stream(&format!("projects/{key}/logs"), &query).await
}

/// What was shown.
struct Shown {
    json: bool,
    /// The time of the last line.
    last: Option<String>,
    /// The opening whose container it was of.
    generation: Option<u64>,
}

impl Shown {
    /// Shows lines as they come; answers why they broke off, if they did.
    async fn show(&mut self, mut response: Response) -> Result<Option<anyhow::Error>, OutputLost> {
        let mut read = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => read.extend_from_slice(&chunk),
                Ok(None) => return Ok(None),
                Err(error) => {
                    let error = anyhow::Error::new(error);
                    return Ok(Some(
                        error.context("Firefly broke off in the middle of the output"),
                    ));
                }
            }
            while let Some(end) = read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = read.drain(..=end).collect();
                // An empty line says that nothing was printed for a while.
                if let Ok(line) = serde_json::from_slice(&line) {
                    self.line(&line)?;
                }
            }
            if read.len() > LINE_BYTES_MAX {
                return Ok(Some(anyhow!("Firefly sent a line that does not end")));
            }
        }
    }

    fn line(&mut self, line: &Value) -> Result<(), OutputLost> {
        let generation = line["generation"].as_u64();
        let before = std::mem::replace(&mut self.generation, generation);
        self.last = Some(text(line, "time").to_owned());
        if self.json {
            return output::json(line);
        }
        if let (Some(_), Some(generation)) = (before.filter(|_| before != generation), generation) {
            output::line(&format!("-------- the container of opening {generation}"))?;
        }
        output::line(&said(line))
    }
}

/// A line with its time in UTC, to the second, and who printed it.
fn said(line: &Value) -> String {
    let time = text(line, "time").get(11..19).unwrap_or_default();
    let said = format!("{time} {:<6} {}", text(line, "stream"), text(line, "text"));
    said.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_begins_with_its_time_and_its_program() {
        let line = json!({
            "time": "2026-01-02T12:03:04.000000006Z", "generation": 1, "stream": "npm", "text": "added 212 packages in 3s",
        });
        assert_eq!(said(&line), "12:03:04 npm    added 212 packages in 3s");
    }
}
