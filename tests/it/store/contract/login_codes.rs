//! The suite of reservations of login codes.

use std::time::Duration;

use futures_util::future::join_all;
use hufu::identity::Reservation;
use hufu::session::Written;

use super::{Case, HOUR, SHORT};
use crate::helpers::Harness;

suite![
    one_exchanges_a_code_and_the_others_get_its_answer,
    a_freed_code_can_be_reserved_again,
    a_lapsed_reservation_goes_to_the_next,
    an_answer_is_kept_for_its_time,
    an_answer_that_replaces_another_lives_as_long,
];

pub(super) async fn reserved(h: &Harness, login: [u8; 16], lease: Duration) -> [u8; 16] {
    match h.codes().reserve(&login, lease).await.unwrap() {
        Reservation::Leader { ticket, .. } => ticket,
        other => panic!("{other:?}"),
    }
}

async fn one_exchanges_a_code_and_the_others_get_its_answer(h: &Harness) {
    let all = join_all((0..20).map(|_| h.codes().reserve(&[1; 16], HOUR))).await;
    let mut tickets = Vec::new();
    for reservation in all {
        match reservation.unwrap() {
            Reservation::Leader { now, ticket } => tickets.push((now, ticket)),
            Reservation::Pending { now, left } => {
                assert!(now.0 > 0);
                assert!(left > Duration::ZERO && left <= HOUR, "{left:?}");
            }
            Reservation::Settled { .. } => panic!("nobody has settled it"),
        }
    }
    let [(_, ticket)] = tickets[..] else {
        panic!("{} leaders", tickets.len())
    };
    assert_eq!(
        h.codes()
            .settle(&[1; 16], &[0; 16], Some((b"forged", HOUR)))
            .await
            .unwrap(),
        Written::Stale
    );
    assert_eq!(
        h.codes()
            .settle(&[1; 16], &ticket, Some((b"answer\0\xff", HOUR)))
            .await
            .unwrap(),
        Written::Done
    );
    for _ in 0..2 {
        let Reservation::Settled { answer, .. } = h.codes().reserve(&[1; 16], HOUR).await.unwrap()
        else {
            panic!("it is settled")
        };
        assert_eq!(answer, b"answer\0\xff");
    }
    assert!(h.only("c").await.unwrap().1.expires_in.unwrap() <= HOUR);
}

async fn a_freed_code_can_be_reserved_again(h: &Harness) {
    let ticket = reserved(h, [1; 16], HOUR).await;
    assert_eq!(
        h.codes().settle(&[1; 16], &ticket, None).await.unwrap(),
        Written::Done
    );
    assert!(h.look().await.is_empty());
    assert_eq!(
        h.codes()
            .settle(&[1; 16], &ticket, Some((b"late", HOUR)))
            .await
            .unwrap(),
        Written::Stale
    );
    let second = reserved(h, [1; 16], HOUR).await;
    assert_ne!(ticket, second);
    // A replay window of nothing keeps nothing.
    assert_eq!(
        h.codes()
            .settle(&[1; 16], &second, Some((b"answer", Duration::ZERO)))
            .await
            .unwrap(),
        Written::Done
    );
    assert!(h.look().await.is_empty());
}

async fn a_lapsed_reservation_goes_to_the_next(h: &Harness) {
    let first = reserved(h, [1; 16], SHORT).await;
    h.pass(SHORT + Duration::from_millis(5)).await;
    let second = reserved(h, [1; 16], HOUR).await;
    assert_eq!(
        h.codes()
            .settle(&[1; 16], &first, Some((b"late", HOUR)))
            .await
            .unwrap(),
        Written::Stale
    );
    assert_eq!(
        h.codes().settle(&[1; 16], &first, None).await.unwrap(),
        Written::Stale
    );
    assert_eq!(
        h.codes()
            .settle(&[1; 16], &second, Some((b"answer", HOUR)))
            .await
            .unwrap(),
        Written::Done
    );
}

async fn an_answer_is_kept_for_its_time(h: &Harness) {
    let ticket = reserved(h, [1; 16], HOUR).await;
    assert_eq!(
        h.codes()
            .settle(&[1; 16], &ticket, Some((b"answer", SHORT)))
            .await
            .unwrap(),
        Written::Done
    );
    assert!(matches!(
        h.codes().reserve(&[1; 16], HOUR).await.unwrap(),
        Reservation::Settled { .. }
    ));
    h.pass(SHORT + Duration::from_millis(5)).await;
    reserved(h, [1; 16], HOUR).await;
}

async fn an_answer_that_replaces_another_lives_as_long(h: &Harness) {
    let replaced = async |answer: &[u8], by: &[u8]| {
        let replaced = h.codes().replace_answer(&[1; 16], answer, by).await;
        replaced.unwrap()
    };
    assert_eq!(replaced(b"answer", b"other").await, Written::Stale);
    let ticket = reserved(h, [1; 16], HOUR).await;
    assert_eq!(replaced(b"answer", b"other").await, Written::Stale);
    let settled = h.codes().settle(&[1; 16], &ticket, Some((b"answer", HOUR)));
    assert_eq!(settled.await.unwrap(), Written::Done);
    let passed = Duration::from_millis(50);
    h.pass(passed).await;
    assert_eq!(replaced(b"wrong", b"other").await, Written::Stale);
    assert_eq!(replaced(b"answer", b"other\0\xff").await, Written::Done);
    match h.codes().reserve(&[1; 16], HOUR).await.unwrap() {
        Reservation::Settled { answer, .. } => assert_eq!(answer, b"other\0\xff"),
        other => panic!("{other:?}"),
    }
    assert!(h.only("c").await.unwrap().1.expires_in.unwrap() <= HOUR - passed);
}
