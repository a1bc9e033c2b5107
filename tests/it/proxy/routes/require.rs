//! What a route requires of a session beyond being one.

use serde_json::{Value, json};

use super::{ask, config};
use crate::helpers::{Gateway, Upstream};

/// A second app, whose users these are not.
const GAME: &str = "[apps.game]\nappid = \"wxfedcba9876543210\"\nsecret = \"other\"\nbase_url = \"http://127.0.0.1:9\"\n";

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

#[tokio::test]
async fn who_does_not_have_what_a_route_requires_is_told_that_and_no_more() {
    let upstream = Upstream::ok();
    let routes = [
        "path = \"/\"",
        "path = \"/staff\"\nrequire.role = [\"secretrole\", \"admin\"]",
        "path = \"/shop\"\nrequire.app = \"shop\"",
        "path = \"/game\"\nrequire.app = [\"game\"]",
        "path = \"/both\"\nrequire.app = [\"game\", \"shop\"]",
        "path = \"/old\"\nrequire.role = \"secretrole\"\nfailure = { status = 200, body = '{\"ret\":\"{code}\"}' }",
    ];
    let gateway = Gateway::start(&(config(&upstream, &routes) + GAME));
    let code = gateway.code("ann");
    let login = gateway
        .login_with(json!({ "code": code, "app": "shop" }))
        .await;
    let login: Value = login.json();
    let token = login["token"].as_str().unwrap();
    let client = bearer(token);
    for path in ["/x", "/shop/x", "/both"] {
        let answer = ask(&gateway, "GET", path, "x", &client).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    }
    let reached = upstream.requests().len();
    for path in ["/staff", "/staff/", "//staff/x", "/%73taff/x", "/game/x"] {
        let answer = ask(&gateway, "POST", path, "x", &client).await;
        answer.refuses(403, "forbidden", path);
        assert!(answer.header("www-authenticate").is_none());
        let text = answer.text.to_lowercase();
        assert!(
            !text.contains("secretrole") && !text.contains("game"),
            "{text}"
        );
        let answer = ask(&gateway, "GET", path, "x", "").await;
        answer.refuses(401, "login_required", path);
    }
    for path in [
        "/staff.json",
        "/STAFF",
        "/staff;x=y",
        "/staff.",
        "/staff%20",
    ] {
        let answer = ask(&gateway, "GET", path, "x", &client).await;
        answer.refuses(400, "path_invalid", path);
    }
    for method in ["HEAD", "OPTIONS", "get", "PROPFIND"] {
        let answer = ask(&gateway, method, "/staff", "x", &client).await;
        assert_eq!(
            (answer.status, answer.header("x-hufu-error")),
            (403, Some("forbidden"))
        );
    }
    let answer = ask(&gateway, "GET", "/old", "x", &client).await;
    assert_eq!(
        (answer.status, answer.body()),
        (200, "{\"ret\":\"forbidden\"}")
    );
    let handshake = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let answer = gateway
        .raw(format!(
            "GET /staff HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n{handshake}{client}\r\n"
        ))
        .await;
    answer.refuses(403, "forbidden", "a handshake");
    assert_eq!(
        upstream.requests().len(),
        reached,
        "nothing reaches the backend"
    );

    let line = gateway.access_line("the refusal", |line| {
        line["path"] == "/game/x" && line["status"] == 403
    });
    assert_eq!(
        (
            &line["error"],
            &line["route"],
            &line["session"],
            &line["app"]
        ),
        (
            &"forbidden".into(),
            &"/game".into(),
            &login["session_id"],
            &"shop".into()
        ),
    );
    for (route, count) in [("/game", 1), ("/staff", 9), ("/old", 1)] {
        let series = format!("hufu_forbidden_requests_total{{route=\"{route}\"}}");
        gateway.counts(&series, count).await;
    }
    // The gateway's own endpoints are for every session.
    gateway.sign_out(token).await;
    let answer = ask(&gateway, "GET", "/staff", "x", &client).await;
    answer.refuses(401, "session_expired", "");
}

#[tokio::test]
async fn a_page_of_another_origin_reads_the_refusal_and_asks_before_as_on_every_route() {
    let upstream = Upstream::ok();
    let routes = config(&upstream, &["path = \"/staff\"\nrequire.role = \"staff\""]);
    let gateway = Gateway::start(&format!("cors.origins = [\"https://h5.test\"]\n{routes}"));
    let token = gateway.token("ann").await;
    let origin = "Origin: https://h5.test\r\n";
    let preflight = format!("{origin}Access-Control-Request-Method: GET\r\n");
    let answer = ask(&gateway, "OPTIONS", "/staff", "x", &preflight).await;
    assert_eq!(answer.status, 204);
    let client = bearer(&token) + origin;
    let answer = ask(&gateway, "GET", "/staff", "x", &client).await;
    answer.refuses(403, "forbidden", "");
    let allowed = answer.header("access-control-allow-origin");
    assert_eq!(allowed, Some("https://h5.test"));
    // The answer to the first one came from the gateway.
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn a_method_of_a_route_has_its_own_requirements() {
    let upstream = Upstream::ok();
    let routes = [
        "path = \"/news\"\nmethods = [\"GET\"]",
        "path = \"/news\"\nmethods = [\"POST\"]\nrequire.role = \"editor\"",
        "path = \"/news\"\nhost = \"intra.test\"\nrequire.role = \"editor\"",
    ];
    let gateway = Gateway::start(&config(&upstream, &routes));
    let client = bearer(&gateway.token("ann").await);
    for (method, host, more, expected) in [
        ("GET", "x", "", (200, None)),
        ("HEAD", "x", "", (200, None)),
        ("POST", "x", "", (403, Some("forbidden"))),
        ("pOST", "x", "", (403, Some("forbidden"))),
        (
            "GET",
            "x",
            "X-HTTP-Method-Override: POST\r\n",
            (400, Some("request_invalid")),
        ),
        ("GET", "intra.test", "", (403, Some("forbidden"))),
        ("GET", "INTRA.test.:80", "", (403, Some("forbidden"))),
    ] {
        let lines = format!("{client}{more}");
        let answer = ask(&gateway, method, "/news", host, &lines).await;
        let got = (answer.status, answer.header("x-hufu-error"));
        assert_eq!(got, expected, "{method} {host} {more}");
    }
}

#[tokio::test]
async fn a_reload_that_adds_a_requirement_counts_from_the_next_request_on() {
    let upstream = Upstream::ok();
    let route = |more: &str| config(&upstream, &[&format!("path = \"/\"\n{more}")]);
    let gateway = Gateway::start(&route(""));
    let client = bearer(&gateway.token("ann").await);
    for (more, status) in [
        ("require.role = \"staff\"", 403),
        ("require.app = \"shop\"", 200),
        ("require = { app = \"shop\", claim.vip = true }", 403),
        ("", 200),
    ] {
        gateway.reload(&route(more), "applied").await;
        let answer = ask(&gateway, "GET", "/x", "x", &client).await;
        assert_eq!(answer.status, status, "{more}: {}", answer.text);
    }
}
