//! Claims on their ways out: to backends and to proxies that ask as headers, to the client in
//! `/auth/session`. And nobody else sets those headers.

use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hufu::crypto::keyring::generate_key;
use serde_json::{Value, json};

use crate::helpers::claims::OPERATOR;
use crate::helpers::ws_client::{connect, open, talk};
use crate::helpers::{
    Answer, ByHand, Gateway, RedisServer, Script, Upstream, WsUpstream, until, upstream_of,
};

const NAMES: &str =
    "[identity.claims]\nuser_id = \"X-User-Id\"\nrole = \"X-User-Role\"\nvip = \"X-Vip\"\n";

/// What clients may try, with what a server folds onto `X-User-Role`.
const SPELLINGS: [&str; 10] = [
    "X-User-Role",
    "x-user-role",
    "X-USER-ROLE",
    "X_User_Role",
    "X-User_Role",
    "x.user.role",
    "X!User!Role",
    "X~USER~role",
    "X^User`Role",
    "X'User*Role",
];

async fn get(gateway: &Gateway, path: &str, lines: &str) -> Answer {
    gateway
        .raw(format!(
            "GET {path} HTTP/1.1\r\nHost: shop.test\r\n{lines}Connection: close\r\n\r\n"
        ))
        .await
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

/// The lines of a head that a server could take for headers of claims, as they came.
fn of_claims(head: &str) -> Vec<&str> {
    let folded = |name: &str| {
        name.replace(|c: char| !c.is_ascii_alphanumeric(), "-")
            .to_ascii_lowercase()
    };
    head.lines()
        .filter(|line| {
            let name = folded(line.split(':').next().unwrap());
            ["x-user-id", "x-user-role", "x-vip"].contains(&&*name)
        })
        .collect()
}

/// A request to this path, and the head of it that the upstream got.
async fn proxied(gateway: &Gateway, upstream: &Upstream, path: &str, lines: &str) -> String {
    static MARK: AtomicUsize = AtomicUsize::new(0);
    let marked = format!("{path}?{}", MARK.fetch_add(1, Ordering::Relaxed));
    let answer = get(gateway, &marked, lines).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let requests = upstream.requests().into_iter();
    let mut heads = requests.map(|(head, _)| head);
    heads
        .find(|head| head.starts_with(&format!("GET {marked} ")))
        .unwrap()
}

#[tokio::test]
async fn a_backend_gets_the_named_claims_and_no_value_breaks_its_line() {
    let redis = RedisServer::start(&[]);
    let upstream = Upstream::ok();
    let gateway = Gateway::on(
        &redis.url(""),
        &(upstream.route("/api", "required") + NAMES),
    );
    let long = "\u{2}".repeat(1900);
    let long_line = format!("X-User-Id: {}", "%02".repeat(1900));
    for (claims, lines) in [
        (json!({}), &[][..]),
        (json!({ "unnamed": "x", "nick": "虎" }), &[]),
        (json!({ "user_id": "42" }), &["X-User-Id: 42"]),
        (
            json!({ "vip": true, "role": ["staff", "admin"], "user_id": 42, "unnamed": 1 }),
            &["X-User-Role: staff,admin", "X-User-Id: 42", "X-Vip: true"],
        ),
        (
            json!({ "vip": false, "role": [], "user_id": -1.5 }),
            &["X-User-Id: -1.5", "X-Vip: false"],
        ),
        (json!({ "role": "", "vip": 0 }), &["X-Vip: 0"]),
        (json!({ "role": [""] }), &[]),
        (
            json!({ "role": ["", "a,b", "c d"] }),
            &["X-User-Role: ,a%2Cb,c%20d"],
        ),
        (
            json!({ "role": "user,admin" }),
            &["X-User-Role: user%2Cadmin"],
        ),
        (
            json!({ "role": "user\u{ff0c}\u{430}dmin" }),
            &["X-User-Role: user%EF%BC%8C%D0%B0dmin"],
        ),
        (
            json!({ "user_id": "1\r\nX-User-Role: admin\r\n\r\n", "role": "\u{0}\u{7f}\t " }),
            &[
                "X-User-Role: %00%7F%09%20",
                "X-User-Id: 1%0D%0AX-User-Role:%20admin%0D%0A%0D%0A",
            ],
        ),
        (
            json!({ "role": ["a\nb", "c\rd", "\u{2028}\u{85}"] }),
            &["X-User-Role: a%0Ab,c%0Dd,%E2%80%A8%C2%85"],
        ),
        (
            json!({ "user_id": "%0d%0a100%" }),
            &["X-User-Id: %250d%250a100%25"],
        ),
        (json!({ "user_id": long }), &[&*long_line]),
    ] {
        let token = gateway.token_with_claims("alice", &claims).await;
        // The second request gets the lines of the first.
        for _ in 0..2 {
            let head = proxied(&gateway, &upstream, "/api", &bearer(&token)).await;
            assert_eq!(of_claims(&head), lines, "{claims}: {head}");
            assert!(head.is_ascii() && head.matches("X-WX-SOURCE: hufu").count() == 1);
        }
    }
}

#[tokio::test]
async fn no_spelling_of_a_claims_header_gets_through() {
    let redis = RedisServer::start(&[]);
    let upstream = Upstream::ok();
    let routes =
        ["none", "optional", "required"].map(|auth| upstream.route(&format!("/{auth}"), auth));
    let gateway = Gateway::on(&redis.url(""), &(routes.concat() + NAMES));
    let staff = gateway
        .token_with_claims("alice", &json!({ "role": "staff" }))
        .await;
    let plain = gateway.token_with_claims("bob", &json!({})).await;
    for name in SPELLINGS {
        let forged = format!("{name}: admin\r\n{name}:\r\n{name}: root\r\n");
        for (path, token, expected) in [
            ("/none", None, &[][..]),
            ("/none", Some(&staff), &[]),
            ("/optional", None, &[]),
            ("/optional", Some(&staff), &["X-User-Role: staff"]),
            ("/required", Some(&staff), &["X-User-Role: staff"]),
            ("/required", Some(&plain), &[]),
        ] {
            let token = token.map(|token| bearer(token)).unwrap_or_default();
            for connection in ["", "Connection: X-User-Role\r\n"] {
                let lines = format!("{forged}{token}{connection}");
                let head = proxied(&gateway, &upstream, path, &lines).await;
                assert_eq!(of_claims(&head), expected, "{name} at {path}: {head}");
                assert!(!head.contains("admin") && !head.contains("root"), "{head}");
            }
        }
    }
    // Neither lines that are none, nor trailers.
    for bad in [
        "X-User-Role\0: a",
        "X User-Role: a",
        "X-User-Role : a",
        "X-User-R\u{f6}le: a",
    ] {
        let answer = get(&gateway, "/none", &format!("{bad}\r\n")).await;
        assert_eq!(answer.status, 400, "{bad:?}: {}", answer.text);
    }
    let chunked = "POST /none HTTP/1.1\r\nHost: x\r\nTrailer: X-User-Role\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n1\r\na\r\n0\r\nX-User-Role: admin\r\n\r\n";
    assert_eq!(gateway.raw(chunked).await.status, 200);
    let all: Vec<u8> = upstream
        .connections()
        .into_iter()
        .flat_map(|one| one.bytes)
        .collect();
    assert!(!String::from_utf8_lossy(&all).contains("admin"));
}

#[tokio::test]
async fn an_upstream_cannot_answer_with_a_claims_header() {
    let lines: String = SPELLINGS
        .iter()
        .map(|name| format!("{name}: admin\r\n"))
        .collect();
    let answer =
        format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{lines}X-User-Roles: kept\r\n\r\nok");
    let upstream = Upstream::start(Script::at_head(answer.into_bytes()));
    let gateway = Gateway::start(&(upstream.route("/public", "none") + NAMES));
    let answer = get(&gateway, "/public", "").await;
    assert_eq!(answer.header("x-user-roles"), Some("kept"));
    assert!(!answer.text.contains("admin"), "{}", answer.text);
}

#[tokio::test]
async fn a_proxy_that_asks_gets_every_claims_header() {
    let redis = RedisServer::start(&[]);
    let upstream = Upstream::ok();
    let config = "server.trusted_proxies = [\"127.0.0.1\"]\nverify.proxy = \"nginx\"\n".to_owned()
        + &upstream.route("/api", "required")
        + &upstream.route("/public", "none")
        + NAMES;
    let gateway = Gateway::on(&redis.url(""), &config);
    let token = gateway
        .token_with_claims("alice", &json!({ "role": ["a\r\nb", "虎"], "vip": true }))
        .await;
    for (path, token, expected) in [
        (
            "/api",
            bearer(&token),
            [
                "x-user-role: a%0D%0Ab,%E8%99%8E",
                "x-user-id: ",
                "x-vip: true",
            ],
        ),
        (
            "/public",
            String::new(),
            ["x-user-role: ", "x-user-id: ", "x-vip: "],
        ),
    ] {
        for _ in 0..2 {
            let asked =
                format!("X-Original-URI: {path}\r\nX-User-Role: admin\r\nX_User_Id: 1\r\n{token}");
            let answer = get(&gateway, "/auth/verify", &asked).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
            assert_eq!(of_claims(&answer.text), expected, "{path}");
        }
    }
    // As long as claims can be.
    let long = "虎".repeat(670);
    let token = gateway
        .token_with_claims("bob", &json!({ "role": long }))
        .await;
    let asked = format!("X-Original-URI: /api\r\n{}", bearer(&token));
    let answer = get(&gateway, "/auth/verify", &asked).await;
    let expected = "%E8%99%8E".repeat(670);
    assert_eq!(answer.header("x-user-role"), Some(&*expected));
    let answer = get(&gateway, "/auth/verify", "X-Original-URI: /api\r\n").await;
    assert_eq!((answer.status, of_claims(&answer.text)), (401, vec![]));
}

#[tokio::test]
async fn a_websocket_has_the_claims_in_its_handshake() {
    let redis = RedisServer::start(&[]);
    let upstream = WsUpstream::start().await;
    let config = upstream.route("/", "optional") + NAMES;
    let gateway = Gateway::on(&redis.url(""), &config);
    let token = gateway
        .token_with_claims("alice", &json!({ "role": "staff" }))
        .await;
    talk(&mut open(&gateway, "/echo", &token).await).await;
    assert_eq!(of_claims(&upstream.handshake(0)), ["x-user-role: staff"]);
    let forged = [("x-user-role", "admin"), ("x_user_id", "1")];
    talk(&mut connect(&gateway, "/echo", &forged).await.unwrap().0).await;
    assert_eq!(of_claims(&upstream.handshake(1)), [""; 0]);
}

#[tokio::test]
async fn a_reload_gives_and_takes_claims_also_of_sessions_in_the_cache() {
    let redis = RedisServer::start(&[]);
    let upstream = Upstream::ok();
    let config = upstream.route("/api", "required");
    let gateway = Gateway::on(&redis.url(""), &config);
    let text = gateway.stored("hufu.toml");
    let claims = json!({ "role": "staff", "vip": true, "user_id": 1 });
    let token = gateway.token_with_claims("alice", &claims).await;
    let forged = format!("{}X-Role: forged\r\nX-Vip: forged\r\n", bearer(&token));
    for (lines, visible, expected, answered) in [
        (
            "",
            "[]",
            &["x-role: forged", "x-vip: forged"][..],
            json!(null),
        ),
        (
            "[identity.claims]\nrole = \"X-Role\"\n",
            "[\"role\"]",
            &["X-Role: staff", "x-vip: forged"],
            json!({ "role": "staff" }),
        ),
        (
            "[identity.claims]\nvip = \"X-Vip\"\nrole = \"X-User-Role\"\n",
            "[\"vip\", \"absent\"]",
            &["X-User-Role: staff", "X-Vip: true", "x-role: forged"],
            json!({ "vip": true }),
        ),
        (
            "[identity.claims]\nvip = \"X-Role\"\n",
            "[\"absent\"]",
            &["X-Role: true", "x-vip: forged"],
            json!({}),
        ),
        ("", "[]", &["x-role: forged", "x-vip: forged"], json!(null)),
    ] {
        gateway.write(
            "hufu.toml",
            &format!("session.visible_claims = {visible}\n{text}\n{lines}"),
        );
        gateway.reload_as_it_is("applied").await;
        let head = proxied(&gateway, &upstream, "/api", &forged).await;
        let mut found: Vec<_> = head
            .lines()
            .filter(|line| {
                ["x-role:", "x-vip:", "x-user-role:"]
                    .iter()
                    .any(|name| line.to_ascii_lowercase().starts_with(name))
            })
            .map(|line| match line.split_once(": ").unwrap() {
                // A client's own name comes as the parser has it.
                (name, "forged") => format!("{}: forged", name.to_ascii_lowercase()),
                _ => line.to_owned(),
            })
            .collect();
        found.sort();
        assert_eq!(found, expected, "{lines}");
        let session = gateway
            .get("/auth/session")
            .bearer_auth(&token)
            .await
            .json();
        assert_eq!(session["claims"], answered, "{session}");
        assert_eq!(session.get("claims").is_none(), answered.is_null());
    }
    gateway.assert_not_logged("restart");
}

#[tokio::test]
async fn changed_claims_replace_the_lines_of_a_session_in_the_cache() {
    let redis = RedisServer::start(&[]);
    let upstream = Upstream::ok();
    let config = OPERATOR.to_owned() + &upstream.route("/api", "required") + NAMES;
    let gateway = Gateway::on(&redis.url(""), &config);
    let claims = json!({ "role": ["staff"], "vip": true });
    let token = bearer(&gateway.token_with_claims("alice", &claims).await);
    let head = proxied(&gateway, &upstream, "/api", &token).await;
    assert_eq!(of_claims(&head), ["X-User-Role: staff", "X-Vip: true"]);
    let change = json!({ "role": ["staff", "admin"], "vip": null, "user_id": 7 });
    gateway.change_claims("alice", &change).await;
    until("the changed claims", async || {
        let head = proxied(&gateway, &upstream, "/api", &token).await;
        of_claims(&head) == ["X-User-Role: staff,admin", "X-User-Id: 7"]
    })
    .await;
}

/// Nothing of it is sent before it has its place, so it comes with what is true then.
#[tokio::test]
async fn whoever_waited_in_the_queue_comes_with_the_claims_of_now() {
    let backend = ByHand::start().await;
    let redis = RedisServer::start(&[]);
    let limits = "max_concurrent = 1\nqueue = 5\nqueue_timeout = \"60s\"\ntimeout = \"60s\"";
    let signed = format!(
        "[assertion]\nkeys = [\"{}\"]\nissuer = \"https://api.example.com\"\n",
        generate_key()
    );
    let upstream = upstream_of(&[&backend.url], "required", limits);
    let config = [
        OPERATOR,
        "session.near_cache.push = \"off\"\n",
        NAMES,
        &signed,
        &upstream,
    ]
    .concat();
    let gateway = Gateway::on(&redis.url(""), &config);
    let claims = json!({ "role": "admin", "vip": true });
    let token = gateway.token_with_claims("alice", &claims).await;
    let mut first = gateway.asking("GET /first", &token, "\r\n").await;
    let (mut held, head) = backend.request().await;
    assert_eq!(head.values("x-user-role"), ["admin"]);
    let body = "Content-Length: 2\r\n\r\nhi";
    let mut queued = gateway.asking("POST /queued?a=b", &token, body).await;
    gateway
        .counts("hufu_upstream_waiting{upstream=\"many\"}", 1)
        .await;
    let change = json!({ "role": "guest", "vip": null, "user_id": 7 });
    gateway.change_claims("alice", &change).await;
    held.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nfirst")
        .await;
    assert_eq!(first.answer("GET").await.text(), "first");
    let (mut held, head) = backend.request().await;
    assert_eq!(head.first, "POST /queued?a=b HTTP/1.1");
    assert_eq!(
        (head.values("x-user-role"), head.values("x-user-id")),
        (vec!["guest"], vec!["7"]),
        "{head:?}"
    );
    assert!(head.values("x-vip").is_empty(), "{head:?}");
    let assertion = head.values("x-hufu-assertion")[0];
    let part = assertion.split('.').nth(1).unwrap();
    let said: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    assert_eq!(said["claims"], json!({ "role": "guest", "user_id": 7 }));
    assert_eq!(held.take(2).await, b"hi");
    held.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext")
        .await;
    assert_eq!(queued.answer("POST").await.text(), "next");
}

/// As a new request would be: somebody may have ended the session on another gateway.
#[tokio::test]
async fn whoever_waited_in_the_queue_is_not_sent_while_nobody_knows_of_the_session() {
    futures_util::future::join(
        nobody_knows_of_the_session("auto"),
        nobody_knows_of_the_session("off"),
    )
    .await;
}

async fn nobody_knows_of_the_session(push: &str) {
    let backend = ByHand::start().await;
    let redis = RedisServer::start(&[]);
    let limits = "max_concurrent = 1\nqueue = 5\nqueue_timeout = \"60s\"\ntimeout = \"60s\"";
    let upstream = upstream_of(&[&backend.url], "required", limits);
    // Longer than a machine stands still; for so long the frozen one is waited for.
    let store = "store.connect_timeout = \"3s\"\nstore.timeout = \"3s\"\n";
    let config = format!("{store}session.near_cache.push = \"{push}\"\n{upstream}");
    let gateway = Gateway::on(&redis.url(""), &config);
    let token = gateway.token("alice").await;
    let mut first = gateway
        .asking("POST /first", &token, "Content-Length: 0\r\n\r\n")
        .await;
    let (mut held, _) = backend.request().await;
    let mut queued = gateway.asking("GET /queued", &token, "\r\n").await;
    gateway
        .counts("hufu_upstream_waiting{upstream=\"many\"}", 1)
        .await;
    redis.freeze();
    until("the gateway to know nothing of the session", async || {
        gateway
            .get("/auth/session")
            .bearer_auth(&token)
            .await
            .status()
            == 503
    })
    .await;
    held.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nfirst")
        .await;
    assert_eq!(first.answer("POST").await.text(), "first");
    let answer = queued.answer("GET").await;
    assert_eq!(
        (answer.status(), answer.head.values("x-hufu-error")),
        (503, vec!["store_unavailable"]),
        "{push}"
    );
    let unavailable =
        "hufu_upstream_requests_total{upstream=\"many\",outcome=\"store_unavailable\"}";
    gateway.counts(unavailable, 1).await;
    redis.thaw();
    // Both workers have to find Redis again.
    let again = until("the gateway to let the session in again", async || {
        let answer = gateway.get("/again").bearer_auth(&token).await;
        answer.status() == 200
    });
    let next = async {
        let (mut held, head) = backend.request().await;
        held.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            .await;
        head.first
    };
    let (_, next) = tokio::join!(again, next);
    assert_eq!(next, "GET /again HTTP/1.1", "nothing came before it");
}

#[tokio::test]
async fn a_client_sees_the_claims_that_are_meant_for_it_and_only_of_its_session() {
    let redis = RedisServer::start(&[]);
    let upstream = Upstream::ok();
    let config = "session.visible_claims = [\"user_id\", \"vip\", \"tags\", \"nick\"]\n".to_owned()
        + &upstream.route("/api", "required")
        + NAMES;
    let gateway = Gateway::on(&redis.url(""), &config);
    let claims = json!({ "role": "secret-role", "vip": true, "user_id": 42, "nick": "\"虎\"\n", "tags": ["a", "b"] });
    let token = gateway.token_with_claims("alice", &claims).await;
    let session = gateway.get("/auth/session").bearer_auth(&token).await;
    assert!(
        !session.text().contains("secret-role"),
        "{}",
        session.text()
    );
    let seen = json!({ "vip": true, "user_id": 42, "nick": "\"虎\"\n", "tags": ["a", "b"] });
    assert_eq!(session.json()["claims"], seen);
    let devices = gateway.get("/auth/sessions").bearer_auth(&token).await;
    assert_eq!(devices.json()["sessions"].as_array().unwrap().len(), 1);
    for name in ["claims", "role", "vip", "nick"] {
        assert!(!devices.text().contains(name), "{}", devices.text());
    }
    let rotated = gateway.post("/auth/rotate").bearer_auth(&token).await;
    let login = gateway.login("bob").await;
    assert!(rotated.json()["claims"].is_null() && login["claims"].is_null());
    // The session keeps them under its new token.
    let token = rotated.json()["token"].as_str().unwrap().to_owned();
    let session = gateway.get("/auth/session").bearer_auth(&token).await;
    assert_eq!(session.json()["claims"], seen);
    let bob = login["token"].as_str().unwrap();
    let session = gateway.get("/auth/session").bearer_auth(bob).await;
    assert_eq!(session.json()["claims"], json!({}));
}
