//! A WebSocket client of the gateway.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::client::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::gateway::Gateway;

/// Far more than the second that is promised: the machine of a test may be busy.
pub(crate) const BOUND: Duration = Duration::from_secs(20);

/// An open socket.
pub(crate) type Socket<S = TcpStream> = WebSocketStream<S>;

/// A handshake with these headers.
pub(crate) fn handshake(url: &str, lines: &[(&'static str, &str)]) -> Request {
    let mut request = url.into_client_request().unwrap();
    for (name, value) in lines {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    request
}

pub(crate) async fn connect(
    gateway: &Gateway,
    path: &str,
    lines: &[(&'static str, &str)],
) -> Result<(Socket, Response), Error> {
    let request = handshake(&format!("ws://{}{path}", gateway.listen), lines);
    client_async(request, TcpStream::connect(gateway.listen).await.unwrap()).await
}

/// With a token.
pub(crate) async fn open(gateway: &Gateway, path: &str, token: &str) -> Socket {
    connect(
        gateway,
        path,
        &[("authorization", &format!("Bearer {token}"))],
    )
    .await
    .unwrap()
    .0
}

/// The answer to a handshake that was not taken up.
pub(crate) async fn refused(
    gateway: &Gateway,
    path: &str,
    lines: &[(&'static str, &str)],
) -> (u16, String) {
    let Err(Error::Http(answer)) = connect(gateway, path, lines).await else {
        panic!("not an answer")
    };
    (
        answer.status().as_u16(),
        answer
            .headers()
            .get("x-hufu-error")
            .map_or("", |code| code.to_str().unwrap())
            .to_owned(),
    )
}

/// Closes with this code, which comes back.
pub(crate) async fn close(socket: &mut Socket<impl AsyncRead + AsyncWrite + Unpin>, code: u16) {
    let frame = CloseFrame {
        code: code.into(),
        reason: "bye".into(),
    };
    socket.close(Some(frame)).await.unwrap();
    let answered = closed(socket).await.map(|frame| frame.code.into());
    assert_eq!(answered, Some(code));
}

/// Reads to the close frame; `None`: there was none.
pub(crate) async fn closed(
    socket: &mut Socket<impl AsyncRead + AsyncWrite + Unpin>,
) -> Option<CloseFrame> {
    let read = async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Close(frame))) => return frame,
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    };
    tokio::time::timeout(BOUND, read)
        .await
        .expect("the socket stays open")
}

/// The code and the reason of the close frame.
pub(crate) async fn farewell(
    socket: &mut Socket<impl AsyncRead + AsyncWrite + Unpin>,
) -> Option<(u16, String)> {
    closed(socket)
        .await
        .map(|frame| (frame.code.into(), frame.reason.to_string()))
}

/// Text, a megabyte, and a ping there and back.
pub(crate) async fn talk(socket: &mut Socket<impl AsyncRead + AsyncWrite + Unpin>) {
    echoed(socket, Message::text("hello")).await;
    let large: Vec<u8> = (0..1 << 20)
        .map(|n: u32| u8::try_from(n % 251).unwrap())
        .collect();
    echoed(socket, Message::binary(large)).await;
    socket
        .send(Message::Ping("are you there".into()))
        .await
        .unwrap();
    assert_eq!(
        socket.next().await.unwrap().unwrap(),
        Message::Pong("are you there".into())
    );
}

/// Sends a message and gets it back.
pub(crate) async fn echoed(
    socket: &mut Socket<impl AsyncRead + AsyncWrite + Unpin>,
    message: Message,
) {
    socket.send(message.clone()).await.unwrap();
    let answer = tokio::time::timeout(BOUND, socket.next())
        .await
        .expect("no echo");
    assert_eq!(answer.unwrap().unwrap(), message);
}
