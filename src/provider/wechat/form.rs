//! What WeChat's AppIDs, AppSecrets and openids look like. Another form is most likely a slip of
//! the pen, and never shown: it may be a secret.

/// `wx` and 16 digits.
const APPID: usize = 18;
const SECRET: usize = 32;

/// An openid.
const OPENID: usize = 28;

/// What is odd about an AppID, as it follows its key; `None`: nothing.
pub(super) fn of_appid(text: &str) -> Option<String> {
    if is_hex(text) && text.len() == SECRET {
        return Some(
            "has 32 hexadecimal digits: that is an AppSecret rather than an AppID".to_owned(),
        );
    }
    match text.strip_prefix("wx") {
        None => Some("does not begin with wx, as WeChat's do".to_owned()),
        Some(_) if text.len() != APPID => Some(format!(
            "has {}; WeChat's have {APPID}: wx and 16 hexadecimal digits",
            characters(text)
        )),
        Some(digits) if !is_hex(digits) => {
            Some("is not wx and 16 hexadecimal digits (0-9, a-f), as WeChat's are".to_owned())
        }
        Some(_) => None,
    }
}

/// What is odd about an AppSecret, as it follows its key.
pub(super) fn of_secret(text: &str) -> Option<String> {
    let inner = text.trim();
    match () {
        () if inner.len() != text.len() => Some(format!(
            "has a space or line end at its ends, {} in all; it is sent unchanged",
            characters(text)
        )),
        () if inner.len() != SECRET => Some(format!(
            "has {}; WeChat's AppSecrets have {SECRET} hexadecimal digits",
            characters(inner)
        )),
        () if !is_hex(inner) => Some(format!(
            "has {SECRET} characters, but not hexadecimal digits (0-9, a-f) alone, as WeChat's AppSecrets do"
        )),
        () => None,
    }
}

/// What is odd about an openid, as it follows its option.
pub(super) fn of_openid(text: &str) -> Option<String> {
    let is_one = text.len() == OPENID
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    (!is_one).then(|| {
        format!(
            "is no openid: WeChat's have {OPENID} letters, digits, \"-\" and \"_\", this has {}",
            characters(text)
        )
    })
}

fn characters(text: &str) -> String {
    let count = text.chars().count();
    format!("{count} character{}", if count == 1 { "" } else { "s" })
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wechat_gives_is_right_and_a_slip_is_told_by_its_length() {
        assert_eq!(of_appid("wx0123456789abcdef"), None);
        for (slip, word) in [
            ("wx0123456789abcde", "17 characters"),
            ("wx0123456789abcdef0", "19 characters"),
            ("wx0123456789ABCDEF", "hexadecimal"),
            ("gh_0123456789ab", "wx"),
            ("0123456789abcdef0123456789abcdef", "AppSecret"),
        ] {
            assert!(
                of_appid(slip).is_some_and(|odd| odd.contains(word)),
                "{slip}"
            );
        }
        assert_eq!(of_secret("0123456789abcdef0123456789abcdef"), None);
        for (slip, word) in [
            ("0123456789abcdef0123456789abcde", "31 characters"),
            ("0123456789abcdef0123456789abcdef ", "space"),
            ("0123456789abcdef0123456789abcdeg", "digits"),
            ("~", "1 character;"),
            ("“0123456789abcdef0123456789abcdef”", "34 characters"),
        ] {
            let odd = of_secret(slip).unwrap_or_else(|| panic!("{slip}"));
            assert!(odd.contains(word) && !odd.contains(slip.trim()), "{odd}");
        }
    }

    #[test]
    fn names_and_openids_are_told_apart() {
        assert_eq!(of_openid("oGZUI0egBJY1zhBYw2KhdUfwVJJE"), None);
        for (other, count) in [
            ("x", "1 character"),
            ("", "0 characters"),
            ("oGZUI0egBJY1zhBYw2KhdUfwVJJ", "27 characters"),
            ("oGZUI0egBJY1zhBYw2KhdUfwVJJ ", "28 characters"),
            ("虎符", "2 characters"),
        ] {
            assert!(
                of_openid(other).is_some_and(|odd| odd.ends_with(count)),
                "{other}"
            );
        }
    }
}
