//! Whether sealed data opens under one of the user's session_keys, and is what it has to be.
//!
//! A client could make data of its choice if it learnt of texts that it changed whether their
//! padding was right. So every key does the same work, also after one has opened the data: it
//! decrypts, reads the JSON of whatever came out, compares everything, and asks last whether the
//! padding was right. The caller holds every refusal back until the same moment.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::clock::UnixMillis;
use crate::crypto::hash;
use crate::identity::capability::OpenData;
use crate::session::SessionKey;

/// How far ahead of the store's clock the platform's may be.
const AHEAD: Duration = Duration::from_secs(60);

/// Data as the platform's client gives it to the page.
pub struct SealedData {
    pub encrypted_data: String,
    pub iv: String,
    pub signed: Option<Signed>,
}

impl SealedData {
    /// The fields that the platform has signed, of data that has opened: with another signature it
    /// would not have.
    pub(super) fn signed_fields(&self) -> Option<Map<String, Value>> {
        let signed = self.signed.as_ref()?;
        serde_json::from_str(&signed.raw_data).ok()
    }
}

/// The part of it in clear, and its signature.
pub struct Signed {
    pub raw_data: String,
    pub signature: String,
}

/// What the data has to be.
pub(super) struct Demands<'a> {
    pub(super) appid: &'a str,
    pub(super) subject: &'a str,
    pub(super) now: UnixMillis,
    pub(super) max_age: Option<Duration>,
}

/// What is wrong with data, for the log alone. Of several keys the one counts that came further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    Unopened,
    Unsigned,
    NoWatermark,
    OtherApp,
    TooOld,
    Ahead,
    OtherUser,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unopened => "it opens under none of the user's session_keys",
            Self::Unsigned => "its signature is another one",
            Self::NoWatermark => "it has no watermark",
            Self::OtherApp => "its watermark is of another app",
            Self::TooOld => "it is older than open_data.max_age",
            Self::Ahead => {
                "its watermark is of the future: the platform's clock and the store's differ"
            }
            Self::OtherUser => "it is of another user",
        })
    }
}

/// The data, and how many newer keys there are than the one that has opened it.
pub(super) fn open(
    platform: &dyn OpenData,
    keys: &[SessionKey],
    sealed: &SealedData,
    demands: &Demands<'_>,
) -> Result<(Map<String, Value>, usize), Fault> {
    let mut found = Err(Fault::Unopened);
    for (newer, generation) in keys.iter().enumerate() {
        let opened = open_under(platform, generation, sealed, demands).map(|data| (data, newer));
        found = match (found, opened) {
            (Ok(found), _) => Ok(found),
            (Err(_), Ok(opened)) => Ok(opened),
            (Err(before), Err(fault)) => Err(before.max(fault)),
        };
    }
    found
}

fn open_under(
    platform: &dyn OpenData,
    generation: &SessionKey,
    sealed: &SealedData,
    demands: &Demands<'_>,
) -> Result<Map<String, Value>, Fault> {
    let opened = platform.open(&generation.key, &sealed.iv, &sealed.encrypted_data);
    let is_signed = sealed.signed.as_ref().is_none_or(|signed| {
        let expected = platform.signature(&generation.key, &signed.raw_data);
        hash::constant_time_eq(expected.as_bytes(), signed.signature.as_bytes())
    });
    let data = serde_json::from_slice::<Map<String, Value>>(opened.text());
    let compared = data.map_err(|_| Fault::Unopened).and_then(|data| {
        demands.compare(&data)?;
        Ok(data)
    });
    if !opened.is_whole() {
        return Err(Fault::Unopened);
    }
    if !is_signed && !matches!(compared, Err(Fault::Unopened)) {
        return Err(Fault::Unsigned);
    }
    compared
}

/// The platform's mark in the data: for which app it was sealed and when, in seconds.
#[derive(Deserialize)]
struct Watermark {
    #[serde(alias = "appId")]
    appid: String,
    timestamp: u64,
}

impl Demands<'_> {
    fn compare(&self, data: &Map<String, Value>) -> Result<(), Fault> {
        // An object, and not an array of the same: other readers would not take that.
        let watermark = data.get("watermark").filter(|mark| mark.is_object());
        let watermark = watermark.ok_or(Fault::NoWatermark)?;
        let watermark = Watermark::deserialize(watermark).map_err(|_| Fault::NoWatermark)?;
        if watermark.appid != self.appid {
            return Err(Fault::OtherApp);
        }
        let sealed_at = UnixMillis(watermark.timestamp.saturating_mul(1000));
        if self
            .max_age
            .is_some_and(|max| self.now.since(sealed_at) > max)
        {
            return Err(Fault::TooOld);
        }
        if sealed_at.since(self.now) > AHEAD {
            return Err(Fault::Ahead);
        }
        let is_own = |name| data.get(name).is_none_or(|id| id == self.subject);
        if ["openId", "openid"].into_iter().all(is_own) {
            Ok(())
        } else {
            Err(Fault::OtherUser)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::crypto::open_data;
    use crate::secret::Secret;

    /// As WeChat seals it.
    struct Wechat;

    impl OpenData for Wechat {}

    const APPID: &str = "wx0123456789abcdef";
    const OPENID: &str = "oGZUI0egBJY1zhBYw2KhdUfwVJJE";
    const NEW: &str = "HyVFkGl5F5OQWJZZaNzBBg==";
    const OLD: &str = "tiihtNczf5v6AKRyjwEUhQ==";
    const NOW: u64 = 1_764_000_000;

    fn keys(keys: &[&str]) -> Vec<SessionKey> {
        let key = |key: &&str| SessionKey {
            key: Secret::new((*key).to_owned()),
            reserved_at: UnixMillis(0),
        };
        keys.iter().map(key).collect()
    }

    fn demands(max_age: Option<u64>) -> Demands<'static> {
        Demands {
            appid: APPID,
            subject: OPENID,
            now: UnixMillis(NOW * 1000),
            max_age: max_age.map(Duration::from_secs),
        }
    }

    fn sealed_text(key: &str, text: &str) -> SealedData {
        let (encrypted_data, iv) = open_data::encrypt(key, [9; 16], text.as_bytes()).unwrap();
        SealedData {
            encrypted_data,
            iv,
            signed: None,
        }
    }

    fn sealed(key: &str, data: &Value) -> SealedData {
        sealed_text(key, &data.to_string())
    }

    fn stamped(at: u64) -> Value {
        json!({ "watermark": { "appid": APPID, "timestamp": at } })
    }

    fn with(mut data: Value, name: &str, value: &str) -> Value {
        data[name] = value.into();
        data
    }

    /// The sample of WeChat's documentation, and each of its twins with one bit changed.
    #[test]
    fn the_documented_data_opens_and_none_of_its_twins() {
        const APPID: &str = "wx4f4bc4dec97d474b";
        const IV: &str = "r7BXXKkLb8qrSNn05n0qiA==";
        const DATA: &str = "CiyLU1Aw2KjvrjMdj8YKliAjtP4gsMZMQmRzooG2xrDcvSnxIMXFufNstNGTyaGS9uT5geRa0W4oTOb1WT7fJlAC+oNPdbB+3hVbJSRgv+4lGOETKUQz6OYStslQ142dNCuabNPGBzlooOmB231qMM85d2/fV6ChevvXvQP8Hkue1poOFtnEtpyxVLW1zAo6/1Xx1COxFvrc2d7UL/lmHInNlxuacJXwu0fjpXfz/YqYzBIBzD6WUfTIF9GRHpOn/Hz7saL8xz+W//FRAUid1OksQaQx4CMs8LOddcQhULW4ucetDf96JcR3g0gfRK4PC7E/r7Z6xNrXd2UIeorGj5Ef7b1pJAYB6Y5anaHqZ9J6nKEBvB4DnNLIVWSgARns/8wR2SiRS7MNACwTyrGvt9ts8p12PKFdlqYTopNHR1Vf7XjfhQlVsAJdNiKdYmYVoKlaRv85IfVunYzO0IKXsyl7JCUjCpoG20f0a04COwfneQAGGwd5oa+T8yO5hzuyDb/XcxxmK01EpqOyuxINew==";
        let demands = Demands {
            appid: APPID,
            now: UnixMillis(1_477_314_187_000),
            ..demands(Some(600))
        };
        let try_it = |key: &str, iv: &[u8], data: &[u8]| {
            let sealed = SealedData {
                encrypted_data: crate::crypto::encoding::base64(data),
                iv: crate::crypto::encoding::base64(iv),
                signed: None,
            };
            open(&Wechat, &keys(&[key]), &sealed, &demands)
        };
        let bytes = |text| crate::crypto::encoding::from_base64(text).unwrap();
        let (iv, data) = (bytes(IV), bytes(DATA));
        let (opened, newer) = try_it(OLD, &iv, &data).unwrap();
        assert_eq!((&opened["nickName"], newer), (&json!("Band"), 0));
        assert!(try_it(NEW, &iv, &data).is_err());
        // One bit in the IV changes one letter of the first block, `{"openId":"oGZUI`. Only a MAC
        // would find that in the name; what is demanded of the data holds all the same.
        for place in 0..16 {
            let mut other = iv.clone();
            other[place] ^= 1;
            match try_it(OLD, &other, &data) {
                Ok((changed, _)) => assert!((2..8).contains(&place), "{place}: {changed:?}"),
                Err(_) => assert!(!(2..8).contains(&place), "{place}"),
            }
        }
        for place in 0..data.len() {
            let mut other = data.clone();
            other[place] ^= 1;
            let changed = try_it(OLD, &iv, &other);
            // A block that changes becomes noise, which is most likely no UTF-8; and the block
            // behind it changes by one bit.
            assert!(changed.is_err(), "byte {place}: {changed:?}");
            assert!(try_it(OLD, &iv, &data[..place]).is_err(), "cut at {place}");
        }
    }

    #[test]
    fn each_key_is_tried_and_the_newest_counts() {
        let (new, old) = (sealed(NEW, &stamped(NOW)), sealed(OLD, &stamped(NOW)));
        let demands = demands(Some(600));
        let opened = |sealed, with: &[&str]| {
            let opened = open(&Wechat, &keys(with), sealed, &demands);
            opened.map(|(_, newer)| newer)
        };
        assert_eq!(opened(&new, &[NEW, OLD]), Ok(0));
        assert_eq!(opened(&old, &[NEW, OLD]), Ok(1));
        assert_eq!(opened(&old, &[NEW]), Err(Fault::Unopened));
        assert_eq!(opened(&old, &["short", OLD]), Ok(1));
        assert_eq!(opened(&new, &[NEW, NEW]), Ok(0));
        // A platform's key of another length opens nothing and harms nobody.
        assert_eq!(opened(&old, &["short"]), Err(Fault::Unopened));
    }

    #[test]
    fn data_has_to_be_of_this_app_and_user_and_of_now() {
        let other_app = json!({ "watermark": { "appid": "wx1", "timestamp": NOW } });
        let other_spelling = json!({ "watermark": { "appId": APPID, "timestamp": NOW } });
        let text = json!({ "watermark": { "appid": APPID, "timestamp": "soon" } });
        for (data, max_age, expected) in [
            (stamped(NOW), Some(600), Ok(())),
            (stamped(NOW - 600), Some(600), Ok(())),
            (stamped(NOW - 601), Some(600), Err(Fault::TooOld)),
            (stamped(NOW - 601), None, Ok(())),
            (stamped(0), None, Ok(())),
            (stamped(NOW + 60), Some(600), Ok(())),
            (stamped(NOW + 61), Some(600), Err(Fault::Ahead)),
            (stamped(NOW + 61), None, Err(Fault::Ahead)),
            (stamped(u64::MAX), None, Err(Fault::Ahead)),
            (other_app, None, Err(Fault::OtherApp)),
            (other_spelling, Some(600), Ok(())),
            (text, None, Err(Fault::NoWatermark)),
            (json!({}), None, Err(Fault::NoWatermark)),
            (json!({ "watermark": APPID }), None, Err(Fault::NoWatermark)),
            (
                json!({ "watermark": [APPID, NOW] }),
                None,
                Err(Fault::NoWatermark),
            ),
            (with(stamped(NOW), "openId", OPENID), None, Ok(())),
            (
                with(stamped(NOW), "openId", "o2"),
                None,
                Err(Fault::OtherUser),
            ),
            (
                with(stamped(NOW), "openid", "o2"),
                None,
                Err(Fault::OtherUser),
            ),
        ] {
            let sealed = sealed(NEW, &data);
            let opened = open(&Wechat, &keys(&[OLD, NEW]), &sealed, &demands(max_age));
            assert_eq!(opened.map(|_| ()), expected, "{data}");
        }
        let whole = stamped(NOW).to_string();
        for broken in [
            "",
            "null",
            "[]",
            "{",
            &whole[1..],
            &format!("{whole}{whole}"),
        ] {
            let sealed = sealed_text(NEW, broken);
            let opened = open(&Wechat, &keys(&[NEW]), &sealed, &demands(None));
            assert_eq!(opened, Err(Fault::Unopened), "{broken}");
        }
    }

    #[test]
    fn a_signature_is_over_the_bytes_and_the_key_that_opens() {
        let raw = r#"{"nickName": "Band"}"#;
        let signed = |key, raw_data: &str, by| SealedData {
            signed: Some(Signed {
                raw_data: raw_data.to_owned(),
                signature: open_data::signature(raw, by),
            }),
            ..sealed(key, &stamped(NOW))
        };
        let opened = |sealed: &SealedData| {
            let opened = open(&Wechat, &keys(&[NEW, OLD]), sealed, &demands(Some(600)));
            opened.map(|(_, newer)| newer)
        };
        assert_eq!(opened(&signed(NEW, raw, NEW)), Ok(0));
        assert_eq!(opened(&signed(OLD, raw, OLD)), Ok(1));
        assert_eq!(opened(&signed(OLD, raw, NEW)), Err(Fault::Unsigned));
        // The same JSON in other bytes.
        let spaced = r#"{"nickName":"Band"}"#;
        assert_eq!(opened(&signed(NEW, spaced, NEW)), Err(Fault::Unsigned));
    }
}
