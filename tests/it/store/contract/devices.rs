//! All sessions of a user together.

use std::collections::{BTreeSet, HashMap};

use futures_util::future::join_all;
use hufu::session::token::tag_of;
use hufu::session::{SessionCount, SessionId, UserKey};

use super::{HOUR, SHORT};
use crate::helpers::{Harness, Place, new_session, store::user};

async fn listed(h: &Harness, user: &UserKey) -> BTreeSet<SessionId> {
    let list = h.list(user).await;
    let ids: BTreeSet<_> = list.iter().map(|loaded| loaded.id).collect();
    assert_eq!(ids.len(), list.len());
    ids
}

pub(super) async fn the_list_has_the_living_sessions_of_the_user(h: &Harness) {
    let (one, other) = (user("o1"), user("o2"));
    assert!(listed(h, &one).await.is_empty());
    let session = h.session(&one, HOUR).await;
    let first = h.fresh_id(&one);
    h.create(new_session(first, &session, HOUR)).await;
    let second = h.sign_in(&one, HOUR, HOUR).await;
    h.sign_in(&one, SHORT, HOUR).await;
    h.sign_in(&other, HOUR, HOUR).await;
    h.pass(SHORT).await;
    assert_eq!(listed(h, &one).await, BTreeSet::from([first, second]));
    let list = h.list(&one).await;
    let found = list.iter().find(|loaded| loaded.id == first).unwrap();
    assert_eq!((&*found.session, &found.rotated), (&session, &None));
    assert!(
        found.expires_in <= HOUR && found.expires_in > HOUR / 2,
        "{found:?}"
    );
    let _ = h.remove(&first, &one).await;
    assert_eq!(listed(h, &one).await, BTreeSet::from([second]));
    // More than are read at once.
    let many = join_all((0..130).map(|_| h.sign_in(&one, HOUR, HOUR))).await;
    assert_eq!(
        listed(h, &one).await,
        many.into_iter().chain([second]).collect()
    );
}

/// The memory store has no outside that could write into its index.
pub(super) async fn a_stranger_in_the_index_does_not_show(h: &Harness) {
    let Place::Redis(_, inspector) = &h.place else {
        return;
    };
    let (mut by_tag, mut twins) = (HashMap::new(), None);
    for n in 0..5000 {
        let user = user(&format!("o{n}"));
        if let Some(other) = by_tag.insert(tag_of(&h.naming, &user), user.clone()) {
            twins = Some((user, other));
            break;
        }
    }
    let (one, other) = twins.expect("of 5000 users two have the same tag");
    let mine = h.sign_in(&one, HOUR, HOUR).await;
    let (index, _) = h.only("u").await.unwrap();
    let theirs = h.sign_in(&other, HOUR, HOUR).await;
    inspector
        .run::<()>(&[b"HSET", index.as_bytes(), &theirs.hash, b"9000000000000:1"])
        .await;
    assert_eq!(listed(h, &one).await, BTreeSet::from([mine]));
}

pub(super) async fn all_sessions_end_together(h: &Harness) {
    let (one, other) = (user("o1"), user("o2"));
    assert_eq!(h.remove_all(&one).await, 0);
    let ids = join_all((0..5).map(|_| h.sign_in(&one, HOUR, HOUR))).await;
    let stranger = h.sign_in(&other, HOUR, HOUR).await;
    h.sign_in(&one, SHORT, HOUR).await;
    h.pass(SHORT).await;
    assert_eq!(
        h.remove_all(&one).await,
        5,
        "and not the one that had expired"
    );
    for id in &ids {
        assert!(!h.alive(id).await);
    }
    assert!(listed(h, &one).await.is_empty() && h.alive(&stranger).await);
    assert_eq!(h.look().await.len(), 2, "what is left is the other's");
    assert_eq!(h.remove_all(&one).await, 0);
}

pub(super) async fn logins_while_all_end_are_ended_or_live(h: &Harness) {
    let one = user("o1");
    for _ in 0..5 {
        let logins = join_all((0..10).map(|_| h.sign_in(&one, HOUR, HOUR)));
        let endings = join_all((0..4).map(|_| h.store().remove_all(&one)));
        let (ids, ended) = tokio::join!(logins, endings);
        let ended: u64 = ended.into_iter().map(Result::unwrap).sum();
        let mut alive = BTreeSet::new();
        for id in ids {
            if h.alive(&id).await {
                alive.insert(id);
            }
        }
        assert_eq!(listed(h, &one).await, alive, "who lives is in the list");
        assert_eq!(
            ended + alive.len() as u64,
            10,
            "each was ended once or lives"
        );
        h.assert_consistent().await;
        assert_eq!(h.remove_all(&one).await, alive.len() as u64);
    }
}

pub(super) async fn sessions_are_counted_about(h: &Harness) {
    let own_database = !matches!(h.place, Place::Redis(..));
    let before = h.count().await;
    assert!(
        !own_database
            || before
                == SessionCount {
                    at_least: 0,
                    at_most: 0
                }
    );
    for n in 0..3 {
        h.sign_in(&user(&format!("o{n}")), HOUR, HOUR).await;
    }
    let counted = h.count().await;
    // In Redis the other cases count too: all share one database.
    assert!(
        if own_database {
            counted
                == SessionCount {
                    at_least: 3,
                    at_most: 3,
                }
        } else {
            counted.at_least >= 3 && counted.at_most >= 5
        },
        "{counted:?}"
    );
}
