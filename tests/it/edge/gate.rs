//! The gate: what does not come in, over raw sockets, with the numbers of the hostile cases that
//! are tested. Whatever is refused is refused whole and byte by byte, as a connection's first
//! request, its second, and pipelined behind another.

mod bodies;
mod refusals;

use tokio::io::AsyncWriteExt as _;

use crate::helpers::{Gateway, GatewayBuilder, Script, Upstream, echo_upstream, probe, script::ok};

const FIRST: &str = "GET /first HTTP/1.1\r\nHost: x\r\n\r\n";

const WEBSOCKET: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\n";

const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[tokio::test]
async fn options_of_the_server_as_a_whole_pass_the_gate_and_find_no_route() {
    let upstream = Upstream::ok();
    let gateway = Gateway::start(&upstream.route("/", "none"));
    for (method, goes_on) in [("OPTIONS", true), ("GET", false)] {
        let requests = format!(
            "{method} * HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        );
        let answers = probe::send_to_the_end(gateway.listen, &requests).await;
        answers.refuses(
            400,
            "path_invalid",
            format_args!("{method}: {}", answers.text),
        );
        assert_eq!(
            answers.text.contains("HTTP/1.1 200 OK"),
            goes_on,
            "{method}: {}",
            answers.text
        );
    }
}

#[tokio::test]
async fn refusals_are_counted_logged_and_named() {
    let echo = echo_upstream();
    let gateway = Gateway::start(&echo.route("/", "none"));
    let answer = gateway
        .raw(b"GET /some/where?secret=1#x HTTP/1.1\r\nHost: x\r\n\r\n")
        .await;
    let id = answer.header("x-request-id").unwrap().to_owned();
    assert!(
        answer.body().contains(&id) && answer.body().contains("urn:hufu:error:path_invalid"),
        "{}",
        answer.text
    );
    let line = gateway.access_line("the refusal", |line| line["request_id"] == id);
    assert_eq!(
        (
            &line["status"],
            &line["error"],
            &line["path"],
            &line["method"]
        ),
        (
            &400.into(),
            &"path_invalid".into(),
            &"/some/where".into(),
            &"GET".into()
        )
    );
    assert_eq!(
        (&line["client"], &line["route"]),
        (&"127.0.0.1".into(), &"none".into())
    );
    for series in [
        "hufu_refused_requests_total{code=\"path_invalid\"}",
        "hufu_requests_total{route=\"none\",status=\"400\"}",
    ] {
        gateway.counts(series, 1).await;
    }
    let upgrade = gateway
        .raw(format!("GET / HTTP/1.1\r\nHost: x\r\n{WEBSOCKET}{KEY}\r\n"))
        .await;
    assert_eq!(
        (upgrade.status, upgrade.header("sec-websocket-version")),
        (426, Some("13"))
    );
    assert!(!gateway.stdout().contains("secret"), "{}", gateway.stdout());
}

#[tokio::test]
async fn ordinary_oddities_come_in() {
    let upstream = Upstream::ok();
    let gateway = Gateway::start(&upstream.route("/", "none"));
    let mut client = gateway.connect().await;
    for request in [
        "\r\nGET /1 HTTP/1.1\r\nhost:x\r\nEmpty:\r\nTab:\ta\t\r\nUtf: \u{e9}\r\n\r\n",
        "GET http://x/2 HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET http://x?2 HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /12 HTTP/1.2\r\nHost: x\r\n\r\n",
        "GET /19 HTTP/1.9\r\nHost: x\r\n\r\n",
        "GET /3 HTTP/1.0\r\nConnection: keep-alive\r\nHost: x\r\n\r\n",
    ] {
        client.write_all(request.as_bytes()).await.unwrap();
        let answer = probe::read(&mut client).await;
        assert_eq!(answer.status, 200, "{request}: {}", answer.text);
    }
    // Case 32: nothing is reached by it, with or without a token.
    let asterisk = gateway
        .raw(b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await;
    assert_eq!(asterisk.status, 400, "{}", asterisk.text);
    // Case 89: an upgrade that nobody offers is not taken up, and not passed on.
    let h2c =
        gateway.raw(b"GET /4 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n\r\n").await;
    assert_eq!(
        (
            h2c.status,
            h2c.header("upgrade"),
            h2c.header("connection"),
            h2c.closed
        ),
        (200, None, None, false),
        "{}",
        h2c.text
    );
    // Case 88: nothing behind a handshake is read before its answer, and it is not 101 here.
    let handshake = format!(
        "GET /ws HTTP/1.1\r\nHost: x\r\n{WEBSOCKET}Sec-WebSocket-Version: 13\r\n{KEY}\r\n{FIRST}"
    );
    let handshake = probe::send_to_the_end(gateway.listen, &handshake).await;
    assert_eq!(
        (
            handshake.status,
            handshake.closed,
            handshake.text.matches("HTTP/1.1 ").count()
        ),
        (200, true, 1),
        "{}",
        handshake.text
    );
    let seen = upstream.text().to_lowercase();
    assert!(
        !seen.contains("h2c") && !seen.contains("http2-settings") && !seen.contains("/first"),
        "{seen}"
    );
}

/// What reads the query, what leaves a token out of it and what the backend gets are one.
#[tokio::test]
async fn queries_go_on_escaped_and_are_read_so() {
    let upstream = Upstream::start(Script::at_head(ok()).then_close());
    let config = "session.carriers = [\"query:tok\"]\nserver.trusted_proxies = [\"127.0.0.1\"]\n";
    let gateway = Gateway::start(&format!(
        "{config}{}{}",
        upstream.route("/open", "none"),
        upstream.route("/api", "required")
    ));
    let token = gateway.token("alice").await;
    let ask = async |target: &str| {
        gateway
            .raw(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"))
            .await
    };
    for (query, goes_on) in [
        ("name=\u{9e21}", "?name=%E9%B8%A1"),
        ("q={\"a\":[1,2]}", "?q={%22a%22:[1,2]}"),
        ("<&>", "?%3C&%3E"),
        ("100%&a|b\\c^`{}", "?100%&a|b\\c^`{}"),
        ("%e9%b8%a1&%22", "?%e9%b8%a1&%22"),
    ] {
        // Beside a token, before it and behind it; and without one.
        for (path, query, goes_on) in [
            ("/open", query.to_owned(), goes_on.to_owned()),
            ("/api", format!("{query}&tok={token}"), goes_on.to_owned()),
            ("/api", format!("tok={token}&{query}"), goes_on.to_owned()),
            ("/open", format!("{query}&x=\"{token}"), goes_on.to_owned()),
        ] {
            let answer = ask(&format!("{path}?{query}")).await;
            assert_eq!(answer.status, 200, "{query}: {}", answer.text);
            let head = upstream.connections().pop().unwrap().head();
            assert!(
                head.starts_with(&format!("GET {path}{goes_on} HTTP/1.1\r\n")),
                "{query}: {head}"
            );
        }
        let asked = ask(&format!("/auth/verify?{query}&tok={token}")).await;
        assert_eq!(
            (asked.status, asked.header("x-wx-source")),
            (200, Some("hufu")),
            "{query}: {}",
            asked.text
        );
    }
    // A token is itself, and no other name is its own.
    for query in [
        format!("tok=\"{token}\""),
        format!("tok={token}\u{9e21}"),
        format!("tok\"={token}"),
        format!("\u{9e21}tok={token}"),
    ] {
        assert_eq!(ask(&format!("/api?{query}")).await.status, 401, "{query}");
    }
    // Three times as long when it goes on; the limit counts that.
    assert_eq!(
        ask(&format!("/open?{}", "\u{e9}".repeat(1300)))
            .await
            .status,
        200
    );
    assert_eq!(
        ask(&format!("/open?{}", "\u{e9}".repeat(1400)))
            .await
            .status,
        414
    );
    let gbk = gateway
        .raw(b"GET /open?name=\xbc\xa6 HTTP/1.1\r\nHost: x\r\n\r\n")
        .await;
    assert_eq!(gbk.status, 400, "{}", gbk.text);
    let no_path = gateway
        .raw(b"GET http://x?q=\"1\" HTTP/1.1\r\nHost: x\r\n\r\n")
        .await;
    assert_eq!(no_path.status, 404, "{}", no_path.text);
}

#[tokio::test]
async fn the_limit_of_the_head_is_the_configured_one() {
    let echo = echo_upstream();
    let setup = GatewayBuilder::new().config(format!(
        "server.max_request_head = \"1KiB\"\n{}",
        echo.route("/", "none")
    ));
    let gateway = setup.start();
    let with = async |n: usize| {
        gateway
            .raw(format!(
                "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX: {}\r\n\r\n",
                "y".repeat(n)
            ))
            .await
            .status
    };
    assert_eq!((with(900).await, with(1100).await), (200, 431));
}
