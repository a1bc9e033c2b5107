//! What the access line says of an answer that did not go out in full, and of a request that was
//! not: whose doing it was.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::helpers::{ByHand, Gateway, Probe, Script, Upstream, until};

/// Status and error of the line with this path, once it is written.
async fn line(gateway: &Gateway, path: &str) -> Value {
    let lines = || {
        gateway
            .stdout()
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .find(|line| line["path"] == path)
    };
    let line = until(path, async || lines()).await;
    json!([line["status"], line["error"]])
}

async fn get(gateway: &Gateway, path: &str) -> Probe {
    let mut client = gateway.probe().await;
    client
        .send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"))
        .await;
    client
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_told_from_one_that_leaves() {
    let flood = Upstream::start(Script::flood(
        "HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n",
    ));
    let hasty = Gateway::start(&format!(
        "server.write_timeout = \"500ms\"\n{}",
        flood.route("/flood", "none")
    ));
    let mut slow = get(&hasty, "/flood/slow").await;
    assert_eq!(slow.head().await.status(), 200);
    assert_eq!(
        line(&hasty, "/flood/slow").await,
        json!([200, "write_timeout"])
    );
    // With the usual minute: a client that stalls before it leaves has taken nothing for a while.
    let hand = ByHand::start().await;
    let gateway = Gateway::start(&(flood.route("/flood", "none") + &hand.route("/hand", "none")));
    let mut leaves = get(&gateway, "/flood/leaves").await;
    assert_eq!(leaves.head().await.status(), 200);
    drop(leaves);
    assert_eq!(
        line(&gateway, "/flood/leaves").await,
        json!([200, "client_left"])
    );
    // While nothing comes of an event stream.
    let mut leaves = get(&gateway, "/hand/stream").await;
    let (mut peer, _) = hand.request().await;
    peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n")
        .await;
    assert_eq!(
        (leaves.head().await.status(), leaves.take(7).await),
        (200, b"2\r\nhi\r\n".to_vec())
    );
    drop(leaves);
    assert_eq!(
        line(&gateway, "/hand/stream").await,
        json!([200, "client_left"])
    );
    // Before there is an answer its status says so.
    let leaves = get(&gateway, "/hand/early").await;
    let (mut peer, _) = hand.request().await;
    drop(leaves);
    assert_eq!(line(&gateway, "/hand/early").await, json!([499, null]));
    peer.ended().await;
    // And nothing is said of an answer that is whole.
    let mut stays = get(&gateway, "/hand/whole").await;
    let (mut peer, _) = hand.request().await;
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        .await;
    assert_eq!(stays.answer("GET").await.text(), "ok");
    assert_eq!(line(&gateway, "/hand/whole").await, json!([200, null]));
}

/// Who is told that its body is broken has not left.
#[tokio::test]
async fn a_broken_upload_is_a_400_where_its_client_is_there_to_read_it() {
    let backend = ByHand::start().await;
    let gateway = Gateway::start(&backend.route("/", "none"));
    let begun = |path: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
        )
    };
    for path in ["/broken", "/auth/login"] {
        let mut client = gateway.probe().await;
        client.send(begun(path) + "zz\r\n").await;
        let answer = client.answer("POST").await;
        answer.refuses(400, "body_broken", format_args!("{path}: {answer:?}"));
        assert_eq!(
            line(&gateway, path).await,
            json!([400, "body_broken"]),
            "{path}"
        );
    }
    assert_eq!(
        gateway
            .counted("hufu_requests_total{route=\"/\",status=\"400\"}")
            .await,
        1
    );
    // The broken one had reached the backend.
    backend.request().await;
    let mut client = gateway.probe().await;
    client.send(begun("/leaves")).await;
    let (mut peer, _) = backend.request().await;
    drop(client);
    assert!(!peer.rest().await.ends_with(b"0\r\n\r\n"));
    assert_eq!(line(&gateway, "/leaves").await, json!([499, "body_broken"]));
    let mut client = gateway.probe().await;
    client
        .send(begun("/auth/login").replace("POST /auth/login", "POST /auth/login?leaves"))
        .await;
    drop(client);
    let left = || {
        gateway
            .stdout()
            .lines()
            .filter(|line| line.contains("\"/auth/login\"") && line.contains("499"))
            .count()
    };
    until("the one who left while logging in", async || left() == 1).await;
}

#[tokio::test]
async fn what_the_end_of_the_process_cuts_is_told_as_such() {
    let backend = ByHand::start().await;
    let settings = "server.drain_grace = \"0s\"\nserver.drain_deadline = \"1s\"\n";
    let mut gateway = Gateway::start(&format!(
        "{settings}{}",
        backend.route("/", "none").replace("\"5s\"", "\"60s\"")
    ));
    let mut streams = Vec::new();
    for (path, head) in [
        ("/stream", "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"),
        ("/long", "Content-Length: 100\r\n\r\nhalf"),
    ] {
        let mut client = get(&gateway, path).await;
        let (mut peer, _) = backend.request().await;
        peer.send(format!("HTTP/1.1 200 OK\r\n{head}")).await;
        assert_eq!(client.head().await.status(), 200);
        streams.push((client, peer));
    }
    let mut waits = get(&gateway, "/waits").await;
    let (mut peer, _) = backend.request().await;
    // The gateway's own endpoints too: a login that stays half.
    let mut login = gateway.probe().await;
    login.send("POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{").await;
    gateway.counts("hufu_requests_in_flight", 4).await;
    gateway.signal(Signal::SIGTERM);
    for (client, method) in [(&mut waits, "GET"), (&mut login, "POST")] {
        let answer = client.answer(method).await;
        assert_eq!(
            (answer.status(), answer.code(), answer.head.closes()),
            (503, Some("shutting_down"), true),
            "{answer:?}"
        );
    }
    peer.ended().await;
    for (mut client, _) in streams {
        let rest = client.rest().await;
        assert!(
            rest.ends_with(b"half") || rest.ends_with(b"half\r\n"),
            "{}",
            String::from_utf8_lossy(&rest)
        );
    }
    assert_eq!(gateway.ended().code(), Some(0), "{}", gateway.stderr());
    gateway.assert_logged("4 requests were cut at server.drain_deadline");
    assert_eq!(
        (
            line(&gateway, "/waits").await,
            line(&gateway, "/auth/login").await
        ),
        (json!([503, "shutting_down"]), json!([503, "shutting_down"]))
    );
    assert_eq!(
        (
            line(&gateway, "/stream").await,
            line(&gateway, "/long").await
        ),
        (json!([200, "shutting_down"]), json!([200, "shutting_down"]))
    );
}
