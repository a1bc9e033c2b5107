//! Seals what the store holds: a version byte, then the sealing of `crypto::keyring` (key id,
//! nonce, ciphertext, tag). The associated data is what stands before the seal and the name of the
//! key in the store, so a value that somebody moves to another key, or marks as another version,
//! does not open.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::UnixMillis;
use crate::crypto::encoding::{base64, from_base64};
use crate::crypto::keyring::{DerivedBox, Keyring, NamingKey, OpenError};
use crate::identity::StoredToken;
use crate::secret::Secret;
use crate::session::{RecordStamp, Session, SessionKey, UnreadableState, UserKey};
use crate::store::keys::Keys;
use crate::store::successor::{self, Successor};
use crate::store::{generation, record};

/// The form that this release writes, of records, of successors and of session_key generations alike.
const VERSION: u8 = 1;
/// The same, of successors: with the mark by which scripts know them.
const SUCCESSOR: u8 = VERSION | successor::MARK;
/// A session_key that was the canonical base64 of these 16 bytes, as WeChat's are.
const KEY_RAW: u8 = 1;
/// A session_key of any other form, as text.
const KEY_TEXT: u8 = 0;

/// Why a stored value cannot be read; for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unreadable(pub(super) &'static str);

impl Unreadable {
    /// The state of this user cannot be read.
    pub(super) fn of_state(self, keys: &Keys, user: &UserKey) -> UnreadableState {
        UnreadableState {
            key: keys.state(keys.tag(user), user),
            why: self.0,
        }
    }
}

impl From<OpenError> for Unreadable {
    fn from(error: OpenError) -> Self {
        Self(match error {
            OpenError::UnknownKey => "sealed with an unknown key",
            OpenError::Broken => "changed, cut, or moved from its place",
        })
    }
}

/// What these stored bytes begin with, if they are a record.
pub(super) fn stamp_of(stored: &[u8]) -> RecordStamp {
    RecordStamp(stored.first_chunk().copied().unwrap_or_default())
}

/// What stands under a session's key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stored {
    Session(Session),
    /// Its token was rotated away.
    Successor(Successor),
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
        self.seal(&[VERSION], key, &record::encode(session))
    }

    /// What is stored under `key` for a session whose token was rotated away.
    pub(super) fn seal_successor(&self, key: &str, successor: &Successor) -> Vec<u8> {
        self.seal(&[SUCCESSOR], key, &successor.encode())
    }

    fn seal(&self, header: &[u8], key: &str, plain: &[u8]) -> Vec<u8> {
        [header, &self.keys.seal(&associated(header, key), plain)].concat()
    }

    fn open(&self, header: &[u8], key: &str, sealed: &[u8]) -> Result<Vec<u8>, Unreadable> {
        Ok(self.keys.open(&associated(header, key), sealed)?)
    }

    /// What is stored under `key`: a session, or where it went.
    pub(super) fn open_stored(&self, key: &str, stored: &[u8]) -> Result<Stored, Unreadable> {
        match stored.split_first() {
            Some((&VERSION, sealed)) => record::decode(&self.open(&[VERSION], key, sealed)?)
                .map(Stored::Session)
                .map_err(|_| Unreadable("it opens, but is not a record: another release wrote it")),
            Some((&SUCCESSOR, sealed)) => {
                Successor::decode(&self.open(&[SUCCESSOR], key, sealed)?)
                    .map(Stored::Successor)
                    .ok_or(Unreadable(
                        "it opens, but is not a successor: another release wrote it",
                    ))
            }
            _ => Err(unsupported(stored)),
        }
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
        self.seal(&header, key, packed(session_key.key.expose()).expose())
    }

    /// The same of several.
    pub(super) fn seal_generations(
        &self,
        key: &str,
        user: &UserKey,
        session_keys: &[SessionKey],
    ) -> Vec<Vec<u8>> {
        let sealed = session_keys
            .iter()
            .map(|session_key| self.seal_generation(key, user, session_key));
        sealed.collect()
    }

    /// The session_key that is stored in the user's hash `key`.
    pub(super) fn open_generation(
        &self,
        key: &str,
        stored: &[u8],
    ) -> Result<SessionKey, Unreadable> {
        let (reserved_at, plain) = self.open_dated(key, stored)?;
        let key = unpacked(plain.expose()).ok_or(Unreadable(
            "it opens, but is not a session_key: another release wrote it",
        ))?;
        Ok(SessionKey { key, reserved_at })
    }

    /// What stands behind the header of a generation, and the time in it.
    fn open_dated(
        &self,
        key: &str,
        stored: &[u8],
    ) -> Result<(UnixMillis, Secret<Vec<u8>>), Unreadable> {
        if stored.first() != Some(&VERSION) {
            return Err(unsupported(stored));
        }
        let (header, sealed) = stored
            .split_first_chunk::<{ generation::HEADER }>()
            .ok_or(Unreadable("cut"))?;
        let plain = Secret::new(self.open(header, key, sealed)?);
        Ok((generation::reserved_at(header), plain))
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

    /// What is stored under `key` for a platform's token: the header of a generation, so that
    /// scripts can compare it, and the text.
    pub(super) fn seal_token(
        &self,
        key: &str,
        fetched_at: UnixMillis,
        text: &Secret<String>,
    ) -> Vec<u8> {
        let header = generation::header(VERSION, fetched_at, self.token_mark(key, text));
        self.seal(&header, key, text.expose().as_bytes())
    }

    /// The token that is stored under `key`, and when it was fetched.
    pub(super) fn open_token(
        &self,
        key: &str,
        stored: &[u8],
    ) -> Result<(Secret<String>, UnixMillis), Unreadable> {
        let (fetched_at, plain) = self.open_dated(key, stored)?;
        let text = std::str::from_utf8(plain.expose())
            .map_err(|_| Unreadable("it opens, but is not a token: another release wrote it"))?;
        Ok((text.to_owned().into(), fetched_at))
    }

    /// The token that was found under `key` and lives for so long. One that does not open is none:
    /// another one is fetched.
    pub(super) fn stored_token(
        &self,
        key: &str,
        stored: &[u8],
        now: UnixMillis,
        expires_in: Duration,
    ) -> Option<StoredToken> {
        match self.open_token(key, stored) {
            Ok((text, fetched_at)) => Some(StoredToken {
                text,
                age: now.since(fetched_at),
                expires_in,
            }),
            Err(Unreadable(why)) => {
                log::warn!("an access token cannot be read, so another one is fetched: {why}");
                None
            }
        }
    }

    /// Whether a token is sealed with the key that seals now.
    pub(super) fn is_under_first_key(&self, stored: &[u8]) -> bool {
        let sealed = stored.get(generation::HEADER..).unwrap_or_default();
        self.keys.is_under_first(sealed)
    }

    /// What is stored under `key`, of a kind that its first byte names and a version of it.
    pub(super) fn seal_marked(&self, mark: [u8; 2], key: &str, plain: &[u8]) -> Vec<u8> {
        self.seal(&mark, key, plain)
    }

    /// What [`Sealer::seal_marked`] has sealed as the same kind.
    pub(super) fn open_marked(
        &self,
        mark: [u8; 2],
        key: &str,
        stored: &[u8],
    ) -> Result<Vec<u8>, Unreadable> {
        match stored.strip_prefix(&mark) {
            Some(sealed) => self.open(&mark, key, sealed),
            None => Err(unsupported(stored)),
        }
    }

    /// What seals the state of this user. It comes from the naming key: a state lives for years, and
    /// is to open after every key that seals sessions was replaced.
    pub(super) fn state_box(&self, user: &UserKey) -> DerivedBox {
        DerivedBox::new(&self.naming, "user state", &user.parts())
    }

    /// Tells equal tokens from different ones, and nothing else to anybody without the naming key.
    pub(super) fn token_mark(&self, key: &str, text: &Secret<String>) -> [u8; 8] {
        let parts = [key.as_bytes(), text.expose().as_bytes()];
        self.naming.name("platform token", &parts)
    }

    /// Tells equal keys of one user from different ones, and nothing else to anybody without the
    /// naming key.
    fn fingerprint(&self, user: &UserKey, session_key: &str) -> [u8; 8] {
        let parts = [&*user.parts(), &[session_key.as_bytes()]].concat();
        self.naming.name("session key", &parts)
    }
}

fn unsupported(stored: &[u8]) -> Unreadable {
    Unreadable(if stored.is_empty() {
        "empty"
    } else {
        "in a form that this release does not support"
    })
}

fn associated(header: &[u8], key: &str) -> Vec<u8> {
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
                authorizer: None,
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

    /// Fails if anything but the whole opens.
    fn assert_opens_unchanged_only(stored: &[u8], opens: impl Fn(&[u8]) -> bool) {
        assert!(opens(stored));
        for i in 0..stored.len() {
            // With the bit that marks a successor: one that is called a record is none.
            for bit in [1, successor::MARK] {
                let mut changed = stored.to_vec();
                changed[i] ^= bit;
                assert!(!opens(&changed), "byte {i}");
            }
            assert!(!opens(&stored[..i]), "cut at {i}");
        }
    }

    #[test]
    fn a_record_and_a_successor_open_in_their_place_only() {
        let sealer = sealer();
        let successor = Successor {
            to: [7; 16],
            until: UnixMillis(1_764_000_030_000),
            answer: vec![9; 86],
        };
        let key = "hufu:s:{AAA}:a";
        let sealed = sealer.seal_successor(key, &successor);
        assert_eq!(sealed.len(), 139);
        for (stored, plain) in [
            (
                sealer.seal_session(key, &typical()),
                Stored::Session(typical()),
            ),
            (sealed, Stored::Successor(successor)),
        ] {
            assert_eq!(sealer.open_stored(key, &stored), Ok(plain));
            assert_eq!(
                sealer.open_stored("hufu:s:{AAA}:b", &stored),
                Err(Unreadable("changed, cut, or moved from its place"))
            );
            assert_eq!(
                super::tests::sealer().open_stored(key, &stored),
                Err(Unreadable("sealed with an unknown key"))
            );
            assert_opens_unchanged_only(&stored, |stored| sealer.open_stored(key, stored).is_ok());
        }
    }

    #[test]
    fn a_form_of_a_later_release_is_told_apart() {
        let mut stored = sealer().seal_session("k", &typical());
        for version in [2, 0x82] {
            stored[0] = version;
            assert_eq!(
                sealer().open_stored("k", &stored),
                Err(Unreadable("in a form that this release does not support"))
            );
        }
        assert_eq!(sealer().open_stored("k", b""), Err(Unreadable("empty")));
    }

    #[test]
    fn an_access_token_opens_in_its_place_only_and_is_marked_by_its_text() {
        let sealer = sealer();
        let text = |text: &str| Secret::new(text.to_owned());
        let stored = sealer.seal_token("k", UnixMillis(7), &text("t1"));
        let opened = |key: &str, stored: &[u8]| sealer.open_token(key, stored).is_ok();
        assert_opens_unchanged_only(&stored, |stored| opened("k", stored));
        assert!(!opened("another", &stored));
        assert_eq!(stored[7..15], sealer.token_mark("k", &text("t1")));
        assert_ne!(stored[7..15], sealer.token_mark("k", &text("t2")));
        assert_ne!(stored[7..15], sealer.token_mark("another", &text("t1")));
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
            assert_opens_unchanged_only(&stored, |stored| {
                sealer.open_generation("k", stored).is_ok()
            });
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
        use crate::identity::TokenName;

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

        fn records() -> Vec<(&'static str, Stored)> {
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
            let of_authorizer = Session {
                user: UserKey {
                    provider: ProviderKind::WechatComponent,
                    authorizer: Some("wxfedcba9876543210".into()),
                    ..typical().user
                },
                ..typical()
            };
            let successor = Successor {
                to: [4; 16],
                until: UnixMillis(1_764_000_030_000),
                answer: b"the answer, sealed under the old token".to_vec(),
            };
            vec![
                ("v1-typical", Stored::Session(typical())),
                ("v1-bare", Stored::Session(bare)),
                ("v1-ipv6-claims", Stored::Session(full)),
                ("v1-authorizer", Stored::Session(of_authorizer)),
                ("v1-successor", Stored::Successor(successor)),
            ]
        }

        const ACCESS_TOKEN: &str = "66_abcDEF-_0123456789";

        fn access() -> TokenName {
            TokenName {
                appid: "wx0123456789abcdef".into(),
                authorizer: None,
                kind: "access",
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
            for (name, record) in records() {
                assert_eq!(
                    sealer.open_stored(&keys.session(&ID), &read(name)),
                    Ok(record),
                    "{name}"
                );
            }
            let (text, fetched_at) = sealer
                .open_token(&keys.token(&access()), &read("v1-token"))
                .unwrap();
            assert_eq!(
                (text.expose().as_str(), fetched_at),
                (ACCESS_TOKEN, UnixMillis(1_764_000_000_000))
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
                records().len() + 2,
                "every fixture is read"
            );
        }

        /// Writes the fixtures of the current version; for the release that brings a new one.
        #[test]
        #[ignore = "writes files"]
        fn write() {
            let (sealer, keys) = fixed();
            let write = |name: &str, stored: &[u8]| {
                let path = folder().join(name).with_extension("hex");
                fs::write(path, hex::encode(stored) + "\n").unwrap();
            };
            fs::create_dir_all(folder()).unwrap();
            let key = keys.session(&ID);
            for (name, record) in records() {
                let stored = match record {
                    Stored::Session(session) => sealer.seal_session(&key, &session),
                    Stored::Successor(successor) => sealer.seal_successor(&key, &successor),
                };
                write(name, &stored);
            }
            let user_key = keys.user(ID.tag, &typical().user);
            let generation =
                sealer.seal_generation(&user_key, &typical().user, &session_key(WECHAT_KEY));
            write("v1-generation", &generation);
            let key = keys.token(&access());
            let text = Secret::new(ACCESS_TOKEN.to_owned());
            let token = sealer.seal_token(&key, UnixMillis(1_764_000_000_000), &text);
            write("v1-token", &token);
        }
    }
}
