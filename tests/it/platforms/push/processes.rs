//! Messages and real processes: `kill -9` of a gateway that has acknowledged, and at random points.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use hufu::crypto::random;
use nix::sys::signal::Signal;

use super::{PATH, SEALED, assert_acknowledged, enveloped, key, pushed_to, sealed};
use crate::helpers::{APPID, Dice, GatewayBuilder, RedisServer, Script, Slots, Upstream, until};
use crate::platforms::PATIENT;

#[tokio::test]
async fn a_message_outlives_the_gateway_that_has_acknowledged_it() {
    let redis = RedisServer::start(&[]);
    let backend = Upstream::start(Script::cut());
    let config = pushed_to(&backend.url, SEALED);
    let mut one = GatewayBuilder::new()
        .store(redis.url(""))
        .config(PATIENT)
        .config(config)
        .start();
    let message = "<xml><MsgId>7</MsgId></xml>";
    assert_acknowledged(&sealed(&one, message).await);
    one.signal(Signal::SIGKILL);
    one.ended();
    backend.set(Script::named("ok"));
    let seen = backend.count("POST");
    let other = one.sibling();
    until("the message to arrive", async || {
        backend.count("POST") > seen
    })
    .await;
    let (_, body) = backend.requests().pop().unwrap();
    assert_eq!(body, message.as_bytes());
    let delivered = r#"hufu_push_redeliveries_total{app="shop",outcome="delivered"}"#;
    other.counts(delivered, 1).await;
}

const ENVELOPE: &str = "<xml><Encrypt>@</Encrypt></xml>";
/// Kills of each of two gateways.
const KILLS: usize = 50;

/// A platform that sends each message until it is acknowledged, a backend that now and then refuses
/// or cuts: whatever was killed in the middle, what was acknowledged arrives.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_kills_lose_no_message_that_was_acknowledged() {
    let seed = u64::from_be_bytes(random::bytes());
    println!("seed {seed}");
    let redis = RedisServer::start(&[]);
    let backend = Upstream::named("ok");
    let config = pushed_to(&backend.url, SEALED);
    let first = GatewayBuilder::new()
        .store(redis.url(""))
        .config(PATIENT)
        .config(config)
        .start();
    let gateways = [first.sibling(), first];
    let slots = Arc::new(Slots::new([gateways[0].listen, gateways[1].listen]));
    let stop = Arc::new(AtomicBool::new(false));
    let numbers = Arc::new(AtomicU64::new(1));
    let acknowledged = Arc::new(Mutex::new(BTreeSet::new()));
    let clients = (0..4_u64).map(|n| {
        let (slots, stop, numbers) = (slots.clone(), stop.clone(), numbers.clone());
        let acknowledged = acknowledged.clone();
        tokio::spawn(async move {
            let mut dice = Dice::new(seed ^ n);
            while !stop.load(Ordering::Relaxed) {
                let number = numbers.fetch_add(1, Ordering::Relaxed);
                let message = message(number);
                // The platform's three tries; it seals each anew.
                for _ in 0..3 {
                    let Some(at) = slots.any(&mut dice) else {
                        tokio::task::yield_now().await;
                        continue;
                    };
                    let text = key().seal(message.as_bytes(), APPID);
                    let request = enveloped(format!("http://{at}{PATH}"), &text, ENVELOPE);
                    let Ok(answer) = request.try_send().await else {
                        continue;
                    };
                    slots.answered();
                    if answer.status() == 200 {
                        acknowledged.lock().unwrap().insert(number);
                        break;
                    }
                }
            }
        })
    });
    let clients: Vec<_> = clients.collect();
    let moods = async {
        let mut dice = Dice::new(seed.rotate_left(7));
        while !stop.load(Ordering::Relaxed) {
            backend.set(match dice.below(3) {
                0 => Script::answers("503 Service Unavailable", ""),
                1 => Script::cut(),
                _ => Script::named("ok"),
            });
            // The backend's mood lasts for a moment.
            tokio::time::sleep(Duration::from_millis(20 + dice.below(200))).await;
        }
        backend.set(Script::named("ok"));
    };
    let struck = async {
        let survivors = slots
            .strike(gateways, KILLS, seed, |gateway| gateway.listen)
            .await;
        stop.store(true, Ordering::Relaxed);
        survivors
    };
    let (survivors, ()) = tokio::join!(struck, moods);
    for client in join_all(clients).await {
        client.unwrap();
    }
    let acknowledged = acknowledged.lock().unwrap().clone();
    assert!(acknowledged.len() > KILLS, "{}", acknowledged.len());
    let due = format!("hufu:p:{{{APPID}}}:shop:due");
    until("all kept messages to be delivered", async || {
        hasten(&redis, &due);
        redis.ask::<u64>(&["ZCARD", &due]).unwrap() == 0
    })
    .await;
    // What the killed ones had sent may still wait to be read, so all connections come to their end.
    let last = survivors[0].sibling();
    drop(survivors);
    until("the backend to have read what was sent", async || {
        backend.connections().iter().all(|one| one.ended)
    })
    .await;
    let seen = backend.count("POST");
    println!(
        "{} acknowledged, {seen} requests to the backend",
        acknowledged.len()
    );
    // What the backend has taken does not come to it again; what was lost would.
    for number in &acknowledged {
        let text = key().seal(message(*number).as_bytes(), APPID);
        let answer = enveloped(last.at(PATH), &text, ENVELOPE).await;
        assert_eq!(answer.status(), 200, "{number}");
    }
    assert_eq!(backend.count("POST"), seen);
}

/// A message waits as long again as it is old: on a slow machine, longer than a test may take. None
/// is under delivery that is due later than the lease of one.
fn hasten(redis: &RedisServer, due: &str) {
    const LEASE: u64 = 20_000;
    let time: [u64; 2] = redis.ask(&["TIME"]).unwrap();
    let now = time[0] * 1000 + time[1] / 1000;
    let later = (now + LEASE + 1).to_string();
    let late: Vec<Vec<u8>> = redis.ask(&["ZRANGEBYSCORE", due, &later, "+inf"]).unwrap();
    for name in late {
        let mut sooner = redis::cmd("ZADD");
        sooner.arg(due).arg("XX").arg(now).arg(name);
        sooner.query::<()>(&mut redis.connect("")).unwrap();
    }
}

fn message(number: u64) -> String {
    format!("<xml><MsgId>{number}</MsgId></xml>")
}
