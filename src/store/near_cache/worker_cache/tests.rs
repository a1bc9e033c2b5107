//! What claims take of a worker's memory. docs/capacity.md has the figure.

use std::cell::Cell;

use allocation_counter::measure;

use super::*;
use crate::assertion::sample::assertions;
use crate::assertion::{ClaimHeader, HeaderNames, IdentityLines};
use crate::session::{Claims, LiveSession, ProviderKind, Session, UserKey};
use crate::store::near_cache::invalidation::InvalidationChoice;
use crate::store::record;

const CLAIMS: &str = r#"{"user_id":"1000000042","role":["staff"],"vip":true}"#;
/// The bytes of the names and values in it, and of their stored form.
const TEXT: usize = 33;
const STORED: usize = 45;
/// What three claims may take beside their text.
const OVERHEAD: usize = 64;
const APPID: &str = "wx0123456789abcdef";
const HOUR: Duration = Duration::from_secs(3600);

const CONNECTION: ConnectionId = ConnectionId(1);

struct TestConnection;

impl Observation for TestConnection {
    fn is_outdated(&self) -> bool {
        false
    }

    fn source(&self) -> Option<InvalidationSource> {
        Some(InvalidationSource::Connection(CONNECTION))
    }

    fn server_time(&self, _: Instant) -> Option<UnixMillis> {
        Some(UnixMillis(0))
    }
}

fn three_claims() -> Claims {
    serde_json::from_str(CLAIMS).unwrap()
}

fn lines() -> IdentityLines {
    let named = |(claim, header): (&str, &str)| ClaimHeader {
        claim: claim.to_owned(),
        header: header.to_owned(),
    };
    let claims = [
        ("user_id", "X-User-Id"),
        ("role", "X-User-Role"),
        ("vip", "X-User-Vip"),
    ];
    let names = HeaderNames {
        claims: claims.map(named).into(),
        ..HeaderNames::default()
    };
    IdentityLines::new(names, 1)
}

/// A near cache with so many sessions, which were read as Redis has them. A request used each.
fn filled(sessions: u32, claims: &Claims, request: impl Fn(&LiveSession)) -> WorkerCache {
    let settings = NearCacheSettings {
        push: InvalidationChoice::Auto,
        capacity: 100_000,
        max_stale: HOUR,
        outage_grace: HOUR,
    };
    let cache = WorkerCache::new(settings, Arc::default());
    cache.connected(CONNECTION, monotonic_now());
    for number in 0..sessions {
        let loaded = loaded(number, claims);
        let id = loaded.id;
        let read = cache.join(id);
        read.begin(Some(&TestConnection));
        read.finish(&Ok(Lookup::Found(loaded)));
        drop(read);
        let CacheAnswer::Known(Lookup::Found(found)) = cache.look(&id) else {
            panic!("session {number} is not cached")
        };
        request(&found.into());
    }
    cache
}

fn loaded(number: u32, claims: &Claims) -> LoadedSession {
    let session = Session {
        user: UserKey {
            provider: ProviderKind::ALL[0],
            app: "shop".into(),
            authorizer: None,
            subject: format!("oGZUI0egBJY1zhBYw2Kh{number:08}").into(),
        },
        unionid: None,
        created: UnixMillis(0),
        absolute_deadline: UnixMillis(0).plus(HOUR),
        client_address: None,
        device: "iPhone 15 Pro".to_owned(),
        claims: claims.clone(),
    };
    let mut hash = [0; 16];
    hash[..4].copy_from_slice(&number.to_le_bytes());
    LoadedSession {
        id: SessionId { tag: [0; 2], hash },
        stamp: RecordStamp([0; 15]),
        session: record::decode(&record::encode(&session)).unwrap().into(),
        expires_in: HOUR,
        rotated: None,
        now: UnixMillis(0),
    }
}

/// The bytes that were requested of the allocator for what is made, and not given back.
fn bytes_of<T>(make: impl FnOnce() -> T) -> usize {
    let mut made = None;
    let counted = measure(|| made = Some(make()));
    usize::try_from(counted.bytes_current).unwrap()
}

#[test]
fn claims_take_no_more_than_their_stored_form_and_headers_nothing() {
    const SESSIONS: u32 = 20_000;
    let lines = lines();
    let (none, three) = (Claims::default(), three_claims());
    let unused = |claims| bytes_of(|| filled(SESSIONS, claims, |_| {}));
    let forwarded =
        |claims| bytes_of(|| filled(SESSIONS, claims, |live| drop(lines.upstream(live, APPID))));
    let asked =
        |claims| bytes_of(|| filled(SESSIONS, claims, |live| drop(lines.asker(live, APPID))));
    let expected = SESSIONS as usize * STORED;
    assert_eq!(unused(&three) - unused(&none), expected);
    assert_eq!(forwarded(&three) - forwarded(&none), expected);
    assert_eq!(asked(&three) - asked(&none), expected);
    assert!(forwarded(&none) > unused(&none));
    const { assert!(STORED <= TEXT + OVERHEAD) };
}

#[test]
fn a_signed_identity_takes_no_more_for_claims_than_its_longer_text() {
    const SESSIONS: u32 = 300;
    let with_assertions = |claims| {
        let (assertions, text) = (assertions(), Cell::new(0));
        let audience = "api".into();
        let bytes = bytes_of(|| {
            filled(SESSIONS, claims, |live| {
                let assertion = assertions.of(live, APPID, &audience).unwrap();
                text.set(text.get() + assertion.len());
            })
        });
        bytes - text.get()
    };
    let more = with_assertions(&three_claims()) - with_assertions(&Claims::default());
    let each = more.div_ceil(SESSIONS as usize);
    assert!((STORED..=TEXT + OVERHEAD).contains(&each), "{each}");
}
