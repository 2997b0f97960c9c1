//! What a container printed, as the engine keeps it: two files of a megabyte, the older one of which is overwritten.
//!
//! The engine ends a stream that follows where files are changed over, where it restarts, and at the end of the container, and
//! does not say which. So whoever follows looks whether the container runs on, and if so asks again from the last second that was
//! read; once it has ended, too, for what may have come in between. The engine repeats lines then, and wherever it changes files over; [`Seen`] knows them. Lines that are
//! overwritten before they are read are lost.

mod frames;
mod seen;

use std::time::Duration;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::errors::Error as CallError;
use bollard::query_parameters::{InspectContainerOptions, LogsOptions, LogsOptionsBuilder};
use futures::StreamExt;
use futures::stream::{self, BoxStream};

use super::super::logs::{LogLine, LogOptions};
use super::call::{Attempt, Error};
use frames::{Frames, Printed};
use seen::Seen;

/// How often in a row a stream that brought nothing is taken up again.
const RESUMES_MAX: u32 = 5;

/// The pause before it is, doubled each time.
const RESUME_PAUSE: Duration = Duration::from_millis(200);

/// The lines of a container that are wanted.
pub(super) fn read(
    docker: Docker,
    id: String,
    options: LogOptions,
) -> BoxStream<'static, Result<LogLine, Error>> {
    let reader = Reader {
        docker,
        id,
        options,
        output: None,
        frames: Frames::default(),
        seen: Seen::default(),
        resumes: 0,
        stage: Stage::Beginning,
    };
    stream::unfold(reader, |mut reader| async move {
        let line = reader.next().await?;
        if line.is_err() {
            reader.stage = Stage::Over;
        }
        Some((line, reader))
    })
    .boxed()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The lines that there are, and those that come if they are followed.
    Beginning,
    /// Those behind what was seen.
    GoingOn,
    /// The container has ended: what it printed at last.
    LastLook,
    Over,
}

struct Reader {
    docker: Docker,
    id: String,
    options: LogOptions,
    output: Option<BoxStream<'static, Result<LogOutput, CallError>>>,
    frames: Frames,
    seen: Seen,
    /// How often it was taken up since the last line.
    resumes: u32,
    stage: Stage,
}

impl Reader {
    async fn next(&mut self) -> Option<Result<LogLine, Error>> {
        loop {
            if self.stage == Stage::Over {
                return None;
            }
            let output = self.output.get_or_insert_with(|| {
                let options = asked(self.stage, self.options, &self.seen);
                self.docker.logs(&self.id, Some(options)).boxed()
            });
            match output.next().await {
                Some(Ok(output)) => {
                    let printed = self.frames.take(&output);
                    if let Some(line) = printed.and_then(|printed| self.wanted(&printed)) {
                        self.resumes = 0;
                        return Some(Ok(line));
                    }
                }
                Some(Err(CallError::DockerResponseServerError {
                    status_code: 404, ..
                })) => self.stage = Stage::Over,
                ended => {
                    let error = ended.and_then(Result::err);
                    if let Err(error) = self.go_on(error).await {
                        return Some(Err(error));
                    }
                }
            }
        }
    }

    /// The line, if it is new and not too old.
    fn wanted(&mut self, printed: &Printed) -> Option<LogLine> {
        let is_new = self.seen.is_new(printed.time, printed.stderr);
        let is_late_enough = self.options.after.is_none_or(|after| printed.time > after);
        (is_new && is_late_enough).then(|| printed.line())
    }

    /// Decides what comes behind the end of a stream.
    async fn go_on(&mut self, error: Option<CallError>) -> Result<(), Error> {
        self.output = None;
        self.frames = Frames::default();
        if !self.options.follow || self.stage == Stage::LastLook {
            self.stage = Stage::Over;
            return match error {
                Some(error) => Err(Error::call("read the output of", &self.id, error)),
                None => Ok(()),
            };
        }
        if let Some(error) = error
            && self.resumes == RESUMES_MAX
        {
            return Err(Error::call("follow the output of", &self.id, error));
        }
        if runs(&self.docker, &self.id).await? {
            self.stage = Stage::GoingOn;
            let pause = RESUME_PAUSE * 2_u32.pow(self.resumes);
            self.resumes = (self.resumes + 1).min(RESUMES_MAX);
            tokio::time::sleep(pause).await;
        } else {
            self.stage = Stage::LastLook;
        }
        Ok(())
    }
}

/// Whether a container has not ended.
async fn runs(docker: &Docker, id: &str) -> Result<bool, Error> {
    let options = None::<InspectContainerOptions>;
    match Attempt::of(docker.inspect_container(id, options).await) {
        Attempt::Done(found) => Ok(found.state.and_then(|state| state.running) == Some(true)),
        Attempt::Refused { status: 404, .. } => Ok(false),
        other => Err(other.into_error("inspect the container", id)),
    }
}

/// What the engine is asked for. It knows seconds only, so the rest is left out here.
fn asked(stage: Stage, options: LogOptions, seen: &Seen) -> LogsOptions {
    let first = stage == Stage::Beginning;
    let since = if first {
        options.after
    } else {
        seen.reached().or(options.after)
    };
    let since = since.map_or(0, |time| {
        i32::try_from(time.timestamp().max(0)).unwrap_or(i32::MAX)
    });
    let tail = match options.tail {
        // What was asked for at first were the last of the lines there were then; if there was none, all are new.
        Some(tail) if first || seen.reached().is_none() => tail.to_string(),
        _ => "all".to_owned(),
    };
    LogsOptionsBuilder::default()
        .follow(options.follow && stage != Stage::LastLook)
        .stdout(true)
        .stderr(true)
        .timestamps(true)
        .since(since)
        .tail(&tail)
        .build()
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;

    #[test]
    fn only_the_first_question_is_for_the_tail_and_later_ones_go_on_from_what_was_seen() {
        let options = LogOptions {
            follow: true,
            tail: Some(7),
            after: None,
        };
        let mut seen = Seen::default();
        let first = asked(Stage::Beginning, options, &seen);
        assert_eq!(
            (first.tail.as_str(), first.since, first.follow),
            ("7", 0, true)
        );
        seen.is_new(DateTime::<Utc>::from_timestamp(9, 5).unwrap(), false);
        let next = asked(Stage::GoingOn, options, &seen);
        assert_eq!(
            (next.tail.as_str(), next.since, next.follow),
            ("all", 9, true)
        );
        let last = asked(Stage::LastLook, options, &seen);
        assert_eq!(
            (last.tail.as_str(), last.since, last.follow),
            ("all", 9, false)
        );
    }
}
