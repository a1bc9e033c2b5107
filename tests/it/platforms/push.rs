//! Messages that the platform pushes: what is believed, what the backend gets, what the platform is
//! answered.

use std::time::Duration;

use hufu::crypto::push::{PushKey, signature};
use hufu::secret::Secret;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::helpers::client::Request;
use crate::helpers::{APPID, Gateway, GatewayBuilder, HttpAnswer, Script, Upstream};

mod authorizers;
mod delivery;
mod kept;
mod processes;
mod rules;

/// What signs the messages.
pub(crate) const TOKEN: &str = "pushtokenthatnobodymaysee";
/// What seals them, as the console shows it.
pub(crate) const AES_KEY: &str = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C";

const PATH: &str = "/auth/push/shop";
pub(crate) const SEALED: &str =
    "apps.shop.push.aes_key = \"jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C\"\n";
const TIME: &str = "1409659589";
const NONCE: &str = "263014780";

/// The lines of an app that takes messages for this backend.
pub(crate) fn pushed_to(backend: &str, more: &str) -> String {
    format!(
        "apps.shop.push.token = \"{TOKEN}\"\napps.shop.push.upstream = \"backend\"\napps.shop.push.path = \"/wx/messages?from=wx\"\n{more}[upstreams.backend]\nendpoints = [\"{backend}\"]\n"
    )
}

fn token() -> Secret<String> {
    Secret::new(TOKEN.to_owned())
}

pub(crate) fn key() -> PushKey {
    PushKey::parse(AES_KEY).unwrap()
}

/// The platform's request with a message as it is.
fn plain(gateway: &Gateway, message: &str) -> Request {
    let signed = signature(&token(), &[TIME, NONCE]);
    let path = format!("{PATH}?signature={signed}&timestamp={TIME}&nonce={NONCE}&openid=o1");
    gateway.post(&path).body(message.to_owned())
}

/// The platform's request with a sealed text in this body, where `@` stands for the text.
pub(crate) fn enveloped(at: String, sealed: &str, body: &str) -> Request {
    let signed = signature(&token(), &[TIME, NONCE]);
    let sealed_signature = signature(&token(), &[TIME, NONCE, sealed]);
    let query = [
        ("signature", &*signed),
        ("timestamp", TIME),
        ("nonce", NONCE),
        ("encrypt_type", "aes"),
        ("msg_signature", &sealed_signature),
    ];
    let request = crate::helpers::http().post(at).query(&query);
    request.body(body.replace('@', sealed))
}

/// A sealed message in the envelope of its language.
fn sealed(gateway: &Gateway, message: &str) -> Request {
    let envelope = if message.starts_with('{') {
        r#"{"ToUserName":"gh_1","Encrypt":"@"}"#
    } else {
        "<xml><ToUserName><![CDATA[gh_1]]></ToUserName><Encrypt><![CDATA[@]]></Encrypt></xml>"
    };
    enveloped(
        gateway.at(PATH),
        &key().seal(message.as_bytes(), APPID),
        envelope,
    )
}

fn started(config: &str) -> Gateway {
    GatewayBuilder::new().config(config).start()
}

#[track_caller]
fn assert_acknowledged(answer: &HttpAnswer) {
    assert_eq!((answer.status(), &*answer.text()), (200, "success"));
    assert_eq!(answer.header("content-type"), "text/plain");
}

#[track_caller]
fn assert_refused(answer: &HttpAnswer, status: u16, code: &str) {
    let found = (answer.status(), answer.code());
    assert_eq!(found, (status, Some(code)), "{}", answer.text());
}

#[tokio::test]
async fn the_check_of_the_console_is_answered() {
    let template = "failure.status = 200\nfailure.body = '{\"code\":\"{code}\"}'\n";
    let config = pushed_to("http://127.0.0.1:9", SEALED);
    let gateway = started(&format!("{template}{config}"));
    let signed = signature(&token(), &[TIME, NONCE]);
    let check = |app: &str, signed: &str, echo: &str| {
        let query = [
            ("signature", signed),
            ("timestamp", TIME),
            ("nonce", NONCE),
            ("echostr", echo),
        ];
        gateway.get(&format!("/auth/push/{app}")).query(&query)
    };
    let answer = check("shop", &signed, "4375120948345356249").await;
    assert_eq!(
        (answer.status(), &*answer.text()),
        (200, "4375120948345356249")
    );
    assert_eq!(answer.header("content-type"), "text/plain");
    assert_eq!(answer.header("cache-control"), "no-store");
    let other = signature(&Secret::new("other".to_owned()), &[TIME, NONCE]);
    for signed in [&*other, "", &signed.to_uppercase()] {
        assert_refused(
            &check("shop", signed, "1").await,
            403,
            "push_signature_invalid",
        );
    }
    for echo in ["", "<script>alert(1)</script>", "a b", &"a".repeat(129)] {
        assert_refused(&check("shop", &signed, echo).await, 400, "push_invalid");
    }
    // An app without messages has no such endpoint, nor has one that is not there.
    for app in ["nobody", "shop/x", "SHOP"] {
        assert_refused(&check(app, &signed, "1").await, 404, "endpoint_not_found");
    }
    let twice = gateway.get(&format!("{PATH}?nonce=1&nonce=2")).await;
    assert_refused(&twice, 400, "push_invalid");
    let method = gateway.put(PATH).await;
    assert_refused(&method, 405, "method_not_allowed");
    assert_eq!(method.header("allow"), "GET, HEAD, POST");
}

#[tokio::test]
async fn the_backend_gets_the_plain_message_and_its_answer_goes_back() {
    for (is_sealed, message, media_type) in [
        (
            true,
            "<xml><MsgId>1</MsgId><Content><![CDATA[a & b]]></Content></xml>",
            "text/xml",
        ),
        (true, r#"{"MsgId":1,"Content":"a"}"#, "application/json"),
        (false, "<xml><MsgId>1</MsgId></xml>", "text/xml"),
        (
            false,
            r#"{"Event":"kf_create_session"}"#,
            "application/json",
        ),
    ] {
        let said = r#"{"ErrCode":0}"#;
        let backend = Upstream::start(Script::answers("200 OK", said));
        let more = if is_sealed { SEALED } else { "" };
        let gateway = started(&pushed_to(&backend.url, more));
        let request = if is_sealed {
            sealed(&gateway, message)
        } else {
            plain(&gateway, message)
        };
        let answer = request
            .header("X-WX-OPENID", "forged")
            .header("X-WX-SOURCE", "forged")
            .header("Authorization", "Bearer x")
            .await;
        assert_eq!(answer.status(), 200, "{}", answer.text());
        assert_eq!(answer.header("content-type"), media_type);
        let opened = if is_sealed {
            opened(&answer)
        } else {
            answer.text()
        };
        assert_eq!(opened, said);

        let requests = backend.requests();
        let [(head, body)] = &requests[..] else {
            panic!("{requests:?}")
        };
        assert_eq!(String::from_utf8_lossy(body), message);
        assert!(
            head.starts_with("POST /wx/messages?from=wx HTTP/1.1\r\n"),
            "{head}"
        );
        let head = head.to_lowercase();
        for line in [
            "x-wx-source: wechat-push",
            &format!("x-wx-appid: {APPID}"),
            "x-hufu-app: shop",
            "x-hufu-provider: wechat-mini-program",
            &format!("content-type: {media_type}"),
            &format!("host: {}", backend.url.trim_start_matches("http://")),
        ] {
            assert!(
                head.contains(&format!("\r\n{line}")),
                "{line} is not in {head}"
            );
        }
        for name in ["forged", "x-wx-openid", "authorization", "openid"] {
            assert!(!head.contains(name), "{name} is in {head}");
        }
        assert_eq!(
            gateway
                .counted(r#"hufu_pushes_total{app="shop",outcome="delivered"}"#)
                .await,
            1
        );
        let line = gateway.access_line("the message", |line| line["route"] == "push/{app}");
        assert_eq!(
            (&line["app"], &line["status"]),
            (&json!("shop"), &json!(200))
        );
    }
}

/// What a sealed answer says, whose signature is right.
fn opened(answer: &HttpAnswer) -> String {
    let text = answer.text();
    let field = |name: &str| -> String {
        if text.starts_with('{') {
            let value = answer.json()[name].clone();
            return value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
        }
        let (_, rest) = text.split_once(&format!("<{name}>")).unwrap();
        let (value, _) = rest.split_once(&format!("</{name}>")).unwrap();
        let value = value
            .trim_start_matches("<![CDATA[")
            .trim_end_matches("]]>");
        value.to_owned()
    };
    let sealed = field("Encrypt");
    let parts = [&*field("TimeStamp"), &field("Nonce"), &sealed];
    assert_eq!(field("MsgSignature"), signature(&token(), &parts), "{text}");
    String::from_utf8(key().open(&sealed, APPID).unwrap()).unwrap()
}

#[tokio::test]
async fn what_is_not_signed_sealed_and_for_this_app_reaches_nobody() {
    let backend = Upstream::named("ok");
    let gateway = started(&pushed_to(&backend.url, SEALED));
    let message = "<xml><MsgId>1</MsgId></xml>";
    let envelope = "<xml><Encrypt>@</Encrypt></xml>";
    let good = key().seal(message.as_bytes(), APPID);
    let at = || gateway.at(PATH);

    // Signed, but not sealed; sealed, but not signed.
    assert_refused(&plain(&gateway, message).await, 400, "push_invalid");
    gateway.logs("The message is not encrypted").await;
    let unsigned = gateway.post(PATH).body(envelope.replace('@', &good));
    assert_refused(&unsigned.await, 403, "push_signature_invalid");
    let only_plain_signature = plain(&gateway, &envelope.replace('@', &good));
    assert_refused(&only_plain_signature.await, 400, "push_invalid");
    // The signature of another message; none in the body.
    let other = key().seal(message.as_bytes(), APPID);
    let swapped = enveloped(at(), &good, &envelope.replace('@', &other));
    assert_refused(&swapped.await, 403, "push_signature_invalid");
    let bare = enveloped(at(), &good, message);
    assert_refused(&bare.await, 403, "push_signature_invalid");
    let typed = "<!DOCTYPE xml><xml><Encrypt>@</Encrypt></xml>";
    assert_refused(
        &enveloped(at(), &good, typed).await,
        403,
        "push_signature_invalid",
    );
    // What is inside: for another app, with a document type, no message.
    for inside in [
        key().seal(message.as_bytes(), "wx0123456789abcdee"),
        key().seal(
            b"<!DOCTYPE xml [<!ENTITY a SYSTEM \"file:///etc/hostname\">]><xml>&a;</xml>",
            APPID,
        ),
        key().seal(b"<xml>&a;</xml>", APPID),
        key().seal(b"hello", APPID),
        "AAAA".to_owned(),
    ] {
        assert_refused(
            &enveloped(at(), &inside, envelope).await,
            400,
            "push_invalid",
        );
    }
    let long = sealed(
        &gateway,
        &format!("<xml><A>{}</A></xml>", "x".repeat(256 * 1024)),
    );
    assert_refused(&long.await, 413, "body_too_large");
    assert_eq!(backend.count("POST"), 0);
    let refused = r#"hufu_pushes_total{app="shop",outcome="refused"}"#;
    assert_eq!(gateway.counted(refused).await, 11);

    // The console's compatible mode has both in one body: only what was sealed goes on.
    let both = "<xml><MsgId>2</MsgId><Content>forged</Content><Encrypt>@</Encrypt></xml>";
    let answer = enveloped(at(), &good, both).await;
    assert_eq!((answer.status(), opened(&answer)), (200, "ok".to_owned()));
    assert_eq!(backend.requests()[0].1, message.as_bytes());
}

/// The app lacks the key that the console has.
#[tokio::test]
async fn without_a_key_an_encrypted_message_is_refused() {
    let backend = Upstream::named("ok");
    let gateway = started(&pushed_to(&backend.url, ""));
    for message in ["<xml><MsgId>1</MsgId></xml>", r#"{"MsgId":1}"#] {
        assert_refused(&sealed(&gateway, message).await, 400, "push_invalid");
    }
    gateway.logs("this app has no aes_key").await;
    assert_eq!(backend.count("POST"), 0);
    // The compatible mode: the plain message stands beside the sealed one.
    let both = "<xml><MsgId>1</MsgId><MsgType>text</MsgType><Encrypt>AAAA</Encrypt></xml>";
    assert_eq!(plain(&gateway, both).await.text(), "ok");
}

#[tokio::test]
async fn a_message_of_the_longest_length_passes_sealed_and_plain() {
    let longest = |more: usize| {
        let (start, end) = ("<xml><A>", "</A></xml>");
        let filling = 256 * 1024 - start.len() - end.len() + more;
        format!("{start}{}{end}", "x".repeat(filling))
    };
    for is_sealed in [true, false] {
        let backend = Upstream::named("ok");
        let more = if is_sealed { SEALED } else { "" };
        let gateway = started(&pushed_to(&backend.url, more));
        let request = |message: &str| {
            if is_sealed {
                sealed(&gateway, message)
            } else {
                plain(&gateway, message)
            }
        };
        let answer = request(&longest(0)).await;
        assert_eq!(answer.status(), 200, "{}", answer.text());
        assert_eq!(backend.requests()[0].1, longest(0).as_bytes());
        assert_refused(&request(&longest(1)).await, 413, "body_too_large");
    }
}

/// Nobody has the gateway hold what comes too slowly for any platform, as long as it is no silence.
#[tokio::test]
async fn a_message_comes_in_time_or_not_at_all() {
    let backend = Upstream::named("ok");
    let gateway = started(&pushed_to(&backend.url, SEALED));
    let (mut reader, mut writer) = gateway.connect().await.into_split();
    let head = format!(
        "POST {PATH}?timestamp={TIME}&nonce={NONCE}&msg_signature=any HTTP/1.1\r\nHost: x\r\nContent-Length: 600000\r\n\r\n"
    );
    let drip = tokio::spawn(async move {
        let _ = writer.write_all(head.as_bytes()).await;
        while writer.write_all(&[b'x'; 512]).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let mut answer = vec![0; 12];
    reader.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 408");
    drip.abort();
    assert_eq!(backend.connections().len(), 0);
}

/// The vector of the platform's documentation passes signature, key and id; its twins do not.
#[tokio::test]
async fn the_documented_vector_opens_and_its_twins_do_not() {
    let backend = Upstream::named("ok");
    let config = pushed_to(&backend.url, SEALED)
        .replace(TOKEN, "QDG6eK")
        .replace(
            "apps.shop.push.path",
            "apps.shop.appid = \"wx5823bf96d3bd56c7\"\napps.shop.push.path",
        );
    let text = GatewayBuilder::new()
        .config(config)
        .text("http://127.0.0.1:9");
    let text = text.replacen(&format!("apps.shop.appid = \"{APPID}\"\n"), "", 1);
    let gateway = started("");
    gateway.write("hufu.toml", &text);
    gateway.reload_as_it_is("applied").await;
    let sealed =
        "P9nAzCzyDtyTWESHep1vC5X9xho/qYX3Zpb4yKa9SKld1DsH3Iyt3tP3zNdtp+4RPcs8TgAE7OaBO+FZXvnaqQ==";
    let asked = async |sealed: &str, signed: &str, time: &str| {
        let query = [
            ("timestamp", time),
            ("nonce", NONCE),
            ("msg_signature", signed),
        ];
        let body = format!("<xml><Encrypt>{sealed}</Encrypt></xml>");
        let answer = gateway.post(PATH).query(&query).body(body).await;
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        (answer.status(), detail)
    };
    let signed = "5c45ff5e21c57e6ad56bac8758b79b1d9ac89fd3";
    // It is opened, and what is in it is the console's number and no message.
    let (status, detail) = asked(sealed, signed, TIME).await;
    assert!(
        status == 400 && detail.contains("neither JSON nor XML"),
        "{detail}"
    );
    for (sealed, signed, time) in [
        (sealed, "5c45ff5e21c57e6ad56bac8758b79b1d9ac89fd4", TIME),
        (&sealed.replace("P9", "Q9"), signed, TIME),
        (sealed, signed, "1409659588"),
    ] {
        assert_eq!(asked(sealed, signed, time).await.0, 403);
    }
    let twin = sealed.replace("qQ==", "qA==");
    let token = Secret::new("QDG6eK".to_owned());
    let signed = signature(&token, &[TIME, NONCE, &twin]);
    let (status, detail) = asked(&twin, &signed, TIME).await;
    assert!(
        status == 400 && detail.contains("does not open"),
        "{detail}"
    );
    assert_eq!(backend.count("POST"), 0);
}

#[tokio::test]
async fn an_empty_answer_is_the_apps_ack() {
    let backend = Upstream::start(Script::answers("204 No Content", ""));
    let gateway = started(&pushed_to(&backend.url, SEALED));
    assert_acknowledged(&sealed(&gateway, r#"{"MsgId":1}"#).await);
    let ack = "apps.shop.push.ack = '{\"ErrCode\":0}'\n";
    let gateway = started(&pushed_to(&backend.url, &format!("{SEALED}{ack}")));
    let answer = sealed(&gateway, r#"{"MsgId":1}"#).await;
    assert_eq!(opened(&answer), r#"{"ErrCode":0}"#);
    let value: Value = answer.json();
    assert!(value["TimeStamp"].is_u64(), "{value}");
}
