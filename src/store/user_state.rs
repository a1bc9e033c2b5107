//! The stored form of what operators have decided about a user. Version 1:
//!
//! ```text
//! version  1 byte, outside the seal
//! has      1 byte, bits: 1 a block, 2 a patch of claims, 4 one that does not last
//! block    since and until; reason: varint length and UTF-8
//! patch    at, and until if it does not last; to the end: the stored form of `ClaimsPatch`
//! ```
//!
//! Times are 6 bytes, big-endian milliseconds.

use crate::clock::UnixMillis;
use crate::session::codec::{Malformed, Reader, put_text, time_bytes, time_of};
use crate::session::{Block, ClaimsPatch, KeptPatch, UserKey, UserState};
use crate::store::sealed::{Sealer, Unreadable};

const VERSION: u8 = 1;
const BLOCK: u8 = 1;
const PATCH: u8 = 2;
const ENDS: u8 = 4;

impl Sealer {
    /// What is stored of this state; nothing for one that says nothing.
    pub(super) fn seal_state(&self, user: &UserKey, state: &UserState) -> Vec<u8> {
        if *state == UserState::default() {
            return Vec::new();
        }
        let sealed = self.state_box(user).seal(&encode(state));
        [&[VERSION][..], &sealed].concat()
    }

    /// The state of which these bytes are stored.
    pub(super) fn open_state(
        &self,
        user: &UserKey,
        stored: &[u8],
    ) -> Result<UserState, Unreadable> {
        match stored.split_first() {
            None => Ok(UserState::default()),
            Some((&VERSION, sealed)) => decode(&self.state_box(user).open(sealed)?).map_err(|_| {
                Unreadable("it opens, but is not a user's state: another release wrote it")
            }),
            Some(_) => Err(Unreadable("in a form that this release does not support")),
        }
    }
}

fn encode(state: &UserState) -> Vec<u8> {
    let mut out = vec![0];
    if let Some(block) = &state.blocked {
        out[0] |= BLOCK;
        out.extend(time_bytes(block.since));
        out.extend(time_bytes(block.until));
        put_text(&mut out, &block.reason);
    }
    if let Some(kept) = &state.patch {
        out[0] |= PATCH;
        out.extend(time_bytes(kept.at));
        if let Some(until) = kept.until {
            out[0] |= ENDS;
            out.extend(time_bytes(until));
        }
        out.extend(kept.patch.encoded());
    }
    out
}

fn decode(plain: &[u8]) -> Result<UserState, Malformed> {
    let mut rest = Reader(plain);
    let has = rest.byte()?;
    if has & !(BLOCK | PATCH | ENDS) != 0 || has & (PATCH | ENDS) == ENDS {
        return Err(Malformed);
    }
    let mut state = UserState::default();
    if has & BLOCK != 0 {
        state.blocked = Some(Block {
            since: time(&mut rest)?,
            until: time(&mut rest)?,
            reason: rest.text()?.to_owned(),
        });
    }
    if has & PATCH != 0 {
        let at = time(&mut rest)?;
        let until = if has & ENDS != 0 {
            Some(time(&mut rest)?)
        } else {
            None
        };
        let patch = ClaimsPatch::decode(rest.0).map_err(|_| Malformed)?;
        rest.0 = &[];
        state.patch = Some(KeptPatch { patch, at, until });
    }
    if rest.0.is_empty() {
        Ok(state)
    } else {
        Err(Malformed)
    }
}

fn time(rest: &mut Reader<'_>) -> Result<UnixMillis, Malformed> {
    Ok(time_of(&rest.array::<6>()?))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::crypto::keyring::{Keyring, NamingKey};
    use crate::session::{ClaimValue, ProviderKind};

    fn user(subject: &str) -> UserKey {
        UserKey {
            provider: ProviderKind::WechatMiniProgram,
            app: "shop".into(),
            authorizer: None,
            subject: subject.into(),
        }
    }

    const NOW: UnixMillis = UnixMillis(1_764_000_000_000);

    fn blocked() -> UserState {
        UserState {
            blocked: Some(Block {
                since: NOW,
                until: UnixMillis(1_764_000_600_000),
                reason: "虎".to_owned(),
            }),
            patch: None,
        }
    }

    fn patched(until: Option<UnixMillis>) -> UserState {
        let changes = vec![
            ("role".to_owned(), Some(ClaimValue::from("staff"))),
            ("vip".to_owned(), None),
        ];
        UserState {
            blocked: None,
            patch: Some(KeptPatch {
                patch: ClaimsPatch::new(changes).unwrap(),
                at: NOW,
                until,
            }),
        }
    }

    #[test]
    fn a_state_opens_for_its_user_only_and_after_a_roll_of_keys() {
        let naming = Arc::new(NamingKey::ephemeral());
        let sealer =
            |naming: &Arc<NamingKey>| Sealer::new(Arc::new(Keyring::ephemeral()), naming.clone());
        let stored = sealer(&naming).seal_state(&user("o1"), &blocked());
        let after = sealer(&naming);
        assert_eq!(after.open_state(&user("o1"), &stored), Ok(blocked()));
        assert!(after.open_state(&user("o2"), &stored).is_err());
        let other = Arc::new(NamingKey::ephemeral());
        assert!(sealer(&other).open_state(&user("o1"), &stored).is_err());
        for i in 0..stored.len() {
            let mut changed = stored.clone();
            changed[i] ^= 1;
            assert!(after.open_state(&user("o1"), &changed).is_err(), "{i}");
        }
    }

    #[test]
    fn nothing_is_stored_as_nothing() {
        let sealer = Sealer::new(
            Arc::new(Keyring::ephemeral()),
            Arc::new(NamingKey::ephemeral()),
        );
        let nothing = UserState::default();
        let stored = sealer.seal_state(&user("o1"), &nothing);
        assert!(stored.is_empty());
        assert_eq!(sealer.open_state(&user("o1"), &stored), Ok(nothing));
    }

    #[test]
    fn what_was_written_is_read_and_a_cut_block_is_none() {
        for state in [patched(None), patched(Some(NOW))] {
            let both = UserState {
                patch: state.patch.clone(),
                ..blocked()
            };
            for state in [state, both] {
                assert_eq!(decode(&encode(&state)), Ok(state));
            }
        }
        let whole = encode(&blocked());
        assert_eq!(decode(&whole), Ok(blocked()));
        for cut in 0..whole.len() {
            assert!(decode(&whole[..cut]).is_err(), "{cut}");
        }
        assert!(decode(&[&whole[..], &[0]].concat()).is_err());
    }

    /// As a release has written it, with this naming key and whatever sealing keys. A fixture is
    /// never changed: one that no longer opens would have let blocked users in.
    mod fixture {
        use std::fs;
        use std::path::PathBuf;

        use super::*;
        use crate::secret::Secret;

        fn sealer() -> Sealer {
            let key = Secret::new(std::array::from_fn(|i| 100_u8.wrapping_add(i as u8)));
            let naming = Arc::new(NamingKey::new(&key));
            Sealer::new(Arc::new(Keyring::ephemeral()), naming)
        }

        fn path() -> PathBuf {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/user-states");
            PathBuf::from(folder).join("v1-both.hex")
        }

        fn both() -> UserState {
            UserState {
                patch: patched(Some(UnixMillis(1_764_000_060_000))).patch,
                ..blocked()
            }
        }

        #[test]
        fn it_opens() {
            let stored = hex::decode(fs::read_to_string(path()).unwrap().trim()).unwrap();
            assert_eq!(sealer().open_state(&user("o1"), &stored), Ok(both()));
        }

        /// For the release that brings a new version.
        #[test]
        #[ignore = "writes a file"]
        fn write() {
            fs::create_dir_all(path().parent().unwrap()).unwrap();
            let stored = sealer().seal_state(&user("o1"), &both());
            fs::write(path(), hex::encode(stored) + "\n").unwrap();
        }
    }
}
