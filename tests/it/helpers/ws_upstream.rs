//! A WebSocket server that keeps what it was asked, and acts as its path says.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::builder::route;

/// The server; it lives as long as the test's runtime.
#[derive(Debug, Clone, Default)]
pub(crate) struct WsUpstream {
    pub(crate) url: String,
    /// Handshakes: the path, and each header as a line.
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
    /// Connections that were opened, and that have ended.
    pub(crate) opened: Arc<AtomicUsize>,
    pub(crate) ended: Arc<AtomicUsize>,
    /// What came: texts, and close codes as `close 1000`.
    pub(crate) heard: Arc<Mutex<Vec<String>>>,
}

impl WsUpstream {
    /// A route of the configuration to it.
    pub(crate) fn route(&self, path: &str, auth: &str) -> String {
        route(path, &self.url, auth)
    }

    pub(crate) async fn start() -> Self {
        Self::listen("http", None).await
    }

    /// The same with TLS.
    pub(crate) async fn with_tls(tls: TlsAcceptor) -> Self {
        Self::listen("https", Some(tls)).await
    }

    async fn listen(scheme: &str, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = Self {
            url: format!("{scheme}://{}", listener.local_addr().unwrap()),
            ..Self::default()
        };
        let shared = upstream.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                shared.opened.fetch_add(1, Ordering::SeqCst);
                let (own, tls) = (shared.clone(), tls.clone());
                tokio::spawn(async move {
                    let ended = own.ended.clone();
                    match tls {
                        None => own.serve(stream).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                own.serve(stream).await;
                            }
                        }
                    }
                    ended.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        upstream
    }

    /// The lines of the n-th handshake.
    pub(crate) fn handshake(&self, n: usize) -> String {
        self.asked.lock().unwrap()[n].clone()
    }

    async fn serve(self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let path = Arc::new(Mutex::new(String::new()));
        #[expect(clippy::result_large_err, reason = "the library's own type")]
        let look = |request: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
            let lines: String = request
                .headers()
                .iter()
                .map(|(n, v)| format!("{n}: {}\n", String::from_utf8_lossy(v.as_bytes())))
                .collect();
            self.asked
                .lock()
                .unwrap()
                .push(format!("{}\n{lines}", request.uri()));
            *path.lock().unwrap() = request.uri().path().to_owned();
            match request.uri().path() {
                "/chat" => drop(
                    response
                        .headers_mut()
                        .insert("sec-websocket-protocol", HeaderValue::from_static("chat")),
                ),
                "/foreign" => drop(response.headers_mut().insert(
                    "sec-websocket-protocol",
                    HeaderValue::from_static("never-offered"),
                )),
                "/wrong" => drop(response.headers_mut().insert(
                    "sec-websocket-accept",
                    HeaderValue::from_static("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
                )),
                "/refused" => {
                    return Err(Response::builder()
                        .status(409)
                        .header("x-why", "full")
                        .body(Some("no room".to_owned()))
                        .unwrap());
                }
                _ => {}
            }
            Ok(response)
        };
        let Ok(mut socket) = accept_hdr_async(stream, look).await else {
            return;
        };
        let path = path.lock().unwrap().clone();
        match path.as_str() {
            "/flood" => while socket.send(Message::binary(vec![7; 65_536])).await.is_ok() {},
            "/half" => {
                // The head of a frame of ten bytes, and three of them.
                let _ = socket.get_mut().write_all(b"\x82\x0aabc").await;
                self.heard.lock().unwrap().push("half sent".to_owned());
                while let Some(Ok(_)) = socket.next().await {}
            }
            "/late" => {
                let _ = socket.get_mut().write_all(b"\x82\x0aabc").await;
                let _ = socket.next().await;
                let _ = socket.get_mut().write_all(b"defghij\x82\x01x").await;
                while let Some(Ok(_)) = socket.next().await {}
            }
            "/die" => drop(socket.next().await),
            "/close" => {
                let _ = socket
                    .close(Some(CloseFrame {
                        code: 4001.into(),
                        reason: "enough".into(),
                    }))
                    .await;
                while let Some(Ok(_)) = socket.next().await {}
            }
            _ => {
                while let Some(Ok(message)) = socket.next().await {
                    let _ = match message {
                        Message::Text(text) => {
                            self.heard.lock().unwrap().push(text.to_string());
                            socket.send(Message::text(text)).await
                        }
                        Message::Binary(bytes) => socket.send(Message::binary(bytes)).await,
                        Message::Close(frame) => {
                            self.heard.lock().unwrap().push(format!(
                                "close {}",
                                frame.map_or(0, |frame| frame.code.into())
                            ));
                            continue;
                        }
                        _ => Ok(()),
                    };
                }
            }
        }
    }
}
