//! A platform's text made fit for a log line: it is somebody else's, and may echo what we sent.

/// Longest text that goes on, in characters. WeChat's messages have about a hundred.
const LONGEST: usize = 200;
/// Shortest word that could be a secret. A trace id's parts have 8 and 12 characters.
const SECRET_MIN: usize = 20;
/// Longest trace id that is believed.
const TRACE_MAX: usize = 64;

/// The text without anything of `hidden`, without control characters, line breaks and marks that
/// reorder a line, and cut to a length that a log line bears.
pub fn printable(text: &str, hidden: &[&str]) -> String {
    let mut text: String = text
        .chars()
        .filter(|c| !reorders(*c))
        .map(|c| {
            if c.is_control() || is_break(c) {
                ' '
            } else {
                c
            }
        })
        .collect();
    for value in hidden.iter().filter(|value| !value.is_empty()) {
        text = text.replace(value, "[hidden]");
    }
    text = without_long_words(&text);
    if text.chars().count() > LONGEST {
        text = text.chars().take(LONGEST).chain(['…']).collect();
    }
    text
}

/// The text without anything that could be a key, a token or an openid that the platform repeats:
/// those have 24 characters and more.
fn without_long_words(text: &str) -> String {
    let of_secrets = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=' | '_');
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let word = &rest[..rest.find(|c| !of_secrets(c)).unwrap_or(rest.len())];
        let gap = &rest[word.len()..];
        let gap = &gap[..gap.find(of_secrets).unwrap_or(gap.len())];
        out.push_str(if word.len() >= SECRET_MIN {
            "[hidden]"
        } else {
            word
        });
        out.push_str(gap);
        rest = &rest[word.len() + gap.len()..];
    }
    out
}

/// The id under which the platform's own support finds a call: `rid: …`, or `req_id: …` in older
/// messages.
pub fn trace_id(errmsg: &str) -> Option<&str> {
    let rest = ["rid:", "req_id:"]
        .into_iter()
        .find_map(|mark| errmsg.split_once(mark))
        .map(|(_, rest)| rest.trim_start_matches(' '))?;
    let end = rest
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_')
        .unwrap_or(rest.len());
    Some(&rest[..end]).filter(|id| !id.is_empty() && id.len() <= TRACE_MAX)
}

/// Line and paragraph separators, which some log viewers break at.
const fn is_break(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}')
}

/// Marks that make a terminal show a line in another order, or show nothing at all.
const fn reorders(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_comes_stays_one_line_without_the_secret(before in ".*", after in "\\PC*") {
            let shown = printable(&format!("{before}s3cret{after}"), &["s3cret"]);
            prop_assert!(!shown.contains("s3cret") && !shown.chars().any(|c| c.is_control() || is_break(c) || reorders(c)));
            prop_assert!(shown.chars().count() <= LONGEST + 1);
        }
    }

    #[test]
    fn a_log_line_stays_one_line_and_keeps_secrets() {
        assert_eq!(
            printable("a\r\nERROR b\u{1b}[31m\u{202e}c", &[]),
            "a  ERROR b [31mc"
        );
        assert_eq!(
            printable("invalid secret s3cret!", &["s3cret", ""]),
            "invalid secret [hidden]!"
        );
        assert_eq!(
            printable(&"汉".repeat(500), &[]).chars().count(),
            LONGEST + 1
        );
        let at_the_cut = format!("{}s3cret", "a".repeat(LONGEST - 3));
        assert!(
            !printable(&at_the_cut, &["s3cret"]).contains("s3c"),
            "hidden before it is cut"
        );
        assert_eq!(
            printable("s3\u{200b}cret", &["s3cret"]),
            "[hidden]",
            "marks go before the search"
        );
    }

    #[test]
    fn what_is_as_long_as_a_secret_is_not_shown() {
        let at = |length: usize| {
            printable(
                &format!("invalid {}!", "x1".repeat(50).split_at(length).0),
                &[],
            )
        };
        assert_eq!(at(SECRET_MIN), "invalid [hidden]!");
        assert_eq!(
            at(SECRET_MIN - 1),
            format!("invalid {}!", &"x1".repeat(50)[..SECRET_MIN - 1])
        );
        for secret in [
            "oGZUI0egBJY1zhBYw2KhdUfwVJJE",
            "HyVFkGl5F5OQWJZZaNzBBg==",
            "o6_bmasdasdsad6_2sgVt7hMZOPfL",
            "0a1b2c3d4e5f60718293a4b5c6d7e8f9",
        ] {
            for text in [
                secret.to_owned(),
                format!("openid={secret}"),
                format!("[{secret}],"),
                format!("汉{secret}汉"),
                format!("a {secret}"),
            ] {
                assert!(
                    !printable(&text, &[]).contains(&secret[..SECRET_MIN]),
                    "{text}"
                );
            }
        }
        // What an operator needs stays: the platform's words, its numbers and the id of the call.
        let words = "invalid code, rid: 623ea70a-74b9b592-3e3d489a";
        assert_eq!(printable(words, &[]), words);
    }

    #[test]
    fn both_generations_of_traces_are_found() {
        for (errmsg, id) in [
            (
                "invalid code, rid: 623ea70a-74b9b592-3e3d489a",
                Some("623ea70a-74b9b592-3e3d489a"),
            ),
            (
                "invalid appid rid: 608d5803-66b84dfc-005383b1",
                Some("608d5803-66b84dfc-005383b1"),
            ),
            (
                "missing code, hints: [ req_id: QkacMBore-rt6w3 ]",
                Some("QkacMBore-rt6w3"),
            ),
            ("invalid code", None),
            ("rid: ", None),
            ("rid: \nERROR", None),
        ] {
            assert_eq!(trace_id(errmsg), id, "{errmsg}");
        }
    }
}
