//! The suite of the platforms' tokens.

use std::time::Duration;

use futures_util::future::join_all;
use hufu::clock::UnixMillis;
use hufu::identity::{NewToken, TokenLease, TokenName};
use hufu::secret::Secret;
use hufu::session::Written;

use super::{Case, HOUR, SHORT};
use crate::helpers::store::{Harness, Place};

suite![
    one_fetches_and_the_others_find_what_it_stored,
    a_lapsed_lease_goes_to_the_next_and_the_late_token_is_thrown_away,
    a_lease_that_is_given_up_is_free_at_once,
    a_token_counts_from_its_lease,
    only_the_token_that_failed_is_replaced,
    a_fresh_token_rests,
    a_token_ends_by_itself,
    tokens_of_several_apps_do_not_meet,
    a_token_in_another_place_is_none,
];

fn name(appid: &str) -> TokenName {
    TokenName {
        appid: appid.into(),
        authorizer: None,
        kind: "access",
    }
}

fn text(text: &str) -> Secret<String> {
    Secret::new(format!("{text}-access-token-that-nobody-may-see"))
}

async fn lease(h: &Harness, replaced: Option<&str>, span: Duration) -> TokenLease {
    let (name, replaced) = (name("wx1"), replaced.map(text));
    let leased = h.tokens().lease(&name, replaced.as_ref(), span);
    leased.await.unwrap()
}

async fn leader(h: &Harness, replaced: Option<&str>, span: Duration) -> (UnixMillis, [u8; 16]) {
    match lease(h, replaced, span).await {
        TokenLease::Leader { now, ticket } => (now, ticket),
        other => panic!("{other:?}"),
    }
}

async fn keep(
    h: &Harness,
    (fetched_at, ticket): (UnixMillis, [u8; 16]),
    token: &str,
    expires_in: Duration,
    rest: Duration,
) -> Written {
    let new = NewToken {
        text: &text(token),
        fetched_at,
        expires_in,
        rest,
    };
    h.tokens().keep(&name("wx1"), &ticket, &new).await.unwrap()
}

async fn found(h: &Harness) -> Option<Secret<String>> {
    let stored = h.tokens().find(&name("wx1")).await.unwrap();
    stored.map(|token| token.text)
}

async fn one_fetches_and_the_others_find_what_it_stored(h: &Harness) {
    assert_eq!(found(h).await, None);
    assert!(h.look().await.is_empty(), "looking leaves nothing behind");
    let all = join_all((0..20).map(|_| lease(h, None, HOUR))).await;
    let mut leases = Vec::new();
    for lease in all {
        match lease {
            TokenLease::Leader { now, ticket } => leases.push((now, ticket)),
            TokenLease::Pending => {}
            other => panic!("{other:?}"),
        }
    }
    let [own] = leases[..] else {
        panic!("{} leaders", leases.len())
    };
    assert_eq!(
        keep(h, (own.0, [0; 16]), "forged", HOUR, SHORT).await,
        Written::Stale
    );
    assert_eq!(keep(h, own, "t1", HOUR, SHORT).await, Written::Done);
    for _ in 0..2 {
        let TokenLease::Found(token) = lease(h, None, HOUR).await else {
            panic!("it is stored")
        };
        assert_eq!(token.text, text("t1"));
        assert!(token.expires_in <= HOUR && token.expires_in > HOUR / 2);
        assert!(token.age < HOUR / 2, "{:?}", token.age);
    }
    assert_eq!(found(h).await, Some(text("t1")));
    for (key, seen) in h.look().await {
        assert!(key.contains(":t:{wx1}:access"), "{key}");
        let shown = String::from_utf8_lossy(&seen.content).into_owned();
        assert!(!shown.contains("nobody-may-see"), "{shown}");
    }
}

async fn a_lapsed_lease_goes_to_the_next_and_the_late_token_is_thrown_away(h: &Harness) {
    let first = leader(h, None, SHORT).await;
    h.pass(SHORT + Duration::from_millis(5)).await;
    let second = leader(h, None, HOUR).await;
    assert_eq!(keep(h, first, "late", HOUR, SHORT).await, Written::Stale);
    let given_up = h.tokens().release(&name("wx1"), &first.1).await.unwrap();
    assert_eq!(given_up, Written::Stale);
    assert_eq!(keep(h, second, "t1", HOUR, SHORT).await, Written::Done);
    assert_eq!(keep(h, first, "late", HOUR, SHORT).await, Written::Stale);
    assert_eq!(found(h).await, Some(text("t1")));
}

async fn a_lease_that_is_given_up_is_free_at_once(h: &Harness) {
    let (_, ticket) = leader(h, None, HOUR).await;
    let given_up = h.tokens().release(&name("wx1"), &ticket).await.unwrap();
    assert_eq!(given_up, Written::Done);
    assert!(h.look().await.is_empty());
    leader(h, None, HOUR).await;
}

/// Time that passes before it is stored is time of the token.
async fn a_token_counts_from_its_lease(h: &Harness) {
    let (now, ticket) = leader(h, None, HOUR).await;
    let long_ago = UnixMillis(now.0 - 45 * 60 * 1000);
    assert_eq!(
        keep(h, (long_ago, ticket), "t1", HOUR, SHORT).await,
        Written::Done
    );
    let TokenLease::Found(token) = lease(h, None, HOUR).await else {
        panic!("it is stored")
    };
    assert!(token.expires_in <= HOUR / 4, "{:?}", token.expires_in);
}

async fn only_the_token_that_failed_is_replaced(h: &Harness) {
    let first = leader(h, None, HOUR).await;
    let rest = Duration::from_millis(1);
    assert_eq!(keep(h, first, "t1", HOUR, rest).await, Written::Done);
    h.pass(Duration::from_millis(10)).await;
    assert!(matches!(
        lease(h, Some("t0"), HOUR).await,
        TokenLease::Found(_)
    ));
    let second = leader(h, Some("t1"), HOUR).await;
    assert!(matches!(
        lease(h, Some("t1"), HOUR).await,
        TokenLease::Pending
    ));
    // Whoever has no complaint goes on with the old one.
    assert!(matches!(lease(h, None, HOUR).await, TokenLease::Found(_)));
    assert_eq!(keep(h, second, "t2", HOUR, rest).await, Written::Done);
    let TokenLease::Found(token) = lease(h, Some("t1"), HOUR).await else {
        panic!("another one is stored")
    };
    assert_eq!(token.text, text("t2"));
}

async fn a_fresh_token_rests(h: &Harness) {
    let first = leader(h, None, HOUR).await;
    assert_eq!(keep(h, first, "t1", HOUR, SHORT).await, Written::Done);
    let TokenLease::Recent { wait } = lease(h, Some("t1"), HOUR).await else {
        panic!("it was fetched a moment ago")
    };
    assert!(wait <= SHORT);
    h.pass(SHORT + Duration::from_millis(5)).await;
    leader(h, Some("t1"), HOUR).await;
}

async fn a_token_ends_by_itself(h: &Harness) {
    let first = leader(h, None, HOUR).await;
    assert_eq!(keep(h, first, "t1", SHORT, HOUR).await, Written::Done);
    h.pass(SHORT + Duration::from_millis(5)).await;
    assert_eq!(found(h).await, None);
    // Without a token nothing rests.
    leader(h, None, HOUR).await;
}

async fn tokens_of_several_apps_do_not_meet(h: &Harness) {
    let first = leader(h, None, HOUR).await;
    assert_eq!(keep(h, first, "t1", HOUR, SHORT).await, Written::Done);
    let other = h.tokens().lease(&name("wx2"), None, HOUR).await.unwrap();
    assert!(matches!(other, TokenLease::Leader { .. }));
}

/// The memory store has no outside that could move anything.
async fn a_token_in_another_place_is_none(h: &Harness) {
    let Place::Redis(_, inspector) = &h.place else {
        return;
    };
    let first = leader(h, None, HOUR).await;
    assert_eq!(keep(h, first, "t1", HOUR, SHORT).await, Written::Done);
    let keys = h.look().await.into_keys();
    let key = keys
        .filter(|key| key.ends_with(":access"))
        .collect::<Vec<_>>()
        .concat();
    let value: Vec<u8> = inspector.run(&[b"GET", key.as_bytes()]).await;
    let elsewhere = key.replace("{wx1}", "{wx2}");
    inspector
        .run::<()>(&[b"SET", elsewhere.as_bytes(), &value, b"PX", b"60000"])
        .await;
    assert!(h.tokens().find(&name("wx2")).await.unwrap().is_none());
    let other = h.tokens().lease(&name("wx2"), None, HOUR).await.unwrap();
    assert!(matches!(other, TokenLease::Leader { .. }), "{other:?}");
}
