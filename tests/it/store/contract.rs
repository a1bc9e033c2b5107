//! What every store does: one suite for each trait, run over all stores.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{LocalBoxFuture, join_all};
use hufu::secret::Secret;
use hufu::store::{KeyPrefix, StoreSettings};
use tokio::sync::Semaphore;

use crate::helpers::{
    Harness, Inspector, RedisCluster, RedisServer, SENTINEL_PASSWORD, SentinelGroup,
    store::{Turn, settings},
};

const HOUR: Duration = Duration::from_secs(3600);

/// What a session lives that is to end during the test: long enough for a look at it before, on a
/// machine that is busy and stands still now and then. All cases wait for it at the same time.
const SHORT: Duration = Duration::from_secs(6);

type Case = for<'a> fn(&'a Harness) -> LocalBoxFuture<'a, ()>;

/// A suite, by name. Each case has a prefix of keys, and keys, of its own.
macro_rules! suite {
    ($($case:path),* $(,)?) => { pub(super) const SUITE: &[(&str, Case)] = &[$((stringify!($case), |harness| Box::pin($case(harness)))),*]; };
}

mod caps;
mod claims;
mod component;
mod devices;
mod lifetimes;
mod limits;
mod login_codes;
mod platform_tokens;
mod pushes;
mod rotation;
mod secrets;
mod users;

suite![
    lifetimes::round_trip,
    lifetimes::nothing_known_is_gone,
    lifetimes::an_unused_session_ends,
    lifetimes::a_used_session_ends_too,
    lifetimes::renewal_moves_the_expiry_and_not_past_the_deadline,
    lifetimes::what_was_removed_stays_removed,
    lifetimes::two_removals_and_a_renewal_at_once_leave_nothing,
    secrets::a_record_in_another_place_does_not_open,
    caps::the_oldest_session_makes_room,
    caps::a_lower_cap_takes_effect_at_the_next_login,
    caps::expired_sessions_neither_count_nor_evict,
    caps::every_write_sweeps_the_index,
    caps::a_record_deleted_by_hand_evicts_nobody,
    caps::a_record_restored_with_a_longer_life_still_ends,
    caps::fifty_logins_at_once_keep_to_the_cap,
    secrets::the_newest_two_session_keys_stay,
    secrets::session_keys_go_with_the_last_session,
    secrets::a_reset_leaves_one_session_key,
    secrets::session_keys_that_were_taken_open_nothing_until_they_come_back,
    secrets::a_reset_makes_nothing_for_who_is_gone,
    secrets::session_and_answer_come_together,
    secrets::a_session_stands_when_its_reservation_has_lapsed,
    lifetimes::a_session_that_would_be_over_is_not_made,
    lifetimes::every_key_has_an_expiry,
    secrets::a_dump_names_nobody_and_signs_nobody_in,
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
const SUITES: [&[(&str, Case)]; 8] = [
    SUITE,
    users::SUITE,
    claims::SUITE,
    login_codes::SUITE,
    limits::SUITE,
    platform_tokens::SUITE,
    component::SUITE,
    pushes::SUITE,
];

/// Refresh tokens, which nobody could get again.
fn never_expires(key: &str) -> bool {
    key.ends_with("}:authorizers")
}

/// Cases that do something at the same time. The others wait for their turn, or for time to pass.
const AT_ONCE: usize = 4;

/// Runs the suites; all cases at the same time.
pub(crate) async fn run(harness: impl Fn(&str) -> Harness) {
    let cases = SUITES.concat();
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let harnesses: Vec<_> = (0..cases.len())
        .map(|i| Harness {
            turn: Turn::of(&turns),
            ..harness(&format!("hufu:case{i}"))
        })
        .collect();
    join_all(
        cases
            .iter()
            .zip(&harnesses)
            .map(|((name, case), harness)| async move {
                harness.turn.begin().await;
                case(harness).await;
                assert!(
                    harness
                        .look()
                        .await
                        .iter()
                        .all(|(key, seen)| seen.expires_in.is_some() || never_expires(key)),
                    "{name}: a key without an expiry"
                );
                harness.turn.end();
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
    run(|prefix| Harness::redis(&server.url(""), &server.url(""), prefix)).await;
}

/// With the rights of the shipped redis.conf and no others.
#[tokio::test]
async fn a_master_that_sentinels_name_keeps_the_contract() {
    let group = SentinelGroup::start();
    let mut settings = settings(&group.url());
    settings.sentinel_login.password = Some(Secret::new(SENTINEL_PASSWORD.to_owned()));
    settings.wait_replicas = 1;
    run(|prefix| with_prefix(&settings, prefix, vec![group.servers[0].url("")])).await;
}

/// With the rights of the shipped redis.conf and no others.
#[tokio::test]
async fn a_cluster_keeps_the_contract() {
    let cluster = RedisCluster::start();
    let settings = settings(&cluster.url());
    run(|prefix| with_prefix(&settings, prefix, cluster.inspectors())).await;
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
