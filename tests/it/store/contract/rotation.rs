//! Moving a session to another token.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use hufu::clock::UnixMillis;
use hufu::session::{
    LoadedSession, Lookup, NewSession, RecordStamp, Rotated, Rotation, Session, SessionId, Written,
};

use super::caps::capped;
use super::{HOUR, SHORT};
use crate::helpers::{Harness, new_session, store::user};

const MINUTE: Duration = Duration::from_secs(60);

async fn found(h: &Harness, id: &SessionId) -> LoadedSession {
    match h.load(id).await {
        Lookup::Found(loaded) => loaded,
        other => panic!("{id}: {other:?}"),
    }
}

/// A session that begins now.
async fn begin(h: &Harness, idle: Duration, absolute: Duration) -> (SessionId, Session) {
    let session = h.session(&user("o1"), absolute).await;
    let id = h.fresh_id(&session.user);
    h.create(new_session(id, &session, idle)).await;
    (id, session)
}

/// Rotates to a fresh name, which is its own answer.
async fn rotate(
    h: &Harness,
    from: SessionId,
    session: &Session,
    grace: Duration,
) -> (SessionId, Rotated) {
    let (to, now) = (h.fresh_id(&session.user), h.now().await);
    let read = match h.load(&from).await {
        Lookup::Found(loaded) => loaded.stamp,
        _ => RecordStamp([0; 15]),
    };
    let rotation = Rotation {
        from,
        to,
        session,
        read,
        idle: HOUR,
        until: now.plus(grace),
        answer: &to.hash,
    };
    (to, h.rotate(rotation).await)
}

async fn rotated(h: &Harness, from: SessionId, session: &Session, grace: Duration) -> SessionId {
    match rotate(h, from, session, grace).await {
        (to, Rotated::Done { .. }) => to,
        (_, other) => panic!("{other:?}"),
    }
}

pub(super) async fn a_session_goes_on_under_its_new_name(h: &Harness) {
    let (old, session) = begin(h, HOUR, 3 * HOUR).await;
    let new = rotated(h, old, &session, MINUTE).await;
    assert_ne!(old, new);
    let by_new = found(h, &new).await;
    assert_eq!(
        (by_new.id, &*by_new.session, &by_new.rotated),
        (new, &session, &None)
    );
    assert!(
        by_new.expires_in <= HOUR && by_new.expires_in > HOUR - MINUTE,
        "{by_new:?}"
    );
    let by_old = found(h, &old).await;
    assert_eq!(
        (by_old.id, &*by_old.session, by_old.rotated.as_deref()),
        (new, &session, Some(&new.hash[..]))
    );
    assert!(
        by_old.expires_in <= MINUTE && by_old.expires_in > MINUTE / 2,
        "{by_old:?}"
    );
    h.assert_consistent().await;
    assert_eq!(h.look().await.len(), 3, "a record, a forward and the index");
}

pub(super) async fn the_old_name_dies_after_its_grace(h: &Harness) {
    let (old, session) = begin(h, HOUR, HOUR).await;
    let new = rotated(h, old, &session, SHORT).await;
    assert!(h.alive(&old).await);
    h.pass(SHORT).await;
    assert!(!h.alive(&old).await && h.alive(&new).await);
    assert_eq!(rotate(h, old, &session, SHORT).await.1, Rotated::Gone);
    assert_eq!(h.remove(&old, &session.user).await, Written::Gone);
    assert!(h.alive(&new).await);
    h.assert_consistent().await;
}

pub(super) async fn without_a_grace_the_old_name_dies_at_once(h: &Harness) {
    let (old, session) = begin(h, HOUR, HOUR).await;
    let new = rotated(h, old, &session, Duration::ZERO).await;
    assert!(!h.alive(&old).await && h.alive(&new).await);
    assert_eq!(rotate(h, old, &session, MINUTE).await.1, Rotated::Gone);
    assert_eq!(h.look().await.len(), 2, "a record and the index");
}

pub(super) async fn asked_again_it_gives_the_same_answer(h: &Harness) {
    let (old, session) = begin(h, HOUR, HOUR).await;
    let new = rotated(h, old, &session, MINUTE).await;
    for _ in 0..3 {
        let (other, again) = rotate(h, old, &session, MINUTE).await;
        assert_eq!(
            again,
            Rotated::Before {
                answer: new.hash.to_vec()
            }
        );
        assert!(!h.alive(&other).await);
    }
    // Also when the answer has been rotated on.
    let newest = rotated(h, new, &session, MINUTE).await;
    assert_eq!(
        rotate(h, old, &session, MINUTE).await.1,
        Rotated::Before {
            answer: new.hash.to_vec()
        }
    );
    for id in [old, new, newest] {
        assert_eq!(found(h, &id).await.id, newest);
    }
    h.assert_consistent().await;
}

pub(super) async fn many_at_once_have_one_winner(h: &Harness) {
    let (old, session) = begin(h, HOUR, HOUR).await;
    let all = join_all((0..30).map(|_| rotate(h, old, &session, MINUTE))).await;
    let winners: Vec<_> = all
        .iter()
        .filter(|(_, outcome)| matches!(outcome, Rotated::Done { .. }))
        .map(|(to, _)| *to)
        .collect();
    let [winner] = winners[..] else {
        panic!("{} winners", winners.len())
    };
    for (to, outcome) in &all {
        assert!(
            *to == winner
                || *outcome
                    == Rotated::Before {
                        answer: winner.hash.to_vec()
                    },
            "{outcome:?}"
        );
        assert_eq!(h.alive(to).await, *to == winner);
    }
    assert!(h.alive(&old).await);
    assert_eq!(h.look().await.len(), 3, "a record, a forward and the index");
}

pub(super) async fn what_has_ended_is_not_rotated(h: &Harness) {
    let (old, session) = begin(h, HOUR, HOUR).await;
    assert_eq!(h.remove(&old, &session.user).await, Written::Done);
    assert_eq!(rotate(h, old, &session, MINUTE).await.1, Rotated::Gone);
    assert_eq!(
        rotate(h, h.fresh_id(&session.user), &session, MINUTE)
            .await
            .1,
        Rotated::Gone
    );
    assert!(h.look().await.is_empty());
    let (old, session) = begin(h, HOUR, HOUR).await;
    let ended = Session {
        absolute_deadline: UnixMillis(session.created.0 - 1),
        ..session
    };
    assert_eq!(
        rotate(h, old, &ended, MINUTE).await.1,
        Rotated::Gone,
        "past its deadline"
    );
}

pub(super) async fn the_deadline_stays_and_the_idle_time_begins_anew(h: &Harness) {
    let (old, session) = begin(h, SHORT, 30 * MINUTE).await;
    let new = rotated(h, old, &session, 2 * HOUR).await;
    for id in [old, new] {
        let found = found(h, &id).await;
        assert_eq!(found.session.absolute_deadline, session.absolute_deadline);
        assert!(
            found.now.plus(found.expires_in) <= session.absolute_deadline
                && found.expires_in > 29 * MINUTE,
            "{found:?}"
        );
    }
    assert!(
        h.look()
            .await
            .values()
            .all(|seen| seen.expires_in.unwrap() <= 30 * MINUTE)
    );
}

pub(super) async fn the_old_name_cannot_be_renewed(h: &Harness) {
    let (old, session) = begin(h, HOUR, 5 * HOUR).await;
    let new = rotated(h, old, &session, MINUTE).await;
    assert_eq!(
        h.renew(&old, &session.user, 4 * HOUR, session.absolute_deadline)
            .await,
        Written::Stale
    );
    assert!(found(h, &old).await.expires_in <= MINUTE && found(h, &new).await.expires_in <= HOUR);
    h.assert_consistent().await;
}

pub(super) async fn ending_under_any_name_ends_it(h: &Harness) {
    for ended in 0..3 {
        let (first, session) = begin(h, HOUR, HOUR).await;
        let other = h.sign_in(&session.user, HOUR, HOUR).await;
        let second = rotated(h, first, &session, MINUTE).await;
        let names = [first, second, rotated(h, second, &session, MINUTE).await];
        assert_eq!(h.remove(&names[ended], &session.user).await, Written::Done);
        for name in &names {
            assert!(!h.alive(name).await, "{ended}");
            assert_ne!(
                h.renew(name, &session.user, HOUR, session.absolute_deadline)
                    .await,
                Written::Done
            );
            assert!(!matches!(
                rotate(h, *name, &session, MINUTE).await.1,
                Rotated::Done { .. }
            ));
            assert_eq!(h.remove(name, &session.user).await, Written::Gone);
        }
        assert!(h.alive(&other).await);
        h.assert_consistent().await;
        assert_eq!(h.remove_all(&session.user).await, 1);
    }
}

pub(super) async fn a_session_that_ends_while_it_is_rotated_is_ended(h: &Harness) {
    for _ in 0..20 {
        let (old, session) = begin(h, HOUR, HOUR).await;
        let (store, rotate) = (h.store(), || rotate(h, old, &session, MINUTE));
        let (one, removed, two) =
            tokio::join!(rotate(), store.remove(&old, &session.user), rotate());
        assert_eq!(removed.unwrap(), Written::Done);
        for id in [old, one.0, two.0] {
            assert!(!h.alive(&id).await);
        }
        h.assert_consistent().await;
        assert!(store.list(&session.user).await.unwrap().is_empty());
    }
}

pub(super) async fn all_sessions_that_end_while_one_is_rotated_are_ended(h: &Harness) {
    for _ in 0..20 {
        let (old, session) = begin(h, HOUR, HOUR).await;
        let other = h.sign_in(&session.user, HOUR, HOUR).await;
        let (store, rotate) = (h.store(), || rotate(h, old, &session, MINUTE));
        let (one, removed, two) = tokio::join!(rotate(), store.remove_all(&session.user), rotate());
        assert_eq!(removed.unwrap(), 2);
        for id in [old, other, one.0, two.0] {
            assert!(!h.alive(&id).await);
        }
        h.assert_consistent().await;
    }
}

pub(super) async fn it_counts_once_and_keeps_its_age(h: &Harness) {
    let (first, _) = capped(h, "o1", 2).await;
    let (second, _) = capped(h, "o1", 2).await;
    let session = found(h, &first).await.session;
    let first_now = rotated(h, first, &session, MINUTE).await;
    assert!(h.alive(&second).await, "a rotation evicts nobody");
    // The oldest is still the one that began first, whatever it is called.
    let third = h.fresh_id(&session.user);
    let newest = h.session(&session.user, HOUR).await;
    let created = h
        .create(NewSession {
            max_per_user: 2,
            ..new_session(third, &newest, HOUR)
        })
        .await;
    assert_eq!(created.evicted, [first_now]);
    assert!(
        !h.alive(&first).await
            && !h.alive(&first_now).await
            && h.alive(&second).await
            && h.alive(&third).await
    );
}

pub(super) async fn too_many_names_are_cut_at_the_oldest(h: &Harness) {
    let (mut id, session) = begin(h, HOUR, HOUR).await;
    let mut names = vec![id];
    for _ in 0..9 {
        id = rotated(h, id, &session, MINUTE).await;
        names.push(id);
    }
    let alive: Vec<_> = join_all(names.iter().map(|name| h.alive(name))).await;
    assert_eq!(alive.iter().position(|alive| *alive), Some(1), "{alive:?}");
    assert!(
        h.store().remove(&names[0], &session.user).await.is_err(),
        "that it ended would not be true"
    );
    assert_eq!(h.remove(&names[1], &session.user).await, Written::Done);
    let alive: BTreeSet<_> = join_all(names.iter().map(|name| h.alive(name)))
        .await
        .into_iter()
        .collect();
    assert_eq!(alive, BTreeSet::from([false]));
}
