//! The near cache against real Redis: how seldom it asks, how soon it forgets, and what it does when Redis is away.

use std::sync::Arc;
use std::time::Duration;

use hufu::clock::monotonic_now;
use hufu::metrics::Metrics;
use hufu::session::{Lookup, SessionId, SessionStore};
use hufu::store::near_cache::NearCacheSettings;
use hufu::store::{StoreSettings, StoreUrl};

use crate::helpers::gateway::{Gateway, Setup, route};
use crate::helpers::redis_server::RedisServer;
use crate::helpers::servers::{echo_upstream, http};
use crate::helpers::store::{Harness, user};
use crate::helpers::wait::until;

const HOUR: Duration = Duration::from_secs(3600);
const CACHE: NearCacheSettings = NearCacheSettings { capacity: 10_000, max_stale: Duration::from_millis(500), outage_grace: Duration::from_millis(1500) };

/// Two stores on one Redis with the same keys, as two gateways have them, and a third that makes sessions.
struct Two {
    near: Arc<dyn SessionStore>,
    other: Arc<dyn SessionStore>,
    maker: Harness,
}

impl Two {
    fn on(redis: &RedisServer, cache: NearCacheSettings) -> Self {
        let maker = Harness::on(redis);
        let settings = StoreSettings { near_cache: Some(cache), ..StoreSettings::new(StoreUrl::parse(&redis.url("")).unwrap()) };
        let open = || hufu::store::open(&settings, maker.keys.clone(), maker.naming.clone(), Arc::new(Metrics::new())).unwrap().for_worker();
        Self { near: open(), other: open(), maker }
    }

    async fn session(&self) -> SessionId {
        self.maker.sign_in(&user("o1"), HOUR, HOUR).await
    }
}

fn found(lookup: &Lookup) -> bool {
    matches!(lookup, Lookup::Found(_))
}

fn connection(redis: &RedisServer) -> redis::Connection {
    redis::Client::open(redis.url("")).unwrap().get_connection().unwrap()
}

/// How often Redis was asked for a value.
fn reads(connection: &mut redis::Connection) -> u64 {
    let stats: String = redis::cmd("INFO").arg("commandstats").query(connection).unwrap();
    let line = stats.lines().find_map(|line| line.strip_prefix("cmdstat_get:calls="));
    line.and_then(|rest| rest.split(',').next()).map_or(0, |calls| calls.parse().unwrap())
}

#[tokio::test]
async fn two_hundred_calls_hardly_ask_redis_and_made_up_tokens_never_do() {
    let redis = RedisServer::start(&[]);
    let echo = echo_upstream();
    let gateway = Gateway::with(&Setup { store: redis.url(""), config: route("/api", &echo.url, "required") });
    let token = gateway.token("alice").await;
    let mut inspector = connection(&redis);
    let before = reads(&mut inspector);
    let client = http();
    for _ in 0..200 {
        assert_eq!(client.get(gateway.at("/api")).bearer_auth(&token).send().await.unwrap().status(), 200);
    }
    let after = reads(&mut inspector);
    assert!(after - before < 20, "{} reads for 200 calls", after - before);
    for n in 0..200 {
        let made_up = format!("{}{n:03}", &token[..53]);
        assert_eq!(client.get(gateway.at("/api")).bearer_auth(&made_up).send().await.unwrap().status(), 401);
    }
    assert_eq!(reads(&mut inspector), after, "a made-up token reached Redis");
}

#[tokio::test]
async fn a_revocation_on_one_gateway_is_known_on_the_other() {
    let redis = RedisServer::start(&[]);
    let two = Two::on(&redis, CACHE);
    let mut took = Vec::new();
    for _ in 0..200 {
        let id = two.session().await;
        assert!(found(&two.near.load(&id).await.unwrap()) && found(&two.near.load(&id).await.unwrap()));
        assert_eq!(two.other.remove(&id, &user("o1")).await.unwrap(), hufu::session::Written::Done);
        let revoked = monotonic_now();
        while found(&two.near.load(&id).await.unwrap()) {
            assert!(revoked.elapsed() < Duration::from_secs(1), "the revocation was not pushed");
            tokio::task::yield_now().await;
        }
        took.push(revoked.elapsed());
    }
    took.sort();
    println!("revocation on one gateway until the other refuses: median {:?}, worst {:?} of {}", took[100], took[199], took.len());
}

#[tokio::test]
async fn no_load_that_a_deletion_overtakes_is_kept() {
    const RACES: usize = 20_000;
    const AT_ONCE: usize = 100;
    let redis = RedisServer::start(&[]);
    let two = Two::on(&redis, CACHE);
    let mut deleter = redis::Client::open(redis.url("")).unwrap().get_multiplexed_async_connection().await.unwrap();
    let mut stale = 0;
    for _ in 0..RACES / AT_ONCE {
        let mut ids = Vec::new();
        for _ in 0..AT_ONCE {
            ids.push(two.maker.sign_in(&user(&format!("o{}", ids.len())), HOUR, HOUR).await);
        }
        let mut deletions = redis::pipe();
        for id in &ids {
            deletions.cmd("DEL").arg(two.maker.key_of(id)).ignore();
        }
        let loads = futures_util::future::join_all(ids.iter().map(|id| two.near.load(id)));
        let (_, deleted) = tokio::join!(loads, deletions.query_async::<()>(&mut deleter));
        deleted.unwrap();
        // Whatever was pushed has arrived once a later answer of the same connection has.
        two.near.now().await.unwrap();
        for id in &ids {
            stale += usize::from(found(&two.near.load(id).await.unwrap()));
        }
    }
    assert_eq!(stale, 0, "of {RACES}");
}

#[tokio::test]
async fn a_flush_a_hand_and_a_cut_connection_are_noticed() {
    let redis = RedisServer::start(&[]);
    let two = Two::on(&redis, CACHE);
    let mut hand = connection(&redis);
    let gone = async |id: &SessionId, what: &str| until(what, async || (!found(&two.near.load(id).await.unwrap())).then_some(())).await;

    let id = two.session().await;
    assert!(found(&two.near.load(&id).await.unwrap()));
    redis::cmd("DEL").arg(two.maker.key_of(&id)).exec(&mut hand).unwrap();
    gone(&id, "a deletion by hand to be noticed").await;

    let id = two.session().await;
    assert!(found(&two.near.load(&id).await.unwrap()));
    redis::cmd("FLUSHALL").exec(&mut hand).unwrap();
    gone(&id, "the flush to be noticed").await;

    let id = two.session().await;
    assert!(found(&two.near.load(&id).await.unwrap()));
    // Nobody is told of a deletion while the pushing connections are cut.
    redis::pipe()
        .cmd("CLIENT")
        .arg("KILL")
        .arg("TYPE")
        .arg("normal")
        .arg("SKIPME")
        .arg("yes")
        .ignore()
        .cmd("DEL")
        .arg(two.maker.key_of(&id))
        .ignore()
        .exec(&mut hand)
        .unwrap();
    gone(&id, "the deletion behind the cut to be noticed").await;

    let missing = two.maker.unknown();
    assert!(!found(&two.near.load(&missing).await.unwrap()));
    let id = two.session().await;
    assert!(found(&two.near.load(&id).await.unwrap()), "a miss is not kept against a login");
}

#[tokio::test]
async fn an_outage_is_ridden_out_for_the_grace_and_never_mistaken_for_a_logout() {
    let mut redis = RedisServer::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let two = Two::on(&redis, CACHE);
    let (kept, missing) = (two.session().await, two.maker.unknown());
    assert!(found(&two.near.load(&kept).await.unwrap()) && !found(&two.near.load(&missing).await.unwrap()));
    redis.freeze();
    let started = monotonic_now();
    let served = until("the grace to end", async || match two.near.load(&kept).await {
        Ok(lookup) => {
            assert!(found(&lookup), "a frozen store must not sign anybody out");
            None
        }
        Err(_) => Some(started.elapsed()),
    })
    .await;
    println!("a frozen Redis: the kept session was served for {served:?}");
    assert!(two.near.load(&missing).await.is_err(), "a missing session is not told on a guess");
    redis.thaw();
    until("the session after the thaw", async || two.near.load(&kept).await.ok().filter(found)).await;

    redis.kill();
    assert!(found(&two.near.load(&kept).await.unwrap()), "within the grace");
    assert!(two.near.load(&missing).await.is_err());
    until("the grace to end", async || two.near.load(&kept).await.err()).await;
    redis.start_again(&[]);
    until("the session after the restart", async || two.near.load(&kept).await.ok().filter(found)).await;
    assert_eq!(two.other.remove(&kept, &user("o1")).await.unwrap(), hufu::session::Written::Done);
    until("the revocation after the restart", async || two.near.load(&kept).await.ok().filter(|lookup| !found(lookup))).await;
}

#[tokio::test]
async fn a_server_that_may_not_push_is_asked_every_time() {
    let redis = RedisServer::start_with_file("save \"\"\nuser default on nopass ~* &* +@all -client|tracking\n", &[]);
    let two = Two::on(&redis, CACHE);
    let id = two.session().await;
    let mut inspector = connection(&redis);
    let before = reads(&mut inspector);
    for _ in 0..10 {
        assert!(found(&two.near.load(&id).await.unwrap()));
    }
    assert_eq!(reads(&mut inspector) - before, 10);
    assert_eq!(two.other.remove(&id, &user("o1")).await.unwrap(), hufu::session::Written::Done);
    assert!(!found(&two.near.load(&id).await.unwrap()));
}
