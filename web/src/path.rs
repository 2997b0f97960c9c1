//! A project's names in a path.

use axum::extract::{FromRequestParts, Path};
use axum::response::{IntoResponse, Response};
use firefly_domain::ProjectKey;
use http::request::Parts;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::problem::Problem;

/// The `{user}/{owner}/{repo}` of a path, read as names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectPath(pub ProjectKey);

/// The names in a path, for the documentation of what takes a [`ProjectPath`].
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct ProjectNames {
    /// Whose workspace it is. Upper-case letters are lowered.
    #[param(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$", example = "local")]
    user: String,
    /// Who owns the repository.
    #[param(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$", example = "template")]
    owner: String,
    /// The repository.
    #[param(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$", example = "starter")]
    repo: String,
}

impl<S: Send + Sync> FromRequestParts<S> for ProjectPath {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let malformed = |detail: String| Problem::malformed(detail).into_response();
        let Path(names) = Path::<ProjectNames>::from_request_parts(parts, state)
            .await
            .map_err(|error| malformed(error.body_text()))?;
        ProjectKey::new(&names.user, &names.owner, &names.repo)
            .map(Self)
            .map_err(|error| malformed(error.to_string()))
    }
}
