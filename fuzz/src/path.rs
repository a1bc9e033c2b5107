//! A canonical path has one reading, for servers that decode once and for those that decode twice.

use hufu::route::{PathRewrite, as_it_came, canonical, slashes_decoded, with_encoded_slashes};
use percent_encoding::percent_decode;

/// See the module.
pub fn check(data: &[u8]) {
    let Ok(raw) = std::str::from_utf8(data) else {
        return;
    };
    keeps_slashes_and_nothing_else(raw);
    let Ok(form) = canonical(raw) else { return };
    assert_eq!(
        canonical(&form).as_deref(),
        Ok(&*form),
        "{raw:?} has a form that is refused or has another one"
    );
    assert!(form.starts_with('/') && !form.contains("//"), "{form:?}");
    assert!(
        form.bytes()
            .all(|b| b.is_ascii_graphic() && !b"\\\"<>`{}|^[]#?".contains(&b)),
        "{form:?}"
    );
    escapes_are_needed(&form);
    has_one_reading(&form);
    changes_and_comes_back(&form);
}

/// Where encoded slashes may stay, nothing else may that is refused otherwise, whether they are
/// read as slashes or not; and what goes on as it came has the same readings.
fn keeps_slashes_and_nothing_else(raw: &str) {
    let (plain, kept) = (canonical(raw), with_encoded_slashes(raw));
    let Ok(kept) = kept else {
        assert!(plain.is_err(), "{raw:?}");
        return;
    };
    assert_eq!(with_encoded_slashes(&kept).as_ref(), Ok(&kept), "{raw:?}");
    assert_eq!(
        with_encoded_slashes(&as_it_came(raw)).as_ref(),
        Ok(&kept),
        "{raw:?}"
    );
    assert_eq!(
        canonical(&slashes_decoded(&kept)).as_deref().ok(),
        canonical(&as_slashes(raw)).as_deref().ok(),
        "{raw:?}"
    );
    assert!(
        canonical(&slashes_decoded(&kept)).is_ok(),
        "{raw:?} has another reading, which is refused"
    );
    if let Ok(plain) = plain {
        assert_eq!(plain, kept, "{raw:?}");
    }
}

/// The path as servers see it that decode slashes.
fn as_slashes(raw: &str) -> String {
    raw.replace("%2F", "/").replace("%2f", "/")
}

/// An escape stands for what cannot stand there itself, and is written in upper case.
fn escapes_are_needed(form: &str) {
    for (at, _) in form.match_indices('%') {
        let digits = &form[at + 1..at + 3];
        let value = u8::from_str_radix(digits, 16).expect("an escape has two digits");
        assert_eq!(digits, digits.to_ascii_uppercase(), "{form:?}");
        assert!(
            !value.is_ascii_alphanumeric()
                && !b"-._~/\\".contains(&value)
                && !value.is_ascii_control(),
            "{form:?}"
        );
    }
}

/// Decoded once or twice, it has the same segments, and none of them goes anywhere.
fn has_one_reading(form: &str) {
    let segments = form.split('/').count();
    let once: Vec<u8> = percent_decode(form.as_bytes()).collect();
    assert!(std::str::from_utf8(&once).is_ok(), "{form:?}");
    let twice: Vec<u8> = percent_decode(&once).collect();
    for decoded in [once, twice] {
        assert!(
            !decoded.iter().any(|b| b.is_ascii_control() || *b == b'\\'),
            "{form:?} holds a control character or a backslash"
        );
        assert_eq!(
            decoded.split(|b| *b == b'/').count(),
            segments,
            "{form:?} has another slash once it is decoded"
        );
        let is_dotted =
            |segment: &[u8]| matches!(segment.split(|b| *b == b';').next(), Some(b"." | b".."));
        assert!(
            !decoded.split(|b| *b == b'/').any(is_dotted),
            "{form:?} has a dot segment once it is decoded"
        );
    }
}

/// Whatever prefix a route exchanges, what goes on is canonical, and leads back.
fn changes_and_comes_back(form: &str) {
    for (at, _) in form.match_indices('/') {
        let from = if at == 0 { "/" } else { &form[..at] };
        for to in ["/", "/v2", "/v2/é%20", "/api"] {
            let to = canonical(to).expect("it is canonical, or becomes so");
            let rewrite = PathRewrite::new(from, &to);
            let out = rewrite.apply(form);
            assert_eq!(
                canonical(&out).as_deref(),
                Ok(&*out),
                "{form:?} from {from} to {to}"
            );
            assert_eq!(
                rewrite.reverse(&out).as_deref(),
                Some(form),
                "{form:?} from {from} to {to}"
            );
        }
    }
}
