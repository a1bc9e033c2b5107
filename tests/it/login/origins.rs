//! Web pages of other origins: whether theirs is the gateway's own, and what they may do with
//! cookies.

use crate::helpers::{Answer, Gateway, Script, Upstream, WsUpstream, echo_upstream};

const COOKIES: &str = "session.carriers = [\"bearer\", \"cookie:sid\"]\n";
const PAGE: &str = "https://h5.shop.test";
const ALLOWED: &str = "access-control-allow-origin";
const WITH_COOKIES: &str = "access-control-allow-credentials";

/// How often a header stands in an answer, and its value.
fn values(answer: &Answer, name: &str) -> Vec<String> {
    let head = answer.text.split("\r\n\r\n").next().unwrap();
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    lines
        .filter(|(own, _)| own.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim().to_owned())
        .collect()
}

async fn ask(gateway: &Gateway, method: &str, path: &str, lines: &str) -> Answer {
    gateway
        .raw(format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\n{lines}Connection: close\r\n\r\n"
        ))
        .await
}

#[tokio::test]
async fn a_page_of_this_host_is_known_however_host_and_origin_are_written() {
    let upstream = WsUpstream::start().await;
    let config = format!(
        "server.trusted_proxies = [\"127.0.0.1\"]\n{COOKIES}{}",
        upstream.route("/", "required")
    );
    let gateway = Gateway::start(&config);
    let cookie = format!("Cookie: sid={}\r\n", gateway.token("zhang").await);
    let handshake = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    // What the proxy in front says of the scheme, the page's origin, the host, and whether the two
    // are one place.
    for (scheme, origin, host, status) in [
        ("", "https://a.example", "a.example", 101),
        ("", "https://a.example", "a.example:443", 101),
        ("", "http://a.example", "a.example:80", 101),
        ("http", "http://a.example", "a.example:80", 101),
        ("https", "https://a.example", "a.example:443", 101),
        ("https", "https://A.Example", "a.EXAMPLE:443", 101),
        ("https", "https://a.example", "a.example.", 101),
        ("https", "https://a.example.", "a.example:443", 101),
        ("https", "https://a.example:8443", "a.example.:8443", 101),
        ("https", "https://[2001:db8::1]", "[2001:DB8:0::1]:443", 101),
        ("https", "https://[::1]:443", "[::1]", 101),
        ("https", "https://servicewechat.com", "a.example", 101),
        ("https", "http://a.example", "a.example:80", 403),
        ("https", "http://a.example", "a.example", 403),
        ("", "http://a.example", "a.example:443", 403),
        ("", "https://a.example", "a.example:80", 403),
        ("", "https://a.example", "a.example:8443", 403),
        ("", "https://a.example:8443", "a.example:443", 403),
        ("", "https://b.example", "a.example:443", 403),
        ("", "https://a.example.evil", "a.example", 403),
        ("", "https://evil.a.example", "a.example", 403),
        ("", "https://[::2]", "[::1]:443", 403),
        ("", "https://a.example/", "a.example", 403),
        ("", "https://u@a.example", "a.example", 403),
        ("", "null", "a.example", 403),
        ("", "a.example", "a.example", 403),
    ] {
        let told = if scheme.is_empty() {
            String::new()
        } else {
            format!("X-Forwarded-Proto: {scheme}\r\n")
        };
        let request = format!(
            "GET /echo HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\n{told}{cookie}{handshake}\r\n"
        );
        let answer = gateway.raw(&request).await;
        assert_eq!(
            answer.status, status,
            "{scheme} {origin} {host}: {}",
            answer.text
        );
    }
    let twice = format!(
        "GET /echo HTTP/1.1\r\nHost: a.example\r\nOrigin: https://a.example\r\nOrigin: https://a.example\r\n{cookie}{handshake}\r\n"
    );
    assert_eq!(gateway.raw(&twice).await.code(), Some("origin_forbidden"));
}

#[tokio::test]
async fn where_cookies_carry_the_token_listed_pages_may_send_them() {
    let echo = echo_upstream();
    for (carriers, allowed) in [
        ("", &[][..]),
        ("session.carriers = [\"bearer\", \"header:X-Token\"]\n", &[]),
        (COOKIES, &["true"]),
    ] {
        let config = format!(
            "server.trusted_proxies = [\"127.0.0.1\"]\n{carriers}cors.origins = [\"{PAGE}\", \"https://h5.shop.test:8443\"]\n{}",
            echo.route("/api", "required")
        );
        let gateway = Gateway::start(&config);
        for origin in [
            PAGE,
            "https://h5.shop.test:8443",
            "https://H5.Shop.test:443",
        ] {
            for path in ["/api/x", "/auth/login", "/auth/session", "/nowhere"] {
                let asked = format!(
                    "Origin: {origin}\r\nAccess-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization\r\n"
                );
                let preflight = ask(&gateway, "OPTIONS", path, &asked).await;
                assert_eq!(
                    (preflight.status, values(&preflight, ALLOWED)),
                    (204, vec![origin.to_owned()]),
                    "{path}: {}",
                    preflight.text
                );
                assert_eq!(
                    values(&preflight, WITH_COOKIES),
                    allowed,
                    "{path}: {}",
                    preflight.text
                );
                // With cookies a star would be a header, a method or an origin of this name.
                assert!(!preflight.text.contains('*'), "{}", preflight.text);
            }
        }
        let token = gateway.token("zhang").await;
        for (path, lines, status) in [
            ("/api/x", String::new(), 401),
            ("/auth/session", String::new(), 401),
            ("/nowhere", String::new(), 404),
            ("/auth/nowhere", String::new(), 404),
            ("/auth/verify", String::new(), 401),
            ("/auth/healthz", String::new(), 200),
            (
                "/auth/session",
                format!("Authorization: Bearer {token}\r\n"),
                200,
            ),
            ("/api/x", format!("Authorization: Bearer {token}\r\n"), 200),
        ] {
            let answer = ask(&gateway, "GET", path, &format!("Origin: {PAGE}\r\n{lines}")).await;
            assert_eq!(
                (answer.status, values(&answer, ALLOWED)),
                (status, vec![PAGE.to_owned()]),
                "{path}: {}",
                answer.text
            );
            assert_eq!(
                values(&answer, WITH_COOKIES),
                allowed,
                "{path}: {}",
                answer.text
            );
            for other in [
                "https://evil.test",
                "https://h5.shop.test:444",
                "http://h5.shop.test",
                "null",
            ] {
                let answer = ask(
                    &gateway,
                    "GET",
                    path,
                    &format!("Origin: {other}\r\n{lines}"),
                )
                .await;
                assert!(
                    values(&answer, ALLOWED).is_empty() && values(&answer, WITH_COOKIES).is_empty(),
                    "{path} {other}: {}",
                    answer.text
                );
            }
        }
        let preflight = ask(
            &gateway,
            "OPTIONS",
            "/auth/login",
            "Origin: https://evil.test\r\nAccess-Control-Request-Method: POST\r\n",
        )
        .await;
        assert!(
            values(&preflight, ALLOWED).is_empty() && values(&preflight, WITH_COOKIES).is_empty(),
            "{}",
            preflight.text
        );
    }
}

#[tokio::test]
async fn a_page_with_a_cookie_gets_a_backends_answer_and_a_backend_that_answers_for_itself_keeps_its_word()
 {
    for (own, origins, credentials) in [
        ("", vec![PAGE], vec!["true"]),
        (
            "Access-Control-Allow-Credentials: true\r\n",
            vec![PAGE],
            vec!["true"],
        ),
        (
            "Access-Control-Allow-Origin: https://other.test\r\n",
            vec!["https://other.test"],
            vec![],
        ),
        ("Access-Control-Allow-Origin: *\r\n", vec!["*"], vec![]),
        (
            "Access-Control-Allow-Origin: https://h5.shop.test\r\nAccess-Control-Allow-Credentials: true\r\n",
            vec![PAGE],
            vec!["true"],
        ),
    ] {
        let backend = Upstream::start(Script::at_head(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{own}\r\nok"
        )));
        let config = format!(
            "{COOKIES}cors.origins = [\"{PAGE}\"]\n{}",
            backend.route("/api", "required")
        );
        let gateway = Gateway::start(&config);
        let token = gateway.token("zhang").await;
        let answer = ask(
            &gateway,
            "GET",
            "/api",
            &format!("Origin: {PAGE}\r\nCookie: sid={token}\r\n"),
        )
        .await;
        assert_eq!(
            (
                answer.status,
                values(&answer, ALLOWED),
                values(&answer, WITH_COOKIES)
            ),
            (200, owned(&origins), owned(&credentials)),
            "{own}"
        );
    }
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[tokio::test]
async fn what_carries_tokens_takes_a_restart_for_cross_origin_pages_too() {
    let echo = echo_upstream();
    let rest = format!(
        "cors.origins = [\"{PAGE}\"]\n{}",
        echo.route("/api", "required")
    );
    let gateway = Gateway::start(&rest);
    gateway.reload(&format!("{COOKIES}{rest}"), "applied").await;
    let answer = gateway.get("/api").header("origin", PAGE).await;
    assert!(
        answer.get(ALLOWED).is_some() && answer.get(WITH_COOKIES).is_none(),
        "the gateway reads no cookies before a restart"
    );
}

#[tokio::test]
async fn a_browser_remembers_a_preflight_for_as_long_as_is_configured() {
    let echo = echo_upstream();
    let rest = format!(
        "cors.origins = [\"{PAGE}\"]\n{}",
        echo.route("/api", "required")
    );
    let gateway = Gateway::start(&rest);
    let asked = format!("Origin: {PAGE}\r\nAccess-Control-Request-Method: POST\r\n");
    let mut said = Vec::new();
    for max_age in ["", "cors.max_age = \"10m\"\n", "cors.max_age = \"0s\"\n"] {
        gateway.reload(&format!("{max_age}{rest}"), "applied").await;
        let preflight = ask(&gateway, "OPTIONS", "/api", &asked).await;
        said.extend(values(&preflight, "access-control-max-age"));
    }
    assert_eq!(said, ["7200", "600", "0"]);
}

#[tokio::test]
async fn a_foreign_page_changes_nothing_by_a_cookie() {
    let carriers =
        "session.carriers = [\"bearer\", \"header:X-Token\", \"query:t\", \"cookie:sid\"]\n";
    let echo = echo_upstream();
    let config = format!(
        "server.trusted_proxies = [\"127.0.0.1\"]\n{carriers}cors.origins = [\"{PAGE}\"]\n{}",
        echo.route("/api", "required")
    );
    let gateway = Gateway::start(&config);
    let token = gateway.token("zhang").await;
    let cookie = format!("Cookie: sid={token}\r\n");
    let foreign = [
        "Origin: https://evil.example\r\nSec-Fetch-Site: cross-site\r\n",
        "Origin: https://evil.example\r\n",
        "Origin: https://sub.x\r\nSec-Fetch-Site: same-site\r\n",
        "Origin: https://x:8443\r\n",
        "Origin: http://x\r\nX-Forwarded-Proto: https\r\n",
        "Origin: null\r\n",
        "Origin: \r\n",
        "Origin: https://x\r\nOrigin: https://evil.example\r\n",
        "Sec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Site: same-site\r\n",
        "Sec-Fetch-Site: none\r\nSec-Fetch-Site: cross-site\r\n",
    ];
    for (method, path) in [
        ("POST", "logout"),
        ("POST", "logout/all"),
        ("POST", "rotate"),
        ("DELETE", "sessions/dkwCuDFheT-qyxg68IAiwfmSA"),
    ] {
        for lines in foreign {
            // A second cookie, or an empty header, makes it no less the browser's.
            for carried in [
                cookie.clone(),
                format!("Cookie: a=b\r\n{cookie}"),
                format!("Authorization: Bearer \r\nX-Token: \r\n{cookie}"),
            ] {
                let answer = ask(
                    &gateway,
                    method,
                    &format!("/auth/{path}"),
                    &format!("{lines}{carried}"),
                )
                .await;
                answer.refuses(
                    403,
                    "origin_forbidden",
                    format_args!("{path} {lines} {carried}: {}", answer.text),
                );
            }
            // Nothing that says who asks, or what a page cannot say without knowing it.
            let answer = ask(&gateway, method, &format!("/auth/{path}"), lines).await;
            answer.refuses(
                401,
                "login_required",
                format_args!("{path} {lines}: {}", answer.text),
            );
        }
    }
    let alive = ask(&gateway, "GET", "/auth/session", &cookie).await;
    assert_eq!(alive.status, 200, "{}", alive.text);
    // What reads stays CORS' matter, and what is proxied the backend's.
    for path in ["/auth/session", "/auth/sessions", "/auth/verify", "/api/x"] {
        let answer = ask(&gateway, "GET", path, &format!("{}{cookie}", foreign[0])).await;
        assert_ne!(
            answer.code(),
            Some("origin_forbidden"),
            "{path}: {}",
            answer.text
        );
    }
}

#[tokio::test]
async fn known_pages_other_clients_and_tokens_in_headers_log_out_as_ever() {
    let carriers =
        "session.carriers = [\"bearer\", \"header:X-Token\", \"query:t\", \"cookie:sid\"]\n";
    let gateway = Gateway::start(&format!("{carriers}cors.origins = [\"{PAGE}\"]\n"));
    let evil = "Origin: https://evil.example\r\nSec-Fetch-Site: cross-site\r\n";
    for (lines, query) in [
        ("Cookie: sid={}\r\n".to_owned(), ""),
        (
            "Cookie: sid={}\r\nSec-Fetch-Site: same-origin\r\n".to_owned(),
            "",
        ),
        ("Cookie: sid={}\r\nSec-Fetch-Site: none\r\n".to_owned(), ""),
        (
            "Cookie: sid={}\r\nOrigin: http://x\r\nSec-Fetch-Site: same-origin\r\n".to_owned(),
            "",
        ),
        ("Cookie: sid={}\r\nOrigin: https://X:443\r\n".to_owned(), ""),
        (
            format!("Cookie: sid={{}}\r\nOrigin: {PAGE}\r\nSec-Fetch-Site: cross-site\r\n"),
            "",
        ),
        (
            "Cookie: sid={}\r\nOrigin: https://servicewechat.com\r\n".to_owned(),
            "",
        ),
        (format!("{evil}Authorization: Bearer {{}}\r\n"), ""),
        (format!("{evil}X-Token: {{}}\r\n"), ""),
        (format!("{evil}X-Token: {{}}\r\nCookie: sid={{}}\r\n"), ""),
        (evil.to_owned(), "?t={}"),
    ] {
        for (path, status) in [("logout", 204), ("logout/all", 200)] {
            let token = gateway.token("zhang").await;
            let [lines, query] = [lines.as_str(), query].map(|text| text.replace("{}", &token));
            let answer = ask(&gateway, "POST", &format!("/auth/{path}{query}"), &lines).await;
            assert_eq!(answer.status, status, "{path} {lines}: {}", answer.text);
        }
    }
}
