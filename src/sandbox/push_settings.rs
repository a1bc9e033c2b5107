//! What a person enters in the console about an app's messages, and how these are signed and sealed
//! then.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::clock::UnixMillis;
use crate::crypto::push::{PushKey, signature};
use crate::crypto::{hash, random};
use crate::secret::Secret;

/// The id that a message is sealed for which is meant for another app.
const OTHER_APPID: &str = "wx00000000000other";

/// What stands for the authorizer's id in `message_url`.
const APPID: &str = "$APPID$";

/// What a person enters in the console.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PushSettings {
    pub(super) app: String,
    pub(super) url: String,
    /// Where the messages to the authorizers of a third-party platform go, with [`APPID`] in it.
    pub(super) message_url: Option<String>,
    #[serde(deserialize_with = "secret")]
    token: Secret<String>,
    #[serde(default, deserialize_with = "optional_secret")]
    pub(super) aes_key: Option<Secret<String>>,
    mode: Option<Mode>,
}

/// How messages are sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Mode {
    Plain,
    /// Both in one body.
    Compatible,
    Safe,
}

/// What is to be wrong with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Fault {
    Signature,
    /// Sealed for another app.
    Appid,
    /// XML with a document type.
    Doctype,
    /// In plain text, though the app has a key.
    Plain,
}

/// The parameters of a URL.
pub(super) type Query = Vec<(&'static str, String)>;

impl PushSettings {
    pub(super) fn key(&self) -> Option<PushKey> {
        PushKey::parse(self.aes_key.as_ref()?.expose())
    }

    /// The URL for the messages to an authorizer.
    pub(super) fn url_for(&self, authorizer: &str) -> Option<String> {
        let url = self.message_url.as_deref()?;
        Some(url.replace(APPID, authorizer))
    }

    pub(super) fn mode(&self) -> Mode {
        let of_key = if self.aes_key.is_some() {
            Mode::Safe
        } else {
            Mode::Plain
        };
        self.mode.unwrap_or(of_key)
    }

    /// The URL's parameters and the body.
    pub(super) fn written(
        &self,
        now: UnixMillis,
        message: &str,
        fault: Option<Fault>,
    ) -> (Query, String) {
        let message = match fault {
            Some(Fault::Doctype) => {
                "<!DOCTYPE xml [<!ENTITY a SYSTEM \"file:///etc/hostname\">]><xml><Content>&a;</Content></xml>"
            }
            _ => message,
        };
        let mode = if fault == Some(Fault::Plain) {
            Mode::Plain
        } else {
            self.mode()
        };
        let id = if fault == Some(Fault::Appid) {
            OTHER_APPID
        } else {
            &self.app
        };
        let sealed = self
            .key()
            .filter(|_| mode != Mode::Plain)
            .map(|key| key.seal(message.as_bytes(), id));
        let mut query = self.signed(now, sealed.as_deref());
        if fault == Some(Fault::Signature) {
            for (_, value) in query
                .iter_mut()
                .filter(|(name, _)| name.ends_with("signature"))
            {
                *value = hash::to_hex(&random::bytes::<20>());
            }
        }
        let body = match sealed {
            None => message.to_owned(),
            Some(sealed) => envelope(message, &sealed, mode),
        };
        (query, body)
    }

    pub(super) fn signed(&self, now: UnixMillis, sealed: Option<&str>) -> Query {
        let time = (now.0 / 1000).to_string();
        let nonce = u32::from_be_bytes(random::bytes()).to_string();
        let mut query = vec![
            ("signature", signature(&self.token, &[&time, &nonce])),
            ("timestamp", time.clone()),
            ("nonce", nonce.clone()),
        ];
        if let Some(sealed) = sealed {
            let signed = signature(&self.token, &[&time, &nonce, sealed]);
            query.push(("encrypt_type", "aes".to_owned()));
            query.push(("msg_signature", signed));
        }
        query
    }

    /// What a sealed answer says, in XML or JSON.
    pub(super) fn opened(&self, answer: &str) -> Option<String> {
        let sealed = match serde_json::from_str::<Value>(answer) {
            Ok(value) => value["Encrypt"].as_str()?.to_owned(),
            Err(_) => {
                let (_, rest) = answer.split_once("<Encrypt><![CDATA[")?;
                rest.split_once("]]>")?.0.to_owned()
            }
        };
        let opened = self.key()?.open(&sealed, &self.app).ok()?;
        String::from_utf8(opened).ok()
    }
}

/// A sealed message in the envelope of its language; in the compatible mode beside what it says.
fn envelope(message: &str, sealed: &str, mode: Mode) -> String {
    let is_both = mode == Mode::Compatible;
    if let Ok(Value::Object(fields)) = serde_json::from_str(message) {
        let mut all = if is_both {
            fields
        } else {
            serde_json::Map::new()
        };
        all.entry("ToUserName")
            .or_insert_with(|| "gh_0123456789ab".into());
        all.insert("Encrypt".to_owned(), sealed.into());
        return Value::Object(all).to_string();
    }
    let sealed = format!("<Encrypt><![CDATA[{sealed}]]></Encrypt></xml>");
    match message
        .trim_end()
        .strip_suffix("</xml>")
        .filter(|_| is_both)
    {
        Some(open) => format!("{open}{sealed}"),
        None => format!("<xml><ToUserName><![CDATA[gh_0123456789ab]]></ToUserName>{sealed}"),
    }
}

fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<Secret<String>, D::Error> {
    String::deserialize(from).map(Secret::new)
}

fn optional_secret<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Secret<String>>, D::Error> {
    Ok(Option::deserialize(from)?.map(Secret::new))
}
