use super::*;

fn redis(url: &str) -> RedisUrl {
    match StoreUrl::parse(url).unwrap() {
        StoreUrl::Redis(redis) => redis,
        StoreUrl::Memory => panic!("{url}"),
    }
}

fn node(host: &str, port: u16) -> NodeAddress {
    NodeAddress {
        host: host.to_owned(),
        port,
    }
}

fn plain(host: &str, port: u16, tls: bool, db: u32) -> RedisUrl {
    RedisUrl {
        servers: RedisServers::One {
            at: ServerAddress::Node(node(host, port)),
            db,
        },
        tls,
        login: RedisLogin::default(),
    }
}

#[test]
fn one_server_is_read_as_redis_cli_reads_it() {
    assert_eq!(StoreUrl::parse("memory:").unwrap(), StoreUrl::Memory);
    assert_eq!(
        redis("redis://127.0.0.1"),
        plain("127.0.0.1", 6379, false, 0)
    );
    assert_eq!(
        redis("redis://cache.example:7000/3"),
        plain("cache.example", 7000, false, 3)
    );
    assert_eq!(
        redis("rediss://r-1_a.example:6380/"),
        plain("r-1_a.example", 6380, true, 0)
    );
    assert_eq!(redis("redis://[::1]:1/0"), plain("::1", 1, false, 0));
    assert_eq!(redis("redis://[::1]").to_string(), "redis://[::1]:6379/0");
    let with_user = redis("redis://hu%40fu:p%3As@s:s/%2Fword@h:1");
    assert_eq!(with_user.login.username.as_deref(), Some("hu@fu"));
    assert_eq!(
        with_user.login.password,
        Some(Secret::new("p:s@s:s//word".to_owned()))
    );
    let password_only = redis("redis://:tiger@h").login;
    assert_eq!(
        (password_only.username, password_only.password),
        (None, Some(Secret::new("tiger".to_owned())))
    );
    assert_eq!(redis("redis://hufu@h").login.password, None);
}

#[test]
fn a_socket_is_read_as_the_redis_crate_reads_it() {
    for (text, path, db, shown) in [
        (
            "redis+unix:///run/redis.sock",
            "/run/redis.sock",
            0,
            "redis+unix:///run/redis.sock?db=0",
        ),
        (
            "redis+unix:///run/redis.sock?db=3",
            "/run/redis.sock",
            3,
            "redis+unix:///run/redis.sock?db=3",
        ),
        (
            "redis+unix:///run/redis@1.sock",
            "/run/redis@1.sock",
            0,
            "redis+unix:///run/redis@1.sock?db=0",
        ),
        (
            "redis+unix:///a%20b%3F%23%25/%E8%99%8E.sock?",
            "/a b?#%/虎.sock",
            0,
            "redis+unix:///a%20b%3F%23%25/%E8%99%8E.sock?db=0",
        ),
        (
            "redis+unix:///r?user=hu%40fu&pass=p%26%3F%3D+%2A%2B&db=2",
            "/r",
            2,
            "redis+unix:///r?db=2",
        ),
    ] {
        let url = redis(text);
        assert_eq!(
            url.servers,
            RedisServers::One {
                at: ServerAddress::Socket(path.into()),
                db
            },
            "{text}"
        );
        assert_eq!((url.to_string().as_str(), url.tls), (shown, false));
        assert_eq!(redis(shown).servers, url.servers);
        let theirs = ::redis::IntoConnectionInfo::into_connection_info(text).unwrap();
        assert_eq!(
            theirs.addr(),
            &::redis::ConnectionAddr::Unix(path.into()),
            "{text}"
        );
        let ours = (
            url.login.username.as_deref(),
            url.login
                .password
                .as_ref()
                .map(|password| password.expose().as_str()),
        );
        assert_eq!(
            (
                theirs.redis_settings().username(),
                theirs.redis_settings().password()
            ),
            ours,
            "{text}"
        );
    }
    let login = redis("redis+unix:///r?user=hu%40fu&pass=p%26%3F%3D+%2A%2B").login;
    assert_eq!(
        (login.username.as_deref(), login.password),
        (Some("hu@fu"), Some(Secret::new("p&?= *+".to_owned())))
    );
    assert_eq!(
        ServerAddress::Socket("/run/a b\n.sock".into()).to_string(),
        "unix:/run/a%20b%0A.sock"
    );
}

#[test]
fn sentinels_and_clusters_are_lists() {
    let sentinel = redis("rediss+sentinel://hufu:tiger@s1,[::1]:7,s3:26380/my-master.1/2");
    let sentinels = vec![node("s1", 26379), node("::1", 7), node("s3", 26380)];
    assert_eq!(
        sentinel.servers,
        RedisServers::Sentinel {
            sentinels,
            master: "my-master.1".to_owned(),
            db: 2
        }
    );
    assert!(sentinel.tls && sentinel.login.username.as_deref() == Some("hufu"));
    assert_eq!(
        sentinel.to_string(),
        "rediss+sentinel://s1:26379,[::1]:7,s3:26380/my-master.1/2"
    );
    assert!(matches!(
        redis("redis+sentinel://s/m").servers,
        RedisServers::Sentinel { db: 0, .. }
    ));
    let cluster = redis("redis+cluster://:tiger@a:7000,b");
    assert_eq!(
        cluster.servers,
        RedisServers::Cluster {
            nodes: vec![node("a", 7000), node("b", 6379)]
        }
    );
    assert_eq!(cluster.to_string(), "redis+cluster://a:7000,b:6379");
    assert!(redis("rediss+cluster://a/0").tls && !cluster.tls);
}

#[test]
fn wrong_urls_are_refused_in_the_words_of_an_operator_without_the_password() {
    for (url, what) in [
        ("", "not a store"),
        ("tiger", "not a store"),
        ("localhost:6379", "not a store"),
        ("http://tiger@h", "not a store"),
        ("redis-cluster://tiger@h", "not a store"),
        ("memory://", "after memory:"),
        ("redis:h", "no //"),
        ("redis:/tiger@h", "no //"),
        ("redis://", "unreadable host"),
        ("redis://tiger@", "unreadable host"),
        ("redis://h h", "unreadable host"),
        ("redis://[::1", "unreadable host"),
        ("redis://[tiger]", "unreadable host"),
        ("redis://::1", "unreadable host"),
        ("redis://[::1]x", "port"),
        ("redis://h:0", "port"),
        ("redis://h:65536", "port"),
        ("redis://h:+1", "port"),
        ("redis://h:", "port"),
        ("redis://h/x", "database"),
        ("redis://h/-1", "database"),
        ("redis://h/0/1", "database"),
        ("redis://h/0?a=tiger", "options"),
        ("redis://:tiger#@h", "options"),
        ("redis://:tiger%ff@h", "UTF-8"),
        ("redis://:tiger@h,i", "several servers"),
        ("redis+sentinel://:tiger@h:1", "no master"),
        ("redis+sentinel://:tiger@h:1/", "no master"),
        ("redis+sentinel://:tiger@h:1//0", "no master"),
        ("redis+sentinel://:tiger@h:1/m m", "no master"),
        ("redis+sentinel://:tiger@h:1/m/x", "database"),
        ("redis+sentinel://:tiger@h:1,,i/m", "unreadable host"),
        ("redis+sentinel://:tiger@h:1,h:1/m", "names h:1 twice"),
        ("redis+cluster://:tiger@h:1,", "unreadable host"),
        ("redis+cluster://:tiger@h:1/1", "number 0 only"),
        ("redis+cluster://:tiger@h,h:6379", "names h:6379 twice"),
        ("redis+cluster:///run/redis.sock", "unreadable host"),
        ("redis+sentinel:///run/redis.sock/m", "unreadable host"),
        ("redis:///run/redis.sock?pass=tiger", "options"),
        ("unix:///run/redis.sock?pass=tiger", "not a store"),
        (
            "redis+unix+sentinel:///run/redis.sock?pass=tiger",
            "not a store",
        ),
        (
            "rediss+unix:///run/redis.sock?pass=tiger",
            "TLS, which a Unix socket does not have",
        ),
        ("redis+unix:/run/redis.sock?pass=tiger", "no //"),
        ("redis+unix://run/redis.sock?pass=tiger", "no absolute path"),
        ("redis+unix://:tiger@/run/redis.sock", "no absolute path"),
        ("redis+unix://", "no absolute path"),
        ("redis+unix:///", "no absolute path"),
        ("redis+unix:///run/?pass=tiger", "no absolute path"),
        ("redis+unix:///run/a%00b?pass=tiger", "no absolute path"),
        (
            concat!(
                "redis+unix:///tiger/x",
                "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
            ),
            "longer than",
        ),
        ("redis+unix:///run/redis.sock?db=x&pass=tiger", "database"),
        (
            "redis+unix:///run/redis.sock?db=1&db=1&pass=tiger",
            "names db twice",
        ),
        (
            "redis+unix:///run/redis.sock?pass=tiger&pass=tiger",
            "names pass twice",
        ),
        (
            "redis+unix:///run/redis.sock?password=tiger",
            "an option other than",
        ),
        (
            "redis+unix:///run/redis.sock?protocol=3&pass=tiger",
            "an option other than",
        ),
        ("redis+unix:///run/redis.sock?pass=tiger%ff", "UTF-8"),
        ("redis+unix:///run/redis.sock?pass=tiger#", "a #"),
    ] {
        let error = StoreUrl::parse(url).expect_err(url);
        assert!(
            error.what.contains(what) && !error.hint.is_empty(),
            "{url}: {error}"
        );
        assert!(
            !format!("{error} {error:?}").contains("tiger"),
            "{url}: {error}"
        );
    }
}
