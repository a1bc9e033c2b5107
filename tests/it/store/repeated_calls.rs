//! Scripts that Redis has carried out and whose connection ends before the answer: the gateway sends
//! them once more, and each recognises what it has done.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use hufu::identity::TokenName;
use hufu::secret::Secret;
use hufu::session::{NewSession, Written};

use crate::helpers::store::user;
use crate::helpers::{Fault, HOUR, Harness, Link, RedisServer, new_session, session_key};

/// From now on the link loses the next answer of a script, and its connection.
fn lose_next(link: &Link) {
    link.set(Fault::CloseOne("EVALSHA", Arc::new(AtomicUsize::new(1))));
}

#[tokio::test]
async fn a_repeated_taking_of_session_keys_gives_what_the_first_has_taken() {
    const KEY: &str = "HyVFkGl5F5OQWJZZaNzBBg==";
    let redis = RedisServer::start(&[]);
    let link = Link::to(redis.port());
    let h = Harness::redis(&link.url(), &redis.url(""), "hufu");
    let session = h.session(&user("o1"), HOUR).await;
    let generation = session_key(KEY, session.created);
    let new = NewSession {
        session_key: Some(&generation),
        ..new_session(h.fresh_id(&session.user), &session, HOUR)
    };
    h.store().create(new).await.unwrap();
    lose_next(&link);
    let taken = h.keys().take_session_keys(&session.user).await.unwrap();
    let names: Vec<_> = taken.keys.iter().map(|key| key.key.expose()).collect();
    assert_eq!(names, [KEY]);
    assert_eq!(taken.reset_before, None);
    assert!(h.session_keys(&session.user).await.is_empty());
    let returned = h.keys().return_session_keys(&session.user, &taken).await;
    returned.unwrap();
    assert_eq!(h.session_keys(&session.user).await, [KEY]);
    h.assert_consistent().await;
}

#[tokio::test]
async fn a_repeated_write_of_a_refresh_token_finds_its_own() {
    let redis = RedisServer::start(&[]);
    let link = Link::to(redis.port());
    let h = Harness::redis(&link.url(), &redis.url(""), "hufu");
    let name = TokenName {
        appid: "wxc".into(),
        authorizer: Some("wx1".into()),
        kind: "access",
    };
    let read = h.components().refresh_token(&name).await.unwrap();
    let (text, now) = (Secret::new("r1".to_owned()), h.now().await);
    lose_next(&link);
    let kept = h
        .components()
        .keep_recovered(&name, &text, now, &read.mark)
        .await;
    assert_eq!(kept.unwrap(), Written::Done);
    let found = h.components().refresh_token(&name).await.unwrap();
    assert_eq!(found.text, Some(text));
}
