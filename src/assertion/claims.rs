//! A claim as the value of a header: docs/claims.md has the rule for backends.

use bytes::BytesMut;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::session::StoredValue;

/// A claim that backends get, and the header in which they get it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimHeader {
    pub claim: String,
    pub header: String,
}

/// What is escaped besides what is not ASCII. The comma too, and in every text: who splits at commas
/// never finds two values in one.
const ESCAPED: AsciiSet = CONTROLS.add(b' ').add(b'%').add(b',');

/// Writes the value of a claim's header. A list's elements stand between commas. Only visible ASCII
/// is left, so no value ends a line.
pub fn write_header_value(out: &mut BytesMut, value: StoredValue<'_>) {
    let mut is_first = true;
    value.for_each_text(|text| {
        if !is_first {
            out.extend_from_slice(b",");
        }
        is_first = false;
        for part in utf8_percent_encode(text, &ESCAPED) {
            out.extend_from_slice(part.as_bytes());
        }
    });
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;

    use super::*;
    use crate::session::{ClaimValue, Claims};

    fn header_value(value: &ClaimValue<'_>) -> String {
        let claims = Claims::new([("a", value.clone())]).unwrap();
        let mut out = BytesMut::new();
        write_header_value(&mut out, claims.stored("a").unwrap());
        String::from_utf8(out.to_vec()).unwrap()
    }

    fn of_text(text: &str) -> String {
        header_value(&ClaimValue::Text(text.into()))
    }

    fn of_list(texts: &[&str]) -> String {
        let texts = texts.iter().map(|text| Cow::Borrowed(*text)).collect();
        header_value(&ClaimValue::List(texts))
    }

    /// As docs/claims.md tells backends to do it.
    fn decoded(value: &str) -> Vec<String> {
        let parts = value.split(',');
        let decode = |part: &str| percent_decode_str(part).decode_utf8().unwrap().into_owned();
        parts.map(decode).collect()
    }

    #[test]
    fn each_kind_of_value_has_one_form() {
        for (value, expected) in [
            (ClaimValue::Number(42.into()), "42"),
            (ClaimValue::Number((-7).into()), "-7"),
            (
                ClaimValue::Number(serde_json::Number::from_f64(1.5e-300).unwrap()),
                "1.5e-300",
            ),
            (ClaimValue::Bool(true), "true"),
            (ClaimValue::Bool(false), "false"),
            (ClaimValue::Text("".into()), ""),
        ] {
            assert_eq!(header_value(&value), expected, "{value:?}");
        }
        assert_eq!(of_list(&[]), "");
        assert_eq!(of_list(&["staff"]), "staff");
        assert_eq!(of_list(&["staff", "", "a,b c"]), "staff,,a%2Cb%20c");
    }

    #[test]
    fn no_text_ends_a_line_or_looks_like_two_values() {
        for (text, expected) in [
            (
                "oGZUI0egBJY1zhBYw2KhdUfwVJJE",
                "oGZUI0egBJY1zhBYw2KhdUfwVJJE",
            ),
            ("a\r\nX-User-Role: admin", "a%0D%0AX-User-Role:%20admin"),
            ("a\0\u{7f}\t\u{1b}", "a%00%7F%09%1B"),
            ("user,admin", "user%2Cadmin"),
            ("100%", "100%25"),
            ("%0D%0A", "%250D%250A"),
            (" staff ", "%20staff%20"),
            ("虎符", "%E8%99%8E%E7%AC%A6"),
            // Look-alikes of a comma, of `a`, of a line's end, and what is seen as nothing.
            ("user\u{ff0c}admin", "user%EF%BC%8Cadmin"),
            ("\u{430}dmin", "%D0%B0dmin"),
            ("a\u{2028}\u{85}b", "a%E2%80%A8%C2%85b"),
            ("\u{feff}\u{200b}\u{202e}", "%EF%BB%BF%E2%80%8B%E2%80%AE"),
            ("\"a\";b=c\\", "\"a\";b=c\\"),
        ] {
            assert_eq!(of_text(text), expected, "{text:?}");
            assert_eq!(decoded(expected), [text]);
        }
    }

    proptest! {
        #[test]
        fn a_list_is_visible_ascii_and_comes_back(texts in prop::collection::vec("\\PC{0,12}|[\\x00-\\x7f]{0,12}|.{0,4}", 1..6)) {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let value = of_list(&texts);
            prop_assert!(value.bytes().all(|b| b.is_ascii_graphic()), "{value:?}");
            prop_assert_eq!(decoded(&value), texts);
        }

        #[test]
        fn a_text_is_visible_ascii_and_one_value(text in "\\PC{0,40}|[\\x00-\\x7f]{0,40}") {
            let value = of_text(&text);
            prop_assert!(value.bytes().all(|b| b.is_ascii_graphic()), "{value:?}");
            prop_assert_eq!(decoded(&value), [text]);
        }
    }
}
