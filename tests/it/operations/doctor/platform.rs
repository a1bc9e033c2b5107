//! What is said of WeChat and the way to it.

use std::process::Command;

use hufu::sandbox::{AcceptedApps, SandboxApp, SandboxSettings};
use hufu::secret::Secret;
use serde_json::json;

use super::{Said, doctor_with, run};
use crate::helpers::{
    APP_SECRET, APPID, GatewayBuilder, RedisServer, Sandbox, echo_upstream, http, route, sandbox,
};

#[test]
fn wechat_says_what_is_wrong_with_the_app() {
    let (server, apps) = (RedisServer::start(&[]), |appid: &str, secret: &str| {
        let app = SandboxApp {
            appid: appid.to_owned(),
            secret: Secret::new(secret.to_owned()),
        };
        sandbox(SandboxSettings {
            apps: AcceptedApps::Only(vec![app]),
            ..SandboxSettings::default()
        })
    });
    let of = |wechat: &Sandbox| doctor_with(&server.url(""), "", wechat);
    let wechat = apps(APPID, APP_SECRET);
    of(&wechat)
        .has("ok", "secret", &["takes the secret of"])
        .has("ok", "access token", &["gives one for"]);
    assert_eq!(
        wechat.platform.calls("token"),
        0,
        "it would end another one"
    );
    of(&apps(APPID, "another")).has("FAIL", "secret", &["40125", "apps.shop.secret"]);
    of(&apps("wx1", APP_SECRET)).has("FAIL", "secret", &["40013", "apps.shop.appid"]);
    let any = sandbox(SandboxSettings {
        accept_unknown_codes: true,
        ..SandboxSettings::default()
    });
    of(&any).has("warn", "secret", &["sandbox and not WeChat"]);
}

#[test]
fn each_way_not_to_reach_wechat_has_its_own_cure() {
    let (web, wechat) = (echo_upstream(), sandbox(SandboxSettings::default()));
    let of = |config: &str, base: &str| {
        run(
            &GatewayBuilder::new()
                .store("memory:")
                .config(format!("{config}{}", web.route("/", "none"))),
            base,
            &[],
        )
    };
    let encrypted = wechat.server.url.replace("http://", "https://");
    of("", &encrypted).has(
        "FAIL",
        "secret",
        &["speaks no TLS there", "write http:// in apps.shop.base_url"],
    );
    of("", "http://127.0.0.1:1").has("FAIL", "secret", &["refused", "nobody listens there"]);
    of("", "http://nothing.invalid").has(
        "FAIL",
        "secret",
        &[
            "does not resolve",
            "is the host in apps.shop.base_url right",
        ],
    );
    of("", &format!("{}/nowhere", wechat.server.url)).has(
        "FAIL",
        "secret",
        &["HTTP status 404", "leave apps.shop.base_url out"],
    );
    of("platforms.proxy = \"http://127.0.0.1:1\"\n", &encrypted).has(
        "FAIL",
        "secret",
        &["the proxy", "is platforms.proxy right"],
    );
}

#[tokio::test]
async fn an_address_that_wechat_does_not_list_is_told() {
    let (server, wechat) = (RedisServer::start(&[]), sandbox(SandboxSettings::default()));
    let answer =
        json!({ "errcode": 40164, "errmsg": "invalid ip 203.0.113.7, not in whitelist, rid: 1-2" });
    let fault = json!({ "api": "jscode2session", "times": 1, "body": answer.to_string() });
    let ordered = http()
        .post(wechat.server.at("/sandbox/faults"))
        .json(&fault)
        .await;
    assert!(ordered.is_success(), "{ordered:?}");
    doctor_with(&server.url(""), "", &wechat).has("FAIL", "secret", &["40164", "IP whitelist"]);
    // Mini programs sign in from anywhere; only the access token needs the list.
    let address = vec!["203.0.113.7".parse().unwrap()];
    wechat.platform.allow_addresses(APPID, address);
    let said = doctor_with(&server.url(""), "", &wechat);
    let told = ["40164", "add 127.0.0.1, from which WeChat saw"];
    said.has("ok", "secret", &["takes the secret of"])
        .has("warn", "access token", &told);
    assert_eq!(said.code, 0);
}

#[test]
fn every_address_of_the_platform_and_every_backend_is_tried() {
    let (server, wechat) = (RedisServer::start(&[]), sandbox(SandboxSettings::default()));
    let config = GatewayBuilder::new()
        .store(server.url(""))
        .config(route("/a", "http://nothing.invalid:9", "required"))
        .text("BASE");
    let config = config.replace(
        "\"BASE\"",
        &format!("[\"{}\", \"http://127.0.0.1:1\"]", wechat.server.url),
    );
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("hufu.toml"), config).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_hufu"))
        .arg("doctor")
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = Said {
        code: output.status.code().unwrap(),
        text: String::from_utf8(output.stdout).unwrap(),
    };
    said.has("ok", "secret", &["takes the secret"])
        .has("FAIL", "secret", &["127.0.0.1:1", "refused"])
        .has("FAIL", "endpoint", &["does not resolve"]);
    assert_eq!(said.code, 1);
    assert!(String::from_utf8_lossy(&output.stderr).ends_with("hufu: 2 checks failed\n"));
}
