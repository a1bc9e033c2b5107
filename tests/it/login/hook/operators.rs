//! What operators do to a user while a backend is asked about the user's login.

use serde_json::{Value, json};

use super::{asking, assert_refused, json_script, logged_in, no_content};
use crate::helpers::{
    APPID, ByHand, Gateway, HttpAnswer, RedisServer, Script, Upstream, http, until,
};

const ADMIN_TOKEN: &str = "admin-token-that-nobody-may-see";

fn gateway(redis: &RedisServer, backend: &str) -> Gateway {
    let lines = format!(
        "admin.token = \"{ADMIN_TOKEN}\"\nsession.visible_claims = [\"role\", \"vip\"]\n{}",
        asking(backend, "login.hook.timeout = \"8s\"\n")
    );
    Gateway::on(&redis.url(""), &lines)
}

/// A call of the admin API about alice.
async fn operator(gateway: &Gateway, method: &str, what: &str, body: Value) {
    let user = hufu::sandbox::openid(APPID, "alice");
    let path = format!("/admin/api/users/{what}?app=shop&user={user}");
    let call = http().request(method, gateway.admin_at(&path));
    let answer = call.bearer_auth(ADMIN_TOKEN).json(&body).await;
    assert!(answer.is_success(), "{}", answer.text());
}

/// A login of alice, with what an operator does between the question to the backend and its answer.
async fn login_with(
    gateway: &Gateway,
    backend: &Upstream,
    answer: Script,
    act: impl AsyncFnOnce(),
) -> HttpAnswer {
    let before = backend.count("POST");
    backend.set(Script::held());
    let acted = async {
        until("the question", async || backend.count("POST") > before).await;
        act().await;
        backend.set(answer);
    };
    tokio::join!(logged_in(gateway, "alice"), acted).0
}

async fn claims(gateway: &Gateway, login: &Value) -> Value {
    let token = login["token"].as_str().unwrap();
    let session = gateway.get("/auth/session").bearer_auth(token).await;
    session.json()["claims"].clone()
}

#[tokio::test]
async fn a_blocked_user_is_not_asked_about_and_gets_no_session_that_was_under_way() {
    let redis = RedisServer::start(&[]);
    let backend = Upstream::start(no_content());
    let gateway = gateway(&redis, &backend.url);
    let block = async || operator(&gateway, "PUT", "block", json!({})).await;
    let answer = login_with(&gateway, &backend, no_content(), block).await;
    assert_refused(&answer, 403, "user_blocked");
    assert_eq!(
        redis
            .ask::<Vec<String>>(&["KEYS", "hufu:s:*"])
            .unwrap()
            .len(),
        0
    );
    for _ in 0..2 {
        assert_refused(&logged_in(&gateway, "alice").await, 403, "user_blocked");
    }
    assert_eq!(backend.count("POST"), 1);
    gateway.login("bob").await;
    operator(&gateway, "DELETE", "block", json!({})).await;
    gateway.login("alice").await;
}

/// A change that comes between the hook's answer and the session is not lost; what the hook says at
/// the next login is newer.
#[tokio::test]
async fn a_change_of_claims_outlives_a_login_that_is_under_way_and_no_longer() {
    let redis = RedisServer::start(&[]);
    let answer = json_script("200 OK", r#"{"claims":{"role":["staff"]}}"#);
    let backend = Upstream::start(answer.clone());
    let gateway = gateway(&redis, &backend.url);
    let change = async || {
        let patch = json!({ "role": null, "vip": true });
        operator(&gateway, "PATCH", "claims", patch).await;
    };
    let login = login_with(&gateway, &backend, answer, change).await.json();
    assert_eq!(claims(&gateway, &login).await, json!({ "vip": true }));
    // Logins of the next moments may have begun before the change, for all that anybody knows.
    until("the hook's answer to count again", async || {
        let next = gateway.login("alice").await;
        claims(&gateway, &next).await == json!({ "role": ["staff"] })
    })
    .await;
}

/// The code is spent and the store is well: a client that waits and comes again gains nothing.
#[tokio::test]
async fn claims_that_do_not_fit_beside_a_change_are_no_fault_of_the_store() {
    let redis = RedisServer::start(&[]);
    let backend = ByHand::start().await;
    let gateway = gateway(&redis, &backend.url);
    let names = |range: std::ops::Range<u32>| {
        let named = range.map(|n| (format!("n{n}"), json!(1)));
        Value::Object(named.collect())
    };
    for (claims, change) in [
        (
            json!({ "one": "x".repeat(1900) }),
            json!({ "other": "x".repeat(500) }),
        ),
        (names(0..30), names(30..35)),
    ] {
        let code = json!({ "code": gateway.code("alice") });
        let decided = async {
            let (mut peer, _) = backend.request().await;
            operator(&gateway, "PATCH", "claims", change).await;
            let body = json!({ "claims": claims }).to_string();
            let length = body.len();
            peer.send(format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"))
                .await;
        };
        let (answer, ()) = tokio::join!(gateway.login_with(code.clone()), decided);
        let again = gateway.login_with(code).await;
        for answer in [answer, again] {
            assert_refused(&answer, 503, "login_claims_too_large");
            assert!(answer.get("retry-after").is_none());
            assert!(!answer.text().contains("store"), "{}", answer.text());
        }
    }
    let errors = "hufu_store_errors_total{operation=\"create\"}";
    let logins = "hufu_logins_total{app=\"shop\",outcome=\"login_claims_too_large\"}";
    assert_eq!(
        (gateway.counted(errors).await, gateway.counted(logins).await),
        (0, 4)
    );
    gateway.assert_logged("do not fit together");
    let sessions: Vec<String> = redis.ask(&["KEYS", "hufu:s:*"]).unwrap();
    assert!(sessions.is_empty(), "{sessions:?}");
}
