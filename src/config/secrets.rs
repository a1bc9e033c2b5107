//! `[secrets]`: the keys of the gateway.

use std::sync::Arc;

use super::reader::Section;
use crate::crypto::keyring::{Keyring, NamingKey, parse_key};
use crate::secret::Secret;

/// The keys, ready for use.
#[derive(Debug, Clone)]
pub struct SecretSettings {
    /// The sealing keys.
    pub keys: Arc<Keyring>,
    pub naming_key: Arc<NamingKey>,
    /// Whether one of them was drawn just now, so that what it sealed or named is lost with the
    /// process.
    pub ephemeral: bool,
}

/// The keys; `durable`: the store outlives the process, so they must too.
pub(super) fn read(section: &mut Section<'_>, durable: bool) -> SecretSettings {
    section.takes_restart();
    let keys_given = section.has("keys") || section.has("keys_file");
    let naming_given = section.has("naming_key") || section.has("naming_key_file");
    let keys = sealing_keys(section);
    let naming = section.secret(
        "naming_key",
        "naming_key_file",
        "make one with `hufu keygen`",
    );
    let naming = naming.and_then(|text| match parse_key(text.expose()) {
        Ok(key) => Some(key),
        Err(error) => {
            let key = section.written_of("naming_key", "naming_key_file");
            section.problem(key, &error.to_string(), "");
            None
        }
    });
    if durable && !keys_given {
        section.problem(
            "keys",
            "missing",
            "write keys = [\"${HUFU_KEY}\"] and run `hufu keygen --env >> .env`",
        );
    }
    if durable && !naming_given {
        section.problem(
            "naming_key",
            "missing",
            "write naming_key = \"${HUFU_NAMING_KEY}\" and run `hufu keygen --env >> .env`",
        );
    }
    if naming.as_ref().is_some_and(|naming| keys.contains(naming)) {
        section.problem(
            "naming_key",
            "is also one of secrets.keys, so it could not stay when that key is rotated",
            "make another with `hufu keygen`",
        );
    }
    let keyring = if keys.is_empty() {
        Ok(Keyring::ephemeral())
    } else {
        Keyring::new(&keys)
    };
    let keyring = keyring.unwrap_or_else(|error| {
        section.problem("keys", &error.to_string(), "");
        Keyring::ephemeral()
    });
    let ephemeral = keys.is_empty() || naming.is_none();
    SecretSettings {
        keys: Arc::new(keyring),
        naming_key: Arc::new(naming.map_or_else(NamingKey::ephemeral, |key| NamingKey::new(&key))),
        ephemeral,
    }
}

fn sealing_keys(section: &mut Section<'_>) -> Vec<Secret<[u8; 32]>> {
    let texts = section.secrets("keys", "keys_file");
    let given = section.written_of("keys", "keys_file");
    if texts.is_empty() && section.has(given) && !section.has_problems_at(given) {
        section.problem(given, "has no key", "make one with `hufu keygen`");
    }
    let mut keys = Vec::with_capacity(texts.len());
    for (line, path, text) in texts {
        match parse_key(text.expose()) {
            Ok(key) => keys.push(key),
            Err(error) => section.fault(line, &path, &error.to_string(), ""),
        }
    }
    keys
}
