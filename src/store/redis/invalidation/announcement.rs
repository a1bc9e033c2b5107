//! What gateways publish, and on which channels.
//!
//! ```text
//! R, then 18 bytes per session   these sessions were revoked: tag (2) and name (16), as in their public ids
//! B, sender (16), number (8)     a heartbeat: it means something to its sender only
//! ```
//!
//! A channel has no key, so a cluster would take the message anywhere and pass it on to all nodes.
//! The braces give all channels one slot, and so one node that all gateways publish to and
//! subscribe at: nothing hangs on the nodes' own connections.

use crate::crypto::encoding::base64url;
use crate::session::SessionId;
use crate::store::settings::KeyPrefix;

/// The channel of revocations, to which all gateways subscribe.
pub(crate) fn revocations(prefix: &KeyPrefix) -> String {
    format!("{}:revoked:{{push}}", prefix.as_str())
}

/// The channel of a gateway's own heartbeats.
pub(crate) fn heartbeats(prefix: &KeyPrefix, sender: &[u8; 16]) -> String {
    format!("{}:beat:{{push}}:{}", prefix.as_str(), base64url(sender))
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Announcement {
    /// These sessions were revoked.
    Revoked(Vec<SessionId>),
    /// A heartbeat.
    Beat { sender: [u8; 16], number: u64 },
}

impl Announcement {
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Revoked(ids) => ids.iter().fold(vec![b'R'], |mut bytes, id| {
                bytes.extend(id.tag);
                bytes.extend(id.hash);
                bytes
            }),
            Self::Beat { sender, number } => [b"B", &sender[..], &number.to_be_bytes()].concat(),
        }
    }

    /// `None`: a later release publishes something that this one does not understand.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        match kind {
            b'R' => {
                let (ids, []) = rest.as_chunks::<18>() else {
                    return None;
                };
                Some(Self::Revoked(
                    ids.iter().map(session).collect::<Option<_>>()?,
                ))
            }
            b'B' => {
                let (sender, number) = rest.split_first_chunk::<16>()?;
                Some(Self::Beat {
                    sender: *sender,
                    number: u64::from_be_bytes(number.try_into().ok()?),
                })
            }
            _ => None,
        }
    }
}

fn session(bytes: &[u8; 18]) -> Option<SessionId> {
    let (tag, hash) = bytes.split_first_chunk::<2>()?;
    Some(SessionId {
        tag: *tag,
        hash: hash.try_into().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redis_client::slots::slot_of;

    #[test]
    fn what_was_said_is_understood_and_nothing_else() {
        let ids = [1, 2].map(|n| SessionId {
            tag: [n, 0],
            hash: [n; 16],
        });
        for said in [
            Announcement::Revoked(ids.to_vec()),
            Announcement::Revoked(Vec::new()),
            Announcement::Beat {
                sender: [7; 16],
                number: 1 << 40,
            },
        ] {
            assert_eq!(Announcement::decode(&said.encode()), Some(said));
        }
        for odd in [&b""[..], b"R1", b"B", &[b'B'; 26], b"X", &[b'R'; 20]] {
            assert_eq!(Announcement::decode(odd), None, "{odd:?}");
        }
    }

    #[test]
    fn all_channels_are_in_one_slot_and_under_the_prefix() {
        let prefix = KeyPrefix::default();
        let (all, own) = (revocations(&prefix), heartbeats(&prefix, &[0; 16]));
        assert_eq!(
            (all.as_str(), own.as_str()),
            (
                "hufu:revoked:{push}",
                "hufu:beat:{push}:AAAAAAAAAAAAAAAAAAAAAA"
            )
        );
        assert_eq!(slot_of(all.as_bytes()), slot_of(own.as_bytes()));
    }
}
