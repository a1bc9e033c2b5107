//! Forged identity, odd paths, odd protocol: over raw sockets, with the numbers of the hostile
//! cases that they test.

mod app_servers;
mod believed;
mod forwarding;
mod framing;
mod paths;
mod tokens;

use serde_json::Value;

use crate::helpers::{APPID, Answer, Gateway, Script, Upstream, echo_upstream};

async fn get(gateway: &Gateway, path: &str, lines: &str) -> Answer {
    gateway
        .raw(format!(
            "GET {path} HTTP/1.1\r\nHost: shop.test\r\n{lines}Connection: close\r\n\r\n"
        ))
        .await
}

/// The names and values that the echo upstream saw.
fn seen(answer: &Answer) -> Vec<(String, String)> {
    let body: Value =
        serde_json::from_str(answer.body()).unwrap_or_else(|_| panic!("{}", answer.text));
    serde_json::from_value(body["headers"].clone()).unwrap()
}

/// As a CGI backend would read the name.
fn folded(name: &str) -> String {
    name.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .collect()
}

const SPELLINGS: [&str; 12] = [
    "X-WX-OPENID",
    "x-wx-openid",
    "X_WX_OPENID",
    "X-WX_OPENID",
    "X.WX.OPENID",
    "X!WX!OPENID",
    "x~wx~openid",
    "X-WX-UNIONID",
    "X_Hufu_Subject",
    "X-Hufu-Assertion",
    "X-WX-FROM-OPENID",
    "X-Wx-Source",
];

#[tokio::test]
async fn no_spelling_of_an_identity_header_gets_through() {
    let echo = echo_upstream();
    let gateway = Gateway::start(
        &(echo.route("/api", "required")
            + &echo.route("/public", "none")
            + &echo.route("/maybe", "optional")),
    );
    let token = gateway.token("alice").await;
    let openid = hufu::sandbox::openid(APPID, "alice");
    for name in SPELLINGS {
        for path in ["/api", "/maybe"] {
            let answer = get(
                &gateway,
                path,
                &format!("{name}: evil\r\n{name}: evil2\r\nAuthorization: Bearer {token}\r\n"),
            )
            .await;
            assert_eq!(answer.status, 200, "{name}");
            let headers = seen(&answer);
            assert!(!answer.body().contains("evil"), "{name}: {}", answer.body());
            let ids: Vec<_> = headers
                .iter()
                .filter(|(n, _)| folded(n) == "x-wx-openid")
                .collect();
            assert_eq!(ids, [&("x-wx-openid".to_owned(), openid.clone())], "{name}");
        }
        let answer = get(&gateway, "/public", &format!("{name}: evil\r\n")).await;
        assert!(
            seen(&answer)
                .iter()
                .all(|(n, _)| !folded(n).starts_with("x-wx-") && !folded(n).starts_with("x-hufu-")),
            "{name}"
        );
    }
    for bad in [
        "X-WX-OPENID\0: evil",
        "X WX-OPENID: evil",
        "X-WX-OPEN\u{e9}D: evil",
        "X-WX-OPENID : evil",
        ": evil",
    ] {
        let answer = get(&gateway, "/public", &format!("{bad}\r\n")).await;
        assert_eq!(answer.status, 400, "{bad:?}: {}", answer.text);
    }
}

#[tokio::test]
async fn configured_names_are_guarded_too_and_cases_differ_in_nothing() {
    let echo = echo_upstream();
    let gateway = Gateway::start(&format!(
        "identity.headers.subject = \"Remote-User\"\n{}",
        echo.route("/api", "required")
    ));
    let token = gateway.token("alice").await;
    for name in ["Remote-User", "remote_user", "REMOTE.USER"] {
        let answer = get(
            &gateway,
            "/api",
            &format!("{name}: evil\r\nAuthorization: Bearer {token}\r\n"),
        )
        .await;
        assert!(!answer.body().contains("evil"), "{}", answer.body());
        assert!(seen(&answer).contains(&(
            "remote-user".to_owned(),
            hufu::sandbox::openid(APPID, "alice")
        )));
    }
}

#[tokio::test]
async fn connection_options_remove_nothing_that_the_gateway_adds() {
    let upstream = Upstream::ok();
    let gateway = Gateway::start(&upstream.route("/api", "required"));
    let token = gateway.token("alice").await;
    let options = [
        "Connection: close, X-WX-OPENID\r\n",
        "connection: x-wx-openid\r\nConnection: x-hufu-session\r\n",
        "Connection: Authorization\r\n",
        "Connection: Host, Content-Length, X-Forwarded-For\r\n",
        "Keep-Alive: 5\r\nTE: trailers, x\r\nProxy-Connection: close\r\nProxy-Authorization: Basic x\r\nConnection: X-Drop\r\nX-Drop: me\r\n",
    ];
    for lines in options {
        let answer = get(
            &gateway,
            "/api",
            &format!("{lines}Authorization: Bearer {token}\r\n"),
        )
        .await;
        assert_eq!(answer.status, 200, "{lines}: {}", answer.text);
    }
    let seen = upstream.text();
    assert_eq!(
        seen.matches("GET /api HTTP/1.1\r\n").count(),
        options.len(),
        "{seen}"
    );
    assert_eq!(seen.matches("X-WX-OPENID: o").count(), options.len());
    assert_eq!(
        seen.matches("\r\nhost: shop.test\r\n").count(),
        options.len()
    );
    assert_eq!(
        seen.matches("x-forwarded-for: 127.0.0.1\r\n").count(),
        options.len()
    );
    for gone in [
        "keep-alive",
        "te:",
        "proxy-",
        "x-drop",
        "authorization",
        "connection:",
        "hufu_",
    ] {
        assert!(
            !seen.to_lowercase().contains(&format!("\r\n{gone}"))
                && (gone != "hufu_" || !seen.contains(gone)),
            "{gone} in {seen}"
        );
    }
}

#[tokio::test]
async fn an_upstream_cannot_speak_for_the_gateway() {
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Hufu-Error: session_expired\r\nX_WX_OPENID: evil\r\nConnection: X-Private\r\nX-Private: 1\r\nKeep-Alive: 5\r\nSet-Cookie: sid=stolen\r\nSet-Cookie: a=b\r\nX-Own: kept\r\n\r\nok";
    let upstream = Upstream::start(Script::at_head(answer.to_vec()));
    let gateway = Gateway::start(&format!(
        "session.carriers = [\"bearer\", \"cookie:sid\"]\n{}",
        upstream.route("/public", "none")
    ));
    let answer = get(&gateway, "/public", "").await;
    let head = answer.text.to_lowercase();
    assert!(
        head.contains("x-own: kept") && head.contains("set-cookie: a=b"),
        "{head}"
    );
    for gone in [
        "x-hufu-error",
        "openid",
        "x-private",
        "keep-alive",
        "stolen",
    ] {
        assert!(!head.contains(gone), "{gone}: {head}");
    }
}

#[tokio::test]
async fn trace_context_is_passed_on_or_started() {
    let echo = echo_upstream();
    let gateway = Gateway::start(&echo.route("/public", "none"));
    let given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let answer = get(
        &gateway,
        "/public",
        &format!("traceparent: {given}\r\ntracestate: a=b\r\n"),
    )
    .await;
    assert!(seen(&answer).contains(&("traceparent".to_owned(), given.to_owned())));
    gateway.access_line("the trace id", |line| {
        line["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    });
    for bad in ["", "00-zz-b7ad6b7169203331-01", "evil"] {
        let answer = get(&gateway, "/public", &format!("traceparent: {bad}\r\n")).await;
        let parents: Vec<_> = seen(&answer)
            .into_iter()
            .filter(|(n, _)| n == "traceparent")
            .collect();
        assert!(
            parents.len() == 1 && parents[0].1.len() == 55 && parents[0].1 != given,
            "{parents:?}"
        );
    }
}
