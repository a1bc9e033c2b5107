//! What every store does: one suite for each trait, run over all stores.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::{LocalBoxFuture, join_all};
use hufu::clock::UnixMillis;
use hufu::identity::Reservation;
use hufu::secret::Secret;
use hufu::session::store::Settlement;
use hufu::session::{Lookup, NewSession, SessionId, Written};
use hufu::store::{KeyPrefix, StoreSettings};

use self::login_codes::reserved;
use crate::helpers::cluster::RedisCluster;
use crate::helpers::redis_server::RedisServer;
use crate::helpers::sentinels::{SENTINEL_PASSWORD, SentinelGroup};
use crate::helpers::store::{
    Harness, Inspector, Place, made, new_session, session_key, settings, user,
};
use crate::helpers::wait::until;

const HOUR: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(500);

type Case = for<'a> fn(&'a Harness) -> LocalBoxFuture<'a, ()>;

/// A suite, by name. Each case has a prefix of keys, and keys, of its own.
macro_rules! suite {
    ($($case:path),* $(,)?) => { pub(super) const SUITE: &[(&str, Case)] = &[$((stringify!($case), |harness| Box::pin($case(harness)))),*]; };
}

mod devices;
mod limits;
mod login_codes;
mod rotation;

suite![
    round_trip,
    nothing_known_is_gone,
    an_unused_session_ends,
    a_used_session_ends_too,
    renewal_moves_the_expiry_and_not_past_the_deadline,
    what_was_removed_stays_removed,
    two_removals_and_a_renewal_at_once_leave_nothing,
    a_record_in_another_place_does_not_open,
    the_oldest_session_makes_room,
    a_lower_cap_takes_effect_at_the_next_login,
    expired_sessions_neither_count_nor_evict,
    every_write_sweeps_the_index,
    a_record_deleted_by_hand_evicts_nobody,
    a_record_restored_with_a_longer_life_still_ends,
    fifty_logins_at_once_keep_to_the_cap,
    the_newest_two_session_keys_stay,
    session_keys_go_with_the_last_session,
    session_and_answer_come_together,
    a_session_stands_when_its_reservation_has_lapsed,
    a_session_that_would_be_over_is_not_made,
    every_key_has_an_expiry,
    a_dump_names_nobody_and_signs_nobody_in,
    rotation::a_session_goes_on_under_its_new_name,
    rotation::the_old_name_dies_after_its_grace,
    rotation::without_a_grace_the_old_name_dies_at_once,
    rotation::asked_again_it_gives_the_same_answer,
    rotation::many_at_once_have_one_winner,
    rotation::what_has_ended_is_not_rotated,
    rotation::the_deadline_stays_and_the_idle_time_begins_anew,
    rotation::the_old_name_cannot_be_renewed,
    rotation::ending_under_any_name_ends_it,
    rotation::a_session_that_ends_while_it_is_rotated_is_ended,
    rotation::all_sessions_that_end_while_one_is_rotated_are_ended,
    rotation::it_counts_once_and_keeps_its_age,
    rotation::too_many_names_are_cut_at_the_oldest,
    devices::the_list_has_the_living_sessions_of_the_user,
    devices::a_stranger_in_the_index_does_not_show,
    devices::all_sessions_end_together,
    devices::logins_while_all_end_are_ended_or_live,
    devices::sessions_are_counted_about,
    limits::who_is_over_the_limit_gets_no_session_and_evicts_nobody,
];

/// The suites, one for each trait.
const SUITES: [&[(&str, Case)]; 3] = [SUITE, login_codes::SUITE, limits::SUITE];

/// Runs the suites; all cases at the same time.
pub(crate) async fn run(harness: impl Fn(&str) -> Harness) {
    let cases = SUITES.concat();
    let harnesses: Vec<_> = (0..cases.len())
        .map(|i| harness(&format!("hufu:case{i}")))
        .collect();
    join_all(
        cases
            .iter()
            .zip(&harnesses)
            .map(|((name, case), harness)| async move {
                case(harness).await;
                assert!(
                    harness
                        .look()
                        .await
                        .values()
                        .all(|seen| seen.expires_in.is_some()),
                    "{name}: a key without an expiry"
                );
            }),
    )
    .await;
}

#[tokio::test]
async fn memory_keeps_the_contract() {
    run(Harness::memory).await;
}

#[tokio::test]
async fn redis_keeps_the_contract() {
    let server = RedisServer::start(&[]);
    run(|prefix| Harness::patient_redis(&server.url(""), &server.url(""), prefix)).await;
}

/// With the rights of the shipped redis.conf and no others.
#[tokio::test]
async fn a_master_that_sentinels_name_keeps_the_contract() {
    let group = SentinelGroup::start();
    let mut settings = patient(&group.url());
    settings.sentinel_login.password = Some(Secret::new(SENTINEL_PASSWORD.to_owned()));
    settings.wait_replicas = 1;
    run(|prefix| with_prefix(&settings, prefix, vec![group.servers[0].url("")])).await;
}

/// With the rights of the shipped redis.conf and no others.
#[tokio::test]
async fn a_cluster_keeps_the_contract() {
    let cluster = RedisCluster::start();
    let settings = patient(&cluster.url());
    run(|prefix| with_prefix(&settings, prefix, cluster.inspectors())).await;
}

/// With patience for a machine that runs all tests at once.
fn patient(url: &str) -> StoreSettings {
    StoreSettings {
        timeout: Duration::from_secs(10),
        ..settings(url)
    }
}

fn with_prefix(settings: &StoreSettings, prefix: &str, inspector: Vec<String>) -> Harness {
    Harness::looked_into(
        &StoreSettings {
            key_prefix: KeyPrefix::new(prefix).unwrap(),
            ..settings.clone()
        },
        Inspector(inspector),
    )
}

async fn round_trip(h: &Harness) {
    let session = h.session(&user("o1"), 3 * HOUR).await;
    let id = h.fresh_id(&session.user);
    let created = made(
        h.store()
            .create(new_session(id, &session, HOUR))
            .await
            .unwrap(),
    );
    assert!(
        created.expires_in <= HOUR && created.expires_in > HOUR - Duration::from_secs(5),
        "{created:?}"
    );
    assert_eq!(created.evicted, []);
    let Lookup::Found(found) = h.store().load(&id).await.unwrap() else {
        panic!("it was just made")
    };
    assert_eq!(*found.session, session);
    assert!(
        found.expires_in <= created.expires_in && found.expires_in > HOUR - Duration::from_secs(5),
        "{found:?}"
    );
    assert!(
        found.now >= session.created && found.now.since(session.created) < Duration::from_secs(5),
        "{found:?}"
    );
}

async fn nothing_known_is_gone(h: &Harness) {
    let id = h.fresh_id(&user("o1"));
    assert!(!h.alive(&id).await);
    assert_eq!(
        h.store()
            .renew(&id, &user("o1"), HOUR, UnixMillis(u64::MAX >> 20))
            .await
            .unwrap(),
        Written::Gone
    );
    assert_eq!(
        h.store().remove(&id, &user("o1")).await.unwrap(),
        Written::Gone
    );
    assert!(h.look().await.is_empty());
}

async fn an_unused_session_ends(h: &Harness) {
    let id = h.sign_in(&user("o1"), SHORT, HOUR).await;
    assert!(h.alive(&id).await);
    h.pass(SHORT).await;
    assert!(!h.alive(&id).await);
    until("its keys to go", async || {
        h.look().await.is_empty().then_some(())
    })
    .await;
}

async fn a_used_session_ends_too(h: &Harness) {
    let absolute = 2 * SHORT;
    let session = h.session(&user("o1"), absolute).await;
    let id = h.fresh_id(&session.user);
    h.store()
        .create(new_session(id, &session, SHORT))
        .await
        .unwrap();
    let mut renewals = 0;
    while h.alive(&id).await {
        h.pass(SHORT / 5).await;
        if h.store()
            .renew(&id, &session.user, SHORT, session.absolute_deadline)
            .await
            .unwrap()
            == Written::Done
        {
            renewals += 1;
        }
    }
    let now = h.store().now().await.unwrap();
    assert!(
        now >= session.absolute_deadline,
        "it ended {:?} early",
        session.absolute_deadline.since(now)
    );
    assert!(renewals > 3, "{renewals}");
    assert_eq!(
        h.store()
            .renew(&id, &session.user, HOUR, session.absolute_deadline)
            .await
            .unwrap(),
        Written::Gone
    );
}

async fn renewal_moves_the_expiry_and_not_past_the_deadline(h: &Harness) {
    let session = h.session(&user("o1"), 2 * HOUR).await;
    let id = h.fresh_id(&session.user);
    h.store()
        .create(new_session(id, &session, SHORT))
        .await
        .unwrap();
    assert_eq!(
        h.store()
            .renew(&id, &session.user, HOUR, session.absolute_deadline)
            .await
            .unwrap(),
        Written::Done
    );
    h.pass(SHORT).await;
    assert!(h.alive(&id).await);
    assert_eq!(
        h.store()
            .renew(&id, &session.user, 10 * HOUR, session.absolute_deadline)
            .await
            .unwrap(),
        Written::Done
    );
    let Lookup::Found(found) = h.store().load(&id).await.unwrap() else {
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

async fn what_was_removed_stays_removed(h: &Harness) {
    let session = h.session(&user("o1"), HOUR).await;
    let (first, second) = (
        h.sign_in(&session.user, HOUR, HOUR).await,
        h.sign_in(&session.user, HOUR, HOUR).await,
    );
    assert_eq!(
        h.store().remove(&first, &session.user).await.unwrap(),
        Written::Done
    );
    assert_eq!(
        h.store().remove(&first, &session.user).await.unwrap(),
        Written::Gone
    );
    assert_eq!(
        h.store()
            .renew(&first, &session.user, HOUR, session.absolute_deadline)
            .await
            .unwrap(),
        Written::Gone
    );
    assert!(!h.alive(&first).await);
    assert!(h.alive(&second).await);
    assert_eq!(
        h.store().remove(&second, &session.user).await.unwrap(),
        Written::Done
    );
    assert!(h.look().await.is_empty());
}

async fn two_removals_and_a_renewal_at_once_leave_nothing(h: &Harness) {
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

/// The memory store has no outside that could move anything.
async fn a_record_in_another_place_does_not_open(h: &Harness) {
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
        assert!(matches!(
            h.store().load(&id).await.unwrap(),
            Lookup::Unreadable(_)
        ));
    }
    for (key, value) in [(first, &in_first), (second, &in_second)] {
        inspector.run::<()>(&[b"SET", key.as_bytes(), value]).await;
    }
    assert!(matches!(
        h.store().load(&one).await.unwrap(),
        Lookup::Unreadable("it has no expiry, but the gateway always sets one")
    ));
    for key in &keys {
        inspector.run::<()>(&[b"DEL", key.as_bytes()]).await;
    }
}

pub(super) async fn capped(h: &Harness, subject: &str, cap: u32) -> (SessionId, Vec<SessionId>) {
    let session = h.session(&user(subject), HOUR).await;
    let id = h.fresh_id(&session.user);
    let created = made(
        h.store()
            .create(NewSession {
                max_per_user: cap,
                ..new_session(id, &session, HOUR)
            })
            .await
            .unwrap(),
    );
    // The order of sessions that begin in the same millisecond is nobody's business.
    h.pass(Duration::from_millis(2)).await;
    (id, created.evicted)
}

async fn the_oldest_session_makes_room(h: &Harness) {
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

async fn a_lower_cap_takes_effect_at_the_next_login(h: &Harness) {
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(capped(h, "o1", 0).await.0);
    }
    let (id, evicted) = capped(h, "o1", 2).await;
    assert_eq!(evicted, ids[..4]);
    assert!(h.alive(&ids[4]).await && h.alive(&id).await);
}

async fn expired_sessions_neither_count_nor_evict(h: &Harness) {
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

async fn every_write_sweeps_the_index(h: &Harness) {
    let session = h.session(&user("o1"), HOUR).await;
    let keeper = h.sign_in(&session.user, HOUR, HOUR).await;
    let short = async || h.sign_in(&session.user, SHORT / 2, HOUR).await;
    for write in 0..3 {
        let dead = short().await;
        assert!(in_index(h, &dead).await);
        h.pass(SHORT / 2).await;
        match write {
            0 => assert_eq!(
                h.store()
                    .renew(&keeper, &session.user, HOUR, session.absolute_deadline)
                    .await
                    .unwrap(),
                Written::Done
            ),
            1 => assert_eq!(
                h.store().remove(&dead, &session.user).await.unwrap(),
                Written::Gone
            ),
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
async fn a_record_deleted_by_hand_evicts_nobody(h: &Harness) {
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
async fn a_record_restored_with_a_longer_life_still_ends(h: &Harness) {
    let Place::Redis(_, inspector) = &h.place else {
        return;
    };
    let id = h.sign_in(&user("o1"), HOUR, SHORT).await;
    let (key, _) = h.only("s").await.unwrap();
    inspector
        .run::<()>(&[b"PEXPIRE", key.as_bytes(), b"3600000"])
        .await;
    let Lookup::Found(found) = h.store().load(&id).await.unwrap() else {
        panic!("its deadline is not here yet")
    };
    assert!(found.expires_in <= SHORT, "{found:?}");
    h.pass(SHORT).await;
    assert!(!h.alive(&id).await);
}

async fn fifty_logins_at_once_keep_to_the_cap(h: &Harness) {
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

async fn the_newest_two_session_keys_stay(h: &Harness) {
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
        h.store()
            .create(NewSession {
                session_key: Some(&generation),
                ..new
            })
            .await
            .unwrap();
        assert_eq!(h.session_keys(&session.user).await, kept, "after {time}");
    }
    assert!(h.session_keys(&user("other")).await.is_empty());
}

async fn session_keys_go_with_the_last_session(h: &Harness) {
    let session = h.session(&user("o1"), HOUR).await;
    let generation = session_key("AAAAAAAAAAAAAAAAAAAAAA==", session.created);
    let id = h.fresh_id(&session.user);
    h.store()
        .create(NewSession {
            session_key: Some(&generation),
            ..new_session(id, &session, HOUR)
        })
        .await
        .unwrap();
    let other = h.sign_in(&session.user, HOUR, HOUR).await;
    assert_eq!(
        h.store().remove(&id, &session.user).await.unwrap(),
        Written::Done
    );
    assert_eq!(h.session_keys(&session.user).await.len(), 1);
    assert_eq!(
        h.store().remove(&other, &session.user).await.unwrap(),
        Written::Done
    );
    assert!(h.session_keys(&session.user).await.is_empty() && h.look().await.is_empty());
}

async fn session_and_answer_come_together(h: &Harness) {
    let ticket = reserved(h, [1; 16], HOUR).await;
    let session = h.session(&user("o1"), HOUR).await;
    let id = h.fresh_id(&session.user);
    let settlement = Some(Settlement {
        login: [1; 16],
        ticket,
        answer: b"answer".to_vec(),
        keep: HOUR,
    });
    h.store()
        .create(NewSession {
            settlement,
            ..new_session(id, &session, HOUR)
        })
        .await
        .unwrap();
    assert!(h.alive(&id).await);
    let Reservation::Settled { answer, .. } = h.codes().reserve(&[1; 16], HOUR).await.unwrap()
    else {
        panic!("it is settled")
    };
    assert_eq!(answer, b"answer");
}

async fn a_session_stands_when_its_reservation_has_lapsed(h: &Harness) {
    let session = h.session(&user("o1"), HOUR).await;
    let id = h.fresh_id(&session.user);
    let settlement = Some(Settlement {
        login: [1; 16],
        ticket: [7; 16],
        answer: b"answer".to_vec(),
        keep: HOUR,
    });
    h.store()
        .create(NewSession {
            settlement,
            ..new_session(id, &session, HOUR)
        })
        .await
        .unwrap();
    assert!(h.alive(&id).await);
    assert!(h.only("c").await.is_none());
}

async fn a_session_that_would_be_over_is_not_made(h: &Harness) {
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

async fn every_key_has_an_expiry(h: &Harness) {
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
        h.store()
            .create(NewSession {
                settlement,
                session_key: Some(&generation),
                max_per_user: 2,
                ..new
            })
            .await
            .unwrap();
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

async fn a_dump_names_nobody_and_signs_nobody_in(h: &Harness) {
    let session = h.session(&user("oGZUI0egBJY1zhBYw2KhdUfwVJJE"), HOUR).await;
    let token = hufu::session::SessionToken::issue(
        &h.keys,
        hufu::session::token::tag_of(&h.naming, &session.user),
    );
    let key = "HyVFkGl5F5OQWJZZaNzBBg==";
    let generation = session_key(key, session.created);
    h.store()
        .create(NewSession {
            session_key: Some(&generation),
            ..new_session(token.id(), &session, HOUR)
        })
        .await
        .unwrap();
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
