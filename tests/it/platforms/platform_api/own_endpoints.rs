//! What the listener answers itself: tickets, and signatures with them and with users' keys.

use hufu::crypto::hash;
use serde_json::{Value, json};

use super::{SECRET, calls, client, gateway, with_secret};
use crate::helpers::{APPID, Gateway, GatewayBuilder, RedisServer, http};
use crate::platforms::PATIENT;

const PAGE: &str = "/hufu/jssdk/sign";
const USER: &str = "/hufu/session-key/sign";

/// A client that may do these things.
fn signing(more: &str) -> String {
    client(more).replace(
        "\"/wxa/msg_sec_check\"",
        "\"/hufu/*\", \"/cgi-bin/ticket/getticket\"",
    )
}

async fn ticket(gateway: &Gateway) -> Value {
    let asked = http()
        .get(gateway.api("/hufu/ticket/jsapi"))
        .bearer_auth(SECRET);
    asked.await.json()
}

#[tokio::test]
async fn a_page_is_signed_with_a_ticket_that_all_gateways_share() {
    let redis = RedisServer::start(&[]);
    let wechat = super::wechat(Default::default());
    let one = GatewayBuilder::new()
        .store(redis.url(""))
        .config(PATIENT)
        .config(signing(""))
        .start_with(wechat);
    let other = one.sibling();
    let url = "https://example.com/page?a=1&b=2";
    let signed = one
        .call(PAGE, &json!({ "url": format!("{url}#part") }))
        .await
        .json();
    let given = ticket(&other).await;
    let text = given["ticket"].as_str().unwrap();
    let facts = format!(
        "jsapi_ticket={text}&noncestr={}&timestamp={}&url={url}",
        signed["nonceStr"].as_str().unwrap(),
        signed["timestamp"]
    );
    assert_eq!(
        signed["signature"],
        hash::to_hex(&hash::sha1(facts.as_bytes()))
    );
    assert_eq!(signed["appId"], APPID);
    assert!((7000..=7200).contains(&given["expires_in"].as_u64().unwrap()));
    other.assert_logged("a client was given the jsapi ticket of an app");
    let twice = "GET /cgi-bin/ticket/getticket?type=jsapi&type=wx_card";
    let refused = one.raw_api(with_secret(twice, "")).await;
    refused.refuses(400, "request_invalid", twice);

    // As an SDK fetches it, and of the other kind.
    let token = one.sdk_token().await;
    let asked = async |kind: &str| {
        let query = [("access_token", token.as_str()), ("type", kind)];
        http()
            .get(one.api("/cgi-bin/ticket/getticket"))
            .query(&query)
            .await
    };
    let by_sdk = asked("jsapi").await.json();
    assert_eq!(
        (&by_sdk["errcode"], &by_sdk["ticket"]),
        (&json!(0), &given["ticket"])
    );
    assert_ne!(asked("wx_card").await.json()["ticket"], given["ticket"]);
    assert_eq!(asked("other").await.status(), 400);
    assert_eq!(
        calls(&one, "getticket"),
        2,
        "one of each kind, for both gateways"
    );
    let fetched = r#"hufu_app_ticket_fetches_total{app="shop",outcome="ok"}"#;
    assert_eq!(one.counted(fetched).await, 2);

    // At rest it is sealed.
    let keys: Vec<String> = redis.ask(&["KEYS", "hufu:t:*"]).unwrap();
    let is_there = |kind: &str| keys.contains(&format!("hufu:t:{{{APPID}}}:{kind}"));
    assert!(
        is_there("jsapi") && is_there("wx_card") && is_there("access"),
        "{keys:?}"
    );
    for key in keys {
        let value: Vec<u8> = redis.ask(&["GET", &key]).unwrap();
        assert!(!String::from_utf8_lossy(&value).contains(text));
    }
}

#[tokio::test]
async fn a_ticket_needs_a_good_token_and_one_fetch_each() {
    let gateway = gateway(&signing(""));
    let refused = json!({ "errcode": 40001, "errmsg": "invalid credential" });
    gateway
        .fault(json!({ "api": "getticket", "times": 100, "body": refused }))
        .await;
    for _ in 0..3 {
        let answer = gateway
            .call(PAGE, &json!({ "url": "https://example.com/" }))
            .await;
        assert_eq!(
            (answer.status(), answer.code()),
            (503, Some("platform_unavailable"))
        );
    }
    assert!(calls(&gateway, "getticket") <= 2 && calls(&gateway, "stable_token") == 1);
}

#[tokio::test]
async fn data_is_signed_with_a_users_key_which_stays_inside() {
    let gateway = gateway(&signing("sign = true\n"));
    gateway.token("alice").await;
    let key = gateway.wechat.platform.session_key(APPID, "alice");
    let openid = hufu::sandbox::openid(APPID, "alice");
    let body = json!({ "openid": openid, "data": "{\"foo\":\"bar\"}" });
    let signed = gateway.call(USER, &body).await;
    let expected = hash::hmac_sha256(key.expose().as_bytes(), b"{\"foo\":\"bar\"}");
    assert_eq!(
        signed.json(),
        json!({ "signature": hash::to_hex(&expected) })
    );
    gateway.assert_logged("signed with the session_key of a user");
    gateway.assert_not_logged(&openid);
    gateway.assert_not_logged(key.expose());

    let stranger = json!({ "openid": "oNobody", "data": "x" });
    let refused = gateway.call(USER, &stranger).await;
    assert_eq!(
        (refused.status(), refused.code()),
        (409, Some("session_key_gone"))
    );
    gateway.reload(&signing(""), "applied").await;
    let refused = gateway.call(USER, &body).await;
    assert_eq!(
        (refused.status(), refused.code()),
        (403, Some("api_not_allowed"))
    );
}

#[tokio::test]
async fn the_list_decides_here_too() {
    let closed = gateway(&client("sign = true\n"));
    for path in [PAGE, USER] {
        let refused = closed.call(path, &json!({})).await;
        assert_eq!(
            (refused.status(), refused.code()),
            (403, Some("api_not_allowed"))
        );
    }
    let open = gateway(&signing("sign = true\n"));
    for (request, status, code) in [
        ("GET /hufu/jssdk/sign", 405, "method_not_allowed"),
        ("POST /hufu/ticket/jsapi", 405, "method_not_allowed"),
        ("GET /hufu/ticket/wx_card", 404, "endpoint_not_found"),
        ("GET /HUFU/ticket/jsapi", 404, "endpoint_not_found"),
        ("GET /hufu/ticket/jsapi/", 404, "endpoint_not_found"),
        ("GET /hufu", 404, "endpoint_not_found"),
    ] {
        let answer = open.raw_api(with_secret(request, "")).await;
        answer.refuses(status, code, request);
    }
    for (path, body) in [
        (PAGE, json!({})),
        (PAGE, json!({ "url": "example.com" })),
        (PAGE, json!({ "url": "https://x/", "appid": "wx1" })),
        (USER, json!({ "openid": "x" })),
    ] {
        let answer = open.call(path, &body).await;
        assert_eq!(
            (answer.status(), answer.code()),
            (400, Some("request_invalid")),
            "{body}"
        );
    }
    assert_eq!(calls(&open, "stable_token"), 0);
}
