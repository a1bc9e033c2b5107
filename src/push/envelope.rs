//! From what was posted to a message that is believed, and an answer's way back. The signature comes
//! first; where the app has a key, nothing but what was sealed is believed: the plain signature
//! covers no body.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::fields::{self, Unreadable};
use super::messages::{MessageContent, MessageFormat, MessageKey};
use super::settings::PushSettings;
use crate::clock::UnixMillis;
use crate::crypto::push::{is_signature, signature};
use crate::crypto::{hash, random};

/// Longest text that the console's check is answered with.
const ECHO_MAX: usize = 128;
/// The answer that platforms take in plain words, also to a sealed message.
pub const SUCCESS: &str = "success";

/// What the platform adds to the URL. A parameter that comes twice cannot be read.
#[derive(Debug, Default, Deserialize)]
pub struct PushQuery {
    #[serde(default)]
    signature: String,
    #[serde(default)]
    timestamp: String,
    #[serde(default)]
    nonce: String,
    #[serde(default)]
    echostr: String,
    #[serde(default)]
    msg_signature: String,
}

/// Why a message or a check is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PushRefusal {
    #[error("The signature is not that of this app's token.")]
    Signature,
    #[error("{0}")]
    Invalid(&'static str),
}

impl From<Unreadable> for PushRefusal {
    fn from(_: Unreadable) -> Self {
        Self::Invalid(
            "The body is neither JSON nor XML without a document type and entities of its own.",
        )
    }
}

/// A message that is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushedMessage {
    pub key: MessageKey,
    pub content: MessageContent,
    /// Whether it came sealed, so that its answer goes back sealed.
    pub is_sealed: bool,
}

impl PushedMessage {
    /// The texts that stand directly in it, by their names; none where it has one twice.
    pub fn texts(&self) -> BTreeMap<String, String> {
        fields::texts(&self.content.body).unwrap_or_default()
    }
}

/// How an app's messages are checked and opened, and their answers written.
#[derive(Debug, Clone, Copy)]
pub struct Envelope<'a>(pub &'a PushSettings);

impl Envelope<'_> {
    /// The console's check: what it is answered.
    pub fn echo<'q>(&self, query: &'q PushQuery) -> Result<&'q str, PushRefusal> {
        self.check_plain(query)?;
        let echo = &*query.echostr;
        let is_good = (1..=ECHO_MAX).contains(&echo.len())
            && echo
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        if is_good {
            Ok(echo)
        } else {
            Err(PushRefusal::Invalid(
                "The echostr is not 1 to 128 letters, digits, - and _.",
            ))
        }
    }

    /// What can be refused before the body is read: a sealed message is signed with what is in it.
    pub fn refuse_early(&self, query: &PushQuery) -> Result<(), PushRefusal> {
        match self.0.key {
            Some(_) if !query.msg_signature.is_empty() => Ok(()),
            _ => self.check_plain(query),
        }
    }

    pub fn open(&self, query: &PushQuery, body: &[u8]) -> Result<PushedMessage, PushRefusal> {
        let Some(key) = &self.0.key else {
            self.check_plain(query)?;
            let (format, fields) = fields::read(body)?;
            // In the console's compatible mode the plain fields stand beside the sealed text.
            if fields.sealed.is_some() && !fields.has_others {
                return Err(PushRefusal::Invalid(
                    "The message is encrypted, and this app has no aes_key. Copy the EncodingAESKey from the console to apps.NAME.push.aes_key.",
                ));
            }
            return Ok(message(format, fields.id, body.to_vec(), false));
        };
        if query.msg_signature.is_empty() {
            self.check_plain(query)?;
            return Err(PushRefusal::Invalid(
                "The message is not encrypted, and this app has an aes_key. Choose the safe mode in the console.",
            ));
        }
        let (_, fields) = fields::read(body).map_err(|_| PushRefusal::Signature)?;
        let sealed = fields.sealed.ok_or(PushRefusal::Signature)?;
        let parts = [&*query.timestamp, &query.nonce, &sealed];
        if !is_signature(&query.msg_signature, &self.0.token, &parts) {
            return Err(PushRefusal::Signature);
        }
        let opened = key.open(&sealed, &self.0.appid).map_err(|_| {
            PushRefusal::Invalid(
                "The message does not open: the aes_key is another one, or the message is for another appid.",
            )
        })?;
        let (format, fields) = fields::read(&opened)?;
        Ok(message(format, fields.id, opened, true))
    }

    fn check_plain(&self, query: &PushQuery) -> Result<(), PushRefusal> {
        let parts = [&*query.timestamp, &query.nonce];
        if is_signature(&query.signature, &self.0.token, &parts) {
            Ok(())
        } else {
            Err(PushRefusal::Signature)
        }
    }

    /// An answer as the platform takes it, with its media type; an empty one is the app's `ack`.
    #[must_use]
    pub fn answer(
        &self,
        format: MessageFormat,
        is_sealed: bool,
        answer: Vec<u8>,
        now: UnixMillis,
    ) -> (&'static str, Vec<u8>) {
        let answer = if answer.is_empty() {
            self.0.ack.clone().into_bytes()
        } else {
            answer
        };
        // Frameworks end it with a line.
        let word = answer.trim_ascii();
        let is_plain_word = word.is_empty() || word.eq_ignore_ascii_case(SUCCESS.as_bytes());
        match (&self.0.key, format) {
            _ if is_plain_word => ("text/plain", word.to_vec()),
            (Some(key), _) if is_sealed => {
                let sealed = key.seal(&answer, &self.0.appid);
                (media_type(format), self.sealed_answer(format, &sealed, now))
            }
            _ => (media_type(format), answer),
        }
    }

    fn sealed_answer(&self, format: MessageFormat, sealed: &str, now: UnixMillis) -> Vec<u8> {
        let time = now.0 / 1000;
        let nonce = hash::to_hex(&random::bytes::<8>());
        let signed = signature(&self.0.token, &[&time.to_string(), &nonce, sealed]);
        match format {
            MessageFormat::Xml => format!(
                "<xml><Encrypt><![CDATA[{sealed}]]></Encrypt><MsgSignature><![CDATA[{signed}]]></MsgSignature><TimeStamp>{time}</TimeStamp><Nonce><![CDATA[{nonce}]]></Nonce></xml>"
            ),
            MessageFormat::Json => serde_json::json!({
                "Encrypt": sealed, "MsgSignature": signed, "TimeStamp": time, "Nonce": nonce
            })
            .to_string(),
        }
        .into_bytes()
    }
}

/// What a message of this language is called in a head.
#[must_use]
pub const fn media_type(format: MessageFormat) -> &'static str {
    match format {
        MessageFormat::Xml => "text/xml",
        MessageFormat::Json => "application/json",
    }
}

fn message(
    format: MessageFormat,
    id: Option<String>,
    body: Vec<u8>,
    is_sealed: bool,
) -> PushedMessage {
    let key = id.map_or_else(|| MessageKey::Content(hash::sha256(&body)), MessageKey::Id);
    PushedMessage {
        key,
        content: MessageContent {
            format,
            authorizer: None,
            body,
        },
        is_sealed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::push::PushKey;
    use crate::secret::Secret;

    const KEY: &str = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C";

    fn settings(key: Option<&str>) -> PushSettings {
        PushSettings {
            app: "shop".into(),
            appid: "wx1".into(),
            provider: "platform",
            source: "push",
            token: Secret::new("QDG6eK".to_owned()),
            key: key.map(|key| PushKey::parse(key).unwrap()),
            backend: None,
            ack: "success".to_owned(),
        }
    }

    /// A query with a right signature over the time, the nonce and, if sealed, the message.
    fn query(settings: &PushSettings, sealed: Option<&str>) -> PushQuery {
        let (time, nonce) = ("1409659589", "263014780");
        let mut query = PushQuery {
            timestamp: time.to_owned(),
            nonce: nonce.to_owned(),
            echostr: "1616140317555161061".to_owned(),
            signature: signature(&settings.token, &[time, nonce]),
            ..PushQuery::default()
        };
        if let Some(sealed) = sealed {
            query.msg_signature = signature(&settings.token, &[time, nonce, sealed]);
        }
        query
    }

    fn envelope_of(sealed: &str) -> Vec<u8> {
        format!("<xml><ToUserName>a</ToUserName><Encrypt>{sealed}</Encrypt></xml>").into_bytes()
    }

    #[test]
    fn the_consoles_check_is_answered() {
        let settings = settings(Some(KEY));
        let envelope = Envelope(&settings);
        let mut query = query(&settings, None);
        assert_eq!(envelope.echo(&query), Ok("1616140317555161061"));
        for wrong in ["", "a b", "<script>", "é", &"a".repeat(129)] {
            query.echostr = wrong.to_owned();
            assert!(matches!(
                envelope.echo(&query),
                Err(PushRefusal::Invalid(_))
            ));
        }
        query.nonce.push('1');
        assert_eq!(envelope.echo(&query), Err(PushRefusal::Signature));
    }

    #[test]
    fn with_a_key_only_sealed_messages_are_believed() {
        let settings = settings(Some(KEY));
        let envelope = Envelope(&settings);
        let key = settings.key.as_ref().unwrap();
        let inner = b"<xml><MsgId>7</MsgId></xml>";
        let sealed = key.seal(inner, "wx1");
        let good = query(&settings, Some(&sealed));
        let opened = envelope.open(&good, &envelope_of(&sealed)).unwrap();
        assert_eq!(
            opened,
            message(MessageFormat::Xml, Some("7".into()), inner.to_vec(), true)
        );

        // The compatible mode: only what was sealed counts.
        let both = format!(
            "<xml><MsgId>8</MsgId><Content>forged</Content><Encrypt>{sealed}</Encrypt></xml>"
        );
        assert_eq!(envelope.open(&good, both.as_bytes()).unwrap(), opened);

        let plain = envelope.open(&query(&settings, None), inner);
        assert!(matches!(plain, Err(PushRefusal::Invalid(_))));
        let plain_signed = envelope.open(&query(&settings, None), &envelope_of(&sealed));
        assert!(matches!(plain_signed, Err(PushRefusal::Invalid(_))));
        assert_eq!(envelope.open(&good, inner), Err(PushRefusal::Signature));
        let other = key.seal(inner, "wx1");
        assert_eq!(
            envelope.open(&good, &envelope_of(&other)),
            Err(PushRefusal::Signature)
        );
        for wrong in [
            key.seal(inner, "wx2"),
            key.seal(b"<!DOCTYPE xml><xml/>", "wx1"),
            key.seal(b"success", "wx1"),
            "AAAA".to_owned(),
        ] {
            let refused = envelope.open(&query(&settings, Some(&wrong)), &envelope_of(&wrong));
            assert!(
                matches!(refused, Err(PushRefusal::Invalid(_))),
                "{refused:?}"
            );
        }
    }

    #[test]
    fn a_message_without_a_number_is_known_by_its_content() {
        let settings = settings(None);
        let body = br#"{"Event":"x"}"#;
        let opened = Envelope(&settings)
            .open(&query(&settings, None), body)
            .unwrap();
        assert_eq!(opened.key, MessageKey::Content(hash::sha256(body)));
        assert!(!opened.is_sealed);
        let mut forged = query(&settings, None);
        forged.signature = signature(
            &Secret::new("other".to_owned()),
            &["1409659589", "263014780"],
        );
        assert_eq!(
            Envelope(&settings).open(&forged, body),
            Err(PushRefusal::Signature)
        );
    }

    #[test]
    fn without_a_key_a_sealed_message_is_refused() {
        let settings = settings(None);
        let envelope = Envelope(&settings);
        let query = query(&settings, None);
        let Err(PushRefusal::Invalid(why)) = envelope.open(&query, &envelope_of("AAAA")) else {
            panic!("it is believed")
        };
        assert!(why.contains("aes_key"), "{why}");
        let both = b"<xml><MsgType>text</MsgType><Encrypt>AAAA</Encrypt></xml>";
        assert_eq!(envelope.open(&query, both).unwrap().content.body, both);
    }

    #[test]
    fn answers_go_back_as_the_message_came() {
        let settings = settings(Some(KEY));
        let envelope = Envelope(&settings);
        let at = UnixMillis(1_409_659_589_000);
        for word in ["", "success", "success\n"] {
            assert_eq!(
                envelope.answer(MessageFormat::Xml, true, word.into(), at),
                ("text/plain", b"success".to_vec())
            );
        }
        let said = br#"{"ErrCode":0}"#;
        assert_eq!(
            envelope.answer(MessageFormat::Json, false, said.to_vec(), at),
            ("application/json", said.to_vec())
        );
        for format in [MessageFormat::Json, MessageFormat::Xml] {
            let (_, answer) = envelope.answer(format, true, said.to_vec(), at);
            let (found, fields) = fields::read(&answer).unwrap();
            assert_eq!(found, format);
            let opened = settings
                .key
                .as_ref()
                .unwrap()
                .open(&fields.sealed.unwrap(), "wx1");
            assert_eq!(opened.unwrap(), said);
        }
    }
}
