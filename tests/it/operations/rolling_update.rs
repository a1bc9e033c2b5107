//! One gateway is told to end under load while another stands beside it: no request is lost.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use nix::sys::signal::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::helpers::{Gateway, Upstream, http, until};

const CLIENTS: usize = 64;

/// What the clients share: where they connect to, and what came of it.
struct Clients {
    leaving: SocketAddr,
    staying: SocketAddr,
    /// The balancer has noticed that the first is not ready any more.
    noticed: AtomicBool,
    over: AtomicBool,
    answered: AtomicUsize,
    told_to_close: AtomicUsize,
    refused: AtomicUsize,
}

impl Clients {
    /// One request after the other on a kept connection, until the answer says that it ends. The
    /// error: a request that was lost.
    async fn run(&self) -> Result<(), String> {
        let mut kept: Option<TcpStream> = None;
        while !self.over.load(Ordering::SeqCst) {
            let mut stream = match kept.take() {
                Some(stream) => stream,
                None => self.connect().await?,
            };
            stream
                .write_all(b"GET /api HTTP/1.1\r\nHost: x\r\n\r\n")
                .await
                .map_err(|error| format!("sending: {error}"))?;
            let head = answer(&mut stream).await?;
            if !head.starts_with("HTTP/1.1 200") {
                return Err(head);
            }
            self.answered.fetch_add(1, Ordering::SeqCst);
            if head.to_lowercase().contains("connection: close") {
                self.told_to_close.fetch_add(1, Ordering::SeqCst);
            } else {
                kept = Some(stream);
            }
        }
        Ok(())
    }

    async fn connect(&self) -> Result<TcpStream, String> {
        if !self.noticed.load(Ordering::SeqCst) {
            match TcpStream::connect(self.leaving).await {
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                    self.refused.fetch_add(1, Ordering::SeqCst);
                }
                other => return other.map_err(|error| format!("connecting: {error}")),
            }
        }
        TcpStream::connect(self.staying)
            .await
            .map_err(|error| format!("connecting to the other: {error}"))
    }
}

/// Reads one answer; gives its head.
async fn answer(stream: &mut TcpStream) -> Result<String, String> {
    let mut all = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&all).to_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length: usize = head
                .split("content-length: ")
                .nth(1)
                .and_then(|rest| rest.lines().next()?.parse().ok())
                .ok_or_else(|| format!("no length: {head}"))?;
            if body.len() == length {
                return Ok(head.replacen("http", "HTTP", 1));
            }
        }
        let mut buf = [0; 4096];
        match stream.read(&mut buf).await {
            Ok(0) => return Err(format!("closed after {} bytes of an answer", all.len())),
            Ok(n) => all.extend_from_slice(&buf[..n]),
            Err(error) => return Err(format!("reading: {error}")),
        }
    }
}

#[tokio::test]
async fn sigterm_under_load_loses_no_request() {
    let backend = Upstream::named("one");
    let config = format!(
        "server.drain_grace = \"5s\"\nserver.drain_deadline = \"30s\"\n{}",
        backend.route("/api", "none")
    );
    let mut leaving = Gateway::start(&config);
    let staying = leaving.sibling();
    let clients = Arc::new(Clients {
        leaving: leaving.listen,
        staying: staying.listen,
        noticed: AtomicBool::new(false),
        over: AtomicBool::new(false),
        answered: AtomicUsize::new(0),
        told_to_close: AtomicUsize::new(0),
        refused: AtomicUsize::new(0),
    });
    let answered = || clients.answered.load(Ordering::SeqCst);
    let tasks: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let clients = clients.clone();
            tokio::spawn(async move { clients.run().await })
        })
        .collect();
    until("everybody at work", async || answered() > CLIENTS * 5).await;
    leaving.signal(Signal::SIGTERM);
    // The balancer asks now and then; meanwhile clients still come here.
    until("the balancer to notice", async || {
        let ready = http()
            .get(leaving.admin_at("/readyz"))
            .try_send()
            .await
            .ok()?
            .status();
        (ready == 503 && clients.told_to_close.load(Ordering::SeqCst) > CLIENTS).then_some(())
    })
    .await;
    clients.noticed.store(true, Ordering::SeqCst);
    until("the end of the first", async || !leaving.runs()).await;
    assert_eq!(leaving.ended().code(), Some(0), "{}", leaving.stderr());
    let before = answered();
    until("everybody at the other", async || {
        answered() > before + CLIENTS * 5
    })
    .await;
    clients.over.store(true, Ordering::SeqCst);
    let mut lost = Vec::new();
    for task in tasks {
        lost.extend(task.await.unwrap().err());
    }
    println!(
        "{} answered, {} told to reconnect, {} refused",
        answered(),
        clients.told_to_close.load(Ordering::SeqCst),
        clients.refused.load(Ordering::SeqCst)
    );
    assert!(lost.is_empty(), "{lost:?}");
    let lines = |gateway: &Gateway| {
        gateway
            .stdout()
            .lines()
            .filter(|line| line.contains("\"/api\"") && line.contains(":200,"))
            .count()
    };
    until("the access lines", async || {
        lines(&staying) + lines(&leaving) == answered()
    })
    .await;
}
