//! The simulator answers as WeChat does, and its document tells the truth.

use std::time::Duration;

use hufu::crypto::{hash, open_data};
use hufu::sandbox::{AcceptedApps, SandboxApp, SandboxSettings};
use hufu::secret::Secret;
use serde_json::{Value, json};

use crate::helpers::servers::{Sandbox, http, sandbox};

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
        answer(
            http()
                .get(self.server.at(path))
                .query(query)
                .send()
                .await
                .unwrap(),
        )
        .await
    }

    async fn post(&self, path: &str, query: &[(&str, &str)], body: &Value) -> Value {
        answer(
            http()
                .post(self.server.at(path))
                .query(query)
                .json(body)
                .send()
                .await
                .unwrap(),
        )
        .await
    }

    async fn control(&self, path: &str, body: &str) -> (u16, Value) {
        let response = http()
            .post(self.server.at(path))
            .body(body.to_owned())
            .send()
            .await
            .unwrap();
        let status = response.status().as_u16();
        (
            status,
            serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default(),
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

async fn answer(response: reqwest::Response) -> Value {
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/plain");
    let body: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
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
    sandbox.clock.advance(Duration::from_secs(300));
    assert_eq!(sandbox.exchange(&late).await["errcode"], 40029);
    assert_eq!(sandbox.exchange("never-issued").await["errcode"], 40029);
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
}

#[tokio::test]
async fn session_keys_rotate_and_open_data_follows() {
    let sandbox = sandbox(one_app());
    let key = |session: &Value| session["session_key"].as_str().unwrap().to_owned();
    let first = key(&sandbox
        .exchange(&sandbox.platform.login_code(APP, "alice"))
        .await);
    sandbox.clock.advance(Duration::from_secs(59));
    assert_eq!(
        key(&sandbox
            .exchange(&sandbox.platform.login_code(APP, "alice"))
            .await),
        first
    );
    sandbox.clock.advance(Duration::from_secs(1));
    assert_ne!(
        key(&sandbox
            .exchange(&sandbox.platform.login_code(APP, "alice"))
            .await),
        first
    );

    let asked = json!({ "app": APP, "user": "alice", "data": { "nickName": "Alice" } }).to_string();
    let (status, sealed) = sandbox.control("/sandbox/open-data", &asked).await;
    assert_eq!(status, 200);
    let text = |name: &str| sealed[name].as_str().unwrap().to_owned();
    let present = sandbox.platform.session_key(APP, "alice");
    let opened = open_data::decrypt(present.expose(), &text("iv"), &text("encryptedData")).unwrap();
    let opened: Value = serde_json::from_slice(&opened).unwrap();
    let watermark = json!({ "appid": APP, "timestamp": 1_700_000_060_u64 });
    assert_eq!(
        opened,
        json!({ "nickName": "Alice", "watermark": watermark })
    );
    assert_eq!(
        (text("rawData"), text("signature")),
        (
            r#"{"nickName":"Alice"}"#.to_owned(),
            open_data::signature(&text("rawData"), present.expose())
        )
    );

    let (status, rotated) = sandbox
        .control(
            "/sandbox/rotate",
            &json!({ "app": APP, "user": "alice" }).to_string(),
        )
        .await;
    assert_eq!(status, 200);
    assert!(open_data::decrypt(&key(&rotated), &text("iv"), &text("encryptedData")).is_err());
}

#[tokio::test]
async fn access_tokens_of_both_kinds() {
    let sandbox = sandbox(one_app());
    let (first, second) = (sandbox.access_token().await, sandbox.access_token().await);
    assert_ne!(first, second);
    let asked = json!({ "grant_type": "client_credential", "appid": APP, "secret": SECRET });
    let stable = sandbox.post("/cgi-bin/stable_token", &[], &asked).await;
    assert_eq!(stable["expires_in"], 7200);
    assert_eq!(
        sandbox.post("/cgi-bin/stable_token", &[], &asked).await,
        stable
    );
    let mut forced = asked.clone();
    forced["force_refresh"] = true.into();
    assert_ne!(
        sandbox.post("/cgi-bin/stable_token", &[], &forced).await["access_token"],
        stable["access_token"]
    );
    assert_eq!(
        sandbox.post("/cgi-bin/stable_token", &[], &forced).await["errcode"],
        45011
    );
    assert_eq!(
        sandbox.get("/cgi-bin/stable_token", &[]).await["errcode"],
        43002
    );
    assert_eq!(
        sandbox
            .post("/cgi-bin/stable_token", &[], &json!("x"))
            .await["errcode"],
        47001
    );
    assert_eq!(
        sandbox
            .get("/cgi-bin/token", &[("appid", APP), ("secret", SECRET)])
            .await["errcode"],
        40002
    );
    sandbox.clock.advance(Duration::from_secs(300));
    assert_eq!(
        sandbox
            .get("/wxa/checksession", &[("access_token", &first)])
            .await["errcode"],
        40001,
        "pushed out"
    );
    assert_eq!(
        sandbox
            .get("/wxa/checksession", &[("access_token", &second)])
            .await["errcode"],
        40003,
        "alive"
    );
}

#[tokio::test]
async fn session_keys_are_checked_and_reset() {
    let sandbox = sandbox(one_app());
    let session = sandbox
        .exchange(&sandbox.platform.login_code(APP, "alice"))
        .await;
    let (openid, token) = (
        session["openid"].as_str().unwrap(),
        sandbox.access_token().await,
    );
    let signed =
        |key: &Value| hash::to_hex(&hash::hmac_sha256(key.as_str().unwrap().as_bytes(), b""));
    let signature = signed(&session["session_key"]);
    let query = |signature, method| {
        [
            ("access_token", token.as_str()),
            ("openid", openid),
            ("signature", signature),
            ("sig_method", method),
        ]
    };
    assert_eq!(
        sandbox
            .get("/wxa/checksession", &query(&signature, "hmac_sha256"))
            .await,
        json!({ "errcode": 0, "errmsg": "ok" })
    );
    assert_eq!(
        sandbox
            .get("/wxa/checksession", &query(&signature, "md5"))
            .await["errcode"],
        87008
    );
    assert_eq!(
        sandbox
            .get("/wxa/checksession", &query("0", "hmac_sha256"))
            .await["errcode"],
        87009
    );
    assert_eq!(
        sandbox.get("/wxa/checksession", &[]).await["errcode"],
        41001
    );
    let reset = sandbox
        .get(
            "/wxa/resetusersessionkey",
            &query(&signature, "hmac_sha256"),
        )
        .await;
    assert_eq!(
        (&reset["errcode"], &reset["openid"]),
        (&0.into(), &session["openid"])
    );
    assert_eq!(
        sandbox
            .get("/wxa/checksession", &query(&signature, "hmac_sha256"))
            .await["errcode"],
        87009,
        "the old key is dead"
    );
    let renewed = signed(&reset["session_key"]);
    assert_eq!(
        sandbox
            .get("/wxa/checksession", &query(&renewed, "hmac_sha256"))
            .await["errcode"],
        0
    );
}

#[tokio::test]
async fn phone_numbers_come_for_phone_codes_of_the_same_user() {
    let sandbox = sandbox(one_app());
    let token = sandbox.access_token().await;
    let (alice, bob) = (
        hufu::sandbox::openid(APP, "alice"),
        hufu::sandbox::openid(APP, "bob"),
    );
    let ask = async |body: Value| {
        sandbox
            .post(
                "/wxa/business/getuserphonenumber",
                &[("access_token", &token)],
                &body,
            )
            .await
    };
    let (_, issued) = sandbox
        .control(
            "/sandbox/code",
            &json!({ "app": APP, "user": "alice", "for": "phone" }).to_string(),
        )
        .await;
    let code = &issued["code"];
    assert_eq!(
        ask(json!({ "code": code, "openid": bob })).await["errcode"],
        40029,
        "somebody else's"
    );
    let told = ask(json!({ "code": code, "openid": alice })).await;
    let info = &told["phone_info"];
    assert_eq!(
        (
            &told["errcode"],
            &info["countryCode"],
            &info["watermark"]["appid"]
        ),
        (&0.into(), &86.into(), &APP.into())
    );
    assert!(
        info["phoneNumber"] == info["purePhoneNumber"]
            && info["phoneNumber"].as_str().unwrap().starts_with("138")
    );
    assert_eq!(ask(json!({ "code": code })).await["errcode"], 40163);
    assert_eq!(
        ask(json!({ "code": sandbox.platform.login_code(APP, "alice") })).await["errcode"],
        40029,
        "a login code"
    );
    assert_eq!(ask(json!([])).await["errcode"], 47001);
}

#[tokio::test]
async fn troubles_happen_as_ordered_and_calls_are_counted() {
    let sandbox = sandbox(one_app());
    for order in [
        json!({ "api": "jscode2session", "times": 1, "status": 502, "body": "<html>" }),
        json!({ "api": "jscode2session", "times": 1, "reset": true }),
        json!({ "api": "jscode2session", "times": 1, "delay_ms": 1 }),
        json!({ "api": "token", "times": 1, "body": { "errcode": -1 } }),
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
    let broken = http().get(&url).send().await.unwrap();
    assert_eq!(
        (broken.status().as_u16(), broken.text().await.unwrap()),
        (502, "<html>".to_owned())
    );
    assert!(http().get(&url).send().await.is_err(), "cut");
    assert_eq!(
        sandbox.get("/sns/jscode2session", &[]).await["errcode"],
        41002,
        "late, but real"
    );
    assert_eq!(
        http()
            .get(sandbox.server.at("/cgi-bin/token"))
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap(),
        r#"{"errcode":-1}"#
    );
    let calls: Value = http()
        .get(sandbox.server.at("/sandbox/calls"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(
        (
            &calls["jscode2session"],
            &calls["token"],
            &calls["checksession"]
        ),
        (&3.into(), &1.into(), &0.into())
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

#[tokio::test]
async fn unknown_paths_list_the_known_ones() {
    let sandbox = sandbox(SandboxSettings::default());
    let response = http()
        .get(sandbox.server.at("/sns/jscode2sesion"))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 404);
    let told: Value = response.json().await.unwrap();
    assert_eq!(
        told["endpoints"].as_array().unwrap().len(),
        hufu::sandbox::endpoints().count()
    );
}

#[tokio::test]
async fn wrong_methods_are_told() {
    let sandbox = sandbox(SandboxSettings::default());
    let wrong = http()
        .get(sandbox.server.at("/sandbox/code"))
        .send()
        .await
        .unwrap();
    assert_eq!(
        (wrong.status().as_u16(), &wrong.headers()["allow"]),
        (405, &"POST".parse().unwrap())
    );
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
    for (heading, section) in sections {
        let (method, path) = heading.split_once(' ').unwrap();
        let (url, body) = example(section, &variables(&sandbox).await);
        assert!(url.starts_with(&sandbox.server.at(path)), "{url}");
        let response = http()
            .request(method.parse().unwrap(), url)
            .body(body)
            .send()
            .await
            .unwrap();
        let (status, answer) = (response.status(), response.text().await.unwrap());
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
async fn variables(sandbox: &Sandbox) -> [(&'static str, String); 7] {
    let key = sandbox.platform.session_key(APP, "alice");
    [
        ("$BASE", sandbox.server.url.clone()),
        ("$CODE", sandbox.platform.login_code(APP, "alice")),
        (
            "$TT_CODE",
            sandbox.platform.login_code("tt0123456789abcdef", "alice"),
        ),
        ("$PHONE_CODE", sandbox.platform.phone_code(APP, "alice")),
        ("$OPENID", hufu::sandbox::openid(APP, "alice")),
        ("$TOKEN", sandbox.access_token().await),
        (
            "$SIGNATURE",
            hash::to_hex(&hash::hmac_sha256(key.expose().as_bytes(), b"")),
        ),
    ]
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
