//! A WebSocket after its handshake: bytes in both directions as they are, until one side ends it or
//! the gateway does, with a close frame between two frames of the upstream's.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use actix_web::dev::Payload;
use actix_web::web::Bytes;
use futures_util::Stream as _;
use tokio::io::{AsyncReadExt as _, AsyncWrite as _, AsyncWriteExt as _};

use crate::clock::monotonic_now;
use crate::crypto::random;
use crate::http::request_log::StreamAccount;
use crate::http::{Drain, ErrorCode};
use crate::proxy::session_watch::{SessionEnd, SessionWatch};
use crate::proxy::websocket::frames::{Frames, close_frame};
use crate::proxy::websocket::limits::WebsocketPermit;
use crate::proxy::websocket::tunnel_body::{BodySender, TunnelBody, tunnel_body};
use crate::upstream_client::connection::Connection;
use crate::upstream_client::download::{BrokenBody, RequestPermits};
use crate::upstream_client::response_head::BadAnswer;

/// How long the frame under way may take to its end before a close frame.
const REST_OF_FRAME: Duration = Duration::from_millis(500);
/// How long the upstream may take to end its side.
const GOODBYE: Duration = Duration::from_secs(1);

/// What a tunnel is made of.
pub struct Tunnel {
    /// What the client sends.
    pub client: Payload,
    /// The connection on which the upstream has answered 101.
    pub upstream: Box<Connection>,
    /// Whether the session lives, and is still let in.
    pub watch: SessionWatch,
    /// Silence after which it is closed.
    pub idle_timeout: Duration,
    /// Whether the process is on its way out.
    pub drain: Drain,
    /// For the access line.
    pub account: Rc<StreamAccount>,
    /// What it holds among the WebSockets, and at the upstream.
    pub held: (WebsocketPermit, RequestPermits),
}

/// Why a tunnel ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The session has, or is not let in any more.
    Session(SessionEnd),
    /// Nothing came for too long.
    Idle,
    /// The process ends.
    Drain,
    /// The upstream has closed, or broke off.
    Upstream,
    /// The client has left.
    Client,
}

/// A tunnel under way.
struct Running {
    tunnel: Tunnel,
    body: BodySender,
    /// Bytes of the client's that the upstream has not taken yet.
    unsent: Bytes,
    unflushed: bool,
    /// The upstream takes no more. What it has still to say, such as why, is read to its end.
    deaf: bool,
    to_client: Frames,
    to_upstream: Frames,
    heard: Instant,
}

impl Tunnel {
    /// Opens the tunnel; the answer's body is the client's end of it.
    #[must_use]
    pub fn open(self) -> TunnelBody {
        let (body, out) = tunnel_body();
        let heard = monotonic_now();
        let running = Running {
            tunnel: self,
            body,
            unsent: Bytes::new(),
            unflushed: false,
            deaf: false,
            to_client: Frames::default(),
            to_upstream: Frames::default(),
            heard,
        };
        actix_web::rt::spawn(running.run());
        out
    }
}

impl Running {
    async fn run(mut self) {
        let end = poll_fn(|cx| self.poll(cx)).await;
        self.tunnel.account.error.set(match end {
            End::Session(end) => Some(end.code()),
            End::Upstream if !self.to_client.has_closed => Some(ErrorCode::UpstreamError),
            _ => None,
        });
        self.close_client(end).await;
        self.close_upstream(end).await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        if self.body.is_left(cx) {
            return Poll::Ready(End::Client);
        }
        // Before any byte: what comes from a session that has ended goes nowhere.
        if let Poll::Ready(end) = self.tunnel.watch.poll_ended(cx) {
            return Poll::Ready(End::Session(end));
        }
        if let Poll::Ready(end) = self.poll_up(cx) {
            return Poll::Ready(end);
        }
        if let Poll::Ready(end) = self.poll_down(cx) {
            return Poll::Ready(end);
        }
        // The watch wakes this task twice a second, which is often enough for these two.
        if self.tunnel.drain.ends_streams() {
            return Poll::Ready(End::Drain);
        }
        if monotonic_now().duration_since(self.heard) > self.tunnel.idle_timeout {
            Poll::Ready(End::Idle)
        } else {
            Poll::Pending
        }
    }

    /// From the client to the upstream.
    fn poll_up(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            if self.deaf {
                return Poll::Pending;
            }
            let io = &mut self.tunnel.upstream.io;
            if !self.unsent.is_empty() {
                match ready!(Pin::new(&mut *io).poll_write(cx, &self.unsent)) {
                    Ok(0) | Err(_) => self.deaf = true,
                    Ok(written) => drop(self.unsent.split_to(written)),
                }
                self.unflushed = true;
                continue;
            }
            match Pin::new(&mut self.tunnel.client).poll_next(cx) {
                Poll::Ready(Some(Ok(bytes))) => {
                    self.to_upstream.follow(&bytes);
                    if self.to_upstream.take_data() {
                        self.tunnel.watch.used();
                    }
                    let received = &self.tunnel.account.received;
                    received.update(|received| received + bytes.len() as u64);
                    self.heard = monotonic_now();
                    self.unsent = bytes;
                }
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(End::Client),
                Poll::Pending if self.unflushed => {
                    self.deaf = ready!(Pin::new(io).poll_flush(cx)).is_err();
                    self.unflushed = false;
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// From the upstream to the client.
    fn poll_down(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            ready!(self.body.poll_ready(cx));
            if ready!(self.poll_fill(cx)).is_err() {
                return Poll::Ready(End::Upstream);
            }
            self.heard = monotonic_now();
            let piece = self.tunnel.upstream.buf.split().freeze();
            self.to_client.follow(&piece);
            self.body.give(piece);
        }
    }

    /// Ready when something of the upstream's is there; an error: it has ended.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ()>> {
        if !self.tunnel.upstream.buf.is_empty() {
            return Poll::Ready(Ok(()));
        }
        match ready!(self.tunnel.upstream.poll_read(cx)) {
            Ok(0) | Err(_) => Poll::Ready(Err(())),
            Ok(_) => Poll::Ready(Ok(())),
        }
    }

    /// The frame under way to its end, then a close frame; where the frame does not end in time,
    /// the connection is cut.
    async fn close_client(&mut self, end: End) {
        let Some((code, reason)) = end.close() else {
            return self.body.end(Ok(Bytes::new()));
        };
        let rest = poll_fn(|cx| self.poll_rest_of_frame(cx));
        let whole = tokio::time::timeout(REST_OF_FRAME, rest)
            .await
            .unwrap_or(false);
        self.body.end(match (whole, self.to_client.has_closed) {
            (true, true) => Ok(Bytes::new()),
            (true, false) => Ok(close_frame(code, reason, None).into()),
            (false, _) => Err(BrokenBody::Answer(BadAnswer::Cut)),
        });
    }

    fn poll_rest_of_frame(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        loop {
            if self.to_client.is_at_boundary() {
                return Poll::Ready(true);
            }
            if self.body.is_left(cx) {
                return Poll::Ready(false);
            }
            ready!(self.body.poll_ready(cx));
            if ready!(self.poll_fill(cx)).is_err() {
                return Poll::Ready(false);
            }
            let taken = self.to_client.to_frame_end(&self.tunnel.upstream.buf);
            self.body
                .give(self.tunnel.upstream.buf.split_to(taken).freeze());
        }
    }

    /// A close frame where one may stand, then the end; what the upstream still says is read for a
    /// moment, since closing before would take away from it what it has not read yet.
    async fn close_upstream(mut self, end: End) {
        let upstream = &mut self.tunnel.upstream;
        let goodbye = async {
            if let Some((code, reason)) = end.close()
                && self.unsent.is_empty()
                && self.to_upstream.is_at_boundary()
                && !self.to_upstream.has_closed
            {
                upstream
                    .io
                    .write_all(&close_frame(code, reason, Some(random::bytes())))
                    .await?;
            }
            upstream.io.shutdown().await?;
            while upstream.io.read(&mut [0; 1024]).await? > 0 {}
            Ok::<_, std::io::Error>(())
        };
        if end != End::Upstream {
            // Whatever comes of it, the connection is dropped.
            let _ = tokio::time::timeout(GOODBYE, goodbye).await;
        }
    }
}

impl End {
    /// The close code (RFC 6455 section 7.4.1) and the reason; `None`: there is nobody to tell.
    const fn close(self) -> Option<(u16, &'static str)> {
        match self {
            Self::Session(end) => Some((1008, end.code().word())),
            Self::Idle => Some((1001, "idle")),
            Self::Drain => Some((1001, "going_away")),
            Self::Upstream => Some((1011, "upstream_error")),
            Self::Client => None,
        }
    }
}
