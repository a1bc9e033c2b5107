//! The sockets that clients come through.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::http::Socket;

/// A client's socket, ready for HTTP.
pub type Stream = Socket<TlsStream<CountingSocket>>;

/// A socket under TLS, which counts what the client takes: the layer above takes bytes also while
/// the client does not.
#[derive(Debug)]
pub struct CountingSocket {
    socket: TcpStream,
    written: u64,
}

impl CountingSocket {
    /// Nothing written yet.
    pub const fn new(socket: TcpStream) -> Self {
        Self { socket, written: 0 }
    }

    fn counted(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = written {
            self.written += bytes as u64;
        }
        written
    }
}

impl Stream {
    /// How many bytes the client has taken of what the layer of TLS has written; `None`: there is
    /// no such layer.
    pub fn taken(&self) -> Option<u64> {
        if let Self::Tls(stream) = self {
            Some(stream.get_ref().0.written)
        } else {
            None
        }
    }

    /// Has the connection end with a reset when it is dropped, which no client takes for the end of
    /// an answer.
    pub fn reset_when_dropped(&self) {
        let _ = match self {
            Self::Tcp(socket) => socket.set_zero_linger(),
            Self::Tls(stream) => stream.get_ref().0.socket.set_zero_linger(),
            Self::Unix(_) => Ok(()),
        };
    }

    /// Ready when a read may find something, as far as the runtime has heard. It needs no buffer.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(socket) => socket.poll_read_ready(cx),
            Self::Unix(socket) => socket.poll_read_ready(cx),
            // What the encryption layer has read already, only it knows.
            Self::Tls(_) => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncRead for CountingSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, out)
    }
}

impl AsyncWrite for CountingSocket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.counted(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, parts);
        self.counted(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
