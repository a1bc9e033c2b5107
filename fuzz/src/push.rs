//! A pushed message is handed on as it came, one that was sealed as it was sealed, and nothing that is
//! not signed is a message.

use hufu::crypto::push::{PushKey, signature};
use hufu::push::{Envelope, PushQuery, PushRefusal, PushSettings, PushedMessage};
use hufu::secret::Secret;
use serde_json::json;

const KEY: &str = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C";
const ID: &str = "wx5823bf96d3bd56c7";
const TIME: &str = "1409659589";
const NONCE: &str = "263014780";

/// See the module. The body as the platform posts it.
pub fn check(data: &[u8]) {
    let key = PushKey::parse(KEY).expect("the key is one");
    let plain = settings(None);
    let sealed = settings(Some(key.clone()));
    let opened = Envelope(&plain).open(&query(&plain, None), data);
    if let Ok(message) = &opened {
        assert_eq!(message.content.body, data);
    }
    let text = key.seal(data, ID);
    let envelope = format!("<xml><Encrypt>{text}</Encrypt></xml>");
    let again = Envelope(&sealed).open(&query(&sealed, Some(&text)), envelope.as_bytes());
    // Sealed twice, it is a message for the backend; sealed once, one that this app cannot open.
    let lacks_key =
        matches!(&opened, Err(PushRefusal::Invalid(why)) if why.contains("has no aes_key"));
    if lacks_key {
        assert!(again.is_ok());
    } else {
        assert_eq!(
            again.map(|message| (message.key, message.content)),
            opened.map(|message: PushedMessage| (message.key, message.content))
        );
    }
    let unsigned = Envelope(&sealed).open(&PushQuery::default(), data);
    assert_eq!(unsigned, Err(PushRefusal::Signature));
    let other = query(&sealed, Some("another text"));
    assert!(Envelope(&sealed).open(&other, data).is_err());
}

fn settings(key: Option<PushKey>) -> PushSettings {
    PushSettings {
        app: "shop".into(),
        appid: ID.into(),
        provider: "platform",
        source: "push",
        token: Secret::new("QDG6eK".to_owned()),
        key,
        backend: None,
        ack: "success".to_owned(),
    }
}

fn query(settings: &PushSettings, sealed: Option<&str>) -> PushQuery {
    let signed = |parts: &[&str]| signature(&settings.token, parts);
    let query = json!({
        "timestamp": TIME,
        "nonce": NONCE,
        "signature": signed(&[TIME, NONCE]),
        "msg_signature": sealed.map(|text| signed(&[TIME, NONCE, text])).unwrap_or_default(),
    });
    serde_json::from_value(query).expect("it is a query")
}
