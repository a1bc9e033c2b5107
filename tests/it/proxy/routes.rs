//! Routes by host, path and method, and what they change on the way: a real gateway, requests as
//! raw bytes, an upstream that keeps every byte.

use std::fmt::Write as _;

use serde_json::Value;

use crate::helpers::gateway::{Gateway, Setup, route};
use crate::helpers::recorder::{Recorded, Recorder, Reply, ok};
use crate::helpers::wait::{until, until_blocking};
use crate::helpers::wire::{self, Answer};

/// A configuration with one upstream for all routes; each route as its own lines.
fn config(upstream: &Recorder, routes: &[&str]) -> String {
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
    wire::send(
        gateway.listen,
        format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n{lines}Connection: close\r\n\r\n")
            .as_bytes(),
    )
    .await
}

/// Everything that has reached the upstream, in order.
fn arrived(upstream: &Recorder) -> String {
    upstream
        .connections()
        .iter()
        .map(|record| String::from_utf8_lossy(&record.bytes).into_owned())
        .collect()
}

/// The first request that has reached the upstream.
fn first(upstream: &Recorder) -> Recorded {
    until_blocking("a request at the upstream", || {
        upstream
            .connections()
            .into_iter()
            .find(|record| !record.head().is_empty())
    })
}

#[tokio::test]
async fn the_host_chooses_however_it_is_written_and_unknown_hosts_have_no_route() {
    let (one, other) = (
        Recorder::start(Reply::AtHead(ok())).await,
        Recorder::start(Reply::AtHead(ok())).await,
    );
    let gateway = Gateway::start(&format!(
        "[upstreams.one]\nendpoints = [\"{}\"]\n[upstreams.other]\nendpoints = [\"{}\"]\n\
         [[routes]]\npath = \"/\"\nhost = \"api.example.com\"\nupstream = \"one\"\n\
         [[routes]]\npath = \"/\"\nhost = \"*.example.com\"\nupstream = \"other\"\nauth = \"none\"\n\
         [[routes]]\npath = \"/\"\nhost = \"[::1]\"\nupstream = \"other\"\nauth = \"none\"\n",
        one.url, other.url
    ));
    // The one that needs a session: no spelling of its name leads to the weaker wildcard.
    for host in [
        "api.example.com",
        "API.Example.COM",
        "api.example.com.",
        "api.example.com:8080",
        "aPi.example.com.:80",
    ] {
        let answer = ask(&gateway, "GET", "/x", host, "").await;
        assert_eq!(
            (answer.status, answer.code()),
            (401, Some("login_required")),
            "{host}"
        );
    }
    let absolute = ask(
        &gateway,
        "GET",
        "http://api.example.com/x",
        "api.example.com",
        "",
    )
    .await;
    assert_eq!(
        (absolute.status, absolute.code()),
        (401, Some("login_required"))
    );
    for target in ["http://www.example.com/x", "http://API.example.com:1/x"] {
        let two_names = ask(&gateway, "GET", target, "api.example.com", "").await;
        assert_eq!(
            (two_names.status, two_names.code()),
            (400, Some("path_invalid")),
            "{target}"
        );
    }
    for host in [
        "www.example.com",
        "a.b.Example.com:1",
        "x.api.example.com",
        "[::1]:80",
        "[0:0::1]",
    ] {
        assert_eq!(
            ask(&gateway, "GET", "/x", host, "").await.status,
            200,
            "{host}"
        );
    }
    for host in [
        "example.com",
        "example.com.evil.test",
        "xexample.com",
        "[::2]",
        "127.0.0.1",
        "api.example.com..",
        ".example.com",
        "a..example.com",
    ] {
        let answer = ask(&gateway, "GET", "/x", host, "").await;
        assert_eq!(
            (answer.status, answer.code()),
            (404, Some("route_not_found")),
            "{host}"
        );
    }
    for host in [
        "api.example.com, www.example.com",
        "api.example.com@www.example.com",
        "www.example.com/",
        "",
        "[::1",
    ] {
        assert_eq!(
            ask(&gateway, "GET", "/x", host, "").await.status,
            400,
            "{host}"
        );
    }
    // What a client or proxy says of another host does not choose.
    let forwarded = ask(
        &gateway,
        "GET",
        "/x",
        "api.example.com",
        "X-Forwarded-Host: www.example.com\r\nForwarded: host=www.example.com\r\n",
    )
    .await;
    assert_eq!(forwarded.status, 401);
    let without = wire::send(gateway.listen, b"GET /x HTTP/1.0\r\n\r\n").await;
    assert_eq!(without.status, 404);
    assert_eq!(arrived(&one), "");
    assert!(arrived(&other).matches("GET /x HTTP/1.1").count() == 5);
}

#[tokio::test]
async fn the_method_chooses_the_rule_and_what_no_route_takes_is_405() {
    let upstream = Recorder::start(Reply::AtHead(ok())).await;
    let gateway = Gateway::start(&config(
        &upstream,
        &[
            "path = \"/api\"\nmethods = [\"GET\"]\nauth = \"none\"",
            "path = \"/api\"\nmethods = [\"POST\", \"DELETE\"]",
            "path = \"/\"\nauth = \"none\"",
            "path = \"/locked\"\nmethods = [\"GET\"]",
            "path = \"/locked\"\nauth = \"none\"",
        ],
    ));
    assert_eq!(ask(&gateway, "GET", "/api/x", "a", "").await.status, 200);
    for method in ["POST", "DELETE", "post", "Delete"] {
        let answer = ask(&gateway, method, "/api/x", "a", "").await;
        assert_eq!(
            (answer.status, answer.code()),
            (401, Some("login_required")),
            "{method}"
        );
    }
    // "/" does not take over, and neither do methods that nobody has heard of.
    for method in ["PUT", "OPTIONS", "PATCH", "PROPFIND", "GETT"] {
        let answer = ask(&gateway, method, "/api/x", "a", "").await;
        assert_eq!(
            (answer.status, answer.code(), answer.header("allow")),
            (
                405,
                Some("method_not_allowed"),
                Some("DELETE, GET, HEAD, POST")
            ),
            "{method}"
        );
    }
    for method in ["GET", "HEAD", "get", "head"] {
        assert_eq!(
            ask(&gateway, method, "/locked", "a", "").await.status,
            401,
            "{method}: HEAD answers what GET does, without its body"
        );
    }
    assert_eq!(
        ask(&gateway, "OPTIONS", "/locked", "a", "").await.status,
        200
    );
    // Another reading of the path is refused, whatever the method.
    for target in ["/API/x", "/api;v=1/x", "/api%20/x", "/api./x"] {
        for method in ["GET", "POST", "OPTIONS"] {
            let answer = ask(&gateway, method, target, "a", "").await;
            assert_eq!(
                (answer.status, answer.code()),
                (400, Some("path_invalid")),
                "{method} {target}"
            );
        }
    }
    // A second method, for backends that believe it.
    for name in [
        "X-HTTP-Method-Override",
        "x_http_method_override",
        "X-HTTP-Method",
        "X-Method-Override",
    ] {
        let answer = ask(
            &gateway,
            "GET",
            "/api/x",
            "a",
            &format!("{name}: DELETE\r\n"),
        )
        .await;
        assert_eq!(
            (answer.status, answer.code()),
            (400, Some("request_invalid")),
            "{name}"
        );
        assert_eq!(
            ask(&gateway, "GET", "/api/x", "a", &format!("{name}: get\r\n"))
                .await
                .status,
            200,
            "{name}"
        );
        assert_eq!(
            ask(
                &gateway,
                "POST",
                "/other",
                "a",
                &format!("{name}: DELETE\r\n")
            )
            .await
            .status,
            200,
            "{name}: one rule for all methods"
        );
    }
    let seen = arrived(&upstream);
    assert!(
        !seen.contains("POST /api")
            && !seen.contains("DELETE /api")
            && !seen.contains("/locked HTTP/1.1\r\nhead"),
        "{seen}"
    );
}

/// Rails, ThinkPHP, Struts and others serve these with what is behind the protected path.
#[tokio::test]
async fn a_suffix_leads_past_no_rule_and_a_route_of_its_own_opens_a_file() {
    let upstream = Recorder::start(Reply::AtHead(ok())).await;
    let routes = [
        "path = \"/public\"\nauth = \"none\"",
        "path = \"/public/secret\"",
        "path = \"/public/secret.css\"\nauth = \"none\"",
    ];
    let gateway = Gateway::start(&config(&upstream, &routes));
    for suffix in [
        ".json",
        ".html",
        ".do",
        "%2ejson",
        ".JSON",
        ".json/",
        ".css.map",
        ".json;v=1",
    ] {
        for method in ["GET", "POST"] {
            let answer = ask(
                &gateway,
                method,
                &format!("/public/secret{suffix}"),
                "a",
                "",
            )
            .await;
            assert_eq!(
                (answer.status, answer.code()),
                (400, Some("path_invalid")),
                "{method} {suffix}: {}",
                answer.text
            );
        }
    }
    assert_eq!(arrived(&upstream), "");
    for path in ["/public/secret.css", "/public/other.json"] {
        assert_eq!(
            ask(&gateway, "GET", path, "a", "").await.body(),
            "ok",
            "{path}"
        );
    }
}

#[tokio::test]
async fn what_reaches_the_upstream_under_another_prefix_is_canonical() {
    for (route, cases) in [
        (
            "path = \"/api\"\nstrip_prefix = true\nauth = \"none\"",
            vec![
                ("/api", "/"),
                ("/api/", "/"),
                ("/api?", "/?"),
                ("/api/x?q=/api&r=%2f..", "/x?q=/api&r=%2f.."),
                ("/api//x", "/x"),
                ("//api///x//", "/x/"),
                ("/api/api/x", "/api/x"),
                ("/%61pi/%78", "/x"),
                ("/api/a%2Bb;c", "/a%2Bb;c"),
            ],
        ),
        (
            "path = \"/v1/api\"\nstrip_prefix = \"/v1\"\nauth = \"none\"",
            vec![("/v1/api", "/api"), ("/v1/api/x", "/api/x")],
        ),
        (
            "path = \"/api\"\nrewrite_prefix = \"/v2/y\"\nauth = \"none\"",
            vec![
                ("/api", "/v2/y"),
                ("/api/", "/v2/y/"),
                ("/api//x?a=b", "/v2/y/x?a=b"),
            ],
        ),
        (
            "path = \"/v1/api\"\nstrip_prefix = \"/v1\"\nrewrite_prefix = \"/w\"\nauth = \"none\"",
            vec![("/v1/api/x", "/w/api/x")],
        ),
        (
            "path = \"/\"\nrewrite_prefix = \"/w\"\nauth = \"none\"",
            vec![("/", "/w/"), ("/x", "/w/x")],
        ),
    ] {
        let upstream = Recorder::start(Reply::AtHeadThenClose(ok())).await;
        let gateway = Gateway::start(&config(&upstream, &[route]));
        for (sent, wanted) in cases {
            let before = upstream.connections().len();
            assert_eq!(
                ask(&gateway, "GET", sent, "a", "").await.status,
                200,
                "{sent}"
            );
            let record = upstream.connections()[before..].last().cloned().unwrap();
            assert_eq!(
                record.head().lines().next(),
                Some(format!("GET {wanted} HTTP/1.1").as_str()),
                "{route}: {sent}"
            );
        }
        let refused = [
            "/api/..",
            "/api/../x",
            "/api/%2e%2e/x",
            "/api/..;/x",
            "/api%2fx",
            "/api%2f..%2fx",
            "/api/%00",
            "/api\\x",
            "/api/%252e%252e/x",
        ];
        for target in refused {
            assert_eq!(
                ask(&gateway, "GET", target, "a", "").await.status,
                400,
                "{route}: {target}"
            );
        }
    }
}

#[tokio::test]
async fn a_stripped_prefix_ends_with_a_segment_and_is_told() {
    let upstream = Recorder::start(Reply::AtHeadThenClose(ok())).await;
    let gateway = Gateway::start(&config(
        &upstream,
        &["path = \"/api\"\nstrip_prefix = true\nauth = \"none\""],
    ));
    for target in ["/apix", "/ap", "/", "/api.x", "/%61pix", "/API/x", "/api;x"] {
        assert_eq!(
            ask(&gateway, "GET", target, "a", "").await.status,
            404,
            "{target}"
        );
    }
    assert_eq!(
        ask(
            &gateway,
            "GET",
            "/api/x",
            "a",
            "X-Forwarded-Prefix: /evil\r\nX_Forwarded_Prefix: /evil\r\n"
        )
        .await
        .status,
        200
    );
    assert_eq!(first(&upstream).values("x-forwarded-prefix"), ["/api"]);
    assert!(!arrived(&upstream).contains("evil"));
    // A trusted proxy has left out a prefix of its own before.
    let behind = Recorder::start(Reply::AtHeadThenClose(ok())).await;
    let route = config(
        &behind,
        &["path = \"/api\"\nstrip_prefix = true\nauth = \"none\""],
    );
    let gateway = Gateway::start(&format!(
        "server.trusted_proxies = [\"127.0.0.1\"]\n{route}"
    ));
    assert_eq!(
        ask(
            &gateway,
            "GET",
            "/api/x",
            "a",
            "X-Forwarded-Prefix: /outer\r\n"
        )
        .await
        .status,
        200
    );
    assert_eq!(
        first(&behind).values("x-forwarded-prefix"),
        ["/outer", "/api"]
    );
}

#[tokio::test]
async fn a_route_sets_and_removes_headers_and_nobody_else_does() {
    let reply = b"HTTP/1.1 200 OK\r\nServer: nginx/1.0\r\nX-Inside: a\r\nX-Inside: b\r\nX-Kept: c\r\nContent-Length: 2\r\n\r\nok".to_vec();
    let upstream = Recorder::start(Reply::AtHead(reply)).await;
    let gateway = Gateway::start(&config(
        &upstream,
        &[
            "path = \"/\"\nrequest_headers = { set = { \"X-Env\" = \"prod\", \"Authorization\" = \"Basic abc\" }, remove = [\"Cookie\", \"X-Debug\"] }\n\
           response_headers = { set = { \"X-Inside\" = \"hidden\", \"Strict-Transport-Security\" = \"max-age=60\" }, remove = [\"server\"] }",
        ],
    ));
    let token = gateway.token("alice").await;
    let lines = "X-Env: evil\r\nX_ENV: evil\r\nx.env: evil\r\nCookie: evil=1\r\nX-DEBUG: evil\r\nX-Kept: yes\r\nConnection: x-env, x-wx-openid, authorization\r\n";
    let answer = ask(
        &gateway,
        "GET",
        "/x",
        "a",
        &format!("Authorization: Bearer {token}\r\n{lines}"),
    )
    .await;
    assert_eq!(
        (
            answer.status,
            answer.header("x-inside"),
            answer.header("x-kept")
        ),
        (200, Some("hidden"), Some("c")),
        "{}",
        answer.text
    );
    assert_eq!(answer.text.to_lowercase().matches("x-inside:").count(), 1);
    assert_eq!(
        (
            answer.header("server"),
            answer.header("strict-transport-security")
        ),
        (None, Some("max-age=60"))
    );
    let record = first(&upstream);
    assert_eq!(
        (
            record.values("x-env"),
            record.values("x-kept"),
            record.values("authorization")
        ),
        (
            vec!["prod".into()],
            vec!["yes".into()],
            vec!["Basic abc".into()]
        )
    );
    assert!(
        !record.head().contains("evil")
            && record.values("x-wx-openid").len() == 1
            && !record.head().contains(&token),
        "{}",
        record.head()
    );
    // The gateway's own answers are not the upstream's.
    let refused = ask(&gateway, "GET", "/x", "a", "").await;
    assert_eq!((refused.status, refused.header("x-inside")), (401, None));
}

#[tokio::test]
async fn a_redirect_of_the_upstream_to_itself_becomes_the_clients_path() {
    for (route, location, wanted) in [
        ("path = \"/\"", "http://{up}/login?a=b", "/login?a=b"),
        (
            "path = \"/\"",
            "http://{up}//evil.example/",
            "/evil.example/",
        ),
        (
            "path = \"/api\"\nstrip_prefix = true",
            "http://{up}/login",
            "/api/login",
        ),
        (
            "path = \"/api\"\nrewrite_prefix = \"/v2\"",
            "http://{up}/v2/login",
            "/api/login",
        ),
        (
            "path = \"/api\"\nstrip_prefix = true",
            "//{up}/a/../log in",
            "/api/log%20in",
        ),
        (
            "path = \"/\"\nrewrite_prefix = \"/v2\"",
            "https://{up}/v2//evil.example",
            "/evil.example",
        ),
        ("path = \"/api\"\nstrip_prefix = true", "/login", "/login"),
        (
            "path = \"/api\"\nstrip_prefix = true",
            "https://pay.example/x",
            "https://pay.example/x",
        ),
        (
            "path = \"/\"",
            "http://{up}@evil.example/",
            "http://{up}@evil.example/",
        ),
    ] {
        let upstream = Recorder::start_with(|own| {
            let location = location.replace("{up}", own);
            Reply::AtHead(
                format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n")
                    .into_bytes(),
            )
        })
        .await;
        let gateway = Gateway::start(&config(&upstream, &[&format!("{route}\nauth = \"none\"")]));
        let answer = ask(&gateway, "GET", "/api", "a", "").await;
        let wanted = wanted.replace("{up}", upstream.url.trim_start_matches("http://"));
        assert_eq!(
            (answer.status, answer.header("location")),
            (302, Some(wanted.as_str())),
            "{route} {location}"
        );
    }
}

#[tokio::test]
async fn a_route_has_its_own_patience_and_body_limit() {
    let upstream = Recorder::start(Reply::Never).await;
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
    assert_eq!(
        (answer.status, answer.code()),
        (504, Some("upstream_timeout"))
    );
    // Also on a connection that has waited longer for another route's answer.
    let kept = Recorder::start(Reply::AfterBody(1, ok())).await;
    let two = Gateway::start(&config(
        &kept,
        &[
            "path = \"/\"\nauth = \"none\"",
            "path = \"/quick\"\ntimeout = \"50ms\"\nauth = \"none\"",
        ],
    ));
    let post = "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx";
    let both = wire::send(
        two.listen,
        format!("{post}GET /quick HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").as_bytes(),
    )
    .await;
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
            wire::send(gateway.listen, request.as_bytes()).await.status,
            status,
            "{path} {length}"
        );
        let chunked = format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n"
        );
        assert_eq!(
            wire::send(gateway.listen, chunked.as_bytes()).await.status,
            status,
            "{path} {length} chunked"
        );
    }
}

#[tokio::test]
async fn errors_have_the_shape_of_their_route() {
    let upstream = Recorder::start(Reply::AtHead(ok())).await;
    let gateway = Gateway::with(&Setup {
        config: format!(
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
        ),
        ..Setup::default()
    });
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
    assert_eq!(
        (session.status, session.code()),
        (200, Some("login_required"))
    );
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
async fn verify_knows_hosts_and_methods() {
    let upstream = Recorder::start(Reply::AtHead(ok())).await;
    let gateway = Gateway::start(&format!(
        "server.trusted_proxies = [\"127.0.0.1\"]\nverify.proxy = \"traefik\"\n{}",
        config(
            &upstream,
            &[
                "path = \"/\"\nauth = \"none\"",
                "path = \"/api\"\nhost = \"a.example.com\"\nmethods = [\"GET\"]\nauth = \"none\"",
                "path = \"/api\"\nhost = \"a.example.com\"\nmethods = [\"POST\"]",
                "path = \"/api\"\nhost = \"b.example.com\"",
            ]
        )
    ));
    let (a, b) = (
        "X-Forwarded-Host: A.example.com:443\r\n",
        "X-Forwarded-Host: b.example.com.\r\n",
    );
    let (get, post) = (
        "X-Forwarded-Method: GET\r\n",
        "X-Forwarded-Method: POST\r\n",
    );
    let api = "X-Forwarded-Uri: /api/x\r\n";
    for (lines, status, code) in [
        (format!("{api}{a}{get}"), 200, None),
        (format!("{api}{a}X-Forwarded-Method: HEAD\r\n"), 200, None),
        (format!("{api}{a}{post}"), 401, Some("login_required")),
        (
            format!("{api}{a}X-Forwarded-Method: PUT\r\n"),
            403,
            Some("method_not_allowed"),
        ),
        (format!("{api}{b}{get}"), 401, Some("login_required")),
        (
            format!("{api}X-Forwarded-Host: c.example.com\r\n{get}"),
            200,
            None,
        ),
        ("X-Forwarded-Uri: /x\r\n".to_owned(), 200, None),
        // Not said: the strictest that it may be. The asking's own Host is the proxy's.
        (format!("{api}{get}"), 401, Some("login_required")),
        (format!("X-Forwarded-Uri: /x\r\n{get}"), 200, None),
        (format!("{api}{b}"), 401, Some("login_required")),
        // It may be PUT, which /api of a.example.com does not take.
        (format!("{api}{a}"), 403, Some("method_not_allowed")),
        (api.to_owned(), 403, Some("method_not_allowed")),
        // Said twice, or not understood.
        (format!("{api}{a}{a}{get}"), 401, Some("request_invalid")),
        (format!("{api}{a}{get}{get}"), 401, Some("request_invalid")),
        // Another proxy's header, which is not read.
        (
            format!("{api}{a}{get}X-Original-Method: POST\r\n"),
            200,
            None,
        ),
        (
            format!("{api}X-Forwarded-Host: c.example.com, a.example.com\r\n{get}"),
            401,
            Some("request_invalid"),
        ),
        (
            format!("{api}{a}X-Forwarded-Method: GET, POST\r\n"),
            401,
            Some("request_invalid"),
        ),
        (
            format!("{api}{a}X-Forwarded-Method:\r\n"),
            401,
            Some("request_invalid"),
        ),
        (
            format!("{api}X-Forwarded-Host:\r\n{get}"),
            401,
            Some("request_invalid"),
        ),
        (
            format!("{api}{a}{get}X-HTTP-Method-Override: POST\r\n"),
            401,
            Some("request_invalid"),
        ),
        (
            format!("X-Forwarded-Uri: /API/x\r\n{a}{get}"),
            401,
            Some("path_invalid"),
        ),
        (
            format!("X-Forwarded-Uri: /api;x/y\r\n{get}"),
            401,
            Some("path_invalid"),
        ),
        (
            format!("X-Forwarded-Uri: /api.json\r\n{b}{get}"),
            401,
            Some("path_invalid"),
        ),
        (
            format!("X-Forwarded-Uri: /api.json\r\nX-Forwarded-Host: c.example.com\r\n{get}"),
            200,
            None,
        ),
    ] {
        let answer = ask(&gateway, "GET", "/auth/verify", "c.example.com", &lines).await;
        assert_eq!(
            (answer.status, answer.code()),
            (status, code),
            "{lines}{}",
            answer.text
        );
    }
}

#[tokio::test]
async fn routes_are_told_apart_in_metrics_and_access_lines() {
    let upstream = Recorder::start(Reply::AtHead(ok())).await;
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

#[tokio::test]
async fn what_a_route_changes_in_answers_it_changes_in_every_spelling() {
    let answer = b"HTTP/1.1 200 OK\r\nX_Rem: 1\r\nX.Rem: 2\r\nX-Rem: 3\r\nX_Set: 4\r\nContent-Length: 0\r\n\r\n";
    let upstream = Recorder::start(Reply::AtHead(answer.to_vec())).await;
    let edits = "response_headers = { set = { \"X-Set\" = \"own\" }, remove = [\"X-Rem\"] }\n";
    let gateway = Gateway::start(&(route("/", &upstream.url, "none") + edits));
    let answer = wire::send(gateway.listen, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let text = answer.text.to_lowercase();
    assert!(
        !text.contains("rem: ")
            && text.matches("set: ").count() == 1
            && answer.header("x-set") == Some("own"),
        "{}",
        answer.text
    );
}

/// What is matched and what goes on agree, whatever a server makes of an encoded or a repeated
/// slash.
#[tokio::test]
async fn a_path_goes_on_as_it_came_and_leads_nowhere_else() {
    let upstream = Recorder::start(Reply::AtHead(ok())).await;
    let routes = config(
        &upstream,
        &[
            "path = \"/\"",
            "path = \"/raw\"\nauth = \"none\"\nraw_path = true",
            "path = \"/img\"\nauth = \"none\"\nraw_path = true\nstrip_prefix = true",
            "path = \"/raw/open\"\nauth = \"none\"",
            "path = \"/host\"\nhost = \"a.example\"\nauth = \"none\"\nraw_path = true",
            "path = \"/get\"\nmethods = [\"GET\"]\nauth = \"none\"\nraw_path = true",
            "path = \"/get\"\nmethods = [\"POST\"]",
            "path = \"/plain\"\nauth = \"none\"",
        ],
    );
    let gateway = Gateway::with(&Setup {
        config: format!("server.trusted_proxies = [\"127.0.0.1\"]\n{routes}"),
        ..Setup::default()
    });
    for (target, out) in [
        ("/raw/a%2Fb", "/raw/a%2Fb"),
        ("/raw/a%2fb//c%7E?x=/../%2F", "/raw/a%2fb//c%7E?x=/../%2F"),
        ("/raw//x", "/raw//x"),
        (
            "/raw/plain/https://b.example/c.jpg@png",
            "/raw/plain/https://b.example/c.jpg@png",
        ),
        ("/raw/%2Fx", "/raw/%2Fx"),
        ("/raw", "/raw"),
        (
            "/img/rs:fill/plain/http%3A%2F%2Fb.example%2Fc",
            "/rs:fill/plain/http%3A%2F%2Fb.example%2Fc",
        ),
        ("/img/a//b", "/a//b"),
        // Its own part is written in another way: as on every other route.
        ("//raw/x//y", "/raw/x/y"),
        ("/r%61w//x%7E", "/raw/x~"),
        ("/raw//open/x", "/raw/open/x"),
        ("/get/a%2Fb", "/get/a%2Fb"),
    ] {
        assert_eq!(
            ask(&gateway, "GET", target, "a", "").await.status,
            200,
            "{target}"
        );
        until("it to arrive", async || {
            arrived(&upstream)
                .contains(&format!("GET {out} HTTP/1.1\r\n"))
                .then_some(())
        })
        .await;
    }
    assert_eq!(
        ask(&gateway, "GET", "/host/a%2Fb", "a.example", "")
            .await
            .status,
        200
    );
    let before = arrived(&upstream);
    for (method, target, host, status) in [
        ("GET", "/raw/..%2fadmin", "a", 400),
        ("GET", "/raw/%2F..%2Fadmin", "a", 400),
        ("GET", "/raw/%2e%2e/admin", "a", 400),
        ("GET", "/raw/%2e%2e%2fadmin", "a", 400),
        ("GET", "/raw//../admin", "a", 400),
        ("GET", "/raw/a%2F..", "a", 400),
        ("GET", "/raw/..;x%2Fadmin", "a", 400),
        ("GET", "/raw/..%3b%2Fadmin", "a", 400),
        ("GET", "/raw/a%252Fb", "a", 400),
        ("GET", "/raw/a%2Fb%00", "a", 400),
        ("GET", "/raw/a%2Fb%5c..", "a", 400),
        ("GET", "/raw/a%2Fb\\c", "a", 400),
        ("GET", "/raw%2Fadmin", "a", 400),
        ("GET", "/raw%2F..%2Fadmin", "a", 400),
        ("GET", "//raw/a%2Fb", "a", 400),
        ("GET", "/r%61w/a%2Fb", "a", 400),
        ("GET", "/raw/open%2Fx", "a", 400),
        ("GET", "/raw/open/a%2Fb", "a", 400),
        ("GET", "/RAW/a%2Fb", "a", 400),
        ("GET", "/img//evil.example/x", "a", 400),
        ("GET", "/img/%2Fevil.example/x", "a", 400),
        ("GET", "/img/%2f/x", "a", 400),
        ("GET", "/host/a%2Fb", "b.example", 400),
        ("POST", "/get/a%2Fb", "a", 400),
        ("POST", "/get//a", "a", 401),
        ("PUT", "/get/a%2Fb", "a", 405),
        ("GET", "/plain/a%2Fb", "a", 400),
        ("GET", "/admin//x", "a", 401),
        ("GET", "/admin%2Fx", "a", 400),
        ("GET", "/auth%2Fsession", "a", 400),
    ] {
        let answer = ask(&gateway, method, target, host, "Content-Length: 0\r\n").await;
        assert_eq!(
            answer.status, status,
            "{method} {target} {host}: {}",
            answer.text
        );
    }
    assert_eq!(arrived(&upstream), before, "nothing of it goes on");
}

#[tokio::test]
async fn the_gateways_own_endpoints_are_no_backends_however_slashes_are_written() {
    let upstream = Recorder::start(Reply::AtHead(ok())).await;
    let gateway = Gateway::start(&config(
        &upstream,
        &["path = \"/\"\nauth = \"none\"\nraw_path = true"],
    ));
    for (target, status) in [
        ("/auth%2Flogin", 404),
        ("/auth%2Fnothing%2Fx", 404),
        ("/%2Fauth%2Flogin", 404),
        ("/auth/x%2Fy", 404),
        ("//auth/nothing", 404),
        ("//evil.example/x", 400),
        ("/%2Fevil.example/x", 400),
    ] {
        assert_eq!(
            ask(&gateway, "GET", target, "a", "").await.status,
            status,
            "{target}"
        );
    }
    assert_eq!(arrived(&upstream), "");
    assert_eq!(ask(&gateway, "GET", "/a//b%2Fc", "a", "").await.status, 200);
}

#[tokio::test]
async fn verify_decides_on_raw_paths_as_the_proxy_does() {
    let upstream = Recorder::start(Reply::AtHead(ok())).await;
    let routes = config(
        &upstream,
        &[
            "path = \"/\"",
            "path = \"/raw\"\nauth = \"none\"\nraw_path = true",
            "path = \"/plain\"\nauth = \"none\"",
        ],
    );
    let config =
        format!("server.trusted_proxies = [\"127.0.0.1\"]\nverify.proxy = \"nginx\"\n{routes}");
    let gateway = Gateway::with(&Setup {
        config,
        ..Setup::default()
    });
    for (uri, status, code) in [
        ("/raw/a%2Fb", 200, None),
        ("/raw//a%2fb?x", 200, None),
        ("/raw/..%2Fadmin", 401, Some("path_invalid")),
        ("/raw%2Fadmin", 401, Some("path_invalid")),
        ("//raw/a%2Fb", 401, Some("path_invalid")),
        ("/r%61w/a%2Fb", 401, Some("path_invalid")),
        ("/plain/a%2Fb", 401, Some("path_invalid")),
        ("/admin%2Fx", 401, Some("path_invalid")),
        ("/admin//x", 401, Some("login_required")),
    ] {
        let answer = ask(
            &gateway,
            "GET",
            "/auth/verify",
            "a",
            &format!("X-Original-URI: {uri}\r\nX-Original-Method: GET\r\n"),
        )
        .await;
        assert_eq!((answer.status, answer.code()), (status, code), "{uri}");
    }
}
