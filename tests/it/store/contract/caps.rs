//! How many sessions a user may have, and the index that knows them.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use hufu::session::{Lookup, NewSession, SessionId, Written};

use super::{HOUR, SHORT};
use crate::helpers::{
    Harness, Place, new_session,
    store::{made, user},
};

pub(super) async fn capped(h: &Harness, subject: &str, cap: u32) -> (SessionId, Vec<SessionId>) {
    let session = h.session(&user(subject), HOUR).await;
    let id = h.fresh_id(&session.user);
    let created = h
        .create(NewSession {
            max_per_user: cap,
            ..new_session(id, &session, HOUR)
        })
        .await;
    // The order of sessions that begin in the same millisecond is nobody's business.
    h.pass(Duration::from_millis(2)).await;
    (id, created.evicted)
}

pub(super) async fn the_oldest_session_makes_room(h: &Harness) {
    let (stranger, _) = capped(h, "other", 3).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let (id, evicted) = capped(h, "o1", 3).await;
        assert_eq!(evicted, []);
        ids.push(id);
    }
    for _ in 0..4 {
        let (id, evicted) = capped(h, "o1", 3).await;
        assert_eq!(evicted, [ids[0]]);
        assert!(!h.alive(&ids.remove(0)).await);
        ids.push(id);
        for id in &ids {
            assert!(h.alive(id).await);
        }
    }
    assert!(h.alive(&stranger).await);
}

pub(super) async fn a_lower_cap_takes_effect_at_the_next_login(h: &Harness) {
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(capped(h, "o1", 0).await.0);
    }
    let (id, evicted) = capped(h, "o1", 2).await;
    assert_eq!(evicted, ids[..4]);
    assert!(h.alive(&ids[4]).await && h.alive(&id).await);
}

pub(super) async fn expired_sessions_neither_count_nor_evict(h: &Harness) {
    let (keeper, _) = capped(h, "o1", 3).await;
    for _ in 0..2 {
        h.sign_in(&user("o1"), SHORT, HOUR).await;
    }
    h.pass(SHORT).await;
    for _ in 0..2 {
        assert_eq!(capped(h, "o1", 3).await.1, []);
    }
    assert!(h.alive(&keeper).await);
}

pub(super) async fn every_write_sweeps_the_index(h: &Harness) {
    let session = h.session(&user("o1"), HOUR).await;
    let keeper = h.sign_in(&session.user, HOUR, HOUR).await;
    let second = Duration::from_secs(1);
    let short = async || h.sign_in(&session.user, second, HOUR).await;
    for write in 0..3 {
        let dead = short().await;
        assert!(in_index(h, &dead).await);
        h.pass(second).await;
        match write {
            0 => assert_eq!(
                h.renew(&keeper, &session.user, HOUR, session.absolute_deadline)
                    .await,
                Written::Done
            ),
            1 => assert_eq!(h.remove(&dead, &session.user).await, Written::Gone),
            _ => drop(h.sign_in(&session.user, HOUR, HOUR).await),
        }
        assert!(!in_index(h, &dead).await, "after write {write}");
        assert!(in_index(h, &keeper).await);
    }
}

async fn in_index(h: &Harness, id: &SessionId) -> bool {
    let (_, index) = h.only("u").await.unwrap();
    let shows = |name: &[u8]| {
        index
            .content
            .windows(name.len())
            .any(|window| window == name)
    };
    shows(&id.hash) || shows(hufu::crypto::encoding::base64url(&id.hash).as_bytes())
}

/// The memory store has no outside that could delete anything.
pub(super) async fn a_record_deleted_by_hand_evicts_nobody(h: &Harness) {
    let Place::Redis(_, inspector) = &h.place else {
        return;
    };
    let (deleted, _) = capped(h, "o1", 2).await;
    let (key, _) = h.only("s").await.unwrap();
    let (living, _) = capped(h, "o1", 2).await;
    inspector.run::<()>(&[b"DEL", key.as_bytes()]).await;
    assert_eq!(capped(h, "o1", 2).await.1, []);
    assert!(h.alive(&living).await && !in_index(h, &deleted).await);
}

/// The memory store has no outside that could restore anything.
pub(super) async fn a_record_restored_with_a_longer_life_still_ends(h: &Harness) {
    let Place::Redis(_, inspector) = &h.place else {
        return;
    };
    let id = h.sign_in(&user("o1"), HOUR, SHORT).await;
    let (key, _) = h.only("s").await.unwrap();
    inspector
        .run::<()>(&[b"PEXPIRE", key.as_bytes(), b"3600000"])
        .await;
    let Lookup::Found(found) = h.load(&id).await else {
        panic!("its deadline is not here yet")
    };
    assert!(found.expires_in <= SHORT, "{found:?}");
    h.pass(SHORT).await;
    assert!(!h.alive(&id).await);
}

pub(super) async fn fifty_logins_at_once_keep_to_the_cap(h: &Harness) {
    let session = h.session(&user("o1"), HOUR).await;
    let ids: Vec<_> = (0..50).map(|_| h.fresh_id(&session.user)).collect();
    let login = |id: &SessionId| {
        h.store().create(NewSession {
            max_per_user: 10,
            ..new_session(*id, &session, HOUR)
        })
    };
    let created: Vec<_> = join_all(ids.iter().map(login))
        .await
        .into_iter()
        .map(|created| made(created.unwrap()))
        .collect();
    let evicted: BTreeSet<_> = created
        .iter()
        .flat_map(|created| created.evicted.clone())
        .collect();
    assert_eq!(evicted.len(), 40, "each is evicted once");
    for id in &ids {
        assert_eq!(h.alive(id).await, !evicted.contains(id));
    }
    assert_eq!(h.look().await.len(), 11, "ten records and an index");
}
