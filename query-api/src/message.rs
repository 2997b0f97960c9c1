//! What a subscription is told, as one JSON text for every transport.
//!
//! A text is made once and shared by all who get the same one.

use axum::extract::ws::Utf8Bytes;
use firefly_event_store::Position;
use serde::Serialize;
use utoipa::ToSchema;

use crate::past::session::SessionView;
use crate::terms::OpeningStep;
use crate::view::{EventView, ProjectView};

/// One message; `type` tells them apart.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LiveMessage)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Message<'a> {
    /// What stands at a position; changes come behind it.
    Snapshot {
        #[schema(value_type = u64)]
        position: Position,
        #[schema(value_type = Vec<ProjectView>)]
        projects: &'a [ProjectView],
        #[schema(value_type = Vec<SessionView>)]
        sessions: &'a [SessionView],
    },
    /// An event, and what the project or session has become by it, in scopes that show one. There is no `project` beside an
    /// event of a project with an event that could not be read: what it has become is unknown.
    Change {
        #[schema(value_type = u64)]
        position: Position,
        #[schema(value_type = EventView)]
        event: &'a EventView,
        #[schema(value_type = Option<ProjectView>, nullable = false)]
        #[serde(skip_serializing_if = "Option::is_none")]
        project: Option<&'a ProjectView>,
        #[schema(value_type = Option<SessionView>, nullable = false)]
        #[serde(skip_serializing_if = "Option::is_none")]
        session: Option<&'a SessionView>,
    },
    /// A step at work. It is in no log, so it may be lost.
    Progress {
        project: String,
        generation: u64,
        #[schema(value_type = OpeningStep)]
        step: &'static str,
        done: u64,
        total: Option<u64>,
        text: String,
    },
    /// All up to the position that concerns the subscription was sent; nothing was yet, where there is none.
    Heartbeat {
        #[schema(value_type = Option<u64>, nullable = false)]
        #[serde(skip_serializing_if = "Option::is_none")]
        position: Option<Position>,
    },
    /// The last message: why the connection ends, and where to come back. Where there is no position, nothing was sent, and the
    /// client comes back as it came.
    Closing {
        #[schema(value_type = Option<u64>, nullable = false)]
        #[serde(skip_serializing_if = "Option::is_none")]
        position: Option<Position>,
        code: End,
        reason: &'a str,
    },
}

/// Why a subscription ends although its client is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ClosingCode)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// The client reads more slowly than changes come.
    TooSlow,
    /// The token is no longer good.
    SignedOut,
    /// What is followed is no longer the client's to see.
    NotAllowed,
    /// Firefly stops.
    Restarting,
    /// What is followed cannot be read: the log does not answer, or one of the project's or session's events is unreadable.
    Failed,
}

/// A message as an event stream has it: for the documentation alone.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it documents what `event_stream` sends")]
pub struct LiveEvent {
    /// The message's type.
    event: String,
    /// Its position, if it has one.
    #[schema(pattern = "^[0-9]+$", nullable = false)]
    id: Option<String>,
    /// The message as JSON.
    #[schema(content_media_type = "application/json")]
    data: String,
}

/// A message as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// The message's `type`.
    pub kind: &'static str,
    /// The message's position; progress has none, nor has what comes before the first message that has one.
    pub position: Option<Position>,
    pub json: Utf8Bytes,
}

impl Message<'_> {
    /// Makes the text of a message.
    pub fn text(&self) -> Text {
        let json = serde_json::to_string(self).expect("messages are made of JSON's own types");
        Text {
            kind: self.kind(),
            position: self.position(),
            json: json.into(),
        }
    }

    const fn kind(&self) -> &'static str {
        match self {
            Self::Snapshot { .. } => "snapshot",
            Self::Change { .. } => "change",
            Self::Progress { .. } => "progress",
            Self::Heartbeat { .. } => "heartbeat",
            Self::Closing { .. } => "closing",
        }
    }

    const fn position(&self) -> Option<Position> {
        match self {
            Self::Snapshot { position, .. } | Self::Change { position, .. } => Some(*position),
            Self::Heartbeat { position } | Self::Closing { position, .. } => *position,
            Self::Progress { .. } => None,
        }
    }
}

impl End {
    /// Why, for people, and what to do.
    pub fn reason(self, position: Option<Position>) -> String {
        let what = match self {
            Self::TooSlow => "too slow",
            Self::SignedOut => return "the token is no longer good; sign in again".to_owned(),
            Self::NotAllowed => return "this is no longer yours to follow".to_owned(),
            Self::Restarting => "Firefly stops",
            Self::Failed => "live state failed",
        };
        position.map_or_else(
            || format!("{what}; come back as before"),
            |position| format!("{what}; come back with after={position}"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_the_type_and_the_position_of_its_json() {
        let position = Position::new(7);
        let empty = (&[][..], &[][..]);
        let messages = [
            Message::Snapshot {
                position,
                projects: empty.0,
                sessions: empty.1,
            },
            Message::Heartbeat { position: None },
            Message::Closing {
                position: Some(position),
                code: End::TooSlow,
                reason: "why",
            },
            Message::Progress {
                project: "a/b/c".into(),
                generation: 1,
                step: "install",
                done: 1,
                total: None,
                text: String::new(),
            },
        ];
        for message in messages {
            let text = message.text();
            let json: serde_json::Value = serde_json::from_str(&text.json).unwrap();
            assert_eq!(json["type"], text.kind);
            assert_eq!(
                json["position"].as_u64(),
                text.position.map(Position::number)
            );
        }
    }

    #[test]
    fn ends_have_the_codes_of_the_protocol() {
        let codes = [
            (End::TooSlow, "too-slow"),
            (End::SignedOut, "signed-out"),
            (End::NotAllowed, "not-allowed"),
            (End::Restarting, "restarting"),
            (End::Failed, "failed"),
        ];
        for (end, code) in codes {
            assert_eq!(serde_json::to_value(end).unwrap(), code);
        }
    }
}
