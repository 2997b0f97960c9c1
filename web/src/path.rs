//! A project's names in a path.

use axum::extract::{FromRequestParts, Path};
use axum::response::{IntoResponse, Response};
use firefly_domain::ProjectKey;
use http::request::Parts;
use serde::Deserialize;

use crate::problem::Problem;

/// The `{user}/{owner}/{repo}` of a path, read as names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectPath(pub ProjectKey);

#[derive(Deserialize)]
struct Names {
    user: String,
    owner: String,
    repo: String,
}

impl<S: Send + Sync> FromRequestParts<S> for ProjectPath {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let malformed = |detail: String| Problem::malformed(detail).into_response();
        let Path(names) = Path::<Names>::from_request_parts(parts, state)
            .await
            .map_err(|error| malformed(error.body_text()))?;
        ProjectKey::new(&names.user, &names.owner, &names.repo)
            .map(Self)
            .map_err(|error| malformed(error.to_string()))
    }
}
