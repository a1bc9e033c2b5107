//! The suite of the cells of limits, and what a limit does to a login.

use std::time::Duration;

use futures_util::future::join_all;
use hufu::limit::{CellName, Limit, Quota};
use hufu::session::NewSession;
use hufu::session::store::{Created, Settlement};
use hufu::session::token::tag_of;

use super::login_codes::reserved;
use super::{Case, HOUR};
use crate::helpers::{Harness, new_session, store::user, until};

suite![
    many_at_once_get_what_the_quota_has,
    time_brings_them_back_one_by_one,
    a_smaller_quota_refuses_nobody_for_longer_than_its_window,
];

fn limit(name: u8, amount: u32, window: Duration) -> Limit {
    Limit {
        cell: CellName {
            tag: None,
            name: [name; 16],
        },
        quota: Quota::new(amount, window).unwrap(),
    }
}

/// How many of so many calls at once are admitted.
async fn admitted(h: &Harness, limit: &Limit, calls: usize) -> usize {
    let all = join_all((0..calls).map(|_| h.counters().take(limit))).await;
    all.into_iter()
        .filter(|level| level.as_ref().unwrap().admitted)
        .count()
}

async fn many_at_once_get_what_the_quota_has(h: &Harness) {
    let hourly = limit(1, 20, HOUR);
    assert_eq!(admitted(h, &hourly, 60).await, 20);
    let refused = h.counters().take(&hourly).await.unwrap();
    let (wait, interval) = (refused.next_in(hourly.quota), HOUR / 20);
    assert!(
        !refused.admitted && wait <= interval && wait > interval - Duration::from_secs(30),
        "{wait:?}"
    );
    assert_eq!(admitted(h, &limit(2, 20, HOUR), 1).await, 1, "another cell");
}

async fn time_brings_them_back_one_by_one(h: &Harness) {
    // One a quarter of a second.
    let quota = limit(1, 4, Duration::from_secs(1));
    assert!(admitted(h, &quota, 6).await >= 4);
    let wait = until("the quota to be used up", async || {
        // At once, so that it fills up for none of them.
        let levels = join_all((0..8).map(|_| h.counters().take(&quota))).await;
        // The last one: whoever is admitted behind a refused one takes its place.
        let last = levels.into_iter().next_back()?.unwrap();
        (!last.admitted).then(|| last.next_in(quota.quota))
    })
    .await;
    assert!(wait <= Duration::from_millis(250), "{wait:?}");
    h.pass(wait).await;
    assert!(h.counters().take(&quota).await.unwrap().admitted);
    h.pass(Duration::from_secs(2)).await;
    assert_eq!(
        h.counters().take(&quota).await.unwrap().backlog,
        Duration::from_millis(250),
        "as new"
    );
}

async fn a_smaller_quota_refuses_nobody_for_longer_than_its_window(h: &Harness) {
    let large = limit(1, 100, 24 * HOUR);
    assert_eq!(admitted(h, &large, 100).await, 100);
    let small = limit(1, 2, Duration::from_secs(2));
    let level = h.counters().take(&small).await.unwrap();
    assert!(
        !level.admitted && level.next_in(small.quota) <= Duration::from_secs(1),
        "{level:?}"
    );
}

pub(super) async fn who_is_over_the_limit_gets_no_session_and_evicts_nobody(h: &Harness) {
    let session = h.session(&user("o1"), HOUR).await;
    let cell = CellName {
        tag: Some(tag_of(&h.naming, &session.user)),
        name: [7; 16],
    };
    let quota = Quota::new(3, HOUR).unwrap();
    let limit = Some(Limit { cell, quota });
    for evicted in [0, 0, 1] {
        let new = NewSession {
            limit,
            max_per_user: 2,
            ..new_session(h.fresh_id(&session.user), &session, HOUR)
        };
        assert_eq!(h.create(new).await.evicted.len(), evicted);
        h.pass(Duration::from_millis(2)).await;
    }
    let before: Vec<_> = h.look().await.into_keys().collect();
    let ticket = reserved(h, [3; 16], HOUR).await;
    let settlement = Some(Settlement {
        login: [3; 16],
        ticket,
        answer: b"answer".to_vec(),
        keep: HOUR,
    });
    let id = h.fresh_id(&session.user);
    let refused = h
        .store()
        .create(NewSession {
            limit,
            max_per_user: 2,
            settlement,
            ..new_session(id, &session, HOUR)
        })
        .await
        .unwrap();
    let Created::Limited(level) = refused else {
        panic!("{refused:?}")
    };
    assert!(!level.admitted && level.next_in(quota) <= HOUR / 3);
    assert!(!h.alive(&id).await);
    let _ = h.codes().settle(&[3; 16], &ticket, None).await.unwrap();
    assert_eq!(
        h.look().await.into_keys().collect::<Vec<_>>(),
        before,
        "nothing was written, evicted, or kept of the answer"
    );
    assert_eq!(
        h.create(new_session(id, &session, HOUR)).await.evicted,
        [],
        "without the limit"
    );
}
