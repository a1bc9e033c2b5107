//! A canonical path has one reading, for servers that decode once and for those that decode twice.

use hufu::route::{PathRewrite, canonical};
use percent_encoding::percent_decode;

/// See the module.
pub fn check(data: &[u8]) {
    let Ok(raw) = std::str::from_utf8(data) else { return };
    let Ok(form) = canonical(raw) else { return };
    assert_eq!(canonical(&form).as_deref(), Ok(&*form), "{raw:?} has a form that is refused or has another one");
    assert!(form.starts_with('/') && !form.contains("//"), "{form:?}");
    assert!(form.bytes().all(|b| b.is_ascii_graphic() && !b"\\\"<>`{}|^[]#?".contains(&b)), "{form:?}");
    escapes_are_needed(&form);
    has_one_reading(&form);
    changes_and_comes_back(&form);
}

/// An escape stands for what cannot stand there itself, and is written in upper case.
fn escapes_are_needed(form: &str) {
    for (at, _) in form.match_indices('%') {
        let digits = &form[at + 1..at + 3];
        let value = u8::from_str_radix(digits, 16).expect("an escape has two digits");
        assert_eq!(digits, digits.to_ascii_uppercase(), "{form:?}");
        assert!(!value.is_ascii_alphanumeric() && !b"-._~/\\".contains(&value) && !value.is_ascii_control(), "{form:?}");
    }
}

/// Decoded once or twice, it has the same segments, and none of them goes anywhere.
fn has_one_reading(form: &str) {
    let segments = form.split('/').count();
    let once: Vec<u8> = percent_decode(form.as_bytes()).collect();
    assert!(std::str::from_utf8(&once).is_ok(), "{form:?}");
    let twice: Vec<u8> = percent_decode(&once).collect();
    for decoded in [once, twice] {
        assert!(!decoded.iter().any(|b| b.is_ascii_control() || *b == b'\\'), "{form:?} holds a control character or a backslash");
        assert_eq!(decoded.split(|b| *b == b'/').count(), segments, "{form:?} has another slash once it is decoded");
        let is_dotted = |segment: &[u8]| matches!(segment.split(|b| *b == b';').next(), Some(b"." | b".."));
        assert!(!decoded.split(|b| *b == b'/').any(is_dotted), "{form:?} has a dot segment once it is decoded");
    }
}

fn changes_and_comes_back(form: &str) {
    if form.strip_prefix("/api").is_some_and(|rest| rest.starts_with('/')) {
        for to in ["/", "/v2", "/api"] {
            let rewrite = PathRewrite::new("/api", to);
            let out = rewrite.apply(form);
            assert_eq!(canonical(&out).as_deref(), Ok(&*out), "{form:?} behind {to}");
            assert_eq!(rewrite.reverse(&out).as_deref(), Some(form), "{form:?} behind {to}");
        }
    }
}
