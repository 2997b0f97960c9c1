//! The forwarder alone, between a client and a socket that echoes.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use tokio::time::timeout;

use super::*;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(10);

/// Echoes what comes in through a socket.
fn echo(path: &Path) {
    let listener = UnixListener::bind(path).unwrap();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut reader, mut writer) = connection.split();
                let _ = tokio::io::copy(&mut reader, &mut writer).await;
            });
        }
    });
}

async fn forwarder(socket: &Path) -> (SocketAddr, CancellationToken, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let closing = CancellationToken::new();
    let forwarder = Forwarder {
        listener,
        address,
        socket: socket.into(),
    };
    let running = tokio::spawn(forwarder.run(closing.clone()));
    (address, closing, running)
}

#[tokio::test]
async fn bytes_pass_both_ways_and_ends_do_too() {
    let home = tempfile::tempdir().unwrap();
    let socket = home.path().join("egress.sock");
    echo(&socket);
    let (address, closing, running) = forwarder(&socket).await;
    let sent = vec![7; 1 << 20];
    let mut connection = TcpStream::connect(address).await.unwrap();
    let (mut reader, mut writer) = connection.split();
    let send = async {
        writer.write_all(&sent).await.unwrap();
        writer.shutdown().await.unwrap();
    };
    let mut received = Vec::new();
    let receive = reader.read_to_end(&mut received);
    let (_, received_all) = timeout(PATIENCE, async { tokio::join!(send, receive) })
        .await
        .unwrap();
    assert!(received_all.is_ok() && received == sent);

    let mut open = TcpStream::connect(address).await.unwrap();
    open.write_all(b"x").await.unwrap();
    open.read_exact(&mut [0]).await.unwrap();
    closing.cancel();
    let end = timeout(PATIENCE, open.read_to_end(&mut received)).await;
    assert!(end.is_ok(), "a connection outlives the program's work");
    timeout(PATIENCE, running).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_closed_way_out_ends_a_connection_and_not_the_next_one() {
    let home = tempfile::tempdir().unwrap();
    let socket = home.path().join("egress.sock");
    let (address, _closing, _running) = forwarder(&socket).await;
    let mut connection = TcpStream::connect(address).await.unwrap();
    let mut nothing = Vec::new();
    let end = timeout(PATIENCE, connection.read_to_end(&mut nothing)).await;
    assert!(end.is_ok() && nothing.is_empty());

    echo(&socket);
    let mut connection = TcpStream::connect(address).await.unwrap();
    connection.write_all(b"x").await.unwrap();
    let mut byte = [0];
    connection.read_exact(&mut byte).await.unwrap();
    assert_eq!(&byte, b"x");
}

#[tokio::test]
async fn a_silent_connection_is_ended_once_nothing_has_passed_for_long() {
    let home = tempfile::tempdir().unwrap();
    let socket = home.path().join("egress.sock");
    echo(&socket);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let idle = Duration::from_millis(100);
    let joined = tokio::spawn(async move {
        let (client, _) = listener.accept().await.unwrap();
        join(client, &socket, idle).await;
    });
    let mut connection = TcpStream::connect(address).await.unwrap();
    connection.write_all(b"x").await.unwrap();
    connection.read_exact(&mut [0]).await.unwrap();
    let passed = Instant::now();
    let mut rest = Vec::new();
    let end = timeout(PATIENCE, connection.read_to_end(&mut rest)).await;
    assert!(end.is_ok(), "it stays open");
    // The far side noted the byte a moment before it came back here.
    assert!(passed.elapsed() >= idle / 2, "{:?}", passed.elapsed());
    joined.await.unwrap();
}

#[tokio::test]
async fn no_more_connections_are_joined_than_may_be() {
    let home = tempfile::tempdir().unwrap();
    let socket = home.path().join("egress.sock");
    echo(&socket);
    let (address, _closing, _running) = forwarder(&socket).await;
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        let mut connection = TcpStream::connect(address).await.unwrap();
        connection.write_all(b"x").await.unwrap();
        connection.read_exact(&mut [0]).await.unwrap();
        held.push(connection);
    }
    let mut waiting = TcpStream::connect(address).await.unwrap();
    waiting.write_all(b"x").await.unwrap();
    let early = timeout(ACCEPT_PAUSE, waiting.read_exact(&mut [0])).await;
    assert!(early.is_err(), "it was joined beyond the limit");
    held.pop();
    let joined = timeout(PATIENCE, waiting.read_exact(&mut [0])).await;
    assert!(joined.is_ok_and(|read| read.is_ok()));
}
