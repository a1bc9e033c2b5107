//! What `jscode2session` answered, read from the body alone: the header says `text/plain` whatever
//! it holds.

use std::sync::Arc;

use serde::Deserialize;

use super::errcode::Refusal;
use crate::identity::Identity;
use crate::provider::call::Answer;
use crate::secret::Secret;

/// Longest openid, unionid or session_key that is believed, in bytes.
const VALUE_MAX: usize = 128;

/// An answer, read.
#[derive(Debug)]
pub enum Reply {
    /// The user and the session_key.
    Identity(Identity),
    /// An error of the platform's.
    Refused(Refusal),
    /// The platform, or something before it, is out of order: HTTP 5xx or 429.
    Down(String),
    /// Not an answer of this API. The reason shows nothing of the body, which may hold half a
    /// session_key.
    Nonsense(String),
}

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    errcode: Option<Errcode>,
    #[serde(default)]
    errmsg: Option<String>,
    #[serde(default)]
    openid: Option<String>,
    #[serde(default)]
    unionid: Option<String>,
    #[serde(default)]
    session_key: Option<String>,
}

/// A number, or the same number as a text: both have been seen.
#[derive(Deserialize)]
#[serde(untagged)]
enum Errcode {
    Number(i64),
    Text(String),
}

/// Reads an answer. `hidden` are the values that were sent and must not come back in a message.
#[must_use]
pub fn read(answer: &Answer, hidden: &[&str]) -> Reply {
    if answer.status >= 500 || answer.status == 429 {
        return Reply::Down(format!("it answered with HTTP status {}", answer.status));
    }
    let body: Body = match serde_json::from_slice(without_mark(&answer.body)) {
        Ok(body) => body,
        Err(error) => {
            return Reply::Nonsense(format!(
                "{} (HTTP status {}, {} bytes)",
                shape(&answer.body, &error),
                answer.status,
                answer.body.len()
            ));
        }
    };
    match errcode(body.errcode.as_ref()) {
        Some(0) if answer.status == 200 => identity(body),
        Some(0) => Reply::Nonsense(format!(
            "HTTP status {} with a body that names no error",
            answer.status
        )),
        Some(errcode) => {
            let hidden: Vec<&str> = hidden
                .iter()
                .copied()
                .chain(body.session_key.as_deref())
                .collect();
            Reply::Refused(Refusal::new(
                errcode,
                body.errmsg.as_deref().unwrap_or_default(),
                &hidden,
            ))
        }
        None => Reply::Nonsense("errcode is not a number".to_owned()),
    }
}

/// The number; 0 when there is none, which is how success usually looks.
fn errcode(errcode: Option<&Errcode>) -> Option<i64> {
    match errcode {
        None => Some(0),
        Some(Errcode::Number(number)) => Some(*number),
        Some(Errcode::Text(text)) => text.trim().parse().ok(),
    }
}

fn identity(body: Body) -> Reply {
    let Some(openid) = body.openid.filter(|openid| !openid.is_empty()) else {
        return Reply::Nonsense("half a reply: it has no openid".to_owned());
    };
    let Some(session_key) = body
        .session_key
        .filter(|key| !key.is_empty())
        .map(Secret::new)
    else {
        return Reply::Nonsense("half a reply: it has no session_key".to_owned());
    };
    let unionid = body.unionid.filter(|unionid| !unionid.is_empty());
    // They become header values: what is not visible ASCII could end a header or begin another.
    if !is_plain(&openid) || unionid.as_deref().is_some_and(|unionid| !is_plain(unionid)) {
        return Reply::Nonsense(
            "openid or unionid is longer than 128 bytes or not of visible ASCII".to_owned(),
        );
    }
    if session_key.expose().len() > VALUE_MAX {
        return Reply::Nonsense("session_key is longer than 128 bytes".to_owned());
    }
    Reply::Identity(Identity {
        subject: openid.into(),
        unionid: unionid.map(Arc::from),
        session_key: Some(session_key),
        claims: Vec::new(),
    })
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
        Some(b'{') if error.is_eof() => "the body is JSON that ends half way",
        Some(b'{') if error.is_data() => "a field of the body has another type than documented",
        _ => "the body is not a JSON object",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Nothing panics, and what becomes an identity can become a header.
        #[test]
        fn whatever_comes_is_judged(status in 200_u16..600, noise: Vec<u8>, openid in ".{0,140}", key in ".{0,140}", cut in 0_usize..400) {
            let mut body = serde_json::json!({ "openid": openid, "session_key": key, "unionid": openid }).to_string().into_bytes();
            body.truncate(cut);
            for body in [noise, body] {
                if let Reply::Identity(identity) = read(&Answer { status, body }, &[]) {
                    prop_assert!(status == 200 && is_plain(&identity.subject) && !identity.subject.is_empty());
                    prop_assert!(identity.session_key.is_some_and(|key| (1..=VALUE_MAX).contains(&key.expose().len())));
                }
            }
        }
    }

    fn read_200(body: &str) -> Reply {
        read(
            &Answer {
                status: 200,
                body: body.as_bytes().to_vec(),
            },
            &["s3cret"],
        )
    }

    #[test]
    fn successes_with_and_without_errcode() {
        for body in [
            r#"{"session_key":"a==","openid":"o1"}"#,
            r#"{"session_key":"a==","openid":"o1","errcode":0,"errmsg":"ok"}"#,
            r#"{"session_key":"a==","openid":"o1","errcode":"0","unionid":""}"#,
            "\u{feff}{\"session_key\":\"a==\",\"openid\":\"o1\",\"errcode\":null,\"more\":[1]}\n",
        ] {
            let Reply::Identity(identity) = read_200(body) else {
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
            r#"{"errcode":"forty","session_key":"KEYKEY"}"#,
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
            Refusal {
                errcode: 40029,
                errmsg: "invalid [hidden] [hidden], rid: 1-2".to_owned(),
                trace: Some("1-2".to_owned())
            }
        );
    }

    #[test]
    fn the_status_counts_when_the_body_names_no_error() {
        let read = |status| {
            read(
                &Answer {
                    status,
                    body: br#"{"openid":"o1","session_key":"a"}"#.to_vec(),
                },
                &[],
            )
        };
        assert!(matches!(read(502), Reply::Down(_)));
        assert!(matches!(read(429), Reply::Down(_)));
        assert!(matches!(read(302), Reply::Nonsense(_)));
    }
}
