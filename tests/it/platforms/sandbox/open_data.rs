//! Session keys, open data and phone numbers.

use std::time::Duration;

use hufu::crypto::{hash, open_data};
use serde_json::{Value, json};

use super::{APP, one_app};
use crate::helpers::sandbox;

#[tokio::test]
async fn session_keys_rotate_and_open_data_follows() {
    let sandbox = sandbox(one_app());
    let key = |session: &Value| session["session_key"].as_str().unwrap().to_owned();
    let first = key(&sandbox
        .exchange(&sandbox.platform.login_code(APP, "alice"))
        .await);
    sandbox.clock.advance(Duration::from_secs(59));
    assert_eq!(
        key(&sandbox
            .exchange(&sandbox.platform.login_code(APP, "alice"))
            .await),
        first
    );
    sandbox.clock.advance(Duration::from_secs(1));
    assert_ne!(
        key(&sandbox
            .exchange(&sandbox.platform.login_code(APP, "alice"))
            .await),
        first
    );

    let asked = json!({ "app": APP, "user": "alice", "data": { "nickName": "Alice" } }).to_string();
    let (status, sealed) = sandbox.control("/sandbox/open-data", &asked).await;
    assert_eq!(status, 200);
    let text = |name: &str| sealed[name].as_str().unwrap().to_owned();
    let present = sandbox.platform.session_key(APP, "alice");
    let opened = open_data::open(present.expose(), &text("iv"), &text("encryptedData"));
    assert!(opened.is_whole());
    let opened: Value = serde_json::from_slice(opened.text()).unwrap();
    let watermark = json!({ "appid": APP, "timestamp": 1_700_000_060_u64 });
    assert_eq!(
        opened,
        json!({ "nickName": "Alice", "watermark": watermark })
    );
    assert_eq!(
        (text("rawData"), text("signature")),
        (
            r#"{"nickName":"Alice"}"#.to_owned(),
            open_data::signature(&text("rawData"), present.expose())
        )
    );

    let (status, rotated) = sandbox
        .control(
            "/sandbox/rotate",
            &json!({ "app": APP, "user": "alice" }).to_string(),
        )
        .await;
    assert_eq!(status, 200);
    let opened = open_data::open(&key(&rotated), &text("iv"), &text("encryptedData"));
    assert!(!opened.is_whole() || serde_json::from_slice::<Value>(opened.text()).is_err());
}

#[tokio::test]
async fn session_keys_are_checked_and_reset() {
    let sandbox = sandbox(one_app());
    let session = sandbox
        .exchange(&sandbox.platform.login_code(APP, "alice"))
        .await;
    let (openid, token) = (
        session["openid"].as_str().unwrap(),
        sandbox.access_token().await,
    );
    let signed =
        |key: &Value| hash::to_hex(&hash::hmac_sha256(key.as_str().unwrap().as_bytes(), b""));
    let signature = signed(&session["session_key"]);
    let query = |signature, method| {
        [
            ("access_token", token.as_str()),
            ("openid", openid),
            ("signature", signature),
            ("sig_method", method),
        ]
    };
    assert_eq!(
        sandbox
            .get("/wxa/checksession", &query(&signature, "hmac_sha256"))
            .await,
        json!({ "errcode": 0, "errmsg": "ok" })
    );
    assert_eq!(
        sandbox
            .get("/wxa/checksession", &query(&signature, "md5"))
            .await["errcode"],
        87008
    );
    assert_eq!(
        sandbox
            .get("/wxa/checksession", &query("0", "hmac_sha256"))
            .await["errcode"],
        87009
    );
    assert_eq!(
        sandbox.get("/wxa/checksession", &[]).await["errcode"],
        41001
    );
    let reset = sandbox
        .get(
            "/wxa/resetusersessionkey",
            &query(&signature, "hmac_sha256"),
        )
        .await;
    assert_eq!(
        (&reset["errcode"], &reset["openid"]),
        (&0.into(), &session["openid"])
    );
    assert_eq!(
        sandbox
            .get("/wxa/checksession", &query(&signature, "hmac_sha256"))
            .await["errcode"],
        87009,
        "the old key is dead"
    );
    let renewed = signed(&reset["session_key"]);
    assert_eq!(
        sandbox
            .get("/wxa/checksession", &query(&renewed, "hmac_sha256"))
            .await["errcode"],
        0
    );
}

#[tokio::test]
async fn phone_numbers_come_for_phone_codes_of_the_same_user() {
    let sandbox = sandbox(one_app());
    let token = sandbox.access_token().await;
    let (alice, bob) = (
        hufu::sandbox::openid(APP, "alice"),
        hufu::sandbox::openid(APP, "bob"),
    );
    let ask = async |body: Value| {
        sandbox
            .post(
                "/wxa/business/getuserphonenumber",
                &[("access_token", &token)],
                &body,
            )
            .await
    };
    let (_, issued) = sandbox
        .control(
            "/sandbox/code",
            &json!({ "app": APP, "user": "alice", "for": "phone" }).to_string(),
        )
        .await;
    let code = &issued["code"];
    assert_eq!(
        ask(json!({ "code": code, "openid": bob })).await["errcode"],
        40029,
        "somebody else's"
    );
    let told = ask(json!({ "code": code, "openid": alice })).await;
    let info = &told["phone_info"];
    assert_eq!(
        (
            &told["errcode"],
            &info["countryCode"],
            &info["watermark"]["appid"]
        ),
        (&0.into(), &86.into(), &APP.into())
    );
    assert!(
        info["phoneNumber"] == info["purePhoneNumber"]
            && info["phoneNumber"].as_str().unwrap().starts_with("138")
    );
    assert_eq!(ask(json!({ "code": code })).await["errcode"], 40029);
    assert_eq!(
        ask(json!({ "code": sandbox.platform.login_code(APP, "alice") })).await["errcode"],
        40029,
        "a login code"
    );
    assert_eq!(ask(json!([])).await["errcode"], 47001);
}
