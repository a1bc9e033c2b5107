//! The admin API and `hufu sessions`, with the real binary and both stores; and the OpenAPI file
//! against what it describes.

use std::collections::BTreeSet;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::helpers::gateway::{APPID, Gateway, Setup};
use crate::helpers::redis_server::RedisServer;
use crate::helpers::servers::http;
use crate::helpers::wire;

const TOKEN: &str = "an-admin-token-that-nobody-may-see";

fn gateway(store: &str, config: &str) -> Gateway {
    Gateway::with(&Setup {
        store: store.to_owned(),
        config: format!("admin.token = \"{TOKEN}\"\n{config}"),
    })
}

fn gateways() -> Vec<(Gateway, Option<RedisServer>)> {
    let redis = RedisServer::start(&[]);
    vec![
        (gateway("memory:", ""), None),
        (gateway(&redis.url(""), ""), Some(redis)),
    ]
}

async fn ask(gateway: &Gateway, method: &str, path: &str, token: Option<&str>) -> (u16, Value) {
    let request = http().request(
        method.parse().unwrap(),
        gateway.admin_at(&format!("/admin/api{path}")),
    );
    let answer = token
        .into_iter()
        .fold(request, |request, token| request.bearer_auth(token))
        .send()
        .await
        .unwrap();
    let status = answer.status().as_u16();
    assert!(answer.headers().contains_key("x-request-id"));
    assert!(status == 204 || answer.headers()["cache-control"] == "no-store");
    let text = answer.text().await.unwrap();
    (
        status,
        if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text).unwrap()
        },
    )
}

#[tokio::test]
async fn errors_of_the_listener_are_problem_documents_inside_the_api_and_outside() {
    let gateway = gateway("memory:", "");
    let bearer = format!("Authorization: Bearer {TOKEN}\r\n");
    for (method, target, status, code) in [
        ("GET", "/", 404, "endpoint_not_found"),
        ("GET", "/nothing", 404, "endpoint_not_found"),
        ("GET", "/healthz/", 404, "endpoint_not_found"),
        ("GET", "//healthz", 404, "endpoint_not_found"),
        ("POST", "/admin", 404, "endpoint_not_found"),
        ("POST", "/healthz", 405, "method_not_allowed"),
        ("DELETE", "/readyz", 405, "method_not_allowed"),
        ("PUT", "/metrics", 405, "method_not_allowed"),
        ("BREW", "/startupz", 405, "method_not_allowed"),
        ("GET", "/readyz?strict=1&strict=1", 400, "request_invalid"),
        ("GET", "/admin/api/nothing", 404, "endpoint_not_found"),
        (
            "GET",
            "/admin/api/sessions?user=a&user=b",
            400,
            "request_invalid",
        ),
        (
            "GET",
            "/admin/api/sessions?nobody=a",
            400,
            "request_invalid",
        ),
        ("GET", "/admin/api/sessions/%ff", 404, "session_not_found"),
        ("PUT", "/admin/api/sessions", 405, "method_not_allowed"),
        ("GET", "/x#y", 400, "path_invalid"),
    ] {
        let request =
            format!("{method} {target} HTTP/1.1\r\nHost: x\r\n{bearer}Connection: close\r\n\r\n");
        let answer = wire::send(gateway.admin, request.as_bytes()).await;
        assert_eq!(
            (answer.status, answer.code()),
            (status, Some(code)),
            "{method} {target}: {}",
            answer.text
        );
        assert_eq!(
            (
                answer.header("content-type"),
                answer.header("cache-control")
            ),
            (Some("application/problem+json"), Some("no-store"))
        );
        assert_eq!(
            answer.header("allow").is_some(),
            status == 405,
            "{}",
            answer.text
        );
        let body: Value = serde_json::from_str(answer.body())
            .unwrap_or_else(|_| panic!("{method} {target}: {}", answer.text));
        assert_eq!(
            (body["code"].as_str(), body["request_id"].as_str()),
            (Some(code), answer.header("x-request-id")),
            "{method} {target}"
        );
    }
}

async fn admin(gateway: &Gateway, method: &str, path: &str) -> (u16, Value) {
    ask(gateway, method, path, Some(TOKEN)).await
}

fn openid(user: &str) -> String {
    hufu::sandbox::openid(APPID, user)
}

fn text<'a>(body: &'a Value, key: &str) -> &'a str {
    body[key]
        .as_str()
        .unwrap_or_else(|| panic!("{key}: {body}"))
}

async fn alive(gateway: &Gateway, login: &Value) -> bool {
    http()
        .get(gateway.at("/auth/session"))
        .bearer_auth(text(login, "token"))
        .send()
        .await
        .unwrap()
        .status()
        == 200
}

#[tokio::test]
async fn operators_see_a_users_sessions_and_end_them() {
    for (gateway, _redis) in gateways() {
        let (first, second, stranger) = (
            gateway.login("alice").await,
            gateway.login("alice").await,
            gateway.login("bob").await,
        );
        let alice = format!("/sessions?app=shop&user={}", openid("alice"));
        let (status, body) = admin(&gateway, "GET", &alice).await;
        let ids: BTreeSet<_> = body["sessions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|session| text(session, "session_id"))
            .collect();
        assert_eq!(
            (status, ids),
            (
                200,
                BTreeSet::from([text(&first, "session_id"), text(&second, "session_id")])
            )
        );
        assert_eq!(
            admin(
                &gateway,
                "GET",
                &format!("/sessions?user={}", openid("nobody"))
            )
            .await,
            (200, json!({ "sessions": [] }))
        );

        let one = format!("/sessions/{}", text(&first, "session_id"));
        let (status, shown) = admin(&gateway, "GET", &one).await;
        assert_eq!(
            (status, text(&shown, "user"), text(&shown, "app")),
            (200, &*openid("alice"), "shop")
        );
        assert!(
            body["sessions"]
                .as_array()
                .unwrap()
                .iter()
                .any(|session| session["session_id"] == shown["session_id"])
        );
        assert_eq!(admin(&gateway, "DELETE", &one).await, (204, Value::Null));
        assert!(!alive(&gateway, &first).await && alive(&gateway, &second).await);
        for method in ["GET", "DELETE"] {
            let (status, body) = admin(&gateway, method, &one).await;
            assert_eq!((status, text(&body, "code")), (404, "session_not_found"));
        }
        let count = format!("/sessions/count?user={}", openid("alice"));
        assert_eq!(
            admin(&gateway, "GET", &count).await,
            (200, json!({ "at_least": 1, "at_most": 1, "exact": true }))
        );
        let (_, total) = admin(&gateway, "GET", "/sessions/count").await;
        assert!(
            total["at_least"].as_u64().unwrap() >= 2
                && total["at_most"].as_u64() >= total["at_least"].as_u64(),
            "{total}"
        );

        assert_eq!(
            admin(&gateway, "DELETE", &alice).await,
            (200, json!({ "revoked": 1 }))
        );
        assert!(!alive(&gateway, &second).await && alive(&gateway, &stranger).await);
        assert_eq!(
            admin(&gateway, "DELETE", &alice).await,
            (200, json!({ "revoked": 0 }))
        );

        let line = gateway.access_line("the line of a revocation", |line| {
            line["method"] == "DELETE" && line["status"] == 204
        });
        assert_eq!(
            (&line["route"], &line["session"]),
            (&json!("admin/sessions/{session_id}"), &first["session_id"])
        );
        gateway.access_line("the line of all", |line| {
            line["route"] == "admin/sessions" && line["method"] == "DELETE"
        });
        assert!(
            gateway.stderr().contains("an operator ended a session")
                && gateway
                    .stderr()
                    .contains("an operator ended all sessions of a user")
        );
        assert!(
            !gateway.stdout().contains(&openid("alice"))
                && !gateway.stderr().contains(&openid("alice")),
            "no openid in any line"
        );
    }
}

#[tokio::test]
async fn a_name_of_before_a_rotation_still_finds_and_ends_the_session() {
    for (gateway, _redis) in gateways() {
        let login = gateway.login("alice").await;
        let rotated: Value = http()
            .post(gateway.at("/auth/rotate"))
            .bearer_auth(text(&login, "token"))
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        let before = format!("/sessions/{}", text(&login, "session_id"));
        assert_eq!(
            admin(&gateway, "GET", &before).await.1["session_id"],
            rotated["session_id"]
        );
        assert_eq!(admin(&gateway, "DELETE", &before).await.0, 204);
        assert!(!alive(&gateway, &rotated).await && !alive(&gateway, &login).await);
    }
}

#[tokio::test]
async fn queries_that_name_nobody_are_refused() {
    let second = "[apps.game]\nappid = \"wxfedcba9876543210\"\nsecret = \"other\"\nbase_url = \"http://127.0.0.1:9\"\n";
    let gateway = gateway("memory:", second);
    for method in ["GET", "DELETE"] {
        for (query, code) in [
            ("", "request_invalid"),
            ("?app=shop", "request_invalid"),
            ("?app=shop&user=", "request_invalid"),
            ("?app=shop&user=x&all=1", "request_invalid"),
            ("?app=shop&user=x&user=y", "request_invalid"),
            ("?user=x", "app_required"),
            ("?app=nope&user=x", "app_unknown"),
        ] {
            let (status, body) = admin(&gateway, method, &format!("/sessions{query}")).await;
            assert_eq!(
                (status, text(&body, "code")),
                (400, code),
                "{method} {query}"
            );
        }
    }
    assert_eq!(
        admin(&gateway, "GET", "/sessions/count?app=shop").await.0,
        400
    );
    for (method, path, status, code) in [
        ("GET", "/sessions/x", 404, "session_not_found"),
        ("DELETE", "/sessions/%2e%2e", 404, "session_not_found"),
        ("POST", "/sessions", 405, "method_not_allowed"),
        ("GET", "/nothing", 404, "endpoint_not_found"),
        ("GET", "", 404, "endpoint_not_found"),
    ] {
        let (got, body) = match path {
            // A client would resolve the dots.
            "/sessions/%2e%2e" => {
                let head = format!(
                    "{method} /admin/api{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n\r\n"
                );
                let answer = wire::send(gateway.admin, head.as_bytes()).await;
                (answer.status, serde_json::from_str(answer.body()).unwrap())
            }
            _ => admin(&gateway, method, path).await,
        };
        assert_eq!(
            (got, text(&body, "code")),
            (status, code),
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn without_the_token_nothing_is_said_and_guessing_is_slowed_down() {
    let gateway = gateway("memory:", "");
    for path in ["/sessions", "/sessions/count", "/nothing", ""] {
        for token in [None, Some(""), Some("x")] {
            let (status, body) = ask(&gateway, "GET", path, token).await;
            // The fifth wrong one begins the wait.
            assert!(
                (status, text(&body, "code")) == (401, "admin_token_invalid") || status == 429,
                "{path} {status} {body}"
            );
        }
    }
    let answer = wire::send(
        gateway.admin,
        b"GET /admin/api/sessions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    )
    .await;
    assert!(
        answer.status == 429
            || answer.header("www-authenticate") == Some("Bearer realm=\"hufu admin\""),
        "{}",
        answer.text
    );
    // A forwarded address is not another address.
    let (mut waits, mut statuses) = (Vec::new(), BTreeSet::new());
    for n in 0..20 {
        let request = http()
            .get(gateway.admin_at("/admin/api/sessions/count"))
            .header("x-forwarded-for", format!("192.0.2.{n}"));
        let answer = request
            .bearer_auth(format!("wrong-{n}"))
            .send()
            .await
            .unwrap();
        statuses.insert(answer.status().as_u16());
        waits.extend(
            answer
                .headers()
                .get("retry-after")
                .map(|wait| wait.to_str().unwrap().parse::<u64>().unwrap()),
        );
    }
    assert!(
        statuses.contains(&429)
            && !statuses.contains(&200)
            && waits.iter().all(|wait| (1..=60).contains(wait)),
        "{statuses:?} {waits:?}"
    );
    // The right token has to wait as well, and then it opens, and the address is forgiven.
    crate::helpers::wait::until("the wait to end", async || {
        (admin(&gateway, "GET", "/sessions/count").await.0 == 200).then_some(())
    })
    .await;
    assert_eq!(
        ask(&gateway, "GET", "/sessions/count", Some("wrong"))
            .await
            .0,
        401
    );
    assert_eq!(admin(&gateway, "GET", "/sessions/count").await.0, 200);
    assert!(gateway.stderr().contains("wrong token from 127.0.0.1"));
    let page = http()
        .get(gateway.admin_at("/metrics"))
        .send()
        .await
        .unwrap();
    assert_eq!(page.status(), 200, "health and metrics need no token");
    assert!(
        page.text()
            .await
            .unwrap()
            .contains("hufu_requests_total{route=\"admin/sessions/count\",status=\"401\"}")
    );
}

#[tokio::test]
async fn without_a_token_in_the_configuration_the_api_is_off() {
    let gateway = Gateway::start("");
    for token in [None, Some(""), Some(TOKEN)] {
        let (status, body) = ask(&gateway, "GET", "/sessions/count", token).await;
        assert_eq!((status, text(&body, "code")), (403, "admin_disabled"));
        assert!(text(&body, "detail").contains("admin.token"));
    }
    let public = http()
        .get(gateway.at("/admin/api/sessions/count"))
        .bearer_auth(TOKEN)
        .send()
        .await
        .unwrap();
    assert_eq!(public.status(), 404, "and it is on the admin listener only");
}

// ---- the OpenAPI file

fn openapi() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi-admin.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(reference) => document
            .pointer(reference.strip_prefix('#').unwrap())
            .unwrap_or_else(|| panic!("{reference} leads nowhere")),
        None => value,
    }
}

/// Whether a value is what a schema says: as much of JSON Schema as the file uses.
fn assert_fits(document: &Value, schema: &Value, value: &Value) {
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
                assert_fits(
                    document,
                    schema["properties"]
                        .get(name)
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
    for (method, template) in operations() {
        let login = gateway_login(&on).await;
        let path = template
            .strip_prefix("/admin/api")
            .unwrap()
            .replace("{session_id}", text(&login, "session_id"));
        let named = template.contains('{');
        let good = if named {
            path.clone()
        } else {
            format!("{path}{user}")
        };
        let bad = if named {
            path.replace(text(&login, "session_id"), "nobody")
        } else {
            format!("{path}?app=nope&user=x")
        };
        for (gateway, path, token) in [
            (&on, &good, Some(TOKEN)),
            (&on, &bad, Some(TOKEN)),
            (&on, &good, None),
            (&off, &good, Some(TOKEN)),
        ] {
            let (status, body) = ask(gateway, method, path, token).await;
            hold(method, &template, status, &body);
        }
    }
    redis.kill();
    for (method, template) in operations() {
        let path = template
            .strip_prefix("/admin/api")
            .unwrap()
            .replace("{session_id}", &"A".repeat(25));
        let (status, body) = admin(
            &on,
            method,
            &format!("{path}{}", if template.contains('{') { "" } else { &user }),
        )
        .await;
        hold(method, &template, status, &body);
    }
    for _ in 0..5 {
        ask(&on, "GET", "/sessions", Some("wrong")).await;
    }
    for (method, template) in operations() {
        let (status, body) = ask(
            &on,
            method,
            template.strip_prefix("/admin/api").unwrap(),
            Some("wrong"),
        )
        .await;
        hold(method, &template, status, &body);
    }
    let mut described = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
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

async fn gateway_login(gateway: &Gateway) -> Value {
    gateway.login("alice").await
}

// ---- hufu sessions

struct Cli<'a> {
    gateway: &'a Gateway,
    folder: tempfile::TempDir,
}

impl<'a> Cli<'a> {
    /// With a configuration whose admin section is the gateway's.
    fn new(gateway: &'a Gateway) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = format!(
            "store.url = \"memory:\"\nadmin.listen = \"{}\"\nadmin.token = \"{TOKEN}\"\nserver.listen = \"127.0.0.1:0\"\napps.shop.appid = \"{APPID}\"\n\
             apps.shop.secret = \"s\"\nupstreams.a.endpoints = [\"http://127.0.0.1:9\"]\n[[routes]]\npath = \"/api\"\nupstream = \"a\"\n",
            gateway.admin
        );
        std::fs::write(folder.path().join("hufu.toml"), config).unwrap();
        Self { gateway, folder }
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hufu"));
        // A proxy of the environment must not get the token.
        command
            .env("http_proxy", "http://127.0.0.1:9")
            .env("ADMIN_TOKEN", TOKEN)
            .env("WRONG_TOKEN", "wrong");
        command
            .current_dir(self.folder.path())
            .arg("sessions")
            .args(args)
            .output()
            .unwrap()
    }

    fn said(&self, args: &[&str]) -> (i32, String, String) {
        let output = self.run(args);
        let (out, err) = (
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        );
        assert!(
            !out.contains(TOKEN) && !err.contains(TOKEN),
            "the token is shown"
        );
        (output.status.code().unwrap(), out, err)
    }
}

#[tokio::test]
async fn the_command_lists_shows_counts_and_ends_sessions() {
    let gateway = gateway("memory:", "");
    let cli = Cli::new(&gateway);
    let (first, second) = (gateway.login("alice").await, gateway.login("alice").await);
    let alice = openid("alice");

    let (code, out, _) = cli.said(&["list", "--app", "shop", "--user", &alice]);
    let lines: Vec<_> = out.lines().collect();
    assert_eq!((code, lines.len()), (0, 3), "{out}");
    assert!(lines[0].starts_with("SESSION ") && lines[0].contains("ENDS IN"));
    assert!(out.contains(text(&first, "session_id")) && out.contains("127.0.0.1"));
    let (code, out, err) = cli.said(&["list", "--user", "nobody"]);
    assert_eq!((code, out.as_str()), (0, ""));
    assert!(
        err.starts_with("note: --user is no openid: WeChat's have 28 ")
            && err.ends_with("\nno sessions\n"),
        "{err}"
    );
    let (code, out, _) = cli.said(&["list", "--user", &alice, "--json"]);
    let listed: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (
            code,
            listed["sessions"].as_array().unwrap().len(),
            out.lines().count()
        ),
        (0, 2, 1)
    );

    let (code, out, _) = cli.said(&["show", "--session", text(&first, "session_id")]);
    assert!(
        code == 0 && out.contains(&format!("user                 {alice}\n")),
        "{out}"
    );
    let (code, out, _) = cli.said(&["count", "--user", &alice]);
    assert_eq!((code, out.as_str()), (0, "2\n"));
    let (code, out, _) = cli.said(&["count", "--json"]);
    assert_eq!(
        (
            code,
            serde_json::from_str::<Value>(&out).unwrap()["exact"].clone()
        ),
        (0, json!(true)),
        "memory counts exactly"
    );

    let (code, out, err) = cli.said(&["revoke", "--session", text(&first, "session_id")]);
    assert_eq!(
        (code, out.as_str(), err.as_str()),
        (
            0,
            "",
            format!("ended {}\n", text(&first, "session_id")).as_str()
        )
    );
    assert!(!alive(&gateway, &first).await && alive(&gateway, &second).await);
    let (code, out, err) = cli.said(&["revoke", "--session", text(&first, "session_id")]);
    assert!(
        code == 1 && out.is_empty() && err.contains("(session_not_found)"),
        "{err}"
    );
    let (code, out, _) = cli.said(&["revoke-all", "--app", "shop", "--user", &alice, "--json"]);
    assert_eq!((code, out.as_str()), (0, "{\"revoked\":1}\n"));
    assert!(!alive(&gateway, &second).await);
}

#[tokio::test]
async fn the_command_finds_its_gateway_and_says_what_is_wrong() {
    let gateway = gateway("memory:", "");
    let cli = Cli::new(&gateway);
    let url = format!("http://{}", cli.gateway.admin);
    std::fs::write(cli.folder.path().join("token"), format!("{TOKEN}\n")).unwrap();
    for args in [
        &["count"][..],
        &["--config", "hufu.toml", "count"],
        &["count", "--admin", &url],
        &["count", "--token-env", "ADMIN_TOKEN"],
        &[
            "count",
            "--admin",
            &url,
            "--token-file",
            "token",
            "--config",
            "there-is-none.toml",
        ],
        &[
            "--admin",
            &url,
            "--token-env",
            "ADMIN_TOKEN",
            "-c",
            "there-is-none.toml",
            "count",
        ],
    ] {
        assert_eq!(
            cli.said(args),
            (0, "0\n".to_owned(), String::new()),
            "{args:?}"
        );
    }
    // A session's name may begin with the sign of an option.
    let hyphen = format!("-{}", "A".repeat(24));
    let other = format!("{}/", gateway.wechat.server.url);
    for (args, code, word) in [
        (
            &["revoke", "--session", &hyphen][..],
            1,
            "(session_not_found)",
        ),
        (
            &["count", "--token-env", "WRONG_TOKEN"],
            1,
            "the token in the variable WRONG_TOKEN of --token-env is not this gateway's admin.token (admin_token_invalid)",
        ),
        (
            &["count", "--admin", "http://127.0.0.1:9"],
            1,
            "does not answer",
        ),
        (
            &["count", "--admin", &other],
            1,
            "is not the admin listener",
        ),
        (
            &["list", "--app", "nope", "--user", "x"],
            2,
            "the name in [apps.NAME], not the appid. (app_unknown)",
        ),
        (&["list", "--app", "shop"], 2, "--user"),
        (&["count", "--app", "shop"], 2, "--user"),
        (&["revoke", "--session", "x"], 2, "25 letters"),
        (&["revoke"], 2, "--session"),
        (
            &["count", "--config", "there-is-none.toml"],
            2,
            "does not exist",
        ),
        (&["count", "--token-env", "NOWHERE"], 2, "NOWHERE"),
        (&["count", "--token-file", "nowhere"], 2, "nowhere"),
        (
            &["count", "--token-env", "A", "--token-file", "b"],
            2,
            "cannot be used with",
        ),
        (
            &["count", "--admin", "127.0.0.1:8081"],
            2,
            "such as http://127.0.0.1:8081",
        ),
        (
            &["count", "--admin", "http://127.0.0.1:8081/admin"],
            2,
            "such as http://127.0.0.1:8081",
        ),
        (&[], 2, "revoke-all"),
    ] {
        let (got, out, err) = cli.said(args);
        assert_eq!((got, out.as_str()), (code, ""), "{args:?}: {err}");
        assert!(err.contains(word), "{args:?}: {err}");
    }
    let second = format!(
        "admin.token = \"{TOKEN}\"\n[apps.game]\nappid = \"wxfedcba9876543210\"\nsecret = \"other\"\n"
    );
    let two = Gateway::start(&second);
    let (code, _, err) = cli.said(&[
        "list",
        "--user",
        "x",
        "--admin",
        &format!("http://{}", two.admin),
    ]);
    assert!(
        code == 2 && err.contains("name one with --app NAME (app_required)"),
        "{err}"
    );
    let mut redis = RedisServer::start(&[]);
    let lame = self::gateway(&redis.url(""), "");
    redis.kill();
    let (code, _, err) = cli.said(&["count", "--admin", &format!("http://{}", lame.admin)]);
    assert!(
        code == 1 && err.contains("cannot reach its Redis") && !err.contains("log in again"),
        "{err}"
    );
    let off = Gateway::start("");
    let (code, _, err) = cli.said(&["count", "--admin", &format!("http://{}", off.admin)]);
    assert!(code == 1 && err.contains("Set admin.token"), "{err}");
    let config = std::fs::read_to_string(cli.folder.path().join("hufu.toml")).unwrap();
    std::fs::write(
        cli.folder.path().join("hufu.toml"),
        config.replace(&format!("admin.token = \"{TOKEN}\"\n"), ""),
    )
    .unwrap();
    let (code, _, err) = cli.said(&["count"]);
    assert!(code == 2 && err.contains("admin.token is not set"), "{err}");
}

#[tokio::test]
async fn a_store_that_is_down_is_told_to_operators_in_their_words() {
    let mut redis = RedisServer::start(&[]);
    let gateway = gateway(&redis.url(""), "");
    redis.kill();
    let user = format!("user={}", openid("alice"));
    for (method, path) in [
        ("GET", format!("/sessions?{user}")),
        ("DELETE", format!("/sessions?{user}")),
        ("GET", "/sessions/count".to_owned()),
        ("GET", "/sessions/ILgZnOirWCc_8LN-GAgEe2pXw".to_owned()),
        ("DELETE", "/sessions/ILgZnOirWCc_8LN-GAgEe2pXw".to_owned()),
    ] {
        let (status, body) = admin(&gateway, method, &path).await;
        assert_eq!(
            (status, text(&body, "code")),
            (503, "store_unavailable"),
            "{method} {path}"
        );
        let words = format!("{} {}", text(&body, "title"), text(&body, "detail")).to_lowercase();
        assert!(
            words.contains("store") && !words.contains("token") && !words.contains("log in"),
            "{words}"
        );
    }
}
