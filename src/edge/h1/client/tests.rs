//! A client's connection by itself, with the other end in the test's hand.

use std::future::poll_fn;

use actix_web::web::Bytes;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;

use super::body::SIGN_OF_LIFE;
use super::*;
use crate::edge::h1::linger::lingering;
use crate::edge::settings::HeadLimits;

/// Longer than any test.
const LONG: Duration = Duration::from_secs(3600);

/// A client of whom nothing is asked in a hurry.
pub(in crate::edge) fn patient(socket: UnixStream) -> ClientConnection {
    let limits = HeadLimits {
        head: 2048,
        target: 512,
    };
    let settings = ConnectionSettings {
        limits,
        head_timeout: LONG,
        body_timeout: LONG,
        write_timeout: LONG,
        keep_alive: LONG,
    };
    ClientConnection::new(
        Stream::Unix(socket),
        ConnectionInfo::default(),
        settings,
        lingering(None),
        None,
    )
}

async fn body(client: &mut ClientConnection) -> Bytes {
    poll_fn(|cx| client.poll_body(cx)).await.unwrap().unwrap()
}

/// Waits for the body, in which nothing has come; answers until when it will.
async fn deadline(client: &mut ClientConnection) -> Instant {
    assert!(poll_fn(|cx| Poll::Ready(client.poll_body(cx).is_pending())).await);
    client.read_by.unwrap()
}

/// A backend that takes its time for what has come takes none of the client's.
#[tokio::test]
async fn a_bodys_time_runs_only_while_it_is_waited_for() {
    const PAUSE: Duration = Duration::from_millis(20);
    let (socket, mut peer) = UnixStream::pair().unwrap();
    let mut client = patient(socket);
    peer.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
        .await
        .unwrap();
    assert!(matches!(
        poll_fn(|cx| client.poll_request(cx)).await,
        Arrived::Request(..)
    ));
    let first = deadline(&mut client).await;
    peer.write_all(b"hello").await.unwrap();
    assert_eq!(body(&mut client).await, "hello");
    // The backend takes its time.
    tokio::time::sleep(PAUSE).await;
    let second = deadline(&mut client).await;
    assert!(second >= first + PAUSE, "{:?}", second - first);
    // So few bytes are no sign of life: the time spent waiting for them still counts.
    assert!(client.body_time_left < LONG, "{:?}", client.body_time_left);
    peer.write_all(&[b'x'; SIGN_OF_LIFE]).await.unwrap();
    assert_eq!(body(&mut client).await.len(), SIGN_OF_LIFE);
    assert_eq!((client.body_time_left, client.read_by), (LONG, None));
}
