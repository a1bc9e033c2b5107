//! docs/sandbox.md against the routes.

use hufu::crypto::hash;
use hufu::sandbox::SandboxSettings;
use serde_json::{Value, json};

use super::APP;
use crate::helpers::{Gateway, Sandbox, Upstream, http, sandbox};
use crate::platforms::push::{SEALED, TOKEN, pushed_to};

/// The third-party platform of the examples.
const COMPONENT: &str = "wxc0123456789abcde";

#[tokio::test]
async fn unknown_paths_list_the_known_ones() {
    let sandbox = sandbox(SandboxSettings::default());
    let response = http().get(sandbox.server.at("/sns/jscode2sesion")).await;
    assert_eq!(response.status(), 404);
    let told: Value = response.json();
    assert_eq!(
        told["endpoints"].as_array().unwrap().len(),
        hufu::sandbox::endpoints().count()
    );
}

#[tokio::test]
async fn wrong_methods_are_told() {
    let sandbox = sandbox(SandboxSettings::default());
    let wrong = http().get(sandbox.server.at("/sandbox/code")).await;
    assert_eq!((wrong.status(), wrong.header("allow")), (405, "POST"));
}

/// The page's headings and the routes are one list, and each example does what the page says.
#[tokio::test]
async fn the_document_and_the_routes_agree() {
    let doc =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/sandbox.md")).unwrap();
    let sections: Vec<(&str, &str)> = doc
        .split("\n### `")
        .skip(1)
        .map(|section| section.split_once('`').unwrap())
        .collect();
    let headings: Vec<&str> = sections.iter().map(|(heading, _)| *heading).collect();
    let routes: Vec<String> = hufu::sandbox::endpoints()
        .map(|endpoint| format!("{} {}", endpoint.method, endpoint.path))
        .collect();
    assert_eq!(headings, routes);
    let sandbox = sandbox(SandboxSettings::default());
    let backend = Upstream::named("ok");
    let push = pushed_to(&backend.url, SEALED).replace(TOKEN, "t0ken");
    let gateway = Gateway::start(&push);
    for (heading, section) in sections {
        let (method, path) = heading.split_once(' ').unwrap();
        let (url, body) = example(section, &variables(&sandbox, section).await);
        let body = body.replace("http://127.0.0.1:8080", &gateway.at(""));
        assert!(url.starts_with(&sandbox.server.at(path)), "{url}");
        let response = http().request(method, url).body(body).await;
        let (status, answer) = (response.status(), response.text());
        match section.split_once("```json\n") {
            Some((_, shown)) => assert_eq!(
                keys(&answer),
                keys(shown.lines().next().unwrap()),
                "{heading}: {answer}"
            ),
            None => assert_eq!(status, 204, "{heading}"),
        }
    }
}

/// What the examples call `$NAME`.
async fn variables(sandbox: &Sandbox, section: &str) -> [(&'static str, String); 12] {
    let key = sandbox.platform.session_key(APP, "alice");
    let authorization = sandbox.platform.authorize(COMPONENT, APP);
    let ticket = sandbox.platform.ticket(COMPONENT);
    let component = json!({ "component_appid": COMPONENT, "component_appsecret": "s", "component_verify_ticket": ticket });
    let granted = post(sandbox, "api_component_token", component).await;
    let component_token = granted["component_access_token"].as_str().unwrap();
    let asked = json!({ "component_appid": COMPONENT, "authorizer_appid": APP });
    let path = format!("api_get_authorizer_info?component_access_token={component_token}");
    let info = &post(sandbox, &path, asked).await["authorization_info"];
    let refresh = info["authorizer_refresh_token"].as_str().unwrap();
    // One of the examples lets no address fetch any.
    let token = if section.contains("$TOKEN") {
        sandbox.access_token().await
    } else {
        String::new()
    };
    [
        (
            "$AUTHORIZERS_CODE",
            sandbox.platform.login_code(APP, "alice"),
        ),
        ("$AUTHORIZATION_CODE", authorization),
        ("$COMPONENT_TOKEN", component_token.to_owned()),
        ("$REFRESH_TOKEN", refresh.to_owned()),
        ("$TICKET", ticket),
        ("$BASE", sandbox.server.url.clone()),
        ("$CODE", sandbox.platform.login_code(APP, "alice")),
        (
            "$TT_CODE",
            sandbox.platform.login_code("tt0123456789abcdef", "alice"),
        ),
        ("$PHONE_CODE", sandbox.platform.phone_code(APP, "alice")),
        ("$OPENID", hufu::sandbox::openid(APP, "alice")),
        ("$TOKEN", token),
        (
            "$SIGNATURE",
            hash::to_hex(&hash::hmac_sha256(key.expose().as_bytes(), b"")),
        ),
    ]
}

async fn post(sandbox: &Sandbox, api: &str, body: Value) -> Value {
    let url = sandbox.server.at(&format!("/cgi-bin/component/{api}"));
    http().post(url).json(&body).await.json()
}

/// URL and body of `curl "URL"` or `curl "URL" -d 'BODY'`, as a shell would read it.
fn example(section: &str, variables: &[(&str, String)]) -> (String, String) {
    let line = section
        .split_once("```sh\ncurl \"")
        .expect("each endpoint has an example")
        .1
        .lines()
        .next()
        .unwrap();
    let line = variables
        .iter()
        .fold(line.to_owned(), |line, (name, value)| {
            line.replace(name, value)
        });
    let (url, rest) = line.split_once('"').unwrap();
    let body = rest.strip_prefix(" -d ").unwrap_or("''");
    let body = if body.starts_with('"') {
        body.replace("\\\"", "\"")
    } else {
        body.to_owned()
    };
    (url.to_owned(), body[1..body.len() - 1].to_owned())
}

fn keys(json: &str) -> Vec<String> {
    let mut keys: Vec<String> = serde_json::from_str::<serde_json::Map<String, Value>>(json)
        .unwrap()
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    keys.sort();
    keys
}
