//! A token has one spelling, its name is another text than itself, and what is logged of it is not
//! it.

use hufu::session::SessionId;
use hufu::session::token::{TOKEN_LEN, redacted};

/// See the module.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Some(id) = SessionId::parse(text) {
        assert_eq!(id.to_string(), text, "two spellings of one session's name");
    }
    let shown = redacted(text);
    assert!(
        tokens(&shown).next().is_none(),
        "{text:?} shows a token: {shown:?}"
    );
    assert_eq!(redacted(&shown), shown, "what is hidden is hidden");
    if tokens(text).next().is_none() {
        assert_eq!(shown, text, "a text without a token stays as it is");
    }
}

/// Whatever looks like one, wherever it begins.
fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let is_body = |rest: &&str| {
        rest.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    text.match_indices("hufu_")
        .filter_map(|(at, _)| text.get(at..at + TOKEN_LEN))
        .filter(is_body)
}
