//! Which codes no template changes: the page against answers of a gateway whose `failure` is a 200.

use std::collections::BTreeSet;

use hufu::http::ErrorCode;

use super::{page, quoted, rows};
use crate::helpers::{Answer, Gateway, Upstream, probe};

const FAILURE: &str = "failure = { status = 200, body = '{\"code\":\"{code}\"}' }\n";
/// A head whose end never comes.
const LATE: &str = "GET /api HTTP/1.1\r\nHost: x\r\n";
const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";

/// What the gate refuses, as bytes that come in.
fn of_the_gate() -> Vec<String> {
    let with = |lines: &str| format!("GET /api HTTP/1.1\r\nHost: x\r\n{lines}\r\n\r\n");
    vec![
        with("Content-Length: +1"),
        with(" folded"),
        "GET /api#x HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        with(&format!(
            "Upgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 1\r\n{KEY}"
        )),
        "TRACE /api HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(9000)),
        with("Expect: miracles"),
        with(&format!(
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 8\r\n{KEY}"
        )),
        with(&"X: y\r\n".repeat(200)),
        "GET /api HTTP/3.0\r\nHost: x\r\n\r\n".to_owned(),
    ]
}

/// What is refused before a route is known.
fn without_a_route() -> Vec<String> {
    let request = |line: &str, lines: &str| {
        format!("{line} HTTP/1.1\r\nHost: x\r\n{lines}Connection: close\r\n\r\n")
    };
    vec![
        request("GET /api/../x", ""),
        request("OPTIONS *", ""),
        request("GET /api", "Upgrade: websocket\r\n"),
        request("GET /read", "X-HTTP-Method-Override: DELETE\r\n"),
        request("PUT /read", ""),
    ]
}

/// The words in one row of the table.
fn documented(row: &str) -> BTreeSet<String> {
    let table = rows(&page("docs/errors.md"));
    let cells = table
        .iter()
        .find(|cells| cells.len() == 2 && cells[0].starts_with(row))
        .unwrap_or_else(|| panic!("no row {row:?}"));
    quoted(&cells[1]).into_iter().collect()
}

/// The word of an answer that is a problem document under its own status.
fn plain(answer: &Answer, request: &str) -> String {
    let code = ErrorCode::ALL
        .into_iter()
        .find(|code| Some(code.word()) == answer.code())
        .unwrap_or_else(|| panic!("{request:?}: {}", answer.text));
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (code.status().as_u16(), Some("application/problem+json")),
        "{request:?}"
    );
    code.word().to_owned()
}

async fn words(gateway: &Gateway, requests: Vec<String>) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    for request in requests {
        words.insert(plain(
            &probe::send_to_the_end(gateway.listen, &request).await,
            &request,
        ));
    }
    words
}

#[tokio::test]
async fn the_page_names_every_code_that_keeps_its_shape() {
    let upstream = Upstream::ok();
    let read_only = upstream.route("/read", "none") + "methods = [\"GET\"]\n";
    let config = FAILURE.to_owned() + &upstream.route("/api", "required") + &read_only;
    let gateway = Gateway::start(&config);
    let hasty = Gateway::start(&format!("server.request_head_timeout = \"3s\"\n{config}"));
    let of_the_gate =
        &words(&gateway, of_the_gate()).await | &words(&hasty, vec![LATE.to_owned()]).await;
    assert_eq!(of_the_gate, documented("what the [parser]"));
    assert_eq!(
        gateway
            .raw(b"GET /read HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .await
            .status,
        200
    );
    let mark = upstream
        .connections()
        .pop()
        .unwrap()
        .values("hufu-via")
        .remove(0);
    let back =
        format!("GET /read HTTP/1.1\r\nHost: x\r\nHufu-Via: {mark}\r\nConnection: close\r\n\r\n");
    let without_a_route = without_a_route().into_iter().chain([back]).collect();
    assert_eq!(
        words(&gateway, without_a_route).await,
        documented("what is refused before a route")
    );
    let nobody = ["/nowhere", "/auth/nothing"]
        .map(|path| format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
    assert_eq!(
        words(&gateway, nobody.into()).await,
        documented("unknown paths")
    );
    let verify = "GET /auth/verify HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    assert_eq!(
        gateway.raw(&verify).await.header("content-type"),
        Some("application/problem+json")
    );
    // The others have the template's.
    for target in ["/api", "/auth/session", "/auth/login"] {
        let answer = gateway
            .raw(format!(
                "GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            ))
            .await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, Some("application/json")),
            "{target}"
        );
    }
}

#[test]
fn the_page_names_every_refusal_of_the_gate() {
    let text = page("src/edge/h1/refusal.rs");
    let named: BTreeSet<&str> = text
        .split("ErrorCode::")
        .skip(1)
        .map(|rest| rest.split(|c: char| !c.is_alphanumeric()).next().unwrap())
        .collect();
    let words = ErrorCode::ALL
        .into_iter()
        .filter(|code| named.contains(format!("{code:?}").as_str()))
        .map(|code| code.word().to_owned());
    assert!(named.len() > 5, "{named:?}");
    assert_eq!(
        words.collect::<BTreeSet<_>>(),
        documented("what the [parser]")
    );
}
