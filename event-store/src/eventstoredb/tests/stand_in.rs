//! What the stand-in can do that the log does not need, through the client alone.

use std::str::FromStr;

use eventstore::{
    AppendToStreamOptions, Client, ClientSettings, EventData, StreamPosition, StreamState,
    SubscribeToStreamOptions,
};

use super::*;

#[tokio::test]
async fn a_subscription_to_a_stream_tells_what_is_there_and_what_comes() {
    let server = StandIn::start();
    let client = Client::new(ClientSettings::from_str(&server.url()).unwrap()).unwrap();
    let event = |number: u64| {
        EventData::json("Happened", &number)
            .unwrap()
            .id(Uuid::new_v4())
    };
    let exists = AppendToStreamOptions::default().stream_state(StreamState::StreamExists);
    let missing = client.append_to_stream("one", &exists, event(0)).await;
    assert!(
        matches!(missing, Err(eventstore::Error::WrongExpectedVersion { .. })),
        "{missing:?}"
    );
    let anyhow = AppendToStreamOptions::default();
    let append = client.append_to_stream("one", &anyhow, event(0));
    append.await.unwrap();

    let options = SubscribeToStreamOptions::default().start_from(StreamPosition::Start);
    let mut subscription = client.subscribe_to_stream("one", &options).await;
    let mut told = async || {
        let event = tokio::time::timeout(DEADLINE, subscription.next()).await;
        let event = event.expect("nothing is told").unwrap();
        event.get_original_event().as_json::<u64>().unwrap()
    };
    assert_eq!(told().await, 0);
    let append = client.append_to_stream("other", &anyhow, event(7));
    append.await.unwrap();
    let append = client.append_to_stream("one", &exists, event(1));
    append.await.unwrap();
    assert_eq!(told().await, 1);
}
