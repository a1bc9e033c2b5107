//! Exchanges that stop half way: what the client hears, and that nothing is held for ever.

use serde_json::Value;

use super::http_uploads::{forgotten, pattern};
use crate::helpers::{ByHand, Gateway, Probe, until};

#[tokio::test]
async fn a_body_whose_end_never_comes_is_cut_and_never_whole() {
    let backend = ByHand::start().await;
    let gateway = Gateway::start(&format!(
        "server.request_body_timeout = \"500ms\"\n{}",
        backend.route("/", "none")
    ));
    for (framing, sent) in [
        ("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n"),
        ("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n"),
        (
            "Transfer-Encoding: chunked\r\n",
            "5\r\nhello\r\n0\r\nX: y\r\n",
        ),
        ("Content-Length: 6\r\n", "hello"),
    ] {
        let request = format!("POST /x HTTP/1.1\r\nHost: x\r\n{framing}\r\n{sent}");
        // Silence first, and then a client that ends its side.
        for finished in [false, true] {
            let mut client = gateway.probe().await;
            client.send(&request).await;
            let (mut peer, _) = backend.request().await;
            if finished {
                client.finish().await;
                client.rest().await;
            } else {
                let answer = client.answer("POST").await;
                answer.refuses(408, "request_timeout", format_args!("{sent:?}: {answer:?}"));
                client.ended().await;
            }
            let body = String::from_utf8(peer.rest().await).unwrap();
            assert!(
                !body.ends_with("0\r\n\r\n") && body.len() < 16,
                "{sent:?}: {body:?}"
            );
        }
    }
    forgotten(&gateway).await;
}

/// An upload whose answer has begun; `None`: its time was up before, as on a machine that stalls.
async fn begun(gateway: &Gateway, backend: &ByHand, target: &str) -> Option<(Probe, Probe)> {
    let mut client = gateway.probe().await;
    client
        .send(format!(
            "POST {target} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
        ))
        .await;
    let (mut peer, _) = backend.request().await;
    peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
        .await;
    let status = client.head().await.status();
    if matches!(status, 400 | 408 | 504) {
        return None;
    }
    assert_eq!(
        (status, client.take(9).await),
        (200, b"4\r\nhalf\r\n".to_vec()),
        "{target}"
    );
    Some((client, peer))
}

/// What the access line says, and whether the backend got the end of the body.
async fn told(gateway: &Gateway, mut peer: Probe, target: &str) -> (Value, bool) {
    let whole = peer.rest().await.ends_with(b"0\r\n\r\n");
    let line = gateway.access_line(target, |line| line["path"] == target);
    assert_eq!(line["status"], 200, "{line}");
    (line["error"].clone(), whole)
}

/// The answer has begun, so its status stands; the line says why it broke off.
#[tokio::test]
async fn an_exchange_that_breaks_off_behind_its_head_is_told_as_what_it_was() {
    let backend = ByHand::start().await;
    let gateway = Gateway::start(&format!(
        "server.body_limit = \"1000B\"\n{}",
        backend.route("/", "none")
    ));
    let long = format!("7d0\r\n{}\r\n", "x".repeat(2000));
    for (target, then, code) in [
        ("/leaves", None, "body_broken"),
        ("/chunks", Some("z\r\n"), "body_broken"),
        ("/too-long", Some(&*long), "body_too_large"),
    ] {
        let (mut client, peer) = begun(&gateway, &backend, target).await.unwrap();
        match then {
            Some(then) => {
                client.send(then).await;
                client.ended().await;
            }
            None => drop(client),
        }
        assert_eq!(told(&gateway, peer, target).await, (code.into(), false));
    }
    // An answer without a body waits for the rest of the upload, so it may still become another
    // one.
    for (then, status, code) in [
        ("z\r\n", 400, "body_broken"),
        (&*long, 413, "body_too_large"),
    ] {
        let mut client = gateway.probe().await;
        client.send("POST /empty HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n").await;
        let (mut peer, _) = backend.request().await;
        peer.send("HTTP/1.1 204 No Content\r\n\r\n").await;
        client.send(then).await;
        let answer = client.answer("POST").await;
        answer.refuses(status, code, format_args!("{answer:?}"));
        assert!(!peer.rest().await.ends_with(b"0\r\n\r\n"), "{then:?}");
    }
}

/// The same where the time of one of them is up.
#[tokio::test]
async fn a_silence_behind_the_head_is_told_as_what_it_was() {
    let backend = ByHand::start().await;
    let strict = Gateway::start(&format!(
        "server.request_body_timeout = \"500ms\"\n{}",
        backend.route("/", "none")
    ));
    // Before the client's own time was up, the backend's was.
    let hasty = Gateway::start(&backend.route("/", "none").replace("\"5s\"", "\"500ms\""));
    for (gateway, then, code) in [
        (&strict, "", "request_timeout"),
        (&hasty, "", "body_broken"),
        (&hasty, "0\r\n\r\n", "upstream_timeout"),
    ] {
        let mut tries = 0;
        until("a try in time", async || {
            tries += 1;
            let target = format!("/{code}/{tries}");
            let (mut client, peer) = begun(gateway, &backend, &target).await?;
            client.send(then).await;
            client.ended().await;
            let (error, whole) = told(gateway, peer, &target).await;
            if !then.is_empty() && error == "body_broken" {
                // Its end came too late.
                return None;
            }
            assert_eq!((error, whole), (code.into(), !then.is_empty()));
            Some(())
        })
        .await;
    }
}

/// A backend that closes its sending side in the middle of its answer, and goes on reading.
#[tokio::test]
async fn a_backend_that_stops_sending_breaks_its_answer_off() {
    let backend = ByHand::start().await;
    let gateway = Gateway::start(&backend.route("/", "none"));
    for (answer, whole) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", None),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
            None,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n",
            None,
        ),
        ("HTTP/1.1 200 OK\r\n\r\nto the end", Some("to the end")),
        (
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
            Some("ok"),
        ),
    ] {
        let mut client = gateway.probe().await;
        client.send("GET /x HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let (mut peer, _) = backend.request().await;
        peer.send(answer).await;
        peer.finish().await;
        match whole {
            Some(body) => assert_eq!(client.answer("GET").await.text(), body),
            None => {
                let head = client.head().await;
                assert_eq!(head.status(), 200, "{answer:?}");
                let rest = String::from_utf8(client.rest().await).unwrap();
                assert!(
                    rest.contains("half") && rest.len() < 100 && !rest.ends_with("0\r\n\r\n"),
                    "{answer:?}: {rest:?}"
                );
            }
        }
        // Nothing more comes on it.
        peer.ended().await;
    }
    // In the place of an answer: tried once more on a GET, and then told.
    let mut client = gateway.probe().await;
    client
        .send("POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi")
        .await;
    let (mut peer, _) = backend.request().await;
    peer.finish().await;
    let answer = client.answer("POST").await;
    answer.refuses(502, "upstream_error", "");
    assert!(backend.is_left_alone().await, "a POST is not sent twice");
    forgotten(&gateway).await;
}

/// A backend that closes its receiving side in the middle of an upload: nobody reads the rest.
async fn stops_reading(answer: Option<&str>, status: u16, code: Option<&str>) {
    const LENGTH: usize = 64 << 20;
    let backend = ByHand::start().await;
    let config = format!(
        "server.body_limit = \"1GiB\"\n{}",
        backend.route("/", "none")
    );
    let gateway = Gateway::start(&config);
    let mut client = gateway.probe().await;
    client
        .send(format!(
            "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: {LENGTH}\r\n\r\n"
        ))
        .await;
    client.send(pattern(1000)).await;
    let (mut peer, _) = backend.request().await;
    peer.take(1000).await;
    peer.stop_listening();
    if let Some(answer) = answer {
        peer.send(answer).await;
    }
    let mut sender = client.sender();
    let upload = async {
        let piece = vec![b'x'; 1 << 20];
        for _ in 1..LENGTH >> 20 {
            if sender.try_send(&piece).await.is_err() {
                return;
            }
        }
    };
    let read = async {
        let answer = client.answer("POST").await;
        assert_eq!(
            (answer.status(), answer.code()),
            (status, code),
            "{answer:?}"
        );
        client.rest().await
    };
    let (rest, ()) = tokio::join!(read, upload);
    assert!(rest.is_empty(), "{:?}", String::from_utf8_lossy(&rest));
    forgotten(&gateway).await;
}

/// It says nothing more; and it has said already what it thinks of the request.
#[tokio::test]
async fn a_backend_that_stops_reading_holds_nobody_for_ever() {
    const STOP: &str = "HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nstop";
    tokio::join!(
        stops_reading(None, 504, Some("upstream_timeout")),
        stops_reading(Some(STOP), 403, None)
    );
}

#[tokio::test]
async fn a_backend_that_hangs_is_a_timeout_wherever_it_stops() {
    let backend = ByHand::start().await;
    let gateway = Gateway::start(&backend.route("/", "none").replace("\"5s\"", "\"1s\""));
    for (request, begun) in [
        ("GET /x HTTP/1.1\r\nHost: x\r\n\r\n", ""),
        (
            "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi",
            "",
        ),
        (
            "GET /x HTTP/1.1\r\nHost: x\r\n\r\n",
            "HTTP/1.1 103 Early Hints\r\n\r\n",
        ),
        (
            "GET /x HTTP/1.1\r\nHost: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Le",
        ),
    ] {
        let mut client = gateway.probe().await;
        client.send(request).await;
        let (mut peer, _) = backend.request().await;
        peer.send(begun).await;
        let answer = client.answer("GET").await;
        answer.refuses(
            504,
            "upstream_timeout",
            format_args!("{begun:?}: {answer:?}"),
        );
        // The backend's connection does not go on; the client's may.
        peer.rest().await;
        if !answer.head.closes() {
            assert_eq!(client.ask("GET", "/auth/healthz", "").await.text(), "ok");
        }
    }
    // Behind the head it is too late for another status. (A machine may stall before it.)
    let (mut client, mut peer) = until("an answer that begins in time", async || {
        let mut client = gateway.probe().await;
        client.send("GET /x HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let (mut peer, _) = backend.request().await;
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            .await;
        let status = client.head().await.status();
        assert!(matches!(status, 200 | 504), "{status}");
        (status == 200).then_some((client, peer))
    })
    .await;
    assert_eq!(client.rest().await, b"half");
    peer.ended().await;
    forgotten(&gateway).await;
}
