//! The stored forms of pushed messages: a kept one, and the answer to a delivered one. The first
//! byte says which it is, for scripts; it is sealed with the rest.

use super::sealed::{Sealer, Unreadable};
use crate::clock::UnixMillis;
use crate::push::{KeptMessage, MessageFormat};
use crate::session::StoreError;

/// The first byte of a kept message.
pub(super) const KEPT: u8 = b'K';
/// The first byte of an answer.
pub(super) const SETTLED: u8 = b'S';
/// The form that this release writes.
const VERSION: u8 = 1;
const XML: u8 = 1;
const JSON: u8 = 2;

pub(super) fn seal_kept(sealer: &Sealer, key: &str, message: &KeptMessage) -> Vec<u8> {
    let format = match message.format {
        MessageFormat::Xml => XML,
        MessageFormat::Json => JSON,
    };
    let since = message.since.0.to_be_bytes();
    let plain = [&[format], &since[..], &message.body].concat();
    sealer.seal_marked([KEPT, VERSION], key, &plain)
}

pub(super) fn open_kept(
    sealer: &Sealer,
    key: &str,
    stored: &[u8],
) -> Result<KeptMessage, Unreadable> {
    let plain = sealer.open_marked([KEPT, VERSION], key, stored)?;
    decoded(&plain).ok_or(Unreadable(
        "it opens, but is not a message: another release wrote it",
    ))
}

fn decoded(plain: &[u8]) -> Option<KeptMessage> {
    let (format, rest) = plain.split_first()?;
    let (since, body) = rest.split_first_chunk::<8>()?;
    let format = match *format {
        XML => MessageFormat::Xml,
        JSON => MessageFormat::Json,
        _ => return None,
    };
    Some(KeptMessage {
        format,
        since: UnixMillis(u64::from_be_bytes(*since)),
        body: body.to_vec(),
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
