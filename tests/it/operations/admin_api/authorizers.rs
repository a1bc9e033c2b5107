//! The operations on authorizers against the OpenAPI file: they need a platform that pushes tickets.

use std::collections::BTreeSet;
use std::sync::Arc;

use hufu::sandbox::SandboxSettings;
use serde_json::{Value, json};

use super::TOKEN;
use super::openapi::{assert_fits, openapi, resolved};
use crate::helpers::{APPID, Gateway, GatewayBuilder, RedisServer, http, live_sandbox, until};
use crate::platforms::push::AES_KEY;

const COMPONENT: &str = "wxc0123456789abcde";
const LIST: &str = "/admin/api/apps/{app}/authorizers";

/// Method, path, status.
type Answers = BTreeSet<(String, String, String)>;

/// Holds each answer against its description.
struct Description {
    document: Value,
    seen: Answers,
}

impl Description {
    /// An operation on authorizers: of this app, and of this authorizer where the path names one.
    async fn ask(
        &mut self,
        gateway: &Gateway,
        (method, template): (&str, &str),
        (app, authorizer): (&str, &str),
        token: Option<&str>,
        body: Option<&Value>,
    ) -> (u16, Value) {
        let path = template.replace("{app}", app);
        let path = path.replace("{authorizer}", authorizer);
        let mut request = http().request(&method.to_uppercase(), gateway.admin_at(&path));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = match body {
            Some(body) => request.json(body).await,
            None => request.await,
        };
        let body = serde_json::from_slice(answer.bytes()).unwrap_or_default();
        self.hold(method, template, answer.status(), &body);
        (answer.status(), body)
    }

    fn hold(&mut self, method: &str, template: &str, status: u16, body: &Value) {
        let operation = &self.document["paths"][template][method];
        let response = operation["responses"].get(status.to_string());
        let response = response.unwrap_or_else(|| panic!("{method} {template}: {status}: {body}"));
        let response = resolved(&self.document, response);
        match response["content"]
            .as_object()
            .and_then(|all| all.values().next())
        {
            Some(content) => assert_fits(&self.document, &content["schema"], body),
            None => assert!(body.is_null(), "{method} {template} {status}: {body}"),
        }
        if let Some(code) = body["code"].as_str() {
            let described = response["description"].as_str().unwrap();
            let is_there = described.contains(&format!("`{code}`"));
            assert!(
                is_there,
                "{method} {template} {status}: {code} is not described"
            );
        }
        let answer = (method.to_owned(), template.to_owned(), status.to_string());
        self.seen.insert(answer);
    }

    fn described(&self) -> Answers {
        let paths = self.document["paths"].as_object().unwrap();
        let mut described = Answers::new();
        for (path, methods) in paths.iter().filter(|(path, _)| path.starts_with(LIST)) {
            for (method, operation) in methods.as_object().unwrap() {
                let statuses = operation["responses"].as_object().unwrap().keys();
                described
                    .extend(statuses.map(|status| (method.clone(), path.clone(), status.clone())));
            }
        }
        described
    }
}

/// A gateway that acts for others, with a ticket.
async fn component(redis: &RedisServer) -> Gateway {
    let wechat = Arc::new(live_sandbox(SandboxSettings::default()));
    let url = &wechat.server.url;
    let push = format!("{{ token = \"t0ken\", aes_key = \"{AES_KEY}\" }}");
    let config = format!(
        "admin.token = \"{TOKEN}\"\napps.open = {{ provider = \"wechat-component\", appid = \"{COMPONENT}\", secret = \"any\", base_url = \"{url}\", push = {push} }}\n"
    );
    let gateway = GatewayBuilder::new()
        .store(redis.url(""))
        .config(config)
        .start_with(wechat);
    let at = gateway.at("/auth/push/open");
    let console = json!({ "app": COMPONENT, "url": at, "token": "t0ken", "aes_key": AES_KEY });
    for (path, body) in [
        ("push-settings", console),
        ("ticket", json!({ "app": COMPONENT })),
    ] {
        let url = gateway.wechat.server.at(&format!("/sandbox/{path}"));
        assert_eq!(http().post(url).json(&body).await.status(), 200);
    }
    gateway
}

#[tokio::test]
async fn the_openapi_file_describes_the_operations_on_authorizers() {
    let mut redis = RedisServer::start(&[]);
    let on = component(&redis).await;
    let off = Gateway::start("");
    let document = openapi();
    let mut described = Description {
        document,
        seen: Answers::new(),
    };
    let one = format!("{LIST}/{{authorizer}}");
    let token = format!("{one}/access-token");
    let put = ("put", &*one);
    let all = [("get", LIST), put, ("delete", &*one), ("get", &*token)];
    let imported = json!({ "refresh_token": "refreshtoken@@@x" });
    let nothing = json!({});

    // Nobody has authorised it; then somebody has.
    for (operation, status) in [(put, 403), (all[3], 403)] {
        let body = (operation == put).then_some(&nothing);
        let found = described
            .ask(&on, operation, ("open", APPID), Some(TOKEN), body)
            .await;
        assert_eq!(found.0, status, "{operation:?}: {}", found.1);
    }
    on.wechat.platform.authorize(COMPONENT, APPID);
    for (body, status) in [
        (&nothing, 204),
        (&imported, 204),
        (&json!({ "refresh_token": "a b" }), 400),
        (&json!({ "refresh_token": 1 }), 400),
        (&json!({ "other": 1 }), 400),
    ] {
        let found = described
            .ask(&on, put, ("open", APPID), Some(TOKEN), Some(body))
            .await;
        assert_eq!(found.0, status, "{body}: {}", found.1);
    }
    let found = described
        .ask(&on, put, ("open", APPID), Some(TOKEN), None)
        .await;
    assert_eq!(found.0, 415, "{}", found.1);
    for operation in all {
        let body = (operation == put).then_some(&nothing);
        for app in ["shop", "nobody"] {
            let found = described
                .ask(&on, operation, (app, APPID), Some(TOKEN), body)
                .await;
            assert_eq!(found.0, 400, "{operation:?}: {}", found.1);
        }
        if operation.1 != LIST {
            let odd = described
                .ask(&on, operation, ("open", "wx%2F1"), Some(TOKEN), body)
                .await;
            assert_eq!(odd.0, 400, "{operation:?}: {}", odd.1);
        }
        for (gateway, given, status) in [(&on, None, 401), (&off, Some(TOKEN), 403)] {
            let found = described
                .ask(gateway, operation, ("open", APPID), given, body)
                .await;
            assert_eq!(found.0, status, "{operation:?}: {}", found.1);
        }
    }
    let refused = json!({ "errcode": 61004, "errmsg": "access clientip is not registered" });
    for (api, operation) in [
        ("api_get_authorizer_info", put),
        ("api_authorizer_token", all[3]),
    ] {
        on.fault(json!({ "api": api, "times": 1, "body": refused }))
            .await;
        let fresh = on.sibling();
        let body = (operation == put).then_some(&nothing);
        let found = described
            .ask(&fresh, operation, ("open", APPID), Some(TOKEN), body)
            .await;
        assert_eq!(found.0, 500, "{operation:?}: {}", found.1);
    }
    for (operation, status) in [(all[3], 200), (all[0], 200), (all[2], 204)] {
        let other = on.sibling();
        let found = described
            .ask(&other, operation, ("open", APPID), Some(TOKEN), None)
            .await;
        assert_eq!(found.0, status, "{operation:?}: {}", found.1);
    }
    redis.kill();
    for operation in all {
        let body = (operation == put).then_some(&imported);
        let found = described
            .ask(&on, operation, ("open", APPID), Some(TOKEN), body)
            .await;
        assert_eq!(found.0, 503, "{operation:?}: {}", found.1);
    }
    for operation in all {
        let body = (operation == put).then_some(&nothing);
        // A wait may be over before the next wrong token comes.
        until("the address to have to wait", async || {
            let found = described.ask(&on, operation, ("open", APPID), Some("wrong"), body);
            found.await.0 == 429
        })
        .await;
    }
    assert_eq!(
        described.seen,
        described.described(),
        "every answer that is described was seen"
    );
}
