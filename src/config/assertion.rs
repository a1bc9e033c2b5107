//! `[assertion]`: the signed identity.

use std::sync::Arc;

use super::claim_headers::header_name as plain_name;
use super::identity::carries_token;
use super::parsers::size;
use super::problem::{Wrong, refuse};
use super::reader::Section;
use crate::assertion::{AssertionSettings, HeaderNames, reserved};
use crate::crypto::keyring::{Keyring, parse_key};
use crate::crypto::signing::SigningKeys;
use crate::secret::Secret;
use crate::session::TokenCarrier;

const KEY_HINT: &str = "make one with `hufu keygen --signing`";
/// The default, which nothing else can be called.
const HEADER: &str = "X-Hufu-Assertion";

/// What the section stands among.
pub(super) struct Surroundings<'a> {
    pub(super) sealing_keys: &'a Keyring,
    pub(super) identity: &'a HeaderNames,
    pub(super) carriers: &'a [TokenCarrier],
}

/// `None`: nothing is signed.
pub(super) fn read(
    section: &mut Section<'_>,
    around: &Surroundings<'_>,
) -> Option<AssertionSettings> {
    let keys = keys(section, around.sealing_keys);
    let header = header(section, around);
    let issuer = section.optional("issuer", label);
    let audience = section.optional("audience", label);
    let cache = section.value("cache", size);
    let has_keys = section.has("keys") || section.has("keys_file");
    if !has_keys {
        let others = ["issuer", "audience", "header", "cache"];
        if let Some(key) = others.into_iter().find(|key| section.has(key)) {
            section.warn(
                key,
                "has no effect without keys",
                "write keys = [\"${HUFU_SIGNING_KEY}\"] and run `hufu keygen --signing --env >> .env`",
            );
        }
        return None;
    }
    if issuer.is_none() && !section.has("issuer") {
        section.problem(
            "issuer",
            "missing",
            "write what backends compare with `iss`, as in issuer = \"https://api.example.com\"",
        );
    }
    Some(AssertionSettings {
        keys: keys?,
        issuer: issuer?,
        header,
        audience,
        cache: usize::try_from(cache).unwrap_or(usize::MAX),
    })
}

fn keys(section: &mut Section<'_>, sealing_keys: &Keyring) -> Option<Arc<SigningKeys>> {
    let texts = section.secrets("keys", "keys_file");
    let given = section.written_of("keys", "keys_file");
    if !section.has(given) {
        return None;
    }
    if texts.is_empty() && !section.has_problems_at(given) {
        section.problem(given, "has no key", KEY_HINT);
    }
    let mut seeds: Vec<Secret<[u8; 32]>> = Vec::with_capacity(texts.len());
    for (line, path, text) in texts {
        match parse_key(text.expose()) {
            Ok(key) if sealing_keys.has(&key) => {
                section.fault(line, &path, "is also one of secrets.keys", KEY_HINT);
            }
            Ok(key) if seeds.contains(&key) => {
                section.fault(line, &path, "is there twice", KEY_HINT);
            }
            Ok(key) => seeds.push(key),
            Err(error) => section.fault(line, &path, &error.to_string(), ""),
        }
    }
    if seeds.is_empty() || section.has_problems_at(given) {
        return None;
    }
    match SigningKeys::new(&seeds) {
        Ok(keys) => Some(Arc::new(keys)),
        Err(error) => {
            section.problem(given, &error.to_string(), KEY_HINT);
            None
        }
    }
}

fn header(section: &mut Section<'_>, around: &Surroundings<'_>) -> Arc<str> {
    let header: Arc<str> = section.value("header", header_name).into();
    if carries_token(around.carriers, &header) {
        section.problem(
            "header",
            &format!("clients send their tokens in \"{header}\" (session.carriers)"),
            "give the assertion another header",
        );
    }
    let mut others = around.identity.all();
    if others.any(|other| reserved::is_same_name(other, &*header)) {
        section.problem(
            "header",
            &format!("\"{header}\" is the name of an identity header"),
            "give the assertion a header of its own; case, \"-\" and \"_\" do not count",
        );
    }
    header
}

fn header_name(text: &str) -> Result<String, Wrong> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    let begins_well = text.starts_with(|c: char| c.is_ascii_alphabetic());
    if !begins_well || !text.bytes().all(is_plain) {
        return refuse(
            "is not a header name",
            "write letters, digits and \"-\", as in \"X-Hufu-Assertion\"",
        );
    }
    if text.eq_ignore_ascii_case(HEADER) {
        return Ok(text.to_owned());
    }
    plain_name(text)
}

/// What backends compare with `iss` or `aud`.
fn label(text: &str) -> Result<Arc<str>, Wrong> {
    const LONGEST: usize = 255;
    if text.is_empty() || text.len() > LONGEST || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return refuse(
            "cannot name an issuer or an audience",
            "write 1 to 255 visible characters, as in \"https://api.example.com\"",
        );
    }
    Ok(text.into())
}
