//! The end of the process: announced, drained, and at once when asked twice.

use nix::sys::signal::Signal;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::helpers::gateway::{Gateway, Setup, route};
use crate::helpers::recorder::{Recorder, Reply, ok};
use crate::helpers::servers::{echo_upstream, http};
use crate::helpers::wait::until;
use crate::helpers::wire;

#[tokio::test]
async fn sigterm_announces_drains_and_ends_with_success() {
    let echo = echo_upstream();
    let config = format!(
        "server.drain_grace = \"3s\"\nserver.drain_deadline = \"5s\"\n{}",
        route("/", &echo.url, "none")
    );
    let mut gateway = Gateway::with(&Setup {
        config,
        ..Setup::default()
    });
    let mut kept = TcpStream::connect(gateway.listen).await.unwrap();
    kept.write_all(b"GET /before HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(wire::read(&mut kept).await.header("connection"), None);
    // Connections that rest at the end, in each of their states.
    let mut resting = Vec::new();
    for begun in [
        "",
        "GET /half",
        "GET /whole HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /auth/none HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nbody",
    ] {
        let mut client = TcpStream::connect(gateway.listen).await.unwrap();
        client.write_all(begun.as_bytes()).await.unwrap();
        if begun.ends_with("\r\n\r\n") || begun.ends_with("body") {
            wire::read(&mut client).await;
        }
        resting.push(client);
    }
    let mut slow = TcpStream::connect(gateway.listen).await.unwrap();
    slow.write_all(b"GET /slow/1500 HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    until("the slow request to be under way", async || {
        let page = http()
            .get(gateway.admin_at("/metrics"))
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        page.contains("hufu_requests_in_flight 1").then_some(())
    })
    .await;

    gateway.signal(Signal::SIGTERM);
    until("not being ready", async || {
        let answer = http().get(gateway.admin_at("/readyz")).send().await.ok()?;
        let status = answer.status();
        let body: Value = answer.json().await.ok()?;
        (status == 503 && body["status"] == "draining").then_some(())
    })
    .await;
    let healthz = wire::send(
        gateway.listen,
        b"GET /auth/healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    )
    .await;
    assert_eq!(
        (healthz.status, healthz.body(), healthz.closed),
        (503, "draining", true),
        "balancers that see only this port notice"
    );
    kept.write_all(b"GET /during HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let during = wire::read(&mut kept).await;
    assert_eq!(
        (during.status, during.header("connection"), during.closed),
        (200, Some("close"), true),
        "{}",
        during.text
    );
    let fresh = wire::send(gateway.listen, b"GET /fresh HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(
        (fresh.status, fresh.header("connection")),
        (200, Some("close")),
        "still accepting within the grace"
    );
    assert_eq!(
        wire::read(&mut slow).await.status,
        200,
        "a request under way is finished"
    );
    assert_eq!(gateway.ended().code(), Some(0), "{}", gateway.stderr());
    assert_eq!(
        gateway.stdout().lines().count(),
        7,
        "no access line is lost: {}",
        gateway.stdout()
    );
    for client in &mut resting {
        assert!(wire::read_to_the_end(client).await.closed);
    }
}

#[tokio::test]
async fn an_access_log_that_nobody_reads_does_not_keep_the_process_alive() {
    let echo = echo_upstream();
    let mut gateway = Gateway::with_blocked_stdout(&format!(
        "server.drain_grace = \"0s\"\n{}",
        route("/", &echo.url, "none")
    ));
    let client = http();
    let long = "x".repeat(4000);
    for _ in 0..40 {
        assert_eq!(
            client
                .get(gateway.at(&format!("/{long}")))
                .send()
                .await
                .unwrap()
                .status(),
            200
        );
    }
    gateway.signal(Signal::SIGTERM);
    assert_eq!(gateway.ended().code(), Some(0), "{}", gateway.stderr());
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let upstream = Recorder::start(Reply::Never).await;
    let mut gateway = Gateway::with(&Setup {
        config: route("/", &upstream.url, "none"),
        ..Setup::default()
    });
    let mut client = TcpStream::connect(gateway.listen).await.unwrap();
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    until("the request upstream", async || {
        (!upstream.connections().is_empty()).then_some(())
    })
    .await;
    gateway.signal(Signal::SIGTERM);
    until("draining, and the word on a second signal", async || {
        gateway
            .stderr()
            .contains("a second signal stops the gateway at once")
            .then_some(())
    })
    .await;
    gateway.signal(Signal::SIGTERM);
    assert_eq!(gateway.ended().code(), Some(1));
    assert!(
        gateway.stderr().contains("stopped at once"),
        "{}",
        gateway.stderr()
    );
}

#[tokio::test]
async fn sigint_and_sigquit_drain_too() {
    for (signal, name) in [(Signal::SIGINT, "SIGINT"), (Signal::SIGQUIT, "SIGQUIT")] {
        let upstream = Recorder::start(Reply::AfterBody(2, ok())).await;
        let mut gateway = Gateway::with(&Setup {
            config: format!(
                "server.drain_grace = \"0s\"\n{}",
                route("/", &upstream.url, "none")
            ),
            ..Setup::default()
        });
        let mut client = TcpStream::connect(gateway.listen).await.unwrap();
        client
            .write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n")
            .await
            .unwrap();
        until("the request upstream", async || {
            (!upstream.connections().is_empty()).then_some(())
        })
        .await;
        gateway.signal(signal);
        until("draining", async || {
            gateway
                .stderr()
                .contains(&format!("{name}: draining"))
                .then_some(())
        })
        .await;
        client.write_all(b"ab").await.unwrap();
        assert_eq!(
            wire::read(&mut client).await.status,
            200,
            "a request under way is finished"
        );
        assert_eq!(gateway.ended().code(), Some(0), "{}", gateway.stderr());
    }
}

#[tokio::test]
async fn what_logrotate_sends_is_ignored_with_a_line() {
    let echo = echo_upstream();
    let mut gateway = Gateway::start(&route("/", &echo.url, "none"));
    let lines = |gateway: &Gateway, name: &str| {
        gateway
            .stderr()
            .lines()
            .filter(|line| line.contains(&format!("{name} ignored")))
            .count()
    };
    for (signal, name) in [(Signal::SIGUSR1, "SIGUSR1"), (Signal::SIGUSR2, "SIGUSR2")] {
        for n in 1..=2 {
            gateway.signal(signal);
            until("the line", async || {
                (lines(&gateway, name) == n).then_some(())
            })
            .await;
            assert_eq!(
                http().get(gateway.at("/x")).send().await.unwrap().status(),
                200
            );
        }
    }
    assert!(gateway.runs() && !gateway.stderr().contains("draining"));
    gateway.signal(Signal::SIGTERM);
    assert_eq!(gateway.ended().code(), Some(0), "{}", gateway.stderr());
}
