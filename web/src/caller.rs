//! Recognising callers by their tokens.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use axum::extract::{FromRef, FromRequestParts};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use firefly_domain::{ProjectKey, SessionId};
use firefly_identity::token::{Invalid, TOKEN_LIFETIME};
use firefly_identity::{Identity, Tokens};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::problem::Problem;

/// Checks tokens, and knows which sessions ended before their tokens did. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Authenticator {
    tokens: Tokens,
    ended: Arc<RwLock<HashMap<SessionId, DateTime<Utc>>>>,
}

impl Authenticator {
    /// Checks tokens with these keys.
    pub fn new(tokens: Tokens) -> Self {
        Self {
            tokens,
            ended: Arc::default(),
        }
    }

    /// Takes note that a session ended at a time: its tokens are no longer good.
    pub fn end(&self, session: SessionId, at: DateTime<Utc>) {
        let now = Utc::now();
        let expired = |at: &DateTime<Utc>| *at + TOKEN_LIFETIME < now;
        let mut ended = self.ended.write().unwrap_or_else(PoisonError::into_inner);
        ended.retain(|_, at| !expired(at));
        if !expired(&at) {
            ended.insert(session, at);
        }
    }

    /// Who sent a token.
    ///
    /// # Errors
    ///
    /// 401: the token is not ours, has expired, or its session is over.
    pub fn verify(&self, token: &str) -> Result<Identity, Problem> {
        let identity = self
            .tokens
            .verify(token, Utc::now())
            .map_err(|invalid| match invalid {
                Invalid::Expired => unauthorized("token-expired", invalid.to_string()),
                Invalid::Foreign => unauthorized("token-invalid", invalid.to_string()),
            })?;
        if self
            .ended
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .contains_key(&identity.session)
        {
            return Err(unauthorized(
                "session-over",
                "the session is over; sign in again",
            ));
        }
        Ok(identity)
    }
}

fn unauthorized(code: &'static str, detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, code, detail)
}

/// The caller of a request that carries a good token, as `Authorization: Bearer` or `x-access-token`.
#[derive(Clone, Debug)]
pub struct Caller(pub Identity);

impl Caller {
    /// Lets the caller at a project.
    ///
    /// # Errors
    ///
    /// 403: it is somebody else's.
    pub fn may_use(&self, key: &ProjectKey) -> Result<(), Problem> {
        if self.0.user == key.user {
            return Ok(());
        }
        let detail = format!("{} may not use the projects of {}", self.0.user, key.user);
        Err(Problem::new(
            StatusCode::FORBIDDEN,
            "not-your-project",
            detail,
        ))
    }
}

impl<S> FromRequestParts<S> for Caller
where
    Authenticator: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let authenticator = Authenticator::from_ref(state);
        let verified = bearer(&parts.headers)
            .ok_or_else(|| {
                unauthorized(
                    "token-missing",
                    "send a token as Authorization: Bearer; sessions/start gives one",
                )
            })
            .and_then(|token| authenticator.verify(token));
        verified.map(Self).map_err(|problem| {
            let mut response = problem.into_response();
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            response
        })
    }
}

/// The token in a request's headers, good or not.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    if let Some(value) = headers.get("x-access-token") {
        return value.to_str().ok();
    }
    let (scheme, token) = headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use firefly_domain::Segment;
    use firefly_identity::Secret;

    use super::*;

    fn setup() -> (Authenticator, Identity, String) {
        let folder = tempfile::tempdir().unwrap();
        let tokens = Tokens::new(&Secret::load_or_create(&folder.path().join("secret")).unwrap());
        let identity = Identity {
            user: Segment::parse("alice").unwrap(),
            session: SessionId::from_uuid(uuid::Uuid::now_v7()),
        };
        let token = tokens.issue(&identity, Utc::now()).token;
        (Authenticator::new(tokens), identity, token)
    }

    async fn call(
        authenticator: &Authenticator,
        name: &str,
        value: &str,
    ) -> Result<Identity, StatusCode> {
        let (mut parts, ()) = http::Request::builder()
            .header(name, value)
            .body(())
            .unwrap()
            .into_parts();
        match Caller::from_request_parts(&mut parts, authenticator).await {
            Ok(Caller(identity)) => Ok(identity),
            Err(response) => Err(response.status()),
        }
    }

    #[tokio::test]
    async fn a_good_token_is_taken_in_either_header() {
        let (authenticator, identity, token) = setup();
        assert_eq!(
            call(&authenticator, "authorization", &format!("Bearer {token}")).await,
            Ok(identity.clone())
        );
        assert_eq!(
            call(&authenticator, "authorization", &format!("bearer {token}")).await,
            Ok(identity.clone())
        );
        assert_eq!(
            call(&authenticator, "x-access-token", &token).await,
            Ok(identity)
        );
    }

    #[tokio::test]
    async fn anything_else_is_401() {
        let (authenticator, _, token) = setup();
        for (name, value) in [
            ("authorization", token.as_str()),
            ("authorization", "Bearer x"),
            ("cookie", "token=x"),
        ] {
            assert_eq!(
                call(&authenticator, name, value).await,
                Err(StatusCode::UNAUTHORIZED),
                "{name}: {value}"
            );
        }
    }

    #[tokio::test]
    async fn the_token_of_a_session_that_ended_is_refused() {
        let (authenticator, identity, token) = setup();
        authenticator.end(
            identity.session,
            Utc::now() - TOKEN_LIFETIME - TimeDelta::seconds(1),
        );
        assert!(
            authenticator.verify(&token).is_ok(),
            "a session that ended long ago has no tokens left to refuse"
        );
        authenticator.end(identity.session, Utc::now());
        assert!(authenticator.verify(&token).is_err());
    }

    #[test]
    fn a_caller_may_use_their_own_projects_only() {
        let (_, identity, _) = setup();
        let caller = Caller(identity);
        assert!(
            caller
                .may_use(&ProjectKey::new("alice", "montage", "app").unwrap())
                .is_ok()
        );
        assert!(
            caller
                .may_use(&ProjectKey::new("alice2", "montage", "app").unwrap())
                .is_err()
        );
    }
}
