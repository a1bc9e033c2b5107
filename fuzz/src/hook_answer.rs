//! The answer of a login hook gives claims that can be stored and told again, and a detail that is one
//! short line. Why it gives none is short too, and can stand in a log.

use hufu::identity::{DETAIL_MAX, claims_of, detail_of};
use hufu::session::Claims;

/// See the module. The body of the answer.
pub fn check(data: &[u8]) {
    match claims_of(data) {
        Ok(claims) => {
            assert_eq!(Claims::decode(claims.encoded()).as_ref(), Ok(&claims));
            let told = serde_json::to_string(&claims).expect("claims are JSON");
            let again = claims_of(format!("{{\"claims\":{told}}}").as_bytes());
            assert_eq!(again, Ok(claims));
        }
        Err(why) => assert_is_line(&why),
    }
    match detail_of(data) {
        Ok(detail) => {
            assert!(detail.chars().count() <= DETAIL_MAX);
            assert!(!detail.contains(char::is_control));
            assert_eq!(detail.trim(), detail);
        }
        Err(why) => assert_is_line(&why),
    }
}

fn assert_is_line(why: &str) {
    assert!(
        why.chars().count() < 250 && !why.contains(char::is_control),
        "{why:?}"
    );
}
