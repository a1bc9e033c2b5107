//! The suite of what operators decide about users.

use std::time::Duration;

use futures_util::future::join_all;
use hufu::clock::UnixMillis;
use hufu::identity::Reservation;
use hufu::session::store::{Created, Settlement};
use hufu::session::{
    Block, Blocked, ClaimsChange, ClaimsPatch, NewSession, PatchLife, Session, SessionId, UserKey,
};

use super::{Case, HOUR, SHORT};
use crate::helpers::store::user;
use crate::helpers::{Harness, Place, new_session};

suite![
    a_block_ends_all_sessions_and_lets_none_come_until_it_is_lifted,
    a_block_ends_by_itself,
    a_block_names_its_end_and_lasts_ten_years_without_one,
    the_login_of_a_blocked_user_can_settle_its_code,
    logins_while_the_user_is_blocked_leave_no_session,
    nobody_signs_in_on_a_state_that_cannot_be_read,
];

async fn block(h: &Harness, user: &UserKey, until: Option<UnixMillis>) -> (Block, u64) {
    match h.users().block(user, until, "fraud").await.unwrap() {
        Blocked::Done { block, ended } => (block, ended),
        Blocked::Over => panic!("its end is past"),
    }
}

async fn try_sign_in(h: &Harness, user: &UserKey) -> (SessionId, Created) {
    let session = h.session(user, HOUR).await;
    let id = h.fresh_id(user);
    let new = new_session(id, &session, HOUR);
    (id, h.store().create(new).await.unwrap())
}

async fn a_block_ends_all_sessions_and_lets_none_come_until_it_is_lifted(h: &Harness) {
    let (owner, other) = (user("o1"), user("o2"));
    let ids = [
        h.sign_in(&owner, HOUR, HOUR).await,
        h.sign_in(&owner, HOUR, HOUR).await,
    ];
    let kept = h.sign_in(&other, HOUR, HOUR).await;
    assert_eq!(
        h.store().user_state(&owner).await.unwrap().unwrap().blocked,
        None
    );
    let (block, ended) = block(h, &owner, None).await;
    assert_eq!((ended, block.reason.as_str()), (2, "fraud"));
    for id in &ids {
        assert!(!h.alive(id).await);
    }
    assert!(h.alive(&kept).await);
    assert_eq!(
        h.store().user_state(&owner).await.unwrap().unwrap().blocked,
        Some(block.clone())
    );
    let (id, refused) = try_sign_in(h, &owner).await;
    assert!(
        matches!(&refused, Created::Blocked(found) if *found == block),
        "{refused:?}"
    );
    assert!(!h.alive(&id).await);
    assert_eq!(h.users().unblock(&owner).await.unwrap(), Some(block));
    assert_eq!(h.users().unblock(&owner).await.unwrap(), None);
    h.sign_in(&owner, HOUR, HOUR).await;
    assert_eq!(h.only("a").await.map(|(key, _)| key), None);
    h.assert_consistent().await;
}

async fn a_block_ends_by_itself(h: &Harness) {
    let owner = user("o1");
    let until = h.now().await.plus(SHORT);
    let _ = block(h, &owner, Some(until)).await;
    assert!(matches!(
        try_sign_in(h, &owner).await.1,
        Created::Blocked(_)
    ));
    h.pass(SHORT).await;
    assert_eq!(
        h.store().user_state(&owner).await.unwrap().unwrap().blocked,
        None
    );
    h.sign_in(&owner, HOUR, HOUR).await;
    assert!(h.only("a").await.is_none());
}

async fn a_block_names_its_end_and_lasts_ten_years_without_one(h: &Harness) {
    let owner = user("o1");
    let now = h.now().await;
    let (longest, _) = block(h, &owner, None).await;
    assert_eq!(longest.until, longest.since.plus(Block::LONGEST));
    let (_, seen) = h.only("a").await.unwrap();
    assert!(seen.expires_in.unwrap() > Block::LONGEST - Duration::from_secs(60));
    let later = now.plus(HOUR);
    assert_eq!(block(h, &owner, Some(later)).await.0.until, later);
    let (_, seen) = h.only("a").await.unwrap();
    assert!(seen.expires_in.unwrap() <= HOUR);
    assert_eq!(
        h.users().block(&owner, Some(now), "").await.unwrap(),
        Blocked::Over
    );
    assert!(matches!(
        try_sign_in(h, &owner).await.1,
        Created::Blocked(found) if found.until == later
    ));
}

async fn the_login_of_a_blocked_user_can_settle_its_code(h: &Harness) {
    let owner = user("o1");
    let _ = block(h, &owner, None).await;
    let Reservation::Leader { ticket, .. } = h.codes().reserve(&[3; 16], HOUR).await.unwrap()
    else {
        panic!("nobody has it")
    };
    let session = h.session(&owner, HOUR).await;
    let new = NewSession {
        settlement: Some(Settlement {
            login: [3; 16],
            ticket,
            answer: b"a token".to_vec(),
            keep: HOUR,
        }),
        ..new_session(h.fresh_id(&owner), &session, HOUR)
    };
    let refused = h.store().create(new).await.unwrap();
    assert!(matches!(refused, Created::Blocked(_)), "{refused:?}");
    let settled = h
        .codes()
        .settle(&[3; 16], &ticket, Some((b"blocked", HOUR)));
    assert_eq!(settled.await.unwrap(), hufu::session::Written::Done);
    let Reservation::Settled { answer, .. } = h.codes().reserve(&[3; 16], HOUR).await.unwrap()
    else {
        panic!("it is settled")
    };
    assert_eq!(answer, b"blocked");
}

async fn logins_while_the_user_is_blocked_leave_no_session(h: &Harness) {
    let owner = user("o1");
    let session: Session = h.session(&owner, HOUR).await;
    for _ in 0..50 {
        let ids: Vec<_> = (0..4).map(|_| h.fresh_id(&owner)).collect();
        let logins = ids.iter().map(|id| {
            let new = NewSession {
                max_per_user: 3,
                ..new_session(*id, &session, HOUR)
            };
            h.store().create(new)
        });
        let (made, _) = tokio::join!(join_all(logins), block(h, &owner, None));
        for outcome in made {
            let _ = outcome.unwrap();
        }
        for id in &ids {
            assert!(!h.alive(id).await);
        }
        h.assert_consistent().await;
        h.users().unblock(&owner).await.unwrap();
    }
}

async fn nobody_signs_in_on_a_state_that_cannot_be_read(h: &Harness) {
    let owner = user("o1");
    let _ = block(h, &owner, None).await;
    let Place::Redis(_, inspector) = &h.place else {
        return;
    };
    let (key, _) = h.only("a").await.unwrap();
    let overwrite = async |value: &[u8]| {
        inspector
            .run::<()>(&[b"SET", key.as_bytes(), value, b"KEEPTTL"])
            .await;
    };
    overwrite(b"\x01damaged").await;
    let session = h.session(&owner, HOUR).await;
    let new = new_session(h.fresh_id(&owner), &session, HOUR);
    let refused = h.store().create(new).await.unwrap();
    assert!(
        matches!(&refused, Created::UnreadableState(state) if state.key == key),
        "{refused:?}"
    );
    let read = h.store().user_state(&owner).await.unwrap();
    assert_eq!(read.unwrap_err().key, key);
    let staff = ClaimsPatch::new(vec![("role".to_owned(), None)]).unwrap();
    let changed = h.users().change_claims(&owner, &staff, PatchLife::Lasting);
    let changed = changed.await.unwrap();
    assert!(
        matches!(&changed, ClaimsChange::UnreadableState(state) if state.key == key),
        "{changed:?}"
    );
    // An operator who decides anew is not held up.
    let _ = block(h, &owner, None).await;
    assert!(matches!(
        try_sign_in(h, &owner).await.1,
        Created::Blocked(_)
    ));
    overwrite(b"\x02later").await;
    assert_eq!(h.users().unblock(&owner).await.unwrap(), None);
    h.sign_in(&owner, HOUR, HOUR).await;
}
