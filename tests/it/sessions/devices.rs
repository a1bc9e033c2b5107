//! Several devices of one user: listing them, signing them out, changing a token. Over real HTTP,
//! with both stores.

mod rotation;

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::helpers::{APPID, Gateway, HttpAnswer, RedisServer, http, until, walk};

/// Both stores, one after the other; the server lives as long as its gateway.
fn gateways(config: &str) -> Vec<(Gateway, Option<RedisServer>)> {
    let redis = RedisServer::start(&[]);
    let with = |store: String| Gateway::on(&store, config);
    vec![
        (with("memory:".to_owned()), None),
        (with(redis.url("")), Some(redis)),
    ]
}

/// Fails unless the store holds what it should, where there is one to look into.
fn assert_sound(redis: Option<&RedisServer>) {
    if let Some(redis) = redis {
        walk(redis, "hufu").assert_sound();
    }
}

async fn post(gateway: &Gateway, path: &str, token: &str) -> (u16, Value) {
    read(gateway.post(path).bearer_auth(token).await).await
}

async fn get(gateway: &Gateway, path: &str, token: &str) -> (u16, Value) {
    read(gateway.get(path).bearer_auth(token).await).await
}

async fn delete(gateway: &Gateway, session_id: &str, token: &str) -> (u16, Value) {
    read(
        http()
            .request(
                "DELETE",
                gateway.at(&format!("/auth/sessions/{session_id}")),
            )
            .bearer_auth(token)
            .await,
    )
    .await
}

async fn read(answer: HttpAnswer) -> (u16, Value) {
    let status = answer.status();
    if status == 200 || status >= 400 {
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    let word = answer.code().map(str::to_owned);
    let text = answer.text();
    let body: Value = if text.is_empty() {
        Value::Null
    } else {
        serde_json::from_str(&text).unwrap()
    };
    assert_eq!(body.get("code").and_then(Value::as_str), word.as_deref());
    (status, body)
}

fn token(body: &Value) -> String {
    body["token"]
        .as_str()
        .unwrap_or_else(|| panic!("no token: {body}"))
        .to_owned()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// The session that a token opens, and 0 if it opens none.
async fn opens(gateway: &Gateway, token: &str) -> (u16, String) {
    let (status, body) = get(gateway, "/auth/session", token).await;
    (
        status,
        body["session_id"].as_str().unwrap_or_default().to_owned(),
    )
}

async fn session_ids(gateway: &Gateway, token: &str) -> Vec<String> {
    let (status, body) = get(gateway, "/auth/sessions", token).await;
    assert_eq!(status, 200, "{body}");
    body["sessions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|session| text(&session["session_id"]).to_owned())
        .collect()
}

#[tokio::test]
async fn a_user_sees_their_devices_and_signs_one_out() {
    for (gateway, redis) in gateways("") {
        let phone = gateway
            .post("/auth/login")
            .header(
                "user-agent",
                "Mozilla/5.0 (Linux; Android 13; M2102K1C Build/TKQ1; wv) MicroMessenger/8.0.40",
            )
            .json(&json!({ "code": gateway.code("alice") }));
        let phone: Value = phone.await.json();
        // Sessions that begin in the same millisecond have no order.
        tokio::time::sleep(Duration::from_millis(2)).await;
        let (tablet, stranger) = (gateway.login("alice").await, gateway.login("mallory").await);
        let (status, body) = get(&gateway, "/auth/sessions", &token(&tablet)).await;
        let sessions = body["sessions"].as_array().unwrap();
        assert_eq!((status, sessions.len()), (200, 2), "{body}");
        assert_eq!(
            (&sessions[0]["session_id"], &sessions[0]["current"]),
            (&tablet["session_id"], &json!(true))
        );
        let older = &sessions[1];
        assert_eq!(
            (&older["session_id"], &older["current"]),
            (&phone["session_id"], &json!(false))
        );
        assert_eq!(
            (&older["device"], &older["client_address"]),
            (&json!("M2102K1C"), &json!("127.0.0.1"))
        );
        assert!(
            older["expires_in"]
                .as_u64()
                .is_some_and(|span| (86_000..=86_400).contains(&span)),
            "{older}"
        );
        assert!(
            older["absolute_expires_in"]
                .as_u64()
                .is_some_and(|span| (259_000..=259_200).contains(&span)),
            "{older}"
        );
        humantime::parse_rfc3339(text(&older["created_at"])).unwrap();
        assert_eq!(older.as_object().unwrap().len(), 7, "{older}");
        let everything = body.to_string();
        assert!(
            !everything.contains(&hufu::sandbox::openid(APPID, "alice"))
                && !everything.contains("hufu_")
        );

        // Another user's, nobody's, and what is no name at all look the same.
        let nobodys = text(&phone["session_id"]).to_owned() + "A";
        let mut answers = BTreeSet::new();
        for id in [
            text(&stranger["session_id"]),
            &"A".repeat(25),
            &nobodys,
            "x",
            "%ff",
            "..%2f",
            "*",
        ] {
            let (status, mut body) = delete(&gateway, id, &token(&tablet)).await;
            assert_eq!(
                (status, text(&body["code"])),
                (404, "session_not_found"),
                "{id}"
            );
            body["request_id"] = Value::Null;
            answers.insert(body.to_string());
        }
        assert_eq!(answers.len(), 1);
        assert_eq!(opens(&gateway, &token(&stranger)).await.0, 200);

        assert_eq!(
            delete(&gateway, text(&phone["session_id"]), &token(&tablet)).await,
            (204, Value::Null)
        );
        assert_eq!(opens(&gateway, &token(&phone)).await.0, 401);
        assert_eq!(
            delete(&gateway, text(&phone["session_id"]), &token(&tablet))
                .await
                .0,
            404
        );
        assert_eq!(
            session_ids(&gateway, &token(&tablet)).await,
            [text(&tablet["session_id"])]
        );
        // One's own too; and then the token is dead for everything.
        assert_eq!(
            delete(&gateway, text(&tablet["session_id"]), &token(&tablet))
                .await
                .0,
            204
        );
        for (status, body) in [
            get(&gateway, "/auth/sessions", &token(&tablet)).await,
            delete(&gateway, text(&tablet["session_id"]), &token(&tablet)).await,
            post(&gateway, "/auth/rotate", &token(&tablet)).await,
            post(&gateway, "/auth/logout/all", &token(&tablet)).await,
        ] {
            assert_eq!((status, text(&body["code"])), (401, "session_expired"));
        }
        assert_sound(redis.as_ref());
    }
}

#[tokio::test]
async fn signing_out_everywhere_ends_every_device_and_no_stranger() {
    for (gateway, redis) in gateways("") {
        let tokens = join_all((0..5).map(|_| gateway.token("alice"))).await;
        let stranger = gateway.token("mallory").await;
        let (status, rotated) = post(&gateway, "/auth/rotate", &tokens[0]).await;
        assert_eq!(status, 200);
        assert_eq!(
            post(&gateway, "/auth/logout/all", &tokens[3]).await,
            (200, json!({ "revoked": 5 }))
        );
        for dead in tokens.iter().chain([&token(&rotated)]) {
            assert_eq!(opens(&gateway, dead).await.0, 401);
            assert_eq!(
                post(&gateway, "/auth/rotate", dead).await.0,
                401,
                "nor does the grace bring one back"
            );
        }
        assert_eq!(opens(&gateway, &stranger).await.0, 200);
        let line = gateway.access_line("the line of the call", |line| {
            line["path"] == "/auth/logout/all"
        });
        assert_eq!(
            (&line["route"], &line["app"], line["session"].is_string()),
            (&json!("logout/all"), &json!("shop"), true)
        );
        assert_sound(redis.as_ref());
    }
}

#[tokio::test]
async fn fifty_logins_at_once_keep_to_the_cap_and_the_newest_stay() {
    for (gateway, redis) in gateways("session.max_per_user = 4\n") {
        let tokens = join_all((0..50).map(|_| gateway.token("alice"))).await;
        let statuses = join_all(tokens.iter().map(|token| opens(&gateway, token))).await;
        let alive: BTreeSet<_> = statuses
            .iter()
            .filter(|(status, _)| *status == 200)
            .map(|(_, id)| id.clone())
            .collect();
        assert_eq!(alive.len(), 4);
        let token = tokens
            .iter()
            .zip(&statuses)
            .find(|(_, (status, _))| *status == 200)
            .map(|(token, _)| token)
            .unwrap();
        assert_eq!(
            session_ids(&gateway, token)
                .await
                .into_iter()
                .collect::<BTreeSet<_>>(),
            alive
        );
        assert_sound(redis.as_ref());
    }
}

#[tokio::test]
async fn while_the_store_is_down_nothing_is_said_to_have_happened() {
    let mut redis = RedisServer::start(&[]);
    let gateway = Gateway::on(&redis.url(""), "");
    let login = gateway.login("alice").await;
    redis.kill();
    for (status, body) in [
        post(&gateway, "/auth/rotate", &token(&login)).await,
        post(&gateway, "/auth/logout/all", &token(&login)).await,
        get(&gateway, "/auth/sessions", &token(&login)).await,
        delete(&gateway, text(&login["session_id"]), &token(&login)).await,
    ] {
        assert_eq!((status, text(&body["code"])), (503, "store_unavailable"));
    }
}

/// Somebody else's write in the place of a user's index: the session ends nevertheless, and the log
/// tells who looks after Redis.
#[tokio::test]
async fn a_broken_index_keeps_nobody_signed_in() {
    let redis = RedisServer::start(&[]);
    let gateway = Gateway::on(&redis.url(""), "");
    let (phone, tablet) = (
        token(&gateway.login("alice").await),
        gateway.login("alice").await,
    );
    let index = redis
        .ask::<Vec<String>>(&["KEYS", "hufu:u:*"])
        .unwrap()
        .remove(0);
    redis
        .ask::<()>(&["SET", &index, "not a hash", "EX", "3600"])
        .unwrap();
    assert_eq!(
        delete(&gateway, text(&tablet["session_id"]), &phone).await,
        (204, Value::Null)
    );
    assert_eq!(opens(&gateway, &token(&tablet)).await.0, 401);
    // A new session, or an old one under a new name, would be one that nothing finds.
    assert_eq!(post(&gateway, "/auth/rotate", &phone).await.0, 503);
    assert_eq!(
        gateway
            .login_with(json!({ "code": gateway.code("alice") }))
            .await
            .status(),
        503
    );
    assert_eq!(
        redis
            .ask::<Vec<String>>(&["KEYS", "hufu:s:*"])
            .unwrap()
            .len(),
        1
    );
    // Which sessions there are is not known: nobody is told that all have ended.
    assert_eq!(post(&gateway, "/auth/logout/all", &phone).await.0, 503);
    assert_eq!(
        post(&gateway, "/auth/logout", &phone).await,
        (204, Value::Null)
    );
    assert_eq!(
        (
            opens(&gateway, &phone).await.0,
            post(&gateway, "/auth/logout", &phone).await.0
        ),
        (401, 204)
    );
    until("the log to say it of both sessions", async || {
        let log = gateway.stderr();
        let said = "session ended, but its user's index is invalid";
        let told: Vec<_> = log.lines().filter(|line| line.contains(said)).collect();
        assert!(
            told.iter()
                .all(|line| line.contains("WRONGTYPE") && line.contains("\"level\":\"error\"")),
            "{log}"
        );
        told.len() >= 2
    })
    .await;
    assert_eq!(
        redis.ask::<Vec<String>>(&["KEYS", "hufu:s:*"]).unwrap(),
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn the_endpoints_take_their_methods_and_want_a_token() {
    let gateway = Gateway::start("");
    let ask = async |method: &str, path: &str| {
        gateway.raw(format!("{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")).await
    };
    for (path, right, wrong) in [
        ("/auth/rotate", "POST", "GET"),
        ("/auth/logout/all", "POST", "GET"),
        ("/auth/sessions", "GET", "DELETE"),
        ("/auth/sessions/AAAAAAAAAAAAAAAAAAAAAAAAA", "DELETE", "GET"),
    ] {
        let answer = ask(wrong, path).await;
        answer.refuses(405, "method_not_allowed", format_args!("{wrong} {path}"));
        assert!(answer.header("allow").unwrap().starts_with(right));
        assert_eq!(
            ask(right, path).await.code(),
            Some("login_required"),
            "{right} {path}"
        );
        let forged = format!(
            "{right} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer hufu_x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        assert_eq!(gateway.raw(&forged).await.code(), Some("token_invalid"));
    }
    for path in ["/auth/logout/one", "/auth/sessions/a/b", "/auth/rotate/x"] {
        assert_eq!(
            ask("POST", path).await.code(),
            Some("endpoint_not_found"),
            "{path}"
        );
    }
    for line in [
        r#"route="sessions/{session_id}",status="401""#,
        r#"route="logout/all",status="405""#,
        r#"route="rotate",status="401""#,
    ] {
        until(line, async || {
            let page = gateway.admin_get("/metrics").await.text();
            page.contains(line)
        })
        .await;
    }
}
