//! What is kept beside a session, and that nobody reads it from outside.

use hufu::clock::UnixMillis;
use hufu::identity::Reservation;
use hufu::session::store::Settlement;
use hufu::session::{Lookup, NewSession, Written};

use super::HOUR;
use super::login_codes::reserved;
use crate::helpers::{Harness, Place, new_session, session_key, store::user};

/// The memory store has no outside that could move anything.
pub(super) async fn a_record_in_another_place_does_not_open(h: &Harness) {
    let Place::Redis(_, inspector) = &h.place else {
        return;
    };
    let (one, other) = (
        h.sign_in(&user("o1"), HOUR, HOUR).await,
        h.sign_in(&user("o2"), HOUR, HOUR).await,
    );
    let keys: Vec<String> = h
        .look()
        .await
        .into_keys()
        .filter(|key| key.contains(":s:"))
        .collect();
    let [first, second] = &keys[..] else {
        panic!("{keys:?}")
    };
    let get = async |key: &str| inspector.run::<Vec<u8>>(&[b"GET", key.as_bytes()]).await;
    let (in_first, in_second) = (get(first).await, get(second).await);
    for (key, value) in [(first, &in_second), (second, &in_first)] {
        inspector
            .run::<()>(&[b"SET", key.as_bytes(), value, b"KEEPTTL"])
            .await;
    }
    for id in [one, other] {
        assert!(matches!(h.load(&id).await, Lookup::Unreadable(_)));
    }
    for (key, value) in [(first, &in_first), (second, &in_second)] {
        inspector.run::<()>(&[b"SET", key.as_bytes(), value]).await;
    }
    assert!(matches!(
        h.load(&one).await,
        Lookup::Unreadable("it has no expiry, but the gateway always sets one")
    ));
    for key in &keys {
        inspector.run::<()>(&[b"DEL", key.as_bytes()]).await;
    }
}

pub(super) async fn the_newest_two_session_keys_stay(h: &Harness) {
    let session = h.session(&user("o1"), HOUR).await;
    // In the order in which they arrive: when they were reserved, the key, and what is kept then.
    let logins: [(u64, &str, &[&str]); 7] = [
        (
            10,
            "AAAAAAAAAAAAAAAAAAAAAA==",
            &["AAAAAAAAAAAAAAAAAAAAAA=="],
        ),
        (
            30,
            "HyVFkGl5F5OQWJZZaNzBBg==",
            &["HyVFkGl5F5OQWJZZaNzBBg==", "AAAAAAAAAAAAAAAAAAAAAA=="],
        ),
        (
            31,
            "HyVFkGl5F5OQWJZZaNzBBg==",
            &["HyVFkGl5F5OQWJZZaNzBBg==", "AAAAAAAAAAAAAAAAAAAAAA=="],
        ),
        (
            5,
            "late and of another form",
            &["HyVFkGl5F5OQWJZZaNzBBg==", "AAAAAAAAAAAAAAAAAAAAAA=="],
        ),
        (
            20,
            "another form",
            &["HyVFkGl5F5OQWJZZaNzBBg==", "another form"],
        ),
        (
            40,
            "another form",
            &["another form", "HyVFkGl5F5OQWJZZaNzBBg=="],
        ),
        (
            35,
            "another form",
            &["another form", "HyVFkGl5F5OQWJZZaNzBBg=="],
        ),
    ];
    for (time, key, kept) in logins {
        let generation = session_key(key, UnixMillis(session.created.0 + time));
        let new = new_session(h.fresh_id(&session.user), &session, HOUR);
        h.create(NewSession {
            session_key: Some(&generation),
            ..new
        })
        .await;
        assert_eq!(h.session_keys(&session.user).await, kept, "after {time}");
    }
    assert!(h.session_keys(&user("other")).await.is_empty());
}

pub(super) async fn session_keys_go_with_the_last_session(h: &Harness) {
    let session = h.session(&user("o1"), HOUR).await;
    let generation = session_key("AAAAAAAAAAAAAAAAAAAAAA==", session.created);
    let id = h.fresh_id(&session.user);
    h.create(NewSession {
        session_key: Some(&generation),
        ..new_session(id, &session, HOUR)
    })
    .await;
    let other = h.sign_in(&session.user, HOUR, HOUR).await;
    assert_eq!(h.remove(&id, &session.user).await, Written::Done);
    assert_eq!(h.session_keys(&session.user).await.len(), 1);
    assert_eq!(h.remove(&other, &session.user).await, Written::Done);
    assert!(h.session_keys(&session.user).await.is_empty() && h.look().await.is_empty());
}

pub(super) async fn a_reset_leaves_one_session_key(h: &Harness) {
    const OLD: &str = "AAAAAAAAAAAAAAAAAAAAAA==";
    const NEW: &str = "HyVFkGl5F5OQWJZZaNzBBg==";
    let session = h.session(&user("o1"), HOUR).await;
    let at = |time: u64| UnixMillis(session.created.0 + time);
    let login = async |time, key| {
        let generation = session_key(key, at(time));
        let new = NewSession {
            session_key: Some(&generation),
            ..new_session(h.fresh_id(&session.user), &session, HOUR)
        };
        h.store().create(new).await.unwrap();
    };
    login(10, OLD).await;
    login(20, "another form").await;
    let reset = session_key(NEW, at(30));
    // The second as if the answer of the first had been lost.
    for _ in 0..2 {
        let written = h.keys().reset_session_keys(&session.user, &reset).await;
        assert_eq!(written.unwrap(), Written::Done);
        assert_eq!(h.session_keys(&session.user).await, [NEW]);
    }
    login(29, OLD).await;
    assert_eq!(
        h.session_keys(&session.user).await,
        [NEW],
        "a login that began before the reset brings back nothing"
    );
    login(40, OLD).await;
    assert_eq!(h.session_keys(&session.user).await, [OLD, NEW]);
    let slow = session_key("another form", at(35));
    let written = h.keys().reset_session_keys(&session.user, &slow).await;
    assert_eq!(written.unwrap(), Written::Done);
    assert_eq!(
        h.session_keys(&session.user).await,
        [OLD, "another form"],
        "what a login has brought since the reset stays"
    );
    h.assert_consistent().await;
}

pub(super) async fn session_keys_that_were_taken_open_nothing_until_they_come_back(h: &Harness) {
    const OLD: &str = "AAAAAAAAAAAAAAAAAAAAAA==";
    const NEW: &str = "HyVFkGl5F5OQWJZZaNzBBg==";
    let created = h.session(&user("o1"), HOUR).await.created;
    let login = async |at: UnixMillis, key| {
        let session = h.session(&user("o1"), HOUR).await;
        let generation = session_key(key, at);
        let new = NewSession {
            session_key: Some(&generation),
            ..new_session(h.fresh_id(&session.user), &session, HOUR)
        };
        h.store().create(new).await.unwrap();
    };
    let user = &user("o1");
    let none = h.keys().take_session_keys(user).await.unwrap();
    assert!(none.keys.is_empty() && h.look().await.is_empty());
    login(created, OLD).await;
    login(UnixMillis(created.0 + 1), NEW).await;
    let taken = h.keys().take_session_keys(user).await.unwrap();
    let names: Vec<_> = taken.keys.iter().map(|key| key.key.expose()).collect();
    assert_eq!(names, [NEW, OLD]);
    assert!(taken.reset_before.is_none() && taken.at >= created);
    assert!(h.session_keys(user).await.is_empty());
    login(UnixMillis(created.0 - 1), OLD).await;
    assert!(
        h.session_keys(user).await.is_empty(),
        "a login that began before brings nothing back"
    );
    h.keys().return_session_keys(user, &taken).await.unwrap();
    assert_eq!(h.session_keys(user).await, [NEW, OLD]);
    // Between two logins; what the second has brought stays in front.
    let taken = h.keys().take_session_keys(user).await.unwrap();
    let later = UnixMillis(taken.at.0 + 10);
    login(later, "another form").await;
    h.keys().return_session_keys(user, &taken).await.unwrap();
    assert_eq!(h.session_keys(user).await, ["another form", NEW]);
    // A reset has come between, so the platform takes none of those any more.
    let taken = h.keys().take_session_keys(user).await.unwrap();
    let reset = session_key(OLD, UnixMillis(taken.at.0 + 20));
    let written = h.keys().reset_session_keys(user, &reset).await;
    assert_eq!(written.unwrap(), Written::Done);
    h.keys().return_session_keys(user, &taken).await.unwrap();
    assert_eq!(h.session_keys(user).await, [OLD]);
    let again = h.keys().take_session_keys(user).await.unwrap();
    assert_eq!(again.reset_before, Some(reset.reserved_at));
    h.keys().return_session_keys(user, &again).await.unwrap();
    assert_eq!(h.session_keys(user).await, [OLD]);
    h.assert_consistent().await;
}

pub(super) async fn a_reset_makes_nothing_for_who_is_gone(h: &Harness) {
    let session = h.session(&user("o1"), HOUR).await;
    let reset = session_key("HyVFkGl5F5OQWJZZaNzBBg==", session.created);
    let written = h.keys().reset_session_keys(&session.user, &reset).await;
    assert_eq!(written.unwrap(), Written::Gone);
    assert!(h.look().await.is_empty());
}

/// Makes a session that settles the login `[1; 16]`.
async fn made_with_answer(h: &Harness, ticket: [u8; 16]) {
    let session = h.session(&user("o1"), HOUR).await;
    let id = h.fresh_id(&session.user);
    let settlement = Some(Settlement {
        login: [1; 16],
        ticket,
        answer: b"answer".to_vec(),
        keep: HOUR,
    });
    h.create(NewSession {
        settlement,
        ..new_session(id, &session, HOUR)
    })
    .await;
    assert!(h.alive(&id).await);
}

pub(super) async fn session_and_answer_come_together(h: &Harness) {
    let ticket = reserved(h, [1; 16], HOUR).await;
    made_with_answer(h, ticket).await;
    let Reservation::Settled { answer, .. } = h.codes().reserve(&[1; 16], HOUR).await.unwrap()
    else {
        panic!("it is settled")
    };
    assert_eq!(answer, b"answer");
}

pub(super) async fn a_session_stands_when_its_reservation_has_lapsed(h: &Harness) {
    made_with_answer(h, [7; 16]).await;
    assert!(h.only("c").await.is_none());
}

pub(super) async fn a_dump_names_nobody_and_signs_nobody_in(h: &Harness) {
    let session = h.session(&user("oGZUI0egBJY1zhBYw2KhdUfwVJJE"), HOUR).await;
    let token = hufu::session::SessionToken::issue(
        &h.keys,
        hufu::session::token::tag_of(&h.naming, &session.user),
    );
    let key = "HyVFkGl5F5OQWJZZaNzBBg==";
    let generation = session_key(key, session.created);
    h.create(NewSession {
        session_key: Some(&generation),
        ..new_session(token.id(), &session, HOUR)
    })
    .await;
    let raw_key = hufu::crypto::encoding::from_base64(key).unwrap();
    let token = token.expose();
    let secrets: [&[u8]; 8] = [
        token.as_bytes(),
        &token.as_bytes()[9..40],
        session.user.subject.as_bytes(),
        session.unionid.as_deref().unwrap().as_bytes(),
        key.as_bytes(),
        &raw_key,
        b"iPhone",
        b"snsapi",
    ];
    let seen = h.look().await;
    assert_eq!(seen.len(), 2);
    for (key, seen) in &seen {
        for secret in secrets {
            let shows = |bytes: &[u8]| bytes.windows(secret.len()).any(|window| window == secret);
            assert!(
                !shows(key.as_bytes()) && !shows(&seen.content),
                "{key} shows {}",
                secret.escape_ascii()
            );
        }
    }
}
