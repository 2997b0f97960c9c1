//! Moments of the log, as requests name them: a position, a time, or a revision of a project.
//!
//! A time is found by halves, not by reading the log from its beginning: no event was recorded earlier than the one
//! before it.

mod search;

use chrono::{DateTime, NaiveDateTime, SecondsFormat, Utc};
use firefly_event_store::{
    Error as LogError, EventStore, Position, RecordedEvent, Revision, StreamId,
};
use firefly_web::Problem;
use http::StatusCode;

use crate::App;
use crate::error::Error;

pub use search::Search;

/// Events read at a time where a time cannot be found by halves.
const PAGE_EVENTS: usize = 512;

/// A moment that somebody asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// After the event at this position.
    Position(Position),
    /// After everything that was recorded by then.
    Time(DateTime<Utc>),
    /// After this event of the project.
    Revision(Revision),
}

impl Asked {
    /// Reads the value of a parameter.
    ///
    /// # Errors
    ///
    /// 400: it names no moment.
    pub fn parse(parameter: &str, text: &str) -> Result<Self, Problem> {
        let asked = match text.strip_prefix("rev-") {
            Some(revision) => number(revision).map(|number| Self::Revision(Revision::new(number))),
            None => number(text)
                .map(|number| Self::Position(Position::new(number)))
                .or_else(|| time(text).map(Self::Time)),
        };
        asked.ok_or_else(|| {
            Problem::malformed(format!(
                "{parameter} takes a position such as 7, a time such as 2026-11-24T10:00:00Z, or where it is about one \
                 project a revision such as rev-3, not {text:?}"
            ))
        })
    }
}

fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// A time of RFC 3339, or one in UTC as `firefly history` prints it.
fn time(text: &str) -> Option<DateTime<Utc>> {
    // In a URL, a plus sign that is not encoded means a space.
    let restored = if text.contains('T') {
        text.replace(' ', "+")
    } else {
        text.to_owned()
    };
    let time = DateTime::parse_from_rfc3339(&restored).map(|time| time.to_utc());
    let printed = || NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f");
    time.or_else(|_| printed().map(|time| time.and_utc())).ok()
}

impl App {
    /// The position of the last event of a moment of the whole log.
    ///
    /// # Errors
    ///
    /// 400: it is before the first event, in the future, or of one project.
    pub async fn moment(&self, asked: Asked) -> Result<Position, Error> {
        let position = match asked {
            Asked::Position(position) => {
                self.has_position(position)?;
                position
            }
            Asked::Time(time) if time > Utc::now() => return Err(in_future(time).into()),
            Asked::Time(time) => self.last_until(|recorded| recorded <= time).await?,
            Asked::Revision(_) => return Err(of_one_project().into()),
        };
        if position == Position::START {
            return Err(self.before_beginning().await?.into());
        }
        Ok(position)
    }

    /// The same, where the moment may be named by a revision of a stream.
    pub async fn moment_of(&self, stream: &StreamId, asked: Asked) -> Result<Position, Error> {
        let Asked::Revision(revision) = asked else {
            return self.moment(asked).await;
        };
        let found = self.store.read_stream(stream, revision, 1).await;
        let found = found.map_err(|error| Error::log(&error))?;
        match found.first() {
            Some(event) => Ok(event.position),
            None => {
                let detail =
                    format!("it has no revision {revision} yet; its history shows those it has");
                Err(Problem::new(StatusCode::BAD_REQUEST, "revision-unknown", detail).into())
            }
        }
    }

    /// The position of the last event that was recorded at such a time; all up to it were, and none behind it.
    pub async fn last_until(
        &self,
        satisfies: impl Fn(DateTime<Utc>) -> bool + Send + Sync,
    ) -> Result<Position, Error> {
        let head = *self.store.head().borrow();
        let mut search = Search::up_to(head.number());
        while let Some(asked) = search.question() {
            let next = match self.store.read_all(Position::new(asked), 1).await {
                Ok(page) => page.into_iter().next(),
                // Some servers take only positions that they have given themselves.
                Err(LogError::Engine { .. }) => {
                    let known = Position::new(search.found());
                    let found = one_by_one(&*self.store, known, satisfies).await;
                    return found.map_err(|error| Error::log(&error));
                }
                Err(error) => return Err(Error::log(&error)),
            };
            let next = next.map(|event| (event.position.number(), satisfies(event.recorded_at)));
            search.learn(asked, next);
        }
        Ok(Position::new(search.found()))
    }

    async fn before_beginning(&self) -> Result<Problem, Error> {
        let first = self.store.read_all(Position::START, 1).await;
        let first = first.map_err(|error| Error::log(&error))?;
        let detail = match first.first() {
            Some(first) => format!(
                "history begins at position {} on {}, and this is before that",
                first.position,
                shown(first.recorded_at)
            ),
            None => "history has not begun yet: the log is empty".to_owned(),
        };
        Ok(Problem::new(
            StatusCode::BAD_REQUEST,
            "moment-before-beginning",
            detail,
        ))
    }
}

/// What [`App::last_until`] finds, by reading on from a position that the log has.
async fn one_by_one(
    store: &dyn EventStore,
    mut reached: Position,
    satisfies: impl Fn(DateTime<Utc>) -> bool + Send + Sync,
) -> Result<Position, LogError> {
    loop {
        let page = store.read_all(reached, PAGE_EVENTS).await?;
        let is_within = |event: &&RecordedEvent| satisfies(event.recorded_at);
        let within = page.iter().take_while(is_within).count();
        if let Some(last) = within.checked_sub(1) {
            reached = page[last].position;
        }
        if within < PAGE_EVENTS {
            return Ok(reached);
        }
    }
}

/// A time as answers have it.
pub fn shown(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

fn in_future(time: DateTime<Utc>) -> Problem {
    let detail = format!(
        "{} is in the future; ask for a time that has been, or leave it out for now",
        shown(time)
    );
    Problem::new(StatusCode::BAD_REQUEST, "moment-in-future", detail)
}

fn of_one_project() -> Problem {
    Problem::malformed(
        "a revision counts the events of one project; here, give a position or a time",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<Asked> {
        Asked::parse("at", text).ok()
    }

    #[test]
    fn a_moment_is_a_position_a_revision_or_a_time() {
        assert_eq!(parsed("7"), Some(Asked::Position(Position::new(7))));
        assert_eq!(parsed("rev-3"), Some(Asked::Revision(Revision::new(3))));
        let noon = DateTime::parse_from_rfc3339("2026-11-24T12:00:00Z").unwrap();
        for text in [
            "2026-11-24T12:00:00Z",
            "2026-11-24T13:00:00+01:00",
            "2026-11-24T13:00:00 01:00",
            "2026-11-24 12:00:00",
            "2026-11-24 12:00:00.000",
        ] {
            assert_eq!(parsed(text), Some(Asked::Time(noon.to_utc())), "{text}");
        }
    }

    #[test]
    fn nothing_else_names_a_moment() {
        for text in [
            "",
            "-1",
            "+1",
            "1.5",
            "rev-",
            "rev--1",
            "rev-x",
            "yesterday",
            "2026-11-24",
            "2026-13-24T12:00:00Z",
            "99999999999999999999999",
        ] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }
}
