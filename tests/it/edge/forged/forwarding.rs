//! What says where a request comes from and where it goes: a stranger's, and a trusted proxy's.

use super::{get, seen};
use crate::helpers::{Gateway, Script, Upstream, echo_upstream, script::ok};

#[tokio::test]
async fn forwarding_headers_of_strangers_are_replaced() {
    let echo = echo_upstream();
    let lines = "X-Forwarded-For: 6.6.6.6\r\nX_Forwarded_For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\nX-Forwarded-Proto: evil\r\nX-Forwarded-Host: evil\r\nX-Original-URL: /evil\r\nX-Rewrite-URL: /evil\r\nX-Forwarded-Prefix: /evil\r\nTrue-Client-IP: 6.6.6.6\r\nProxy-Client-IP: 6.6.6.6\r\nWL-Proxy-Client-IP: 6.6.6.6\r\n";
    let gateway = Gateway::start(&echo.route("/public", "none"));
    let answer = get(&gateway, "/public", lines).await;
    assert!(
        !answer.body().contains("6.6.6.6") && !answer.body().contains("evil"),
        "{}",
        answer.body()
    );
    let headers = seen(&answer);
    for (name, value) in [
        ("x-forwarded-for", "127.0.0.1"),
        ("x-real-ip", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "shop.test"),
    ] {
        assert!(
            headers.contains(&(name.to_owned(), value.to_owned())),
            "{name}: {headers:?}"
        );
    }
    gateway.access_line("the client's address", |line| {
        line["path"] == "/public" && line["client"] == "127.0.0.1"
    });

    let trusting = Gateway::start(&format!(
        "server.trusted_proxies = [\"127.0.0.0/8\"]\n{}",
        echo.route("/public", "none")
    ));
    let answer = get(&trusting, "/public", "X-Forwarded-For: 6.6.6.6, 1.2.3.4\r\nX-Forwarded-Proto: https\r\nX-Request-Id: from-the-proxy\r\n").await;
    let headers = seen(&answer);
    for (name, value) in [
        ("x-forwarded-for", "6.6.6.6, 1.2.3.4, 127.0.0.1"),
        ("x-real-ip", "1.2.3.4"),
        ("x-forwarded-proto", "https"),
        ("x-request-id", "from-the-proxy"),
    ] {
        assert!(
            headers.contains(&(name.to_owned(), value.to_owned())),
            "{name}: {headers:?}"
        );
    }
    assert_eq!(answer.header("x-request-id"), Some("from-the-proxy"));
    trusting.access_line("the client behind the proxy", |line| {
        line["client"] == "1.2.3.4" && line["request_id"] == "from-the-proxy"
    });
}

/// A proxy passes on what it does not know: only the header that it writes itself is its word.
#[tokio::test]
async fn the_header_that_the_proxy_does_not_write_counts_for_nothing() {
    let upstream = Upstream::start(Script::at_head(ok()).then_close());
    let trusting = |more: &str| {
        Gateway::start(&format!(
            "server.trusted_proxies = [\"127.0.0.0/8\"]\n{more}{}",
            upstream.route("/public", "none")
        ))
    };
    let by_xff = trusting("");
    let by_forwarded = trusting("server.forwarding_header = \"Forwarded\"\n");
    let evil = "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: evil\r\nX-Forwarded-Host: evil\r\nX_Forwarded_Port: 6666\r\n";
    // HAProxy writes a line of its own behind the client's.
    let two_lines = "Forwarded: for=6.6.6.6;host=evil\r\nX-Forwarded-For: 7.7.7.7\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Proto: https\r\n";
    for (gateway, lines, chain, client, proto, host) in [
        (
            &by_xff,
            two_lines,
            "7.7.7.7, 1.2.3.4, 127.0.0.1",
            "1.2.3.4",
            "https",
            "shop.test",
        ),
        (
            &by_xff,
            "Forwarded: for=6.6.6.6;proto=https;host=evil\r\n",
            "127.0.0.1",
            "127.0.0.1",
            "http",
            "shop.test",
        ),
        (
            &by_forwarded,
            &format!(
                "{evil}Forwarded: for=6.6.6.6;host=evil, for=\"1.2.3.4:5\";proto=https;host=\"a.test\"\r\n"
            ),
            "1.2.3.4, 127.0.0.1",
            "1.2.3.4",
            "https",
            "a.test",
        ),
        (
            &by_forwarded,
            &format!("{evil}Forwarded: for=1.2.3.4;host=\"a,for=6.6.6.6\"\r\n"),
            "1.2.3.4, 127.0.0.1",
            "1.2.3.4",
            "http",
            "shop.test",
        ),
        (
            &by_forwarded,
            evil,
            "127.0.0.1",
            "127.0.0.1",
            "http",
            "shop.test",
        ),
    ] {
        assert_eq!(get(gateway, "/public", lines).await.status, 200, "{lines}");
        let record = upstream.connections().pop().unwrap();
        for (name, value) in [
            ("x-forwarded-for", chain),
            ("x-real-ip", client),
            ("x-forwarded-proto", proto),
            ("x-forwarded-host", host),
        ] {
            assert_eq!(
                record.values(name),
                [value],
                "{lines} {name}: {}",
                record.head()
            );
        }
        let passes_on =
            lines.contains("1.2.3.4") && !lines.starts_with("Forwarded: for=6.6.6.6;host=evil\r\n");
        assert_eq!(
            record.values("forwarded").len(),
            usize::from(passes_on),
            "{lines}"
        );
        assert!(!record.head().contains("6666"), "{}", record.head());
        gateway.access_line("the client's address", |line| line["client"] == client);
    }
    for gateway in [&by_xff, &by_forwarded] {
        gateway.logs("server.forwarding_header").await;
        let told = gateway
            .stderr()
            .lines()
            .filter(|line| line.contains("server.forwarding_header"))
            .count();
        assert_eq!(told, 1, "{}", gateway.stderr());
    }
}

/// The route was found by the path of the request line; some frameworks would take another one from
/// these.
#[tokio::test]
async fn no_header_chooses_another_path_not_even_a_proxys() {
    let upstream = Upstream::start(Script::at_head(ok()).then_close());
    for trusted in ["[]", "[\"127.0.0.1\"]"] {
        let gateway = Gateway::start(&format!(
            "server.trusted_proxies = {trusted}\n{}",
            upstream.route("/public", "none")
        ));
        for name in [
            "X-Original-URL",
            "X-Rewrite-URL",
            "X_Original_URL",
            "x.rewrite.url",
            "X-ORIGINAL_Url",
        ] {
            assert_eq!(
                get(&gateway, "/public", &format!("{name}: /api/evil\r\n"))
                    .await
                    .status,
                200,
                "{name}"
            );
            let head = upstream.connections().pop().unwrap().head();
            assert!(!head.contains("evil"), "{trusted} {name}: {head}");
        }
    }
}

/// A proxy that passes `Connection` on would have its own words taken out by its client.
#[tokio::test]
async fn no_client_removes_what_the_proxy_says_of_it() {
    let upstream = Upstream::start(Script::at_head(ok()).then_close());
    let gateway = Gateway::start(&format!(
        "server.trusted_proxies = [\"127.0.0.1\"]\n{}",
        upstream.route("/public", "none")
    ));
    let said = [
        ("True-Client-IP", "1.2.3.4"),
        ("X-Forwarded-Port", "8443"),
        ("X-Forwarded-Proto", "https"),
        ("X-Original-URI", "/public"),
    ];
    let lines: String = said
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\nConnection: {name}\r\n"))
        .collect();
    assert_eq!(get(&gateway, "/public", &lines).await.status, 200);
    let seen = upstream.connections().pop().unwrap();
    for (name, value) in said {
        assert_eq!(seen.values(name), [value], "{}", seen.head());
    }
}

#[tokio::test]
async fn a_reload_changes_which_header_is_believed() {
    let echo = echo_upstream();
    let config = |header: &str| {
        format!(
            "server.trusted_proxies = [\"127.0.0.1\"]\nserver.forwarding_header = \"{header}\"\n{}",
            echo.route("/public", "none")
        )
    };
    let gateway = Gateway::start(&config("X-Forwarded-For"));
    for (header, client) in [
        ("X-Forwarded-For", "1.1.1.1"),
        ("Forwarded", "2.2.2.2"),
        ("X-Forwarded-For", "1.1.1.1"),
    ] {
        gateway.reload(&config(header), "applied").await;
        let answer = get(
            &gateway,
            "/public",
            "X-Forwarded-For: 1.1.1.1\r\nForwarded: for=2.2.2.2\r\n",
        )
        .await;
        assert!(
            seen(&answer).contains(&("x-real-ip".to_owned(), client.to_owned())),
            "{header}: {}",
            answer.text
        );
    }
}
