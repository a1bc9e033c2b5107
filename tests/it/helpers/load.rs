//! A steady load of signed-in users, and what they are answered.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hufu::clock::monotonic_now;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::builder::APPID;
use super::client::{Client, http};
use super::gateway::Gateway;
use super::redis_server::RedisServer;
use super::sentinels::follows;
use super::wait::until;

/// Between two requests of one user: the load is to be steady, so time itself is the matter.
const PAUSE: Duration = Duration::from_millis(5);
/// Longest answer, whatever the store does: it is bounded, on a machine that stands still now and
/// then.
const BOUND: Duration = Duration::from_secs(20);

/// Users who call `/api` one request after the other.
pub(crate) struct Load {
    users: Vec<Arc<User>>,
    tasks: Vec<JoinHandle<()>>,
}

struct User {
    name: String,
    token: String,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    ok: u32,
    unavailable: Vec<Instant>,
    wrong: Vec<String>,
    longest: Duration,
}

/// What all users together have seen since the last look.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) ok: u32,
    pub(crate) unavailable: usize,
    /// From the first 503 to the last.
    pub(crate) outage: Duration,
    /// The longest answer.
    pub(crate) slowest: Duration,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            ok,
            unavailable,
            outage,
            slowest,
        } = self;
        write!(
            f,
            "{ok} times 200, {unavailable} times 503 within {} ms, the slowest answer after {} ms",
            outage.as_millis(),
            slowest.as_millis()
        )
    }
}

impl Load {
    /// Signs users in and lets them begin.
    pub(crate) async fn start(gateway: &Gateway, users: usize) -> Self {
        let mut all = Vec::new();
        for number in 0..users {
            let name = format!("user{number}");
            // A store with the default limits may be too slow for them once.
            let token = until("a login", async || {
                let body = json!({ "code": gateway.code(&name) });
                let answer = gateway.login_with(body).await;
                assert!(matches!(answer.status(), 200 | 503), "{}", answer.text());
                answer.json()["token"].as_str().map(str::to_owned)
            })
            .await;
            all.push(Arc::new(User {
                name,
                token,
                seen: Mutex::default(),
            }));
        }
        let (client, url) = (http(), gateway.at("/api"));
        let tasks = all
            .iter()
            .map(|user| tokio::spawn(run(user.clone(), client.clone(), url.clone())))
            .collect();
        Self { users: all, tasks }
    }

    /// The tokens, in the order in which the users signed in.
    pub(crate) fn tokens(&self) -> Vec<&str> {
        self.users.iter().map(|user| user.token.as_str()).collect()
    }

    /// Waits until every user has been served, after this call, several times, and nobody was
    /// turned away for a while.
    pub(crate) async fn served(&self) {
        let rests = Duration::from_millis(300);
        let mut before: BTreeMap<&str, u32> = BTreeMap::new();
        for user in &self.users {
            before.insert(&user.name, user.seen.lock().unwrap().ok);
        }
        until("everybody to be served again", async || {
            self.users.iter().all(|user| {
                let seen = user.seen.lock().unwrap();
                seen.ok >= before[user.name.as_str()] + 5
                    && seen
                        .unavailable
                        .last()
                        .is_none_or(|last| last.elapsed() > rests)
            })
        })
        .await;
    }

    /// Waits until somebody has been turned away.
    pub(crate) async fn turned_away(&self) {
        until("a 503", async || {
            self.users
                .iter()
                .any(|user| !user.seen.lock().unwrap().unavailable.is_empty())
        })
        .await;
    }

    /// Goes on while the server at this port has just died, until `elected` has seen to another
    /// one, which nobody does before, and everybody is served again.
    pub(crate) async fn outage(
        &self,
        gateway: &Gateway,
        what: &str,
        port: u16,
        elected: impl AsyncFnOnce(),
    ) {
        let killed = monotonic_now();
        self.turned_away().await;
        // Readiness gives each look a second, also on a machine that stands still.
        until("readiness to name the server", async || {
            let (state, reason) = gateway.store_state().await;
            state == "down" && reason.contains(&format!("127.0.0.1:{port}"))
        })
        .await;
        elected().await;
        self.served().await;
        let took = killed.elapsed();
        let during = self.tally();
        println!(
            "{what} under {} users: served again after {took:?}; {during}",
            self.users.len()
        );
        assert!(during.unavailable > 0 && during.ok > 0, "{during}");
        // The probe may ask somebody who has not heard of the new master yet.
        until("readiness to see the new master", async || {
            gateway.store_state().await.0 == "up"
        })
        .await;
    }

    /// Goes on while the server that died comes back as a replica: nobody notices.
    pub(crate) async fn notices_nothing_of(&self, server: &mut RedisServer) {
        server.start_again(&[]);
        follows(server);
        self.served().await;
        let after = self.tally();
        assert_eq!(after.unavailable, 0, "{after}");
    }

    /// What was answered since the last look: nothing but the user's own identity and 503, each in
    /// time.
    pub(crate) fn tally(&self) -> Tally {
        let (mut ok, mut refusals, mut longest) = (0, Vec::new(), Duration::ZERO);
        for user in &self.users {
            let seen = std::mem::take(&mut *user.seen.lock().unwrap());
            assert!(seen.wrong.is_empty(), "{}: {:?}", user.name, seen.wrong);
            ok += seen.ok;
            refusals.extend(seen.unavailable);
            longest = longest.max(seen.longest);
        }
        assert!(
            longest < BOUND,
            "an answer took {longest:?}, after {ok} in time"
        );
        refusals.sort();
        let outage = refusals
            .first()
            .zip(refusals.last())
            .map_or(Duration::ZERO, |(first, last)| *last - *first);
        Tally {
            ok,
            unavailable: refusals.len(),
            outage,
            slowest: longest,
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

async fn run(user: Arc<User>, client: Client, url: String) {
    let own = hufu::sandbox::openid(APPID, &user.name);
    loop {
        let started = monotonic_now();
        let answer = client.get(&url).bearer_auth(&user.token).await;
        let (status, word) = (answer.status(), answer.code().map(str::to_owned));
        let body = answer.text();
        {
            let mut seen = user.seen.lock().unwrap();
            seen.longest = seen.longest.max(started.elapsed());
            match (status, word.as_deref()) {
                (200, None) if subject(&body).as_deref() == Some(own.as_str()) => seen.ok += 1,
                (503, Some("store_unavailable")) => seen.unavailable.push(monotonic_now()),
                _ => seen.wrong.push(format!("{status} {word:?} {body}")),
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Whom the backend was told of.
pub(crate) fn subject(body: &str) -> Option<String> {
    let body: Value = serde_json::from_str(body).ok()?;
    let headers: Vec<(String, String)> = serde_json::from_value(body["headers"].clone()).ok()?;
    headers
        .into_iter()
        .find(|(name, _)| name == "x-wx-openid")
        .map(|(_, value)| value)
}
