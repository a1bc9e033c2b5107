//! Seals what the store holds: a version byte, then the sealing of `crypto::keyring` (key id,
//! nonce, ciphertext, tag). The associated data is what stands before the seal and the name of the
//! key in the store, so a value that somebody moves to another key, or marks as another version,
//! does not open.

use std::sync::Arc;

use crate::crypto::encoding::{base64, from_base64};
use crate::crypto::keyring::{Keyring, NamingKey, OpenError};
use crate::secret::Secret;
use crate::session::{Session, SessionKey, UserKey};
use crate::store::forward::{self, Forward};
use crate::store::{generation, record};

/// The form that this release writes, of records, of forwards and of session_key generations alike.
const VERSION: u8 = 1;
/// The same, of forwards: with the mark by which scripts know them.
const FORWARD: u8 = VERSION | forward::MARK;
/// A session_key that was the canonical base64 of these 16 bytes, as WeChat's are.
const KEY_RAW: u8 = 1;
/// A session_key of any other form, as text.
const KEY_TEXT: u8 = 0;

/// Why a stored value cannot be read; for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unreadable(pub(super) &'static str);

impl From<OpenError> for Unreadable {
    fn from(error: OpenError) -> Self {
        Self(match error {
            OpenError::UnknownKey => "sealed with an unknown key",
            OpenError::Broken => "changed, cut, or moved from its place",
        })
    }
}

/// What stands under a session's key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stored {
    /// The session.
    Session(Session),
    /// Its token was rotated away.
    Forward(Forward),
}

/// Seals and opens.
#[derive(Debug, Clone)]
pub(super) struct Sealer {
    keys: Arc<Keyring>,
    naming: Arc<NamingKey>,
}

impl Sealer {
    pub(super) const fn new(keys: Arc<Keyring>, naming: Arc<NamingKey>) -> Self {
        Self { keys, naming }
    }

    /// What is stored under `key` for this session.
    pub(super) fn seal_session(&self, key: &str, session: &Session) -> Vec<u8> {
        let sealed = self
            .keys
            .seal(&place(&[VERSION], key), &record::encode(session));
        [&[VERSION][..], &sealed].concat()
    }

    /// What is stored under `key` for a session whose token was rotated away.
    pub(super) fn seal_forward(&self, key: &str, forward: &Forward) -> Vec<u8> {
        let sealed = self.keys.seal(&place(&[FORWARD], key), &forward.encode());
        [&[FORWARD][..], &sealed].concat()
    }

    /// What is stored under `key`: a session, or where it went.
    pub(super) fn open_stored(&self, key: &str, stored: &[u8]) -> Result<Stored, Unreadable> {
        if !Forward::is(stored) {
            return self.open_session(key, stored).map(Stored::Session);
        }
        let sealed = stored
            .strip_prefix(&[FORWARD])
            .ok_or(Unreadable("in a form that this release does not support"))?;
        let forward = Forward::decode(&self.keys.open(&place(&[FORWARD], key), sealed)?);
        forward.map(Stored::Forward).ok_or(Unreadable(
            "it opens, but is not a forward: another release wrote it",
        ))
    }

    /// The session that is stored under `key`.
    fn open_session(&self, key: &str, stored: &[u8]) -> Result<Session, Unreadable> {
        let sealed = version_checked(stored)?;
        let record = self.keys.open(&place(&[VERSION], key), sealed)?;
        record::decode(&record)
            .map_err(|_| Unreadable("it opens, but is not a record: another release wrote it"))
    }

    /// What is stored in the user's hash `key` for this session_key.
    pub(super) fn seal_generation(
        &self,
        key: &str,
        user: &UserKey,
        session_key: &SessionKey,
    ) -> Vec<u8> {
        let header = generation::header(
            VERSION,
            session_key.reserved_at,
            self.fingerprint(user, session_key.key.expose()),
        );
        let sealed = self.keys.seal(
            &place(&header, key),
            packed(session_key.key.expose()).expose(),
        );
        [&header[..], &sealed].concat()
    }

    /// The session_key that is stored in the user's hash `key`.
    pub(super) fn open_generation(
        &self,
        key: &str,
        stored: &[u8],
    ) -> Result<SessionKey, Unreadable> {
        version_checked(stored)?;
        let (header, sealed) = stored
            .split_first_chunk::<{ generation::HEADER }>()
            .ok_or(Unreadable("cut"))?;
        let plain = Secret::new(self.keys.open(&place(header, key), sealed)?);
        let key = unpacked(plain.expose()).ok_or(Unreadable(
            "it opens, but is not a session_key: another release wrote it",
        ))?;
        Ok(SessionKey {
            key,
            reserved_at: generation::reserved_at(header),
        })
    }

    /// The session_keys that are stored in the user's hash `key`, in the same order. One that does
    /// not open is of no use to anybody: it is left out, and the log says so.
    pub(super) fn open_generations(&self, key: &str, stored: &[Vec<u8>]) -> Vec<SessionKey> {
        let opened = stored
            .iter()
            .filter_map(|value| match self.open_generation(key, value) {
                Ok(session_key) => Some(session_key),
                Err(Unreadable(why)) => {
                    log::warn!("a session_key cannot be read: {why}");
                    None
                }
            });
        opened.collect()
    }

    /// Tells equal keys of one user from different ones, and nothing else to anybody without the
    /// naming key.
    fn fingerprint(&self, user: &UserKey, session_key: &str) -> [u8; 8] {
        let [provider, app, subject] = user.parts();
        self.naming.name(
            "session key",
            &[provider, app, subject, session_key.as_bytes()],
        )
    }
}

fn version_checked(stored: &[u8]) -> Result<&[u8], Unreadable> {
    match stored.split_first() {
        Some((&VERSION, rest)) => Ok(rest),
        Some(_) => Err(Unreadable("in a form that this release does not support")),
        None => Err(Unreadable("empty")),
    }
}

fn place(header: &[u8], key: &str) -> Vec<u8> {
    [header, key.as_bytes()].concat()
}

fn packed(session_key: &str) -> Secret<Vec<u8>> {
    let raw = from_base64(session_key).filter(|raw| raw.len() == 16 && base64(raw) == session_key);
    Secret::new(match raw {
        Some(raw) => [&[KEY_RAW][..], &raw].concat(),
        None => [&[KEY_TEXT][..], session_key.as_bytes()].concat(),
    })
}

fn unpacked(plain: &[u8]) -> Option<Secret<String>> {
    match plain.split_first()? {
        (&KEY_RAW, raw) if raw.len() == 16 => Some(base64(raw).into()),
        (&KEY_TEXT, text) => Some(std::str::from_utf8(text).ok()?.to_owned().into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::clock::UnixMillis;
    use crate::session::{Claims, ProviderKind};
    use crate::store::keys::Keys;
    use crate::store::settings::KeyPrefix;

    fn sealer() -> Sealer {
        Sealer::new(
            Arc::new(Keyring::ephemeral()),
            Arc::new(NamingKey::ephemeral()),
        )
    }

    fn typical() -> Session {
        Session {
            user: UserKey {
                provider: ProviderKind::WechatMiniProgram,
                app: "shop".into(),
                subject: "oGZUI0egBJY1zhBYw2KhdUfwVJJE".into(),
            },
            unionid: Some("o6_bmasdasdsad6_2sgVt7hMZOPfL".into()),
            created: UnixMillis(1_764_000_000_000),
            absolute_deadline: UnixMillis(1_764_000_000_000 + 72 * 3_600_000),
            client_address: Some([203, 0, 113, 7].into()),
            device: "iPhone 15 Pro Max".to_owned(),
            claims: Claims::default(),
        }
    }

    fn session_key(text: &str) -> SessionKey {
        SessionKey {
            key: text.to_owned().into(),
            reserved_at: UnixMillis(1_764_000_000_000),
        }
    }

    const WECHAT_KEY: &str = "HyVFkGl5F5OQWJZZaNzBBg==";

    #[test]
    fn a_typical_record_has_129_bytes_and_a_generation_fits_a_listpack() {
        let sealer = sealer();
        assert_eq!(sealer.seal_session("k", &typical()).len(), 129);
        assert_eq!(
            sealer
                .seal_generation("k", &typical().user, &session_key(WECHAT_KEY))
                .len(),
            62
        );
    }

    #[test]
    fn a_record_opens_in_its_place_only() {
        let sealer = sealer();
        let stored = sealer.seal_session("hufu:s:{AAA}:a", &typical());
        assert_eq!(
            sealer.open_session("hufu:s:{AAA}:a", &stored),
            Ok(typical())
        );
        assert_eq!(
            sealer.open_session("hufu:s:{AAA}:b", &stored),
            Err(Unreadable("changed, cut, or moved from its place"))
        );
        assert_eq!(
            super::tests::sealer().open_session("hufu:s:{AAA}:a", &stored),
            Err(Unreadable("sealed with an unknown key"))
        );
        for i in 0..stored.len() {
            let mut changed = stored.clone();
            changed[i] ^= 1;
            assert!(
                sealer.open_session("hufu:s:{AAA}:a", &changed).is_err(),
                "byte {i}"
            );
            assert!(
                sealer.open_session("hufu:s:{AAA}:a", &stored[..i]).is_err(),
                "cut at {i}"
            );
        }
    }

    #[test]
    fn a_forward_opens_in_its_place_only_and_is_no_record() {
        let sealer = sealer();
        let forward = Forward {
            to: [7; 16],
            until: UnixMillis(1_764_000_030_000),
            answer: vec![9; 86],
        };
        let stored = sealer.seal_forward("k", &forward);
        assert_eq!(stored.len(), 139);
        assert_eq!(
            sealer.open_stored("k", &stored),
            Ok(Stored::Forward(forward))
        );
        assert_eq!(
            sealer.open_stored("k", &sealer.seal_session("k", &typical())),
            Ok(Stored::Session(typical()))
        );
        assert!(sealer.open_stored("other", &stored).is_err());
        for i in 0..stored.len() {
            let mut changed = stored.clone();
            // The mark too: a forward that is called a record is none.
            changed[i] ^= 0x80;
            assert!(sealer.open_stored("k", &changed).is_err(), "byte {i}");
            assert!(sealer.open_stored("k", &stored[..i]).is_err(), "cut at {i}");
        }
    }

    #[test]
    fn a_form_of_a_later_release_is_told_apart() {
        let mut stored = sealer().seal_session("k", &typical());
        stored[0] = 2;
        assert_eq!(
            sealer().open_session("k", &stored),
            Err(Unreadable("in a form that this release does not support"))
        );
        assert_eq!(sealer().open_session("k", b""), Err(Unreadable("empty")));
        stored[0] = 0x82;
        assert_eq!(
            sealer().open_stored("k", &stored),
            Err(Unreadable("in a form that this release does not support"))
        );
    }

    #[test]
    fn session_keys_of_any_form_come_back_as_they_were_written() {
        let sealer = sealer();
        for text in [
            WECHAT_KEY,
            "HyVFkGl5F5OQWJZZaNzBBh==",
            "AAAA",
            "",
            "no base64 at all, and rather long: longer than a key of any platform",
        ] {
            let stored = sealer.seal_generation("k", &typical().user, &session_key(text));
            let read = sealer.open_generation("k", &stored).unwrap();
            assert_eq!(
                (read.key.expose().as_str(), read.reserved_at),
                (text, UnixMillis(1_764_000_000_000))
            );
            assert!(sealer.open_generation("other", &stored).is_err());
            for i in 0..stored.len() {
                let mut changed = stored.clone();
                changed[i] ^= 1;
                assert!(sealer.open_generation("k", &changed).is_err(), "byte {i}");
                assert!(
                    sealer.open_generation("k", &stored[..i]).is_err(),
                    "cut at {i}"
                );
            }
        }
    }

    #[test]
    fn fingerprints_tell_keys_and_users_apart() {
        let sealer = sealer();
        let other = UserKey {
            subject: "other".into(),
            ..typical().user
        };
        let print = |user: &UserKey, key| {
            sealer.seal_generation("k", user, &session_key(key))[7..15].to_vec()
        };
        assert_eq!(
            print(&typical().user, WECHAT_KEY),
            print(&typical().user, WECHAT_KEY)
        );
        assert_ne!(
            print(&typical().user, WECHAT_KEY),
            print(&typical().user, "AAAA")
        );
        assert_ne!(
            print(&typical().user, WECHAT_KEY),
            print(&other, WECHAT_KEY)
        );
    }

    /// Records as releases have written them, with these keys. A fixture is never changed: one that
    /// no longer opens would have logged everybody out.
    mod fixtures {
        use super::*;

        fn fixed() -> (Sealer, Keys) {
            let key = |first: u8| Secret::new(std::array::from_fn(|i| first.wrapping_add(i as u8)));
            let naming = Arc::new(NamingKey::new(&key(100)));
            (
                Sealer::new(Arc::new(Keyring::new(&[key(0)]).unwrap()), naming.clone()),
                Keys::new(KeyPrefix::default(), naming),
            )
        }

        const ID: crate::session::SessionId = crate::session::SessionId {
            tag: [1, 2],
            hash: [3; 16],
        };

        fn sessions() -> Vec<(&'static str, Session)> {
            let bare = Session {
                unionid: None,
                client_address: None,
                device: String::new(),
                ..typical()
            };
            let claims = Claims::new([("scope", "snsapi_base"), ("nick", "虎")]).unwrap();
            let full = Session {
                client_address: Some("2001:db8::7".parse().unwrap()),
                claims,
                ..typical()
            };
            vec![
                ("v1-typical", typical()),
                ("v1-bare", bare),
                ("v1-ipv6-claims", full),
            ]
        }

        fn forward() -> Forward {
            Forward {
                to: [4; 16],
                until: UnixMillis(1_764_000_030_000),
                answer: b"the answer, sealed under the old token".to_vec(),
            }
        }

        fn folder() -> std::path::PathBuf {
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/records")
        }

        fn read(name: &str) -> Vec<u8> {
            let path = folder().join(name).with_extension("hex");
            hex::decode(
                fs::read_to_string(&path)
                    .unwrap_or_else(|e| panic!("{}: {e}", path.display()))
                    .trim(),
            )
            .unwrap()
        }

        #[test]
        fn stored_records_of_every_version_load() {
            let (sealer, keys) = fixed();
            for (name, session) in sessions() {
                assert_eq!(
                    sealer.open_session(&keys.session(&ID), &read(name)),
                    Ok(session),
                    "{name}"
                );
            }
            assert_eq!(
                sealer.open_stored(&keys.session(&ID), &read("v1-forward")),
                Ok(Stored::Forward(forward()))
            );
            let read = sealer
                .open_generation(&keys.user(ID.tag, &typical().user), &read("v1-generation"))
                .unwrap();
            assert_eq!(
                (read.key.expose().as_str(), read.reserved_at),
                (WECHAT_KEY, UnixMillis(1_764_000_000_000))
            );
            assert_eq!(
                fs::read_dir(folder()).unwrap().count(),
                sessions().len() + 2,
                "every fixture is read"
            );
        }

        /// Writes the fixtures of the current version; for the release that brings a new one.
        #[test]
        #[ignore = "writes files"]
        fn write() {
            let (sealer, keys) = fixed();
            let write = |name: &str, stored: &[u8]| {
                fs::write(
                    folder().join(name).with_extension("hex"),
                    hex::encode(stored) + "\n",
                )
                .unwrap();
            };
            fs::create_dir_all(folder()).unwrap();
            for (name, session) in sessions() {
                write(name, &sealer.seal_session(&keys.session(&ID), &session));
            }
            write(
                "v1-forward",
                &sealer.seal_forward(&keys.session(&ID), &forward()),
            );
            let user_key = keys.user(ID.tag, &typical().user);
            write(
                "v1-generation",
                &sealer.seal_generation(&user_key, &typical().user, &session_key(WECHAT_KEY)),
            );
        }
    }
}
