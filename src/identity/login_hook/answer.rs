//! What stands in the body of a hook's answer.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::session::Claims;

/// Longest detail that reaches a client, in characters.
pub const DETAIL_MAX: usize = 200;
/// Longest reason of a body that cannot be read, in characters: it may quote the body.
const REASON_MAX: usize = 200;

#[derive(Deserialize)]
struct WithClaims {
    claims: Claims,
}

#[derive(Deserialize)]
struct WithDetail {
    detail: String,
}

/// The claims of a body. `Err`: why it has none, for the log.
pub fn claims_of(body: &[u8]) -> Result<Claims, String> {
    read::<WithClaims>(body).map(|answer| answer.claims)
}

/// What the user is told of a refusal, as one short line; empty where nothing can be seen of it.
/// `Err`: why the body has none, for the log.
pub fn detail_of(body: &[u8]) -> Result<String, String> {
    let WithDetail { detail } = read(body)?;
    let words = detail.split(|c| c == ' ' || is_control_or_format(c));
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let line: String = words.join(" ").chars().take(DETAIL_MAX).collect();
    Ok(line.trim().to_owned())
}

/// The categories Cc, Cf, Zl and Zp of Unicode: breaks of lines, marks of direction and what cannot
/// be seen.
fn is_control_or_format(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{600}'..='\u{605}'
                | '\u{61c}'
                | '\u{6dd}'
                | '\u{70f}'
                | '\u{890}'..='\u{891}'
                | '\u{8e2}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{110bd}'
                | '\u{110cd}'
                | '\u{13430}'..='\u{1343f}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0001}'
                | '\u{e0020}'..='\u{e007f}'
        )
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    // Serde takes an array for a struct too.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err("is no JSON object".to_owned());
    }
    serde_json::from_slice(body).map_err(|error| {
        let reason = error.to_string();
        let reason: String = reason.chars().take(REASON_MAX).collect();
        format!("cannot be used: {reason}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_an_object_of_that_name() {
        let claims =
            claims_of(br#" {"claims":{"user_id":"42","role":["staff"],"vip":true},"more":1}"#);
        let claims = serde_json::to_value(claims.unwrap()).unwrap();
        let expected = serde_json::json!({ "user_id": "42", "role": ["staff"], "vip": true });
        assert_eq!(claims, expected);
        assert_eq!(claims_of(br#"{"claims":{}}"#), Ok(Claims::default()));
    }

    #[test]
    fn anything_else_is_none() {
        for (body, reason) in [
            ("", "no JSON object"),
            ("<!DOCTYPE html>", "no JSON object"),
            (r#"[{"user_id":"42"}]"#, "no JSON object"),
            ("null", "no JSON object"),
            ("{", "EOF"),
            ("{}", "missing field `claims`"),
            (r#"{"claim":{"user_id":"42"}}"#, "missing field `claims`"),
            (r#"{"claims":null}"#, "expected an object of claims"),
            (r#"{"claims":[]}"#, "expected an object of claims"),
            (r#"{"claims":{},"claims":{}}"#, "duplicate field `claims`"),
            (r#"{"claims":{"a":"1","a":"2"}}"#, "there twice"),
            (r#"{"claims":{"a":null}}"#, "null"),
            (r#"{"claims":{"a":{"b":"c"}}}"#, "an object"),
            (r#"{"claims":{"A":"1"}}"#, "no name of a claim"),
            (r#"{"claims":{}} {}"#, "trailing characters"),
            ("{\"claims\":{\"a\":\"\u{1}\"}}", "control character"),
        ] {
            let error = claims_of(body.as_bytes()).unwrap_err();
            assert!(error.contains(reason), "{body}: {error}");
        }
        assert!(claims_of(b"{\"claims\":{\"a\":\"\xff\"}}").is_err());
        let long = format!(r#"{{"claims":"{}"}}"#, "x".repeat(10_000));
        assert!(claims_of(long.as_bytes()).unwrap_err().chars().count() < 250);
    }

    #[test]
    fn a_detail_is_a_text_and_one_short_line() {
        assert_eq!(
            detail_of(br#"{"detail":"Ask\r\n your\u0000 manager."}"#),
            Ok("Ask your manager.".to_owned())
        );
        for (told, line) in [
            ("Ask\u{2028}your\u{2029}manager.", "Ask your manager."),
            (
                "\u{feff}\u{202e}Ask\u{202c} your \u{2066}manager.\u{2069}",
                "Ask your manager.",
            ),
            (
                "账号\u{200b}已停用。\u{3000}请联系\u{e0041}客服",
                "账号 已停用。\u{3000}请联系 客服",
            ),
            ("Ask   your manager. ", "Ask your manager."),
            (" \u{2028}\u{200d}\u{a0}\u{3000}\t", ""),
            ("", ""),
        ] {
            let body = serde_json::json!({ "detail": told }).to_string();
            assert_eq!(detail_of(body.as_bytes()).as_deref(), Ok(line), "{told:?}");
        }
        let long = format!(r#"{{"detail":"{}"}}"#, "虎".repeat(500));
        let detail = detail_of(long.as_bytes()).unwrap();
        assert_eq!(detail, "虎".repeat(DETAIL_MAX));
        for body in [
            r#"{"detail":1}"#,
            r#"{"detail":null}"#,
            r#"{"detail":["no"]}"#,
            r#"{"message":"no"}"#,
            r#"["no"]"#,
            "no",
        ] {
            assert!(detail_of(body.as_bytes()).is_err(), "{body}");
        }
    }
}
