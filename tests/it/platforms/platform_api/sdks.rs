//! SDKs as their registries have them, unmodified.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use hufu::clock::monotonic_now;
use hufu::sandbox::SandboxSettings;
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use super::authorizers::{self, AUTHORIZER, STRANGER};
use super::{OTHER_SECRET, SECRET, calls, client, gateway, gateway_at, wechat};
use crate::helpers::programs::{node_with, program, python_with};
use crate::helpers::{APPID, Gateway, until};

const ROUNDS: u32 = 60;

/// One of the SDKs, as a program that calls three APIs again and again.
#[derive(Clone)]
struct Sdk {
    name: &'static str,
    program: PathBuf,
    script: PathBuf,
}

fn sdks() -> Vec<Sdk> {
    let folder =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/platforms/platform_api/sdks");
    let python = python_with("wechatpy").map(|program| Sdk {
        name: "wechatpy",
        program,
        script: folder.join("wechatpy_client.py"),
    });
    let node = node_with("co-wechat-api").map(|program| Sdk {
        name: "co-wechat-api",
        program,
        script: folder.join("co_wechat_api_client.js"),
    });
    python.into_iter().chain(node).collect()
}

impl Sdk {
    fn start(&self, gateway: &Gateway, secret: &str, rounds: u32) -> Child {
        self.start_for(gateway, APPID, secret, rounds)
    }

    fn start_for(&self, gateway: &Gateway, appid: &str, secret: &str, rounds: u32) -> Child {
        let modules =
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/test-tools/node/node_modules");
        Command::new(&self.program)
            .arg(&self.script)
            .args([
                &gateway.api(""),
                appid,
                secret,
                &hufu::sandbox::openid(appid, "alice"),
                &rounds.to_string(),
            ])
            .env("NODE_PATH", modules)
            .env_remove("http_proxy")
            .env_remove("https_proxy")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    async fn report(&self, child: Child) -> Value {
        let output = child.wait_with_output().await.unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| {
            panic!("{}: {}", self.name, String::from_utf8_lossy(&output.stderr))
        })
    }
}

/// Calls of the three APIs, and of those that fetch a token.
fn all_calls(gateway: &Gateway) -> (u64, u64) {
    let apis = [
        "message/custom/send",
        "message/subscribe/send",
        "msg_sec_check",
    ];
    let fetches = calls(gateway, "stable_token") + calls(gateway, "token");
    (apis.iter().map(|api| calls(gateway, api)).sum(), fetches)
}

#[tokio::test]
async fn none_of_their_calls_fails_while_the_token_is_replaced() {
    let sdks = sdks();
    let began = monotonic_now();
    let gateway = gateway_at(
        wechat(SandboxSettings {
            // A token rests after its fetch for a tenth of its life.
            token_life: Duration::from_secs(20),
            ..SandboxSettings::default()
        }),
        &(client("rate = \"off\"\n")),
    );
    gateway.token("alice").await;
    let running: Vec<_> = sdks
        .iter()
        .map(|sdk| (sdk, sdk.start(&gateway, SECRET, ROUNDS)))
        .collect();
    if sdks.is_empty() {
        return;
    }
    // Time itself is the matter: the token must not be new.
    until("the first calls", async || all_calls(&gateway).0 > 0).await;
    tokio::time::sleep(Duration::from_millis(2100)).await;
    let before = all_calls(&gateway).0;
    assert!(gateway.wechat.platform.end_tokens(APPID) > 0);
    for (sdk, child) in running {
        let report = sdk.report(child).await;
        assert_eq!(
            (&report["failed"], &report["done"]),
            (&json!([]), &json!(3 * ROUNDS)),
            "{}",
            sdk.name
        );
    }
    let (made, fetches) = all_calls(&gateway);
    assert!(before < made, "the token was replaced while they called");
    let expected = u64::from(3 * ROUNDS) * sdks.len() as u64;
    assert!(
        (expected..expected + 10).contains(&made),
        "{made} for {expected}"
    );
    // And one for each that comes near its end while a slow machine is at it.
    let most = 3 + began.elapsed().as_secs() / 15;
    assert!((2..=most).contains(&fetches), "{fetches}");
}

/// As SDKs of the authorizer's own: its id, and the client's secret.
#[tokio::test]
async fn they_call_for_an_authorizer_as_for_any_app() {
    let gateway = authorizers::gateway(SandboxSettings::default(), "\"open\"", "").await;
    authorizers::user_of(&gateway, AUTHORIZER).await;
    for sdk in sdks() {
        let report = sdk
            .report(sdk.start_for(&gateway, AUTHORIZER, SECRET, 2))
            .await;
        let found = (&report["failed"], &report["done"]);
        assert_eq!(found, (&json!([]), &json!(6)), "{}", sdk.name);
        let report = sdk
            .report(sdk.start_for(&gateway, STRANGER, SECRET, 1))
            .await;
        assert_eq!(report["done"], 0, "{report}");
        let said = report["failed"][0].as_str().unwrap();
        assert!(said.contains("61003"), "{report}");
    }
    assert!(calls(&gateway, "api_get_authorizer_info") <= 1);
}

#[tokio::test]
async fn a_refusal_a_wrong_secret_and_a_dead_platform_make_no_loop() {
    for sdk in sdks() {
        let forbidden = gateway(&client("").replace(
            "\"/wxa/msg_sec_check\", \"/cgi-bin/message/*\"",
            "\"/wxa/x\"",
        ));
        let report = sdk.report(sdk.start(&forbidden, SECRET, 1)).await;
        assert_eq!(
            (&report["done"], report["failed"].as_array().unwrap().len()),
            (&json!(0), 3),
            "{report}"
        );
        assert!(
            report["failed"][0].as_str().unwrap().contains("48001"),
            "{report}"
        );
        assert_eq!(all_calls(&forbidden), (0, 0), "{}", sdk.name);

        let report = sdk.report(sdk.start(&forbidden, OTHER_SECRET, 1)).await;
        assert!(
            report["failed"][0].as_str().unwrap().contains("40125"),
            "{report}"
        );
        assert_eq!(all_calls(&forbidden), (0, 0), "{}", sdk.name);

        let dead = gateway(&client(""));
        dead.fault(json!({ "api": "stable_token", "times": 1000, "status": 503 }))
            .await;
        let report = sdk.report(sdk.start(&dead, SECRET, 1)).await;
        assert_eq!(report["done"], 0, "{report}");
        let (made, fetches) = all_calls(&dead);
        assert!(made == 0 && fetches <= 3, "{}: {made} {fetches}", sdk.name);

        // And one that refuses every token.
        let refusing = gateway(&client(""));
        let refused = json!({ "errcode": 40001, "errmsg": "invalid credential" });
        for api in [
            "message/custom/send",
            "message/subscribe/send",
            "msg_sec_check",
        ] {
            refusing
                .fault(json!({ "api": api, "times": 1000, "body": refused }))
                .await;
        }
        let report = sdk.report(sdk.start(&refusing, SECRET, 1)).await;
        assert_eq!(report["done"], 0, "{report}");
        let (made, fetches) = all_calls(&refusing);
        assert!(made <= 6 && fetches <= 2, "{}: {made} {fetches}", sdk.name);
    }
}

#[tokio::test]
async fn curl_and_requests_call_through_http_proxy() {
    let gateway = gateway(&client(""));
    let proxy = format!("http://orders:{SECRET}@{}", gateway.platform_api());
    let url = "http://api.weixin.qq.com/wxa/msg_sec_check";
    let mut ways = Vec::new();
    if let Some(curl) = program("curl") {
        let mut command = Command::new(curl);
        command.args(["-s", "-S", url, "-d", r#"{"content":"hello"}"#]);
        ways.push(command);
    }
    if let Some(python) = python_with("requests") {
        let mut command = Command::new(python);
        command.args([
            "-c",
            &format!(
                "import requests; print(requests.post({url:?}, json={{'content': 'hello'}}).text)"
            ),
        ]);
        ways.push(command);
    }
    let count = ways.len();
    for mut way in ways {
        way.env("http_proxy", &proxy)
            .env_remove("no_proxy")
            .env_remove("NO_PROXY");
        let output = way.output().await.unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            text.contains(r#""errcode":0"#),
            "{text} {}",
            String::from_utf8_lossy(&output.stderr)
        );
        way.env("http_proxy", proxy.replace(SECRET, OTHER_SECRET));
        let refused = String::from_utf8_lossy(&way.output().await.unwrap().stdout).into_owned();
        assert!(refused.contains("client_secret_invalid"), "{refused}");
    }
    assert_eq!(calls(&gateway, "msg_sec_check"), count as u64);
}
