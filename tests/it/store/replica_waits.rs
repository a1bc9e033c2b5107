//! Many revocations at once, while the replica that they wait for says nothing.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use futures_util::future::join_all;
use hufu::metrics::{Exposition, Metrics};
use hufu::session::token::tag_of;
use hufu::session::{
    Blocked, ClaimsChange, ClaimsPatch, NewSession, PatchLife, SessionId, SessionToken, Written,
};
use hufu::store::{self, StoreSettings, Stores};

use crate::helpers::{
    Fault, HOUR, Link, RedisServer, follows, fresh_keys, new_session, session_of,
    store::{made, settings, user},
    two_stores::{calls, connection},
    until,
};

/// A master, the only replica that its stores wait for, and the stores.
struct Pair {
    master: RedisServer,
    replica: RedisServer,
    store: Stores,
    operators: Stores,
    metrics: Arc<Metrics>,
    issue: Box<dyn Fn(&str) -> SessionId>,
}

impl Pair {
    fn start() -> Self {
        // Longer than the scripts take on a machine that stands still now and then, and no wait may
        // delay one.
        Self::reached_by(Duration::from_secs(4), |master| master.url(""))
    }

    fn reached_by(timeout: Duration, url: impl FnOnce(&RedisServer) -> String) -> Self {
        let master = RedisServer::start(&[]);
        let replica = RedisServer::replica_of(&master);
        follows(&replica);
        let (keys, naming) = fresh_keys();
        let metrics = Arc::new(Metrics::new());
        let settings = StoreSettings {
            wait_replicas: 1,
            timeout,
            ..settings(&url(&master))
        };
        let opened = store::open(&settings, keys.clone(), naming.clone(), metrics.clone());
        let opened = opened.unwrap();
        Self {
            master,
            replica,
            store: opened.worker(),
            operators: opened.process(),
            metrics,
            issue: Box::new(move |name| {
                SessionToken::issue(&keys, tag_of(&naming, &user(name))).id()
            }),
        }
    }

    /// A login with room for one session, and which one it evicts.
    async fn sign_in(&self, name: &str) -> (SessionId, Vec<SessionId>) {
        let sessions = &self.store.sessions;
        let session = session_of(name, sessions.now().await.unwrap());
        let id = (self.issue)(name);
        let new = NewSession {
            max_per_user: 1,
            ..new_session(id, &session, HOUR)
        };
        (id, made(sessions.create(new).await.unwrap()).evicted)
    }

    fn counted(&self, outcome: &str) -> u64 {
        let page = self.metrics.encode(Exposition::Text).unwrap();
        let name = format!("hufu_store_replica_waits_total{{outcome=\"{outcome}\"}} ");
        let mut lines = page.lines();
        lines
            .find_map(|line| line.strip_prefix(&name))
            .map_or(0, |count| count.parse().unwrap())
    }

    /// Until Redis waits, or has waited.
    async fn waits(&self) {
        let mut inspector = connection(&self.master);
        until("a wait for the replica", async || {
            let clients: String = redis::cmd("INFO")
                .arg("clients")
                .query(&mut inspector)
                .unwrap();
            clients.contains("blocked_clients:1\r") || calls(&mut inspector, "wait") > 0
        })
        .await;
    }
}

#[tokio::test]
async fn a_silent_replica_fails_no_revocation_and_no_login_however_many_there_are() {
    let pair = Pair::start();
    let names: Vec<_> = (0..24).map(|number| format!("o{number}")).collect();
    let signed_in = join_all(names.iter().map(|name| pair.sign_in(name))).await;
    let ids: Vec<_> = signed_in.into_iter().map(|(id, _)| id).collect();
    let remove = async |number: usize| {
        let user = user(&names[number]);
        pair.store.sessions.remove(&ids[number], &user).await
    };
    pair.replica.freeze();
    let early = join_all((0..8).map(remove));
    let late = async {
        pair.waits().await;
        let removed = join_all((8..16).map(remove));
        // Each of them evicts the session before.
        let logins = join_all(names[16..].iter().map(|name| pair.sign_in(name)));
        tokio::join!(removed, logins)
    };
    let (early, (removed, logins)) = tokio::join!(early, late);
    for removed in early.into_iter().chain(removed) {
        assert_eq!(removed.unwrap(), Written::Done);
    }
    for (number, (_, evicted)) in (16..).zip(logins) {
        assert_eq!(evicted, [ids[number]]);
    }
    assert_eq!((pair.counted("replicated"), pair.counted("short")), (0, 24));

    pair.replica.thaw();
    follows(&pair.replica);
    until("the replica to confirm", async || {
        let (id, _) = pair.sign_in("o0").await;
        let removed = pair.store.sessions.remove(&id, &user("o0")).await;
        assert_eq!(removed.unwrap(), Written::Done);
        pair.counted("replicated") == 1
    })
    .await;
    let left: u32 = pair.replica.ask(&["DBSIZE"]).unwrap();
    assert_eq!(left, 16, "the sessions of eight users");
}

#[tokio::test]
async fn replicas_are_waited_for_only_when_something_has_ended() {
    let pair = Pair::reached_by(Duration::from_secs(20), |master| master.url(""));
    let mut inspector = connection(&pair.master);
    let (id, _) = pair.sign_in("o1").await;
    pair.sign_in("o2").await;
    assert_eq!(calls(&mut inspector, "wait"), 0);
    // Each asks first which sessions there are.
    assert_eq!(
        pair.store.sessions.remove_all(&user("o1")).await.unwrap(),
        1
    );
    let blocked = pair.store.users.block(&user("o2"), None, "").await.unwrap();
    assert!(matches!(blocked, Blocked::Done { ended: 1, .. }));
    assert_eq!(calls(&mut inspector, "wait"), 2);
    // It has ended already.
    let removed = pair.store.sessions.remove(&id, &user("o1")).await;
    assert_eq!(removed.unwrap(), Written::Gone);
    assert_eq!(
        pair.store.sessions.remove_all(&user("o1")).await.unwrap(),
        0
    );
    assert_eq!(calls(&mut inspector, "wait"), 2);
    assert_eq!(pair.counted("replicated") + pair.counted("short"), 2);
}

/// A master that is reached over a link, and its user `o1`, who has just signed in.
async fn pair_over_a_link() -> (Pair, Link) {
    let mut link = None;
    let pair = Pair::reached_by(Duration::from_secs(20), |master| {
        link.insert(Link::to(master.port())).url()
    });
    // The evictions use each of the two connections that take turns. One that was just made is not
    // replaced.
    for _ in 0..3 {
        pair.sign_in("o1").await;
    }
    assert_eq!(pair.counted("replicated") + pair.counted("short"), 2);
    (pair, link.unwrap())
}

/// The connection closes in the place of the so-manieth answer of a script.
fn closes_at(number: usize) -> Fault {
    Fault::CloseOne("EVALSHA", Arc::new(AtomicUsize::new(number)))
}

/// What is repeated finds nothing left to end or to evict.
#[tokio::test]
async fn replicas_are_waited_for_when_a_connection_that_closed_made_a_call_repeat_itself() {
    let (pair, link) = pair_over_a_link().await;
    let sessions = &pair.store.sessions;
    let waits = || pair.counted("replicated") + pair.counted("short");
    // The second script names the session.
    link.set(closes_at(2));
    let (id, _) = pair.sign_in("o1").await;
    assert_eq!(waits(), 3);
    link.set(closes_at(1));
    let removed = sessions.remove(&id, &user("o1")).await;
    assert_eq!(removed.unwrap(), Written::Gone);
    assert_eq!(waits(), 4);
    pair.sign_in("o1").await;
    link.set(closes_at(2));
    assert_eq!(sessions.remove_all(&user("o1")).await.unwrap(), 0);
    assert_eq!(waits(), 5);
}

#[tokio::test]
async fn a_silent_replica_fails_no_call_of_an_operator_however_many_there_are() {
    let pair = Pair::start();
    let users: Vec<_> = (0..50).map(|number| user(&format!("o{number}"))).collect();
    pair.replica.freeze();
    let blocks = users
        .iter()
        .map(|user| pair.operators.users.block(user, None, ""));
    for blocked in join_all(blocks).await {
        assert!(matches!(blocked.unwrap(), Blocked::Done { .. }));
    }
    assert_eq!((pair.counted("replicated"), pair.counted("short")), (0, 50));
}

#[tokio::test]
async fn changes_of_one_users_claims_do_not_wait_for_each_others_replicas() {
    let pair = Pair::start();
    pair.sign_in("o1").await;
    let owner = user("o1");
    let patch: ClaimsPatch = serde_json::from_str(r#"{"role":"staff"}"#).unwrap();
    pair.replica.freeze();
    let changes = (0..8).map(|_| {
        let users = &pair.operators.users;
        users.change_claims(&owner, &patch, PatchLife::Lasting)
    });
    for changed in join_all(changes).await {
        assert!(matches!(changed.unwrap(), ClaimsChange::Done { .. }));
    }
    assert_eq!((pair.counted("replicated"), pair.counted("short")), (0, 8));
}
