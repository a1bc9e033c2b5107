//! `/auth/verify`: asked by hand, and by a real nginx.

mod original;

use serde_json::Value;

use crate::helpers::{APPID, Answer, Gateway, Nginx, echo_upstream, http, probe};

const OWNED: [&str; 8] = [
    "x-wx-openid",
    "x-wx-appid",
    "x-wx-unionid",
    "x-wx-source",
    "x-hufu-app",
    "x-hufu-provider",
    "x-hufu-subject",
    "x-hufu-session",
];

fn trusting(routes: &str) -> Gateway {
    Gateway::start(&format!(
        "server.trusted_proxies = [\"127.0.0.1\"]\n{routes}"
    ))
}

/// What is believed at `/auth/verify`.
fn believing(proxy: &str) -> String {
    format!("verify.proxy = \"{proxy}\"\n")
}

async fn ask(gateway: &Gateway, method: &str, lines: &str) -> Answer {
    gateway
        .raw(format!(
            "{method} /auth/verify HTTP/1.1\r\nHost: x\r\n{lines}Connection: close\r\n\r\n"
        ))
        .await
}

#[tokio::test]
async fn the_answer_is_200_with_every_header_or_a_no_that_proxies_understand() {
    let echo = echo_upstream();
    let gateway = trusting(
        &(believing("traefik")
            + &echo.route("/api", "required")
            + &echo.route("/public", "none")
            + &echo.route("/maybe", "optional")),
    );
    let token = gateway.token("alice").await;
    for method in [
        "GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PROPFIND",
    ] {
        let answer = ask(
            &gateway,
            method,
            &format!("Authorization: Bearer {token}\r\nX-WX-OPENID: evil\r\n"),
        )
        .await;
        assert_eq!(
            (
                answer.status,
                answer.header("content-length"),
                answer.body()
            ),
            (200, Some("0"), ""),
            "{method}: {}",
            answer.text
        );
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(
            answer.header("x-wx-openid"),
            Some(hufu::sandbox::openid(APPID, "alice").as_str())
        );
        assert!(answer.header("transfer-encoding").is_none());
        for name in OWNED {
            assert_eq!(
                answer
                    .text
                    .to_lowercase()
                    .matches(&format!("\r\n{name}:"))
                    .count(),
                1,
                "{name}"
            );
        }
    }
    for (lines, status, code) in [
        (String::new(), 401, "login_required"),
        (
            "Authorization: Bearer rubbish\r\n".to_owned(),
            401,
            "token_invalid",
        ),
        (
            format!("Authorization: Bearer {token}\r\nAuthorization: Bearer {token}\r\n"),
            401,
            "token_ambiguous",
        ),
        (
            format!(
                "Authorization: Bearer {token}\r\nX-Forwarded-Uri: /public\r\nX-Forwarded-Uri: /public\r\n"
            ),
            401,
            "request_invalid",
        ),
        (
            format!(
                "Authorization: Bearer {token}\r\nX-Forwarded-Uri: /public\r\nX-Forwarded-Uri: /public?x\r\n"
            ),
            401,
            "request_invalid",
        ),
        (
            "X-Forwarded-Uri: /public/../api\r\n".to_owned(),
            401,
            "path_invalid",
        ),
        (
            "X-Forwarded-Uri: /api/x?y=/public\r\n".to_owned(),
            401,
            "login_required",
        ),
        (
            "X-Forwarded-Uri: /nowhere\r\n".to_owned(),
            401,
            "login_required",
        ),
        (
            "User-Agent: GoogleHC/1.0\r\n".to_owned(),
            401,
            "login_required",
        ),
        (
            "X-Forwarded-Method: OPTIONS\r\nX-Forwarded-Uri: /api\r\n".to_owned(),
            401,
            "login_required",
        ),
    ] {
        let answer = ask(&gateway, "GET", &lines).await;
        answer.refuses(status, code, format_args!("{lines}: {}", answer.text));
    }
    for lines in [
        "X-Forwarded-Uri: /public/x?y\r\n",
        "X-Forwarded-Uri: /maybe\r\n",
        "X-Forwarded-Uri: /maybe\r\nAuthorization: Bearer rubbish\r\n",
    ] {
        let answer = ask(&gateway, "GET", lines).await;
        assert_eq!(answer.status, 200, "{lines}");
        for name in OWNED {
            assert_eq!(
                answer.header(name),
                Some(""),
                "{lines} {name}: an empty value overwrites what the client sent"
            );
        }
    }
    // What Caddy sends on for a WebSocket handshake.
    let handshake = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let answer = gateway.raw(format!("GET /auth/verify HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n{handshake}Authorization: Bearer {token}\r\n\r\n"))
    .await;
    assert_eq!(answer.status, 200);
    let answer = gateway
        .raw(format!(
            "GET /auth/verify HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n{handshake}\r\n"
        ))
        .await;
    assert_eq!(answer.status, 401);
    let answer = gateway.raw(format!("POST /auth/verify HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nExpect: 100-continue\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc")).await;
    assert!(answer.text.contains("HTTP/1.1 200 OK"), "{}", answer.text);
}

#[tokio::test]
async fn strangers_are_not_answered() {
    let gateway = Gateway::start("");
    let token = gateway.token("alice").await;
    let answer = ask(&gateway, "GET", &format!("Authorization: Bearer {token}\r\nX-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Uri: /public\r\n")).await;
    answer.refuses(403, "untrusted_peer", "");
    assert!(
        answer.body().contains("server.trusted_proxies") && answer.header("x-wx-openid").is_none()
    );
}

#[tokio::test]
async fn a_real_nginx_asks_and_forged_headers_do_not_get_through() {
    let echo = echo_upstream();
    let gateway = trusting("");
    let token = gateway.token("alice").await;
    let nginx = Nginx::start(&format!(
        r"
        location = /_hufu {{
            internal;
            proxy_pass {gateway}/auth/verify;
            proxy_pass_request_body off;
            proxy_set_header Content-Length '';
            proxy_set_header X-Original-URI $request_uri;
            proxy_set_header X-Original-Method $request_method;
        }}
        location / {{
            auth_request /_hufu;
            auth_request_set $openid $upstream_http_x_wx_openid;
            proxy_set_header X-WX-OPENID $openid;
            proxy_set_header Authorization '';
            proxy_pass {echo};
        }}",
        gateway = gateway.at(""),
        echo = echo.url
    ));
    let answer: Value = http()
        .get(nginx.at("/api/x"))
        .bearer_auth(&token)
        .header("X-WX-OPENID", "evil")
        .header("X_WX_OPENID", "evil")
        .await
        .json();
    let text = answer.to_string();
    assert!(
        text.contains(&hufu::sandbox::openid(APPID, "alice"))
            && !text.contains("evil")
            && !text.contains("hufu_"),
        "{text}"
    );
    assert_eq!(http().get(nginx.at("/api/x")).await.status(), 401);
    assert_eq!(
        http()
            .get(nginx.at("/api/x"))
            .bearer_auth("rubbish")
            .await
            .status(),
        401
    );
    // nginx asks in HTTP/1.0, about a handshake too, without what makes it one.
    for (lines, status) in [
        (format!("Authorization: Bearer {token}\r\n"), 200),
        (String::new(), 401),
    ] {
        let lines = format!(
            "{lines}Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nExpect: 100-continue\r\n"
        );
        let answer = probe::send(
            nginx.address(),
            format!("GET /api/x HTTP/1.1\r\nHost: x\r\n{lines}\r\n"),
        )
        .await;
        assert!(
            answer.text.contains(&format!("HTTP/1.1 {status} ")),
            "{}",
            answer.text
        );
    }
}

#[tokio::test]
async fn the_appended_path_begins_behind_the_endpoint_whatever_the_prefix() {
    let echo = echo_upstream();
    // Read from the first "/verify", the appended /api/x would be /verify/api/x, which belongs to
    // the open "/".
    let gateway = trusting(&format!(
        "server.prefix = \"/verify\"\n{}{}",
        believing("envoy"),
        echo.route("/", "none") + &echo.route("/api", "required")
    ));
    for (path, status) in [
        ("/verify/verify/api/x", 401),
        ("/verify/verify/open", 200),
        ("/verify/verify", 401),
        ("/%76erify/verify/open", 401),
    ] {
        let answer = gateway
            .raw(format!(
                "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            ))
            .await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text);
    }
}

/// 204 would let it pass.
#[tokio::test]
async fn a_preflight_is_no_yes() {
    let gateway = trusting("cors.origins = [\"https://h5.test\"]\n");
    let preflight = "OPTIONS /auth/verify HTTP/1.1\r\nHost: x\r\nOrigin: https://h5.test\r\nAccess-Control-Request-Method: GET\r\nConnection: close\r\n\r\n";
    let answer = gateway.raw(&preflight).await;
    assert_eq!(
        (answer.status, answer.header("x-hufu-error")),
        (401, Some("login_required")),
        "{}",
        answer.text
    );
}

/// Some proxies pass a fragment on, and backends differ in whether the path ends there.
#[tokio::test]
async fn an_original_uri_with_a_fragment_is_refused() {
    let echo = echo_upstream();
    let gateway = trusting(
        &(believing("nginx") + &echo.route("/open", "none") + &echo.route("/api", "required")),
    );
    assert_eq!(
        ask(&gateway, "GET", "X-Original-URI: /open/x\r\n")
            .await
            .status,
        200
    );
    for uri in ["/open/x#/../../api/x", "/open#", "/open?a#b"] {
        let answer = ask(&gateway, "GET", &format!("X-Original-URI: {uri}\r\n")).await;
        assert_eq!(
            (answer.status, answer.header("x-hufu-error")),
            (401, Some("path_invalid")),
            "{uri}: {}",
            answer.text
        );
    }
}

/// The proxy sends it on, and a backend may take it for the path of the route.
#[tokio::test]
async fn a_path_of_no_route_is_refused_where_it_may_be_read_as_one_with_requirements() {
    let echo = echo_upstream();
    let staff = echo
        .route("/api/staff", "required")
        .replace("auth = \"required\"", "require = { role = \"staff\" }");
    assert!(staff.contains("require ="), "{staff}");
    let gateway = trusting(&(believing("nginx") + &staff));
    let token = gateway.token("alice").await;
    for (uri, expected) in [
        ("/api/staff", (403, Some("forbidden"))),
        ("/api//staff/1", (403, Some("forbidden"))),
        ("/api/staff.json?x", (401, Some("path_invalid"))),
        ("/api/Staff", (401, Some("path_invalid"))),
        ("/api/staff;x=1", (401, Some("path_invalid"))),
        ("/api/staff%20", (401, Some("path_invalid"))),
        ("/api./staff", (401, Some("path_invalid"))),
        ("/api/staffs", (200, None)),
        ("/other.json", (200, None)),
    ] {
        let lines = format!("Authorization: Bearer {token}\r\nX-Original-URI: {uri}\r\n");
        let answer = ask(&gateway, "GET", &lines).await;
        assert_eq!(
            (answer.status, answer.header("x-hufu-error")),
            expected,
            "{uri}: {}",
            answer.text
        );
    }
}

/// A yes would send the identity headers on with it, and TRACE echoes them.
#[tokio::test]
async fn an_original_method_that_never_goes_on_is_refused_whatever_the_routes() {
    let echo = echo_upstream();
    let by_method = format!(
        "{}methods = [\"GET\", \"POST\"]\n",
        echo.route("/api", "required")
    );
    for routes in [
        String::new(),
        echo.route("/api", "required"),
        echo.route("/api", "none"),
        by_method,
    ] {
        for (proxy, uri, name) in [
            ("nginx", "X-Original-URI", "X-Original-Method"),
            ("caddy", "X-Forwarded-Uri", "X-Forwarded-Method"),
        ] {
            let gateway = trusting(&(believing(proxy) + &routes));
            let token = gateway.token("alice").await;
            for lines in [format!("{uri}: /api/x\r\n"), String::new()] {
                for (method, status, code) in [
                    ("GET", 200, None),
                    ("TRACE", 403, Some("method_not_allowed")),
                    ("Trace", 403, Some("method_not_allowed")),
                    ("CONNECT", 403, Some("method_not_allowed")),
                    ("A-METHOD-THAT-IS-TOO-LONG", 403, Some("method_not_allowed")),
                    ("GET, TRACE", 401, Some("request_invalid")),
                ] {
                    let answer = ask(
                        &gateway,
                        "GET",
                        &format!("{lines}{name}: {method}\r\nAuthorization: Bearer {token}\r\n"),
                    )
                    .await;
                    assert_eq!(
                        (answer.status, answer.code()),
                        (status, code),
                        "{routes} {lines} {name}: {method}: {}",
                        answer.text
                    );
                }
            }
        }
    }
    // As the asking's own method the gate refuses it.
    let answer = ask(&trusting(""), "TRACE", "").await;
    answer.refuses(405, "method_not_allowed", format_args!("{}", answer.text));
}

/// Some proxies pass the client's `Upgrade` and `Expect` on while they ask. Without the
/// `Connection` that belongs to it `Upgrade` means nothing; with it, what is no sound handshake
/// gets the gate's own no, as docs/http-api.md lists them, and never a yes.
#[tokio::test]
async fn a_broken_handshake_is_asked_about_as_a_request_or_refused() {
    let gateway = trusting("");
    let token = gateway.token("alice").await;
    let bearer = format!("Authorization: Bearer {token}\r\n");
    let whole = "Upgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for (method, lines, status) in [
        ("GET", "Upgrade: websocket\r\n", 200),
        (
            "GET",
            "Upgrade: websocket\r\nSec-WebSocket-Version: 8\r\n",
            200,
        ),
        ("GET", "Upgrade: h2c\r\nConnection: upgrade\r\n", 200),
        ("POST", "Connection: upgrade\r\n", 200),
        ("GET", whole, 200),
        ("GET", "Upgrade: websocket\r\nConnection: upgrade\r\n", 426),
        (
            "GET",
            "Upgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\n",
            400,
        ),
        ("GET", "Upgrade: websocket, h2c\r\n", 400),
        ("GET", "Upgrade: websocket\r\nContent-Length: 0\r\n", 200),
        ("GET", &format!("{whole}Content-Length: 0\r\n"), 200),
        ("GET", "Upgrade: websocket\r\nContent-Length: 3\r\n", 400),
        ("GET", &format!("{whole}Content-Length: 3\r\n"), 400),
        ("POST", "Upgrade: websocket\r\n", 400),
        ("POST", whole, 400),
        ("GET", "Expect: x\r\n", 417),
        ("GET", "Upgrade: websocket\r\nExpect: 100-continue\r\n", 417),
    ] {
        let answer = ask(&gateway, method, &format!("{lines}{bearer}")).await;
        assert_eq!(answer.status, status, "{method} {lines}: {}", answer.text);
        assert!(
            answer.closed && answer.header("x-wx-openid").is_some() == (status == 200),
            "{method} {lines}: {}",
            answer.text
        );
    }
}
