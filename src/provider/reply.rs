//! What a platform answered: read by its own file, believed or not here. The body alone counts: some
//! platforms call JSON `text/plain`.

use std::sync::Arc;
use std::time::Duration;

use super::client::PlatformAnswer;
use super::platform::{Parsed, Unusable};
use super::untrusted;
use crate::identity::{GrantedToken, Identity, PlatformCode};
use crate::secret::Secret;
use crate::session::Claims;

/// Longest subject, unionid or session_key that is believed, in bytes. A key of 64 bytes has as
/// many in hexadecimal.
const VALUE_MAX: usize = 128;

/// Longest token that is believed, in bytes. WeChat reserves 512.
const TOKEN_MAX: usize = 1024;

/// An answer, judged.
#[derive(Debug)]
pub enum Reply<T> {
    Success(T),
    /// An error of the platform's.
    Refused(PlatformRefusal),
    /// The platform, or something before it, is out of order: HTTP 5xx or 429.
    Down(String),
    /// Not an answer of this API. The reason shows nothing of the body, which may hold half a
    /// session_key.
    Nonsense(String),
}

/// An error that the platform answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformRefusal {
    pub code: PlatformCode,
    /// Number, trace and text, for the log.
    pub description: String,
}

impl PlatformRefusal {
    /// Takes the platform's text in; `hidden` are values that must not come through.
    fn new(error_field: &str, code: PlatformCode, message: &str, hidden: &[&str]) -> Self {
        let message = untrusted::printable(message, hidden);
        let trace = untrusted::trace_id(&message)
            .map(|id| format!(", rid {id}"))
            .unwrap_or_default();
        let shown = untrusted::printable(&code.to_string(), hidden);
        Self {
            description: format!("{error_field} {shown}{trace}: {message:?}"),
            code,
        }
    }
}

/// Judges an answer. `hidden` are the values that were sent and must not come back in a message.
pub fn read<T>(
    read_body: fn(&[u8]) -> Result<Parsed<T>, serde_json::Error>,
    error_field: &str,
    answer: &PlatformAnswer,
    hidden: &[&str],
) -> Reply<T> {
    let PlatformAnswer { status, body } = answer;
    if *status >= 500 || *status == 429 {
        return Reply::Down(format!("it answered with HTTP status {status}"));
    }
    let parsed = match read_body(without_mark(body)) {
        Ok(parsed) => parsed,
        Err(error) => {
            return Reply::Nonsense(format!(
                "{} (HTTP status {status}, {} bytes)",
                shape(body, &error),
                body.len()
            ));
        }
    };
    match (parsed.error, parsed.value) {
        (None, _) if *status != 200 => Reply::Nonsense(format!(
            "HTTP status {status} with a body that names no error"
        )),
        (None, Ok(value)) => Reply::Success(value),
        (None, Err(Unusable(reason))) => Reply::Nonsense(reason),
        (Some(code), _) => {
            let hidden: Vec<&str> = hidden
                .iter()
                .copied()
                .chain(parsed.secret.as_deref())
                .collect();
            let message = parsed.message.unwrap_or_default();
            Reply::Refused(PlatformRefusal::new(error_field, code, &message, &hidden))
        }
    }
}

/// The value of a field that must be there and not be empty.
pub fn needed<T: AsRef<str>>(name: &str, value: Option<T>) -> Result<T, Unusable> {
    value
        .filter(|value| !value.as_ref().is_empty())
        .ok_or_else(|| Unusable(format!("incomplete reply: it has no {name}")))
}

/// The user whom an answer names by an openid, with a session_key.
pub fn identity(
    openid: Option<String>,
    unionid: Option<String>,
    session_key: Option<String>,
) -> Result<Identity, Unusable> {
    let subject = needed("openid", openid)?;
    let session_key = needed("session_key", session_key)?;
    let unionid = unionid.filter(|unionid| !unionid.is_empty());
    // They become header values: what is not visible ASCII could end a header or begin another.
    if !is_plain(&subject) || unionid.as_deref().is_some_and(|unionid| !is_plain(unionid)) {
        return Err(Unusable(
            "the user's id or unionid is longer than 128 bytes or not of visible ASCII".to_owned(),
        ));
    }
    if session_key.len() > VALUE_MAX {
        return Err(Unusable("session_key is longer than 128 bytes".to_owned()));
    }
    Ok(Identity {
        subject: subject.into(),
        unionid: unionid.map(Arc::from),
        session_key: Some(Secret::new(session_key)),
        claims: Claims::default(),
    })
}

/// A token that an answer grants.
pub fn granted(text: String, expires_in: Duration) -> Result<GrantedToken, Unusable> {
    let token = token(text)?;
    if expires_in.is_zero() {
        return Err(Unusable(
            "incomplete reply: it has no expires_in above 0".to_owned(),
        ));
    }
    Ok(GrantedToken { token, expires_in })
}

/// A token or what one gets another with.
pub fn token(text: String) -> Result<Secret<String>, Unusable> {
    let is_plain = text.len() <= TOKEN_MAX && text.bytes().all(|b| b.is_ascii_graphic());
    let token = Secret::new(text);
    if is_plain {
        Ok(token)
    } else {
        Err(Unusable(
            "the token is longer than 1024 bytes or not of visible ASCII".to_owned(),
        ))
    }
}

fn is_plain(value: &str) -> bool {
    value.len() <= VALUE_MAX && value.bytes().all(|b| b.is_ascii_graphic())
}

/// The body without the byte order mark that some proxies put before it.
fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

/// What a body that could not be read looks like, without a word of it.
fn shape(body: &[u8], error: &serde_json::Error) -> &'static str {
    let body = without_mark(body).trim_ascii();
    match body.first() {
        None => "the body is empty",
        Some(b'<') => "the body is HTML",
        Some(b'{') if error.is_eof() => "the body is truncated JSON",
        Some(b'{') if error.is_data() => "a field of the body has another type than documented",
        _ => "the body is not a JSON object",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::provider::registry::platform;
    use crate::session::ProviderKind;

    fn read(status: u16, body: Vec<u8>, hidden: &[&str]) -> Reply<Identity> {
        let platform = platform(ProviderKind::WechatMiniProgram);
        let answer = PlatformAnswer { status, body };
        super::read(platform.login.read, platform.error_field, &answer, hidden)
    }

    proptest! {
        /// Nothing panics, and what becomes an identity can become a header.
        #[test]
        fn whatever_comes_is_judged(status in 200_u16..600, noise: Vec<u8>, openid in ".{0,140}", key in ".{0,140}", cut in 0_usize..400) {
            let mut body = serde_json::json!({ "openid": openid, "session_key": key, "unionid": openid }).to_string().into_bytes();
            body.truncate(cut);
            for body in [noise, body] {
                if let Reply::Success(identity) = read(status, body, &[]) {
                    prop_assert!(status == 200 && is_plain(&identity.subject) && !identity.subject.is_empty());
                    prop_assert!(identity.session_key.is_some_and(|key| (1..=VALUE_MAX).contains(&key.expose().len())));
                }
            }
        }
    }

    fn read_200(body: &str) -> Reply<Identity> {
        read(200, body.as_bytes().to_vec(), &["s3cret"])
    }

    #[test]
    fn successes_with_and_without_errcode() {
        for body in [
            r#"{"session_key":"a==","openid":"o1"}"#,
            r#"{"session_key":"a==","openid":"o1","errcode":0,"errmsg":"ok"}"#,
            r#"{"session_key":"a==","openid":"o1","errcode":"0","unionid":""}"#,
            "\u{feff}{\"session_key\":\"a==\",\"openid\":\"o1\",\"errcode\":null,\"more\":[1]}\n",
        ] {
            let Reply::Success(identity) = read_200(body) else {
                panic!("{body}")
            };
            assert_eq!(
                (
                    &*identity.subject,
                    identity.unionid,
                    identity.session_key.unwrap().expose().as_str()
                ),
                ("o1", None, "a==")
            );
        }
    }

    #[test]
    fn whatever_else_comes_is_nonsense_and_shows_nothing_of_itself() {
        let long = format!(
            r#"{{"openid":"{}","session_key":"KEYKEY"}}"#,
            "o".repeat(129)
        );
        let bodies = [
            "",
            " ",
            "null",
            "[]",
            "\"KEYKEY\"",
            "<html>KEYKEY</html>",
            r#"{"openid":"o1"}"#,
            r#"{"session_key":"KEYKEY"}"#,
            r#"{"openid":"","session_key":"KEYKEY"}"#,
            r#"{"openid":"o1","session_key":""}"#,
            r#"{"openid":"o1","session_key":"KEYKE"#,
            r#"{"openid":"o1\r\nX-Evil: 1","session_key":"KEYKEY"}"#,
            r#"{"openid":"o 1","session_key":"KEYKEY"}"#,
            r#"{"openid":"o1","unionid":"ü","session_key":"KEYKEY"}"#,
            r#"{"openid":["KEYKEY"],"session_key":"KEYKEY"}"#,
            r#"{"openid":"o1","openid":"o2","session_key":"KEYKEY"}"#,
            r#"{"errcode":4.5}"#,
            "{}",
            &long,
        ];
        for body in bodies {
            let Reply::Nonsense(reason) = read_200(body) else {
                panic!("{body}")
            };
            assert!(!reason.contains("KEY"), "{reason}");
        }
    }

    #[test]
    fn refusals_are_read_from_numbers_and_texts_and_hide_what_they_echo() {
        let Reply::Refused(refusal) = read_200(
            r#"{"errcode":"40029","errmsg":"invalid s3cret\nKEYKEY, rid: 1-2","session_key":"KEYKEY"}"#,
        ) else {
            panic!()
        };
        assert_eq!(
            refusal,
            PlatformRefusal {
                code: PlatformCode::Number(40029),
                description: "errcode 40029, rid 1-2: \"invalid [hidden] [hidden], rid: 1-2\""
                    .to_owned(),
            }
        );
        let Reply::Refused(refusal) =
            read_200(r#"{"errcode":"HyVFkGl5F5OQWJZZaNzBBg==","errmsg":null}"#)
        else {
            panic!()
        };
        assert_eq!(refusal.description, "errcode [hidden]: \"\"");
    }

    #[test]
    fn the_status_counts_when_the_body_names_no_error() {
        let read = |status| {
            let body = br#"{"openid":"o1","session_key":"a"}"#;
            read(status, body.to_vec(), &[])
        };
        assert!(matches!(read(502), Reply::Down(_)));
        assert!(matches!(read(429), Reply::Down(_)));
        assert!(matches!(read(302), Reply::Nonsense(_)));
    }
}
