//! Answers of upstreams that are none or break off, and connections that are not used again.

use crate::helpers::script::ok;
use crate::helpers::servers::refusing;
use crate::helpers::{Gateway, Script, Upstream, http, probe, route, until};

#[tokio::test]
async fn answers_that_are_none_are_502_and_their_connections_are_not_used_again() {
    let flood = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(65);
    for (answer, status, code) in [
        ("", 502, "upstream_error"),
        ("HTTP/1.1 200 OK\r\nContent-Le", 502, "upstream_error"),
        ("SSH-2.0-OpenSSH_9.2\r\n", 502, "upstream_error"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            502,
            "upstream_error",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
            502,
            "upstream_error",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok",
            502,
            "upstream_error",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            502,
            "upstream_error",
        ),
        (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
            502,
            "upstream_error",
        ),
        (
            "HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n",
            502,
            "upstream_error",
        ),
        (
            "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
            502,
            "upstream_error",
        ),
        (&flood, 502, "upstream_error"),
    ] {
        let upstream = Upstream::start(Script::at_head(answer).then_close());
        let gateway = Gateway::start(&upstream.route("/", "none"));
        for _ in 0..2 {
            let got = gateway
                .raw(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                .await;
            got.refuses(status, code, format_args!("{answer:?}: {}", got.text));
        }
        assert_eq!(upstream.connections().len(), 2, "{answer:?}");
    }
}

#[tokio::test]
async fn a_broken_upstream_body_is_a_broken_client_body() {
    for (answer, complete) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", false),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
            false,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalfX\r\n0\r\n\r\n",
            false,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n\r\n0\r\n\r\n",
            false,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;a=b\r\nhalf\r\n0\r\nX: y\r\n\r\n",
            true,
        ),
        ("HTTP/1.1 200 OK\r\n\r\nuntil the end", true),
        ("HTTP/1.1 200 OK\r\n\r\nuntil the reset", false),
    ] {
        let reply = if answer.ends_with("reset") {
            Script::at_head(answer).then_reset()
        } else {
            Script::at_head(answer).then_close()
        };
        let upstream = Upstream::start(reply);
        let gateway = Gateway::start(&upstream.route("/", "none"));
        // What breaks off at once may take the head with it.
        let got = gateway.get("/").try_send().await;
        let whole = match got {
            Ok(got) => got.status() == 200,
            Err(_) => false,
        };
        assert_eq!(whole, complete, "{answer:?}");
    }
}

#[tokio::test]
async fn a_stale_kept_connection_costs_no_client_an_error() {
    // Answers once, then closes without a word.
    let upstream = Upstream::start(Script::at_head(ok()).then_close());
    let gateway = Gateway::start(&upstream.route("/", "none"));
    let client = http();
    for _ in 0..50 {
        assert_eq!(client.get(gateway.at("/")).await.status(), 200);
        // What closes while a POST is on its way to it is another matter.
        until("the upstream to hang up", async || {
            upstream.connections().iter().all(|one| one.ended)
        })
        .await;
        assert_eq!(client.post(gateway.at("/")).body("x").await.status(), 200);
    }
}

#[tokio::test]
async fn silence_and_refusal_have_their_words() {
    let silent = Upstream::start(Script::hang());
    let (refusing, _socket) = refusing();
    let config = format!(
        "{}{}",
        silent.route("/silent", "none").replace("\"5s\"", "\"1s\""),
        route("/refusing", &refusing, "none")
    );
    let gateway = Gateway::start(&config);
    for (path, status, code) in [
        ("/silent", 504, "upstream_timeout"),
        ("/refusing", 502, "upstream_unreachable"),
    ] {
        let got = gateway
            .raw(format!(
                "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            ))
            .await;
        got.refuses(status, code, format_args!("{}", got.text));
        assert!(
            !got.body().contains("127.0.0.1"),
            "nothing of the inside: {}",
            got.body()
        );
    }
}

/// A client that sees nothing at all on a kept connection sends its request again, also a POST.
#[tokio::test]
async fn an_answer_that_breaks_off_at_once_still_shows_its_head() {
    for answer in [
        "HTTP/1.1 201 Created\r\nContent-Length: 50\r\n\r\nhello",
        "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n",
    ] {
        let upstream = Upstream::start(Script::at_head(answer).then_close());
        let gateway = Gateway::start(&upstream.route("/", "none"));
        for _ in 0..10 {
            let order = b"POST /order HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
            let seen = probe::send_to_the_end(gateway.listen, order).await;
            assert_eq!((seen.status, seen.closed), (201, true), "{}", seen.text);
            assert!(
                !seen.text.ends_with("0\r\n\r\n"),
                "a broken body is not a whole one: {}",
                seen.text
            );
        }
    }
}
