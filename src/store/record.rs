//! The bytes of a session record, before they are sealed. Version 1:
//!
//! ```text
//! provider  1 byte, ProviderKind::code
//! has       1 byte, bits: 1 unionid, 2 IPv4 address, 4 IPv6 address, 8 authorizer
//! created   varint, milliseconds since the epoch
//! lives     varint, milliseconds from there to the absolute deadline
//! app, subject, unionid if any, authorizer if any     varint length and UTF-8
//! address   4 or 16 bytes if any
//! device    varint length and UTF-8
//! claims    to the end: name and value, each varint length and UTF-8; a value that is no text is JSON
//!           behind U+0001; `Claims` has the limits
//! ```
//!
//! A varint is LEB128 (`session::codec`). The version stands outside the seal (`sealed`). A number
//! once given keeps its meaning.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{UnixMillis, millis};
use crate::session::codec::{Malformed, Reader, put_text, put_varint};
use crate::session::{Claims, ClaimsError, ProviderKind, Session, UserKey};

const UNIONID: u8 = 1;
const IPV4: u8 = 2;
const IPV6: u8 = 4;
const AUTHORIZER: u8 = 8;

/// Not a record of this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotARecord;

impl From<Malformed> for NotARecord {
    fn from(_: Malformed) -> Self {
        Self
    }
}

impl From<ClaimsError> for NotARecord {
    fn from(_: ClaimsError) -> Self {
        Self
    }
}

/// The record of a session. A deadline before the creation is stored as one at the creation.
pub fn encode(session: &Session) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    out.push(session.user.provider.code());
    out.push(presence(session));
    put_varint(&mut out, session.created.0);
    put_varint(
        &mut out,
        millis(session.absolute_deadline.since(session.created)),
    );
    put_text(&mut out, &session.user.app);
    put_text(&mut out, &session.user.subject);
    if let Some(unionid) = &session.unionid {
        put_text(&mut out, unionid);
    }
    if let Some(authorizer) = &session.user.authorizer {
        put_text(&mut out, authorizer);
    }
    match session.client_address {
        Some(IpAddr::V4(address)) => out.extend_from_slice(&address.octets()),
        Some(IpAddr::V6(address)) => out.extend_from_slice(&address.octets()),
        None => {}
    }
    put_text(&mut out, &session.device);
    out.extend_from_slice(session.claims.encoded());
    out
}

pub fn decode(record: &[u8]) -> Result<Session, NotARecord> {
    let mut rest = Reader(record);
    let provider = ProviderKind::from_code(rest.byte()?).ok_or(NotARecord)?;
    let has = rest.byte()?;
    let created = UnixMillis(rest.varint()?);
    let absolute_deadline = created.plus(Duration::from_millis(rest.varint()?));
    let mut user = UserKey {
        provider,
        app: rest.text()?.into(),
        authorizer: None,
        subject: rest.text()?.into(),
    };
    let unionid = optional_text(&mut rest, has & UNIONID)?;
    user.authorizer = optional_text(&mut rest, has & AUTHORIZER)?;
    let client_address = address(&mut rest, has & !UNIONID & !AUTHORIZER)?;
    let device = rest.text()?.to_owned();
    let claims = Claims::decode(rest.0)?;
    Ok(Session {
        user,
        unionid,
        created,
        absolute_deadline,
        client_address,
        device,
        claims,
    })
}

fn presence(session: &Session) -> u8 {
    let address = match session.client_address {
        Some(IpAddr::V4(_)) => IPV4,
        Some(IpAddr::V6(_)) => IPV6,
        None => 0,
    };
    let bit = |is_there: bool, bit: u8| if is_there { bit } else { 0 };
    address
        | bit(session.unionid.is_some(), UNIONID)
        | bit(session.user.authorizer.is_some(), AUTHORIZER)
}

fn optional_text(rest: &mut Reader<'_>, is_there: u8) -> Result<Option<Arc<str>>, NotARecord> {
    if is_there == 0 {
        return Ok(None);
    }
    Ok(Some(rest.text()?.into()))
}

fn address(rest: &mut Reader<'_>, has: u8) -> Result<Option<IpAddr>, NotARecord> {
    match has {
        0 => Ok(None),
        IPV4 => Ok(Some(rest.array::<4>()?.into())),
        IPV6 => Ok(Some(rest.array::<16>()?.into())),
        _ => Err(NotARecord),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sessions() -> impl Strategy<Value = Session> {
        let address = prop::option::of(any::<IpAddr>());
        let claims = prop::collection::btree_map("[a-z0-9_]{1,9}", ".{0,200}", 0..4);
        (
            ".{0,20}",
            ".{0,40}",
            prop::option::of(".{0,40}"),
            prop::option::of(".{0,20}"),
            any::<u32>(),
            0..u64::from(u32::MAX),
            address,
            ".{0,24}",
            claims,
        )
            .prop_map(
                |(
                    app,
                    subject,
                    unionid,
                    authorizer,
                    created,
                    lives,
                    client_address,
                    device,
                    claims,
                )| Session {
                    user: UserKey {
                        provider: ProviderKind::WechatMiniProgram,
                        app: app.into(),
                        authorizer: authorizer.map(Arc::from),
                        subject: subject.into(),
                    },
                    unionid: unionid.map(Arc::from),
                    created: UnixMillis(u64::from(created) << 10),
                    absolute_deadline: UnixMillis((u64::from(created) << 10) + lives),
                    client_address,
                    device,
                    claims: Claims::new(claims.iter().map(|(name, value)| (&**name, &**value)))
                        .unwrap(),
                },
            )
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(session in sessions()) {
            prop_assert_eq!(decode(&encode(&session)), Ok(session));
        }

        #[test]
        fn a_cut_record_is_no_record_or_has_fewer_claims(session in sessions(), cut in any::<prop::sample::Index>()) {
            let record = encode(&session);
            let cut = cut.index(record.len());
            match decode(&record[..cut]) {
                Err(NotARecord) => {}
                Ok(read) => prop_assert!(read.claims.iter().count() < session.claims.iter().count()),
            }
        }

        #[test]
        fn arbitrary_bytes_do_no_harm_and_have_one_spelling(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            if let Ok(session) = decode(&bytes)
                && session.absolute_deadline < UnixMillis(u64::MAX)
            {
                prop_assert_eq!(encode(&session), bytes);
            }
        }
    }
}
