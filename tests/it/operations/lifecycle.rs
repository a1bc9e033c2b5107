//! The end of the process: announced, drained, and at once when asked twice.

use nix::sys::signal::Signal;
use tokio::io::AsyncWriteExt as _;

use crate::helpers::{
    Gateway, GatewayBuilder, Script, Upstream, echo_upstream, http, probe, script::ok, until,
};

#[tokio::test]
async fn sigterm_announces_drains_and_ends_with_success() {
    let echo = echo_upstream();
    let config = format!(
        "server.drain_grace = \"8s\"\nserver.drain_deadline = \"30s\"\nserver.request_head_timeout = \"60s\"\n{}",
        echo.route("/", "none")
            .replace("timeout = \"5s\"", "timeout = \"60s\"")
    );
    let mut gateway = Gateway::start(&config);
    let mut kept = gateway.connect().await;
    kept.write_all(b"GET /before HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(probe::read(&mut kept).await.header("connection"), None);
    // Connections that rest at the end, in each of their states.
    let mut resting = Vec::new();
    for begun in [
        "",
        "GET /half",
        "GET /whole HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /auth/none HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nbody",
    ] {
        let mut client = gateway.connect().await;
        client.write_all(begun.as_bytes()).await.unwrap();
        if begun.ends_with("\r\n\r\n") || begun.ends_with("body") {
            probe::read(&mut client).await;
        }
        resting.push(client);
    }
    let mut slow = gateway.connect().await;
    slow.write_all(b"GET /slow/7000 HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    until("the slow request to be under way", async || {
        let page = gateway.admin_get("/metrics").await.text();
        page.contains("hufu_requests_in_flight 1")
    })
    .await;

    gateway.signal(Signal::SIGTERM);
    until("not being ready", async || {
        let answer = gateway.admin_get("/readyz").try_send().await.ok()?;
        let status = answer.status();
        let body = answer.json();
        (status == 503 && body["status"] == "draining").then_some(())
    })
    .await;
    let healthz = gateway
        .raw(b"GET /auth/healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        .await;
    assert_eq!(
        (healthz.status, healthz.body(), healthz.closed),
        (503, "draining", true),
        "balancers that see only this port notice"
    );
    kept.write_all(b"GET /during HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let during = probe::read(&mut kept).await;
    assert_eq!(
        (during.status, during.header("connection"), during.closed),
        (200, Some("close"), true),
        "{}",
        during.text
    );
    let fresh = gateway.raw(b"GET /fresh HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(
        (fresh.status, fresh.header("connection")),
        (200, Some("close")),
        "still accepting within the grace"
    );
    assert_eq!(
        probe::read(&mut slow).await.status,
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
        assert!(probe::read_to_the_end(client).await.closed);
    }
}

#[tokio::test]
async fn an_access_log_that_nobody_reads_does_not_keep_the_process_alive() {
    let echo = echo_upstream();
    let mut gateway = GatewayBuilder::new()
        .config(format!(
            "server.drain_grace = \"0s\"\n{}",
            echo.route("/", "none")
        ))
        .blocked_stdout()
        .start();
    let client = http();
    let long = "x".repeat(4000);
    for _ in 0..40 {
        assert_eq!(
            client.get(gateway.at(&format!("/{long}"))).await.status(),
            200
        );
    }
    gateway.signal(Signal::SIGTERM);
    assert_eq!(gateway.ended().code(), Some(0), "{}", gateway.stderr());
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let upstream = Upstream::start(Script::hang());
    let mut gateway = Gateway::start(&upstream.route("/", "none"));
    let mut client = gateway.connect().await;
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    until("the request upstream", async || {
        !upstream.connections().is_empty()
    })
    .await;
    gateway.signal(Signal::SIGTERM);
    gateway
        .logs("a second signal stops the gateway at once")
        .await;
    gateway.signal(Signal::SIGTERM);
    assert_eq!(gateway.ended().code(), Some(1));
    gateway.assert_logged("stopped at once");
}

#[tokio::test]
async fn sigint_and_sigquit_drain_too() {
    for (signal, name) in [(Signal::SIGINT, "SIGINT"), (Signal::SIGQUIT, "SIGQUIT")] {
        let upstream = Upstream::start(Script::after_body(2, ok()));
        let mut gateway = Gateway::start(&format!(
            "server.drain_grace = \"0s\"\n{}",
            upstream.route("/", "none")
        ));
        let mut client = gateway.connect().await;
        client
            .write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n")
            .await
            .unwrap();
        until("the request upstream", async || {
            !upstream.connections().is_empty()
        })
        .await;
        gateway.signal(signal);
        until("draining", async || {
            gateway.stderr().contains(&format!("{name}: draining"))
        })
        .await;
        client.write_all(b"ab").await.unwrap();
        assert_eq!(
            probe::read(&mut client).await.status,
            200,
            "a request under way is finished"
        );
        assert_eq!(gateway.ended().code(), Some(0), "{}", gateway.stderr());
    }
}

#[tokio::test]
async fn what_logrotate_sends_is_ignored_with_a_line() {
    let echo = echo_upstream();
    let mut gateway = Gateway::start(&echo.route("/", "none"));
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
            until("the line", async || lines(&gateway, name) == n).await;
            assert_eq!(gateway.get("/x").await.status(), 200);
        }
    }
    assert!(gateway.runs() && !gateway.stderr().contains("draining"));
    gateway.signal(Signal::SIGTERM);
    assert_eq!(gateway.ended().code(), Some(0), "{}", gateway.stderr());
}
