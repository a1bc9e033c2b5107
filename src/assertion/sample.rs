//! A session for tests, and what signs its assertions.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::{AssertionIssuer, AssertionSettings, WorkerAssertions};
use crate::clock::{ManualClock, UnixMillis};
use crate::crypto::signing::SigningKeys;
use crate::secret::Secret;
use crate::session::{LiveSession, ProviderKind, RecordStamp, Session, SessionId, UserKey};

/// A session of zhang's with these claims.
pub(super) fn live(claims: Value, expires_in: Duration) -> LiveSession {
    let session = Session {
        user: UserKey {
            provider: ProviderKind::ALL[0],
            app: "shop".into(),
            authorizer: None,
            subject: "zhang".into(),
        },
        unionid: Some("union".into()),
        created: UnixMillis(0),
        absolute_deadline: UnixMillis(1),
        client_address: None,
        device: String::new(),
        claims: serde_json::from_value(claims).unwrap(),
    };
    LiveSession {
        id: SessionId {
            tag: [0; 2],
            hash: [0; 16],
        },
        stamp: RecordStamp([0; 15]),
        session: session.into(),
        expires_in,
        absolute_expires_in: expires_in,
    }
}

/// The assertions of a worker, some of a second after 1000 s.
pub(crate) fn assertions() -> WorkerAssertions {
    let settings = AssertionSettings {
        keys: Arc::new(SigningKeys::new(&[Secret::new([7; 32])]).unwrap()),
        issuer: "https://api.example.com".into(),
        header: "X-Hufu-Assertion".into(),
        audience: None,
        cache: 10_000_000,
    };
    let issuer = AssertionIssuer {
        settings,
        generation: 0,
    };
    let clock = ManualClock::at(UnixMillis(1_000_999));
    WorkerAssertions::new(Arc::new(issuer), Arc::new(clock), Arc::default())
}
