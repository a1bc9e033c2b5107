//! What a route changes on the way: prefixes, headers and redirects.

use super::{ask, config};
use crate::helpers::{Gateway, Recorded, Script, Upstream, script::ok, until_blocking};

/// The first request that has reached the upstream.
fn first(upstream: &Upstream) -> Recorded {
    until_blocking("a request at the upstream", || {
        upstream
            .connections()
            .into_iter()
            .find(|record| !record.head().is_empty())
    })
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
        let upstream = Upstream::start(Script::at_head(ok()).then_close());
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
    let upstream = Upstream::start(Script::at_head(ok()).then_close());
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
    assert!(!upstream.text().contains("evil"));
    // A trusted proxy has left out a prefix of its own before.
    let behind = Upstream::start(Script::at_head(ok()).then_close());
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
    let upstream = Upstream::start(Script::at_head(reply));
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
        let upstream = Upstream::at_its_address(|own| {
            let location = location.replace("{up}", own);
            Script::at_head(format!(
                "HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
            ))
        });
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
async fn what_a_route_changes_in_answers_it_changes_in_every_spelling() {
    let answer = b"HTTP/1.1 200 OK\r\nX_Rem: 1\r\nX.Rem: 2\r\nX-Rem: 3\r\nX_Set: 4\r\nContent-Length: 0\r\n\r\n";
    let upstream = Upstream::start(Script::at_head(answer.to_vec()));
    let edits = "response_headers = { set = { \"X-Set\" = \"own\" }, remove = [\"X-Rem\"] }\n";
    let gateway = Gateway::start(&(upstream.route("/", "none") + edits));
    let answer = gateway.raw(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let text = answer.text.to_lowercase();
    assert!(
        !text.contains("rem: ")
            && text.matches("set: ").count() == 1
            && answer.header("x-set") == Some("own"),
        "{}",
        answer.text
    );
}
