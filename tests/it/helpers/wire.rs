//! Raw bytes in, raw bytes out: for requests that no client library would send.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status; 0 when there was none.
    pub(crate) status: u16,
    /// Everything, as text.
    pub(crate) text: String,
    /// Whether the server closed the connection.
    pub(crate) closed: bool,
}

impl Answer {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let head = self.text.split("\r\n\r\n").next()?;
        head.lines()
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.trim())
    }

    /// What follows the head.
    pub(crate) fn body(&self) -> &str {
        self.text
            .split_once("\r\n\r\n")
            .map_or("", |(_, body)| body)
    }

    /// The gateway's error word.
    pub(crate) fn code(&self) -> Option<&str> {
        self.header("x-hufu-error")
    }
}

/// Sends bytes and reads until the server closes, or until it has been silent for a while after an
/// answer.
pub(crate) async fn send(to: SocketAddr, bytes: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(to).await.unwrap();
    // The server may close before it has read everything.
    let _ = stream.write_all(bytes).await;
    read(&mut stream).await
}

/// Reads an answer from a connection.
pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Answer {
    read_with(stream, Duration::from_millis(300)).await
}

/// Sends bytes and reads until the server closes.
pub(crate) async fn send_to_the_end(to: SocketAddr, bytes: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(to).await.unwrap();
    let _ = stream.write_all(bytes).await;
    read_to_the_end(&mut stream).await
}

/// Reads until the server closes.
pub(crate) async fn read_to_the_end(stream: &mut (impl AsyncRead + Unpin)) -> Answer {
    read_with(stream, Duration::from_secs(10)).await
}

/// `silence`: how long the server may say nothing in the middle.
async fn read_with(stream: &mut (impl AsyncRead + Unpin), silence: Duration) -> Answer {
    let (mut all, mut buf, mut closed) = (Vec::new(), [0; 16 * 1024], false);
    loop {
        let patience = if all.is_empty() {
            Duration::from_secs(10)
        } else {
            silence
        };
        match tokio::time::timeout(patience, stream.read(&mut buf)).await {
            Ok(Ok(0) | Err(_)) => {
                closed = true;
                break;
            }
            Ok(Ok(n)) => all.extend_from_slice(&buf[..n]),
            Err(_) => break,
        }
    }
    let text = String::from_utf8_lossy(&all).into_owned();
    let status = text
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or(0);
    Answer {
        status,
        text,
        closed,
    }
}
