//! What somebody asks to follow, read strictly and checked before anything is sent.

use std::sync::Arc;
use std::time::Duration;

use firefly_event_store::Position;
use firefly_web::caller::bearer;
use firefly_web::{Caller, Problem};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use utoipa::IntoParams;

use super::room::{Room, USER_CONNECTIONS_MAX};
use super::scope::Scope;
use crate::App;
use crate::error::Error;
use crate::history::asked::project_key;

/// How long a resumption may wait for a position that the log has and live state has not reached yet.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(5);

/// The parameters of both transports.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// A browser cannot set headers on a WebSocket or an event stream, so the token may come here.
    token: Option<String>,
    /// The position the client has seen; without it, it gets a snapshot.
    #[param(format = "uint64")]
    after: Option<u64>,
    /// Only this project, as user/owner/repo.
    #[param(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,99}(/[A-Za-z0-9][A-Za-z0-9._-]{0,99}){2}$")]
    project: Option<String>,
    /// Only this session.
    #[param(format = Uuid)]
    session: Option<String>,
    /// Every event of the log.
    log: Option<bool>,
}

/// A subscription that may begin.
#[derive(Debug)]
pub struct Request {
    pub caller: Caller,
    /// It is looked at again while the subscription lasts.
    pub token: String,
    pub scope: Scope,
    /// The position the client has seen.
    pub after: Option<Position>,
    /// Kept for as long as the subscription lasts.
    pub room: Room,
}

impl App {
    /// Checks who asks for what, and takes room for it on a transport. `last_seen` goes before the parameter `after`.
    ///
    /// # Errors
    ///
    /// The token is not good, the scope is malformed, unknown or not the caller's, the log has no such position, or there is
    /// no room.
    pub async fn request(
        &self,
        asked: Asked,
        headers: &HeaderMap,
        last_seen: Option<Position>,
        transport: &Arc<Semaphore>,
    ) -> Result<Request, Error> {
        let token = bearer(headers).or(asked.token.as_deref());
        let token = token.ok_or_else(token_missing)?.to_owned();
        let caller = Caller(self.config.authenticator.verify(&token)?);
        let scope = self.scope_of(&asked).await?;
        self.may_follow(&caller, &scope)?;
        let after = last_seen.or_else(|| asked.after.map(Position::new));
        if let Some(after) = after {
            self.has_position(after)?;
        }
        // Whoever waits takes room as well.
        let room = self.room(&caller, transport)?;
        if let Some(after) = after {
            timeout(CATCH_UP_TIMEOUT, self.hub.reached(after))
                .await
                .map_err(|_| Error::behind())?;
        }
        Ok(Request {
            caller,
            token,
            scope,
            after,
            room,
        })
    }

    /// Takes room for a connection. Whose machine it is may have all of it.
    pub fn room(&self, caller: &Caller, transport: &Arc<Semaphore>) -> Result<Room, Error> {
        let most = match self.may_audit(caller) {
            Ok(()) => usize::MAX,
            Err(_) => USER_CONNECTIONS_MAX,
        };
        self.live_users.enter(&caller.0.user, most, transport)
    }

    async fn scope_of(&self, asked: &Asked) -> Result<Scope, Error> {
        let log = asked.log.unwrap_or_default();
        match (&asked.project, &asked.session, log) {
            (None, None, false) => Ok(Scope::Mine),
            (Some(names), None, false) => Ok(Scope::Project(project_key(names)?)),
            (None, Some(id), false) => {
                let (id, user) = self.session_user(id).await?;
                Ok(Scope::Session { id, user })
            }
            (None, None, true) => Ok(Scope::Log),
            _ => {
                let detail =
                    "follow a project, a session or the log; for more than one, connect again";
                Err(Problem::malformed(detail).into())
            }
        }
    }
}

fn token_missing() -> Problem {
    let detail = "send a token as Authorization: Bearer or as ?token=; sessions/start gives one";
    Problem::new(StatusCode::UNAUTHORIZED, "token-missing", detail)
}
