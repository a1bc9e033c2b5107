//! One code, many requests, several gateways: one call to the platform, one token, whoever dies
//! meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::helpers::{
    APP_SECRET, APPID, Fault, Gateway, HttpAnswer, Link, RedisServer, Script, Upstream,
    echo_upstream, http, subject, until, walk,
};

const API: &str = "jscode2session";

/// Two processes on one Redis.
fn pair(redis: &RedisServer, config: &str) -> [Gateway; 2] {
    let one = Gateway::on(&redis.url(""), config);
    let other = one.sibling();
    [one, other]
}

async fn slow_platform(gateway: &Gateway, delay_ms: u64) {
    let order = json!({ "api": API, "times": 1, "delay_ms": delay_ms });
    gateway.fault(order).await;
}

async fn platform_called(gateway: &Gateway) {
    until("the call to the platform", async || {
        gateway.wechat.platform.calls(API) > 0
    })
    .await;
}

async fn answered(answer: HttpAnswer) -> (u16, Value) {
    (answer.status(), answer.json())
}

/// All that the store holds, keys and values.
fn dump(redis: &RedisServer) -> Vec<u8> {
    let mut all = Vec::new();
    for key in redis.ask::<Vec<Vec<u8>>>(&["KEYS", "*"]).unwrap() {
        let mut connection = redis.connect("");
        let kind: String = redis::cmd("TYPE").arg(&key).query(&mut connection).unwrap();
        let values: Vec<Vec<u8>> = match kind.as_str() {
            "string" => vec![redis::cmd("GET").arg(&key).query(&mut connection).unwrap()],
            _ => redis::cmd("HGETALL")
                .arg(&key)
                .query(&mut connection)
                .unwrap(),
        };
        all.extend(key);
        all.extend(values.concat());
    }
    all
}

/// How often Redis has run a script.
pub(super) fn looks(redis: &RedisServer) -> u64 {
    let stats: String = redis.ask(&["INFO", "commandstats"]).unwrap();
    let line = stats.lines().find(|line| line.contains("_evalsha:"));
    let calls = line.and_then(|line| line.split_once("calls=")?.1.split_once(','));
    calls.map_or(0, |(calls, _)| calls.parse().unwrap())
}

/// The only reservation of a code ends by itself within this time. Here it ends now.
pub(super) fn lapse(redis: &RedisServer, longest: Duration) {
    let codes: Vec<String> = redis.ask(&["KEYS", "hufu:c:*"]).unwrap();
    let [code] = codes.as_slice() else {
        panic!("{codes:?}")
    };
    let left: i64 = redis.ask(&["PTTL", code]).unwrap();
    let longest = i64::try_from(longest.as_millis()).unwrap();
    assert!((1..=longest).contains(&left), "{left} ms");
    redis.ask::<()>(&["PEXPIRE", code, "1"]).unwrap();
}

#[tokio::test]
async fn twenty_requests_over_two_gateways_are_one_call_and_one_token() {
    let redis = RedisServer::start(&[]);
    let gateways = pair(&redis, "");
    // So slow that all twenty wait for the one.
    slow_platform(&gateways[0], 300).await;
    let body = json!({ "code": gateways[0].wechat.platform.login_code(APPID, "alice") });
    let all = join_all((0..20).map(|n| gateways[n % 2].login_with(body.clone()))).await;
    let mut bodies = BTreeMap::<String, usize>::new();
    for answer in all {
        let (status, mut body) = answered(answer).await;
        assert_eq!(status, 200, "{body}");
        // What is left of a time may have gone on by a second.
        for left in ["expires_in", "absolute_expires_in"] {
            assert!(
                body[left].as_u64().is_some_and(|seconds| seconds > 86_300),
                "{body}"
            );
            body[left] = Value::Null;
        }
        *bodies.entry(body.to_string()).or_default() += 1;
    }
    assert_eq!(bodies.len(), 1, "every answer is the same: {bodies:?}");
    assert_eq!(gateways[0].wechat.platform.calls(API), 1);
    let token = serde_json::from_str::<Value>(bodies.keys().next().unwrap()).unwrap()["token"]
        .as_str()
        .unwrap()
        .to_owned();
    let held = dump(&redis);
    assert!(
        redis
            .ask::<Vec<String>>(&["KEYS", "hufu:c:*"])
            .unwrap()
            .len()
            == 1,
        "the answer is kept for whoever comes again"
    );
    assert!(
        !held
            .windows(20)
            .any(|window| window == &token.as_bytes()[5..25]),
        "and nobody reads the token in it"
    );
    let replayed: u64 =
        join_all(gateways.iter().map(|gateway| {
            gateway.counted("hufu_logins_total{app=\"shop\",outcome=\"replayed\"}")
        }))
        .await
        .iter()
        .sum();
    assert_eq!(replayed, 19);
}

#[tokio::test]
async fn different_codes_never_share_a_result() {
    let (redis, echo) = (RedisServer::start(&[]), echo_upstream());
    let gateways = pair(&redis, &echo.route("/api", "required"));
    let client = http();
    // Fifteen users, two codes each, each code sent twice to either gateway; all at once.
    let sent = (0..120).map(async |n: usize| {
        let (user, gateway) = (format!("user{}", n % 15), &gateways[n / 15 % 2]);
        (user, gateway, n % 30)
    });
    let codes: Vec<String> = (0..30)
        .map(|n| {
            gateways[0]
                .wechat
                .platform
                .login_code(APPID, &format!("user{}", n % 15))
        })
        .collect();
    let checked = sent.map(|case| async {
        let (user, gateway, code) = case.await;
        let (status, login) =
            answered(gateway.login_with(json!({ "code": codes[code] })).await).await;
        assert_eq!(status, 200, "{login}");
        let token = login["token"].as_str().unwrap().to_owned();
        let seen = client.get(gateway.at("/api/x")).bearer_auth(&token).await;
        assert_eq!(seen.status(), 200);
        assert_eq!(
            subject(&seen.text()),
            Some(hufu::sandbox::openid(APPID, &user)),
            "the token is {user}'s own"
        );
        (code, token)
    });
    let tokens: BTreeSet<(usize, String)> = join_all(checked).await.into_iter().collect();
    assert_eq!(tokens.len(), 30, "a code has one token");
    assert_eq!(
        tokens
            .iter()
            .map(|(_, token)| token)
            .collect::<BTreeSet<_>>()
            .len(),
        30,
        "and a token one code"
    );
    assert_eq!(gateways[0].wechat.platform.calls(API), 30);
}

/// Whoever waits takes the code over when the reservation of the dead has lapsed. Had the platform
/// taken it from the dead, it says so: a code is good once. Else it is still good.
#[tokio::test]
async fn a_follower_outlives_its_leader() {
    for (taken, expected) in [(true, (400, Some("code_used"))), (false, (200, None))] {
        let redis = RedisServer::start(&[]);
        let [leader, follower] = pair(&redis, "apps.shop.timeout = \"10s\"\n");
        let code = leader.code("alice");
        let body = json!({ "code": code });
        slow_platform(&leader, 60_000).await;
        let first = tokio::spawn(leader.post("/auth/login").json(&body).try_send());
        platform_called(&leader).await;
        let die = async {
            leader.signal(Signal::SIGKILL);
            let before = looks(&redis);
            until("all to wait", async || looks(&redis) > before + 12).await;
            if taken {
                let query = [
                    ("appid", APPID),
                    ("secret", APP_SECRET),
                    ("js_code", &code),
                    ("grant_type", "authorization_code"),
                ];
                http()
                    .get(leader.wechat.server.at("/sns/jscode2session"))
                    .query(&query)
                    .await;
            }
            // The platform's time and two seconds; then comes a follower's own exchange.
            lapse(&redis, Duration::from_secs(12));
        };
        let followers = join_all((0..6).map(|_| follower.login_with(body.clone())));
        let (followers, ()) = tokio::join!(followers, die);
        let mut tokens = BTreeSet::new();
        for answer in followers {
            let (status, body) = answered(answer).await;
            assert_eq!((status, body["code"].as_str()), expected, "{body}");
            tokens.insert(body["token"].as_str().map(str::to_owned));
        }
        assert_eq!(tokens.len(), 1, "all who waited get one answer");
        assert!(
            first.await.unwrap().is_err(),
            "the leader's client is told nothing"
        );
        // The dead leader's call, the test's own where there is one, and one of all who waited.
        assert_eq!(follower.wechat.platform.calls(API), 2 + u64::from(taken));
    }
}

/// A phone that leaves a tunnel: its connection is gone, and it sends the same code again.
#[tokio::test]
async fn a_login_whose_client_hung_up_can_be_repeated() {
    let redis = RedisServer::start(&[]);
    let [one, other] = pair(&redis, "");
    slow_platform(&one, 400).await;
    let code = one.code("alice");
    let body = json!({ "code": code }).to_string();
    let mut phone = one.connect().await;
    let head = format!(
        "POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    phone
        .write_all(format!("{head}{body}").as_bytes())
        .await
        .unwrap();
    platform_called(&one).await;
    // With a reset, as a network that goes away leaves it.
    phone.set_zero_linger().unwrap();
    drop(phone);
    let (status, login) = answered(other.login_with(json!({ "code": code })).await).await;
    assert_eq!(
        (status, one.wechat.platform.calls(API)),
        (200, 1),
        "{login}"
    );
}

/// Redis does what it is told, and the gateway hears otherwise: nobody is given the token, so no
/// session and no answer stay.
#[tokio::test]
async fn a_login_that_failed_leaves_neither_session_nor_answer() {
    let redis = RedisServer::start(&[]);
    let link = Link::to(redis.port());
    let platform = Upstream::start(Script::held());
    let config = format!(
        "apps.slow = {{ appid = \"wxfedcba9876543210\", secret = \"s\", base_url = \"{}\" }}\n",
        platform.url
    );
    let gateway = Gateway::on(&link.url(), &config);
    // Once before, by a broken index: then Redis knows every script, and does not only say that it
    // does not.
    let login = json!({ "app": "shop", "code": gateway.code("zhang") });
    assert_eq!(gateway.login_with(login).await.status(), 200);
    let index = redis
        .ask::<Vec<String>>(&["KEYS", "hufu:u:*"])
        .unwrap()
        .remove(0);
    redis.ask::<()>(&["SET", &index, "not a hash"]).unwrap();
    assert_eq!(
        gateway
            .login_with(json!({ "app": "shop", "code": gateway.code("zhang") }))
            .await
            .status(),
        503
    );
    redis.ask::<()>(&["FLUSHDB"]).unwrap();

    let body = json!({ "app": "slow", "code": "any" });
    let fail = async {
        let called = async || platform.count("GET /sns/jscode2session") == 1;
        until("the call to the platform", called).await;
        link.set(Fault::Say(
            "OOM command not allowed when used memory > 'maxmemory'.",
        ));
        platform.set(Script::named(
            r#"{"openid":"o1","session_key":"dGhpcyBpcyAxNiBieXRlcw=="}"#,
        ));
    };
    let (answer, ()) = tokio::join!(gateway.login_with(body.clone()), fail);
    assert_eq!(
        (answer.status(), answer.header("x-hufu-error")),
        (503, "store_unavailable")
    );
    platform.set(Script::named(
        r#"{"errcode":40163,"errmsg":"code been used"}"#,
    ));
    let left = walk(&redis, "hufu").assert_sound();
    assert_eq!(
        (left.sessions, left.users, left.codes),
        (0, 0, 0),
        "{left:?}"
    );
    link.set(Fault::None);
    // A worker whose connection failed meanwhile takes a moment.
    let (status, again) = until("the store to recover", async || {
        let (status, again) = answered(gateway.login_with(body.clone()).await).await;
        (status != 503).then_some((status, again))
    })
    .await;
    assert_eq!(
        (status, again["code"].as_str()),
        (400, Some("code_used")),
        "at once: no reservation was left"
    );
}
