//! Appends events of another log in their order.
//!
//! The log's one writer takes appends in the order in which they are handed to it, into as few commits as it can. So the
//! appends of a page are all handed over, one after the other, before the first is waited for. Whatever ends the process,
//! what is there is the beginning of the page.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use futures::future::{MaybeDone, maybe_done};

use super::lines::Line;
use super::{Error, Which};
use crate::event::{NewEvent, Revision, StreamId};
use crate::store::{self, EventStore, Expected};

/// Events of one stream that follow each other without another's in between: one append.
#[derive(Debug)]
struct Run {
    stream: StreamId,
    expected: Expected,
    events: Vec<NewEvent>,
}

/// Appends a page; when it returns, all of it is durable.
///
/// # Errors
///
/// The log failed; then the beginning of the page may be there, or, as [`Error::Torn`] says, also something behind a gap.
pub(super) async fn in_order(store: &dyn EventStore, page: Vec<Line>) -> Result<(), Error> {
    let runs = runs(page);
    let mut appends: Vec<_> = runs
        .into_iter()
        .map(|run| {
            Box::pin(maybe_done(async move {
                store.append(&run.stream, run.expected, run.events).await
            }))
        })
        .collect();
    poll_fn(|context| {
        // Always from the first on, so that none overtakes another on its way to the writer.
        let waiting = appends
            .iter_mut()
            .map(|append| append.as_mut().poll(context).is_pending())
            .fold(false, |any, pending| any | pending);
        if waiting {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    })
    .await;
    judge(appends.iter_mut().filter_map(outcome))
}

fn outcome<F>(append: &mut Pin<Box<MaybeDone<F>>>) -> Option<Result<(), store::Error>>
where
    F: Future<Output = Result<store::Appended, store::Error>>,
{
    append
        .as_mut()
        .take_output()
        .map(|outcome| outcome.map(|_| ()))
}

fn judge(outcomes: impl Iterator<Item = Result<(), store::Error>>) -> Result<(), Error> {
    let mut first = None;
    for outcome in outcomes {
        match (first.take(), outcome) {
            (None, Ok(())) => {}
            (Some(error), Ok(())) => return Err(Error::Torn(error)),
            (earlier, Err(error)) => first = Some(earlier.unwrap_or(error)),
        }
    }
    first.map_or(Ok(()), |error| Err(Which::Target.failed()(error)))
}

fn runs(page: Vec<Line>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for line in page {
        match runs.last_mut() {
            Some(run) if run.stream == line.stream => run.events.push(line.event),
            _ => runs.push(Run {
                stream: line.stream,
                expected: Expected::after(before(line.revision)),
                events: vec![line.event],
            }),
        }
    }
    runs
}

fn before(revision: Revision) -> Option<Revision> {
    revision.number().checked_sub(1).map(Revision::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed() -> Result<(), store::Error> {
        Err(store::Error::Closed)
    }

    #[test]
    fn a_gap_is_told_from_an_end() {
        assert!(judge([Ok(()), Ok(())].into_iter()).is_ok());
        assert!(matches!(
            judge([Ok(()), failed(), failed()].into_iter()),
            Err(Error::Log { .. })
        ));
        assert!(matches!(
            judge([Ok(()), failed(), Ok(())].into_iter()),
            Err(Error::Torn(_))
        ));
    }
}
