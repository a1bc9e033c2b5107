//! Tokens in odd places, and what leaves the request with them.

use super::get;
use crate::helpers::{Gateway, Upstream, echo_upstream};

#[tokio::test]
async fn tokens_in_odd_places_neither_go_on_nor_into_the_log() {
    let upstream = Upstream::ok();
    let gateway = Gateway::start(&format!(
        "server.trusted_proxies = [\"127.0.0.1\"]\n{}",
        upstream.route("/public", "none")
    ));
    let t = gateway.token("alice").await;
    let escaped = format!("%68ufu%5f{}", &t[5..]);
    assert_eq!(
        get(&gateway, &format!("/public/{escaped}"), "")
            .await
            .code(),
        Some("path_invalid")
    );
    for lines in [
        format!("Authorization: Token {t}\r\n"),
        format!("Authorization: {t}\r\n"),
        format!("Authorization: Bearer \"{t}\"\r\n"),
        format!("X-Request-Id: {t}\r\n"),
        "Proxy: http://evil.test\r\nX_Request_Id: evil\r\n".to_owned(),
    ] {
        assert_eq!(
            get(&gateway, &format!("/public?a=1;tk={t}"), &lines)
                .await
                .status,
            200,
            "{lines}"
        );
    }
    let odd = gateway
        .raw(format!(
            "{t} /public HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        ))
        .await;
    assert_eq!(odd.status, 405);
    gateway.access_line("the last one", |line| line["status"] == 405);
    let seen = upstream.text();
    assert!(!seen.contains(&t[5..]) && !seen.contains("evil"), "{seen}");
    assert!(!gateway.stdout().contains(&t[5..]), "{}", gateway.stdout());
}

#[tokio::test]
async fn tokens_leave_the_request_wherever_they_stood() {
    let upstream = Upstream::ok();
    let config = format!(
        "session.carriers = [\"bearer\", \"header:X-Skey\", \"cookie:sid\", \"query:3rd_session\"]\nserver.trusted_proxies = [\"127.0.0.1\"]\n{}",
        upstream.route("/api", "required")
    );
    let gateway = Gateway::start(&config);
    let t = gateway.token("alice").await;
    for (path, lines) in [
        ("/api".to_owned(), format!("Authorization: Bearer {t}\r\n")),
        ("/api".to_owned(), format!("X-Skey: {t}\r\n")),
        ("/api".to_owned(), format!("Cookie: a=b; sid={t}; c=d\r\n")),
        (
            format!("/api?a=b&3rd_session={t}&c=d"),
            format!(
                "Referer: https://x.test/?3rd_session={t}\r\nX-Forwarded-Uri: /api?3rd_session={t}&z=1\r\nX-Original-URI: /api?3rd_session={t}\r\nX-Rewrite-URL: /api?3rd_session={t}\r\n"
            ),
        ),
        (
            format!("/api?other={t}"),
            format!("Authorization: Bearer {t}\r\n"),
        ),
        (
            format!("/api?other={}", t.replace('_', "%5f")),
            format!("Authorization: Bearer {t}\r\nSec-WebSocket-Protocol: chat, {t}\r\n"),
        ),
        (
            "/api".to_owned(),
            format!(
                "X-Skey: {t}\r\nX_Authorization: Bearer {t}\r\nAuthorization_: {t}\r\nX-Token: token=\"{t}\"\r\nX-Other: hufu-{}\r\n",
                &t[5..]
            ),
        ),
    ] {
        let answer = get(&gateway, &path, &lines).await;
        assert_eq!(answer.status, 200, "{path} {lines}: {}", answer.text);
    }
    let in_path = get(
        &gateway,
        &format!("/api/{t}/x"),
        &format!("Authorization: Bearer {t}\r\n"),
    )
    .await;
    in_path.refuses(400, "path_invalid", "");
    let ambiguous = get(
        &gateway,
        &format!("/api?3rd_session={t}"),
        &format!("Authorization: Bearer {}\r\n", gateway.token("alice").await),
    )
    .await;
    ambiguous.refuses(400, "token_ambiguous", "");
    let seen = upstream.text();
    assert!(
        !seen.contains("hufu_") && !seen.contains("%5f") && seen.contains("x-other: hufu-"),
        "{seen}"
    );
    assert!(
        seen.contains("cookie: a=b; c=d\r\n")
            && seen.contains("GET /api?a=b&c=d HTTP/1.1\r\n")
            && seen.contains("x-forwarded-uri: /api?z=1\r\n"),
        "{seen}"
    );
    gateway.access_line("five answers", |line| {
        line["path"] == "/api" && line["status"] == 400
    });
    assert!(
        !gateway
            .stdout()
            .replace("hufu_[hidden]", "")
            .contains("hufu_")
            && !gateway.stderr().contains("hufu_")
    );
}

#[tokio::test]
async fn optional_routes_say_that_a_token_is_dead() {
    let echo = echo_upstream();
    let gateway = Gateway::start(&echo.route("/maybe", "optional"));
    let token = gateway.token("alice").await;
    assert_eq!(get(&gateway, "/maybe", "").await.code(), None);
    assert!(
        get(
            &gateway,
            "/maybe",
            &format!("Authorization: Bearer {token}\r\n")
        )
        .await
        .body()
        .contains("x-wx-openid")
    );
    let _ = gateway.raw(format!("POST /auth/logout HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
    .await;
    let answer = get(
        &gateway,
        "/maybe",
        &format!("Authorization: Bearer {token}\r\n"),
    )
    .await;
    answer.refuses(200, "session_expired", "");
    assert!(
        !answer.body().contains("x-wx-openid") && !answer.body().contains("hufu_"),
        "{}",
        answer.body()
    );
    let answer = get(&gateway, "/maybe", "Authorization: Bearer rubbish\r\n").await;
    answer.refuses(200, "token_invalid", "");
}

#[tokio::test]
async fn cross_origin_rules_are_those_of_the_configuration() {
    let echo = echo_upstream();
    let gateway = Gateway::start(&format!(
        "cors.origins = [\"https://h5.shop.test\"]\n{}",
        echo.route("/api", "required")
    ));
    let preflight = async |origin: &str, path: &str| {
        let request = format!(
            "OPTIONS {path} HTTP/1.1\r\nHost: x\r\nOrigin: {origin}\r\nAccess-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization\r\nConnection: close\r\n\r\n"
        );
        gateway.raw(&request).await
    };
    for (path, otherwise) in [("/api/x", 401), ("/auth/login", 405)] {
        let answer = preflight("https://h5.shop.test", path).await;
        assert_eq!(
            (answer.status, answer.header("access-control-allow-origin")),
            (204, Some("https://h5.shop.test")),
            "{path}: {}",
            answer.text
        );
        assert_eq!(
            answer.header("access-control-allow-headers"),
            Some("authorization")
        );
        let answer = preflight("https://evil.test", path).await;
        assert_eq!(
            (answer.status, answer.header("access-control-allow-origin")),
            (otherwise, None),
            "{path}"
        );
    }
    let answer = get(&gateway, "/api", "Origin: https://h5.shop.test\r\n").await;
    assert_eq!(
        (answer.status, answer.header("access-control-allow-origin")),
        (401, Some("https://h5.shop.test"))
    );
    let without = Gateway::start(&echo.route("/api", "required"));
    let plain = without.raw(b"OPTIONS /api HTTP/1.1\r\nHost: x\r\nOrigin: https://h5.shop.test\r\nAccess-Control-Request-Method: GET\r\nConnection: close\r\n\r\n")
    .await;
    assert_eq!(
        (plain.status, plain.header("access-control-allow-origin")),
        (401, None)
    );
}
