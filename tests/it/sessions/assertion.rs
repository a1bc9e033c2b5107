//! The signed identity: what backends and asking proxies get, who verifies it with which keys, and
//! how keys change.

mod keys;
mod verifiers;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hufu::crypto::keyring::generate_key;
use ring::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};
use serde_json::{Value, json};

use crate::helpers::ws_client::{open, talk};
use crate::helpers::{APPID, Answer, Gateway, RedisServer, Script, Upstream, WsUpstream, http};

/// What clients may try for `X-Hufu-Assertion`, and what servers fold onto it.
const SPELLINGS: [&str; 5] = [
    "X-Hufu-Assertion",
    "x-hufu-assertion",
    "X_Hufu_Assertion",
    "X.HUFU.ASSERTION",
    "X-Hufu!Assertion",
];

/// The section with these keys, as docs/backends.md has it.
fn signed_by(keys: &[&str]) -> String {
    format!("[assertion]\nkeys = {keys:?}\nissuer = \"https://api.example.com\"\n")
}

/// An upstream of the name that docs/backends.md has.
fn orders(upstream: &Upstream) -> String {
    let url = &upstream.url;
    format!(
        "[upstreams.orders]\nendpoints = [\"{url}\"]\n[[routes]]\npath = \"/orders\"\nupstream = \"orders\"\nauth = \"optional\"\n"
    )
}

fn part(token: &str, at: usize) -> Value {
    let part = token.split('.').nth(at).unwrap_or_default();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn claims(assertion: &str) -> Value {
    part(assertion, 1)
}

/// A token with this header and these claims, by the key of `hufu keygen --signing`.
fn token(key: &str, header: &Value, claims: &Value) -> String {
    let seed = URL_SAFE_NO_PAD.decode(key).unwrap();
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
    let text = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", text(header), text(claims));
    let signature = URL_SAFE_NO_PAD.encode(pair.sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

/// Whether a verifier with this key set takes the signature.
fn holds(set: &Value, assertion: &str) -> bool {
    let header = part(assertion, 0);
    let keys = set["keys"].as_array().unwrap();
    let Some(key) = keys.iter().find(|key| key["kid"] == header["kid"]) else {
        return false;
    };
    let (signed, signature) = assertion.rsplit_once('.').unwrap();
    let public = URL_SAFE_NO_PAD.decode(key["x"].as_str().unwrap()).unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    header["alg"] == "EdDSA"
        && UnparsedPublicKey::new(&ED25519, public)
            .verify(signed.as_bytes(), &signature)
            .is_ok()
}

async fn published(gateway: &Gateway) -> Value {
    gateway.get("/auth/jwks.json").await.json()
}

async fn get(gateway: &Gateway, path: &str, lines: &str) -> Answer {
    let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\n{lines}Connection: close\r\n\r\n");
    gateway.raw(head).await
}

/// The assertion that a request with this token brings to the upstream.
async fn asserted(gateway: &Gateway, upstream: &Upstream, path: &str, token: &str) -> String {
    static MARK: AtomicUsize = AtomicUsize::new(0);
    let marked = format!("{path}?{}", MARK.fetch_add(1, Ordering::Relaxed));
    let answer = gateway.get(&marked).bearer_auth(token).await;
    assert_eq!(answer.status(), 200);
    let start = format!("GET {marked} ");
    let mut heads = upstream.requests().into_iter().map(|(head, _)| head);
    let head = heads.find(|head| head.starts_with(&start)).unwrap();
    let [line] = of_assertion(&head)[..] else {
        panic!("{head}")
    };
    line.strip_prefix("X-Hufu-Assertion: ").unwrap().to_owned()
}

/// The lines of a head that a server could take for the assertion.
fn of_assertion(head: &str) -> Vec<&str> {
    let folded = |name: &str| {
        name.replace(|c: char| !c.is_ascii_alphanumeric(), "-")
            .to_ascii_lowercase()
    };
    head.lines()
        .filter(|line| folded(line.split(':').next().unwrap()) == "x-hufu-assertion")
        .collect()
}

#[tokio::test]
async fn a_backend_gets_who_calls_and_that_it_is_meant() {
    let redis = RedisServer::start(&[]);
    let (upstream, other) = (Upstream::ok(), Upstream::ok());
    let config = signed_by(&[&generate_key()]) + &orders(&upstream) + &other.route("/x", "none");
    let gateway = Gateway::on(&redis.url(""), &config);
    let said = json!({ "role": ["staff"], "vip": true, "level": 7 });
    let session = gateway.token_with_claims("alice", &said).await;
    let assertion = asserted(&gateway, &upstream, "/orders/1", &session).await;
    assert!(holds(&published(&gateway).await, &assertion));
    assert_eq!(part(&assertion, 0)["typ"], "JWT");
    let claims = claims(&assertion);
    let sub = hufu::sandbox::openid(APPID, "alice");
    for (name, value) in [
        ("iss", json!("https://api.example.com")),
        ("aud", json!("orders")),
        ("sub", json!(sub)),
        ("app", json!("shop")),
        ("appid", json!(APPID)),
        ("provider", json!("wechat-mini-program")),
        ("claims", said),
    ] {
        assert_eq!(claims[name], value, "{claims}");
    }
    let life = claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap();
    assert_eq!(life, 60);
    let details = gateway.get("/auth/session").bearer_auth(&session).await;
    assert_eq!(details.json()["session_id"], claims["sid"]);
    // Another session of the same user, another token of the session: each says its own.
    let plain = gateway.token("alice").await;
    let of_other = asserted(&gateway, &upstream, "/orders/2", &plain).await;
    assert_ne!(self::claims(&of_other)["sid"], claims["sid"]);
    assert_eq!(self::claims(&of_other)["claims"], json!({}));
    let rotated = gateway.post("/auth/rotate").bearer_auth(&plain).await;
    let rotated = rotated.json();
    for token in [rotated["token"].as_str().unwrap(), &plain] {
        let assertion = asserted(&gateway, &upstream, "/orders/3", token).await;
        assert_eq!(self::claims(&assertion)["sid"], rotated["session_id"]);
    }
    // Where no session is asked for, nobody is vouched for.
    let answer = gateway.get("/x").bearer_auth(&session).await;
    assert_eq!(answer.status(), 200);
    assert!(other.connections()[0].values("x-hufu-assertion").is_empty());
}

#[tokio::test]
async fn changed_claims_are_in_the_next_assertion() {
    const ADMIN: &str = "admin-token-of-the-assertions";
    let redis = RedisServer::start(&[]);
    let upstream = Upstream::ok();
    let user = hufu::sandbox::openid(APPID, "alice");
    for store in ["memory:", &redis.url("")] {
        let config = format!(
            "admin.token = \"{ADMIN}\"\n{}{}",
            signed_by(&[&generate_key()]),
            orders(&upstream)
        );
        let gateway = Gateway::on(store, &config);
        let token = gateway.token("alice").await;
        let url = gateway.admin_at(&format!("/admin/api/users/claims?app=shop&user={user}"));
        for (patch, expected) in [
            (json!({ "vip": true }), json!({ "vip": true })),
            (
                json!({ "vip": null, "role": ["a"] }),
                json!({ "role": ["a"] }),
            ),
        ] {
            for _ in 0..4 {
                asserted(&gateway, &upstream, "/orders", &token).await;
            }
            let change = http()
                .request("PATCH", &url)
                .bearer_auth(ADMIN)
                .json(&patch);
            assert_eq!(change.await.status(), 200);
            let assertion = asserted(&gateway, &upstream, "/orders", &token).await;
            assert_eq!(claims(&assertion)["claims"], expected, "{store}");
        }
    }
}

/// Of how many workers a test meets some.
const WORKERS: usize = 2;

#[tokio::test]
async fn one_signature_serves_a_session_and_an_upstream() {
    let redis = RedisServer::start(&[]);
    let (upstream, other) = (Upstream::ok(), Upstream::ok());
    for push in ["auto", "off"] {
        let config = format!(
            "session.near_cache.push = \"{push}\"\n{}{}{}",
            signed_by(&[&generate_key()]),
            orders(&upstream),
            other.route("/users", "required"),
        );
        let gateway = Gateway::on(&redis.url(""), &config);
        let token = gateway.token("alice").await;
        let mut seen = BTreeSet::new();
        for _ in 0..12 {
            seen.insert(asserted(&gateway, &upstream, "/orders", &token).await);
            asserted(&gateway, &other, "/users", &token).await;
        }
        // A reload that changes nothing of it keeps what is there.
        let reloaded = config + "[cors]\nmax_age = \"1m\"\n";
        gateway.reload(&reloaded, "applied").await;
        for _ in 0..12 {
            seen.insert(asserted(&gateway, &upstream, "/orders", &token).await);
        }
        assert!((1..=WORKERS).contains(&seen.len()), "{push}: {seen:#?}");
        let signed = gateway.counted("hufu_assertions_signed_total").await;
        assert!((2..=2 * WORKERS as u64).contains(&signed), "{push}");
    }
}

#[tokio::test]
async fn what_is_kept_stays_within_its_bytes() {
    let upstream = Upstream::ok();
    let section = signed_by(&[&generate_key()]) + "cache = \"3KiB\"\n";
    let gateway = Gateway::start(&(section + &orders(&upstream)));
    for user in 0..12 {
        let token = gateway.token(&format!("user{user}")).await;
        asserted(&gateway, &upstream, "/orders", &token).await;
    }
    assert_eq!(gateway.counted("hufu_assertions_signed_total").await, 12);
    let bytes = gateway.counted("hufu_assertion_cache_bytes").await;
    assert!((1..=3072 * WORKERS as u64).contains(&bytes), "{bytes}");
    gateway.reload(&orders(&upstream), "applied").await;
    assert_eq!(gateway.get("/orders").await.status(), 200);
    gateway.counts("hufu_assertion_cache_bytes", 0).await;
}

#[tokio::test]
async fn no_spelling_of_the_header_passes_in_either_direction() {
    let lines: String = SPELLINGS
        .iter()
        .map(|name| format!("{name}: evil\r\n"))
        .collect();
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{lines}\r\nok");
    let upstream = Upstream::start(Script::at_head(answer.into_bytes()));
    let plain = Gateway::start(&orders(&upstream));
    let signed = Gateway::start(&(signed_by(&[&generate_key()]) + &orders(&upstream)));
    let renamed = signed_by(&[&generate_key()]) + "header = \"X-Signed-User\"\n";
    let renamed = Gateway::start(&(renamed + &orders(&upstream)));
    for (gateway, own) in [
        (&plain, None),
        (&signed, None),
        (&renamed, Some("x.signed_user")),
    ] {
        let token = gateway.token("alice").await;
        let own = own
            .map(|name| format!("{name}: evil\r\n"))
            .unwrap_or_default();
        for token in ["".to_owned(), format!("Authorization: Bearer {token}\r\n")] {
            for connection in ["", "Connection: X-Hufu-Assertion, X-Signed-User\r\n"] {
                let head = format!("{lines}{own}{token}{connection}");
                let answer = get(gateway, "/orders", &head).await;
                assert_eq!(answer.status, 200);
                assert!(!answer.text.contains("evil"), "{}", answer.text);
            }
        }
    }
    let connections = upstream.connections().into_iter();
    let bytes: Vec<u8> = connections.flat_map(|one| one.bytes).collect();
    let text = String::from_utf8_lossy(&bytes);
    assert!(!text.contains("evil"), "{text}");
    let count = |name: &str| text.matches(&format!("\n{name}: ey")).count();
    assert_eq!((count("X-Hufu-Assertion"), count("X-Signed-User")), (2, 2));
}

#[tokio::test]
async fn a_websocket_has_it_in_its_handshake() {
    let upstream = WsUpstream::start().await;
    let config = signed_by(&[&generate_key()]) + &upstream.route("/ws", "required");
    let gateway = Gateway::start(&config);
    let token = gateway.token("alice").await;
    let mut socket = open(&gateway, "/ws", &token).await;
    talk(&mut socket).await;
    let handshake = upstream.handshake(0);
    let lines = of_assertion(&handshake);
    let (_, assertion) = lines[0].split_once(": ").unwrap();
    assert!(lines.len() == 1 && holds(&published(&gateway).await, assertion));
}

#[tokio::test]
async fn a_proxy_that_asks_gets_it_for_the_upstream_that_is_meant() {
    let (upstream, other) = (Upstream::ok(), Upstream::ok());
    let base = "server.trusted_proxies = [\"127.0.0.1\"]\nverify.proxy = \"nginx\"\n".to_owned();
    let section = signed_by(&[&generate_key()]);
    let routes = orders(&upstream) + &other.route("/users", "required");
    let with_audience = section.clone() + "audience = \"backends\"\n";
    let named = Gateway::start(&(base.clone() + &with_audience + &routes));
    let unnamed = Gateway::start(&(base.clone() + &section + &routes));
    let without_routes = Gateway::start(&(base + &with_audience));
    for (gateway, path, expected) in [
        (&named, Some("/orders/1"), Some("orders")),
        (&named, Some("/nowhere"), Some("backends")),
        (&named, None, Some("backends")),
        (&unnamed, Some("/orders/1"), Some("orders")),
        (&unnamed, None, None),
        (&without_routes, Some("/orders/1"), Some("backends")),
    ] {
        let token = gateway.token("alice").await;
        let uri = path.map(|path| format!("X-Original-URI: {path}\r\n"));
        let head = format!(
            "{}X-Hufu-Assertion: evil\r\nAuthorization: Bearer {token}\r\n",
            uri.unwrap_or_default()
        );
        let answer = get(gateway, "/auth/verify", &head).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let [line] = of_assertion(&answer.text)[..] else {
            panic!("{}", answer.text)
        };
        let assertion = line.strip_prefix("x-hufu-assertion: ").unwrap();
        match expected {
            Some(audience) => {
                assert_eq!(claims(assertion)["aud"], audience, "{path:?}");
                assert!(holds(&published(gateway).await, assertion));
            }
            None => assert_eq!(assertion, ""),
        }
    }
    // Nobody is known, and the proxy's copy overwrites what the client sent.
    let answer = get(&named, "/auth/verify", "X-Original-URI: /orders\r\n").await;
    assert_eq!(answer.status, 200);
    assert_eq!(of_assertion(&answer.text), ["x-hufu-assertion: "]);
}
