//! The suite of changes of claims.

use std::time::Duration;

use futures_util::future::join_all;
use hufu::session::store::Created;
use hufu::session::{
    Blocked, Claims, ClaimsChange, ClaimsError, ClaimsPatch, Lookup, NewSession, PatchLife,
    Rotated, Rotation, Session, SessionId, UserKey,
};

use super::{Case, HOUR, SHORT};
use crate::helpers::store::user;
use crate::helpers::{Harness, Place, new_session};

suite![
    a_change_is_in_all_sessions_and_stays_over_logins,
    changes_add_up_and_a_block_keeps_them,
    a_change_that_does_not_last_reaches_the_logins_that_began_before,
    a_rotation_of_what_was_read_before_a_change_is_refused,
    a_session_has_its_change_under_every_name,
    a_record_that_does_not_open_fails_a_change_by_its_name,
    a_change_that_does_not_fit_changes_nothing,
    many_removals_do_not_use_a_user_up,
    hundreds_of_sessions_are_changed_and_blocked_as_one,
    what_lasted_before_there_was_a_hook_does_not_come_back,
    logins_with_a_hook_do_not_keep_what_they_do_not_obey,
    claims_that_do_not_fit_beside_a_change_make_no_session,
    thirty_changes_at_once_are_all_there,
];

fn patch(json: serde_json::Value) -> ClaimsPatch {
    serde_json::from_value(json).unwrap()
}

async fn change(h: &Harness, user: &UserKey, json: serde_json::Value) -> (u64, serde_json::Value) {
    let changed = h
        .users()
        .change_claims(user, &patch(json), PatchLife::Lasting)
        .await;
    match changed.unwrap() {
        ClaimsChange::Done { sessions, claims } => {
            (sessions, serde_json::to_value(claims).unwrap())
        }
        failed => panic!("{failed:?}"),
    }
}

async fn claims(h: &Harness, id: &SessionId) -> serde_json::Value {
    match h.load(id).await {
        Lookup::Found(loaded) => serde_json::to_value(&loaded.session.claims).unwrap(),
        other => panic!("{other:?}"),
    }
}

async fn a_change_is_in_all_sessions_and_stays_over_logins(h: &Harness) {
    let (owner, other) = (user("o1"), user("o2"));
    let ids = [
        h.sign_in(&owner, HOUR / 2, HOUR).await,
        h.sign_in(&owner, HOUR / 2, HOUR).await,
    ];
    let others = h.sign_in(&other, HOUR, HOUR).await;
    let all = serde_json::json!({"scope": "snsapi_base", "role": ["staff"], "vip": true});
    let (sessions, answered) = change(
        h,
        &owner,
        serde_json::json!({"role": ["staff"], "vip": true}),
    )
    .await;
    assert_eq!((sessions, &answered), (2, &all));
    for id in &ids {
        assert_eq!(claims(h, id).await, all);
        let Lookup::Found(loaded) = h.load(id).await else {
            panic!("it lives")
        };
        assert!(loaded.expires_in <= HOUR / 2 && loaded.expires_in > HOUR / 3);
    }
    assert_eq!(
        claims(h, &others).await,
        serde_json::json!({"scope": "snsapi_base"})
    );
    let fresh = h.sign_in(&owner, HOUR, HOUR).await;
    assert_eq!(claims(h, &fresh).await, all);
    let (sessions, _) = change(h, &owner, serde_json::json!({"vip": null})).await;
    assert_eq!(sessions, 3);
    let left = serde_json::json!({"scope": "snsapi_base", "role": ["staff"]});
    for id in ids.iter().chain([&fresh]) {
        assert_eq!(claims(h, id).await, left);
    }
    // Also where there is nobody.
    assert_eq!(h.remove_all(&owner).await, 3);
    let (sessions, answered) = change(h, &owner, serde_json::json!({"level": 3})).await;
    assert_eq!(
        (sessions, answered),
        (0, serde_json::json!({"role": ["staff"], "level": 3}))
    );
    let (_, seen) = h.only("a").await.unwrap();
    assert!(seen.expires_in.unwrap() > PatchLife::LASTS - HOUR);
    h.assert_consistent().await;
}

async fn changes_add_up_and_a_block_keeps_them(h: &Harness) {
    let owner = user("o1");
    change(h, &owner, serde_json::json!({"role": "staff"})).await;
    let _ = h.users().block(&owner, None, "").await.unwrap();
    change(h, &owner, serde_json::json!({"scope": null})).await;
    assert!(
        h.store()
            .user_state(&owner)
            .await
            .unwrap()
            .unwrap()
            .blocked
            .is_some()
    );
    let (_, seen) = h.only("a").await.unwrap();
    assert!(seen.expires_in.unwrap() > 2 * PatchLife::LASTS);
    h.users().unblock(&owner).await.unwrap();
    let state = h.store().user_state(&owner).await.unwrap().unwrap();
    assert_eq!(
        state.patch.unwrap().patch,
        patch(serde_json::json!({"role": "staff", "scope": null}))
    );
    let (_, seen) = h.only("a").await.unwrap();
    assert!(seen.expires_in.unwrap() <= PatchLife::LASTS);
    let id = h.sign_in(&owner, HOUR, HOUR).await;
    assert_eq!(claims(h, &id).await, serde_json::json!({"role": "staff"}));
}

async fn a_change_that_does_not_last_reaches_the_logins_that_began_before(h: &Harness) {
    let owner = user("o1");
    let before = h.session(&owner, HOUR).await;
    let life = PatchLife::Login(SHORT);
    let staff = patch(serde_json::json!({"role": "staff"}));
    let changed = h.users().change_claims(&owner, &staff, life).await.unwrap();
    assert!(matches!(changed, ClaimsChange::Done { sessions: 0, .. }));
    let sign_in = async |session: &Session, patches: PatchLife| {
        let id = h.fresh_id(&owner);
        h.create(NewSession {
            patches,
            ..new_session(id, session, HOUR)
        })
        .await;
        claims(h, &id).await
    };
    let with = serde_json::json!({"scope": "snsapi_base", "role": "staff"});
    let without = serde_json::json!({"scope": "snsapi_base"});
    assert_eq!(sign_in(&before, life).await, with);
    // What its login has heard is newer.
    let later = Session {
        created: before.created.plus(HOUR),
        absolute_deadline: before.absolute_deadline.plus(HOUR),
        ..before.clone()
    };
    assert_eq!(sign_in(&later, life).await, without);
    assert_eq!(sign_in(&later, PatchLife::Lasting).await, with);
    let (_, seen) = h.only("a").await.unwrap();
    h.pass(seen.expires_in.unwrap().max(SHORT)).await;
    assert_eq!(sign_in(&before, life).await, without);
    assert!(h.only("a").await.is_none());
}

async fn rotate(h: &Harness, from: &hufu::session::LoadedSession) -> (SessionId, Rotated) {
    let to = h.fresh_id(&from.session.user);
    let rotation = Rotation {
        from: from.id,
        to,
        session: &from.session,
        read: from.stamp,
        idle: HOUR,
        until: from.now.plus(HOUR),
        answer: &to.hash,
    };
    (to, h.rotate(rotation).await)
}

async fn a_rotation_of_what_was_read_before_a_change_is_refused(h: &Harness) {
    let owner = user("o1");
    let id = h.sign_in(&owner, HOUR, HOUR).await;
    let Lookup::Found(before) = h.load(&id).await else {
        panic!("it lives")
    };
    change(h, &owner, serde_json::json!({"role": "staff"})).await;
    let (to, refused) = rotate(h, &before).await;
    assert_eq!(refused, Rotated::Changed);
    assert!(!h.alive(&to).await && h.alive(&id).await);
    let Lookup::Found(after) = h.store().load_stored(&id).await.unwrap() else {
        panic!("it lives")
    };
    assert_ne!(before.stamp, after.stamp);
    let (to, done) = rotate(h, &after).await;
    assert!(matches!(done, Rotated::Done { .. }), "{done:?}");
    assert_eq!(
        claims(h, &to).await,
        serde_json::json!({"scope": "snsapi_base", "role": "staff"})
    );
    h.assert_consistent().await;
}

async fn a_session_has_its_change_under_every_name(h: &Harness) {
    let owner = user("o1");
    let id = h.sign_in(&owner, HOUR, HOUR).await;
    let Lookup::Found(before) = h.load(&id).await else {
        panic!("it lives")
    };
    let (to, done) = rotate(h, &before).await;
    assert!(matches!(done, Rotated::Done { .. }), "{done:?}");
    let (sessions, _) = change(h, &owner, serde_json::json!({"scope": null, "n": 1})).await;
    assert_eq!(sessions, 1);
    for name in [id, to] {
        assert_eq!(claims(h, &name).await, serde_json::json!({"n": 1}));
    }
}

async fn a_record_that_does_not_open_fails_a_change_by_its_name(h: &Harness) {
    let Place::Redis(_, inspector) = &h.place else {
        return;
    };
    let owner = user("o1");
    let good = h.sign_in(&owner, HOUR, HOUR).await;
    let bad = h.sign_in(&owner, HOUR, HOUR).await;
    let key = h.key_of(&bad);
    let damaged = [&[1][..], &[7; 140]].concat();
    inspector
        .run::<()>(&[b"SET", key.as_bytes(), &damaged, b"KEEPTTL"])
        .await;
    let staff = patch(serde_json::json!({"role": "staff"}));
    let failed = h.users().change_claims(&owner, &staff, PatchLife::Lasting);
    let failed = failed.await.unwrap();
    assert!(
        matches!(failed, ClaimsChange::Unreadable(id, _) if id == bad),
        "{failed:?}"
    );
    assert_eq!(
        claims(h, &good).await,
        serde_json::json!({"scope": "snsapi_base"})
    );
    assert!(h.only("a").await.is_none());
    // Once it has ended, nothing is in the way.
    let _ = h.remove(&bad, &owner).await;
    assert_eq!(
        change(h, &owner, serde_json::json!({"role": "staff"}))
            .await
            .0,
        1
    );
}

async fn a_change_that_does_not_fit_changes_nothing(h: &Harness) {
    let owner = user("o1");
    let id = h.sign_in(&owner, HOUR, HOUR).await;
    // It fits, but not together with what the session has.
    let long = patch(serde_json::json!({"a": "x".repeat(Claims::BYTES_MAX - 10)}));
    let changed = h.users().change_claims(&owner, &long, PatchLife::Lasting);
    assert_eq!(
        changed.await.unwrap(),
        ClaimsChange::Unfit(ClaimsError::Long)
    );
    assert_eq!(
        claims(h, &id).await,
        serde_json::json!({"scope": "snsapi_base"})
    );
    assert!(h.only("a").await.is_none());
}

async fn many_removals_do_not_use_a_user_up(h: &Harness) {
    let owner = user("o1");
    for n in 0..ClaimsPatch::MAX * 2 {
        let name = format!("campaign_{n}");
        change(h, &owner, serde_json::json!({ &name: n })).await;
        change(h, &owner, serde_json::json!({ &name: null })).await;
    }
    change(h, &owner, serde_json::json!({"role": "staff"})).await;
    let id = h.sign_in(&owner, Duration::from_secs(60), HOUR).await;
    assert_eq!(
        claims(h, &id).await,
        serde_json::json!({"scope": "snsapi_base", "role": "staff"})
    );
}

/// More than are read at once, and more than an index holds in its compact form.
async fn hundreds_of_sessions_are_changed_and_blocked_as_one(h: &Harness) {
    let owner = user("o1");
    let ids = join_all((0..230).map(|_| h.sign_in(&owner, HOUR, HOUR))).await;
    let (sessions, _) = change(h, &owner, serde_json::json!({"role": "staff"})).await;
    assert_eq!(sessions, 230);
    let with = serde_json::json!({"scope": "snsapi_base", "role": "staff"});
    for id in &ids {
        assert_eq!(claims(h, id).await, with);
    }
    let blocked = h.users().block(&owner, None, "").await.unwrap();
    assert!(matches!(blocked, Blocked::Done { ended: 230, .. }));
    h.assert_consistent().await;
}

async fn what_lasted_before_there_was_a_hook_does_not_come_back(h: &Harness) {
    let owner = user("o1");
    change(h, &owner, serde_json::json!({"role": "admin"})).await;
    let before = h.session(&owner, HOUR).await;
    let patches = PatchLife::Login(HOUR);
    let vip = patch(serde_json::json!({"vip": true}));
    let changed = h
        .users()
        .change_claims(&owner, &vip, patches)
        .await
        .unwrap();
    assert!(matches!(changed, ClaimsChange::Done { .. }));
    let id = h.fresh_id(&owner);
    let new = NewSession {
        patches,
        ..new_session(id, &before, HOUR)
    };
    h.create(new).await;
    assert_eq!(
        claims(h, &id).await,
        serde_json::json!({"scope": "snsapi_base", "vip": true})
    );
}

async fn logins_with_a_hook_do_not_keep_what_they_do_not_obey(h: &Harness) {
    let owner = user("o1");
    change(h, &owner, serde_json::json!({"role": "admin"})).await;
    let (_, before) = h.only("a").await.unwrap();
    // More than a change is ahead of its time, also after some rounds.
    h.pass(SHORT).await;
    let session = h.session(&owner, HOUR).await;
    let sign_in = async |patches: PatchLife| {
        let id = h.fresh_id(&owner);
        let new = new_session(id, &session, HOUR);
        h.create(NewSession { patches, ..new }).await;
        h.only("a").await.unwrap().1
    };
    let after = sign_in(PatchLife::Login(HOUR)).await;
    assert!(after.expires_in < before.expires_in);
    let kept = sign_in(PatchLife::Lasting).await;
    assert!(kept.expires_in > after.expires_in);
}

async fn claims_that_do_not_fit_beside_a_change_make_no_session(h: &Harness) {
    let owner = user("o1");
    let try_with = async |claims: Claims| {
        let session = h.session(&owner, HOUR).await;
        let session = Session { claims, ..session };
        let id = h.fresh_id(&owner);
        let created = h.store().create(new_session(id, &session, HOUR)).await;
        assert!(!h.alive(&id).await);
        created.unwrap()
    };
    change(h, &owner, serde_json::json!({"other": "x".repeat(500)})).await;
    let long = Claims::new([("one", "x".repeat(1900).as_str())]).unwrap();
    let refused = try_with(long).await;
    assert!(
        matches!(refused, Created::Unfit(ClaimsError::Long)),
        "{refused:?}"
    );
    let names = |range: std::ops::Range<u32>| range.map(|n| format!("n{n}"));
    let five: serde_json::Map<_, _> = names(30..35).map(|name| (name, 1.into())).collect();
    change(h, &owner, five.into()).await;
    let thirty: Vec<_> = names(0..30).collect();
    let many = Claims::new(thirty.iter().map(|name| (name.as_str(), "1"))).unwrap();
    let refused = try_with(many).await;
    assert!(
        matches!(refused, Created::Unfit(ClaimsError::Many)),
        "{refused:?}"
    );
    h.assert_consistent().await;
}

async fn thirty_changes_at_once_are_all_there(h: &Harness) {
    let owner = user("o1");
    let id = h.sign_in(&owner, HOUR, HOUR).await;
    let names: Vec<_> = (0..30).map(|n| format!("n{n}")).collect();
    let changes = names
        .iter()
        .map(|name| change(h, &owner, serde_json::json!({ name: 1 })));
    join_all(changes).await;
    let claims = claims(h, &id).await;
    assert!(names.iter().all(|name| claims[name] == 1), "{claims}");
    let fresh = h.sign_in(&owner, HOUR, HOUR).await;
    assert_eq!(self::claims(h, &fresh).await, claims);
}
