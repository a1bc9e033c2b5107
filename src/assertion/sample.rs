//! A session for tests.

use std::time::Duration;

use serde_json::Value;

use crate::clock::UnixMillis;
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
