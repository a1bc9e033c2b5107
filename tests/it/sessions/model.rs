//! Random sequences of login, use, rotation, revocation and expiry, against a model that a reader
//! can hold in the head: devices that live or do not, and tokens that hold one or have moved on.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::time::Duration;

use hufu::clock::UnixMillis;
use hufu::session::service::{SignIn, SignedIn};
use hufu::session::{
    Blocked, Claims, ClaimsChange, Lifetime, PatchLife, SessionRules, SessionService, SessionToken,
    UserKey, Written,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::json;

use crate::helpers::{Harness, Place, RedisServer, store::user, walk};

const USERS: usize = 2;
const CAP: usize = 3;
/// Tokens that a session may have left behind, as `store/successor.rs` has it.
const HOPS: usize = 8;

/// What somebody does. Numbers choose among the tokens that were ever given out.
#[derive(Debug, Clone)]
enum Step {
    Login(usize),
    /// A login whose session has expired a moment later.
    Ghost(usize),
    Use(usize),
    Rotate(usize),
    RotateWithoutGrace(usize),
    Logout(usize),
    LogoutAll(usize),
    /// A user signs out the device of a token, which may be a stranger's.
    EndDevice(usize, usize),
    /// An operator gives a user's claim this value.
    Change(usize, u32),
    /// An operator blocks a user for so many milliseconds.
    Block(usize, u64),
    Unblock(usize),
    Pass(u64),
}

fn step(time_passes: bool) -> impl Strategy<Value = Step> {
    let token = || 0..1000_usize;
    prop_oneof![
        4 => (0..USERS).prop_map(Step::Login),
        1 => (0..USERS).prop_map(Step::Ghost),
        6 => token().prop_map(Step::Use),
        5 => token().prop_map(Step::Rotate),
        1 => token().prop_map(Step::RotateWithoutGrace),
        2 => token().prop_map(Step::Logout),
        1 => (0..USERS).prop_map(Step::LogoutAll),
        2 => ((0..USERS), token()).prop_map(|(user, token)| Step::EndDevice(user, token)),
        6 => step_of_an_operator(),
        if time_passes { 4 } else { 0 } => (1..40_000_u64).prop_map(Step::Pass),
    ]
}

fn step_of_an_operator() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => ((0..USERS), any::<u32>()).prop_map(|(user, value)| Step::Change(user, value)),
        1 => ((0..USERS), 1..40_000_u64).prop_map(|(user, millis)| Step::Block(user, millis)),
        2 => (0..USERS).prop_map(Step::Unblock),
    ]
}

#[derive(Debug)]
struct Device {
    user: usize,
    created: u64,
    expiry: UnixMillis,
    deadline: UnixMillis,
    ended: bool,
}

#[derive(Debug)]
enum Holds {
    Device(usize),
    /// Moved on to another token, and opens its device until then.
    Moved(usize, UnixMillis),
    Nothing,
}

/// The model, and beside it the tokens that the gateway gave out.
struct Model {
    rules: SessionRules,
    now: UnixMillis,
    devices: Vec<Device>,
    tokens: Vec<(SessionToken, Holds)>,
    /// Of each user, in all sessions alike.
    claims: [Option<u32>; USERS],
    blocked: [Option<UnixMillis>; USERS],
}

impl Model {
    fn is_blocked(&self, user: usize) -> bool {
        self.blocked[user].is_some_and(|until| self.now < until)
    }

    fn lives(&self, device: usize) -> bool {
        !self.devices[device].ended && self.now < self.devices[device].expiry
    }

    /// The device that a token opens, and the token that holds it.
    fn opens(&self, token: usize) -> Option<(usize, usize)> {
        let mut at = token;
        for _ in 0..=HOPS {
            match self.tokens[at].1 {
                Holds::Device(device) => return self.lives(device).then_some((device, at)),
                Holds::Moved(to, until) if self.now < until => at = to,
                _ => return None,
            }
        }
        None
    }

    fn devices_of(&self, user: usize) -> Vec<usize> {
        let mut devices: Vec<_> = (0..self.devices.len())
            .filter(|device| self.devices[*device].user == user && self.lives(*device))
            .collect();
        devices.sort_by_key(|device| self.devices[*device].created);
        devices
    }

    fn login(&mut self, user: usize, idle: Duration, token: SessionToken) -> usize {
        let living = self.devices_of(user);
        for oldest in living.iter().take((living.len() + 1).saturating_sub(CAP)) {
            self.devices[*oldest].ended = true;
        }
        let deadline = self.now.plus(self.rules.lifetime.absolute);
        let device = Device {
            user,
            created: self.devices.len() as u64,
            expiry: self.now.plus(idle).min(deadline),
            deadline,
            ended: false,
        };
        self.devices.push(device);
        self.tokens
            .push((token, Holds::Device(self.devices.len() - 1)));
        self.devices.len() - 1
    }

    /// What a use does to the device, when the token holds it.
    fn used(&mut self, device: usize) {
        let (now, lifetime) = (self.now, self.rules.lifetime);
        let device = &mut self.devices[device];
        if lifetime.renewal_due(now, device.expiry.since(now), device.deadline) {
            device.expiry = lifetime.expiry(now, device.deadline);
        }
    }

    fn rotated(&mut self, token: usize, device: usize, grace: Duration, fresh: SessionToken) {
        let now = self.now;
        let expiry = self
            .rules
            .lifetime
            .expiry(now, self.devices[device].deadline);
        self.devices[device].expiry = expiry;
        self.tokens.push((fresh, Holds::Device(device)));
        let until = now.plus(grace).min(expiry);
        self.tokens[token].1 = if until > now {
            Holds::Moved(self.tokens.len() - 1, until)
        } else {
            Holds::Nothing
        };
    }

    fn end(&mut self, token: usize) -> bool {
        let opened = self.opens(token);
        if let Some((device, _)) = opened {
            self.devices[device].ended = true;
        }
        opened.is_some()
    }
}

/// One gateway beside its model.
struct Run<'a> {
    h: &'a Harness,
    model: Model,
    sessions: SessionService,
    without_grace: SessionService,
    ghosts: SessionService,
    users: Vec<UserKey>,
}

impl<'a> Run<'a> {
    fn new(h: &'a Harness, lifetime: Lifetime, rotate_grace: Duration) -> Self {
        let rules = SessionRules {
            lifetime,
            max_per_user: u32::try_from(CAP).unwrap(),
            rotate_grace,
        };
        let ghostly = Lifetime {
            idle: Duration::from_millis(1),
            ..lifetime
        };
        Self {
            h,
            model: Model {
                rules,
                now: UnixMillis(0),
                devices: Vec::new(),
                tokens: Vec::new(),
                claims: [None; USERS],
                blocked: [None; USERS],
            },
            sessions: h.service(rules),
            without_grace: h.service(SessionRules {
                rotate_grace: Duration::ZERO,
                ..rules
            }),
            ghosts: h.service(SessionRules {
                lifetime: ghostly,
                ..rules
            }),
            users: (0..USERS).map(|n| user(&format!("o{n}"))).collect(),
        }
    }

    async fn look_at_the_clock(&mut self) {
        // Over a real Redis nothing in these runs lasts as long as a lifetime, and the model's
        // clock stands still.
        if let Place::Memory(..) = self.h.place {
            self.model.now = self.h.now().await;
        }
    }

    async fn take(&mut self, step: &Step) {
        self.look_at_the_clock().await;
        let chosen =
            |n: &usize| (!self.model.tokens.is_empty()).then(|| n % self.model.tokens.len());
        match step {
            Step::Login(user) => {
                self.login(*user, false).await;
            }
            Step::Ghost(user) => {
                if let Some(ghost) = self.login(*user, true).await {
                    self.h.pass(Duration::from_millis(2)).await;
                    self.model.devices[ghost].ended = true;
                }
            }
            Step::Use(n) => {
                if let Some(token) = chosen(n) {
                    self.use_token(token).await;
                }
            }
            Step::Rotate(n) => {
                if let Some(token) = chosen(n) {
                    self.rotate(token, true).await;
                }
            }
            Step::RotateWithoutGrace(n) => {
                if let Some(token) = chosen(n) {
                    self.rotate(token, false).await;
                }
            }
            Step::Logout(n) => {
                if let Some(token) = chosen(n) {
                    self.sessions
                        .end(&self.model.tokens[token].0)
                        .await
                        .unwrap();
                    self.model.end(token);
                }
            }
            Step::LogoutAll(user) => {
                let living = self.model.devices_of(*user);
                assert_eq!(
                    self.sessions.end_all(&self.users[*user]).await.unwrap(),
                    living.len() as u64
                );
                living
                    .into_iter()
                    .for_each(|device| self.model.devices[device].ended = true);
            }
            Step::EndDevice(user, n) => {
                if let Some(token) = chosen(n) {
                    self.end_device(*user, token).await;
                }
            }
            Step::Change(user, value) => self.change(*user, *value).await,
            Step::Block(user, millis) => self.block(*user, *millis).await,
            Step::Unblock(user) => {
                let lifted = self.h.users().unblock(&self.users[*user]).await.unwrap();
                assert_eq!(lifted.is_some(), self.model.is_blocked(*user));
                self.model.blocked[*user] = None;
            }
            Step::Pass(millis) => self.h.pass(Duration::from_millis(*millis)).await,
        }
    }

    async fn change(&mut self, user: usize, value: u32) {
        let patch = serde_json::from_value(json!({ "n": value })).unwrap();
        let owner = &self.users[user];
        let changed = self
            .h
            .users()
            .change_claims(owner, &patch, PatchLife::Lasting);
        let living = self.model.devices_of(user).len() as u64;
        let ClaimsChange::Done { sessions, .. } = changed.await.unwrap() else {
            panic!("it fits")
        };
        assert_eq!(sessions, living);
        self.model.claims[user] = Some(value);
    }

    async fn block(&mut self, user: usize, millis: u64) {
        // See `look_at_the_clock`.
        let until = match self.h.place {
            Place::Memory(..) => Some(self.model.now.plus(Duration::from_millis(millis))),
            Place::Redis(..) => None,
        };
        let blocked = self.h.users().block(&self.users[user], until, "");
        let Blocked::Done { ended, block } = blocked.await.unwrap() else {
            panic!("its end is ahead")
        };
        let living = self.model.devices_of(user);
        assert_eq!(ended, living.len() as u64);
        for device in living {
            self.model.devices[device].ended = true;
        }
        self.model.blocked[user] = Some(block.until);
    }

    /// The device that was made; `None`: the user is blocked.
    async fn login(&mut self, user: usize, ghost: bool) -> Option<usize> {
        let service = if ghost { &self.ghosts } else { &self.sessions };
        let owner = self.users[user].clone();
        let sign_in = SignIn {
            token: service.draw_token(&owner),
            user: owner,
            unionid: None,
            session_key: None,
            claims: Claims::default(),
            client_address: None,
            device: String::new(),
            reserved_at: self.h.now().await,
            quota: None,
            patches: PatchLife::Lasting,
        };
        let issued = match service.issue(sign_in, |_| None).await.unwrap() {
            SignedIn::Issued(issued) if !self.model.is_blocked(user) => issued,
            SignedIn::Blocked(_) if self.model.is_blocked(user) => return None,
            other => panic!("{other:?}"),
        };
        let idle = if ghost {
            Duration::from_millis(1)
        } else {
            self.model.rules.lifetime.idle
        };
        let device = self.model.login(user, idle, issued.token);
        // The order of sessions that begin in the same millisecond is nobody's business.
        self.h.pass(Duration::from_millis(2)).await;
        Some(device)
    }

    async fn use_token(&mut self, token: usize) {
        let live = self
            .sessions
            .resolve(&self.model.tokens[token].0.id())
            .await
            .unwrap();
        let opened = self.model.opens(token);
        assert_eq!(
            live.as_ref().map(|live| live.id),
            opened.map(|(_, at)| self.model.tokens[at].0.id()),
            "token {token}"
        );
        let (Some(live), Some((device, at))) = (live, opened) else {
            return;
        };
        if at == token {
            self.model.used(device);
        }
        let device = &self.model.devices[device];
        assert_eq!(live.session.user, self.users[device.user]);
        assert_eq!(
            serde_json::to_value(&live.session.claims).unwrap(),
            self.model.claims[device.user].map_or_else(|| json!({}), |value| json!({ "n": value }))
        );
        if let (Place::Memory(..), true) = (&self.h.place, at == token) {
            assert_eq!(
                (live.expires_in, live.absolute_expires_in),
                (
                    device.expiry.since(self.model.now),
                    device.deadline.since(self.model.now)
                )
            );
        }
    }

    async fn rotate(&mut self, token: usize, with_grace: bool) {
        let service = if with_grace {
            &self.sessions
        } else {
            &self.without_grace
        };
        let issued = service.rotate(&self.model.tokens[token].0).await.unwrap();
        let opened = self.model.opens(token);
        assert_eq!(issued.is_some(), opened.is_some(), "token {token}");
        let (Some(issued), Some((device, at))) = (issued, opened) else {
            return;
        };
        if at == token {
            assert!(
                self.model
                    .tokens
                    .iter()
                    .all(|(other, _)| *other != issued.token),
                "a fresh one"
            );
            let grace = if with_grace {
                self.model.rules.rotate_grace
            } else {
                Duration::ZERO
            };
            self.model.rotated(token, device, grace, issued.token);
        } else {
            let Holds::Moved(to, _) = self.model.tokens[token].1 else {
                panic!("it has moved")
            };
            assert!(issued.token == self.model.tokens[to].0, "the same answer");
        }
    }

    async fn end_device(&mut self, user: usize, token: usize) {
        let mine = self
            .model
            .opens(token)
            .is_some_and(|(device, _)| self.model.devices[device].user == user);
        let ended = self
            .sessions
            .end_device(&self.users[user], &self.model.tokens[token].0.id())
            .await
            .unwrap();
        assert_eq!(ended, if mine { Written::Done } else { Written::Gone });
        if mine {
            self.model.end(token);
        }
    }

    /// Every device that should live is in its user's list under its present name, and no other.
    async fn compare(&mut self) {
        self.look_at_the_clock().await;
        for user in 0..USERS {
            let listed = self.sessions.devices(&self.users[user]).await.unwrap();
            let expected: BTreeSet<_> = self
                .model
                .devices_of(user)
                .into_iter()
                .map(|device| self.name_of(device))
                .collect();
            assert_eq!(
                listed.iter().map(|live| live.id).collect::<BTreeSet<_>>(),
                expected
            );
            assert!(listed.len() <= CAP);
            assert!(
                listed.is_sorted_by_key(|live| std::cmp::Reverse(live.session.created)),
                "newest first"
            );
        }
    }

    fn name_of(&self, device: usize) -> hufu::session::SessionId {
        let holder = self
            .model
            .tokens
            .iter()
            .find(|(_, holds)| matches!(holds, Holds::Device(held) if *held == device));
        holder.expect("every device is held by one token").0.id()
    }
}

async fn run(h: &Harness, lifetime: Lifetime, grace: Duration, steps: &[Step]) -> usize {
    let mut run = Run::new(h, lifetime, grace);
    for step in steps {
        run.take(step).await;
        run.compare().await;
    }
    // Whatever happened: no key without an expiry, and indexes and records agree once the expired
    // are swept.
    for user in 0..USERS {
        run.take(&Step::Unblock(user)).await;
        run.login(user, false).await;
    }
    assert!(
        h.look()
            .await
            .values()
            .all(|seen| seen.expires_in.is_some())
    );
    h.assert_consistent().await;
    run.model
        .tokens
        .iter()
        .filter(|(_, holds)| matches!(holds, Holds::Moved(..)))
        .count()
}

/// Draws the same steps each time: what a change of the code breaks is found with the change, and by
/// nobody later. `HUFU_SEED` has it draw others.
fn runner(config: Config) -> TestRunner {
    let seed = std::env::var("HUFU_SEED")
        .ok()
        .and_then(|seed| seed.parse::<u64>().ok());
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.unwrap_or(1).to_be_bytes());
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn sessions_in_memory_do_as_the_model_does() {
    let (runtime, moved) = (runtime(), Cell::new(0));
    let mut runner = runner(Config {
        cases: 400,
        failure_persistence: None,
        ..Config::default()
    });
    let steps = prop::collection::vec(step(true), 1..60);
    let outcome = runner.run(&steps, |steps| {
        let lifetime = Lifetime {
            idle: secs(60),
            absolute: secs(200),
        };
        moved.set(
            moved.get()
                + runtime.block_on(run(
                    &Harness::memory("hufu:model"),
                    lifetime,
                    secs(30),
                    &steps,
                )),
        );
        Ok(())
    });
    outcome.unwrap();
    // About one a run.
    assert!(moved.get() > 100, "the runs must rotate: {}", moved.get());
}

#[test]
fn sessions_in_redis_do_as_the_model_does() {
    let (server, runtime, cases) = (RedisServer::start(&[]), runtime(), Cell::new(0));
    let mut runner = runner(Config {
        cases: 25,
        failure_persistence: None,
        max_shrink_iters: 200,
        ..Config::default()
    });
    let steps = prop::collection::vec(step(false), 1..40);
    let outcome = runner.run(&steps, |steps| {
        cases.set(cases.get() + 1);
        let lifetime = Lifetime {
            idle: secs(3600),
            absolute: secs(7200),
        };
        runtime.block_on(async {
            let h = Harness::redis(
                &server.url(""),
                &server.url(""),
                &format!("hufu:model{}", cases.get()),
            );
            // A forward's life is bounded, as the checker knows.
            run(&h, lifetime, secs(600), &steps).await;
            walk(&server, &h.prefix).assert_sound();
        });
        Ok(())
    });
    outcome.unwrap();
}
