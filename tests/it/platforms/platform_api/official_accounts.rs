//! An official account that has authorised a third-party platform: nobody logs in there, but backends
//! call the platform for it, and its pages are signed.

use hufu::crypto::hash;
use hufu::sandbox::SandboxSettings;
use serde_json::{Value, json};

use super::authorizers::{AUTHORIZER, COMPONENT, gateway};
use super::{SECRET, calls};
use crate::helpers::{Gateway, HttpAnswer, http};

const ACCOUNT: &str = "wx00000000000000b1";
/// An API that mini programs do not have.
pub(super) const MENU: &str = "/cgi-bin/menu/create";

async fn called(gateway: &Gateway, path: &str, body: &Value) -> HttpAnswer {
    let request = http().post(gateway.api(path)).bearer_auth(SECRET);
    let request = request.header("X-Hufu-App", format!("open/{ACCOUNT}"));
    request.json(body).await
}

async fn ticket(gateway: &Gateway, token: &str, kind: &str) -> String {
    let query = [("access_token", token), ("type", kind)];
    let url = gateway.api("/cgi-bin/ticket/getticket");
    let answer = http().get(url).query(&query).await.json();
    answer["ticket"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn backends_call_for_an_official_account_and_its_pages_are_signed() {
    let gateway = gateway(SandboxSettings::default(), "\"open\"", "").await;
    let platform = &gateway.wechat.platform;
    let authorization = json!({ "component": COMPONENT, "app": ACCOUNT });
    let url = gateway.wechat.server.at("/sandbox/authorize");
    let answer = http().post(url).json(&authorization).await;
    assert_eq!(answer.json()["pushed"]["answer"], "success");

    let menu =
        json!({ "button": [{ "type": "view", "name": "shop", "url": "https://example.com/" }] });
    let by_header = called(&gateway, MENU, &menu).await.json();
    assert_eq!(by_header["errcode"], 0, "{by_header}");
    assert_eq!(by_header["body"], menu.to_string());
    let token = gateway.asked_for_token(ACCOUNT, SECRET).await.json();
    let token = token["access_token"].as_str().unwrap();
    let request = http().post(gateway.api(MENU));
    let by_sdk = request.query(&[("access_token", token)]).json(&menu).await;
    assert_eq!(by_sdk.json()["errcode"], 0, "{}", by_sdk.text());

    let page = "https://example.com/page?a=1";
    let signed = called(&gateway, "/hufu/jssdk/sign", &json!({ "url": page })).await;
    let signed = signed.json();
    let jsapi = ticket(&gateway, token, "jsapi").await;
    let nonce = signed["nonceStr"].as_str().unwrap();
    let time = &signed["timestamp"];
    let facts = format!("jsapi_ticket={jsapi}&noncestr={nonce}&timestamp={time}&url={page}");
    assert_eq!(signed["appId"], ACCOUNT);
    assert_eq!(
        signed["signature"],
        hash::to_hex(&hash::sha1(facts.as_bytes()))
    );
    let card = ticket(&gateway, token, "wx_card").await;
    // The platform gives a ticket to the app whose token it gets.
    for (kind, ticket) in [("jsapi", &jsapi), ("wx_card", &card)] {
        assert!(platform.knows_ticket(ACCOUNT, kind, ticket), "{kind}");
        assert!(!platform.knows_ticket(AUTHORIZER, kind, ticket), "{kind}");
    }
    assert_eq!(calls(&gateway, "getticket"), 2, "one of each kind");
    assert_eq!(calls(&gateway, "component/jscode2session"), 0);
}
