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

/// What the user is told of a refusal, as one short line. `Err`: why the body has none, for the
/// log.
pub fn detail_of(body: &[u8]) -> Result<String, String> {
    let WithDetail { detail } = read(body)?;
    let line = detail.chars().filter(|c| !c.is_control());
    Ok(line.take(DETAIL_MAX).collect())
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
