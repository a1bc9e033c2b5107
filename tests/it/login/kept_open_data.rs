//! Fields of open data that become claims of the user.

use std::sync::Arc;

use hufu::crypto::encoding::{base64, from_base64};
use hufu::sandbox::SandboxSettings;
use nix::sys::signal::Signal;
use serde_json::{Map, Value, json};

use super::open_data::{asked, fault};
use crate::helpers::two_stores::{calls, connection};
use crate::helpers::{
    APPID, Gateway, GatewayBuilder, RedisServer, Upstream, http, live_sandbox, until,
};

const KEEP: &str = "open_data.keep = { phone = \"phone_number\", nickname = \"nickName\", gender = \"gender\" }\n\
                    session.visible_claims = [\"phone\", \"nickname\", \"gender\"]\n\
                    identity.claims = { phone = \"X-User-Phone\", nickname = \"X-User-Name\" }\n";

const ADMIN_TOKEN: &str = "an-admin-token-that-nobody-may-see";

fn start(redis: &RedisServer, upstream: &Upstream) -> Gateway {
    let routes = upstream.route("/api", "required");
    let built = GatewayBuilder::new().store(redis.url("")).config(format!(
        "admin.token = \"{ADMIN_TOKEN}\"\napps.shop.timeout = \"20s\"\n{KEEP}{routes}"
    ));
    built.start_with(Arc::new(live_sandbox(SandboxSettings::default())))
}

/// The claims that the client sees of a session.
async fn claims(gateway: &Gateway, token: &str) -> Value {
    let (status, session) = asked(gateway, "GET", "/auth/session", token, None).await;
    assert_eq!(status, 200, "{session}");
    session["claims"].clone()
}

async fn phone(gateway: &Gateway, token: &str, code: &str) -> (u16, Value) {
    asked(
        gateway,
        "POST",
        "/auth/phone",
        token,
        Some(&json!({ "code": code })),
    )
    .await
}

async fn decrypt(gateway: &Gateway, token: &str, data: Value) -> (u16, Value) {
    let data: Map<String, Value> = data.as_object().unwrap().clone();
    let sealed = json!(gateway.wechat.platform.open_data(APPID, "alice", data));
    asked(gateway, "POST", "/auth/decrypt", token, Some(&sealed)).await
}

async fn counted(gateway: &Gateway, outcome: &str) -> u64 {
    let labels = format!("app=\"shop\",operation=\"keep\",outcome=\"{outcome}\"");
    gateway
        .counted(&format!("hufu_open_data_total{{{labels}}}"))
        .await
}

#[tokio::test]
async fn a_phone_number_reaches_the_backend_from_each_device_and_over_logins() {
    let redis = RedisServer::start(&[]);
    let upstream = Upstream::ok();
    let one = start(&redis, &upstream);
    let other = one.sibling();
    let (device, tablet) = (one.token("alice").await, other.token("alice").await);
    let bystander = one.token("bob").await;
    assert_eq!(claims(&one, &device).await, json!({}));
    let code = one.wechat.platform.phone_code(APPID, "alice");
    let (status, answer) = phone(&one, &device, &code).await;
    assert_eq!(status, 200, "{answer}");
    let number = answer["phone_number"].as_str().unwrap().to_owned();
    assert_eq!(claims(&one, &device).await, json!({ "phone": number }));
    until("the other gateway to know", async || {
        claims(&other, &tablet).await == json!({ "phone": number })
    })
    .await;
    assert_eq!(claims(&one, &bystander).await, json!({}));
    // Another login finds it.
    let later = other.token("alice").await;
    assert_eq!(claims(&other, &later).await, json!({ "phone": number }));
    for (gateway, token) in [(&one, &device), (&other, &tablet), (&other, &later)] {
        assert_eq!(gateway.get("/api/x").bearer_auth(token).await.status(), 200);
    }
    let line = format!("\r\nx-user-phone: {number}\r\n").to_lowercase();
    let heads = upstream.requests();
    assert_eq!(heads.len(), 3);
    assert!(
        heads
            .iter()
            .all(|(head, _)| head.to_lowercase().contains(&line))
    );
    // Operators see what is kept of the user, and take it away again.
    let of = format!("?app=shop&user={}", hufu::sandbox::openid(APPID, "alice"));
    let admin = |method: &str, path: &str| {
        let url = one.admin_at(&format!("/admin/api/{path}{of}"));
        http().request(method, url).bearer_auth(ADMIN_TOKEN)
    };
    let shown = admin("GET", "users").await.json();
    assert_eq!(
        shown["changed_claims"],
        json!({ "phone": number }),
        "{shown}"
    );
    let body = json!({ "phone": null });
    let removed = admin("PATCH", "users/claims").json(&body).await;
    assert_eq!(removed.status(), 200, "{}", removed.text());
    assert_eq!(claims(&one, &device).await, json!({}));
    one.assert_logged("kept as claims of the user: phone");
    // The same code again does not bring back what an operator has removed.
    assert_eq!(phone(&one, &device, &code).await.0, 200);
    assert_eq!(claims(&one, &device).await, json!({}));
    assert_eq!(
        (counted(&one, "ok").await, counted(&one, "unfit").await),
        (1, 0)
    );
    one.assert_not_logged(&number);
}

/// The connections of the process are few, and the admin API and the token broker need them.
#[tokio::test]
async fn keeping_takes_no_connection_of_the_process() {
    let redis = RedisServer::start(&[]);
    let gateway = start(&redis, &Upstream::ok());
    let token = gateway.token("alice").await;
    let mut inspector = connection(&redis);
    // Each of them is tried with this command when it is taken out of the pool.
    let taken_out = |inspector: &mut _| calls(inspector, "unwatch");
    let before = taken_out(&mut inspector);
    for name in ["Alice", "Alicia"] {
        let (status, _) = decrypt(&gateway, &token, json!({ "nickName": name })).await;
        assert_eq!(status, 200);
        let kept = json!({ "nickname": name });
        assert_eq!(claims(&gateway, &token).await, kept);
    }
    assert_eq!(taken_out(&mut inspector), before);
    let path = format!(
        "/admin/api/users?app=shop&user={}",
        hufu::sandbox::openid(APPID, "alice")
    );
    let shown = http().get(gateway.admin_at(&path)).bearer_auth(ADMIN_TOKEN);
    assert_eq!(shown.await.status(), 200);
    assert!(
        taken_out(&mut inspector) > before,
        "the admin API takes one"
    );
}

#[tokio::test]
async fn only_named_fields_of_data_are_kept_and_only_what_a_claim_can_be() {
    let redis = RedisServer::start(&[]);
    let gateway = start(&redis, &Upstream::ok());
    let token = gateway.token("alice").await;
    let data =
        json!({ "nickName": "Alice, 虎", "gender": 1, "role": "admin", "phone": "1", "vip": true });
    assert_eq!(decrypt(&gateway, &token, data).await.0, 200);
    let kept = json!({ "nickname": "Alice, 虎", "gender": 1 });
    assert_eq!(claims(&gateway, &token).await, kept);
    // Data of another user, and what does not open, changes nothing.
    let other = gateway.token("bob").await;
    let openid = hufu::sandbox::openid(APPID, "bob");
    let (status, _) = decrypt(&gateway, &other, json!({ "nickName": "Mallory" })).await;
    assert_eq!(status, 400);
    let foreign = json!({ "nickName": "Mallory", "openId": openid });
    assert_eq!(decrypt(&gateway, &token, foreign).await.0, 400);
    let foreign = json!({ "nickName": "Mallory", "watermark": { "appid": "wx1", "timestamp": 1 } });
    assert_eq!(decrypt(&gateway, &token, foreign).await.0, 400);
    // What no claim can have is answered, and not kept.
    for odd in [json!("x".repeat(513)), json!({ "a": 1 }), Value::Null] {
        let (status, answer) = decrypt(&gateway, &token, json!({ "nickName": odd })).await;
        assert_eq!((status, &answer["data"]["nickName"]), (200, &odd));
    }
    assert_eq!(claims(&gateway, &token).await, kept);
    assert_eq!(
        (
            counted(&gateway, "ok").await,
            counted(&gateway, "unfit").await
        ),
        (1, 3)
    );
    gateway.assert_logged("nickName is not kept");
    // A session that is full of claims.
    let full = json!({ "filling": "x".repeat(1900) });
    let full = gateway.token_with_claims("alice", &full).await;
    let name = "y".repeat(400);
    let (status, answer) = decrypt(&gateway, &full, json!({ "nickName": name })).await;
    assert_eq!((status, &answer["data"]["nickName"]), (200, &json!(name)));
    assert_eq!(counted(&gateway, "unfit").await, 4);
    assert_eq!(claims(&gateway, &token).await, kept, "all sessions or none");
    gateway.assert_not_logged(&name);
}

/// Data whose second block reads `want`: CBC has no MAC, so a client needs no key for it. Whoever
/// chooses a nickname chooses what follows. The rest of what WeChat's client gave stays as it was.
fn forged(gateway: &Gateway, want: [u8; 16], rest: &str) -> Value {
    let filling = "x".repeat(19);
    let data = json!({ "nickName": format!("{filling}{rest}") });
    let data = data.as_object().unwrap().clone();
    let mut sealed = json!(gateway.wechat.platform.open_data(APPID, "alice", data));
    let blocks = from_base64(sealed["encryptedData"].as_str().unwrap()).unwrap();
    // `{"nickName":"xxx`, a block of x, `13800138000","wat…`
    let iv: Vec<u8> = (0..16).map(|i| blocks[i] ^ b'x' ^ want[i]).collect();
    sealed["encryptedData"] = base64(&blocks[16..]).into();
    sealed["iv"] = base64(&iv).into();
    sealed
}

/// A claim is what backends believe, so no client makes one of its own.
#[tokio::test]
async fn what_the_platform_does_not_vouch_for_is_answered_and_not_kept() {
    let redis = RedisServer::start(&[]);
    let gateway = start(&redis, &Upstream::ok());
    let token = gateway.token("alice").await;
    let post = async |body: &Value| {
        let path = "/auth/decrypt";
        let (status, answer) = asked(&gateway, "POST", path, &token, Some(body)).await;
        assert_eq!(status, 200, "{answer}");
        answer["data"].clone()
    };
    let unsigned = |mut body: Value| {
        let fields = body.as_object_mut().unwrap();
        fields.remove("rawData");
        fields.remove("signature");
        body
    };
    // A phone number of the client's choice, without and with the signature of the true data.
    let phone = forged(&gateway, *b"{\"phoneNumber\":\"", "13800138000");
    for body in [&unsigned(phone.clone()), &phone] {
        assert_eq!(post(body).await["phoneNumber"], "13800138000");
    }
    let name = forged(&gateway, *b"{\"nickName\":\"Mal", "lory");
    for body in [&unsigned(name.clone()), &name] {
        assert_eq!(post(body).await["nickName"], "Mallory");
    }
    // True, and nobody can know it; and true and signed, but a phone number.
    let platform = &gateway.wechat.platform;
    let honest = |data: Value| {
        let data = data.as_object().unwrap().clone();
        json!(platform.open_data(APPID, "alice", data))
    };
    post(&unsigned(honest(json!({ "nickName": "Alice" })))).await;
    post(&honest(json!({ "phoneNumber": "13900139000" }))).await;
    assert_eq!(claims(&gateway, &token).await, json!({}));
    assert_eq!(counted(&gateway, "unsigned").await, 6);
    assert_eq!(counted(&gateway, "ok").await, 0);
    post(&honest(json!({ "nickName": "Alice" }))).await;
    let kept = json!({ "nickname": "Alice" });
    assert_eq!(claims(&gateway, &token).await, kept);
    post(&name).await;
    assert_eq!(claims(&gateway, &token).await, kept);
}

/// The number was paid for, so it is answered whatever becomes of the claim.
#[tokio::test]
async fn a_store_that_fails_loses_no_phone_number() {
    let redis = RedisServer::start(&[]);
    let gateway = start(&redis, &Upstream::ok());
    let token = gateway.token("alice").await;
    let code = gateway.wechat.platform.phone_code(APPID, "alice");
    fault(
        &gateway,
        "getuserphonenumber",
        &json!({ "times": 1, "delay_ms": 4000 }),
    )
    .await;
    let asked = phone(&gateway, &token, &code);
    let filled = async {
        until("the call", async || {
            gateway.wechat.platform.calls("getuserphonenumber") == 1
        })
        .await;
        let set = ["CONFIG", "SET", "maxmemory", "1"];
        redis.ask::<()>(&set).unwrap();
    };
    let ((status, answer), ()) = tokio::join!(asked, filled);
    assert_eq!(status, 200, "{answer}");
    assert_eq!(counted(&gateway, "store_unavailable").await, 1);
    gateway.assert_logged("nothing is kept");
    // The process has it, and nobody pays again.
    let number = answer;
    assert_eq!(phone(&gateway, &token, &code).await, (200, number.clone()));
    redis
        .ask::<()>(&["CONFIG", "SET", "maxmemory", "0"])
        .unwrap();
    assert_eq!(claims(&gateway, &token).await, json!({}));
    // Once it can be kept, it is.
    assert_eq!(phone(&gateway, &token, &code).await, (200, number.clone()));
    let kept = json!({ "phone": number["phone_number"] });
    assert_eq!(claims(&gateway, &token).await, kept);
    assert_eq!(gateway.wechat.platform.calls("getuserphonenumber"), 1);
}

/// The number was paid for, and what becomes of the claim waits for a replica that is not there.
#[tokio::test]
async fn a_gateway_that_dies_while_it_keeps_a_number_leaves_it_to_the_others() {
    let redis = RedisServer::start(&[]);
    let options = format!("store.wait_replicas = 1\nstore.timeout = \"8s\"\n{KEEP}");
    let dying = Gateway::on(&redis.url(""), &options);
    let other = dying.sibling();
    let token = dying.token("alice").await;
    let code = dying.wechat.platform.phone_code(APPID, "alice");
    let request = dying.post("/auth/phone").bearer_auth(&token);
    let request = request.json(&json!({ "code": code }));
    let request = tokio::spawn(request.try_send());
    until("a wait for the replica", async || {
        let clients: String = redis.ask(&["INFO", "clients"]).unwrap();
        clients.contains("blocked_clients:1\r")
    })
    .await;
    dying.signal(Signal::SIGKILL);
    let _ = request.await.unwrap();
    let (status, answer) = phone(&other, &token, &code).await;
    assert_eq!(status, 200, "{answer}");
    let calls = other.wechat.platform.calls("getuserphonenumber");
    assert_eq!(calls, 1);
}
