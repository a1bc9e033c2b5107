//! Bodies: whole ones arrive whole, broken ones broken, large ones in constant memory.

use std::time::Duration;

use hufu::clock::monotonic_now;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::helpers::{Gateway, Script, Upstream, echo_upstream, http, probe, script::ok, until};

const MIB: u64 = 1 << 20;

/// The upload and the download that must not show in the gateway's memory.
const LARGE: u64 = 1024 * MIB;

/// What the gateway may grow by meanwhile.
const BOUND_KIB: u64 = 64 * 1024;

#[tokio::test]
async fn a_client_that_leaves_half_way_is_a_broken_body_upstream() {
    let upstream = Upstream::start(Script::hang());
    let gateway = Gateway::start(&upstream.route("/", "none"));
    for (n, (head, half)) in [
        ("Content-Length: 100000", "x".repeat(40_000)),
        ("Content-Length: 10", "12345".to_owned()),
        (
            "Transfer-Encoding: chunked",
            format!("9c40\r\n{}\r\n", "y".repeat(40_000)),
        ),
        ("Transfer-Encoding: chunked", "5\r\n123".to_owned()),
    ]
    .into_iter()
    .enumerate()
    {
        let mut client = gateway.connect().await;
        client
            .write_all(format!("POST /{n} HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n{half}").as_bytes())
            .await
            .unwrap();
        until("the upstream to have what was sent", async || {
            upstream
                .connections()
                .iter()
                .any(|c| c.head().contains(&format!("/{n} ")) && !c.body().is_empty())
        })
        .await;
        drop(client);
        let record = until("the upstream's connection to be closed", async || {
            upstream
                .connections()
                .into_iter()
                .find(|c| c.head().contains(&format!("/{n} ")) && c.closed)
        })
        .await;
        let body = String::from_utf8(record.body().to_vec()).unwrap();
        assert!(
            !body.ends_with("0\r\n\r\n"),
            "a broken chunked body must not be ended"
        );
        if let Some(length) = record.values("content-length").first() {
            assert!(
                body.len() < length.parse::<usize>().unwrap(),
                "{} of {length}",
                body.len()
            );
        }
        gateway.access_line("the client's leaving", |line| {
            line["path"] == format!("/{n}") && line["status"] == 499
        });
    }
}

#[tokio::test]
async fn a_client_that_leaves_while_the_upstream_works_cancels_the_request() {
    let upstream = Upstream::start(Script::hang());
    let gateway = Gateway::start(&upstream.route("/", "none"));
    let mut client = gateway.connect().await;
    client
        .write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    until("the request upstream", async || {
        !upstream.connections().is_empty()
    })
    .await;
    drop(client);
    until("the cancelled request", async || {
        upstream.connections()[0].closed
    })
    .await;
    gateway.access_line("the client's leaving", |line| {
        line["path"] == "/slow" && line["status"] == 499
    });
}

#[tokio::test]
async fn an_early_answer_does_not_cut_the_upload_short() {
    const PIECES: usize = 80;
    const PIECE: usize = 100_000;
    for framing in ["Content-Length: 8000000", "Transfer-Encoding: chunked"] {
        let chunked = framing.starts_with('T');
        let upstream = Upstream::start(Script::at_head(ok()));
        let gateway = Gateway::start(&upstream.route("/", "none"));
        let mut client = gateway.probe().await;
        client
            .send(format!(
                "POST /upload HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n"
            ))
            .await;
        let answer = client.answer("POST").await;
        assert_eq!(
            (answer.status(), answer.text().as_str()),
            (200, "ok"),
            "the answer does not wait for the upload"
        );
        for _ in 0..PIECES {
            let piece = "x".repeat(PIECE);
            let piece = if chunked {
                format!("{PIECE:x}\r\n{piece}\r\n")
            } else {
                piece
            };
            client.send(piece).await;
        }
        if chunked {
            client.send("0\r\n\r\n").await;
        }
        until("the whole body upstream", async || {
            let body = upstream.connections()[0].body().to_vec();
            let letters = body.iter().filter(|b| **b == b'x').count();
            letters == PIECES * PIECE && (!chunked || body.ends_with(b"0\r\n\r\n"))
        })
        .await;
        // What the upstream took the rest for, only it knows: nobody else's request meets that
        // connection.
        gateway
            .raw(b"GET /next HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .await;
        assert_eq!(upstream.connections().len(), 2, "{framing}");
    }
}

#[tokio::test]
async fn bodies_arrive_as_they_were_sent() {
    let echo = echo_upstream();
    let gateway = Gateway::start(&echo.route("/", "none"));
    let body: Vec<u8> = (0..3 * MIB)
        .map(|n| u8::try_from((n * 31) % 251).unwrap())
        .collect();
    let digest = hufu::crypto::hash::to_hex(&hufu::crypto::hash::sha256(&body));
    for chunked in [false, true] {
        let request = gateway.put("/sink");
        let request = if chunked {
            let pieces: Vec<_> = body
                .chunks(7777)
                .map(|piece| Ok::<_, std::io::Error>(piece.to_vec()))
                .collect();
            request.body(reqwest::Body::wrap_stream(futures_util::stream::iter(
                pieces,
            )))
        } else {
            request.body(body.clone())
        };
        let answer: Value = request.await.json();
        assert_eq!(
            (&answer["bytes"], &answer["sha256"]),
            (&(3 * MIB).into(), &digest.clone().into()),
            "chunked: {chunked}"
        );
    }
    let empty: Value = gateway.post("/sink").body("").await.json();
    assert_eq!(empty["bytes"], 0);
}

#[tokio::test]
async fn bodies_over_the_limit_are_refused_and_never_whole_upstream() {
    let upstream = Upstream::start(Script::hang());
    let gateway = Gateway::start(&format!(
        "server.body_limit = \"1000B\"\n{}",
        upstream.route("/", "none")
    ));
    let sized = gateway
        .raw(format!(
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n{}",
            "x".repeat(1001)
        ))
        .await;
    assert_eq!(
        (sized.status, sized.code(), sized.header("connection")),
        (413, Some("body_too_large"), Some("close"))
    );
    assert!(upstream.connections().is_empty());
    let chunked = gateway.raw(format!("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n{}\r\n0\r\n\r\n", "x".repeat(1001)))
    .await;
    chunked.refuses(413, "body_too_large", "");
    upstream.all_closed().await;
    assert!(
        upstream
            .connections()
            .iter()
            .all(|c| !c.body().ends_with(b"0\r\n\r\n"))
    );
}

#[tokio::test]
async fn bodiless_answers_keep_their_headers_and_their_connections() {
    for (method, answer, expected) in [
        (
            "HEAD",
            "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n",
            "content-length: 1234",
        ),
        (
            "GET",
            "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 1234\r\n\r\n",
            "content-length: 1234",
        ),
        (
            "GET",
            "HTTP/1.1 204 No Content\r\nX-Kept: yes\r\n\r\n",
            "x-kept: yes",
        ),
        (
            "GET",
            "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-1/9\r\nContent-Length: 2\r\n\r\nok",
            "content-range: bytes 0-1/9",
        ),
    ] {
        let upstream = Upstream::start(Script::at_head(answer));
        let gateway = Gateway::start(&upstream.route("/", "none"));
        let mut client = gateway.connect().await;
        for _ in 0..3 {
            client
                .write_all(
                    format!("{method} / HTTP/1.1\r\nHost: x\r\nRange: bytes=0-1\r\n\r\n")
                        .as_bytes(),
                )
                .await
                .unwrap();
            let got = match method {
                "HEAD" => probe::read_head(&mut client).await,
                _ => probe::read(&mut client).await,
            };
            assert!(
                got.text.to_lowercase().contains(expected),
                "{method} {answer}: {}",
                got.text
            );
            assert!(!got.closed && got.body().len() <= 2, "{}", got.text);
        }
        assert_eq!(upstream.connections().len(), 1, "{method} {answer}");
        assert_eq!(upstream.connections()[0].values("range"), ["bytes=0-1"]);
    }
}

#[tokio::test]
async fn event_streams_pass_without_waiting_for_their_end() {
    let upstream = Upstream::start(Script::at_head(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n"));
    let gateway = Gateway::start(&upstream.route("/", "none"));
    let mut answer = gateway.get("/events").stream().await;
    assert_eq!(
        answer.chunk().await.unwrap().unwrap().as_ref(),
        b"data: 1\n\n"
    );
}

#[tokio::test]
async fn pipelined_requests_get_their_own_answers() {
    let echo = echo_upstream();
    let gateway = Gateway::start(&echo.route("/", "none"));
    let mut client = gateway.connect().await;
    let requests = "POST /one HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcGET /two HTTP/1.1\r\nHost: x\r\n\r\nGET /three HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    client.write_all(requests.as_bytes()).await.unwrap();
    let mut all = String::new();
    client.read_to_string(&mut all).await.unwrap();
    let order: Vec<_> = ["/one", "/two", "/three"]
        .map(|path| all.find(&format!("\"path\":\"{path}\"")))
        .into_iter()
        .collect();
    assert!(
        order.iter().all(Option::is_some) && order.is_sorted(),
        "{all}"
    );
}

#[tokio::test]
async fn large_bodies_take_constant_memory_in_both_directions() {
    let echo = echo_upstream();
    let gateway = Gateway::start(&format!(
        "server.body_limit = \"{LARGE}B\"\n{}",
        echo.route("/", "none")
    ));
    let client = http();
    client.get(gateway.at("/warm")).await;
    let (before, began) = (gateway.resident_kib(), monotonic_now());
    let most = std::cell::Cell::new(before);
    let watch = async {
        loop {
            most.set(most.get().max(gateway.resident_kib()));
            // A look now and then, as long as the work takes.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let work = async {
        let piece = bytes::Bytes::from(vec![b'x'; usize::try_from(MIB).unwrap()]);
        let pieces = futures_util::stream::iter(
            (0..LARGE / MIB).map(move |_| Ok::<_, std::io::Error>(piece.clone())),
        );
        let answer: Value = client
            .post(gateway.at("/sink"))
            .body(reqwest::Body::wrap_stream(pieces))
            .await
            .json();
        assert_eq!(answer["bytes"], LARGE);
        let mut answer = client
            .get(gateway.at(&format!("/bytes/{LARGE}")))
            .stream()
            .await;
        let mut got = 0;
        while let Some(chunk) = answer.chunk().await.unwrap() {
            got += chunk.len() as u64;
        }
        assert_eq!(got, LARGE);
    };
    tokio::select! { () = work => {}, () = watch => {} }
    let (most, took) = (most.get(), began.elapsed());
    println!(
        "{} MiB up and down again in {took:?}: {before} KiB before, at most {most} KiB since",
        LARGE / MIB
    );
    assert!(
        before > 0 && most < before + BOUND_KIB,
        "{before} KiB before, at most {most} KiB since"
    );
}
