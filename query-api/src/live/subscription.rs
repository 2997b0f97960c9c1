//! One subscription, whatever carries it: what comes next, and when it is over.
//!
//! It begins with a snapshot, or with what the client missed. Its queue is opened only when the log is caught up with but for
//! a few pages, at a position up to which the log is read and behind which changes are queued.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use firefly_event_store::Position;
use firefly_web::Caller;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep};

use super::catch_up::{CatchUp, Step};
use super::request::Request;
use super::room::Room;
use super::scope::Scope;
use crate::App;
use crate::hub::Place;
use crate::message::{End, Message, Text};
use crate::past::Failure;

/// How long a connection may be silent before it says that it is alive; also how often access is looked at again.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15);

/// Pages of the log that a client may still be behind when its changes begin to be queued: a quarter of what the queue holds.
const PAGES_BEHIND: usize = 8;

/// What one client follows.
pub struct Subscription {
    app: App,
    caller: Caller,
    token: String,
    scope: Scope,
    place: Place,
    _room: Room,
    stage: Stage,
    /// All that concerns the client and stands up to here was handed out; none, where nothing was and it has seen nothing.
    seen: Option<Position>,
    /// When the last message was handed out.
    sent: Instant,
    /// Ends when access is to be looked at again.
    look: Pin<Box<Sleep>>,
}

enum Stage {
    /// The snapshot is due.
    Begins,
    CatchingUp(Box<CatchingUp>),
    Live,
    Over(End),
}

struct CatchingUp {
    log: CatchUp,
    until: Position,
    /// Pages that this round took.
    pages: usize,
    /// Whether changes behind `until` are queued.
    attached: bool,
}

impl Subscription {
    pub fn new(app: App, request: Request) -> Self {
        let Request {
            caller,
            token,
            scope,
            after,
            room,
        } = request;
        let place = app.hub.enter(caller.0.session, scope.topic(&caller));
        let stage = match after {
            None => Stage::Begins,
            Some(after) => {
                let log = CatchUp::new(app.clone(), &scope, &caller.0.user, after);
                Stage::CatchingUp(Box::new(CatchingUp {
                    log,
                    until: app.hub.delivered(),
                    pages: 0,
                    attached: false,
                }))
            }
        };
        Self {
            app,
            caller,
            token,
            scope,
            place,
            _room: room,
            stage,
            seen: after,
            sent: Instant::now(),
            // The session may have ended between the request and the place.
            look: Box::pin(sleep(Duration::ZERO)),
        }
    }

    /// The next message, however long it takes; none after the last.
    pub async fn next(&mut self) -> Option<Text> {
        loop {
            if matches!(self.stage, Stage::Over(_)) {
                return None;
            }
            if let Some(end) = self.place.queue.ended().or_else(|| self.look_again()) {
                return Some(self.close(end));
            }
            match self.advance().await {
                Ok(Some(text)) => return Some(self.hand_out(text)),
                Ok(None) => {}
                Err(end) => return Some(self.close(end)),
            }
            if self.sent.elapsed() >= HEARTBEAT_INTERVAL {
                let position = self.seen;
                return Some(self.hand_out(Message::Heartbeat { position }.text()));
            }
            if matches!(self.stage, Stage::Live) {
                tokio::select! {
                    () = self.place.queue.changed() => {}
                    () = self.look.as_mut() => {}
                }
            }
        }
    }

    /// The next message, if one waits already.
    pub fn ready(&mut self) -> Option<Text> {
        let is_live = matches!(self.stage, Stage::Live);
        let text = is_live.then(|| self.queued().ok().flatten()).flatten();
        text.map(|text| self.hand_out(text))
    }

    /// Why it is over, if it is.
    pub const fn end(&self) -> Option<End> {
        match self.stage {
            Stage::Over(end) => Some(end),
            Stage::Begins | Stage::CatchingUp(_) | Stage::Live => None,
        }
    }

    /// A message that can be had without waiting for something to happen, but for a turn to read the log.
    async fn advance(&mut self) -> Result<Option<Text>, End> {
        let _turn = if self.reads() {
            let Some(turn) = self.turn().await else {
                return Ok(None);
            };
            Some(turn)
        } else {
            None
        };
        match &mut self.stage {
            Stage::Begins => self.begin().await.map(Some),
            Stage::CatchingUp(_) => self.catch_up().await,
            Stage::Live => {
                // All up to here is queued by now; so where nothing waits, all of it was handed out.
                let delivered = self.app.hub.delivered();
                let text = self.queued()?;
                if text.is_none() {
                    self.seen = self.seen.max(Some(delivered));
                }
                Ok(text)
            }
            Stage::Over(end) => Err(*end),
        }
    }

    /// Whether the log is read for what comes next.
    fn reads(&self) -> bool {
        match &self.stage {
            Stage::Begins => matches!(self.scope, Scope::Session { .. }),
            Stage::CatchingUp(catching_up) => catching_up.log.reads(catching_up.until),
            Stage::Live | Stage::Over(_) => false,
        }
    }

    /// A turn to read the log; none, if something else is due before it comes.
    async fn turn(&mut self) -> Option<OwnedSemaphorePermit> {
        let turns = Arc::clone(&self.app.catch_ups);
        if self.sent.elapsed() >= HEARTBEAT_INTERVAL {
            return turns.try_acquire_owned().ok();
        }
        tokio::select! {
            biased;
            turn = turns.acquire_owned() => turn.ok(),
            () = self.place.queue.changed() => None,
            () = self.look.as_mut() => None,
        }
    }

    /// The next message of the queue. All of them stand behind what was handed out before.
    fn queued(&mut self) -> Result<Option<Text>, End> {
        let text = self.place.queue.take()?;
        if let Some(position) = text.as_ref().and_then(|text| text.position) {
            self.seen = Some(position);
        }
        Ok(text)
    }

    async fn begin(&mut self) -> Result<Text, End> {
        let (position, projects) = self.place.attach_with_projects()?;
        let mut sessions = Vec::new();
        if let (Scope::Session { .. }, Some(stream)) = (&self.scope, self.scope.stream()) {
            let folded = self.app.session_fold_at(&stream, position).await;
            let folded = folded.map_err(failed)?;
            sessions.extend(folded.view());
            self.place.leave_session(folded);
        }
        self.seen = Some(position);
        self.stage = Stage::Live;
        let snapshot = Message::Snapshot {
            position,
            projects: &projects,
            sessions: &sessions,
        };
        Ok(snapshot.text())
    }

    async fn catch_up(&mut self) -> Result<Option<Text>, End> {
        let Stage::CatchingUp(catching_up) = &mut self.stage else {
            return Ok(None);
        };
        let step = catching_up.log.step(catching_up.until).await;
        self.seen = Some(catching_up.log.reached());
        match step.map_err(failed)? {
            Step::Message(text) => return Ok(Some(text)),
            Step::PassedOver => {}
            Step::Page => catching_up.pages += 1,
            Step::Over if catching_up.attached => {
                if let Some(folded) = catching_up.log.take_session() {
                    self.place.leave_session(folded);
                }
                self.stage = Stage::Live;
            }
            Step::Over => {
                // A long round is followed by another one, so that the queue has to hold little.
                if catching_up.pages > PAGES_BEHIND {
                    catching_up.until = self.app.hub.delivered();
                } else {
                    catching_up.until = self.place.attach();
                    catching_up.attached = true;
                }
                catching_up.pages = 0;
            }
        }
        Ok(None)
    }

    /// Looks at access when that is due.
    fn look_again(&mut self) -> Option<End> {
        let now = Instant::now();
        if self.look.deadline() > now {
            return None;
        }
        let next = self.sent + HEARTBEAT_INTERVAL;
        let next = if next > now {
            next
        } else {
            now + HEARTBEAT_INTERVAL
        };
        self.look.as_mut().reset(next);
        if self.app.config.authenticator.verify(&self.token).is_err() {
            return Some(End::SignedOut);
        }
        let allowed = self.app.may_follow(&self.caller, &self.scope);
        allowed.is_err().then_some(End::NotAllowed)
    }

    fn hand_out(&mut self, text: Text) -> Text {
        self.sent = Instant::now();
        self.app.hub.count_sent();
        text
    }

    fn close(&mut self, end: End) -> Text {
        self.stage = Stage::Over(end);
        let position = self.seen;
        let closing = Message::Closing {
            position,
            code: end,
            reason: &end.reason(position),
        };
        self.hand_out(closing.text())
    }
}

fn failed(failure: Failure) -> End {
    let error: &dyn std::error::Error = match &failure {
        Failure::Log(error) => error,
        Failure::Unreadable(error) => error,
    };
    tracing::error!(error, "a subscription failed");
    End::Failed
}
