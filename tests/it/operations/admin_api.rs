//! The admin API and `hufu sessions`, with the real binary and both stores; and the OpenAPI file
//! against what it describes.

mod authorizers;
mod busy;
mod command;
mod openapi;
mod tokens;
mod unreadable;
mod users;

use std::collections::BTreeSet;

use hufu::crypto::keyring::generate_key;
use serde_json::{Value, json};

use crate::helpers::{APPID, Gateway, RedisServer, http, probe, until};

const TOKEN: &str = "an-admin-token-that-nobody-may-see";

fn gateway(store: &str, config: &str) -> Gateway {
    Gateway::on(store, &format!("admin.token = \"{TOKEN}\"\n{config}"))
}

/// Keys for gateways that share a Redis.
fn keys() -> String {
    format!(
        "secrets.keys = [\"{}\"]\nsecrets.naming_key = \"{}\"\n",
        generate_key(),
        generate_key()
    )
}

fn gateways(config: &str) -> Vec<(Gateway, Option<RedisServer>)> {
    let redis = RedisServer::start(&[]);
    vec![
        (gateway("memory:", config), None),
        (gateway(&redis.url(""), config), Some(redis)),
    ]
}

async fn ask(gateway: &Gateway, method: &str, path: &str, token: Option<&str>) -> (u16, Value) {
    ask_with(gateway, method, path, token, None).await
}

async fn ask_with(
    gateway: &Gateway,
    method: &str,
    path: &str,
    token: Option<&str>,
    body: Option<&Value>,
) -> (u16, Value) {
    let mut request = http().request(method, gateway.admin_at(&format!("/admin/api{path}")));
    if let Some(body) = body {
        request = request.json(body);
    }
    let answer = token
        .into_iter()
        .fold(request, |request, token| request.bearer_auth(token))
        .await;
    let status = answer.status();
    assert!(answer.get("x-request-id").is_some());
    assert!(status == 204 || answer.header("cache-control") == "no-store");
    let text = answer.text();
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
        let answer = probe::send(gateway.admin, &request).await;
        answer.refuses(
            status,
            code,
            format_args!("{method} {target}: {}", answer.text),
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
    gateway
        .get("/auth/session")
        .bearer_auth(text(login, "token"))
        .await
        .status()
        == 200
}

#[tokio::test]
async fn operators_see_a_users_sessions_and_end_them() {
    for (gateway, _redis) in gateways("") {
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
    for (gateway, _redis) in gateways("") {
        let login = gateway.login("alice").await;
        let rotated: Value = gateway
            .post("/auth/rotate")
            .bearer_auth(text(&login, "token"))
            .await
            .json();
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
    for of_app in ["app=shop", "authorizer_appid=wx0123456789abcdef"] {
        let path = format!("/sessions/count?{of_app}");
        assert_eq!(admin(&gateway, "GET", &path).await.0, 400, "{of_app}");
    }
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
                let answer = probe::send(gateway.admin, &head).await;
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
    let answer = probe::send(
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
        let request = gateway
            .admin_get("/admin/api/sessions/count")
            .header("x-forwarded-for", format!("192.0.2.{n}"));
        let answer = request.bearer_auth(format!("wrong-{n}")).await;
        statuses.insert(answer.status());
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
    until("the wait to end", async || {
        admin(&gateway, "GET", "/sessions/count").await.0 == 200
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
    let page = gateway.admin_get("/metrics").await;
    assert_eq!(page.status(), 200, "health and metrics need no token");
    assert!(
        page.text()
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
    let public = gateway
        .get("/admin/api/sessions/count")
        .bearer_auth(TOKEN)
        .await;
    assert_eq!(public.status(), 404, "and it is on the admin listener only");
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
