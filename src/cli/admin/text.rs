//! Answers for people.

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::cli::print;

/// Names and devices come from users: nothing of them may move the cursor, or write from right to
/// left.
pub(in crate::cli) fn harmless(text: &str) -> String {
    let odd = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    text.chars().map(|c| if odd(c) { '?' } else { c }).collect()
}

/// What was done without an answer is an empty one: a script reads one line in any case.
pub(in crate::cli) fn show_json(answer: Value) -> Result<()> {
    let body = if answer.is_null() {
        serde_json::json!({})
    } else {
        answer
    };
    print(&format!("{body}\n"))
}

/// A number of an answer.
pub(in crate::cli) fn number(body: &Value, key: &str) -> Result<u64> {
    body[key]
        .as_u64()
        .with_context(|| format!("the gateway's answer has no {key}"))
}
