//! Chinese and full-width punctuation where TOML wants the plain one: input methods write it, and
//! it is easily overlooked.

/// What looks alike, and what TOML wants.
const PAIRS: [(&str, char); 15] = [
    ("“”„「」『』＂", '"'),
    ("‘’＇", '\''),
    ("＝：", '='),
    ("；", '\n'),
    ("［【〔", '['),
    ("］】〕", ']'),
    ("，、", ','),
    ("｛", '{'),
    ("｝", '}'),
    ("＃", '#'),
    ("．。", '.'),
    ("＄", '$'),
    ("－", '-'),
    ("＿", '_'),
    ("\u{3000}\u{a0}", ' '),
];

/// The first such character of a broken line that stands outside of quotes, and the one to write,
/// in words.
pub(super) fn find(line: &str) -> Option<(String, String)> {
    let mut open = None;
    let mut within = None;
    let mut escaped = false;
    for c in line.chars() {
        match (open, plain(c)) {
            (None, Some(plain)) => return Some((shown(c), shown(plain))),
            (None, None) if c == '#' => break,
            (None, None) if matches!(c, '"' | '\'') => open = Some(c),
            // Where the quote is not closed, the one that was meant to close it.
            (Some(quote), Some(plain)) if plain == quote => within = within.or(Some((c, plain))),
            (Some(quote), _) if c == quote && !escaped => (open, within) = (None, None),
            _ => {}
        }
        escaped = c == '\\' && !escaped;
    }
    within
        .filter(|_| open.is_some())
        .map(|(c, plain)| (shown(c), shown(plain)))
}

fn plain(c: char) -> Option<char> {
    PAIRS
        .iter()
        .find(|(alike, _)| alike.contains(c))
        .map(|(_, plain)| *plain)
}

/// Of a value that is wrong: the first full-width sign in it, and the one to write. Letters and
/// digits are not shown, which may be a secret's.
pub(in crate::config) fn within(value: &str) -> Option<(char, char)> {
    /// From `！` to `～` they stand in ASCII's order.
    const SHIFT: u32 = '！' as u32 - '!' as u32;
    let plain = |c: char| {
        char::from_u32(u32::from(c).checked_sub(SHIFT)?).filter(char::is_ascii_punctuation)
    };
    value.chars().find_map(|c| Some((c, plain(c)?)))
}

fn shown(c: char) -> String {
    match c {
        ' ' => "space".to_owned(),
        '\n' => "line break".to_owned(),
        '\u{3000}' | '\u{a0}' => format!("the wide or fixed space (U+{:04X})", u32::from(c)),
        _ => c.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_punctuation_is_named_outside_of_quotes_only() {
        for (line, found) in [
            ("secret = “tiger”", Some(("“", "\""))),
            ("secret = ‘tiger’", Some(("‘", "'"))),
            ("secret = \"tiger”", Some(("”", "\""))),
            ("listen ＝ \"0.0.0.0:80\"", Some(("＝", "="))),
            ("path： \"/api\"", Some(("：", "="))),
            ("workers = 1；", Some(("；", "line break"))),
            ("［server］", Some(("［", "["))),
            ("keys = [\"a\"， \"b\"]", Some(("，", ","))),
            (
                "workers\u{3000}= 1",
                Some(("the wide or fixed space (U+3000)", "space")),
            ),
            ("listen = \"“\" x", None),
            ("x = 1 1 # “here”", None),
            ("x = \"a\\\"“\" 1", None),
            ("", None),
        ] {
            let found =
                found.map(|(wide, plain): (&str, &str)| (wide.to_owned(), plain.to_owned()));
            assert_eq!(find(line), found, "{line}");
        }
    }
}
