//! Bodies in both directions, of any length, in constant memory.

use futures_util::stream;
use hufu::provider::client::{CallError, PlatformClient};
use hufu::provider::registry::platform;
use hufu::provider::server_calls::{ServerCall, ServerCallBody, ServerCalls};
use hufu::provider::settings::AppSettings;
use hufu::sandbox::SandboxSettings;
use hufu::secret::Secret;
use hufu::session::ProviderKind;
use serde_json::{Value, json};

use super::{SECRET, bytes, client, gateway, wechat, with_secret};
use crate::helpers::{APPID, Gateway, http, tls_provider, until};

/// More than is kept for a repetition.
const LONG: usize = 3 * 1024 * 1024;

/// A gateway with time for long bodies, also on a busy machine.
fn started() -> Gateway {
    gateway(&("apps.shop.timeout = \"30s\"\n".to_owned() + &client("")))
}

#[tokio::test]
async fn a_body_arrives_as_it_was_sent_whatever_its_length() {
    let gateway = started();
    for length in [0, 1, 2 * 1024 * 1024, 2 * 1024 * 1024 + 1, LONG] {
        let post = http().post(gateway.api("/wxa/test/echo?a=1&b=%20"));
        let echoed = post
            .bearer_auth(SECRET)
            .body("x".repeat(length))
            .await
            .json();
        assert_eq!(
            (&echoed["errcode"], &echoed["length"]),
            (&json!(0), &json!(length))
        );
        assert_eq!(echoed["query"], "access_token=TOKEN&a=1&b=%20");
        let announced = format!("content-length: {length}");
        assert!(
            echoed["headers"]
                .as_array()
                .unwrap()
                .contains(&json!(announced)),
            "{echoed}"
        );
    }
    // Without a length: a short one gets one, a long one goes on as it comes.
    for (pieces, header) in [
        (2, "content-length: 131072"),
        (48, "transfer-encoding: chunked"),
    ] {
        let body = (0..pieces).map(|_| Ok::<_, std::io::Error>("x".repeat(64 * 1024)));
        let post = http()
            .post(gateway.api("/wxa/test/echo"))
            .bearer_auth(SECRET);
        let echoed = post
            .body(reqwest::Body::wrap_stream(stream::iter(body)))
            .await
            .json();
        assert_eq!(echoed["length"], pieces * 64 * 1024);
        assert!(
            echoed["headers"]
                .as_array()
                .unwrap()
                .contains(&json!(header)),
            "{echoed}"
        );
    }
}

#[tokio::test]
async fn an_answer_arrives_as_it_was_sent_whatever_its_length() {
    let gateway = started();
    const LOOKED_AT: usize = 64 * 1024;
    for length in [
        0,
        1,
        LOOKED_AT - 1,
        LOOKED_AT,
        LOOKED_AT + 1,
        100 * 1024,
        LONG,
    ] {
        for (framing, header) in [("", Some(length.to_string())), ("&chunked=1", None)] {
            let get = http()
                .get(gateway.api(&format!("/wxa/test/whole?bytes={length}{framing}")))
                .bearer_auth(SECRET);
            let mut answer = get.stream().await;
            let announced = answer.headers().get("content-length");
            let announced = announced.map(|value| value.to_str().unwrap().to_owned());
            // What is read to its end before it goes on has a length of its own.
            if header.is_some() || length > 2 * LOOKED_AT {
                assert_eq!(announced, header, "{length}{framing}");
            }
            let mut body = Vec::new();
            while let Some(piece) = answer.chunk().await.unwrap() {
                body.extend_from_slice(&piece);
            }
            assert!(body == bytes(length), "{length}{framing}: {}", body.len());
        }
    }
}

#[tokio::test]
async fn a_large_upload_and_a_large_answer_cost_no_memory() {
    let gateway = started();
    gateway.call("/wxa/test/echo", &json!({})).await;
    let before = gateway.resident_kib();
    let pieces = (0..1600).map(|_| Ok::<_, std::io::Error>("x".repeat(64 * 1024)));
    let post = http()
        .post(gateway.api("/wxa/test/echo"))
        .bearer_auth(SECRET);
    let echoed = post
        .body(reqwest::Body::wrap_stream(stream::iter(pieces)))
        .await
        .json();
    assert_eq!(echoed["length"], 1600 * 64 * 1024);
    let get = http()
        .get(gateway.api("/wxa/test/large?pieces=1600"))
        .bearer_auth(SECRET);
    let mut answer = get.stream().await;
    assert_eq!(answer.headers()["content-type"], "image/png");
    let mut length = 0;
    while let Some(piece) = answer.chunk().await.unwrap() {
        length += piece.len();
    }
    assert_eq!(length, 1600 * 64 * 1024);
    let grown = gateway.resident_kib().saturating_sub(before);
    assert!(grown < 32 * 1024, "100 MiB each way cost {grown} KiB");
}

#[tokio::test]
async fn what_breaks_off_stays_broken() {
    let gateway = started();
    let broken = http()
        .get(gateway.api("/wxa/test/break"))
        .bearer_auth(SECRET);
    assert!(broken.try_send().await.is_err());
    gateway.access_line("the answer", |line| line["error"] == "platform_error");

    // An upload that ends early must not arrive as a whole one.
    for (sent, head) in [
        (1, "Content-Length: 4000000\r\n"),
        (2, "Transfer-Encoding: chunked\r\n"),
    ] {
        let mut client = crate::helpers::Probe::connect(gateway.platform_api()).await;
        client.send(with_secret("POST /wxa/test/echo", head)).await;
        let begin = "x".repeat(3_000_000);
        let begin = if head.starts_with('T') {
            format!("{:x}\r\n{begin}\r\n", begin.len())
        } else {
            begin
        };
        client.send(begin).await;
        client.finish().await;
        until("the line of the upload", async || {
            broken_uploads(&gateway) == sent
        })
        .await;
    }
    assert!(!gateway.stdout().contains(r#""error":"internal""#));
}

/// How many access lines say so.
fn broken_uploads(gateway: &Gateway) -> usize {
    let lines = gateway.stdout();
    let lines = lines
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines
        .filter(|line| line["error"] == "body_broken" || line["status"] == 499)
        .count()
}

#[tokio::test]
async fn a_long_upload_is_answered_as_it_comes_when_its_token_is_refused() {
    let gateway = started();
    gateway.call("/wxa/test/echo", &json!({})).await;
    gateway.wechat.platform.end_tokens(crate::helpers::APPID);
    let post = http()
        .post(gateway.api("/wxa/test/echo"))
        .bearer_auth(SECRET);
    let refused = post.body("x".repeat(LONG)).await;
    assert_eq!(
        (refused.status(), &refused.json()["errcode"]),
        (200, &json!(40001))
    );
}

/// One that comes as it is sent cannot be repeated, so only the next one can do better.
#[tokio::test]
async fn a_streamed_upload_leaves_an_address_that_cannot_be_reached() {
    tls_provider();
    let wechat = wechat(SandboxSettings::default());
    let secret = Secret::new("any".to_owned());
    let settings = AppSettings {
        // Nothing listens on it.
        base_urls: vec!["http://127.0.0.1:1".to_owned(), wechat.server.url.clone()],
        ..platform(ProviderKind::WechatMiniProgram).app("shop", APPID, secret)
    };
    let client = PlatformClient::new(Default::default()).unwrap();
    let calls = ServerCalls::new(&settings, client).unwrap();
    let send = async || {
        let (sender, pieces) = tokio::sync::mpsc::channel(2);
        sender.send(Some("x".into())).await.unwrap();
        sender.send(None).await.unwrap();
        let call = ServerCall {
            method: "POST",
            path: "/wxa/test/echo",
            query: Secret::new("access_token=that-nobody-may-see".to_owned()),
            headers: &[],
        };
        let body = ServerCallBody::Stream {
            length: Some(1),
            pieces,
        };
        calls.send(&call, body).await
    };
    assert!(matches!(send().await, Err(CallError::NotSent { .. })));
    let answer = send().await.unwrap();
    assert_eq!(answer.status, 200);
    assert!(!format!("{answer:?}").contains("nobody-may-see"));
}
