//! `[apps.NAME.push]`: the messages that an app's platform pushes.

use std::sync::Arc;

use super::backend;
use super::problem::{Wrong, refuse};
use super::reader::Section;
use crate::crypto::push::{KEY_LEN, PushKey};
use crate::provider::platform::Platform;
use crate::push::{PushSettings, PushTarget};

/// Any of them says that the operator wants pushes.
const KEYS: [&str; 7] = [
    "token",
    "token_file",
    "aes_key",
    "aes_key_file",
    "upstream",
    "path",
    "ack",
];

/// What the pushes of all apps stand among.
pub(super) struct Surroundings {
    /// The names of the upstreams.
    pub(super) upstreams: Vec<String>,
    /// Whether the store outlives the process.
    pub(super) is_durable: bool,
}

/// The app that a table belongs to.
pub(super) struct Owner<'a> {
    pub(super) name: &'a str,
    pub(super) appid: Option<&'a Arc<str>>,
    pub(super) platform: &'a Platform,
}

/// `None`: the app takes none, or something is wrong, which the reader has noted.
pub(super) fn read(
    section: &mut Section<'_>,
    owner: &Owner<'_>,
    around: &Surroundings,
) -> Option<Arc<PushSettings>> {
    let is_wanted = KEYS.iter().any(|key| section.has(key));
    let token_hint = format!(
        "copy the Token from the message push settings of {}",
        owner.platform.console
    );
    if is_wanted && !section.has("token") && !section.has("token_file") {
        section.problem("token", "missing", &token_hint);
    }
    let token = section.secret("token", "token_file", &token_hint);
    let key = read_key(section, owner.platform);
    if is_wanted && owner.platform.component.is_some() && matches!(key, Some(None)) {
        section.problem(
            "aes_key",
            "missing, and the platform seals all events of such an app",
            "copy the key (消息加解密Key) from where the token is",
        );
    }
    // The gateway itself takes the events of an app that acts for others.
    let needs_backend = owner.platform.component.is_none();
    let backend = if needs_backend || section.has("upstream") || section.has("path") {
        read_backend(section, &around.upstreams, is_wanted).map(Some)
    } else {
        Some(None)
    };
    let ack = section.value("ack", ack);
    if !is_wanted {
        return None;
    }
    if !around.is_durable && backend.as_ref().is_some_and(Option::is_some) {
        section.warn(
            "token",
            "store.url is \"memory:\": messages that are acknowledged and not delivered yet are lost when the process ends",
            "name a Redis in store.url",
        );
    }
    Some(Arc::new(PushSettings {
        app: owner.name.into(),
        appid: owner.appid?.clone(),
        provider: owner.platform.kind.as_str(),
        source: owner.platform.push_source?,
        token: token?,
        key: key?,
        backend: backend?,
        ack,
    }))
}

/// The backend of the messages.
fn read_backend(
    section: &mut Section<'_>,
    upstreams: &[String],
    is_wanted: bool,
) -> Option<PushTarget> {
    let example = ("takes messages", "/push");
    let (upstream, path) = backend::read(section, upstreams, is_wanted, example)?;
    Some(PushTarget { upstream, path })
}

/// `Some(None)`: there is none, and messages come as they are.
fn read_key(section: &mut Section<'_>, platform: &Platform) -> Option<Option<PushKey>> {
    let hint = format!(
        "copy the EncodingAESKey from the message push settings of {}, and choose the safe mode there",
        platform.console
    );
    let is_given = section.has("aes_key") || section.has("aes_key_file");
    let text = section.secret("aes_key", "aes_key_file", &hint);
    if !is_given {
        if section.has("token") || section.has("token_file") {
            section.warn(
                "aes_key",
                "missing: without it the signature covers no message, so whoever has seen the URL of one can forge others",
                &hint,
            );
        }
        return Some(None);
    }
    let text = text?;
    let key = PushKey::parse(text.expose());
    if key.is_none() {
        let length = text.expose().chars().count();
        let what = if length == KEY_LEN {
            "has characters that no EncodingAESKey has".to_owned()
        } else {
            format!("has {length} characters, and an EncodingAESKey has {KEY_LEN}")
        };
        section.problem(section.written_of("aes_key", "aes_key_file"), &what, &hint);
    }
    key.map(Some)
}

fn ack(text: &str) -> Result<String, Wrong> {
    if text.is_empty() || text.len() > 1024 {
        return refuse(
            "is empty, or longer than 1024 bytes",
            "leave it out for \"success\"",
        );
    }
    Ok(text.to_owned())
}
