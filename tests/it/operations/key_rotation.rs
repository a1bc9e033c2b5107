//! The sealing keys change in three rolls, as docs/operations.md has them, under load and on every
//! mixture of processes; and what is seen when a key goes too early, or the naming key changes.

use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hufu::clock::monotonic_now;
use hufu::crypto::keyring::generate_key;
use nix::sys::signal::Signal;
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::helpers::{
    APPID, Dice, Gateway, GatewayBuilder, RedisServer, Running, Slots, echo_upstream, http,
    subject, until, walk,
};

/// `session.absolute_timeout` of the run.
const ABSOLUTE: Duration = Duration::from_secs(5);
/// Nobody is surprised by a session that ends so shortly before.
const END: Duration = Duration::from_millis(1500);

/// What every file of the installation has.
struct Installation {
    redis: RedisServer,
    echo: Running,
    naming_key: String,
    /// Lines on how long sessions live, if they are to end while the test runs.
    times: String,
}

impl Installation {
    fn new() -> Self {
        Self {
            redis: RedisServer::start(&[]),
            echo: echo_upstream(),
            naming_key: generate_key(),
            times: String::new(),
        }
    }

    /// A file with these sealing keys.
    fn file(&self, keys: &[&str]) -> GatewayBuilder {
        let config = format!(
            "secrets.keys = {keys:?}\nsecrets.naming_key = {:?}\nserver.drain_grace = \"300ms\"\nsession.max_per_user = 0\n{}{}",
            self.naming_key,
            self.times,
            self.echo.route("/api", "required")
        );
        GatewayBuilder::new()
            .store(self.redis.url(""))
            .config(config)
    }
}

async fn call(gateway: &Gateway, method: &str, path: &str, token: &str) -> (u16, Value) {
    let answer = http()
        .request(method, gateway.at(path))
        .bearer_auth(token)
        .await;
    (
        answer.status(),
        serde_json::from_str(&answer.text()).unwrap_or_default(),
    )
}

/// A session that the load uses, and when it was made.
struct Used {
    user: String,
    token: String,
    made: Instant,
}

/// Clients that use every session that they are given, on either gateway, until shortly before its
/// end.
struct Load {
    sessions: Arc<Mutex<Vec<Used>>>,
    slots: Arc<Slots>,
    wrong: Arc<Mutex<Vec<String>>>,
    served: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(gateways: &[Gateway; 2]) -> Self {
        let slots = Arc::new(Slots::new([gateways[0].listen, gateways[1].listen]));
        let mut load = Self {
            sessions: Arc::default(),
            slots,
            wrong: Arc::default(),
            served: Arc::default(),
            stop: Arc::default(),
            tasks: Vec::new(),
        };
        load.tasks = (0..4).map(|seed| tokio::spawn(load.client(seed))).collect();
        load
    }

    fn client(&self, seed: u64) -> impl Future<Output = ()> + use<> {
        let (sessions, slots, wrong) = (
            self.sessions.clone(),
            self.slots.clone(),
            self.wrong.clone(),
        );
        let (served, stop, client, mut dice) = (
            self.served.clone(),
            self.stop.clone(),
            http(),
            Dice::new(seed),
        );
        async move {
            while !stop.load(Ordering::Relaxed) {
                // The pace of the load; nothing is waited for.
                tokio::time::sleep(Duration::from_millis(2)).await;
                let chosen = {
                    let mut sessions = sessions.lock().unwrap();
                    sessions.retain(|session| session.made.elapsed() < ABSOLUTE - END);
                    let at = usize::try_from(dice.below(sessions.len().max(1) as u64)).unwrap();
                    sessions
                        .get(at)
                        .map(|session| (session.user.clone(), session.token.clone(), session.made))
                };
                let (Some((user, token, made)), Some(at)) = (chosen, slots.any(&mut dice)) else {
                    continue;
                };
                // A process that has just ended refuses connections: balancers then take the next.
                let Ok(answer) = client
                    .get(format!("http://{at}/api/x"))
                    .bearer_auth(&token)
                    .try_stream()
                    .await
                else {
                    continue;
                };
                let status = answer.status().as_u16();
                let whose = answer.text().await.ok().and_then(|body| subject(&body));
                if status == 200 && whose == Some(hufu::sandbox::openid(APPID, &user)) {
                    served.fetch_add(1, Ordering::Relaxed);
                } else if made.elapsed() < ABSOLUTE {
                    wrong.lock().unwrap().push(format!(
                        "{user}: {status} {whose:?}, {} ms after the login",
                        made.elapsed().as_millis()
                    ));
                }
            }
        }
    }

    async fn add(&self, gateway: &Gateway, user: &str) {
        let made = monotonic_now();
        let token = gateway.token(user).await;
        self.sessions.lock().unwrap().push(Used {
            user: user.to_owned(),
            token,
            made,
        });
    }

    /// Waits until both processes have met most of the sessions. A machine that stalls is given
    /// another session when the load has outlived all.
    async fn goes_on(&self, gateway: &Gateway) {
        let before = self.served.load(Ordering::Relaxed);
        until("the load to be served", async || {
            if self.sessions.lock().unwrap().is_empty() {
                self.add(gateway, "loaded").await;
            }
            self.served.load(Ordering::Relaxed) >= before + 40
        })
        .await;
    }
}

/// Everything that is done with sessions, begun on one process and gone on with on the other, both
/// ways.
async fn mixture_works(gateways: &[Gateway; 2], load: &Load, when: &str) {
    for (one, other) in [(&gateways[0], &gateways[1]), (&gateways[1], &gateways[0])] {
        load.add(one, "loaded").await;
        let mut users = 0;
        until("the sessions to live long enough", async || {
            users += 1;
            let began = monotonic_now();
            let wrong = handed_over(one, other, &format!("zhang{users}")).await;
            // Where the machine stalls they may end in the middle: then others begin.
            let is_over = began.elapsed() >= ABSOLUTE;
            assert!(is_over || wrong.is_none(), "{when}: {wrong:?}");
            wrong.is_none()
        })
        .await;
    }
    load.goes_on(&gateways[0]).await;
}

/// Two sessions of this user, made on one process: what is wrong with them.
async fn handed_over(one: &Gateway, other: &Gateway, user: &str) -> Option<String> {
    let is = |what: &str, found: &dyn Debug, as_expected: bool| {
        (!as_expected).then(|| format!("{what}: {found:?}"))
    };
    let (first, second) = (one.token(user).await, one.token(user).await);
    let called = call(other, "GET", "/api/x", &first).await;
    let (status, rotated) = call(other, "POST", "/auth/rotate", &first).await;
    let Some(fresh) = rotated["token"].as_str().filter(|_| status == 200) else {
        return Some(format!("rotated: {status} {rotated}"));
    };
    let session = call(one, "GET", "/auth/session", fresh).await;
    let again = call(one, "POST", "/auth/rotate", &first).await;
    let sessions = call(one, "GET", "/auth/sessions", fresh).await;
    let count = sessions.1["sessions"].as_array().map(Vec::len);
    let out = call(one, "POST", "/auth/logout", fresh).await;
    until("the logout to be everywhere", async || {
        call(other, "GET", "/api/x", fresh).await.0 == 401
    })
    .await;
    let all = call(other, "POST", "/auth/logout/all", &second).await;
    [
        is("the first", &called, called.0 == 200),
        is("the session", &session, session.0 == 200),
        is(
            "the same answer from the other process",
            &again,
            again.1["token"] == *fresh,
        ),
        is("the sessions", &sessions, count == Some(2)),
        is("the logout", &out, out.0 == 204),
        is(
            "all",
            &all,
            all == (200, serde_json::json!({ "revoked": 1 })),
        ),
    ]
    .into_iter()
    .flatten()
    .next()
}

/// Replaces one process after the other: start the new one, send it the load, stop the old one.
async fn roll(gateways: &mut [Gateway; 2], setup: &GatewayBuilder, load: &Load, step: &str) {
    for slot in 0..2 {
        let fresh = gateways[slot].successor(setup);
        load.slots.set(slot, Some(fresh.listen));
        let mut old = std::mem::replace(&mut gateways[slot], fresh);
        old.signal(Signal::SIGTERM);
        mixture_works(gateways, load, &format!("{step}, process {slot}")).await;
        assert_eq!(
            tokio::task::spawn_blocking(move || old.ended().code())
                .await
                .unwrap(),
            Some(0)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_rolls_change_the_key_and_sign_nobody_out() {
    let mut installation = Installation::new();
    let seconds = ABSOLUTE.as_secs();
    installation.times = format!(
        "session.idle_timeout = \"{seconds}s\"\nsession.absolute_timeout = \"{seconds}s\"\n"
    );
    let (old, new) = (generate_key(), generate_key());
    let first = installation.file(&[&old]).start();
    let mut gateways = [first.sibling(), first];
    let load = Load::start(&gateways);
    mixture_works(&gateways, &load, "before").await;
    roll(
        &mut gateways,
        &installation.file(&[&old, &new]),
        &load,
        "1. added behind",
    )
    .await;
    roll(
        &mut gateways,
        &installation.file(&[&new, &old]),
        &load,
        "2. moved to the front",
    )
    .await;
    let swapped = monotonic_now();
    until("the last session of the old key to end", async || {
        load.add(&gateways[0], "between").await;
        // A session now and then, until the time is over.
        tokio::time::sleep(Duration::from_millis(50)).await;
        swapped.elapsed() > ABSOLUTE
    })
    .await;
    roll(
        &mut gateways,
        &installation.file(&[&new]),
        &load,
        "3. removed",
    )
    .await;
    load.stop.store(true, Ordering::Relaxed);
    for task in load.tasks {
        task.await.unwrap();
    }
    let wrong = std::mem::take(&mut *load.wrong.lock().unwrap());
    println!(
        "{} requests during three rolls, {} wrong",
        load.served.load(Ordering::Relaxed),
        wrong.len()
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
    walk(&installation.redis, "hufu").assert_sound();
    for gateway in &gateways {
        assert_eq!(
            gateway
                .counted("hufu_session_lookups_total{outcome=\"invalid_token\"}")
                .await,
            0
        );
        assert_eq!(
            gateway
                .counted("hufu_session_lookups_total{outcome=\"unreadable\"}")
                .await,
            0
        );
        gateway.assert_not_logged("cannot be read");
    }
}

#[tokio::test]
async fn a_key_that_is_removed_at_once_signs_its_sessions_out_and_they_are_counted() {
    let installation = Installation::new();
    let (old, new) = (generate_key(), generate_key());
    let before = installation.file(&[&old]).start();
    let token = before.token("zhang").await;
    let after = before.successor(&installation.file(&[&new]));
    for (path, code) in [
        ("/api/x", "token_invalid"),
        ("/auth/session", "token_invalid"),
    ] {
        let (status, body) = call(&after, "GET", path, &token).await;
        assert_eq!((status, body["code"].as_str()), (401, Some(code)));
    }
    assert_eq!(
        after
            .counted("hufu_session_lookups_total{outcome=\"invalid_token\"}")
            .await,
        2
    );
    // The user signs in again, unseen, and the sessions that nothing opens any more are still
    // theirs to end.
    let fresh = after.token("zhang").await;
    assert_eq!(
        call(&after, "GET", "/auth/sessions", &fresh).await.1["sessions"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    assert_eq!(
        call(&after, "POST", "/auth/logout/all", &fresh).await,
        (200, serde_json::json!({ "revoked": 2 }))
    );
    assert_eq!(call(&before, "GET", "/auth/session", &token).await.0, 401);
    assert_eq!(walk(&installation.redis, "hufu").assert_sound().sessions, 0);
}

/// A process that came up with another naming key by mistake: sessions go on, and the log says what
/// does not.
#[tokio::test]
async fn another_naming_key_is_told_of() {
    let mut installation = Installation::new();
    let key = generate_key();
    let right = installation.file(&[&key]).start();
    let (phone, tablet) = (right.token("zhang").await, right.token("zhang").await);
    installation.naming_key = generate_key();
    let wrong = right.successor(&installation.file(&[&key]));
    let told = "a session was made with another secrets.naming_key";
    assert!(!wrong.stderr().contains(told));
    for token in [&phone, &tablet, &phone] {
        assert_eq!(
            call(&wrong, "GET", "/api/x", token).await.0,
            200,
            "nobody is signed out"
        );
    }
    wrong.logs(told).await;
    assert!(
        wrong.stderr().matches(told).count() <= 2,
        "each worker says it once: {}",
        wrong.stderr()
    );
    // What it does not find is the other device; the one that asks it ends.
    assert_eq!(call(&wrong, "POST", "/auth/logout", &phone).await.0, 204);
    until("the logout to be everywhere", async || {
        call(&right, "GET", "/api/x", &phone).await.0 == 401
    })
    .await;
    assert_eq!(call(&right, "GET", "/api/x", &tablet).await.0, 200);
    assert!(!right.stderr().contains(told));
    // The process with the right key finds everything.
    assert_eq!(
        call(&right, "POST", "/auth/logout/all", &tablet).await,
        (200, serde_json::json!({ "revoked": 1 }))
    );
}

/// The steps that operators read are those that are tested here.
#[test]
fn the_steps_of_the_page_are_these() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md"))
        .unwrap();
    let steps = page
        .split("To rotate a sealing key")
        .nth(1)
        .unwrap()
        .split("\n\n")
        .nth(1)
        .unwrap();
    let steps: Vec<&str> = steps
        .split("\n")
        .filter(|line| line.starts_with(|c: char| c.is_ascii_digit()))
        .collect();
    let said = [
        "**after** the old one",
        "Swap them",
        "Wait `session.absolute_timeout`",
    ];
    assert!(
        steps.len() == 3
            && steps
                .iter()
                .zip(said)
                .all(|(step, said)| step.contains(said)),
        "{steps:#?}"
    );
}
