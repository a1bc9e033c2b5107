//! The suite of pushed messages.

use std::time::Duration;

use futures_util::future::join_all;
use hufu::push::{MessageContent, MessageFormat, MessageId, MessageKey, PushClaim, PushOwner};

use super::{Case, HOUR, SHORT};
use crate::helpers::store::{Harness, Place};

suite![
    one_delivers_and_the_others_find_its_answer,
    a_lapsed_reservation_goes_to_the_next,
    a_reservation_that_is_given_up_is_free_at_once,
    a_kept_message_is_due_once_at_a_time,
    a_kept_message_that_is_delivered_is_not_due_any_more,
    what_was_delivered_is_not_kept,
    only_what_is_not_kept_is_taken_off_the_list,
    a_dropped_message_is_gone,
    messages_and_answers_end_by_themselves,
    messages_of_several_apps_do_not_meet,
    messages_of_several_authorizers_do_not_meet,
    a_message_in_another_place_does_not_open,
];

const SECRET: &[u8] = b"<xml>a message that nobody may see</xml>";

const SHOP: PushOwner<'_> = PushOwner {
    app: "shop",
    appid: "wx1",
};

fn id(h: &Harness, number: &str) -> MessageId {
    let key = MessageKey::Id(number.to_owned());
    h.pushes().id(SHOP, None, &key)
}

async fn claim(h: &Harness, number: &str, lease: Duration) -> PushClaim {
    h.pushes().claim(SHOP, &id(h, number), lease).await.unwrap()
}

async fn leader(h: &Harness, number: &str, lease: Duration) -> [u8; 16] {
    match claim(h, number, lease).await {
        PushClaim::Leader { ticket } => ticket,
        other => panic!("{other:?}"),
    }
}

fn content(authorizer: Option<&str>) -> MessageContent {
    MessageContent {
        format: MessageFormat::Xml,
        authorizer: authorizer.map(Into::into),
        body: SECRET.to_vec(),
    }
}

async fn keep(h: &Harness, number: &str, due_in: Duration, span: Duration) {
    h.pushes()
        .keep(SHOP, &id(h, number), &content(None), due_in, span)
        .await
        .unwrap();
}

async fn deliver(h: &Harness, number: &str, span: Duration) {
    let id = id(h, number);
    h.pushes()
        .delivered(SHOP, &id, b"the answer", span)
        .await
        .unwrap();
}

/// The messages that are due, and how many are kept.
async fn due(h: &Harness, lease: Duration, most: usize) -> (Vec<MessageId>, u64) {
    let due = h.pushes().take_due(SHOP, lease, most).await;
    let due = due.unwrap();
    (due.messages, due.kept)
}

async fn one_delivers_and_the_others_find_its_answer(h: &Harness) {
    let all = join_all((0..20).map(|_| claim(h, "1", HOUR))).await;
    let leaders = all
        .iter()
        .filter(|claim| matches!(claim, PushClaim::Leader { .. }));
    assert_eq!(leaders.count(), 1);
    assert_eq!(claim(h, "1", HOUR).await, PushClaim::Pending);
    assert!(matches!(
        claim(h, "2", HOUR).await,
        PushClaim::Leader { .. }
    ));
    deliver(h, "1", HOUR).await;
    for _ in 0..2 {
        let answer = PushClaim::Delivered(b"the answer".to_vec());
        assert_eq!(claim(h, "1", HOUR).await, answer);
    }
    for (key, seen) in h.look().await {
        assert!(key.contains(":p:{wx1}:"), "{key}");
        let shown = String::from_utf8_lossy(&seen.content).into_owned();
        assert!(!shown.contains("answer"), "{shown}");
    }
}

async fn a_lapsed_reservation_goes_to_the_next(h: &Harness) {
    let first = leader(h, "1", SHORT).await;
    h.pass(SHORT + Duration::from_millis(5)).await;
    leader(h, "1", HOUR).await;
    // The one that is late has nothing to give up.
    h.pushes().release(SHOP, &id(h, "1"), &first).await.unwrap();
    assert_eq!(claim(h, "1", HOUR).await, PushClaim::Pending);
}

async fn a_reservation_that_is_given_up_is_free_at_once(h: &Harness) {
    let ticket = leader(h, "1", HOUR).await;
    h.pushes()
        .release(SHOP, &id(h, "1"), &ticket)
        .await
        .unwrap();
    assert!(h.look().await.is_empty());
    leader(h, "1", HOUR).await;
}

async fn a_kept_message_is_due_once_at_a_time(h: &Harness) {
    assert_eq!(due(h, HOUR, 10).await, (vec![], 0));
    assert!(h.look().await.is_empty(), "looking leaves nothing behind");
    for number in ["1", "2", "3"] {
        leader(h, number, HOUR).await;
        keep(h, number, Duration::ZERO, HOUR).await;
    }
    keep(h, "4", HOUR, 2 * HOUR).await;
    assert_eq!(claim(h, "1", HOUR).await, PushClaim::Kept);
    for (key, seen) in h.look().await {
        let shown = String::from_utf8_lossy(&seen.content).into_owned();
        assert!(!shown.contains("nobody may see"), "{key}: {shown}");
    }
    let (mut taken, kept) = due(h, SHORT, 2).await;
    assert_eq!((taken.len(), kept), (2, 4));
    let (rest, _) = due(h, SHORT, 2).await;
    taken.extend(rest);
    taken.sort();
    let mut expected = vec![id(h, "1"), id(h, "2"), id(h, "3")];
    expected.sort();
    assert_eq!(taken, expected);
    assert_eq!(due(h, SHORT, 10).await, (vec![], 4));
    let message = h.pushes().kept(SHOP, &id(h, "1")).await.unwrap();
    assert_eq!(message.unwrap().content, content(None));
    h.pushes().postpone(SHOP, &id(h, "1"), HOUR).await.unwrap();
    // Whoever had taken the others has died.
    h.pass(SHORT + Duration::from_millis(5)).await;
    let (again, _) = due(h, HOUR, 10).await;
    assert_eq!(again.len(), 2);
    assert!(!again.contains(&id(h, "1")));
}

async fn a_kept_message_that_is_delivered_is_not_due_any_more(h: &Harness) {
    keep(h, "1", Duration::ZERO, HOUR).await;
    deliver(h, "1", HOUR).await;
    assert_eq!(due(h, HOUR, 10).await, (vec![], 0));
    assert_eq!(h.pushes().kept(SHOP, &id(h, "1")).await.unwrap(), None);
    assert!(matches!(claim(h, "1", HOUR).await, PushClaim::Delivered(_)));
    // Somebody who is late has nothing to postpone.
    h.pushes()
        .postpone(SHOP, &id(h, "1"), Duration::ZERO)
        .await
        .unwrap();
    assert_eq!(due(h, HOUR, 10).await, (vec![], 0));
}

async fn what_was_delivered_is_not_kept(h: &Harness) {
    leader(h, "1", HOUR).await;
    deliver(h, "1", HOUR).await;
    keep(h, "1", Duration::ZERO, HOUR).await;
    assert!(matches!(claim(h, "1", HOUR).await, PushClaim::Delivered(_)));
    assert_eq!(due(h, HOUR, 10).await, (vec![], 0));
}

/// Reading alone takes nothing off it.
async fn only_what_is_not_kept_is_taken_off_the_list(h: &Harness) {
    let pushes = h.pushes();
    keep(h, "1", Duration::ZERO, SHORT).await;
    keep(h, "2", Duration::ZERO, HOUR).await;
    h.pass(SHORT + Duration::from_millis(5)).await;
    assert_eq!(pushes.kept(SHOP, &id(h, "1")).await.unwrap(), None);
    assert_eq!(due(h, Duration::ZERO, 10).await.1, 2);
    for number in ["1", "2"] {
        pushes.unlist(SHOP, &id(h, number)).await.unwrap();
    }
    assert_eq!(due(h, HOUR, 10).await, (vec![id(h, "2")], 1));
    assert!(pushes.kept(SHOP, &id(h, "2")).await.unwrap().is_some());
}

async fn a_dropped_message_is_gone(h: &Harness) {
    keep(h, "1", Duration::ZERO, HOUR).await;
    h.pushes().drop_kept(SHOP, &id(h, "1")).await.unwrap();
    assert!(h.look().await.is_empty());
}

async fn messages_and_answers_end_by_themselves(h: &Harness) {
    leader(h, "1", HOUR).await;
    deliver(h, "1", SHORT).await;
    keep(h, "2", SHORT / 2, SHORT).await;
    h.pass(SHORT + Duration::from_millis(5)).await;
    assert!(h.look().await.is_empty());
    leader(h, "1", HOUR).await;
    assert_eq!(h.pushes().kept(SHOP, &id(h, "2")).await.unwrap(), None);
}

/// Another id, and the same id under another name: neither finds, takes nor ends what is kept.
async fn messages_of_several_apps_do_not_meet(h: &Harness) {
    keep(h, "1", Duration::ZERO, HOUR).await;
    let kept = id(h, "1");
    let pushes = h.pushes();
    for (app, appid) in [("shop", "wx2"), ("other", "wx1")] {
        let other = PushOwner { app, appid };
        let found = pushes.id(other, None, &MessageKey::Id("1".to_owned()));
        let claimed = pushes.claim(other, &found, HOUR).await.unwrap();
        assert!(matches!(claimed, PushClaim::Leader { .. }), "{other:?}");
        let due = pushes.take_due(other, HOUR, 10).await.unwrap();
        assert_eq!((due.messages, due.kept), (vec![], 0), "{other:?}");
        assert_eq!(pushes.kept(other, &kept).await.unwrap(), None, "{other:?}");
        pushes.unlist(other, &kept).await.unwrap();
        pushes.postpone(other, &kept, HOUR).await.unwrap();
        pushes.drop_kept(other, &kept).await.unwrap();
        pushes.delivered(other, &kept, b"", HOUR).await.unwrap();
    }
    assert_eq!(due(h, HOUR, 10).await, (vec![kept], 1));
}

/// They are due together, and each says whose it is.
async fn messages_of_several_authorizers_do_not_meet(h: &Harness) {
    let (pushes, key) = (h.pushes(), MessageKey::Id("1".to_owned()));
    let authorizers = [None, Some("wx2"), Some("wx3")];
    let mut ids = authorizers.map(|authorizer| pushes.id(SHOP, authorizer, &key));
    for (authorizer, id) in authorizers.iter().zip(&ids) {
        let claimed = pushes.claim(SHOP, id, HOUR).await.unwrap();
        assert!(
            matches!(claimed, PushClaim::Leader { .. }),
            "{authorizer:?}"
        );
        let message = content(*authorizer);
        let kept = pushes.keep(SHOP, id, &message, Duration::ZERO, HOUR);
        kept.await.unwrap();
        let found = pushes.kept(SHOP, id).await.unwrap().unwrap();
        assert_eq!(found.content, message);
    }
    let (mut taken, kept) = due(h, HOUR, 10).await;
    taken.sort();
    ids.sort();
    assert_eq!((taken, kept), (ids.to_vec(), 3));
}

/// The memory store has no outside that could move anything.
async fn a_message_in_another_place_does_not_open(h: &Harness) {
    let Place::Redis(_, inspector) = &h.place else {
        return;
    };
    keep(h, "1", HOUR, 2 * HOUR).await;
    leader(h, "2", HOUR).await;
    let keys: Vec<String> = h.look().await.into_keys().collect();
    let mut values = Vec::new();
    for key in keys.iter().filter(|key| !key.ends_with(":due")) {
        let value: Vec<u8> = inspector.run(&[b"GET", key.as_bytes()]).await;
        values.push((key.clone(), value));
    }
    let place = |kind: u8| {
        let found = values.iter().find(|(_, value)| value[0] == kind);
        found.unwrap().clone()
    };
    let (_, message) = place(b'K');
    let (free, _) = place(b'P');
    inspector
        .run::<()>(&[b"SET", free.as_bytes(), &message, b"PX", b"60000"])
        .await;
    let moved = h.pushes().kept(SHOP, &id(h, "2")).await;
    assert!(moved.unwrap_err().reason.contains("moved from its place"));
}
