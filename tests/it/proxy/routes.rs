//! Routes by host, path and method, and what they change on the way: a real gateway, requests as
//! raw bytes, an upstream that keeps every byte.

mod changes;
mod matching;
mod require;
mod verify;

use std::fmt::Write as _;

use serde_json::Value;

use crate::helpers::{Answer, Gateway, Script, Upstream, probe, script::ok};

/// A configuration with one upstream for all routes; each route as its own lines.
fn config(upstream: &Upstream, routes: &[&str]) -> String {
    let mut text = format!(
        "[upstreams.u]\nendpoints = [\"{}\"]\ntimeout = \"20s\"\n",
        upstream.url
    );
    for route in routes {
        let _ = write!(text, "[[routes]]\nupstream = \"u\"\n{route}\n");
    }
    text
}

/// Sends a request with this head on a connection of its own.
async fn ask(gateway: &Gateway, method: &str, target: &str, host: &str, lines: &str) -> Answer {
    gateway
        .raw(format!(
            "{method} {target} HTTP/1.1\r\nHost: {host}\r\n{lines}Connection: close\r\n\r\n"
        ))
        .await
}

#[tokio::test]
async fn a_route_has_its_own_patience_and_body_limit() {
    let upstream = Upstream::start(Script::hang());
    let gateway = Gateway::start(&format!(
        "server.body_limit = \"10B\"\n{}",
        config(
            &upstream,
            &[
                "path = \"/quick\"\ntimeout = \"50ms\"\nauth = \"none\"",
                "path = \"/small\"\nbody_limit = \"3B\"\nauth = \"none\"",
                "path = \"/large\"\nbody_limit = \"20B\"\ntimeout = \"50ms\"\nauth = \"none\""
            ]
        )
    ));
    // The upstream's own 20 s are longer than a test waits for an answer.
    let answer = ask(&gateway, "GET", "/quick", "a", "").await;
    answer.refuses(504, "upstream_timeout", "");
    // Also on a connection that has waited longer for another route's answer.
    let kept = Upstream::start(Script::after_body(1, ok()));
    let two = Gateway::start(&config(
        &kept,
        &[
            "path = \"/\"\nauth = \"none\"",
            "path = \"/quick\"\ntimeout = \"50ms\"\nauth = \"none\"",
        ],
    ));
    let post = "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx";
    let both = format!("{post}GET /quick HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let both = probe::send_to_the_end(two.listen, both).await;
    assert!(
        both.status == 200 && both.text.contains("HTTP/1.1 504"),
        "{}",
        both.text
    );
    assert_eq!(kept.connections().len(), 1);
    for (path, length, status) in [
        ("/small", 4, 413),
        ("/large", 15, 504),
        ("/large", 21, 413),
        ("/quick", 11, 413),
    ] {
        let body = "x".repeat(length);
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        assert_eq!(
            gateway.raw(&request).await.status,
            status,
            "{path} {length}"
        );
        let chunked = format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n"
        );
        assert_eq!(
            gateway.raw(&chunked).await.status,
            status,
            "{path} {length} chunked"
        );
    }
}

#[tokio::test]
async fn errors_have_the_shape_of_their_route() {
    let upstream = Upstream::ok();
    let gateway = Gateway::start(&format!(
        "failure = {{ status = 200, body = '{{\"ret\":-1,\"code\":\"{{code}}\",\"msg\":\"{{detail}}\",\"id\":\"{{request_id}}\"}}' }}\n\
             server.trusted_proxies = [\"127.0.0.1\"]\n{}",
        config(
            &upstream,
            &[
                "path = \"/old\"",
                "path = \"/new\"\nfailure = \"problem\"",
                "path = \"/mid\"\nmethods = [\"GET\"]\nfailure = { body = '[\"{title}\",{status}]' }"
            ]
        )
    ));
    let old = ask(&gateway, "GET", "/old/x", "a", "").await;
    let body: Value = serde_json::from_str(old.body()).unwrap();
    assert_eq!(
        (old.status, old.code(), old.header("content-type")),
        (200, Some("login_required"), Some("application/json"))
    );
    assert_eq!(
        (&body["ret"], &body["code"], body["id"].as_str()),
        (
            &(-1).into(),
            &"login_required".into(),
            old.header("x-request-id")
        )
    );
    assert!(
        body["msg"]
            .as_str()
            .unwrap()
            .contains("\"Authorization: Bearer …\"")
            && old.header("cache-control") == Some("no-store"),
        "{}",
        old.text
    );
    let new = ask(&gateway, "GET", "/new", "a", "").await;
    assert_eq!(
        (new.status, new.header("content-type")),
        (401, Some("application/problem+json"))
    );
    let mid = ask(&gateway, "GET", "/mid", "a", "").await;
    assert_eq!(
        (mid.status, mid.body(), mid.code()),
        (401, "[\"Log in first\",401]", Some("login_required"))
    );
    assert!(mid.header("www-authenticate").is_some() && old.header("www-authenticate").is_none());
    // The gateway's own endpoints have the shape of all; what belongs to nobody, and what a proxy
    // asks, keeps its status.
    let session = ask(&gateway, "GET", "/auth/session", "a", "").await;
    session.refuses(200, "login_required", "");
    assert_eq!(
        ask(&gateway, "GET", "/auth/login", "a", "")
            .await
            .header("allow"),
        Some("POST")
    );
    let verify = [
        "/auth/verify",
        "/auth/verify/old",
        "/auth/verify/%00",
        "/auth/verify/../x",
        "//auth/verify",
        "/auth//verify",
        "/auth/verif",
        "/nowhere",
    ];
    for target in verify.into_iter().chain([
        "/auth/VERIFY",
        "/%61uth/verify",
        "/auth/login/verify",
        "/auth/verify/",
    ]) {
        let answer = ask(&gateway, "GET", target, "a", "Upgrade: x\r\n").await;
        assert!(answer.status >= 400, "{target}: {}", answer.text);
    }
    assert_eq!(ask(&gateway, "PUT", "/mid", "a", "").await.status, 405);
    let token = gateway.token("alice").await;
    assert_eq!(
        ask(
            &gateway,
            "GET",
            "/old",
            "a",
            &format!("Authorization: Bearer {token}\r\n")
        )
        .await
        .body(),
        "ok"
    );
    let line = gateway.access_line("the refusal", |line| line["path"] == "/old/x");
    assert_eq!(
        (
            line["status"].as_u64(),
            line["error"].as_str(),
            line["route"].as_str()
        ),
        (Some(200), Some("login_required"), Some("/old"))
    );
}

#[tokio::test]
async fn routes_are_told_apart_in_metrics_and_access_lines() {
    let upstream = Upstream::ok();
    let routes = [
        "path = \"/api\"\nhost = \"*.example.com\"\nmethods = [\"GET\", \"PUT\"]\nauth = \"none\"",
        "path = \"/api\"\nauth = \"none\"",
    ];
    let gateway = Gateway::start(&config(&upstream, &routes));
    assert_eq!(
        ask(&gateway, "GET", "/api/1", "a.example.com", "")
            .await
            .status,
        200
    );
    assert_eq!(
        ask(&gateway, "GET", "/api/2", "a.example", "").await.status,
        200
    );
    for (path, route) in [("/api/1", "GET,PUT *.example.com/api"), ("/api/2", "/api")] {
        let line = gateway.access_line("a line", |line| line["path"] == path);
        assert_eq!(line["route"], route);
        assert_eq!(
            gateway
                .counted(&format!(
                    "hufu_requests_total{{route=\"{route}\",status=\"200\"}}"
                ))
                .await,
            1
        );
    }
}
