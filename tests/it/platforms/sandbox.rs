//! The simulator answers as WeChat does, and its document tells the truth.

mod access_tokens;
mod document;
mod open_data;
mod push;

use std::time::Duration;

use hufu::sandbox::{AcceptedApps, SandboxApp, SandboxSettings};
use hufu::secret::Secret;
use serde_json::{Value, json};

use crate::helpers::{HttpAnswer, Sandbox, http, sandbox};

const APP: &str = "wx0123456789abcdef";

const SECRET: &str = "a secret & more";

fn one_app() -> SandboxSettings {
    let app = SandboxApp {
        appid: APP.to_owned(),
        secret: Secret::new(SECRET.to_owned()),
    };
    SandboxSettings {
        apps: AcceptedApps::Only(vec![app]),
        ..SandboxSettings::default()
    }
}

impl Sandbox {
    /// Asks an API and checks the form that all its answers have.
    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Value {
        answer(http().get(self.server.at(path)).query(query).await).await
    }

    async fn post(&self, path: &str, query: &[(&str, &str)], body: &Value) -> Value {
        answer(
            http()
                .post(self.server.at(path))
                .query(query)
                .json(body)
                .await,
        )
        .await
    }

    async fn control(&self, path: &str, body: &str) -> (u16, Value) {
        let response = http()
            .post(self.server.at(path))
            .body(body.to_owned())
            .await;
        let status = response.status();
        (
            status,
            serde_json::from_slice(response.bytes()).unwrap_or_default(),
        )
    }

    async fn exchange(&self, code: &str) -> Value {
        self.get(
            "/sns/jscode2session",
            &[
                ("appid", APP),
                ("secret", SECRET),
                ("js_code", code),
                ("grant_type", "authorization_code"),
            ],
        )
        .await
    }

    async fn access_token(&self) -> String {
        let granted = self
            .get(
                "/cgi-bin/token",
                &[
                    ("appid", APP),
                    ("secret", SECRET),
                    ("grant_type", "client_credential"),
                ],
            )
            .await;
        granted["access_token"].as_str().unwrap().to_owned()
    }
}

async fn answer(response: HttpAnswer) -> Value {
    assert_eq!(response.status(), 200);
    assert_eq!(response.header("content-type"), "text/plain");
    let body: Value = serde_json::from_slice(response.bytes()).unwrap();
    if body["errcode"].as_i64().is_some_and(|errcode| errcode != 0) {
        assert!(
            body["errmsg"].as_str().unwrap().contains(", rid: "),
            "{body}"
        );
    }
    body
}

#[tokio::test]
async fn a_code_is_good_once_and_for_five_minutes() {
    let sandbox = sandbox(one_app());
    let (status, issued) = sandbox
        .control(
            "/sandbox/code",
            &json!({ "app": APP, "user": "alice" }).to_string(),
        )
        .await;
    assert_eq!((status, &issued["expires_in"]), (200, &300.into()));
    let code = issued["code"].as_str().unwrap();
    let session = sandbox.exchange(code).await;
    assert_eq!(
        (
            &session["openid"],
            session["session_key"].as_str().unwrap().len()
        ),
        (&issued["openid"], 24)
    );
    assert_eq!(session["unionid"], hufu::sandbox::unionid("alice").unwrap());
    assert_eq!(sandbox.exchange(code).await["errcode"], 40163);
    let late = sandbox.platform.login_code(APP, "alice");
    sandbox.clock.advance(Duration::from_secs(299));
    let second = Duration::from_secs(1);
    let in_time = sandbox.platform.login_code(APP, "alice");
    sandbox.clock.advance(second);
    assert_eq!(sandbox.exchange(&late).await["errcode"], 40029);
    assert_eq!(sandbox.exchange("never-issued").await["errcode"], 40029);
    sandbox
        .clock
        .advance(299 * second - Duration::from_millis(1));
    assert!(sandbox.exchange(&in_time).await["openid"].is_string());
    let phone = sandbox.platform.phone_code(APP, "alice");
    assert_eq!(
        sandbox.exchange(&phone).await["errcode"],
        40029,
        "a phone code is no login code"
    );
}

#[tokio::test]
async fn wrong_requests_get_their_numbers() {
    let sandbox = sandbox(one_app());
    let code = sandbox.platform.login_code(APP, "alice");
    let good = [
        ("appid", APP),
        ("secret", SECRET),
        ("js_code", &*code),
        ("grant_type", "authorization_code"),
    ];
    for (name, value, errcode) in [
        ("appid", "", 41002),
        ("secret", "", 41004),
        ("js_code", "", 41008),
        ("appid", "wx9", 40013),
        ("secret", "wrong", 40125),
        ("grant_type", "client_credential", 40002),
    ] {
        let query = good.map(|(key, present)| (key, if key == name { value } else { present }));
        assert_eq!(
            sandbox.get("/sns/jscode2session", &query).await["errcode"],
            errcode,
            "{name}={value}"
        );
    }
    assert_eq!(
        sandbox.post("/sns/jscode2session", &good, &json!({})).await["errcode"],
        41002,
        "POST"
    );
    assert!(
        sandbox.exchange(&code).await["openid"].is_string(),
        "none of them used the code"
    );
}

#[tokio::test]
async fn names_choose_special_users() {
    let sandbox = sandbox(one_app());
    let plain = sandbox
        .exchange(&sandbox.platform.login_code(APP, "bob-no-unionid"))
        .await;
    assert!(plain["openid"].is_string() && plain.get("unionid").is_none());
    assert_eq!(
        sandbox
            .exchange(&sandbox.platform.login_code(APP, "blocked-bob"))
            .await["errcode"],
        40226
    );
}

#[tokio::test]
async fn one_user_too_often_in_a_minute() {
    let sandbox = sandbox(SandboxSettings {
        logins_per_minute: 2,
        ..one_app()
    });
    for _ in 0..2 {
        assert!(
            sandbox
                .exchange(&sandbox.platform.login_code(APP, "alice"))
                .await["openid"]
                .is_string()
        );
    }
    let third = sandbox.platform.login_code(APP, "alice");
    assert_eq!(sandbox.exchange(&third).await["errcode"], 45011);
    assert!(
        sandbox
            .exchange(&sandbox.platform.login_code(APP, "bob"))
            .await["openid"]
            .is_string(),
        "others go on"
    );
    sandbox.clock.advance(Duration::from_secs(60));
    assert!(
        sandbox.exchange(&third).await["openid"].is_string(),
        "the code was not used up"
    );
}

#[tokio::test]
async fn demos_take_unknown_codes_once() {
    let sandbox = sandbox(SandboxSettings {
        accept_unknown_codes: true,
        ..SandboxSettings::default()
    });
    let first = sandbox.exchange("alice").await;
    assert_eq!(first["openid"], hufu::sandbox::openid(APP, "alice"));
    assert_eq!(sandbox.exchange("alice").await["errcode"], 40163);
    let issued = sandbox.platform.login_code(APP, "alice");
    assert_eq!(sandbox.exchange(&issued).await["openid"], first["openid"]);
    let foreign = sandbox.platform.login_code("wx9", "alice");
    assert_eq!(
        sandbox.exchange(&foreign).await["errcode"],
        40029,
        "of another app"
    );
}

#[tokio::test]
async fn troubles_happen_as_ordered_and_calls_are_counted() {
    let sandbox = sandbox(one_app());
    for order in [
        json!({ "api": "jscode2session", "times": 1, "status": 502, "body": "<html>" }),
        json!({ "api": "jscode2session", "times": 1, "reset": true }),
        json!({ "api": "jscode2session", "times": 1, "delay_ms": 1 }),
        json!({ "api": "token", "times": 2, "body": { "errcode": -1 } }),
        json!({ "api": "token", "times": 1, "body": { "errcode": -2 } }),
    ] {
        assert_eq!(
            sandbox
                .control("/sandbox/faults", &order.to_string())
                .await
                .0,
            204,
            "{order}"
        );
    }
    let url = sandbox.server.at("/sns/jscode2session");
    let broken = http().get(&url).await;
    assert_eq!((broken.status(), broken.text()), (502, "<html>".to_owned()));
    assert!(http().get(&url).try_send().await.is_err(), "cut");
    assert_eq!(
        sandbox.get("/sns/jscode2session", &[]).await["errcode"],
        41002,
        "late, but real"
    );
    for errcode in [-1, -1, -2, 40002] {
        let answered: Value = http().get(sandbox.server.at("/cgi-bin/token")).await.json();
        assert_eq!(answered["errcode"], errcode);
    }
    let calls: Value = http().get(sandbox.server.at("/sandbox/calls")).await.json();
    assert_eq!(
        (
            &calls["jscode2session"],
            &calls["token"],
            &calls["checksession"]
        ),
        (&3.into(), &4.into(), &0.into())
    );
}

#[tokio::test]
async fn bad_control_requests_are_told_what_is_wrong() {
    let sandbox = sandbox(one_app());
    let app = format!(r#""app":"{APP}""#);
    let user = format!("{{{app},\"user\":");
    for (path, body, wrong) in [
        ("/sandbox/code", String::new(), "the body is empty"),
        ("/sandbox/code", "{".to_owned(), "the body: EOF"),
        (
            "/sandbox/code",
            format!("{{{app}}}"),
            "missing field `user`",
        ),
        (
            "/sandbox/code",
            format!("{user}\"a\",\"usr\":1}}"),
            "unknown field `usr`",
        ),
        ("/sandbox/code", format!("{user}\"\"}}"), "user is empty"),
        (
            "/sandbox/code",
            format!("{user}\"a\",\"for\":\"fun\"}}"),
            "unknown variant `fun`",
        ),
        (
            "/sandbox/rotate",
            r#"{"app":"wx9","user":"a"}"#.to_owned(),
            "app \"wx9\" is unknown here; app is an appid, one of [\"wx0123456789abcdef\"]",
        ),
        (
            "/sandbox/open-data",
            format!("{user}\"a\",\"data\":[]}}"),
            "expected a map",
        ),
        (
            "/sandbox/faults",
            r#"{"api":"login","times":1}"#.to_owned(),
            "api \"login\" is none of",
        ),
        (
            "/sandbox/faults",
            r#"{"api":"token","times":0,"reset":true}"#.to_owned(),
            "times must be at least 1",
        ),
        (
            "/sandbox/faults",
            r#"{"api":"token","times":1}"#.to_owned(),
            "nothing goes wrong",
        ),
        (
            "/sandbox/faults",
            r#"{"api":"token","times":1,"status":99}"#.to_owned(),
            "status must be 200 to 599",
        ),
        (
            "/sandbox/faults",
            r#"{"api":"token","times":1,"reset":true,"status":500}"#.to_owned(),
            "reset cuts the connection",
        ),
        (
            "/sandbox/faults",
            r#"{"api":"token","times":1,"delay_ms":600001}"#.to_owned(),
            "delay_ms must be at most 600000",
        ),
    ] {
        let (status, told) = sandbox.control(path, &body).await;
        assert_eq!(status, 400, "{path} {body}");
        assert!(
            told["error"].as_str().unwrap().contains(wrong),
            "{body}: {told}"
        );
        assert!(told["example"].is_object());
    }
}
