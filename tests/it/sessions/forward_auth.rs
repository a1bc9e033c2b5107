//! Proxies that ask at `/auth/verify`, set up as the documentation shows, and what clients try
//! there: the identity is right, or the request is refused.

use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

use crate::helpers::gateway::{APPID, Gateway, Setup};
use crate::helpers::recorder::{Recorded, Recorder, Reply};
use crate::helpers::redis_server::RedisServer;
use crate::helpers::servers::http;
use crate::helpers::wire::{self, Answer};
use crate::helpers::ws_client::{echoed, handshake};
use crate::helpers::ws_upstream::WsUpstream;

mod proxies;

use proxies::Proxy;

const HANDSHAKE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// A proxy between a client and a backend, and the gateway that it asks.
struct Asked {
    gateway: Gateway,
    proxy: Proxy,
    backend: Recorder,
    /// Whether the proxy takes all `X-WX-*` and `X-Hufu-*` from its clients, and not only names
    /// that it is told.
    identity_by_family: bool,
    /// Whether it takes whole families of any kind.
    takes_families: bool,
    /// Whether the token ends there.
    takes_token: bool,
}

fn gateway(name: &str, store: &str) -> Gateway {
    let routes = [
        "path = \"/api\"",
        "path = \"/api/open\"\nauth = \"none\"",
        "path = \"/api/hosted\"",
        "path = \"/api/hosted\"\nhost = \"open.test\"\nauth = \"none\"",
        "path = \"/api/method\"",
        "path = \"/api/method\"\nmethods = [\"GET\"]\nauth = \"none\"",
    ];
    let routes: String = routes
        .iter()
        .map(|route| format!("[[routes]]\n{route}\nupstream = \"nobody\"\n"))
        .collect();
    let proxy = name.trim_end_matches("-websockets");
    let config = format!(
        "server.trusted_proxies = [\"127.0.0.1\"]\nverify.proxy = \"{proxy}\"\nsession.near_cache.push = \"off\"\n\
         [upstreams.nobody]\nendpoints = [\"http://127.0.0.1:9\"]\n{routes}"
    );
    Gateway::with(&Setup {
        store: store.to_owned(),
        config,
    })
}

impl Asked {
    async fn by(name: &str) -> Option<Self> {
        let backend = Recorder::start(Reply::AtEndThenClose(
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok".to_vec(),
        ))
        .await;
        let gateway = gateway(name, "memory:");
        let proxy = Proxy::start(name, gateway.listen, &backend.url).await?;
        Some(Self {
            gateway,
            proxy,
            backend,
            identity_by_family: !name.contains("nginx"),
            takes_families: ["caddy", "envoy", "haproxy"].contains(&name),
            takes_token: name != "ingress-nginx",
        })
    }

    /// What has reached the backend. Some proxies open connections that they do not need after all.
    fn passed(&self) -> Vec<Recorded> {
        self.backend
            .connections()
            .into_iter()
            .filter(|record| !record.head().is_empty())
            .collect()
    }

    async fn ask(&self, start: &str, host: &str, lines: &str) -> (Answer, Vec<Recorded>) {
        self.send(&format!(
            "{start} HTTP/1.1\r\nHost: {host}\r\n{lines}Connection: close\r\n\r\n"
        ))
        .await
    }

    async fn send(&self, request: &str) -> (Answer, Vec<Recorded>) {
        let before = self.passed().len();
        let answer = wire::send(self.proxy.address(), request.as_bytes()).await;
        (answer, self.passed().split_off(before))
    }

    /// The request is refused, and the backend hears nothing of it.
    async fn refused(&self, start: &str, host: &str, lines: &str) {
        let (answer, passed) = self.ask(start, host, lines).await;
        assert!(
            (300..500).contains(&answer.status) && passed.is_empty(),
            "{start} {host} {lines}: {} {:?}",
            answer.text,
            passed.first().map(Recorded::head)
        );
    }

    /// The request is passed on with nothing of the client's own in it, or refused; then nothing is
    /// returned.
    async fn clean(&self, start: &str, host: &str, lines: &str) -> Option<Recorded> {
        let (answer, mut passed) = self.ask(start, host, lines).await;
        let record = passed.pop();
        let Some(record) = record else {
            assert!(
                (400..500).contains(&answer.status),
                "{start} {lines}: {}",
                answer.text
            );
            return None;
        };
        let head = record.head().to_lowercase();
        assert!(!head.contains("evil"), "{start} {lines}: {head}");
        assert!(
            !self.takes_token || !head.contains("hufu_"),
            "{start} {lines}: {head}"
        );
        let connection = record.values("connection").join(",").to_lowercase();
        assert!(
            !connection.contains("wx") && !connection.contains("hufu"),
            "{start} {lines}: {head}"
        );
        // A backend that takes another protocol reads requests that neither proxy nor gateway sees.
        let upgrade = record.values("upgrade");
        assert!(
            upgrade.is_empty() || upgrade == ["websocket"] || upgrade == [""],
            "{start} {lines}: {head}"
        );
        Some(record)
    }

    async fn token(&self) -> String {
        let code = self.gateway.wechat.platform.login_code(APPID, "alice");
        let login = http()
            .post(format!("http://{}/auth/login", self.proxy.address()))
            .json(&json!({ "code": code }))
            .send()
            .await
            .unwrap();
        let login: Value = login.json().await.unwrap();
        login["token"].as_str().unwrap().to_owned()
    }
}

/// Headers by which a client may try to be somebody else. What no proxy can express that is told
/// names one by one is left out there.
fn forged(by_family: bool) -> Vec<&'static str> {
    let mut all = vec![
        "X-WX-OPENID: evil\r\n",
        "x-wx-openid: evil\r\nX-WX-OPENID: evil\r\n",
        "X_WX_OPENID: evil\r\n",
        "X-WX_OPENID: evil\r\n",
        "X.WX.OPENID: evil\r\n",
        // What CGI servers fold, of all that a name may have.
        "X!WX!OPENID: evil\r\n",
        "X#WX#OPENID: evil\r\n",
        "X$WX$OPENID: evil\r\n",
        "X%WX%OPENID: evil\r\n",
        "X&WX&OPENID: evil\r\n",
        "X'WX'OPENID: evil\r\n",
        "X*WX*OPENID: evil\r\n",
        "X+WX+OPENID: evil\r\n",
        "X^WX^OPENID: evil\r\n",
        "X`WX`OPENID: evil\r\n",
        "X|WX|OPENID: evil\r\n",
        "X~WX~OPENID: evil\r\n",
        "x-wx~openid: evil\r\n",
        "~X-WX-OPENID: evil\r\n",
        "X-WX-OPENID~: evil\r\n",
        "Connection: X-WX-OPENID, upgrade\r\nUpgrade: websocket\r\n",
        "Connection: upgrade, x-wx-openid, X-Hufu-App\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        "X-WX-UNIONID: evil\r\n",
        "X-WX-FROM-OPENID: evil\r\n",
        "X-Hufu-Subject: evil\r\n",
        "X-Hufu-App: evil\r\nX_Hufu_App: evil\r\nX.Hufu.App: evil\r\n",
        "Connection: X-WX-OPENID\r\n",
        "Connection: keep-alive, x-wx-openid, X-Hufu-App\r\n",
        "Connection: close\r\nConnection: X-WX-OPENID\r\nX-WX-OPENID: evil\r\n",
        // Another protocol, alone and beside a WebSocket.
        "Upgrade: h2c\r\n",
        "Upgrade: h2c\r\nConnection: Upgrade\r\n",
        "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n",
        "Connection: Upgrade\r\nUpgrade: h2c\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        "Connection: Upgrade\r\nUpgrade: h2c, websocket\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n",
        "Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n",
    ];
    if by_family {
        all.extend([
            "X-WX-Anything: evil\r\n",
            "X-Hufu-Error: evil\r\n",
            "X-Hufu-Anything: evil\r\n",
        ]);
    }
    all
}

async fn attacked(name: &str) {
    let Some(asked) = Asked::by(name).await else {
        return;
    };
    let token = asked.token().await;
    let bearer = format!("Authorization: Bearer {token}\r\n");
    let alice = [hufu::sandbox::openid(APPID, "alice")];

    // Who it is.
    let plain = asked
        .clean("GET /api/x?name=a%20b", "shop.test", &bearer)
        .await
        .expect("what nobody forges is passed on");
    assert_eq!(plain.values("x-wx-openid"), alice, "{}", plain.head());
    for lines in forged(asked.identity_by_family)
        .into_iter()
        .chain([HANDSHAKE, "Upgrade: websocket\r\n"])
    {
        if let Some(record) = asked
            .clean("GET /api/x", "shop.test", &format!("{bearer}{lines}"))
            .await
        {
            assert_eq!(
                record.values("x-wx-openid"),
                alice,
                "{lines}: {}",
                record.head()
            );
        }
    }
    // Nobody, on an open path.
    for lines in forged(asked.identity_by_family) {
        if let Some(record) = asked.clean("GET /api/open/x", "shop.test", lines).await {
            assert!(
                record.values("x-wx-openid").iter().all(String::is_empty),
                "{lines}: {}",
                record.head()
            );
        }
    }
    // Behind the body, declared and not.
    for (start, lines) in [
        ("POST /api/x", &*bearer),
        ("GET /api/x", &*bearer),
        ("POST /api/open/x", ""),
    ] {
        for trailer in [
            "Connection: close\r\n",
            "Trailer: X-WX-OPENID\r\nConnection: close\r\n",
            "Trailer: X-WX-OPENID\r\nTE: trailers\r\nConnection: TE, close\r\n",
        ] {
            let head = format!(
                "{start} HTTP/1.1\r\nHost: shop.test\r\n{lines}{trailer}Transfer-Encoding: chunked\r\n\r\n"
            );
            let (answer, passed) = asked.send(&format!("{head}5\r\nhello\r\n0\r\nX-WX-OPENID: evil\r\nX_WX_OPENID: evil\r\nRemote-User: evil\r\n\r\n")).await;
            for bytes in passed
                .iter()
                .map(|record| String::from_utf8_lossy(&record.bytes))
            {
                assert!(
                    !bytes.contains("evil"),
                    "{start} {trailer}: {bytes} {}",
                    answer.text
                );
            }
        }
    }
    // What opens: the path, the host, the method.
    for (start, host) in [
        ("GET /api/open/x", "shop.test"),
        ("GET /api/hosted/x", "open.test"),
        ("GET /api/method", "shop.test"),
    ] {
        let (answer, passed) = asked.ask(start, host, "").await;
        assert_eq!(
            (answer.status, passed.len()),
            (200, 1),
            "{start} {host}: {}",
            answer.text
        );
    }
    // And what does not: a path, a host and a method that the client only says in a header.
    for header in [
        "X-Forwarded-Uri",
        "X-Original-URI",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X_Forwarded_Uri",
        "x-forwarded-URI",
    ] {
        for value in ["/api/open/x", "http://shop.test/api/open/x"] {
            asked
                .refused("GET /api/x", "shop.test", &format!("{header}: {value}\r\n"))
                .await;
            asked
                .refused(
                    "GET /api/x",
                    "shop.test",
                    &format!("{header}: {value}\r\n{header}: {value}\r\nConnection: {header}\r\n"),
                )
                .await;
        }
    }
    for header in ["X-Forwarded-Host", "X-Original-Host", "X-Host", "Forwarded"] {
        let value = if header == "Forwarded" {
            "host=open.test"
        } else {
            "open.test"
        };
        asked
            .refused(
                "GET /api/hosted/x",
                "shop.test",
                &format!("{header}: {value}\r\n"),
            )
            .await;
    }
    asked
        .refused(
            "GET /api/hosted/x",
            "shop.test",
            "X-Original-URL: http://open.test/api/hosted/x\r\n",
        )
        .await;
    for header in [
        "X-Forwarded-Method",
        "X-Original-Method",
        "X-HTTP-Method-Override",
        "X-HTTP-Method",
        "X-Method-Override",
    ] {
        asked
            .refused(
                "POST /api/method",
                "shop.test",
                &format!("{header}: GET\r\nContent-Length: 0\r\n"),
            )
            .await;
    }
    for header in [
        "X-HTTP-Method-Override",
        "X-HTTP-Method",
        "X-Method-Override",
        "X_HTTP_Method_Override",
        "X.HTTP.Method.Override",
    ] {
        // Backends that honour it would run what another rule protects.
        let (answer, passed) = asked
            .ask(
                "GET /api/method",
                "shop.test",
                &format!("{header}: DELETE\r\n"),
            )
            .await;
        assert!(
            passed
                .iter()
                .all(|record| !record.head().contains("DELETE")),
            "{header}: {} {}",
            answer.text,
            passed[0].head()
        );
    }
    // Paths and hosts with two readings.
    for path in [
        "/api/open/../x",
        "/api/open/%2e%2e/x",
        "/api/open/..%2fx",
        "/api/open/..;/x",
        "//api/x",
        "/api//x",
        "/ap%69/x",
        "/api/open/..%5cx",
        "/api/open\\..\\x",
    ] {
        asked.refused(&format!("GET {path}"), "shop.test", "").await;
    }
    for host in [
        "open.test?",
        "shop.test/api/open",
        "open.test#",
        "a@open.test",
        "open.test, shop.test",
    ] {
        let (answer, passed) = asked.ask("GET /api/x", host, "").await;
        assert!(
            answer.status >= 400 && passed.is_empty(),
            "{host}: {}",
            answer.text
        );
    }
    // Where the target has a host of its own, backend and gateway hear of the same one.
    let (answer, passed) = asked
        .ask("GET http://open.test/api/hosted/x", "shop.test", "")
        .await;
    assert!(
        passed
            .iter()
            .all(|record| record.values("host") == ["open.test"]),
        "{} {:?}",
        answer.text,
        passed.first().map(Recorded::head)
    );
    // A handshake of nobody, and what only the proxy may ask.
    asked.refused("GET /api/x", "shop.test", HANDSHAKE).await;
    for path in [
        "/auth/verify",
        "/auth/verify/api/open",
        "/auth//verify",
        "/auth/%76erify",
        "/auth/./verify",
        "/auth/session/../verify",
        "/auth/session/%2e%2e/verify",
    ] {
        let answer = asked
            .ask(
                &format!("GET {path}"),
                "shop.test",
                &format!("Authorization: Bearer {token}\r\n"),
            )
            .await
            .0;
        let head = answer.text.split("\r\n\r\n").next().unwrap().to_lowercase();
        assert!(
            answer.status >= 300 && !head.contains("x-wx-"),
            "{path}: {}",
            answer.text
        );
    }
}

#[tokio::test]
async fn nginx_passes_on_who_it_is_or_nothing() {
    attacked("nginx").await;
}

#[tokio::test]
async fn nginx_with_websockets_passes_on_who_it_is_or_nothing() {
    attacked("nginx-websockets").await;
}

#[tokio::test]
async fn ingress_nginx_passes_on_who_it_is_or_nothing() {
    attacked("ingress-nginx").await;
}

#[tokio::test]
async fn caddy_passes_on_who_it_is_or_nothing() {
    attacked("caddy").await;
}

#[tokio::test]
async fn traefik_passes_on_who_it_is_or_nothing() {
    attacked("traefik").await;
}

#[tokio::test]
async fn envoy_passes_on_who_it_is_or_nothing() {
    attacked("envoy").await;
}

#[tokio::test]
async fn haproxy_passes_on_who_it_is_or_nothing() {
    attacked("haproxy").await;
}

/// "Not known" is a 503 or a 500, and never a 401. Who takes the word of the gateway on is in
/// docs/http-api.md.
#[tokio::test]
async fn while_redis_is_down_nobody_is_sent_to_log_in() {
    for (name, code, retry) in [
        ("nginx", Some("store_unavailable"), Some("1")),
        ("caddy", Some("store_unavailable"), Some("1")),
        ("traefik", Some("store_unavailable"), Some("1")),
        ("envoy", None, None),
        ("haproxy", Some("store_unavailable"), Some("1")),
    ] {
        let mut redis = RedisServer::start(&[]);
        let gateway = gateway(name, &redis.url(""));
        let token = gateway.token("alice").await;
        let Some(proxy) = Proxy::start(name, gateway.listen, "http://127.0.0.1:9").await else {
            continue;
        };
        redis.kill();
        let request = format!(
            "GET /api/x HTTP/1.1\r\nHost: shop.test\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
        );
        let answer = wire::send(proxy.address(), request.as_bytes()).await;
        assert_eq!(
            (answer.status, answer.code(), answer.header("retry-after")),
            (503, code, retry),
            "{name}: {}",
            answer.text
        );
        drop(gateway);
        let answer = wire::send(proxy.address(), request.as_bytes()).await;
        assert!(
            (500..600).contains(&answer.status),
            "{name}: {}",
            answer.text
        );
    }
}

#[tokio::test]
async fn websockets_go_through_where_the_page_says_so() {
    let upstream = WsUpstream::start().await;
    for name in ["nginx-websockets", "caddy", "traefik", "envoy", "haproxy"] {
        let gateway = gateway(name, "memory:");
        let bearer = format!("Bearer {}", gateway.token("alice").await);
        let Some(proxy) = Proxy::start(name, gateway.listen, &upstream.url).await else {
            continue;
        };
        let request = handshake(
            &format!("ws://{}/api/live", proxy.address()),
            &[("authorization", &bearer), ("x-wx-openid", "evil")],
        );
        let (mut socket, _) =
            client_async(request, TcpStream::connect(proxy.address()).await.unwrap())
                .await
                .unwrap_or_else(|error| panic!("{name}: {error}"));
        echoed(&mut socket, Message::text("hello")).await;
        let asked = upstream.asked.lock().unwrap().pop().unwrap();
        assert!(
            asked.contains(&hufu::sandbox::openid(APPID, "alice")) && !asked.contains("evil"),
            "{name}: {asked}"
        );
    }
}

/// Names of the page of headers that backends believe and that nobody may say, as it writes them:
/// `X-Remote-*` for a family.
fn believed_by_backends() -> Vec<String> {
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/headers.md")).unwrap();
    let section = text
        .split("\n## Dropped from every request\n")
        .nth(1)
        .unwrap()
        .split("\n## ")
        .next()
        .unwrap();
    let rows = section
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    let names: Vec<String> = rows
        .flat_map(|cell| {
            cell.split('`')
                .step_by(2)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(
        names.len() > 60 && names.iter().any(|name| name == "SCRIPT_NAME"),
        "{names:?}"
    );
    names
}

/// What backends believe ends at the proxy: every name of the list, and of its families all or,
/// where the proxy knows whole names only, the known ones.
#[tokio::test]
async fn what_backends_believe_ends_at_the_proxy() {
    let (families, names): (Vec<_>, Vec<_>) = believed_by_backends()
        .into_iter()
        .partition(|name| name.ends_with('*'));
    let known = "X-Middleware-Subrequest X-Accel-Mapping ssl-client-cert ssl-client-verify X-Remote-User X-Vhm-Root X-Auth-Request-User X-Astro-Path \
                 X-Forwarded-Tls-Client-Cert X-Invoke-Path X-Authentik-Username X-MS-CLIENT-PRINCIPAL X-SSL-Client-Cert SM-USER X-WX-FROM-APPID";
    for proxy in [
        "nginx",
        "ingress-nginx",
        "caddy",
        "traefik",
        "envoy",
        "haproxy",
    ] {
        let Some(asked) = Asked::by(proxy).await else {
            continue;
        };
        let mut sent: Vec<String> = known
            .split_ascii_whitespace()
            .map(str::to_owned)
            .chain(names.iter().map(|name| name.replace('_', "-")))
            .collect();
        if asked.takes_families {
            sent.extend(
                families
                    .iter()
                    .map(|family| family.replace('_', "-").replace('*', "Else")),
            );
        }
        // Proxies take a hundred headers or so.
        for some in sent.chunks(40) {
            let lines: String = some
                .iter()
                .map(|name| format!("{name}: evil\r\n"))
                .collect();
            asked
                .clean("GET /api/open/x", "shop.test", &lines)
                .await
                .unwrap_or_else(|| panic!("{proxy} refuses {lines}"));
        }
        if !asked.takes_families {
            let text = proxies::example(proxy).to_lowercase();
            let families = families
                .iter()
                .filter(|family| !family.starts_with('$'))
                .map(|family| family.to_lowercase().replace('_', "-").replace('*', ""));
            families.for_each(|family| {
                assert!(text.contains(&family), "{proxy} takes none of {family}*");
            });
        }
        // As CGI or WebSphere writes them: dropped, or refused.
        for name in names
            .iter()
            .chain(&families)
            .filter(|name| name.contains(['_', '$']))
        {
            asked
                .clean(
                    "GET /api/open/x",
                    "shop.test",
                    &format!("{}: evil\r\n", name.replace('*', "ELSE")),
                )
                .await;
        }
    }
}
