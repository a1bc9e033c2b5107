//! The simulator pushes messages as the platform does, to a gateway that takes them.

use hufu::sandbox::SandboxSettings;
use serde_json::{Value, json};

use super::APP;
use crate::helpers::{Gateway, Sandbox, Script, Upstream, sandbox};
use crate::platforms::push::{AES_KEY, SEALED, TOKEN, pushed_to};

async fn entered(sandbox: &Sandbox, gateway: &Gateway, more: Value) -> (u16, Value) {
    let mut settings = json!({ "app": APP, "url": gateway.at("/auth/push/shop"), "token": TOKEN, "aes_key": AES_KEY });
    let fields = settings.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    sandbox
        .control("/sandbox/push-settings", &settings.to_string())
        .await
}

async fn pushed(sandbox: &Sandbox, message: Value, more: Value) -> Value {
    let mut push = json!({ "app": APP, "message": message, "interval_ms": 1, "tries": 2 });
    let fields = push.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    let (status, answer) = sandbox.control("/sandbox/push", &push.to_string()).await;
    assert_eq!(status, 200, "{answer}");
    answer
}

#[tokio::test]
async fn a_message_of_the_simulator_reaches_the_backend() {
    let backend = Upstream::start(Script::answers("200 OK", "seen"));
    let gateway = Gateway::start(&pushed_to(&backend.url, SEALED));
    let sandbox = sandbox(SandboxSettings::default());
    let (status, answer) = entered(&sandbox, &gateway, json!({})).await;
    assert_eq!((status, answer), (200, json!({ "checked": true })));
    for (mode, number) in [("safe", 1), ("compatible", 2)] {
        let (status, _) = entered(&sandbox, &gateway, json!({ "mode": mode })).await;
        assert_eq!(status, 200);
        let xml = format!("<xml><MsgId>{number}</MsgId></xml>");
        for message in [json!(xml), json!({ "MsgId": number + 10 })] {
            let answer = pushed(&sandbox, message.clone(), json!({})).await;
            assert_eq!(answer["delivered"], true, "{answer}");
            assert_eq!(answer["tries"][0]["answer"], "seen");
            let sent = message
                .as_str()
                .map_or_else(|| message.to_string(), str::to_owned);
            let has_it = backend
                .requests()
                .iter()
                .any(|(_, body)| body == sent.as_bytes());
            assert!(has_it, "{sent}");
        }
    }
    assert_eq!(backend.count("POST"), 4);
}

#[tokio::test]
async fn faults_of_the_simulator_are_refused_and_sent_again() {
    let backend = Upstream::named("ok");
    let gateway = Gateway::start(&pushed_to(&backend.url, SEALED));
    let sandbox = sandbox(SandboxSettings::default());
    let (status, wrong) = sandbox
        .control(
            "/sandbox/push",
            &json!({ "app": APP, "message": "x" }).to_string(),
        )
        .await;
    assert_eq!(status, 400, "{wrong}");
    assert_eq!(entered(&sandbox, &gateway, json!({})).await.0, 200);
    for (fault, status) in [
        ("signature", 403),
        ("appid", 400),
        ("doctype", 400),
        ("plain", 400),
    ] {
        let answer = pushed(&sandbox, json!("<xml/>"), json!({ "fault": fault })).await;
        assert_eq!(answer["delivered"], false, "{fault}: {answer}");
        let tries = answer["tries"].as_array().unwrap();
        assert_eq!(tries.len(), 2);
        assert!(
            tries.iter().all(|tried| tried["status"] == status),
            "{fault}: {answer}"
        );
    }
    assert_eq!(backend.count("POST"), 0);
    // The console does not take an URL that does not know the Token.
    let (status, answer) = entered(&sandbox, &gateway, json!({ "token": "another" })).await;
    assert_eq!(status, 400);
    assert!(
        answer["error"]
            .as_str()
            .unwrap()
            .contains("did not answer the echostr"),
        "{answer}"
    );
    let (status, _) = entered(&sandbox, &gateway, json!({ "aes_key": "short" })).await;
    assert_eq!(status, 400);
}
