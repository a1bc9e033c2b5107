//! How often somebody may log in, through real gateways; and who sends tokens that nobody issued.

use futures_util::future::join_all;
use hufu::clock::monotonic_now;
use hufu::crypto::keyring::Keyring;
use hufu::session::SessionToken;
use serde_json::{Value, json};

use crate::helpers::{Gateway, HttpAnswer, RedisServer, echo_upstream, http, until};

/// The tests come from this machine: it is the proxy that they come through.
const BEHIND_PROXY: &str = "server.trusted_proxies = [\"127.0.0.1\"]\n";

fn gateway(redis: &RedisServer, config: &str) -> Gateway {
    Gateway::on(&redis.url(""), config)
}

/// A login with this `X-Forwarded-For`.
async fn login_from(gateway: &Gateway, forwarded_for: &str, code: &str) -> HttpAnswer {
    gateway
        .post("/auth/login")
        .header("x-forwarded-for", forwarded_for)
        .json(&json!({ "code": code }))
        .await
}

/// Who asks from there is let in.
async fn lets_in(gateway: &Gateway, forwarded_for: &str, user: &str) {
    let answer = login_from(gateway, forwarded_for, &gateway.code(user)).await;
    assert_eq!(answer.status(), 200, "{forwarded_for}, {user}");
}

/// Who does not say from where is let in.
async fn lets_in_directly(gateway: &Gateway, user: &str) {
    let answer = gateway
        .login_with(json!({ "code": gateway.code(user) }))
        .await;
    assert_eq!(answer.status(), 200, "{user}");
}

/// The refusal says in every place the same.
async fn assert_limited(answer: HttpAnswer, policy: &str, amount: u64, window: u64) -> u64 {
    let header = |name: &str| answer.header(name).to_owned();
    assert_eq!(
        (answer.status(), header("x-hufu-error").as_str()),
        (429, "rate_limited")
    );
    let wait: u64 = header("retry-after").parse().unwrap();
    assert!((1..=window).contains(&wait), "{wait}");
    assert_eq!(
        header("ratelimit-policy"),
        format!("\"{policy}\";q={amount};w={window}")
    );
    assert_eq!(header("ratelimit"), format!("\"{policy}\";r=0;t={wait}"));
    assert_eq!(
        (
            header("content-type").as_str(),
            header("cache-control").as_str()
        ),
        ("application/problem+json", "no-store")
    );
    let body: Value = answer.json();
    assert_eq!(
        (&body["code"], &body["status"], &body["retry_after"]),
        (&json!("rate_limited"), &json!(429), &json!(wait))
    );
    wait
}

fn calls(gateway: &Gateway) -> u64 {
    gateway.wechat.platform.calls("jscode2session")
}

/// How often Redis ran anything but what this very question costs.
fn commands(redis: &RedisServer) -> u64 {
    let stats: String = redis.ask(&["INFO", "commandstats"]).unwrap();
    let lines = stats.lines().filter(|line| {
        ["evalsha", "script", "get", "set", "pttl", "time"]
            .iter()
            .any(|c| line.starts_with(&format!("cmdstat_{c}")))
    });
    let calls: Vec<u64> = lines
        .map(|line| {
            line.split("calls=")
                .nth(1)
                .unwrap()
                .split(',')
                .next()
                .unwrap()
                .parse()
                .unwrap()
        })
        .collect();
    assert!(!calls.is_empty(), "{stats}");
    calls.iter().sum()
}

#[tokio::test]
async fn two_gateways_share_the_quota_of_an_address_whatever_it_forwards() {
    let redis = RedisServer::start(&[]);
    let one = gateway(
        &redis,
        &format!("{BEHIND_PROXY}login.rate_limit.per_ip = \"6/1h\"\n"),
    );
    let other = one.sibling();
    for n in 0..6 {
        let gateway = if n % 2 == 0 { &one } else { &other };
        // What a client writes there itself stands left of what the proxy adds.
        let answer = login_from(
            gateway,
            &format!("203.0.113.{n}, 198.51.100.7"),
            &one.code(&format!("user{n}")),
        )
        .await;
        assert_eq!(answer.status(), 200, "{n}");
    }
    let refused = one.code("late");
    for (n, gateway) in [&one, &other, &one, &other].into_iter().enumerate() {
        let answer = login_from(gateway, &format!("203.0.113.{n}, 198.51.100.7"), &refused).await;
        assert!(assert_limited(answer, "per_ip", 6, 3600).await <= 600);
    }
    assert_eq!(calls(&one), 6, "what is refused asks nobody");
    assert_eq!(
        login_from(&other, "198.51.100.8", &refused).await.status(),
        200,
        "the code is as good as before"
    );
    assert_eq!(calls(&one), 7);
}

#[tokio::test]
async fn an_ipv6_network_has_one_quota() {
    let gateway = Gateway::start(&format!(
        "{BEHIND_PROXY}login.rate_limit.per_ip = \"3/1h\"\n"
    ));
    for host in 1..=3 {
        lets_in(&gateway, &format!("2001:db8:0:1::{host}"), "alice").await;
    }
    assert_limited(
        login_from(&gateway, "2001:db8:0:1:ffff::9", &gateway.code("alice")).await,
        "per_ip",
        3,
        3600,
    )
    .await;
    lets_in(&gateway, "2001:db8:0:2::1", "alice").await;
}

#[tokio::test]
async fn an_untrusted_peer_is_limited_by_its_own_address() {
    let gateway = Gateway::start(
        "server.trusted_proxies = [\"192.0.2.1\"]\nlogin.rate_limit.per_ip = \"3/1h\"\n",
    );
    for n in 0..3 {
        lets_in(&gateway, &format!("203.0.113.{n}"), "alice").await;
    }
    assert_limited(
        login_from(&gateway, "203.0.113.200", &gateway.code("alice")).await,
        "per_ip",
        3,
        3600,
    )
    .await;
    assert!(!gateway.stderr().contains("server.trusted_proxies"));
}

#[tokio::test]
async fn a_proxy_that_nobody_named_is_not_limited_and_one_line_says_what_to_set() {
    let gateway = Gateway::start("login.rate_limit.per_ip = \"3/1h\"\n");
    let silent_proxy = Gateway::start(&format!(
        "{BEHIND_PROXY}login.rate_limit.per_ip = \"3/1h\"\n"
    ));
    for n in 0..10 {
        assert_eq!(
            silent_proxy
                .login_with(json!({ "code": silent_proxy.code("alice") }))
                .await
                .status(),
            200,
            "{n}: for whom does it ask?"
        );
        lets_in(&gateway, &format!("203.0.113.{n}"), "alice").await;
    }
    let told = |log: &str| {
        log.lines()
            .filter(|line| line.contains("server.trusted_proxies"))
            .count()
    };
    assert_eq!(told(&gateway.stderr()), 1, "{}", gateway.stderr());
    for _ in 0..3 {
        lets_in_directly(&gateway, "bob").await;
    }
    assert_limited(
        gateway
            .login_with(json!({ "code": gateway.code("bob") }))
            .await,
        "per_ip",
        3,
        3600,
    )
    .await;
}

#[tokio::test]
async fn off_is_off() {
    let redis = RedisServer::start(&[]);
    let gateway = gateway(
        &redis,
        "login.rate_limit = { per_ip = \"off\", per_user = \"off\", per_app = \"off\" }\n",
    );
    for _ in 0..100 {
        lets_in_directly(&gateway, "alice").await;
    }
    assert_eq!(
        redis.ask::<Vec<String>>(&["KEYS", "hufu:l:*"]).unwrap(),
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn an_app_s_quota_bounds_the_calls_to_its_platform() {
    let redis = RedisServer::start(&[]);
    let one = gateway(
        &redis,
        &format!("{BEHIND_PROXY}login.rate_limit.per_app = \"5/1h\"\n"),
    );
    let other = one.sibling();
    // A repeated code is exchanged once, and counts once.
    let first = one.code("first");
    for answer in join_all((0..20).map(|n| {
        login_from(
            if n % 2 == 0 { &one } else { &other },
            "198.51.100.1",
            &first,
        )
    }))
    .await
    {
        assert_eq!(answer.status(), 200);
    }
    assert_eq!(calls(&one), 1);
    let codes: Vec<_> = (0..60).map(|n| one.code(&format!("user{n}"))).collect();
    let addresses: Vec<_> = (0..60).map(|n| format!("198.51.100.{n}")).collect();
    let flood = codes
        .iter()
        .zip(&addresses)
        .enumerate()
        .map(|(n, (code, from))| login_from(if n % 2 == 0 { &one } else { &other }, from, code));
    let (mut fine, mut refused) = (0, 0);
    for answer in join_all(flood).await {
        match answer.status() {
            200 => fine += 1,
            _ => {
                assert_limited(answer, "per_app", 5, 3600).await;
                refused += 1;
            }
        }
    }
    assert_eq!((fine + refused, calls(&one)), (60, 5), "{fine} logins");
    let counted = one
        .counted("hufu_logins_total{app=\"shop\",outcome=\"rate_limited\"}")
        .await;
    assert_eq!(
        counted
            + other
                .counted("hufu_logins_total{app=\"shop\",outcome=\"rate_limited\"}")
                .await,
        refused
    );
}

#[tokio::test]
async fn one_address_cannot_use_up_the_quota_of_the_app() {
    let redis = RedisServer::start(&[]);
    let gateway = gateway(
        &redis,
        &format!("{BEHIND_PROXY}login.rate_limit = {{ per_ip = \"3/1h\", per_app = \"10/1h\" }}\n"),
    );
    let codes: Vec<_> = (0..100)
        .map(|n| gateway.code(&format!("user{n}")))
        .collect();
    join_all(
        codes
            .iter()
            .map(|code| login_from(&gateway, "198.51.100.1", code)),
    )
    .await;
    assert_eq!(calls(&gateway), 3);
    let answers = join_all(
        (2..9)
            .map(|n| (format!("198.51.100.{n}"), gateway.code("bob")))
            .map(async |(from, code)| login_from(&gateway, &from, &code).await),
    )
    .await;
    assert!(
        answers.iter().all(|answer| answer.status() == 200),
        "{answers:?}"
    );
    assert_limited(
        login_from(&gateway, "198.51.100.99", &gateway.code("bob")).await,
        "per_app",
        10,
        3600,
    )
    .await;
}

#[tokio::test]
async fn a_user_s_quota_counts_logins_and_rotations_wherever_they_come_from() {
    let redis = RedisServer::start(&[]);
    let echo = echo_upstream();
    let one = gateway(
        &redis,
        &format!(
            "{BEHIND_PROXY}session.max_per_user = 2\nlogin.rate_limit.per_user = \"4/1h\"\n{}",
            echo.route("/api", "required")
        ),
    );
    let other = one.sibling();
    let mut tokens = Vec::new();
    for (n, gateway) in [&one, &other, &one].into_iter().enumerate() {
        let answer = login_from(gateway, &format!("198.51.100.{n}"), &one.code("alice")).await;
        tokens.push(answer.json()["token"].as_str().unwrap().to_owned());
    }
    let rotate = async |gateway: &Gateway, token: &str| {
        gateway.post("/auth/rotate").bearer_auth(token).await
    };
    let rotated = rotate(&other, &tokens[2]).await;
    assert_eq!(rotated.status(), 200);
    let token = rotated.json()["token"].as_str().unwrap().to_owned();
    assert_limited(rotate(&one, &token).await, "per_user", 4, 3600).await;
    assert_limited(
        login_from(&other, "198.51.100.9", &one.code("alice")).await,
        "per_user",
        4,
        3600,
    )
    .await;
    // Nobody was signed out for the login that was refused, and signing out is never limited.
    for token in [&tokens[1], &token] {
        assert_eq!(one.get("/api").bearer_auth(token).await.status(), 200);
        one.sign_out(token).await;
    }
    lets_in(&one, "198.51.100.9", "bob").await;
    assert_eq!(
        one.counted("hufu_limits_total{policy=\"per_user\",outcome=\"refused\"}")
            .await,
        1
    );
}

#[tokio::test]
async fn who_is_far_beyond_the_quota_never_reaches_redis() {
    let redis = RedisServer::start(&[]);
    let gateway = gateway(
        &redis,
        "session.near_cache.push = \"off\"\nlogin.rate_limit.per_ip = \"2/1h\"\n",
    );
    for status in [200, 200, 429] {
        assert_eq!(
            gateway
                .login_with(json!({ "code": gateway.code("alice") }))
                .await
                .status(),
            status
        );
    }
    let before = commands(&redis);
    for _ in 0..200 {
        assert_limited(
            gateway
                .login_with(json!({ "code": gateway.code("alice") }))
                .await,
            "per_ip",
            2,
            3600,
        )
        .await;
    }
    assert_eq!(commands(&redis), before);
    assert_eq!(calls(&gateway), 2);
    assert_eq!(
        gateway
            .counted("hufu_limits_total{policy=\"per_ip\",outcome=\"refused_early\"}")
            .await,
        201
    );
}

#[tokio::test]
async fn without_redis_each_process_holds_the_quota_and_nobody_is_refused_for_ever() {
    let mut redis = RedisServer::start(&[]);
    let gateway = gateway(
        &redis,
        &format!("{BEHIND_PROXY}login.rate_limit.per_ip = \"20/20s\"\n"),
    );
    lets_in(&gateway, "198.51.100.1", "alice").await;
    redis.kill();
    let mut unavailable = 0;
    let limited = until("the process to hold the quota", async || {
        let answer = login_from(&gateway, "198.51.100.1", &gateway.code("alice")).await;
        match answer.status() {
            503 => {
                assert_eq!(answer.header("x-hufu-error"), "store_unavailable");
                unavailable += 1;
                None
            }
            _ => Some(answer),
        }
    })
    .await;
    assert_limited(limited, "per_ip", 20, 20).await;
    assert!(unavailable >= 19, "{unavailable}");
    assert_eq!(
        login_from(&gateway, "198.51.100.2", &gateway.code("bob"))
            .await
            .status(),
        503,
        "another address has its own"
    );
    assert!(
        gateway
            .counted("hufu_limits_total{policy=\"per_ip\",outcome=\"admitted_alone\"}")
            .await
            >= 19
    );
    redis.start_again(&[]);
    until("a login", async || {
        login_from(&gateway, "198.51.100.1", &gateway.code("alice"))
            .await
            .status()
            == 200
    })
    .await;
}

#[tokio::test]
async fn a_thousand_made_up_tokens_never_reach_redis_and_are_seen() {
    let redis = RedisServer::start(&[]);
    let echo = echo_upstream();
    let routes = echo.route("/api", "required") + &echo.route("/maybe", "optional");
    let gateway = gateway(
        &redis,
        &format!("{BEHIND_PROXY}session.near_cache.push = \"off\"\n{routes}"),
    );
    assert_eq!(
        gateway
            .get("/api")
            .bearer_auth(gateway.token("alice").await)
            .await
            .status(),
        200
    );
    let (before, began) = (commands(&redis), monotonic_now());
    let (foreign, client) = (Keyring::ephemeral(), http());
    let guess = async |n: u16| {
        let token = if n.is_multiple_of(3) {
            "null".to_owned()
        } else {
            SessionToken::issue(&foreign, n.to_be_bytes()).expose()
        };
        let (path, status) = [
            ("/api", 401),
            ("/maybe", 200),
            ("/auth/session", 401),
            ("/auth/verify", 401),
        ][usize::from(n % 4)];
        // One network, as far as anybody can tell.
        let answer = client
            .get(gateway.at(path))
            .header("x-forwarded-for", format!("2001:db8::{n:x}"))
            .bearer_auth(token)
            .await;
        assert_eq!(answer.status(), status);
    };
    for some in 0..20 {
        join_all((some * 50..(some + 1) * 50).map(guess)).await;
    }
    assert_eq!(commands(&redis), before, "Redis was asked");
    assert_eq!(
        gateway
            .counted("hufu_session_lookups_total{outcome=\"invalid_token\"}")
            .await,
        1000
    );
    // An address may send 30 in a minute.
    let minutes = 1 + began.elapsed().as_secs() / 60;
    let guessed = gateway.counted("hufu_guessed_tokens_total").await;
    assert!(
        (1000 - 30 * minutes..=970).contains(&guessed),
        "{guessed} in {minutes}"
    );
    let log = gateway.stderr();
    let told: Vec<_> = log
        .lines()
        .filter(|line| line.contains("never issued"))
        .collect();
    assert_eq!(told.len(), 1, "{log}");
    assert!(told[0].contains("2001:db8::"), "{told:?}");
}
