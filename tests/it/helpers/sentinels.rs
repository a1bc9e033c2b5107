//! A master, its replica and three sentinels of the test's own.

use std::time::Duration;

use hufu::secret::Secret;
use hufu::store::StoreSettings;
use redis::FromRedisValue;

use super::redis_server::RedisServer;
use super::store::settings;
use super::wait::until_blocking;

/// The password of the sentinels; the servers with data have another.
pub(crate) const SENTINEL_PASSWORD: &str = "watchers";
/// What the sentinels call the master.
const NAME: &str = "sessions";

/// For how long a server may say nothing before the sentinels replace it. On a loaded machine a
/// live one may be silent for a second, and a test that kills the master has to know which one it
/// is.
const AT_EASE: Duration = Duration::from_secs(60);
/// The same once the test has taken the master away.
const CLOSELY: Duration = Duration::from_secs(1);
/// A sentinel that was not scheduled for two seconds replaces nobody for half a minute, unless it is
/// told to bear more. Servers before 7.0 do not know this.
const BEAR: [&str; 4] = ["SENTINEL", "DEBUG", "TILT-TRIGGER", "60000"];

/// Two servers with data, and who watches them.
pub(crate) struct SentinelGroup {
    /// The first master, and the first replica.
    pub(crate) servers: Vec<RedisServer>,
    sentinels: Vec<RedisServer>,
}

impl SentinelGroup {
    /// Starts everything, and waits until the replica follows and every sentinel knows it and the
    /// others.
    pub(crate) fn start() -> Self {
        let acl = shipped_user();
        let acl: Vec<&str> = acl.iter().map(String::as_str).collect();
        let data = [&acl[..], &["--repl-diskless-sync-delay", "0"]].concat();
        let master = RedisServer::start(&data);
        let port = master.port().to_string();
        let replica =
            RedisServer::start(&[&data[..], &["--replicaof", "127.0.0.1", &port]].concat());
        let watch = format!(
            "requirepass {SENTINEL_PASSWORD}\nsentinel sentinel-pass {SENTINEL_PASSWORD}\nsentinel monitor {NAME} 127.0.0.1 {port} 2\n\
             sentinel down-after-milliseconds {NAME} {}\nsentinel failover-timeout {NAME} 2000\n\
             user watcher on >{SENTINEL_PASSWORD} &+switch-master -@all +auth +hello +subscribe +sentinel|get-master-addr-by-name\n",
            AT_EASE.as_millis()
        );
        let sentinels = (0..3)
            .map(|_| RedisServer::start_sentinel(&watch))
            .collect();
        let group = Self {
            servers: vec![master, replica],
            sentinels,
        };
        follows(&group.servers[1]);
        for sentinel in 0..3 {
            group.ask_sentinel::<String>(sentinel, &BEAR);
            until_blocking("the sentinels to know each other and the replica", || {
                let known: Vec<(String, String)> =
                    group.ask_sentinel(sentinel, &["SENTINEL", "MASTER", NAME])?;
                let count = |name: &str| {
                    known
                        .iter()
                        .find(|(key, _)| key == name)
                        .map(|(_, value)| value.clone())
                };
                (count("num-slaves")? == "1" && count("num-other-sentinels")? == "2").then_some(())
            });
        }
        group
    }

    /// The store's URL, for the user of redis.conf.
    pub(crate) fn url(&self) -> String {
        let sentinels: Vec<_> = self
            .sentinels
            .iter()
            .map(|sentinel| format!("127.0.0.1:{}", sentinel.port()))
            .collect();
        format!(
            "redis+sentinel://hufu:tiger@{}/{NAME}/0",
            sentinels.join(",")
        )
    }

    /// The store's settings, with the login at the sentinels.
    pub(crate) fn settings(&self) -> StoreSettings {
        let mut settings = settings(&self.url());
        settings.sentinel_login.username = Some("watcher".to_owned());
        settings.sentinel_login.password = Some(Secret::new(SENTINEL_PASSWORD.to_owned()));
        settings
    }

    /// Which of the two servers all living sentinels call the master.
    pub(crate) fn master(&self) -> Option<usize> {
        let words = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME];
        let named: Vec<(String, u16)> = (0..3)
            .filter_map(|sentinel| self.ask_sentinel(sentinel, &words))
            .collect();
        let (_, port) = named.first()?;
        let agree = named.iter().all(|(_, named)| named == port);
        let place = self
            .servers
            .iter()
            .position(|server| server.port() == *port);
        place.filter(|_| agree)
    }

    /// Has the sentinels replace a master that is frozen or dead. Before this they let it be.
    pub(crate) fn watch_closely(&self) {
        self.down_after(CLOSELY);
    }

    /// Has them replace nobody any more.
    pub(crate) fn watch_at_ease(&self) {
        self.down_after(AT_EASE);
    }

    fn down_after(&self, silence: Duration) {
        let words = [
            "SENTINEL",
            "SET",
            NAME,
            "DOWN-AFTER-MILLISECONDS",
            &silence.as_millis().to_string(),
        ];
        let told = (0..3)
            .filter_map(|sentinel| self.ask_sentinel::<String>(sentinel, &words))
            .count();
        assert!(told >= 2, "{told} sentinels live");
    }

    /// How many connections listen to the sentinels' announcements.
    pub(crate) fn listeners(&self) -> usize {
        let clients =
            (0..3).filter_map(|index| self.ask_sentinel::<String>(index, &["CLIENT", "LIST"]));
        clients
            .map(|clients| {
                clients
                    .lines()
                    .filter(|line| line.contains(" sub=1 "))
                    .count()
            })
            .sum()
    }

    /// Ends a sentinel.
    pub(crate) fn kill_sentinel(&mut self, index: usize) {
        self.sentinels[index].kill();
    }

    /// Starts it again, with what it knew.
    pub(crate) fn start_sentinel_again(&mut self, index: usize) {
        self.sentinels[index].start_again(&[]);
        self.ask_sentinel::<String>(index, &BEAR);
    }

    fn ask_sentinel<T: FromRedisValue>(&self, index: usize, words: &[&str]) -> Option<T> {
        let mut connection = self.sentinels[index]
            .try_connect(&format!(":{SENTINEL_PASSWORD}@"))
            .ok()?;
        redis::cmd(words[0])
            .arg(&words[1..])
            .query(&mut connection)
            .ok()
    }
}

/// The user that redis.conf ships, with a password, as arguments for redis-server.
pub(crate) fn shipped_user() -> Vec<String> {
    let file = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/redis.conf")).unwrap();
    let user = file
        .lines()
        .find_map(|line| line.strip_prefix("user hufu on resetpass "))
        .unwrap();
    ["--user", "hufu", "on", ">tiger"]
        .into_iter()
        .chain(user.split(' '))
        .map(str::to_owned)
        .collect()
}

/// Waits until a server follows a master.
pub(crate) fn follows(server: &RedisServer) {
    // A server that sentinels have just made a replica closes its connections once more.
    let linked = |info: String| info.contains("master_link_status:up").then_some(());
    until_blocking("the replica to follow", || {
        server.ask(&["INFO", "replication"]).ok().and_then(linked)
    });
}

/// Waits until a replica has everything that its master has written so far.
pub(crate) fn replicated(master: &RedisServer) {
    let mut connection = master.connect("");
    // WAIT waits for the connection's own writes, and replicas take all writes in order.
    until_blocking("a replica to have all", || {
        // A slot of the node's own is found by trying.
        let mut write = |number: u32| {
            redis::cmd("SET")
                .arg(format!("test:{number}"))
                .arg("")
                .arg("EX")
                .arg(60)
                .exec(&mut connection)
        };
        assert!((0..10_000).any(|number| write(number).is_ok()));
        let reached: u32 = redis::cmd("WAIT")
            .arg(1)
            .arg(5000)
            .query(&mut connection)
            .unwrap();
        reached > 0
    });
}
