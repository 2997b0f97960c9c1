//! Query parameters, read strictly: one that nobody knows is refused, since passing over it would answer another question.

use axum::extract::{FromRequestParts, Query};
use firefly_web::Problem;
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::error::Error;

/// The parameters of a request. Types read with it deny unknown fields.
#[derive(Clone, Copy, Debug)]
pub struct Parameters<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let Query(parameters) = Query::from_request_parts(parts, state)
            .await
            .map_err(|error| Problem::malformed(error.body_text()))?;
        Ok(Self(parameters))
    }
}
