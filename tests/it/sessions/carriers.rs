//! Places where a token may stand and none does: clients that have signed out leave them behind.

use crate::helpers::{
    Answer, Gateway, Upstream, WsUpstream, echo_upstream,
    ws_client::{connect, refused},
};

const CARRIERS: &str = "session.carriers = [\"bearer\", \"header:X-Token\", \"cookie:sid\", \"query:tok\", \"protocol\"]\n";
/// The query and the header lines of requests that carry nothing.
const EMPTY: [(&str, &str); 9] = [
    ("", "Cookie: sid=\r\n"),
    ("", "Cookie: a=b; sid= ; sid=\"\"\r\n"),
    ("", "X-Token: \r\n"),
    ("", "X-Token:\r\nX-Token:  \t\r\n"),
    ("?tok=", ""),
    ("?tok&a=b&tok=", ""),
    ("", "Authorization: Bearer \r\n"),
    ("", "authorization: bearer\r\n"),
    (
        "?tok=",
        "Authorization: Bearer  \r\nCookie: sid=\r\nX-Token: \r\n",
    ),
];

async fn ask(gateway: &Gateway, method: &str, path: &str, lines: &str) -> Answer {
    let length = if method == "POST" {
        "Content-Length: 0\r\n"
    } else {
        ""
    };
    gateway
        .raw(format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\n{lines}{length}Connection: close\r\n\r\n"
        ))
        .await
}

#[tokio::test]
async fn an_empty_carrier_is_no_token_and_no_guess() {
    let echo = echo_upstream();
    let routes = echo.route("/api", "required") + &echo.route("/maybe", "optional");
    let gateway = Gateway::start(&format!(
        "server.trusted_proxies = [\"127.0.0.1\"]\n{CARRIERS}{routes}"
    ));
    let token = gateway.token("alice").await;
    for (query, lines) in EMPTY {
        for (method, path) in [
            ("GET", "/api"),
            ("GET", "/auth/verify"),
            ("GET", "/auth/session"),
            ("GET", "/auth/sessions"),
            ("POST", "/auth/logout"),
            ("POST", "/auth/logout/all"),
            ("POST", "/auth/rotate"),
        ] {
            let answer = ask(&gateway, method, &format!("{path}{query}"), lines).await;
            answer.refuses(401, "login_required", format_args!("{path}{query} {lines}"));
        }
        let answer = ask(&gateway, "GET", &format!("/maybe{query}"), lines).await;
        assert_eq!(
            (answer.status, answer.code()),
            (200, None),
            "{query} {lines}"
        );
        // Beside a live one the live one counts.
        for (path, live) in [
            ("/api", "X-Token"),
            ("/auth/verify", "X-Token"),
            ("/auth/session", "X-Token"),
            ("/maybe", "X-Token"),
        ] {
            let answer = ask(
                &gateway,
                "GET",
                &format!("{path}{query}"),
                &format!("{lines}{live}: {token}\r\n"),
            )
            .await;
            assert_eq!(
                (answer.status, answer.code()),
                (200, None),
                "{path}{query} {lines}"
            );
        }
        let answer = ask(
            &gateway,
            "GET",
            &format!("/api{query}"),
            &format!("{lines}Cookie: sid={token}\r\n"),
        )
        .await;
        assert_eq!(
            (answer.status, answer.body().contains("x-wx-openid")),
            (200, true),
            "{query} {lines}"
        );
    }
    for spaces in [" ", "  ", "      "] {
        let bearer = format!("Authorization: Bearer{spaces}{token}\r\nCookie: sid=\r\n");
        for path in ["/api", "/auth/verify", "/auth/session"] {
            assert_eq!(
                ask(&gateway, "GET", path, &bearer).await.status,
                200,
                "{bearer}"
            );
        }
    }
    // Rotated and signed out with an empty one beside.
    let answer = ask(
        &gateway,
        "POST",
        "/auth/rotate?tok=",
        &format!("Authorization: Bearer   {token}\r\nCookie: sid=\r\n"),
    )
    .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let other = gateway.token("bob").await;
    let answer = ask(
        &gateway,
        "POST",
        "/auth/logout",
        &format!("Authorization: Bearer \r\nX-Token: {other}\r\n"),
    )
    .await;
    assert_eq!(answer.status, 204, "{}", answer.text);
    assert_eq!(
        ask(&gateway, "GET", "/api", &format!("X-Token: {other}\r\n"))
            .await
            .code(),
        Some("session_expired")
    );
    // Two tokens are as ambiguous as before.
    for lines in [
        format!("Authorization: Bearer {token}\r\nCookie: sid={other}\r\nX-Token: \r\n"),
        format!("Authorization: Bearer\r\nAuthorization: Bearer {token}\r\n"),
        format!("Cookie: sid={token}; sid=; sid={other}\r\n"),
    ] {
        let answer = ask(&gateway, "GET", "/api", &lines).await;
        answer.refuses(400, "token_ambiguous", lines);
    }
    assert_eq!(
        gateway
            .counted("hufu_session_lookups_total{outcome=\"invalid_token\"}")
            .await,
        0
    );
    assert_eq!(gateway.counted("hufu_guessed_tokens_total").await, 0);
    // What is no token but something is a guess as before.
    assert_eq!(
        ask(&gateway, "GET", "/api?tok=x", "Cookie: sid=\r\n")
            .await
            .code(),
        Some("token_invalid")
    );
    assert_eq!(
        gateway
            .counted("hufu_session_lookups_total{outcome=\"invalid_token\"}")
            .await,
        1
    );
}

#[tokio::test]
async fn an_empty_carrier_does_not_reach_the_backend() {
    let backend = Upstream::ok();
    let gateway = Gateway::start(&format!("{CARRIERS}{}", backend.route("/api", "required")));
    let token = gateway.token("alice").await;
    for (query, lines) in EMPTY {
        let answer = ask(
            &gateway,
            "GET",
            &format!("/api{query}"),
            &format!("{lines}Cookie: c=d; sid={token}\r\n"),
        )
        .await;
        assert_eq!(answer.status, 200, "{query} {lines}: {}", answer.text);
    }
    let seen = backend.text();
    for carrier in [
        "sid=",
        "x-token",
        "tok",
        "authorization",
        "Bearer",
        "bearer",
    ] {
        assert!(!seen.contains(carrier), "{carrier}: {seen}");
    }
}

#[tokio::test]
async fn a_protocol_without_a_token_carries_none() {
    let upstream = WsUpstream::start().await;
    let gateway = Gateway::start(&format!("{CARRIERS}{}", upstream.route("/", "required")));
    let token = gateway.token("zhang").await;
    for offered in ["hufu.v1, hufu.token.", "hufu.token."] {
        assert_eq!(
            refused(&gateway, "/echo", &[("sec-websocket-protocol", offered)]).await,
            (401, "login_required".to_owned())
        );
    }
    for lines in [
        [
            ("sec-websocket-protocol", "hufu.v1, hufu.token."),
            ("x-token", token.as_str()),
        ],
        [
            (
                "sec-websocket-protocol",
                &format!("hufu.v1, hufu.token., hufu.token.{token}"),
            ),
            ("x-token", ""),
        ],
        [
            (
                "sec-websocket-protocol",
                &format!("hufu.v1, hufu.token.{token}"),
            ),
            ("cookie", "sid="),
        ],
    ] {
        assert!(
            connect(&gateway, "/echo", &lines).await.is_ok(),
            "{lines:?}"
        );
    }
    assert_eq!(
        gateway
            .counted("hufu_session_lookups_total{outcome=\"invalid_token\"}")
            .await,
        0
    );
}
