//! Secrets that a backend shares with the gateway: one, or two while one is exchanged for the other.

use std::collections::BTreeSet;

use super::reader::Section;
use crate::secret::Secret;

/// Fewer characters are a password that somebody thought of.
const SHORTEST: usize = 32;
/// A random text of that length has more different characters, even of hexadecimal digits.
const DIFFERENT: usize = 6;
/// It may stand in a header.
const LONGEST: usize = 256;
/// One in use, and the one that is to replace it.
const SECRETS: usize = 2;
const SECRET_HINT: &str = "make one with `hufu keygen`";

/// The key `secrets` or `secrets_file`, one of which must be there if `is_wanted`.
pub(super) fn read(section: &mut Section<'_>, is_wanted: bool) -> Option<Vec<Secret<String>>> {
    let texts = section.secrets("secrets", "secrets_file");
    let key = section.written_of("secrets", "secrets_file");
    if !section.has(key) {
        if is_wanted {
            section.problem("secrets", "missing", SECRET_HINT);
        }
        return None;
    }
    if !(1..=SECRETS).contains(&texts.len()) && !section.has_problems_at(key) {
        section.problem(
            key,
            &format!("has {} secrets", texts.len()),
            "write one, or two while one is exchanged for the other",
        );
    }
    let mut secrets = Vec::with_capacity(texts.len());
    for (line, path, text) in texts {
        let secret = text.expose();
        let wrong = if !secret.bytes().all(|b| b.is_ascii_graphic()) {
            Some("has other characters than visible ones of ASCII".to_owned())
        } else if !(SHORTEST..=LONGEST).contains(&secret.len()) {
            Some(format!(
                "has {} characters; it needs {SHORTEST} to {LONGEST}",
                secret.len()
            ))
        } else if different(secret) < DIFFERENT {
            Some(format!(
                "has {} different characters, so it is no random one",
                different(secret)
            ))
        } else {
            None
        };
        match wrong {
            Some(wrong) => section.fault(line, &path, &wrong, SECRET_HINT),
            None if secrets.contains(&text) => {
                section.fault(line, &path, "is there twice", SECRET_HINT);
            }
            None => secrets.push(text),
        }
    }
    Some(secrets)
}

fn different(secret: &str) -> usize {
    secret.bytes().collect::<BTreeSet<u8>>().len()
}
