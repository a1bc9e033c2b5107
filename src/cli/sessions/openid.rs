//! Whether a user is named as WeChat names users.

/// How long an openid is.
const LENGTH: usize = 28;

/// Whether it has the form of an openid.
pub(super) fn looks_like_one(user: &str) -> bool {
    user.len() == LENGTH
        && user
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// What to say of another one.
pub(super) fn doubt(user: &str) -> String {
    let (count, s) = crate::cli::counted(user.chars().count());
    format!(
        "note: --user is no openid: WeChat's have {LENGTH} letters, digits, \"-\" and \"_\", this has {count} character{s}. A backend gets it as X-WX-OPENID"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_openids_are_told_apart() {
        assert!(
            looks_like_one("oGZUI0egBJY1zhBYw2KhdUfwVJJE")
                && looks_like_one(&crate::sandbox::openid("wx0123456789abcdef", "alice"))
        );
        for other in [
            "alice",
            "",
            "oGZUI0egBJY1zhBYw2KhdUfwVJJ",
            "oGZUI0egBJY1zhBYw2KhdUfwVJJ ",
            "虎虎虎虎虎虎虎虎虎a",
        ] {
            assert!(!looks_like_one(other), "{other}");
        }
        assert!(doubt("x").contains("1 character.") && doubt("虎符").contains("2 characters."));
    }
}
