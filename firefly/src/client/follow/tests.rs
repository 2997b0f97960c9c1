//! The follower against a server that breaks off.

use futures::SinkExt;
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::*;

/// Takes one connection, says something, and closes it; gives the query it was asked with.
async fn serve(listener: &TcpListener, messages: &[Value], code: CloseCode) -> String {
    let (mut socket, query) = accept(listener, messages).await;
    let frame = CloseFrame {
        code,
        reason: "".into(),
    };
    // A client that has its answer does not wait for this.
    let _ = socket.close(Some(frame)).await;
    query
}

/// Takes one connection and says something; gives the query it was asked with.
#[expect(
    clippy::result_large_err,
    reason = "the library's callback has this signature"
)]
async fn accept(
    listener: &TcpListener,
    messages: &[Value],
) -> (WebSocketStream<TcpStream>, String) {
    let (stream, _) = listener.accept().await.unwrap();
    let mut query = String::new();
    let mut socket =
        tokio_tungstenite::accept_hdr_async(stream, |request: &Request, response: Response| {
            query = request.uri().query().unwrap_or_default().to_owned();
            Ok(response)
        })
        .await
        .unwrap();
    for message in messages {
        socket
            .send(Message::text(message.to_string()))
            .await
            .unwrap();
    }
    (socket, query)
}

async fn listen() -> (TcpListener, Live) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let live = Live {
        addresses: vec![address],
        url: format!("ws://{address}/api/v1/live?token=t"),
    };
    (listener, live)
}

fn change(position: u64, state: &str, event: &str) -> Value {
    json!({
        "type": "change",
        "position": position,
        "project": {"key": "a/b/c", "state": state},
        "event": {"type": event, "summary": format!("{event} it was")},
    })
}

fn until_state<'a>(state: &'a str) -> impl Fn(&Seen<'_>) -> Option<End> + 'a {
    move |seen| (text(seen.project, "state") == state).then(|| End::success(""))
}

#[tokio::test]
async fn whoever_is_told_to_come_back_goes_on_where_it_broke_off() {
    let (listener, live) = listen().await;
    let server = async {
        let snapshot = json!({"type": "snapshot", "position": 7, "projects": []});
        let first = serve(&listener, &[snapshot], CloseCode::Again).await;
        let opening = change(8, "opening", "ProjectOpened");
        let second = serve(&listener, &[opening], CloseCode::Restart).await;
        let ready = change(9, "ready", "ProjectReady");
        let third = serve(&listener, &[ready], CloseCode::Normal).await;
        [first, second, third]
    };
    let client = async {
        let mut follower = Follower::of(live, true).await.unwrap();
        let answer = json!({"project": {"key": "a/b/c"}, "position": 8});
        follower.until(&answer, until_state("ready")).await
    };
    let (queries, ended) = tokio::join!(server, client);
    assert_eq!(queries, ["token=t", "token=t&after=7", "token=t&after=8"]);
    assert_eq!(ended.unwrap(), ExitCode::SUCCESS);
}

#[tokio::test]
async fn before_the_snapshot_no_position_is_known_whatever_is_said() {
    let (listener, live) = listen().await;
    let server = async {
        let early = [
            json!({"type": "heartbeat", "position": 0}),
            json!({"type": "closing", "position": 0, "code": "restarting", "reason": ""}),
        ];
        let first = serve(&listener, &early, CloseCode::Restart).await;
        let snapshot = json!({"type": "snapshot", "position": 7, "projects": []});
        let closing = json!({"type": "closing", "position": 8, "code": "restarting", "reason": ""});
        let second = serve(&listener, &[snapshot, closing], CloseCode::Restart).await;
        let ready = change(9, "ready", "ProjectReady");
        let third = serve(&listener, &[ready], CloseCode::Normal).await;
        [first, second, third]
    };
    let client = async {
        let mut follower = Follower::of(live, true).await.unwrap();
        let answer = json!({"project": {"key": "a/b/c"}, "position": 8});
        follower.until(&answer, until_state("ready")).await
    };
    let (queries, ended) = tokio::join!(server, client);
    assert_eq!(queries, ["token=t", "token=t", "token=t&after=8"]);
    assert_eq!(ended.unwrap(), ExitCode::SUCCESS);
}

#[tokio::test]
async fn a_message_that_cannot_be_read_is_asked_for_again() {
    let (listener, live) = listen().await;
    let server = async {
        let snapshot = json!({"type": "snapshot", "position": 7, "projects": []});
        let (mut socket, _) = accept(&listener, &[snapshot]).await;
        socket.send(Message::text("{")).await.unwrap();
        let ready = change(8, "ready", "ProjectReady");
        serve(&listener, &[ready], CloseCode::Normal).await
    };
    let client = async {
        let mut follower = Follower::of(live, true).await.unwrap();
        let answer = json!({"project": {"key": "a/b/c"}, "position": 8});
        follower.until(&answer, until_state("ready")).await
    };
    let (query, ended) = tokio::join!(server, client);
    assert_eq!(query, "token=t&after=7");
    assert_eq!(ended.unwrap(), ExitCode::SUCCESS);
}

#[tokio::test]
async fn whoever_is_cut_off_goes_on_where_it_broke_off() {
    let (listener, live) = listen().await;
    let server = async {
        let snapshot = json!({"type": "snapshot", "position": 7, "projects": []});
        let (ended, first) = accept(&listener, &[snapshot]).await;
        drop(ended);
        let opening = change(8, "opening", "ProjectOpened");
        let (reset, second) = accept(&listener, &[opening]).await;
        reset.get_ref().set_zero_linger().unwrap();
        drop(reset);
        let ready = change(9, "ready", "ProjectReady");
        let third = serve(&listener, &[ready], CloseCode::Normal).await;
        [first, second, third]
    };
    let client = async {
        let mut follower = Follower::of(live, true).await.unwrap();
        let answer = json!({"project": {"key": "a/b/c"}, "position": 8});
        follower.until(&answer, until_state("ready")).await
    };
    let ([first, _, third], ended) = tokio::join!(server, client);
    // A reset may overtake what was said before it.
    assert_eq!(first, "token=t");
    assert!(third.starts_with("token=t&after="), "{third}");
    assert_eq!(ended.unwrap(), ExitCode::SUCCESS);
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up() {
    let (_listener, live) = listen().await;
    let connected = connect_within(Duration::from_millis(20), &live, None).await;
    let error = connected.unwrap_err().to_string();
    assert_eq!(error, "Firefly does not answer");
}

#[tokio::test]
async fn whoever_is_told_to_go_does_not_come_back() {
    let (listener, live) = listen().await;
    let client = async {
        let mut follower = Follower::of(live, true).await.unwrap();
        let answer = json!({"project": {"key": "a/b/c"}, "position": 8});
        follower.until(&answer, until_state("ready")).await
    };
    let (_, ended) = tokio::join!(serve(&listener, &[], CloseCode::Policy), client);
    let error = ended.unwrap_err().to_string();
    assert!(error.contains("firefly history a/b/c"), "{error}");
}

#[tokio::test]
async fn how_a_container_ended_is_known_when_its_project_is_closed() {
    let (listener, live) = listen().await;
    let messages = [
        change(8, "opening", "ContainerExited"),
        change(9, "closed", "ProjectClosed"),
    ];
    let client = async {
        let mut follower = Follower::of(live, true).await.unwrap();
        let answer = json!({"project": {"key": "a/b/c"}, "position": 7});
        let end = |seen: &Seen<'_>| {
            let closed = text(seen.project, "state") == "closed";
            closed.then(|| {
                assert_eq!(seen.exit, Some("ContainerExited it was"));
                End::success("")
            })
        };
        follower.until(&answer, end).await
    };
    let (_, ended) = tokio::join!(serve(&listener, &messages, CloseCode::Normal), client);
    assert_eq!(ended.unwrap(), ExitCode::SUCCESS);
}

#[tokio::test]
async fn a_deletion_that_was_given_up_says_why() {
    let unsaved = "not deleted after all, since there was 1 changed file";
    let failed = "not deleted, since that failed: no permission";
    for (summary, detail, said) in [
        (unsaved, None, &*format!("{unsaved}; --force deletes it")),
        (failed, Some("no permission"), failed),
    ] {
        let (listener, live) = listen().await;
        let mut kept = change(8, "closed", "WorkspaceKept");
        kept["event"]["summary"] = summary.into();
        kept["event"]["data"] = json!({"detail": detail});
        let client = async {
            let mut follower = Follower::of(live, true).await.unwrap();
            let answer = json!({"project": {"key": "a/b/c"}, "position": 7});
            let end = |seen: &Seen<'_>| {
                let end = crate::client::deleted(seen)?;
                assert_eq!(end.text(), said);
                Some(end)
            };
            follower.until(&answer, end).await
        };
        let messages = [kept];
        let (_, ended) = tokio::join!(serve(&listener, &messages, CloseCode::Normal), client);
        assert_eq!(ended.unwrap(), ExitCode::FAILURE);
    }
}
