//! Tickets of real processes: `kill -9` in the middle of a fetch.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use hufu::clock::monotonic_now;
use hufu::crypto::random;
use hufu::sandbox::SandboxSettings;

use super::PATIENT;
use super::platform_api::{SECRET, client};
use crate::helpers::{
    APPID, Gateway, GatewayBuilder, RedisServer, Slots, http, live_sandbox, until,
};

/// Kills of each of two gateways.
const KILLS: usize = 50;
const KINDS: [&str; 2] = ["jsapi", "wx_card"];
const PATH: &str = "/cgi-bin/ticket/getticket";

fn config() -> String {
    let allowed = client("").replace("/wxa/msg_sec_check", PATH);
    format!("{PATIENT}apps.shop.timeout = \"1s\"\n{allowed}")
}

async fn ticket(gateway: &Gateway, kind: &str) -> Option<String> {
    let request = http().get(gateway.api(PATH)).query(&[("type", kind)]);
    let answer = request.bearer_auth(SECRET).await;
    Some(answer.json()["ticket"].as_str()?.to_owned())
}

/// Tickets of three seconds, and tokens, so that one is being fetched most of the time. Whatever was
/// cut off in the middle: every ticket that is handed out is the platform's and good, there is no
/// storm of fetches, and the gateways agree.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_kills_cost_no_good_ticket_and_no_storm() {
    let seed = u64::from_be_bytes(random::bytes());
    println!("seed {seed}");
    let redis = RedisServer::start(&[]);
    let wechat = Arc::new(live_sandbox(SandboxSettings {
        token_life: Duration::from_secs(3),
        ..SandboxSettings::default()
    }));
    let first = GatewayBuilder::new()
        .store(redis.url(""))
        .config(config())
        .start_with(wechat.clone());
    let gateways = [first.sibling(), first];
    let given = RefCell::new(BTreeMap::from(KINDS.map(|kind| (kind, BTreeSet::new()))));
    let asked = Cell::new(0_usize);
    let client = http();
    let began = monotonic_now();
    let ask = async |at| {
        asked.set(asked.get() + 1);
        let (kind, sent) = (KINDS[asked.get() % KINDS.len()], monotonic_now());
        let request = client.get(format!("http://{at}{PATH}"));
        let request = request.query(&[("type", kind)]).bearer_auth(SECRET);
        let Ok(answer) = request.try_send().await else {
            return false;
        };
        let body = answer.json();
        if let Some(ticket) = body["ticket"].as_str() {
            let is_good = wechat.platform.knows_ticket(APPID, kind, ticket);
            let promised = body["expires_in"].as_u64().unwrap();
            assert!(is_good || sent.elapsed().as_secs() >= promised, "{body}");
            let mut given = given.borrow_mut();
            given.get_mut(kind).unwrap().insert(ticket.to_owned());
        }
        true
    };
    let survivors = Slots::ask_under_kills(gateways, KILLS, seed, Gateway::platform_api, ask).await;
    let took = began.elapsed().as_secs();
    let platform = &wechat.platform;
    let (tickets, tokens) = (platform.calls("getticket"), platform.calls("stable_token"));
    let asked = asked.get();
    println!("{tickets} fetches of tickets, {tokens} of tokens in {took} s, asked {asked} times");
    let most = took + 2 * KILLS as u64 + 2;
    let reason = "one for each that ends, and one for each leader that died";
    assert!(tokens <= most, "{reason}");
    assert!(tickets <= KINDS.len() as u64 * most, "{reason}");
    for (kind, given) in given.into_inner() {
        assert!(!given.is_empty(), "no {kind} was given");
        until("the gateways to agree", async || {
            let one = ticket(&survivors[0], kind).await;
            one.is_some() && one == ticket(&survivors[1], kind).await
        })
        .await;
    }
}
