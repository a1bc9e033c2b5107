//! Proxies that ask at `/auth/verify`, set up as the documentation shows, and what clients try
//! there: the identity is right, or the request is refused.

mod attacks;
mod proxies;

use proxies::Proxy;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

use crate::helpers::{
    APPID, Answer, Gateway, Recorded, RedisServer, Script, Upstream, WsUpstream, echoed, handshake,
    http, probe,
};

/// A proxy between a client and a backend, and the gateway that it asks.
struct Asked {
    gateway: Gateway,
    proxy: Proxy,
    backend: Upstream,
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
        "path = \"/api/staff\"\nrequire.role = \"staff\"",
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
    Gateway::on(store, &config)
}

impl Asked {
    async fn by(name: &str) -> Option<Self> {
        let backend = Upstream::start(
            Script::at_end(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
                .then_close(),
        );
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
        let answer = probe::send(self.proxy.address(), &request).await;
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
        let code = self.gateway.code("alice");
        let login = http()
            .post(format!("http://{}/auth/login", self.proxy.address()))
            .json(&json!({ "code": code }))
            .await;
        let login: Value = login.json();
        login["token"].as_str().unwrap().to_owned()
    }
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
        let answer = probe::send(proxy.address(), &request).await;
        assert_eq!(
            (answer.status, answer.code(), answer.header("retry-after")),
            (503, code, retry),
            "{name}: {}",
            answer.text
        );
        drop(gateway);
        let answer = probe::send(proxy.address(), &request).await;
        assert!(
            (500..600).contains(&answer.status),
            "{name}: {}",
            answer.text
        );
    }
}

/// A 403, which no proxy takes for a yes or for a reason to log in.
#[tokio::test]
async fn who_does_not_have_what_the_route_requires_is_refused_by_every_proxy() {
    for (name, code) in [
        ("nginx", Some("forbidden")),
        ("ingress-nginx", None),
        ("caddy", Some("forbidden")),
        ("traefik", Some("forbidden")),
        ("envoy", Some("forbidden")),
        ("haproxy", Some("forbidden")),
    ] {
        let Some(asked) = Asked::by(name).await else {
            continue;
        };
        let bearer = format!("Authorization: Bearer {}\r\n", asked.token().await);
        let (answer, passed) = asked.ask("POST /api/staff/x", "shop.test", &bearer).await;
        let refused = (answer.status, answer.header("x-hufu-error"));
        assert_eq!(refused, (403, code), "{name}: {}", answer.text);
        assert!(passed.is_empty() && answer.header("location").is_none());
        let (answer, passed) = asked.ask("GET /api/x", "shop.test", &bearer).await;
        assert_eq!((answer.status, passed.len()), (200, 1), "{name}");
    }
}

#[tokio::test]
async fn who_has_what_the_route_requires_comes_through_nginx() {
    let redis = RedisServer::start(&[]);
    let gateway = gateway("nginx", &redis.url(""));
    let backend = Upstream::ok();
    let proxy = Proxy::start("nginx", gateway.listen, &backend.url).await;
    let proxy = proxy.unwrap();
    for (user, role, status) in [("ann", "staff", 200), ("ben", "guest", 403)] {
        let token = gateway
            .token_with_claims(user, &json!({ "role": role }))
            .await;
        let url = format!("http://{}/api/staff/x", proxy.address());
        let answer = http().get(url).bearer_auth(&token).await;
        assert_eq!(answer.status(), status, "{role}: {}", answer.text());
    }
    let passed = backend.requests();
    let openid = hufu::sandbox::openid(APPID, "ann");
    assert!(
        passed.len() == 1 && passed[0].0.contains(&openid),
        "{passed:?}"
    );
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
