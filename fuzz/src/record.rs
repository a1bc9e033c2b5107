//! A stored record has one spelling: what it says is written as the same bytes again.

use hufu::clock::UnixMillis;
use hufu::store::record::{decode, encode};

/// See the module.
pub fn check(data: &[u8]) {
    let Ok(session) = decode(data) else { return };
    // A deadline beyond the last moment that can be told is that moment.
    if session.absolute_deadline < UnixMillis(u64::MAX) {
        assert_eq!(encode(&session), data);
    }
    assert_eq!(decode(&encode(&session)), Ok(session));
}
