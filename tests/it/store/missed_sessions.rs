//! A session that somebody asked for before it was there. With pub/sub nothing reports that it has
//! come, and a near cache knows better for `max_stale`.

use std::collections::BTreeSet;

use serde_json::json;

use crate::helpers::{Gateway, Probe, RedisServer};

/// So long that nothing lapses by itself.
const PATIENT: &str =
    "session.near_cache.push = \"pubsub\"\nsession.near_cache.max_stale = \"60s\"\n";

/// A gateway, and one of its workers: the one that has this connection.
struct Place {
    redis: RedisServer,
    gateway: Gateway,
    worker: Probe,
    known: BTreeSet<String>,
}

impl Place {
    async fn start() -> Self {
        let redis = RedisServer::start(&[]);
        let gateway = Gateway::on(&redis.url(""), PATIENT);
        let worker = gateway.probe().await;
        Self {
            redis,
            gateway,
            worker,
            known: BTreeSet::new(),
        }
    }

    /// The key of the one session that came since the last call.
    fn new_key(&mut self) -> String {
        let keys: BTreeSet<String> = self.redis.ask(&["KEYS", "hufu:s:*"]).unwrap();
        let mut new = keys.difference(&self.known).cloned();
        let key = new.next().unwrap();
        assert_eq!(new.next(), None);
        self.known.insert(key.clone());
        key
    }

    fn hide(&self, key: &str) {
        self.redis
            .ask::<()>(&["RENAME", key, &hidden(key)])
            .unwrap();
    }

    fn show(&self, key: &str) {
        self.redis
            .ask::<()>(&["RENAME", &hidden(key), key])
            .unwrap();
    }

    async fn status(&mut self, token: &str) -> u16 {
        let line = format!("Authorization: Bearer {token}\r\n");
        let answer = self.worker.ask("GET", "/auth/session", &line);
        answer.await.status()
    }

    /// The token and the key of a session that the worker takes for missing, though it is there.
    /// Nothing is cached before the subscription has proved itself.
    async fn missed(&mut self) -> (String, String) {
        for n in 0..1000 {
            let token = self.gateway.token(&format!("user{n}")).await;
            let key = self.new_key();
            self.hide(&key);
            assert_eq!(self.status(&token).await, 401);
            self.show(&key);
            if self.status(&token).await == 401 {
                return (token, key);
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("nothing is cached");
    }
}

fn hidden(key: &str) -> String {
    format!("hidden:{key}")
}

#[tokio::test]
async fn a_repeated_login_that_comes_before_its_session_does_not_hide_it() {
    let mut place = Place::start().await;
    place.missed().await;
    let body = json!({ "code": place.gateway.code("alice") });
    let login = place.gateway.login_with(body.clone()).await.json();
    let key = place.new_key();
    place.hide(&key);
    let body = body.to_string();
    let length = body.len();
    place
        .worker
        .send(format!("POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"))
        .await;
    let answer = place.worker.answer("POST").await;
    answer.refuses(400, "code_used", format_args!("{answer:?}"));
    place.show(&key);
    assert_eq!(place.status(login["token"].as_str().unwrap()).await, 200);
}

#[tokio::test]
async fn a_logout_ends_a_session_that_its_worker_takes_for_missing() {
    let mut place = Place::start().await;
    let (token, key) = place.missed().await;
    let lines = format!("Authorization: Bearer {token}\r\nContent-Length: 0\r\n");
    let answer = place.worker.ask("POST", "/auth/logout", &lines).await;
    assert_eq!(answer.status(), 204);
    assert!(!place.redis.ask::<bool>(&["EXISTS", &key]).unwrap());
}
