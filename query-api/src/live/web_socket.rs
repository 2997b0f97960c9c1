//! `/api/v1/live`: a subscription on a WebSocket (RFC 6455).

use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::response::{IntoResponse, Response};
use futures::SinkExt;
use http::HeaderMap;
use tokio::time::timeout;

use super::request::Asked;
use super::subscription::Subscription;
use crate::App;
use crate::error::Error;
use crate::message::{End, Text};
use crate::parameters::Parameters;

/// How long a client may take nothing of what is sent to it.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// Clients have nothing to say here but pings and closes.
const CLIENT_MESSAGE_BYTES_MAX: usize = 4 * 1_024;

/// Bytes read ahead of a client, and bytes of messages that are written in one go.
const BUFFER_BYTES: usize = 4 * 1_024;

/// Messages that are written before the socket is looked at again.
const MESSAGES_PER_WRITE: usize = 64;

/// The client is gone, or does not read.
struct Gone;

/// A WebSocket that gives a snapshot, then every change once and in order; `asyncapi.json` has its messages.
#[utoipa::path(
    get, path = "/live", operation_id = "follow", tag = "live", params(Asked),
    responses((status = 101, description = "The WebSocket is open.")),
    extensions(("x-refusals" = json!(["400 malformed", "400 position-unknown", "401 session-over",
        "401 token-expired", "401 token-invalid", "401 token-missing", "403 not-an-auditor", "404 session-not-found",
        "429 live-too-many", "500 internal", "503 live-busy", "503 log-unavailable", "503 projection-behind",
        "403 origin-foreign", "426 upgrade-required"]))),
)]
pub async fn open(
    State(app): State<App>,
    Parameters(asked): Parameters<Asked>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Error> {
    let request = app.request(asked, &headers, None, &app.live_places).await?;
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(refusal) => return Ok(refusal.into_response()),
    };
    let upgrade = upgrade
        .max_message_size(CLIENT_MESSAGE_BYTES_MAX)
        .max_frame_size(CLIENT_MESSAGE_BYTES_MAX)
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES);
    Ok(upgrade.on_upgrade(async move |mut socket| {
        let mut subscription = Subscription::new(app, request);
        // A client that is gone needs no last word.
        let _ = carry(&mut socket, &mut subscription).await;
    }))
}

async fn carry(socket: &mut WebSocket, subscription: &mut Subscription) -> Result<(), Gone> {
    while let Some(text) = next(socket, subscription).await? {
        if let Some(end) = subscription.end() {
            return within(SEND_TIMEOUT, close(socket, text, end)).await;
        }
        feed(socket, text).await?;
        for _ in 1..MESSAGES_PER_WRITE {
            let Some(text) = subscription.ready() else {
                break;
            };
            feed(socket, text).await?;
        }
        within(SEND_TIMEOUT, socket.flush()).await?;
    }
    Ok(())
}

/// The next message, unless the client goes first.
async fn next(
    socket: &mut WebSocket,
    subscription: &mut Subscription,
) -> Result<Option<Text>, Gone> {
    let mut next = std::pin::pin!(subscription.next());
    loop {
        tokio::select! {
            biased;
            text = &mut next => return Ok(text),
            heard = socket.recv() => match heard {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(Gone),
                Some(Ok(_)) => {}
            },
        }
    }
}

async fn feed(socket: &mut WebSocket, text: Text) -> Result<(), Gone> {
    within(SEND_TIMEOUT, socket.feed(Message::Text(text.json))).await
}

/// Says why, in the protocol's own way and in the WebSocket's.
async fn close(socket: &mut WebSocket, text: Text, end: End) -> Result<(), axum::Error> {
    let code = match end {
        End::TooSlow => close_code::AGAIN,
        End::SignedOut | End::NotAllowed => close_code::POLICY,
        End::Restarting => close_code::RESTART,
        End::Failed => close_code::ERROR,
    };
    let reason = end.reason(text.position).into();
    socket.feed(Message::Text(text.json)).await?;
    socket
        .send(Message::Close(Some(CloseFrame { code, reason })))
        .await
}

async fn within(
    limit: Duration,
    sending: impl Future<Output = Result<(), axum::Error>>,
) -> Result<(), Gone> {
    match timeout(limit, sending).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(Gone),
    }
}
