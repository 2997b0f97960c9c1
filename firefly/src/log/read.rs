//! Events to look at.

use std::process::ExitCode;
use std::sync::Arc;

use firefly_event_store::transfer::PAGE_EVENTS;
use firefly_event_store::{EventStore, Position, RecordedEvent, Revision, StreamId, follow};
use futures::StreamExt;

use super::show;
use crate::args::log::{Read, Tail};

/// Shows a stream or the whole log, in either direction.
pub async fn read(args: Read) -> anyhow::Result<ExitCode> {
    let store = super::open(&super::url(&args.log)?).await?;
    let log = store.id();
    let after = Position::new(args.after);
    let mut pages = Pages {
        store: &*store,
        stream: args.stream.map(StreamId::from_stored),
        after,
        backward: args.backward,
        last: None,
    };
    let mut left = args.limit.unwrap_or(u64::MAX);
    while left > 0 {
        let limit = usize::try_from(left).unwrap_or(usize::MAX).min(PAGE_EVENTS);
        let page = pages.next(limit).await?;
        if page.is_empty() {
            break;
        }
        for event in &page {
            // In a stream, those before the position come first; backward, they end it.
            if event.position <= after {
                if args.backward {
                    return Ok(ExitCode::SUCCESS);
                }
                continue;
            }
            show::event(event, &log, args.log.json)?;
            left -= 1;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads on from where the last page ended.
struct Pages<'a> {
    store: &'a dyn EventStore,
    stream: Option<StreamId>,
    after: Position,
    backward: bool,
    last: Option<(Position, Revision)>,
}

impl Pages<'_> {
    async fn next(&mut self, limit: usize) -> anyhow::Result<Vec<RecordedEvent>> {
        let position = self.last.map(|(position, _)| position);
        let revision = self.last.map(|(_, revision)| revision);
        let page = match (&self.stream, self.backward) {
            (None, false) => {
                let after = position.unwrap_or(self.after);
                self.store.read_all(after, limit).await
            }
            (None, true) => self.store.read_all_back(position, limit).await,
            (Some(stream), false) => {
                let from = revision.map_or(Revision::FIRST, Revision::next);
                self.store.read_stream(stream, from, limit).await
            }
            (Some(stream), true) => self.store.read_stream_back(stream, revision, limit).await,
        }?;
        if let Some(last) = page.last() {
            self.last = Some((last.position, last.revision));
        }
        Ok(page)
    }
}

/// Shows the last events and, if asked, those that come.
pub async fn tail(args: Tail) -> anyhow::Result<ExitCode> {
    let store = super::open(&super::url(&args.log)?).await?;
    let log = store.id();
    let lines = usize::try_from(args.lines).unwrap_or(usize::MAX);
    let mut reached = *store.head().borrow();
    if lines > 0 {
        let mut last = store.read_all_back(None, lines).await?;
        last.reverse();
        for event in &last {
            show::event(event, &log, args.log.json)?;
            reached = event.position;
        }
    }
    if !args.follow {
        return Ok(ExitCode::SUCCESS);
    }
    let mut pages = std::pin::pin!(follow(Arc::clone(&store), reached));
    loop {
        let page = tokio::select! {
            page = pages.next() => page,
            signal = tokio::signal::ctrl_c() => {
                signal?;
                None
            }
        };
        let Some(page) = page else {
            return Ok(ExitCode::SUCCESS);
        };
        for event in &page? {
            show::event(event, &log, args.log.json)?;
        }
    }
}
