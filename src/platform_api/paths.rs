//! Which paths may be called. A path passes only in the one spelling that every server reads in the
//! same way, so that nothing hangs on how the platform reads it.

/// A path that a client may call: whole segments, of which a last `*` stands for one or more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern(String);

impl PathPattern {
    /// `None`: it is not of this form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let stem = text.strip_suffix("/*").unwrap_or(text);
        let is_sound = (stem.is_empty() && text == "/*")
            || (is_plain(stem) && !stem.ends_with('/') && stem.len() <= 200);
        is_sound.then(|| Self(text.to_owned()))
    }

    /// As it is written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Whether a plain path is among these; case counts.
    #[must_use]
    pub fn covers(&self, path: &str) -> bool {
        let path = bare(path);
        match self.0.strip_suffix("/*") {
            Some(stem) => is_below(path, stem),
            None => path == self.0,
        }
    }

    /// Whether all that it stands for is withheld.
    #[must_use]
    pub fn is_withheld(&self, withheld: &[&str]) -> bool {
        let sample = self.0.replace('*', "x");
        self.0 != "/*" && is_withheld(&sample, withheld)
    }
}

/// Letters, digits, `-` and `_` between single slashes, one of which may stand at the end.
#[must_use]
pub fn is_plain(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else {
        return false;
    };
    bare(rest).split('/').all(|segment| {
        !segment.is_empty()
            && segment
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    })
}

/// Whether a plain path is never passed on, in any case of letters. What stands before a `/*` is not
/// either: nobody knows that the platform takes it for another path.
#[must_use]
pub fn is_withheld(path: &str, withheld: &[&str]) -> bool {
    let path = bare(path).to_ascii_lowercase();
    withheld.iter().any(
        |pattern| match (pattern.strip_suffix("/*"), pattern.strip_suffix('*')) {
            (Some(stem), _) => path == stem || is_below(&path, stem),
            (None, Some(start)) => path.starts_with(start),
            (None, None) => path == *pattern,
        },
    )
}

fn is_below(path: &str, stem: &str) -> bool {
    path.strip_prefix(stem)
        .is_some_and(|rest| rest.starts_with('/') && rest.len() > 1)
}

fn bare(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_path_has_one_spelling() {
        for plain in ["/a", "/a/", "/cgi-bin/message/custom/send", "/wxa/x_y-Z0"] {
            assert!(is_plain(plain), "{plain}");
        }
        for other in [
            "", "/", "//", "a", "//a", "/a//b", "/a//", "/a/./b", "/a/../b", "/a/..", "/a%2fb",
            "/a;b", "/a.json", "/a\\b", "/a b", "/a?b", "/a#", "/a*", "/\u{e9}", "*", "/a:b",
            "/a@b", "/~a",
        ] {
            assert!(!is_plain(other), "{other}");
        }
    }

    #[test]
    fn a_pattern_covers_whole_segments_and_a_star_one_or_more() {
        let covers = |pattern: &str, path: &str| PathPattern::parse(pattern).unwrap().covers(path);
        for (pattern, path, covered) in [
            ("/wxa/msg_sec_check", "/wxa/msg_sec_check", true),
            ("/wxa/msg_sec_check", "/wxa/msg_sec_check/", true),
            ("/wxa/msg_sec_check", "/wxa/msg_sec_checks", false),
            ("/wxa/msg_sec_check", "/wxa/msg_sec_check/x", false),
            ("/wxa/msg_sec_check", "/wxa/MSG_sec_check", false),
            ("/wxa/msg_sec_check", "/wxa", false),
            ("/cgi-bin/message/*", "/cgi-bin/message/custom", true),
            ("/cgi-bin/message/*", "/cgi-bin/message/custom/send", true),
            ("/cgi-bin/message/*", "/cgi-bin/message", false),
            ("/cgi-bin/message/*", "/cgi-bin/message/", false),
            ("/cgi-bin/message/*", "/cgi-bin/messages/x", false),
            ("/*", "/a", true),
            ("/*", "/a/b", true),
        ] {
            assert_eq!(covers(pattern, path), covered, "{pattern} {path}");
        }
        for wrong in [
            "", "/", "*", "a/*", "/a*", "/*/a", "/a/**", "/a/", "/a/../b", "/a/*/",
        ] {
            assert_eq!(PathPattern::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_withheld_is_so_in_any_case_of_letters() {
        let list = ["/sns/*", "/cgi-bin/clear_quota*", "/wxa/reset"];
        for path in [
            "/sns/userinfo",
            "/SNS/x/y",
            "/sns",
            "/Sns/",
            "/cgi-bin/clear_quota",
            "/CGI-bin/Clear_Quota/v2",
            "/wxa/reset/",
            "/cgi-bin/clear_quota_by_appsecret",
        ] {
            assert!(is_withheld(path, &list), "{path}");
        }
        for path in [
            "/snsx/y",
            "/snsx",
            "/wxa/reset/x",
            "/wxa/resets",
            "/a/sns/x",
        ] {
            assert!(!is_withheld(path, &list), "{path}");
        }
        let withheld = |text: &str| PathPattern::parse(text).unwrap().is_withheld(&list);
        assert!(withheld("/sns/*") && withheld("/wxa/reset") && withheld("/Sns/jscode"));
        assert!(withheld("/sns"));
        assert!(!withheld("/*") && !withheld("/wxa/*") && !withheld("/cgi-bin/*"));
    }
}
