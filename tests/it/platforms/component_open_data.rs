//! Open data of the users of an authorizer: its own token goes out, and its own keys open.

use hufu::sandbox::SandboxSettings;
use serde_json::{Map, Value, json};

use super::platform_api::authorizers::{AUTHORIZER, COMPONENT, OTHER, gateway, user_of};
use super::platform_api::calls;
use crate::helpers::{Gateway, http};

async fn asked(
    gateway: &Gateway,
    method: &str,
    path: &str,
    token: &str,
    body: &Value,
) -> (u16, Value) {
    let request = http().request(method, gateway.at(path)).bearer_auth(token);
    let answer = match method {
        "GET" => request.await,
        _ => request.json(body).await,
    };
    let body = serde_json::from_slice(answer.bytes()).unwrap_or_default();
    (answer.status(), body)
}

fn sealed(gateway: &Gateway, authorizer: &str) -> Value {
    let data: Map<String, Value> = [("nickName".to_owned(), json!("Alice"))]
        .into_iter()
        .collect();
    json!(gateway.wechat.platform.open_data(authorizer, "alice", data))
}

#[tokio::test]
async fn the_data_of_an_authorizers_user_opens_with_its_own_key() {
    let gateway = gateway(SandboxSettings::default(), "\"open\"", "").await;
    let token = user_of(&gateway, AUTHORIZER).await;
    let other = user_of(&gateway, OTHER).await;
    let body = sealed(&gateway, AUTHORIZER);
    let (status, answer) = asked(&gateway, "POST", "/auth/decrypt", &token, &body).await;
    assert_eq!(
        (status, &answer["data"]["nickName"]),
        (200, &json!("Alice")),
        "{answer}"
    );
    assert_eq!(answer["data"]["watermark"]["appid"], AUTHORIZER);
    let (status, answer) = asked(&gateway, "POST", "/auth/decrypt", &other, &body).await;
    assert_eq!(
        (status, &answer["code"]),
        (400, &json!("open_data_invalid"))
    );
}

#[tokio::test]
async fn a_phone_number_is_asked_for_with_the_authorizers_token() {
    let gateway = gateway(SandboxSettings::default(), "\"open\"", "").await;
    let token = user_of(&gateway, AUTHORIZER).await;
    let other = user_of(&gateway, OTHER).await;
    let body = json!({ "code": gateway.wechat.platform.phone_code(AUTHORIZER, "alice") });
    // The code is another app's there.
    let (status, answer) = asked(&gateway, "POST", "/auth/phone", &other, &body).await;
    assert_eq!(
        (status, &answer["code"]),
        (400, &json!("code_invalid")),
        "{answer}"
    );
    for _ in 0..2 {
        let (status, answer) = asked(&gateway, "POST", "/auth/phone", &token, &body).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(answer["country_code"], "86");
    }
    assert_eq!(calls(&gateway, "getuserphonenumber"), 2);

    // After the administrator has withdrawn, the client is told why.
    let url = gateway.wechat.server.at("/sandbox/withdraw");
    let pair = json!({ "component": COMPONENT, "app": AUTHORIZER });
    let withdrawn = http().post(url).json(&pair).await;
    assert_eq!(withdrawn.json()["pushed"]["answer"], "success");
    let body = json!({ "code": gateway.wechat.platform.phone_code(AUTHORIZER, "alice") });
    let (status, answer) = asked(&gateway, "POST", "/auth/phone", &token, &body).await;
    assert_eq!(
        (status, &answer["code"]),
        (403, &json!("app_not_authorized")),
        "{answer}"
    );
    assert_eq!(calls(&gateway, "getuserphonenumber"), 2);
}

#[tokio::test]
async fn the_session_key_of_an_authorizers_user_is_checked_and_reset() {
    let gateway = gateway(SandboxSettings::default(), "\"open\"", "").await;
    let token = user_of(&gateway, AUTHORIZER).await;
    let status = async || {
        asked(
            &gateway,
            "GET",
            "/auth/session-key/status",
            &token,
            &json!({}),
        )
        .await
    };
    assert_eq!(status().await, (200, json!({ "valid": true })));
    let before = sealed(&gateway, AUTHORIZER);
    let key = gateway.wechat.platform.session_key(AUTHORIZER, "alice");
    let (reset, answer) = asked(
        &gateway,
        "POST",
        "/auth/session-key/reset",
        &token,
        &json!({}),
    )
    .await;
    assert_eq!(reset, 204, "{answer}");
    assert_ne!(
        gateway.wechat.platform.session_key(AUTHORIZER, "alice"),
        key
    );
    assert_eq!(status().await, (200, json!({ "valid": true })));
    let (old, _) = asked(&gateway, "POST", "/auth/decrypt", &token, &before).await;
    assert_eq!(
        old, 400,
        "what was sealed under the old key does not open any more"
    );
    let (new, _) = asked(
        &gateway,
        "POST",
        "/auth/decrypt",
        &token,
        &sealed(&gateway, AUTHORIZER),
    )
    .await;
    assert_eq!(new, 200);
    gateway.wechat.platform.rotate(AUTHORIZER, "alice");
    assert_eq!(status().await, (200, json!({ "valid": false })));
}
