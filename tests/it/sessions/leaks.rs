//! Nothing secret in anything that the gateway emits, and nothing in clear in what it stores.

use base64::Engine as _;
use serde_json::{Value, json};

use crate::helpers::{
    APP_SECRET, APPID, Gateway, RedisServer, Script, Upstream, echo_upstream, http, until,
};
use crate::login::hook;
use crate::platforms::{platform_api, push};

const ADMIN_TOKEN: &str = "admin-token-that-nobody-may-see";
const MESSAGE: &str = "message-that-nobody-may-see";

/// The bytes in all forms in which they could stand somewhere.
fn forms(secret: &str) -> Vec<Vec<u8>> {
    let bytes = secret.as_bytes();
    let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    let mut forms = vec![
        bytes.to_vec(),
        hex.into_bytes(),
        base64::engine::general_purpose::STANDARD_NO_PAD
            .encode(bytes)
            .into_bytes(),
    ];
    forms.extend(base64::engine::general_purpose::STANDARD.decode(secret));
    forms
}

/// All that a server stores, and how many keys that is. But for refresh tokens, which nobody could get
/// again, each has an expiry.
pub(crate) fn stored(redis: &RedisServer) -> (usize, Vec<u8>) {
    let mut connection = redis.connect("");
    let keys: Vec<Vec<u8>> = redis::cmd("KEYS").arg("*").query(&mut connection).unwrap();
    let mut dump = Vec::new();
    for key in &keys {
        dump.extend_from_slice(key);
        let ttl: i64 = redis::cmd("PTTL").arg(key).query(&mut connection).unwrap();
        let name = String::from_utf8_lossy(key);
        assert!(
            ttl > 0 || name.ends_with("}:authorizers"),
            "{name} has no expiry"
        );
        let kind: String = redis::cmd("TYPE").arg(key).query(&mut connection).unwrap();
        let values: Vec<Vec<u8>> = match kind.as_str() {
            "string" => vec![redis::cmd("GET").arg(key).query(&mut connection).unwrap()],
            "hash" => redis::cmd("HGETALL")
                .arg(key)
                .query(&mut connection)
                .unwrap(),
            "zset" => redis::cmd("ZRANGE")
                .arg(key)
                .arg(&["0", "-1"])
                .query(&mut connection)
                .unwrap(),
            other => panic!("an unexpected type {other}"),
        };
        dump.extend(values.concat());
    }
    (keys.len(), dump)
}

pub(crate) fn assert_absent(secrets: &[(&str, String)], place: &str, bytes: &[u8]) {
    for (name, secret) in secrets {
        assert!(secret.len() >= 16, "{name} is too short to look for");
        for form in forms(secret) {
            if let Some(at) = bytes.windows(form.len()).position(|window| window == form) {
                panic!(
                    "{place} holds the {name}: {}",
                    String::from_utf8_lossy(&bytes[at.saturating_sub(300)..at + 20])
                );
            }
        }
    }
}

/// What the listener for backends answers; the token and the ticket that it hands out are secrets.
async fn of_backends(
    gateway: &Gateway,
    openid: &str,
    secrets: &mut Vec<(&'static str, String)>,
) -> String {
    let sdk_token = gateway.sdk_token().await;
    let ticket = http()
        .get(gateway.api("/hufu/ticket/jsapi"))
        .bearer_auth(platform_api::SECRET);
    let ticket = ticket.await.json()["ticket"].as_str().unwrap().to_owned();
    let mut emitted = String::new();
    for (path, body) in [
        ("/wxa/msg_sec_check", json!({ "content": "hello" })),
        ("/wxa/forbidden", json!({})),
        ("/hufu/jssdk/sign", json!({ "url": "https://example.com/" })),
        (
            "/hufu/session-key/sign",
            json!({ "openid": openid, "data": "x" }),
        ),
        (
            "/hufu/session-key/sign",
            json!({ "openid": "oNobody", "data": "x" }),
        ),
    ] {
        emitted += &gateway.call(path, &body).await.text();
        for token in [sdk_token.as_str(), "hufu_at_dead"] {
            let call = http()
                .post(gateway.api(path))
                .query(&[("access_token", token)]);
            emitted += &call.json(&body).await.text();
        }
    }
    emitted += &gateway.asked_for_token(APPID, APP_SECRET).await.text();
    secrets.extend([
        ("gateway token", sdk_token),
        ("ticket", ticket),
        ("client secret", platform_api::SECRET.to_owned()),
    ]);
    emitted
}

#[tokio::test]
async fn neither_redis_nor_anything_emitted_holds_a_secret_in_clear() {
    let redis = RedisServer::start(&[]);
    let echo = echo_upstream();
    let signing_key = hufu::crypto::keyring::generate_key();
    let config = format!(
        "assertion = {{ keys = [{signing_key:?}], issuer = \"hufu\", audience = \"all\" }}\nlog.level = \"trace\"\nopen_data.max_age = \"0s\"\nadmin.token = \"{ADMIN_TOKEN}\"\n{}{}",
        push::pushed_to("http://127.0.0.1:9", push::SEALED),
        echo.route("/api", "required")
            + &platform_api::client("sign = true\n").replace("/wxa/test/*", "/hufu/*")
    );
    // A login hook that fails and has something to say: it says it to the log.
    let hook = Upstream::start(Script::answers("500 Internal Server Error", "<title>no"));
    let allow = "login.hook.on_failure = \"allow\"\n";
    let config = hook::asking(&hook.url, allow) + &config;
    let gateway = Gateway::on(&redis.url(""), &config);
    let code = gateway.code("alice");
    let login: Value = gateway.login_with(json!({ "code": code })).await.json();
    let old_token = login["token"].as_str().unwrap().to_owned();
    let rotate = || gateway.post("/auth/rotate").bearer_auth(&old_token);
    let rotated: Value = rotate().await.json();
    let token = rotated["token"].as_str().unwrap().to_owned();
    assert_eq!(rotate().await.json()["token"], token);
    let session_key = gateway
        .wechat
        .platform
        .session_key(APPID, "alice")
        .expose()
        .clone();
    let openid = hufu::sandbox::openid(APPID, "alice");
    let mut secrets = vec![
        ("session_key", session_key),
        ("signing key", signing_key),
        ("app secret", APP_SECRET.to_owned()),
        ("token", token.clone()),
        ("code", code.clone()),
    ];
    secrets.extend([
        ("rotated token", old_token.clone()),
        ("admin token", ADMIN_TOKEN.to_owned()),
        ("push token", push::TOKEN.to_owned()),
        ("hook secret", hook::SECRET.to_owned()),
        ("EncodingAESKey", push::AES_KEY.to_owned()),
        ("message", MESSAGE.to_owned()),
    ]);

    // Every kind of request, good and bad, and everything that comes back.
    let mut emitted = String::new();
    // The access token: first a platform that says too much, then the one answer that holds it.
    let errmsg = format!("invalid ip 127.0.0.1 secret={APP_SECRET}");
    let said = json!({ "errcode": -1, "errmsg": errmsg });
    gateway
        .fault(json!({ "api": "stable_token", "times": 3, "body": said }))
        .await;
    let access_token = |token: &'static str| {
        let path = "/admin/api/apps/shop/access-token";
        gateway.admin_get(path).bearer_auth(token)
    };
    emitted += &access_token(ADMIN_TOKEN).await.text();
    let granted = until("an access token", async || {
        let granted = access_token(ADMIN_TOKEN).await.json();
        granted["access_token"].as_str().map(str::to_owned)
    })
    .await;
    secrets.push(("access token", granted));
    emitted += &access_token("not-the-admin-token-at-all").await.text();
    let platform = &gateway.wechat.platform;
    let phone_code = platform.phone_code(APPID, "alice");
    let data = json!({ "nickName": "Alice" }).as_object().unwrap().clone();
    let sealed = json!(platform.open_data(APPID, "alice", data));
    for (method, path, body) in [
        ("POST", "/auth/decrypt", &sealed),
        (
            "POST",
            "/auth/decrypt",
            &json!({ "encryptedData": "", "iv": "" }),
        ),
        ("POST", "/auth/phone", &json!({ "code": phone_code })),
        ("POST", "/auth/phone", &json!({ "code": phone_code })),
        ("POST", "/auth/phone", &json!({ "code": code })),
        ("GET", "/auth/session-key/status", &json!({})),
        ("POST", "/auth/session-key/reset", &json!({})),
        ("GET", "/auth/session-key/status", &json!({})),
    ] {
        let mut request = http().request(method, gateway.at(path)).bearer_auth(&token);
        if method == "POST" {
            request = request.json(body);
        }
        emitted += &request.await.text();
    }
    let reset_key = platform.session_key(APPID, "alice").expose().clone();
    assert_ne!(reset_key, secrets[0].1);
    secrets.extend([
        ("session_key of the reset", reset_key),
        ("phone code", phone_code),
    ]);
    let (_, number) = emitted.split_once("\"phone_number\":\"").unwrap();
    let number = number[..11].to_owned();
    for (path, line) in [
        ("/api/x", format!("Authorization: Bearer {token}")),
        ("/auth/session", format!("Authorization: Bearer {token}")),
        (
            "/auth/session",
            format!("Authorization: Bearer {old_token}"),
        ),
        ("/auth/sessions", format!("Authorization: Bearer {token}")),
        ("/auth/sessions/x", format!("Authorization: Bearer {token}")),
        ("/auth/verify", format!("Authorization: Bearer {token}")),
        ("/nowhere", format!("Authorization: Bearer {token}")),
        (
            &format!("/api/x?token={token}"),
            format!("Authorization: Bearer {token}"),
        ),
        ("/api/../x", format!("Authorization: Bearer {token}")),
        ("/api/x", format!("Authorization: Bearer {token}, {token}")),
    ] {
        emitted += &gateway
            .raw(format!(
                "GET {path} HTTP/1.1\r\nHost: x\r\n{line}\r\nConnection: close\r\n\r\n"
            ))
            .await
            .text;
    }
    for errcode in [40029, 40125, 40013, -1, 12345] {
        let body = format!(
            r#"{{"errcode":{errcode},"errmsg":"secret={APP_SECRET} code={code}-{errcode}"}}"#
        );
        gateway
            .fault(json!({ "api": "jscode2session", "times": 1, "body": body }))
            .await;
        emitted += &gateway
            .login_with(json!({ "code": format!("{code}-{errcode}") }))
            .await
            .text();
    }
    // A pushed message, which is kept, one for another app and one that is not sealed.
    for (message, appid) in [(MESSAGE, APPID), (MESSAGE, "wx0123456789abcdee")] {
        let sealed = push::key().seal(format!("<xml><A>{message}</A></xml>").as_bytes(), appid);
        let at = gateway.at("/auth/push/shop");
        let answer = push::enveloped(at, &sealed, "<xml><Encrypt>@</Encrypt></xml>").await;
        emitted += &answer.text();
    }
    emitted += &gateway.post("/auth/push/shop").body(MESSAGE).await.text();
    for (path, admin_token) in [
        (format!("/sessions?user={openid}"), ADMIN_TOKEN),
        (
            format!("/sessions/{}", rotated["session_id"].as_str().unwrap()),
            ADMIN_TOKEN,
        ),
        (format!("/sessions/count?user={openid}"), ADMIN_TOKEN),
        ("/sessions".to_owned(), ADMIN_TOKEN),
        ("/sessions".to_owned(), &token),
    ] {
        emitted += &gateway
            .admin_get(&format!("/admin/api{path}"))
            .bearer_auth(admin_token)
            .await
            .text();
    }
    emitted += &of_backends(&gateway, &openid, &mut secrets).await;
    emitted += &gateway.admin_get("/metrics").await.text();
    emitted += &gateway.admin_get("/readyz").await.text();
    gateway.access_line("the last request", |line| {
        line["path"] == "/api/../x" || line["status"] == 400
    });
    assert!(
        emitted.len() > 3000 && gateway.stdout().lines().count() > 8,
        "there is something to look at"
    );
    assert_absent(&secrets, "an answer", emitted.as_bytes());
    assert_absent(&secrets, "the access log", gateway.stdout().as_bytes());
    assert_absent(&secrets, "the log", gateway.stderr().as_bytes());

    for (place, text) in [("log", gateway.stderr()), ("access log", gateway.stdout())] {
        assert!(
            !text.contains(&number),
            "the {place} holds the phone number"
        );
    }

    // The echo upstream has answered with what it got: backends and proxies alone know of it.
    let (_, assertion) = emitted.split_once("eyJ").unwrap();
    let is_of_it = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let end = assertion.find(|c| !is_of_it(c)).unwrap();
    let (signed, signature) = assertion[..end].rsplit_once('.').unwrap();
    secrets.push(("signature of the assertion", signature.to_owned()));
    secrets.push(("assertion", format!("eyJ{signed}")));
    secrets.push(("openid", openid));
    assert_absent(&secrets, "the log", gateway.stderr().as_bytes());
    assert_absent(&secrets, "the access log", gateway.stdout().as_bytes());
    secrets.push(("unionid", hufu::sandbox::unionid("alice").unwrap()));
    let (keys, dump) = stored(&redis);
    assert!(keys >= 3, "a session, where it was before, and its user");
    assert_absent(&secrets, "Redis", &dump);
    assert!(
        !dump
            .windows(number.len())
            .any(|window| window == number.as_bytes()),
        "Redis holds the phone number"
    );
}
