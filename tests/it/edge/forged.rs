//! Forged identity, odd paths, odd protocol: over raw sockets, with the numbers of the hostile
//! cases that they test.

mod believed;
mod forwarding;

use serde_json::Value;

use crate::helpers::gateway::{APPID, Gateway, Setup, route};
use crate::helpers::recorder::{Recorder, Reply, ok};
use crate::helpers::servers::echo_upstream;
use crate::helpers::wire::{self, Answer};

async fn get(gateway: &Gateway, path: &str, lines: &str) -> Answer {
    wire::send(
        gateway.listen,
        format!("GET {path} HTTP/1.1\r\nHost: shop.test\r\n{lines}Connection: close\r\n\r\n")
            .as_bytes(),
    )
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
        &(route("/api", &echo.url, "required")
            + &route("/public", &echo.url, "none")
            + &route("/maybe", &echo.url, "optional")),
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
        route("/api", &echo.url, "required")
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
    let upstream = Recorder::start(Reply::AtHead(ok())).await;
    let gateway = Gateway::start(&route("/api", &upstream.url, "required"));
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
    let seen: String = upstream
        .connections()
        .iter()
        .map(|c| String::from_utf8_lossy(&c.bytes).into_owned())
        .collect();
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
    let upstream = Recorder::start(Reply::AtHead(answer.to_vec())).await;
    let gateway = Gateway::start(&format!(
        "session.carriers = [\"bearer\", \"cookie:sid\"]\n{}",
        route("/public", &upstream.url, "none")
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
    let gateway = Gateway::start(&route("/public", &echo.url, "none"));
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

/// Hostile cases 18 to 37: none reaches the protected backend under another name.
#[tokio::test]
async fn no_spelling_of_a_path_reaches_another_route() {
    let (open, secret) = (
        Recorder::start(Reply::AtHead(ok())).await,
        Recorder::start(Reply::AtHead(ok())).await,
    );
    let gateway =
        Gateway::start(&(route("/", &open.url, "none") + &route("/api", &secret.url, "required")));
    let refused = [
        "/public/../api/x",
        "/public/%2e%2e/api/x",
        "/public/..%2fapi/x",
        "/public/..;/api/x",
        "/public/%252e%252e/api/x",
        "/./api/x",
        "/API/x",
        "/public%2f..%2fapi",
        "/api%00.css",
        "/api/x%0d%0aX:%20y",
        "/public\\..\\api",
        "/public%5c..%5capi",
        "/%c0%ae%c0%ae/api",
        "/api;x=1/y",
        "/;/api/x",
        "/;a=b/api",
        "/%3b/api",
        "/api.",
        "/api%20",
        "/%2561pi/x",
        "/api%3bx/y",
        "/Api",
        "/api%",
        "/x/..",
    ];
    for path in refused {
        let answer = get(&gateway, path, "").await;
        assert_eq!(answer.status, 400, "{path}: {}", answer.text);
    }
    for path in [
        "/api",
        "/api/",
        "/api/x",
        "//api/x",
        "/api//x",
        "/ap%69/x",
        "/%61pi",
        "/api/x;jsessionid=1",
        "/api/x?path=/public",
        "///api",
        "/api/x%20y",
    ] {
        let answer = get(&gateway, path, "").await;
        assert_eq!(
            (answer.status, answer.code()),
            (401, Some("login_required")),
            "{path}"
        );
    }
    for (path, upstream) in [
        ("/apix?x=/api", "/apix?x=/api"),
        ("/pub//lic", "/pub/lic"),
        ("/a%2Db%7e", "/a-b~"),
        ("/%e8%99%8e", "/%E8%99%8E"),
        ("/public%23/api", "/public%23/api"),
    ] {
        assert_eq!(get(&gateway, path, "").await.status, 200, "{path}");
        let seen: String = open
            .connections()
            .iter()
            .map(|c| String::from_utf8_lossy(&c.bytes).into_owned())
            .collect();
        assert!(
            seen.contains(&format!("GET {upstream} HTTP/1.1\r\n")),
            "{path}: {seen}"
        );
    }
    assert!(secret.connections().is_empty());
    let long = get(&gateway, &format!("/{}", "a".repeat(9000)), "").await;
    assert_eq!((long.status, long.code()), (414, Some("uri_too_long")));
    let elsewhere = wire::send(
        gateway.listen,
        b"GET http://other.test/api HTTP/1.1\r\nHost: shop.test\r\n\r\n",
    )
    .await;
    assert_eq!((elsewhere.status, elsewhere.closed), (400, true));
    for (target, host) in [
        ("http://shop.test/api", "shop.test"),
        ("http://SHOP.test:80/api", "shop.test"),
        ("http://shop.test/api", "Shop.test:80"),
    ] {
        let same = wire::send(
            gateway.listen,
            format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
                .as_bytes(),
        )
        .await;
        assert_eq!(same.status, 401, "{target} {host}");
    }
}

#[tokio::test]
async fn a_protected_path_with_capitals_has_no_other_spelling_either() {
    let (open, secret) = (
        Recorder::start(Reply::AtHead(ok())).await,
        Recorder::start(Reply::AtHead(ok())).await,
    );
    let gateway = Gateway::start(
        &(route("/", &open.url, "none") + &route("/skills/Kids", &secret.url, "required")),
    );
    for path in [
        "/skills/kids",
        "/skills/KIDS/x",
        "/SKILLS/Kids",
        "/skills/%E2%84%AAids",
    ] {
        assert_eq!(get(&gateway, path, "").await.status, 400, "{path}");
    }
    assert_eq!(get(&gateway, "/skills/Kids/x", "").await.status, 401);
    assert_eq!(get(&gateway, "/skills", "").await.status, 200);
    assert!(secret.connections().is_empty());
}

#[tokio::test]
async fn hosts_are_names_or_addresses_and_nothing_that_links_could_be_built_from() {
    let echo = echo_upstream();
    let gateway = Gateway::start(&route("/", &echo.url, "none"));
    let ask = async |host: &str| {
        wire::send(
            gateway.listen,
            format!("GET /public HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes(),
        )
        .await
        .status
    };
    for host in [
        "",
        "a,b",
        "a b",
        "u:p@gw",
        "gw/x",
        "gw?x",
        "gw#x",
        "../",
        "gw:99999",
        "gw:x",
        "[",
        "[::1",
        "[::1]x",
        "\"><script>",
    ] {
        assert_eq!(ask(host).await, 400, "{host:?}");
    }
    for host in [
        "gw",
        "GW.example.com:443",
        "127.0.0.1:8080",
        "[::1]:8080",
        "[2001:db8::1]",
        "shop_a.test",
    ] {
        assert_eq!(ask(host).await, 200, "{host:?}");
    }
}

#[tokio::test]
async fn tokens_in_odd_places_neither_go_on_nor_into_the_log() {
    let upstream = Recorder::start(Reply::AtHead(ok())).await;
    let gateway = Gateway::start(&format!(
        "server.trusted_proxies = [\"127.0.0.1\"]\n{}",
        route("/public", &upstream.url, "none")
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
    let odd = wire::send(
        gateway.listen,
        format!("{t} /public HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes(),
    )
    .await;
    assert_eq!(odd.status, 405);
    gateway.access_line("the last one", |line| line["status"] == 405);
    let seen: String = upstream
        .connections()
        .iter()
        .map(|c| String::from_utf8_lossy(&c.bytes).into_owned())
        .collect();
    assert!(!seen.contains(&t[5..]) && !seen.contains("evil"), "{seen}");
    assert!(!gateway.stdout().contains(&t[5..]), "{}", gateway.stdout());
}

/// Hostile cases 82 to 94, as far as they can be refused behind the server's own parser.
#[tokio::test]
async fn odd_framing_and_upgrades_are_refused_and_closed() {
    let upstream = Recorder::start(Reply::AtHead(ok())).await;
    let mut gateway = Gateway::start(&route("/", &upstream.url, "none"));
    let ws = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    for (request, status) in [
        (
            format!(
                "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"
            ),
            400,
        ),
        (
            format!(
                "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n{smuggled}"
            ),
            400,
        ),
        (
            format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +0\r\n\r\n{smuggled}"),
            400,
        ),
        (
            format!("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n{smuggled}"),
            400,
        ),
        (
            format!(
                "POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"
            ),
            400,
        ),
        (format!("GET / HTTP/1.1\r\n\r\n{smuggled}"), 400),
        (
            format!("GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n{smuggled}"),
            400,
        ),
        (
            format!("GET / HTTP/1.1\r\nHost: x\r\n{ws}\r\n{smuggled}"),
            400,
        ),
        (
            format!(
                "POST / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n{ws}Content-Length: 3\r\n\r\nabc{smuggled}"
            ),
            400,
        ),
        (
            format!(
                "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n{ws}Content-Length: 1\r\n\r\na{smuggled}"
            ),
            400,
        ),
        (
            format!(
                "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n{ws}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"
            ),
            400,
        ),
        (
            format!("GET / HTTP/1.0\r\nHost: x\r\nConnection: Upgrade\r\n{ws}\r\n{smuggled}"),
            400,
        ),
        (
            format!("CONNECT other:443 HTTP/1.1\r\nHost: x\r\n\r\n{smuggled}"),
            405,
        ),
        (
            format!("TRACE / HTTP/1.1\r\nHost: x\r\n\r\n{smuggled}"),
            405,
        ),
    ] {
        let answer = wire::send(gateway.listen, request.as_bytes()).await;
        assert_eq!(answer.status, status, "{request}\n{}", answer.text);
        // Either it is closed, or it is read to its end for a moment so that the client sees the
        // answer, and then closed.
        assert!(
            answer.closed
                || answer.header("connection") == Some("close")
                || answer.text.starts_with("HTTP/1.0"),
            "{request}\n{}",
            answer.text
        );
        assert!(
            !answer.text.contains("HTTP/1.1 200"),
            "what followed was answered: {}",
            answer.text
        );
    }
    let all: Vec<u8> = upstream
        .connections()
        .into_iter()
        .flat_map(|c| c.bytes)
        .collect();
    assert!(
        !String::from_utf8_lossy(&all).contains("smuggled"),
        "{}",
        String::from_utf8_lossy(&all)
    );
    let h2c = get(
        &gateway,
        "/x",
        "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
    )
    .await;
    assert_eq!(h2c.status, 200);
    assert!(
        !String::from_utf8_lossy(
            &upstream
                .connections()
                .into_iter()
                .flat_map(|c| c.bytes)
                .collect::<Vec<u8>>()
        )
        .to_lowercase()
        .contains("h2c")
    );
    let name = "a".repeat(70_000);
    let answer = wire::send(
        gateway.listen,
        format!("GET / HTTP/1.1\r\nHost: x\r\n{name}: y\r\n\r\n").as_bytes(),
    )
    .await;
    assert!(matches!(answer.status, 0 | 400 | 431), "{}", answer.text);
    assert!(gateway.runs());
    assert_eq!(get(&gateway, "/still-here", "").await.status, 200);
}

#[tokio::test]
async fn a_client_without_host_gets_one_for_its_upstream() {
    let upstream = Recorder::start(Reply::AtHead(ok())).await;
    let gateway = Gateway::start(&route("/", &upstream.url, "none"));
    let answer = wire::send(gateway.listen, b"GET /old HTTP/1.0\r\n\r\n").await;
    assert!(answer.status == 200 && answer.closed, "{}", answer.text);
    assert_eq!(
        upstream.connections()[0].values("host"),
        [upstream.url.trim_start_matches("http://")]
    );
}

#[tokio::test]
async fn trailers_are_neither_merged_nor_passed_on() {
    let upstream = Recorder::start(Reply::AfterBody(5, ok())).await;
    let gateway = Gateway::start(&route("/", &upstream.url, "none"));
    let request = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X-WX-OPENID\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\nX-WX-OPENID: evil\r\n\r\n";
    let _ = wire::send(gateway.listen, request.as_bytes()).await;
    let all: String = upstream
        .connections()
        .iter()
        .map(|c| String::from_utf8_lossy(&c.bytes).into_owned())
        .collect();
    assert!(
        !all.contains("evil") && !all.to_lowercase().contains("trailer"),
        "{all}"
    );
}

#[tokio::test]
async fn tokens_leave_the_request_wherever_they_stood() {
    let upstream = Recorder::start(Reply::AtHead(ok())).await;
    let config = format!(
        "session.carriers = [\"bearer\", \"header:X-Skey\", \"cookie:sid\", \"query:3rd_session\"]\nserver.trusted_proxies = [\"127.0.0.1\"]\n{}",
        route("/api", &upstream.url, "required")
    );
    let gateway = Gateway::with(&Setup {
        config,
        ..Setup::default()
    });
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
    assert_eq!(
        (in_path.status, in_path.code()),
        (400, Some("path_invalid"))
    );
    let ambiguous = get(
        &gateway,
        &format!("/api?3rd_session={t}"),
        &format!("Authorization: Bearer {}\r\n", gateway.token("alice").await),
    )
    .await;
    assert_eq!(
        (ambiguous.status, ambiguous.code()),
        (400, Some("token_ambiguous"))
    );
    let seen: String = upstream
        .connections()
        .iter()
        .map(|c| String::from_utf8_lossy(&c.bytes).into_owned())
        .collect();
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
    let gateway = Gateway::start(&route("/maybe", &echo.url, "optional"));
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
    let _ = wire::send(
        gateway.listen,
        format!("POST /auth/logout HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").as_bytes(),
    )
    .await;
    let answer = get(
        &gateway,
        "/maybe",
        &format!("Authorization: Bearer {token}\r\n"),
    )
    .await;
    assert_eq!(
        (answer.status, answer.code()),
        (200, Some("session_expired"))
    );
    assert!(
        !answer.body().contains("x-wx-openid") && !answer.body().contains("hufu_"),
        "{}",
        answer.body()
    );
    let answer = get(&gateway, "/maybe", "Authorization: Bearer rubbish\r\n").await;
    assert_eq!((answer.status, answer.code()), (200, Some("token_invalid")));
}

#[tokio::test]
async fn cross_origin_rules_are_those_of_the_configuration() {
    let echo = echo_upstream();
    let gateway = Gateway::start(&format!(
        "cors.origins = [\"https://h5.shop.test\"]\n{}",
        route("/api", &echo.url, "required")
    ));
    let preflight = async |origin: &str, path: &str| {
        let request = format!(
            "OPTIONS {path} HTTP/1.1\r\nHost: x\r\nOrigin: {origin}\r\nAccess-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization\r\nConnection: close\r\n\r\n"
        );
        wire::send(gateway.listen, request.as_bytes()).await
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
    let without = Gateway::start(&route("/api", &echo.url, "required"));
    let plain = wire::send(
        without.listen,
        b"OPTIONS /api HTTP/1.1\r\nHost: x\r\nOrigin: https://h5.shop.test\r\nAccess-Control-Request-Method: GET\r\nConnection: close\r\n\r\n",
    )
    .await;
    assert_eq!(
        (plain.status, plain.header("access-control-allow-origin")),
        (401, None)
    );
}
