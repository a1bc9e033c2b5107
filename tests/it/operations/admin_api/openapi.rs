//! The OpenAPI file against what it describes.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{TOKEN, admin, ask, ask_with, gateway, openid, text};
use crate::helpers::{Gateway, RedisServer, until};

// ---- the OpenAPI file

pub(super) fn openapi() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi-admin.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

pub(super) fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(reference) => document
            .pointer(reference.strip_prefix('#').unwrap())
            .unwrap_or_else(|| panic!("{reference} leads nowhere")),
        None => value,
    }
}

/// Whether a value is what a schema says: as much of JSON Schema as the file uses.
pub(super) fn assert_fits(document: &Value, schema: &Value, value: &Value) {
    let schema = resolved(document, schema);
    let kinds: Vec<&str> = schema["type"].as_array().map_or_else(
        || vec![schema["type"].as_str().unwrap()],
        |all| all.iter().map(|k| k.as_str().unwrap()).collect(),
    );
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(items) => {
            items
                .iter()
                .for_each(|item| assert_fits(document, &schema["items"], item));
            "array"
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                let described = schema["properties"].get(name);
                let others = schema["additionalProperties"].is_object();
                let of_others = others.then_some(&schema["additionalProperties"]);
                assert_fits(
                    document,
                    described
                        .or(of_others)
                        .unwrap_or_else(|| panic!("{name} is not described")),
                    field,
                );
            }
            let required = schema["required"].as_array().unwrap();
            assert!(
                required
                    .iter()
                    .all(|name| fields.contains_key(name.as_str().unwrap())),
                "{value} lacks something of {required:?}"
            );
            "object"
        }
    };
    assert!(kinds.contains(&kind), "{value} is none of {kinds:?}");
}

/// Method and whole path.
fn operations() -> impl Iterator<Item = (&'static str, String)> {
    hufu::admin::OPERATIONS.iter().map(|row| {
        let method = row.methods.split(',').next().unwrap();
        (method, format!("{}/{}", hufu::admin::API_PREFIX, row.path))
    })
}

#[test]
fn the_openapi_file_has_the_operations_of_the_code_and_no_other() {
    let document = openapi();
    let mut described = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        described.extend(
            methods
                .as_object()
                .unwrap()
                .keys()
                .map(|method| (method.to_uppercase(), path.clone())),
        );
    }
    let code: BTreeSet<_> = operations()
        .map(|(method, path)| (method.to_owned(), path))
        .collect();
    assert_eq!(described, code);
    let page =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/admin-api.md")).unwrap();
    for (method, path) in operations() {
        assert!(
            page.contains(&format!("`{method} {path}")),
            "docs/admin-api.md lacks {method} {path}"
        );
    }
}

/// Asks every operation in every way that its description has, and holds each answer against it.
#[tokio::test]
async fn the_openapi_file_describes_what_the_api_answers() {
    let document = openapi();
    let mut redis = RedisServer::start(&[]);
    let (on, off) = (gateway(&redis.url(""), ""), Gateway::start(""));
    let mut seen = BTreeSet::new();
    let mut hold = |method: &str, template: &str, status: u16, body: &Value| {
        let operation = &document["paths"][template][method.to_lowercase()];
        let response = operation["responses"]
            .get(status.to_string())
            .unwrap_or_else(|| panic!("{method} {template}: {status} is not described"));
        let content = resolved(&document, response)["content"].as_object();
        match content.and_then(|content| content.values().next()) {
            Some(content) => assert_fits(&document, &content["schema"], body),
            None => assert!(body.is_null(), "{method} {template} {status}: {body}"),
        }
        if let Some(code) = body["code"].as_str() {
            let described = resolved(&document, response)["description"]
                .as_str()
                .unwrap();
            assert!(
                described.contains(&format!("`{code}`")),
                "{method} {template} {status}: {code} is not described"
            );
        }
        seen.insert((
            method.to_lowercase(),
            template.to_owned(),
            status.to_string(),
        ));
    };
    let user = format!("?app=shop&user={}", openid("alice"));
    // Who is blocked here is not who logs in.
    let other = format!("?app=shop&user={}", openid("bob"));
    // Those of authorizers need a ticket: `authorizers` asks them.
    let operations = || operations().filter(|(_, path)| !path.contains("/authorizers"));
    for (method, template) in operations() {
        let login = gateway_login(&on).await;
        let path = template
            .strip_prefix("/admin/api")
            .unwrap()
            .replace("{session_id}", text(&login, "session_id"))
            .replace("{app}", "shop");
        let named = template.contains('{');
        let good = match named {
            true => path.clone(),
            false if path.starts_with("/users") => format!("{path}{other}"),
            false => format!("{path}{user}"),
        };
        let bad = if named {
            path.replace(text(&login, "session_id"), "nobody")
                .replace("shop", "nobody")
        } else {
            format!("{path}?app=nope&user=x")
        };
        for (gateway, path, token) in [
            (&on, &good, Some(TOKEN)),
            (&on, &bad, Some(TOKEN)),
            (&on, &good, None),
            (&off, &good, Some(TOKEN)),
        ] {
            let (status, body) =
                ask_with(gateway, method, path, token, body_of(method).as_ref()).await;
            hold(method, &template, status, &body);
        }
    }
    // Bodies that are none, and a session that cannot be read.
    for (method, path) in [("PATCH", "/users/claims"), ("PUT", "/users/block")] {
        let template = format!("/admin/api{path}");
        let (status, body) = admin(&on, method, &format!("{path}{other}")).await;
        assert_eq!(status, 415);
        hold(method, &template, status, &body);
        let long = json!({ "a": "x".repeat(20_000) });
        let path = format!("{path}{other}");
        let (status, body) = ask_with(&on, method, &path, Some(TOKEN), Some(&long)).await;
        assert_eq!(status, 413);
        hold(method, &template, status, &body);
    }
    let id = text(&gateway_login(&on).await, "session_id").to_owned();
    let record = format!("hufu:s:{{{}}}:{}", &id[..3], &id[3..]);
    redis
        .ask::<()>(&["SET", &record, "damaged", "KEEPTTL"])
        .unwrap();
    let path = format!("/users/claims{user}");
    let patch = body_of("PATCH");
    let (status, body) = ask_with(&on, "PATCH", &path, Some(TOKEN), patch.as_ref()).await;
    assert_eq!(status, 500);
    assert!(text(&body, "detail").contains(&id), "{body}");
    hold("PATCH", "/admin/api/users/claims", status, &body);
    // What is kept of a user cannot be read either.
    let path = format!("/users/claims{other}");
    let (status, body) = ask_with(&on, "PATCH", &path, Some(TOKEN), patch.as_ref()).await;
    assert_eq!(status, 200, "{body}");
    for state in redis.ask::<Vec<String>>(&["KEYS", "hufu:a:*"]).unwrap() {
        redis
            .ask::<()>(&["SET", &state, "damaged", "KEEPTTL"])
            .unwrap();
    }
    let (status, body) = admin(&on, "GET", &format!("/users{other}")).await;
    assert_eq!(status, 500, "{body}");
    hold("GET", "/admin/api/users", status, &body);
    redis.kill();
    for (method, template) in operations() {
        let path = template
            .strip_prefix("/admin/api")
            .unwrap()
            .replace("{session_id}", &"A".repeat(25))
            .replace("{app}", "shop");
        let path = format!("{path}{}", if template.contains('{') { "" } else { &user });
        let (status, body) =
            ask_with(&on, method, &path, Some(TOKEN), body_of(method).as_ref()).await;
        hold(method, &template, status, &body);
    }
    let template = "/admin/api/apps/{app}/access-token";
    for (errcode, expected) in [(-1, 503), (40164, 500)] {
        let fresh = gateway("memory:", "");
        fresh
            .fault(json!({ "api": "stable_token", "times": 9, "body": { "errcode": errcode } }))
            .await;
        let (status, body) = admin(&fresh, "GET", "/apps/shop/access-token").await;
        assert_eq!(status, expected);
        hold("GET", template, status, &body);
    }
    for (method, template) in operations() {
        let path = template.strip_prefix("/admin/api").unwrap();
        // A wait may be over before the next wrong token comes.
        let (status, body) = until("the address to have to wait", async || {
            let answer = ask(&on, method, path, Some("wrong")).await;
            (answer.0 == 429).then_some(answer)
        })
        .await;
        hold(method, &template, status, &body);
    }
    let mut described = BTreeSet::new();
    let paths = document["paths"].as_object().unwrap();
    for (path, methods) in paths
        .iter()
        .filter(|(path, _)| !path.contains("/authorizers"))
    {
        for (method, operation) in methods.as_object().unwrap() {
            described.extend(
                operation["responses"]
                    .as_object()
                    .unwrap()
                    .keys()
                    .map(|status| (method.clone(), path.clone(), status.clone())),
            );
        }
    }
    assert_eq!(seen, described, "every answer that is described was seen");
}

/// What the operations of this method take.
fn body_of(method: &str) -> Option<Value> {
    match method {
        "PATCH" => Some(json!({"role": ["staff"], "vip": true, "level": null})),
        "PUT" => Some(json!({"reason": "fraud"})),
        _ => None,
    }
}

async fn gateway_login(gateway: &Gateway) -> Value {
    gateway.login("alice").await
}
