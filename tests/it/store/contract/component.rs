//! The suite of what a platform gives a component and gives nobody again.

use std::time::Duration;

use hufu::clock::UnixMillis;
use hufu::identity::{
    GrantedToken, NewRefreshToken, NewToken, RefreshTokenMark, SealState, TICKET_LIFE, TokenLease,
    TokenName,
};
use hufu::secret::Secret;
use hufu::session::Written;

use super::{Case, HOUR, SHORT};
use crate::helpers::store::{Harness, Place};

suite![
    the_newest_ticket_stays_until_it_is_over,
    a_refresh_token_has_no_expiry_and_shows_nothing,
    both_tokens_of_a_refresh_are_stored_in_one_step,
    a_late_refresh_token_is_stored_all_the_same,
    a_refresh_of_an_earlier_authorization_stores_nothing,
    a_recovered_refresh_token_takes_the_place_of_what_was_read_only,
    a_withdrawal_wins_also_where_nothing_was_stored,
    a_value_that_does_not_open_is_told_from_others,
    an_authorizer_that_withdraws_leaves_nothing,
    authorizers_of_several_components_do_not_meet,
    a_refresh_token_in_another_place_is_none,
];

fn name(authorizer: &str) -> TokenName {
    TokenName {
        appid: "wxc".into(),
        authorizer: Some(authorizer.into()),
        kind: "access",
    }
}

fn text(text: &str) -> Secret<String> {
    Secret::new(format!("{text}-that-nobody-may-see"))
}

async fn authorize(h: &Harness, authorizer: &str, refresh_token: &str) {
    let (name, refresh_token) = (name(authorizer), text(refresh_token));
    let now = h.now().await;
    let stored = h.components().authorize(&name, &refresh_token, now, None);
    stored.await.unwrap();
}

async fn refresh_token(h: &Harness, authorizer: &str) -> Option<Secret<String>> {
    let name = name(authorizer);
    h.components().refresh_token(&name).await.unwrap().text
}

/// Keeps a refresh token in the place of what was read there.
async fn recover(h: &Harness, refresh_token: &str, read: &RefreshTokenMark) -> Written {
    let (name, refresh_token) = (name("wx1"), text(refresh_token));
    let now = h.now().await;
    let kept = h
        .components()
        .keep_recovered(&name, &refresh_token, now, read);
    kept.await.unwrap()
}

async fn mark(h: &Harness) -> RefreshTokenMark {
    let found = h.components().refresh_token(&name("wx1")).await.unwrap();
    found.mark
}

async fn lease(h: &Harness, span: Duration) -> (UnixMillis, [u8; 16]) {
    match h.tokens().lease(&name("wx1"), None, span).await.unwrap() {
        TokenLease::Leader { now, ticket } => (now, ticket),
        other => panic!("{other:?}"),
    }
}

async fn keep(
    h: &Harness,
    (fetched_at, ticket): (UnixMillis, [u8; 16]),
    used: &str,
    fresh: &str,
) -> Written {
    let (access, used, fresh) = (text("access"), text(used), text(fresh));
    let token = NewToken {
        text: &access,
        fetched_at,
        expires_in: HOUR,
        rest: SHORT,
    };
    let refresh_token = NewRefreshToken {
        used: &used,
        text: &fresh,
    };
    let name = name("wx1");
    let kept = h
        .components()
        .keep_refreshed(&name, &ticket, &token, &refresh_token);
    kept.await.unwrap()
}

async fn access(h: &Harness) -> Option<Secret<String>> {
    let found = h.tokens().find(&name("wx1")).await.unwrap();
    found.map(|token| token.text)
}

async fn the_newest_ticket_stays_until_it_is_over(h: &Harness) {
    let keep = async |ticket: &str, made: UnixMillis| {
        let ticket = text(ticket);
        let kept = h.components().keep_ticket("wxc", &ticket, made).await;
        kept.unwrap()
    };
    let found = async || h.components().ticket("wxc").await.unwrap();
    assert_eq!(found().await, None);
    let now = h.now().await;
    let before = |span: Duration| UnixMillis(now.0 - u64::try_from(span.as_millis()).unwrap());
    assert_eq!(keep("over", before(TICKET_LIFE)).await, Written::Stale);
    assert_eq!(found().await, None);
    assert_eq!(keep("t1", before(HOUR)).await, Written::Done);
    assert_eq!(keep("t2", now).await, Written::Done);
    assert_eq!(
        keep("t1", before(HOUR)).await,
        Written::Stale,
        "it came twice"
    );
    assert_eq!(found().await, Some(text("t2")));
    assert_eq!(h.components().ticket("wxd").await.unwrap(), None);
    let expiries = h.look().await.into_values().map(|seen| seen.expires_in);
    let expiries: Vec<_> = expiries.collect();
    let minute = Duration::from_secs(60);
    assert!(
        matches!(expiries[..], [Some(left)] if left <= TICKET_LIFE && left > TICKET_LIFE - minute),
        "{expiries:?}"
    );
    // The clocks differ; and it goes by itself.
    assert_eq!(
        keep("t3", before(TICKET_LIFE - SHORT)).await,
        Written::Stale
    );
    let ahead = now.plus(HOUR);
    assert_eq!(keep("t4", ahead).await, Written::Done);
    let left = h
        .look()
        .await
        .into_values()
        .find_map(|seen| seen.expires_in);
    assert!(left.unwrap() <= TICKET_LIFE, "{left:?}");
    // Nobody keeps tickets out by a date that is still to come.
    assert_eq!(keep("t5", now).await, Written::Done);
    assert_eq!(found().await, Some(text("t5")));
}

async fn a_refresh_token_has_no_expiry_and_shows_nothing(h: &Harness) {
    assert_eq!(refresh_token(h, "wx1").await, None);
    authorize(h, "wx2", "r0").await;
    authorize(h, "wx1", "r1").await;
    authorize(h, "wx1", "r2").await;
    assert_eq!(refresh_token(h, "wx1").await, Some(text("r2")));
    assert_eq!(access(h).await, None);
    let kept = h.components().authorizers("wxc").await.unwrap();
    let appids: Vec<&str> = kept.iter().map(|kept| &*kept.appid).collect();
    assert_eq!(appids, ["wx1", "wx2"]);
    assert!(kept.iter().all(|kept| kept.seal == SealState::Current));
    assert_eq!(h.components().reseal("wxc").await.unwrap(), 0);
    let seen = h.look().await;
    assert_eq!(seen.len(), 1);
    for (key, seen) in seen {
        assert!(key.ends_with(":t:{wxc}:authorizers"), "{key}");
        assert!(seen.expires_in.is_none_or(|left| left == Duration::MAX));
        let shown = String::from_utf8_lossy(&seen.content).into_owned();
        assert!(!shown.contains("nobody-may-see"), "{shown}");
    }
    // With an access token, which ends by itself.
    let granted = GrantedToken {
        token: text("first"),
        expires_in: SHORT,
    };
    let now = h.now().await;
    let refresh = text("r3");
    let wx1 = name("wx1");
    let stored = h
        .components()
        .authorize(&wx1, &refresh, now, Some(&granted));
    stored.await.unwrap();
    assert_eq!(access(h).await, Some(text("first")));
    h.pass(SHORT + Duration::from_millis(5)).await;
    assert_eq!(access(h).await, None);
    assert_eq!(refresh_token(h, "wx1").await, Some(refresh));
}

async fn both_tokens_of_a_refresh_are_stored_in_one_step(h: &Harness) {
    authorize(h, "wx1", "r1").await;
    let own = lease(h, HOUR).await;
    assert_eq!(keep(h, own, "r1", "r2").await, Written::Done);
    assert_eq!(access(h).await, Some(text("access")));
    assert_eq!(refresh_token(h, "wx1").await, Some(text("r2")));
    // The platform may give the same one again.
    assert_eq!(keep(h, own, "r2", "r2").await, Written::Stale);
    assert_eq!(refresh_token(h, "wx1").await, Some(text("r2")));
}

async fn a_late_refresh_token_is_stored_all_the_same(h: &Harness) {
    authorize(h, "wx1", "r1").await;
    let late = lease(h, SHORT).await;
    h.pass(SHORT + Duration::from_millis(5)).await;
    lease(h, HOUR).await;
    assert_eq!(keep(h, late, "r1", "r2").await, Written::Stale);
    assert_eq!(access(h).await, None);
    assert_eq!(refresh_token(h, "wx1").await, Some(text("r2")));
}

async fn a_refresh_of_an_earlier_authorization_stores_nothing(h: &Harness) {
    authorize(h, "wx1", "r1").await;
    let own = lease(h, HOUR).await;
    authorize(h, "wx1", "new").await;
    assert_eq!(keep(h, own, "r1", "r2").await, Written::Gone);
    assert_eq!(refresh_token(h, "wx1").await, Some(text("new")));
    assert_eq!(access(h).await, None);
}

async fn a_recovered_refresh_token_takes_the_place_of_what_was_read_only(h: &Harness) {
    let none = mark(h).await;
    assert!(none.is_none());
    assert_eq!(recover(h, "r1", &none).await, Written::Done);
    assert_eq!(recover(h, "other", &none).await, Written::Stale);
    assert_eq!(refresh_token(h, "wx1").await, Some(text("r1")));
    let first = mark(h).await;
    assert_eq!(recover(h, "r2", &first).await, Written::Done);
    assert_eq!(recover(h, "other", &first).await, Written::Stale);
    assert_eq!(refresh_token(h, "wx1").await, Some(text("r2")));
    // An event asks nobody what stands there.
    let second = mark(h).await;
    authorize(h, "wx1", "r3").await;
    assert_eq!(recover(h, "other", &second).await, Written::Stale);
    assert_eq!(refresh_token(h, "wx1").await, Some(text("r3")));
    let third = mark(h).await;
    let late = h.now().await.plus(HOUR);
    let withdrawn = h.components().withdraw(&name("wx1"), late).await;
    assert_eq!(withdrawn.unwrap(), Written::Done);
    assert_eq!(recover(h, "other", &third).await, Written::Stale);
    assert_only_the_withdrawal_is_left(h).await;
}

/// For an hour at most.
async fn assert_only_the_withdrawal_is_left(h: &Harness) {
    let left = h.look().await;
    let names: Vec<&String> = left.keys().collect();
    let name = format!("{}:t:{{wxc}}:wx1/access:withdrawn", h.prefix);
    assert_eq!(names, [&name]);
    let expires_in = left[&name].expires_in;
    assert!(
        expires_in.is_some_and(|left| left <= HOUR),
        "{expires_in:?}"
    );
}

async fn a_withdrawal_wins_also_where_nothing_was_stored(h: &Harness) {
    let withdraw = async |authorizer: &str| {
        let late = h.now().await.plus(HOUR);
        let withdrawn = h.components().withdraw(&name(authorizer), late).await;
        assert_eq!(withdrawn.unwrap(), Written::Done);
    };
    let first = mark(h).await;
    withdraw("wx1").await;
    assert_eq!(recover(h, "other", &first).await, Written::Stale);
    // Whoever asks after a withdrawal is in time for the next one.
    let second = mark(h).await;
    assert!(second.is_none());
    withdraw("wx1").await;
    assert_eq!(recover(h, "other", &second).await, Written::Stale);
    assert_only_the_withdrawal_is_left(h).await;
    let third = mark(h).await;
    withdraw("wx2").await;
    assert_eq!(recover(h, "r1", &third).await, Written::Done);
    assert_eq!(refresh_token(h, "wx1").await, Some(text("r1")));
    // What came and went meanwhile has left nothing either.
    withdraw("wx1").await;
    assert_eq!(recover(h, "other", &third).await, Written::Stale);
    assert_eq!(refresh_token(h, "wx1").await, None);
}

/// The memory store has no outside that could change anything.
async fn a_value_that_does_not_open_is_told_from_others(h: &Harness) {
    let Place::Redis(_, inspector) = &h.place else {
        return;
    };
    let key = format!("{}:t:{{wxc}}:authorizers", h.prefix);
    let put = async |value: &[u8]| {
        let command: [&[u8]; 4] = [b"HSET", key.as_bytes(), b"wx1", value];
        inspector.run::<()>(&command).await;
    };
    put(b"x").await;
    let read = mark(h).await;
    assert!(!read.is_none());
    put(b"y").await;
    assert_eq!(recover(h, "r1", &read).await, Written::Stale);
    assert_eq!(refresh_token(h, "wx1").await, None);
    put(b"x").await;
    assert_eq!(recover(h, "r1", &read).await, Written::Done);
    assert_eq!(refresh_token(h, "wx1").await, Some(text("r1")));
}

async fn an_authorizer_that_withdraws_leaves_nothing(h: &Harness) {
    authorize(h, "wx1", "r1").await;
    let own = lease(h, HOUR).await;
    let now = h.now().await;
    let withdraw = async |at: UnixMillis| {
        let withdrawn = h.components().withdraw(&name("wx1"), at).await;
        withdrawn.unwrap()
    };
    let earlier = UnixMillis(now.0 - 60_000);
    assert_eq!(withdraw(earlier).await, Written::Stale);
    assert_eq!(refresh_token(h, "wx1").await, Some(text("r1")));
    // A ticket, and another one that is being fetched.
    let ticket_name = |kind| TokenName {
        kind,
        ..name("wx1")
    };
    let page = ticket_name("jsapi");
    let card = ticket_name("wx_card");
    let mut leases = Vec::new();
    for ticket in [&page, &card] {
        match h.tokens().lease(ticket, None, HOUR).await.unwrap() {
            TokenLease::Leader { ticket, .. } => leases.push(ticket),
            other => panic!("{other:?}"),
        }
    }
    let ticket_text = text("ticket");
    let new = NewToken {
        text: &ticket_text,
        fetched_at: now,
        expires_in: HOUR,
        rest: SHORT,
    };
    let kept = h.tokens().keep(&page, &leases[0], &new).await;
    assert_eq!(kept.unwrap(), Written::Done);
    assert_eq!(withdraw(now.plus(HOUR)).await, Written::Done);
    assert!(h.tokens().find(&page).await.unwrap().is_none());
    let late = h.tokens().keep(&card, &leases[1], &new).await;
    assert_eq!(late.unwrap(), Written::Stale);
    assert_eq!(refresh_token(h, "wx1").await, None);
    // A fetch that was under way does not bring it back.
    assert_eq!(keep(h, own, "r1", "r2").await, Written::Gone);
    assert_eq!(h.components().authorizers("wxc").await.unwrap(), []);
    let given_up = h.tokens().release(&name("wx1"), &own.1).await;
    assert_eq!(given_up.unwrap(), Written::Done);
    assert_only_the_withdrawal_is_left(h).await;
    assert_eq!(withdraw(now).await, Written::Done, "nothing is there");
}

async fn authorizers_of_several_components_do_not_meet(h: &Harness) {
    authorize(h, "wx1", "r1").await;
    let other = TokenName {
        appid: "wxd".into(),
        ..name("wx1")
    };
    let found = h.components().refresh_token(&other).await.unwrap();
    assert!(found.text.is_none() && found.mark.is_none());
    assert_eq!(h.components().authorizers("wxd").await.unwrap(), []);
    lease(h, HOUR).await;
    let leased = h.tokens().lease(&other, None, HOUR).await.unwrap();
    assert!(matches!(leased, TokenLease::Leader { .. }));
    let own = TokenName {
        appid: "wx1".into(),
        authorizer: None,
        kind: "access",
    };
    let leased = h.tokens().lease(&own, None, HOUR).await.unwrap();
    assert!(matches!(leased, TokenLease::Leader { .. }));
}

/// The memory store has no outside that could move anything.
async fn a_refresh_token_in_another_place_is_none(h: &Harness) {
    let Place::Redis(_, inspector) = &h.place else {
        return;
    };
    authorize(h, "wx1", "r1").await;
    let key = format!("{}:t:{{wxc}}:authorizers", h.prefix);
    let key = key.as_bytes();
    let value: Vec<u8> = inspector.run(&[b"HGET", key, b"wx1"]).await;
    inspector
        .run::<()>(&[b"HSET", key, b"wx2", &value, b"wx3", b"x"])
        .await;
    for other in ["wx2", "wx3"] {
        assert_eq!(refresh_token(h, other).await, None, "{other}");
    }
    let kept = h.components().authorizers("wxc").await.unwrap();
    let states: Vec<SealState> = kept.iter().map(|kept| kept.seal).collect();
    let unreadable = SealState::Unreadable;
    assert_eq!(states, [SealState::Current, unreadable, unreadable]);
    assert_eq!(h.components().reseal("wxc").await.unwrap(), 0);
    authorize(h, "wx3", "r3").await;
    assert_eq!(refresh_token(h, "wx3").await, Some(text("r3")));
}
