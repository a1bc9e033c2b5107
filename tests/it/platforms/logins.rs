//! A login with each platform, through the gateway to a backend; and what clients and operators see
//! of each error.

use hufu::provider::registry::{platform, platforms};
use hufu::sandbox::SandboxSettings;
use hufu::session::ProviderKind;
use serde_json::{Value, json};

use crate::helpers::{Gateway, Sandbox, echo_upstream, http, sandbox};
use crate::operations::doctor::doctor;

/// An app of this platform beside the usual one.
fn app(kind: ProviderKind, base_url: &str) -> String {
    let appid = platform(kind).appid_example;
    format!(
        "[apps.other]\nprovider = \"{kind}\"\nappid = \"{appid}\"\nsecret = \"s\"\nbase_url = \"{base_url}\"\n"
    )
}

async fn answer_with(sandbox: &Sandbox, kind: ProviderKind, body: Value) {
    let api = hufu::sandbox::endpoints()
        .find(|endpoint| endpoint.path == platform(kind).login.path)
        .and_then(|endpoint| endpoint.api);
    let order = json!({ "api": api, "times": 1, "body": body });
    let ordered = http()
        .post(sandbox.server.at("/sandbox/faults"))
        .json(&order)
        .await;
    assert_eq!(ordered.status(), 204);
}

#[tokio::test]
async fn a_user_of_each_platform_reaches_the_backend_by_name() {
    // Where an app acts for those of others, a ticket comes first: component.rs.
    for platform in platforms().filter(|platform| platform.component.is_none()) {
        let (kind, appid) = (platform.kind, platform.appid_example);
        let (sandbox, upstream) = (sandbox(SandboxSettings::default()), echo_upstream());
        let routes = upstream.route("/api", "required");
        let gateway = Gateway::start(&format!("{}{routes}", app(kind, &sandbox.server.url)));
        let code = sandbox.platform.login_code(appid, "alice");
        let body = json!({ "app": "other", "code": code });
        let login: Value = gateway.login_with(body.clone()).await.json();
        let token = login["token"].as_str().unwrap_or_else(|| panic!("{login}"));
        // The same code again: the same token, without another call.
        let again: Value = gateway.login_with(body).await.json();
        assert_eq!(again["token"], token);
        let seen: Value = gateway.get("/api/x").bearer_auth(token).await.json();
        let headers: Vec<(String, String)> =
            serde_json::from_value(seen["headers"].clone()).unwrap();
        let openid = hufu::sandbox::openid(appid, "alice");
        for (name, value) in [
            ("x-wx-openid", openid.as_str()),
            ("x-wx-appid", appid),
            ("x-wx-unionid", &hufu::sandbox::unionid("alice").unwrap()),
            ("x-hufu-app", "other"),
            ("x-hufu-provider", kind.as_str()),
            ("x-hufu-subject", &openid),
        ] {
            let expected = (name.to_owned(), value.to_owned());
            assert!(headers.contains(&expected), "{expected:?} in {headers:?}");
        }
        assert!(!login.to_string().contains(&openid));
    }
}

#[tokio::test]
async fn douyins_errors_say_whose_fault_it_is() {
    let sandbox = sandbox(SandboxSettings::default());
    let gateway = Gateway::start(&app(ProviderKind::Douyin, &sandbox.server.url));
    for (n, (err_no, status, code, platform_code)) in [
        (40018, 400, "code_invalid", json!(40018)),
        (40014, 502, "platform_error", Value::Null),
        (40019, 502, "platform_error", Value::Null),
        (12345, 502, "platform_error", Value::Null),
        (40015, 500, "misconfigured", Value::Null),
        (40017, 500, "misconfigured", Value::Null),
    ]
    .into_iter()
    .enumerate()
    {
        let body = json!({ "err_no": err_no, "err_tips": "no", "data": {} });
        answer_with(&sandbox, ProviderKind::Douyin, body).await;
        let code_of_client = format!("code-{n}");
        let answer = gateway
            .login_with(json!({ "app": "other", "code": code_of_client }))
            .await;
        assert_eq!(answer.status(), status, "{err_no}");
        let problem: Value = answer.json();
        assert_eq!(
            (&problem["code"], &problem["platform_code"]),
            (&json!(code), &platform_code),
            "{problem}"
        );
    }
    let part = gateway.part("platforms").await;
    let reason = part["reason"].as_str().unwrap_or_default();
    assert!(
        reason.starts_with("apps.other: Douyin refuses the secret") && reason.contains("40017"),
        "{part}"
    );
}

#[test]
fn doctor_says_no_more_than_a_platform_shows() {
    let other = sandbox(SandboxSettings::default());
    let config = app(ProviderKind::Douyin, &other.server.url);
    let said = doctor("memory:", &config);
    said.has(
        "ok",
        "secret",
        &["says nothing against the secret of tt0123456789abcdef"],
    );
    said.has("ok", "secret", &["takes the secret of wx0123456789abcdef"]);
}
