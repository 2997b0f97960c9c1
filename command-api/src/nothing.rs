//! The body of a command that has nothing to say: `{}`.

use serde::Deserialize;
use utoipa::ToSchema;

/// An object without fields.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}
