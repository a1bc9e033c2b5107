//! Answers for people.

use std::time::Duration;

use serde_json::Value;

use crate::cli::admin::harmless;

/// Column heads, and the keys of the API.
const COLUMNS: [(&str, &str); 5] = [
    ("SESSION", "session_id"),
    ("SINCE", "created_at"),
    ("ENDS IN", "expires_in"),
    ("ADDRESS", "client_address"),
    ("DEVICE", "device"),
];

/// What is known of one session, the most asked for first.
const FIELDS: [&str; 12] = [
    "session_id",
    "app",
    "authorizer_appid",
    "provider",
    "user",
    "unionid",
    "created_at",
    "expires_in",
    "absolute_expires_in",
    "client_address",
    "device",
    "claims",
];

/// One line each, newest first.
pub(super) fn of_sessions(sessions: &[Value]) -> String {
    let mut rows = vec![COLUMNS.map(|(head, _)| head.to_owned())];
    rows.extend(
        sessions
            .iter()
            .map(|session| COLUMNS.map(|(_, key)| shown(key, &session[key]))),
    );
    let widths: Vec<usize> = (0..COLUMNS.len())
        .map(|column| {
            rows.iter()
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let line = |row: &[String; 5]| {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

/// One line for each thing that is known.
pub(super) fn of_session(session: &Value) -> String {
    FIELDS
        .iter()
        .map(|key| format!("{key:20} {}\n", shown(key, &session[*key])))
        .collect()
}

fn shown(key: &str, value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Number(seconds) if key.ends_with("expires_in") => {
            humantime::format_duration(Duration::from_secs(seconds.as_u64().unwrap_or(0)))
                .to_string()
        }
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => harmless(text),
        other => harmless(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_are_straight_and_devices_harmless() {
        let sessions = [
            json!({"session_id": "AAAA", "created_at": "2026-11-23T07:48:14Z", "expires_in": 86_400, "client_address": "203.0.113.7", "device": "虎\u{1b}[31m\u{202e}x"}),
            json!({"session_id": "BBBBBB", "created_at": "2026-11-23T07:48:15Z", "expires_in": 61, "client_address": null, "device": ""}),
        ];
        let expected = "SESSION  SINCE                 ENDS IN  ADDRESS      DEVICE\n\
                        AAAA     2026-11-23T07:48:14Z  1day     203.0.113.7  虎?[31m?x\n\
                        BBBBBB   2026-11-23T07:48:15Z  1m 1s    -            -\n";
        assert_eq!(of_sessions(&sessions), expected);
        let one = of_session(&sessions[1]);
        assert!(
            one.starts_with("session_id           BBBBBB\napp                  -\n")
                && one.contains("\nexpires_in           1m 1s\n"),
            "{one}"
        );
    }
}
