//! Messages to the apps for which a third-party platform acts.

use hufu::sandbox::SandboxSettings;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::{
    AES_KEY, NONCE, TIME, TOKEN, assert_acknowledged, assert_refused, enveloped, key, signature,
    started, token,
};
use crate::helpers::client::Request;
use crate::helpers::{
    APPID, Gateway, GatewayBuilder, HttpAnswer, RedisServer, Script, Upstream, http, live_sandbox,
    until,
};
use crate::platforms::PATIENT;

const COMPONENT: &str = "wxc0123456789abcde";
/// Another authorizer.
const OTHER: &str = "wx00000000000000a2";
const MESSAGE: &str = "<xml><MsgId>7</MsgId><Content>the-content-of-a-message</Content></xml>";
const ENVELOPE: &str = "<xml><ToUserName>gh_1</ToUserName><Encrypt>@</Encrypt></xml>";

/// A third-party platform whose authorizers' messages go to this backend.
fn config(backend: &str) -> String {
    let push = format!("token = \"{TOKEN}\", aes_key = \"{AES_KEY}\"");
    let target = "upstream = \"backend\", path = \"/wx/messages\"";
    format!(
        "apps.open = {{ provider = \"wechat-component\", appid = \"{COMPONENT}\", secret = \"any\", push = {{ {push}, {target} }} }}\n\
         apps.bare = {{ provider = \"wechat-component\", appid = \"wxc0123456789abcdf\", secret = \"any\", push = {{ {push} }} }}\n\
         apps.own = {{ appid = \"{APPID}\", secret = \"any\", push = {{ {push}, {target} }} }}\n\
         upstreams.backend.endpoints = [\"{backend}\"]\n"
    )
}

fn path(authorizer: &str) -> String {
    format!("/auth/push/open/{authorizer}")
}

/// The platform's request: the message ends in the id of the component.
fn sent(gateway: &Gateway, authorizer: &str, message: &str) -> Request {
    let sealed = key().seal(message.as_bytes(), COMPONENT);
    enveloped(gateway.at(&path(authorizer)), &sealed, ENVELOPE)
}

/// What a sealed answer says.
fn opened(answer: &HttpAnswer) -> String {
    let text = answer.text();
    let (_, rest) = text.split_once("<Encrypt><![CDATA[").expect(&text);
    let (sealed, _) = rest.split_once("]]>").unwrap();
    String::from_utf8(key().open(sealed, COMPONENT).unwrap()).unwrap()
}

fn heads(backend: &Upstream) -> Vec<String> {
    let requests = backend.requests();
    let heads = requests.iter().map(|(head, _)| head.to_lowercase());
    heads.collect()
}

#[tokio::test]
async fn the_backend_reads_who_acts_and_for_whom() {
    let backend = Upstream::start(Script::answers("200 OK", "seen"));
    let gateway = started(&config(&backend.url));
    let query = [
        ("signature", &*signature(&token(), &[TIME, NONCE])),
        ("timestamp", TIME),
        ("nonce", NONCE),
        ("echostr", "4375120948345356249"),
    ];
    let check = gateway.get(&path(APPID)).query(&query).await;
    assert_eq!(
        (check.status(), &*check.text()),
        (200, "4375120948345356249")
    );
    for authorizer in [APPID, OTHER] {
        // WeChat's tries; one number under two authorizers is two messages.
        for _ in 0..3 {
            let answer = sent(&gateway, authorizer, MESSAGE);
            let answer = answer.header("X-WX-APPID", "forged").await;
            assert_eq!(answer.status(), 200, "{}", answer.text());
            assert_eq!(opened(&answer), "seen");
        }
    }
    let heads = heads(&backend);
    assert_eq!(heads.len(), 2);
    for (head, authorizer) in heads.iter().zip([APPID, OTHER]) {
        assert!(head.starts_with("post /wx/messages http/1.1\r\n"), "{head}");
        for line in [
            &format!("x-wx-appid: {authorizer}"),
            "x-hufu-app: open",
            "x-hufu-provider: wechat-component",
            "x-wx-source: wechat-push",
            "content-type: text/xml",
        ] {
            assert!(head.contains(&format!("\r\n{line}\r\n")), "{line}: {head}");
        }
        assert!(
            !head.contains("forged") && !head.contains(COMPONENT),
            "{head}"
        );
    }
    assert_eq!(backend.requests()[0].1, MESSAGE.as_bytes());
    for (outcome, count) in [("delivered", 2), ("repeated", 4)] {
        let counted = format!("hufu_pushes_total{{app=\"open\",outcome=\"{outcome}\"}}");
        assert_eq!(gateway.counted(&counted).await, count);
    }
    let line = gateway.access_line("the message", |line| {
        line["route"] == "push/{app}/{authorizer}" && line["method"] == "POST"
    });
    assert_eq!(
        (&line["app"], &line["status"]),
        (&json!("open"), &json!(200))
    );
}

#[tokio::test]
async fn only_what_the_platform_has_sealed_for_the_component_is_believed() {
    let backend = Upstream::named("ok");
    let gateway = started(&config(&backend.url));
    let at = || gateway.at(&path(APPID));
    let seal = |message: &str, id: &str| key().seal(message.as_bytes(), id);
    // As the message of the authorizer's own would be, and of another component.
    for id in [APPID, "wxc0123456789abcdf", ""] {
        let answer = enveloped(at(), &seal(MESSAGE, id), ENVELOPE).await;
        assert_refused(&answer, 400, "push_invalid");
    }
    let good = seal(MESSAGE, COMPONENT);
    let unsigned = gateway
        .post(&path(APPID))
        .body(ENVELOPE.replace('@', &good));
    assert_refused(&unsigned.await, 403, "push_signature_invalid");
    let swapped = ENVELOPE.replace('@', &seal(MESSAGE, COMPONENT));
    let swapped = enveloped(at(), &good, &swapped).await;
    assert_refused(&swapped, 403, "push_signature_invalid");
    let signed = signature(&token(), &[TIME, NONCE]);
    let plain = format!(
        "{}?signature={signed}&timestamp={TIME}&nonce={NONCE}",
        path(APPID)
    );
    assert_refused(
        &gateway.post(&plain).body(MESSAGE).await,
        400,
        "push_invalid",
    );
    // What only the gateway may have does not reach the backend by another URL.
    let own = "<xml><InfoType>component_verify_ticket</InfoType><CreateTime>9999999999</CreateTime><ComponentVerifyTicket>t</ComponentVerifyTicket></xml>";
    assert_refused(&sent(&gateway, APPID, own).await, 400, "push_invalid");
    gateway.logs("an event of the component's own").await;
    for (wrong, status, code) in [
        ("open/$APPID$", 400, "authorizer_invalid"),
        (&format!("open/{COMPONENT}"), 400, "authorizer_invalid"),
        (
            &format!("open/{}", "x".repeat(65)),
            400,
            "authorizer_invalid",
        ),
        // One without a backend, one that acts for nobody, and one that is not there.
        (&format!("bare/{APPID}"), 404, "endpoint_not_found"),
        (&format!("own/{APPID}"), 404, "endpoint_not_found"),
        (&format!("nobody/{APPID}"), 404, "endpoint_not_found"),
        (&format!("open/{APPID}/x"), 404, "endpoint_not_found"),
    ] {
        let at = gateway.at(&format!("/auth/push/{wrong}"));
        assert_refused(&enveloped(at, &good, ENVELOPE).await, status, code);
    }
    assert_eq!(backend.count("POST"), 0);
}

/// Another gateway delivers what the one had acknowledged that was killed, to the same authorizers.
#[tokio::test]
async fn what_was_acknowledged_arrives_after_a_kill_for_whom_it_came() {
    let redis = RedisServer::start(&[]);
    let backend = Upstream::start(Script::cut());
    let mut one = GatewayBuilder::new()
        .store(redis.url(""))
        .config(PATIENT)
        .config(config(&backend.url))
        .start();
    for authorizer in [APPID, OTHER] {
        assert_acknowledged(&sent(&one, authorizer, MESSAGE).await);
    }
    let keys: Vec<String> = redis.ask(&["KEYS", "hufu:p:*"]).unwrap();
    assert_eq!(keys.len(), 3, "{keys:?}");
    for key in &keys {
        let lives: i64 = redis.ask(&["PTTL", key]).unwrap();
        assert!(lives > 23 * 3_600_000, "{key}: {lives}");
        let dump: Vec<u8> = redis.ask(&["DUMP", key]).unwrap();
        let shown = String::from_utf8_lossy(&dump).into_owned();
        assert!(!shown.contains("the-content") && !shown.contains(OTHER));
    }
    one.signal(Signal::SIGKILL);
    one.ended();
    backend.set(Script::named("ok"));
    let other = one.sibling();
    let delivered = r#"hufu_push_redeliveries_total{app="open",outcome="delivered"}"#;
    other.counts(delivered, 2).await;
    other.counts(r#"hufu_pushes_kept{app="open"}"#, 0).await;
    for authorizer in [APPID, OTHER] {
        let line = format!("\r\nx-wx-appid: {authorizer}\r\n");
        until("the message to arrive", async || {
            heads(&backend).iter().any(|head| head.contains(&line))
        })
        .await;
        // It is known when it comes again.
        let seen = backend.count("POST");
        assert_eq!(sent(&other, authorizer, MESSAGE).await.status(), 200);
        assert_eq!(backend.count("POST"), seen);
    }
}

/// What the platform tells a component and the gateway does not act on, the backend may want.
#[tokio::test]
async fn other_events_of_the_component_reach_its_backend_if_it_has_one() {
    let backend = Upstream::named("seen");
    let gateway = started(&config(&backend.url));
    let event = |kind: &str, rest: &str| {
        format!("<xml><InfoType>{kind}</InfoType><CreateTime>{TIME}</CreateTime>{rest}</xml>")
    };
    let sent = |app: &str, message: &str| {
        let appid = ["wxc0123456789abcdf", COMPONENT][usize::from(app == "open")];
        let sealed = key().seal(message.as_bytes(), appid);
        enveloped(gateway.at(&format!("/auth/push/{app}")), &sealed, ENVELOPE)
    };
    let made = event("notify_third_fasteregister", "<appid>wx1</appid>");
    for _ in 0..2 {
        assert_eq!(opened(&sent("open", &made).await), "seen");
    }
    assert_eq!(backend.requests()[0].1, made.as_bytes());
    assert_eq!(backend.count("POST"), 1);

    assert_acknowledged(&sent("bare", &made).await);
    gateway
        .logs("kind \\\"notify_third_fasteregister\\\" is acknowledged and dropped")
        .await;
    let ignored = r#"hufu_pushes_total{app="bare",outcome="ignored"}"#;
    assert_eq!(gateway.counted(ignored).await, 1);

    // The gateway's own are for nobody else, also where something is missing in them.
    for kind in ["component_verify_ticket", "authorized", "unauthorized"] {
        for app in ["open", "bare"] {
            let answer = sent(app, &event(kind, "")).await;
            assert_refused(&answer, 400, "push_invalid");
        }
    }
    assert_eq!(backend.count("POST"), 1);
}

/// The simulator posts to the URL of an authorizer's messages, as the platform does.
#[tokio::test]
async fn a_message_of_the_simulator_reaches_the_backend() {
    let backend = Upstream::start(Script::answers("200 OK", "seen"));
    let gateway = started(&config(&backend.url));
    let wechat = live_sandbox(SandboxSettings::default());
    let control = async |path: &str, body: Value| {
        let url = wechat.server.at(&format!("/sandbox/{path}"));
        let answer = http().post(url).json(&body).await;
        (answer.status(), answer.json())
    };
    let push = json!({ "app": COMPONENT, "authorizer": APPID, "message": MESSAGE, "tries": 1 });
    let mut console = json!({
        "app": COMPONENT, "url": gateway.at("/auth/push/open"), "token": TOKEN, "aes_key": AES_KEY,
    });
    control("push-settings", console.clone()).await;
    let (status, said) = control("push", push.clone()).await;
    assert!(
        status == 400 && said["error"].as_str().unwrap().contains("message_url"),
        "{said}"
    );
    console["message_url"] = gateway.at("/auth/push/open/$APPID$").into();
    let (status, said) = control("push-settings", console).await;
    assert_eq!((status, said), (200, json!({ "checked": true })));
    let (status, said) = control("push", push.clone()).await;
    assert!(
        status == 400 && said["error"].as_str().unwrap().contains("authorize"),
        "{said}"
    );
    wechat.platform.authorize(COMPONENT, APPID);
    let (_, said) = control("push", push.clone()).await;
    assert_eq!(said["tries"][0]["answer"], "seen", "{said}");
    let mut foreign = push;
    foreign["fault"] = "appid".into();
    let (_, said) = control("push", foreign).await;
    assert_eq!(said["tries"][0]["status"], 400, "{said}");
    assert_eq!(backend.count("POST"), 1);
}
