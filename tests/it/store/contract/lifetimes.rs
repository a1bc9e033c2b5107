//! How long a session lives, and that its end is one.

use std::collections::BTreeSet;
use std::time::Duration;

use hufu::clock::UnixMillis;
use hufu::identity::Reservation;
use hufu::session::store::Settlement;
use hufu::session::{Lookup, NewSession, Written};

use super::login_codes::reserved;
use super::{HOUR, SHORT};
use crate::helpers::{Harness, new_session, session_key, store::user, until};

pub(super) async fn round_trip(h: &Harness) {
    let session = h.session(&user("o1"), 3 * HOUR).await;
    let id = h.fresh_id(&session.user);
    let created = h.create(new_session(id, &session, HOUR)).await;
    assert!(
        created.expires_in <= HOUR && created.expires_in > HOUR / 2,
        "{created:?}"
    );
    assert_eq!(created.evicted, []);
    let Lookup::Found(found) = h.load(&id).await else {
        panic!("it was just made")
    };
    assert_eq!(*found.session, session);
    assert!(
        found.expires_in <= created.expires_in && found.expires_in > HOUR / 2,
        "{found:?}"
    );
    assert!(
        found.now >= session.created && found.now.since(session.created) < HOUR / 2,
        "{found:?}"
    );
}

pub(super) async fn nothing_known_is_gone(h: &Harness) {
    let id = h.fresh_id(&user("o1"));
    assert!(!h.alive(&id).await);
    assert_eq!(
        h.renew(&id, &user("o1"), HOUR, UnixMillis(u64::MAX >> 20))
            .await,
        Written::Gone
    );
    assert_eq!(h.remove(&id, &user("o1")).await, Written::Gone);
    assert!(h.look().await.is_empty());
}

pub(super) async fn an_unused_session_ends(h: &Harness) {
    let id = h.sign_in(&user("o1"), SHORT, HOUR).await;
    assert!(h.alive(&id).await);
    h.pass(SHORT).await;
    assert!(!h.alive(&id).await);
    until("its keys to go", async || h.look().await.is_empty()).await;
}

pub(super) async fn a_used_session_ends_too(h: &Harness) {
    let absolute = SHORT * 3 / 2;
    let session = h.session(&user("o1"), absolute).await;
    let id = h.fresh_id(&session.user);
    h.create(new_session(id, &session, SHORT)).await;
    let mut renewals = 0;
    while h.alive(&id).await {
        h.pass(SHORT / 20).await;
        if h.renew(&id, &session.user, SHORT, session.absolute_deadline)
            .await
            == Written::Done
        {
            renewals += 1;
        }
    }
    let now = h.now().await;
    assert!(
        now >= session.absolute_deadline,
        "it ended {:?} early",
        session.absolute_deadline.since(now)
    );
    assert!(renewals > 3, "{renewals}");
    assert_eq!(
        h.renew(&id, &session.user, HOUR, session.absolute_deadline)
            .await,
        Written::Gone
    );
}

pub(super) async fn renewal_moves_the_expiry_and_not_past_the_deadline(h: &Harness) {
    let session = h.session(&user("o1"), 2 * HOUR).await;
    let id = h.fresh_id(&session.user);
    h.create(new_session(id, &session, SHORT)).await;
    assert_eq!(
        h.renew(&id, &session.user, HOUR, session.absolute_deadline)
            .await,
        Written::Done
    );
    h.pass(SHORT).await;
    assert!(h.alive(&id).await);
    assert_eq!(
        h.renew(&id, &session.user, 10 * HOUR, session.absolute_deadline)
            .await,
        Written::Done
    );
    let Lookup::Found(found) = h.load(&id).await else {
        panic!("it was just renewed")
    };
    assert!(
        found.now.plus(found.expires_in) <= session.absolute_deadline && found.expires_in > HOUR,
        "{found:?}"
    );
    let (_, index) = h.only("u").await.unwrap();
    assert!(
        index.expires_in.unwrap() > HOUR,
        "the index lives as long as its session"
    );
}

pub(super) async fn what_was_removed_stays_removed(h: &Harness) {
    let session = h.session(&user("o1"), HOUR).await;
    let (first, second) = (
        h.sign_in(&session.user, HOUR, HOUR).await,
        h.sign_in(&session.user, HOUR, HOUR).await,
    );
    assert_eq!(h.remove(&first, &session.user).await, Written::Done);
    assert_eq!(h.remove(&first, &session.user).await, Written::Gone);
    assert_eq!(
        h.renew(&first, &session.user, HOUR, session.absolute_deadline)
            .await,
        Written::Gone
    );
    assert!(!h.alive(&first).await);
    assert!(h.alive(&second).await);
    assert_eq!(h.remove(&second, &session.user).await, Written::Done);
    assert!(h.look().await.is_empty());
}

pub(super) async fn two_removals_and_a_renewal_at_once_leave_nothing(h: &Harness) {
    let session = h.session(&user("o1"), HOUR).await;
    for _ in 0..20 {
        let id = h.sign_in(&session.user, HOUR, HOUR).await;
        let (store, user) = (h.store(), &session.user);
        let renew = || store.renew(&id, user, HOUR, session.absolute_deadline);
        let (_, one, _, two, last) = tokio::join!(
            renew(),
            store.remove(&id, user),
            renew(),
            store.remove(&id, user),
            renew()
        );
        assert_eq!(
            BTreeSet::from([one.unwrap() == Written::Done, two.unwrap() == Written::Done]),
            BTreeSet::from([false, true])
        );
        let _ = last.unwrap();
        assert!(h.look().await.is_empty());
    }
}

pub(super) async fn a_session_that_would_be_over_is_not_made(h: &Harness) {
    let ticket = reserved(h, [1; 16], HOUR).await;
    let session = h.session(&user("o1"), Duration::ZERO).await;
    let settlement = Some(Settlement {
        login: [1; 16],
        ticket,
        answer: b"answer".to_vec(),
        keep: HOUR,
    });
    let id = h.fresh_id(&session.user);
    h.store()
        .create(NewSession {
            settlement,
            ..new_session(id, &session, HOUR)
        })
        .await
        .unwrap_err();
    assert!(!h.alive(&id).await);
    let left = h.codes().reserve(&[1; 16], HOUR).await.unwrap();
    assert!(
        !matches!(left, Reservation::Settled { .. }),
        "an answer without its session: {left:?}"
    );
}

pub(super) async fn every_key_has_an_expiry(h: &Harness) {
    let session = h.session(&user("o1"), HOUR).await;
    let generation = session_key("AAAAAAAAAAAAAAAAAAAAAA==", session.created);
    for i in 0..4 {
        let ticket = reserved(h, [i; 16], HOUR).await;
        let settlement = Some(Settlement {
            login: [i; 16],
            ticket,
            answer: b"answer".to_vec(),
            keep: HOUR,
        });
        let new = new_session(h.fresh_id(&session.user), &session, HOUR);
        h.create(NewSession {
            settlement,
            session_key: Some(&generation),
            max_per_user: 2,
            ..new
        })
        .await;
    }
    reserved(h, [9; 16], HOUR).await;
    let seen = h.look().await;
    assert_eq!(
        seen.len(),
        2 + 1 + 5,
        "records, index, reservations: {:?}",
        seen.keys()
    );
    for (key, seen) in seen {
        assert!(
            seen.expires_in
                .is_some_and(|span| span <= HOUR && !span.is_zero()),
            "{key}: {seen:?}"
        );
    }
}
