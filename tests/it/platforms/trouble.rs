//! What the platform refuses for a reason of the operator's shows in readiness, until it refuses it
//! no more.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::helpers::{APPID, Gateway, Server, http, until};

async fn fault(gateway: &Gateway, order: Value) {
    gateway.fault(order).await;
}

async fn status(gateway: &Gateway, query: &str) -> u16 {
    gateway.admin_get(&format!("/readyz{query}")).await.status()
}

#[tokio::test]
async fn an_app_that_wechat_refuses_is_a_degraded_part_until_a_login_works() {
    let gateway = Gateway::start("");
    assert_eq!(gateway.part("platforms").await, json!({ "state": "up" }));
    for (errcode, words) in [
        (40013, "apps.shop.appid"),
        (40125, "apps.shop.secret"),
        (40164, "IP whitelist"),
        (45009, "the day's quota"),
    ] {
        fault(&gateway, json!({ "api": "jscode2session", "times": 1, "body": { "errcode": errcode, "errmsg": "no" } })).await;
        assert_eq!(
            gateway
                .login_with(json!({ "code": format!("code-{errcode}") }))
                .await
                .status(),
            500
        );
        let part = gateway.part("platforms").await;
        let reason = part["reason"].as_str().unwrap_or_default();
        assert!(
            part["state"] == "down" && reason.starts_with("apps.shop: ") && reason.contains(words),
            "{part}"
        );
        assert_eq!(
            (
                status(&gateway, "").await,
                status(&gateway, "?strict=1").await
            ),
            (200, 503)
        );
        // What a client can cause is no trouble, and shows that there is none.
        fault(&gateway, json!({ "api": "jscode2session", "times": 1, "body": { "errcode": 40029, "errmsg": "no" } })).await;
        assert_eq!(
            gateway
                .login_with(json!({ "code": format!("wrong-{errcode}") }))
                .await
                .status(),
            400
        );
        assert_eq!(
            gateway.part("platforms").await,
            json!({ "state": "up" }),
            "{errcode}"
        );
    }
}

#[tokio::test]
async fn a_platform_that_does_not_answer_is_a_degraded_part_until_it_does() {
    let gateway = Gateway::start("");
    fault(
        &gateway,
        json!({ "api": "jscode2session", "times": 5, "status": 500 }),
    )
    .await;
    for n in 0..5 {
        assert_eq!(
            gateway
                .login_with(json!({ "code": format!("down-{n}") }))
                .await
                .status(),
            503
        );
    }
    let part = gateway.part("platforms").await;
    assert!(
        part["reason"]
            .as_str()
            .unwrap_or_default()
            .starts_with("apps.shop: WeChat does not answer"),
        "{part}"
    );
    assert_eq!(status(&gateway, "").await, 200);
    until("WeChat to be asked again", async || {
        gateway
            .login_with(json!({ "code": "again" }))
            .await
            .status()
            == 200
    })
    .await;
    assert_eq!(gateway.part("platforms").await, json!({ "state": "up" }));
}

/// The simulator as a command, with what docs/sandbox.md lists.
#[tokio::test]
async fn a_wrong_secret_can_be_tried_with_the_sandbox() {
    let options = [
        &format!("--app={APPID}=right"),
        "--app=wxfedcba9876543210=other",
        "--unknown-codes",
        "--code-lifetime=0s",
        "--key-rotation=0s",
        "--logins-per-minute=3",
    ];
    let sandbox = Server::start("hufu sandbox", |port, _| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hufu"));
        command
            .args(["sandbox", "--listen", &format!("127.0.0.1:{port}")])
            .args(options);
        command
    });
    let base = format!("http://{}", sandbox.address());
    let exchange = async |appid: &str, secret: &str, code: &str| -> Value {
        let query =
            format!("appid={appid}&secret={secret}&js_code={code}&grant_type=authorization_code");
        let text = http()
            .get(format!("{base}/sns/jscode2session?{query}"))
            .await
            .text();
        serde_json::from_str(&text).unwrap()
    };
    let first = exchange(APPID, "right", "alice").await;
    let issued: Value = http()
        .post(format!("{base}/sandbox/code"))
        .body(json!({ "app": APPID, "user": "bob" }).to_string())
        .await
        .json();
    assert_eq!(
        (first["errcode"].clone(), issued["expires_in"].clone()),
        (Value::Null, json!(0))
    );
    for (appid, secret, errcode) in [
        (APPID, "wrong", 40125),
        ("wxfedcba9876543210", "right", 40125),
        ("wx1111111111111111", "right", 40013),
    ] {
        assert_eq!(
            exchange(appid, secret, "alice-again").await["errcode"],
            errcode,
            "{appid} {secret}"
        );
    }

    // The gateway, its doctor and its readiness say what they would say with WeChat.
    let config =
        format!("[apps.game]\nappid = \"{APPID}\"\nsecret = \"wrong\"\nbase_url = \"{base}\"\n");
    let gateway = Gateway::start(&config);
    assert_eq!(
        gateway
            .login_with(json!({ "app": "game", "code": "x" }))
            .await
            .status(),
        500
    );
    let part = gateway.part("platforms").await;
    assert!(
        part["reason"]
            .as_str()
            .unwrap_or_default()
            .contains("apps.game.secret"),
        "{part}"
    );
    for wrong in [
        "--app=wx1",
        "--app==x",
        "--app=x=",
        "--code-lifetime=5",
        "--logins-per-minute=many",
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hufu"));
        let refused = command
            .args(["sandbox", "--listen", "127.0.0.1:0", wrong])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert_eq!(refused.status.code(), Some(2), "{wrong}");
    }
}
