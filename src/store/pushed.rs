//! The stored forms of pushed messages: a kept one, and the answer to a delivered one. The first
//! byte says which it is, for scripts; it is sealed with the rest.

use super::sealed::{Sealer, Unreadable};
use crate::clock::UnixMillis;
use crate::push::{KeptMessage, MessageContent, MessageFormat};
use crate::session::StoreError;

/// The first byte of a kept message.
pub(super) const KEPT: u8 = b'K';
/// The first byte of an answer.
pub(super) const SETTLED: u8 = b'S';
/// The form of an answer, and of a message to the app itself.
const VERSION: u8 = 1;
/// The form of a message to an app for which the owner acts: its id stands before the body. Earlier
/// releases leave it to the others.
const OF_AUTHORIZER: u8 = 2;
const XML: u8 = 1;
const JSON: u8 = 2;

pub(super) fn seal_kept(sealer: &Sealer, key: &str, message: &KeptMessage) -> Vec<u8> {
    let (version, plain) = encoded(message);
    sealer.seal_marked([KEPT, version], key, &plain)
}

pub(super) fn open_kept(
    sealer: &Sealer,
    key: &str,
    stored: &[u8],
) -> Result<KeptMessage, Unreadable> {
    let version = match stored {
        [KEPT, OF_AUTHORIZER, ..] => OF_AUTHORIZER,
        _ => VERSION,
    };
    let plain = sealer.open_marked([KEPT, version], key, stored)?;
    decoded(version, &plain).ok_or(Unreadable(
        "it opens, but is not a message: another release wrote it",
    ))
}

fn encoded(message: &KeptMessage) -> (u8, Vec<u8>) {
    let KeptMessage { since, content } = message;
    let format = match content.format {
        MessageFormat::Xml => XML,
        MessageFormat::Json => JSON,
    };
    let since = since.0.to_be_bytes();
    let mut plain = [&[format], &since[..]].concat();
    let mut version = VERSION;
    if let Some(authorizer) = &content.authorizer {
        version = OF_AUTHORIZER;
        // Ids have at most 64 bytes.
        plain.push(u8::try_from(authorizer.len()).unwrap_or(u8::MAX));
        plain.extend_from_slice(authorizer.as_bytes());
    }
    plain.extend_from_slice(&content.body);
    (version, plain)
}

fn decoded(version: u8, plain: &[u8]) -> Option<KeptMessage> {
    let (format, rest) = plain.split_first()?;
    let (since, rest) = rest.split_first_chunk::<8>()?;
    let format = match *format {
        XML => MessageFormat::Xml,
        JSON => MessageFormat::Json,
        _ => return None,
    };
    let (authorizer, body) = if version == OF_AUTHORIZER {
        let (length, rest) = rest.split_first()?;
        let (authorizer, body) = rest.split_at_checked(usize::from(*length))?;
        (Some(std::str::from_utf8(authorizer).ok()?.into()), body)
    } else {
        (None, rest)
    };
    Some(KeptMessage {
        since: UnixMillis(u64::from_be_bytes(*since)),
        content: MessageContent {
            format,
            authorizer,
            body: body.to_vec(),
        },
    })
}

pub(super) fn seal_answer(sealer: &Sealer, key: &str, answer: &[u8]) -> Vec<u8> {
    sealer.seal_marked([SETTLED, VERSION], key, answer)
}

/// The answer. One that cannot be read is empty: the backend has the message all the same.
pub(super) fn open_answer(sealer: &Sealer, key: &str, stored: &[u8]) -> Vec<u8> {
    match sealer.open_marked([SETTLED, VERSION], key, stored) {
        Ok(answer) => answer,
        Err(Unreadable(why)) => {
            log::warn!("the answer to a pushed message cannot be read: {why}");
            Vec::new()
        }
    }
}

/// A kept message that does not open stays: another gateway may have the key.
pub(super) fn unreadable(why: &str) -> StoreError {
    StoreError {
        reason: format!("a kept message cannot be read: {why}"),
        answered: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(authorizer: Option<&str>) -> KeptMessage {
        KeptMessage {
            since: UnixMillis(1_764_000_000_000),
            content: MessageContent {
                format: MessageFormat::Json,
                authorizer: authorizer.map(Into::into),
                body: b"{}".to_vec(),
            },
        }
    }

    /// What is written in hexadecimal here was stored by a release.
    #[test]
    fn every_form_of_a_kept_message_can_be_read() {
        for (authorizer, version, stored) in [
            (None, 1, "020000019ab697e8007b7d"),
            (Some("wx2"), 2, "020000019ab697e800037778327b7d"),
        ] {
            let message = message(authorizer);
            let (written, plain) = encoded(&message);
            assert_eq!((written, &*hex::encode(&plain)), (version, stored));
            assert_eq!(decoded(version, &plain), Some(message));
            for cut in 0..plain.len() - 2 {
                assert_eq!(decoded(version, &plain[..cut]), None, "{cut}");
            }
        }
    }
}
