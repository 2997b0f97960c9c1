//! What is in the read models, table by table.

mod activity;
mod containers;
mod projects;
mod sessions;
mod workspaces;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::table::{Column, Kind, Table};
use crate::value::Value;

pub use activity::ActivityRow;
pub use containers::ContainerRow;
pub use projects::ProjectRow;
pub use sessions::SessionRow;
pub use workspaces::WorkspaceRow;

/// A row of one kind.
pub trait Row: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// Its table.
    const TABLE: &'static Table;

    /// Its key among all of them.
    fn key(&self) -> &str;

    /// What is in its columns, in their order.
    fn values(&self) -> Vec<Value>;
}

/// A column that always holds a text.
const fn text(name: &'static str) -> Column {
    column(name, Kind::Text, false)
}

/// A column that may hold a text.
const fn maybe_text(name: &'static str) -> Column {
    column(name, Kind::Text, true)
}

/// A column that always holds a number.
const fn number(name: &'static str) -> Column {
    column(name, Kind::Integer, false)
}

/// A column that may hold a number.
const fn maybe_number(name: &'static str) -> Column {
    column(name, Kind::Integer, true)
}

const fn column(name: &'static str, kind: Kind, nullable: bool) -> Column {
    Column {
        name,
        kind,
        nullable,
    }
}

/// Times as microseconds since 1970-01-01 UTC.
mod micros {
    use chrono::{DateTime, Utc};
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(
        time: &DateTime<Utc>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(time.timestamp_micros())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<DateTime<Utc>, D::Error> {
        let micros = i64::deserialize(deserializer)?;
        DateTime::from_timestamp_micros(micros)
            .ok_or_else(|| de::Error::custom(format!("{micros} microseconds are no time")))
    }
}

/// Times that may be missing.
mod maybe_micros {
    use chrono::{DateTime, Utc};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Deserialize, Serialize)]
    #[serde(transparent)]
    struct Time(#[serde(with = "super::micros")] DateTime<Utc>);

    pub(super) fn serialize<S: Serializer>(
        time: &Option<DateTime<Utc>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        time.map(Time).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<DateTime<Utc>>, D::Error> {
        Ok(Option::<Time>::deserialize(deserializer)?.map(|time| time.0))
    }
}

/// Flags as 0 and 1.
mod flag {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(flag: &bool, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(i64::from(*flag))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<bool, D::Error> {
        Ok(i64::deserialize(deserializer)? != 0)
    }
}
