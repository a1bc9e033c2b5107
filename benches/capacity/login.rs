//! What a login costs of the gateway's processor: the real binary, with the sandbox as WeChat.

use std::process::Command;

use futures_util::{StreamExt as _, stream};
use hufu::crypto::keyring::generate_key;
use reqwest::Client;
use serde_json::{Value, json};

use crate::server::{Process, Redis, free_port};
use crate::told;

const LOGINS: u32 = 20_000;
/// Logins under way at once.
const AT_ONCE: usize = 32;
const APPID: &str = "wx0123456789abcdef";

pub(crate) async fn processor_time() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let redis = Redis::start();
    let port = free_port();
    let sandbox = Process::start(
        hufu().args(["sandbox", "--listen", &format!("127.0.0.1:{port}")]),
        port,
    );
    let (folder, port) = (
        tempfile::tempdir().expect("a folder can be made"),
        free_port(),
    );
    let config = folder.path().join("hufu.toml");
    std::fs::write(&config, configuration(port, &redis.url(), sandbox.port))
        .expect("a file can be written");
    let gateway = Process::start(hufu().args(["serve", "--config"]).arg(&config), port);

    let client = Client::builder().no_proxy().build().expect("a client");
    let codes: Vec<String> = stream::iter(0..LOGINS)
        .map(|user| code(&client, sandbox.port, user))
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let before = gateway.processor_time();
    stream::iter(codes.iter().enumerate())
        .map(|(user, code)| log_in(&client, gateway.port, user, code))
        .buffer_unordered(AT_ONCE)
        .collect::<()>()
        .await;
    told(
        "gateway, a login",
        (gateway.processor_time() - before) / f64::from(LOGINS),
        "µs",
    );
}

fn hufu() -> Command {
    Command::new(env!("CARGO_BIN_EXE_hufu"))
}

async fn code(client: &Client, sandbox: u16, user: u32) -> String {
    let body = json!({ "app": APPID, "user": format!("user{user}") });
    let answer = client
        .post(format!("http://127.0.0.1:{sandbox}/sandbox/code"))
        .json(&body)
        .send()
        .await
        .expect("the sandbox answers");
    let answer: Value = answer.json().await.expect("JSON");
    answer["code"].as_str().expect("a code").to_owned()
}

/// Each from a network of its own: limits by address are no part of this.
async fn log_in(client: &Client, gateway: u16, user: usize, code: &str) {
    let address = format!("10.{}.{}.7", user / 256 % 256, user % 256);
    let login = client
        .post(format!("http://127.0.0.1:{gateway}/auth/login"))
        .header("X-Forwarded-For", address)
        .json(&json!({ "code": code }));
    let answer = login.send().await.expect("the gateway answers");
    assert_eq!(answer.status(), 200, "{:?}", answer.text().await);
}

fn configuration(port: u16, redis: &str, sandbox: u16) -> String {
    format!(
        "server.listen = \"127.0.0.1:{port}\"\nserver.workers = 1\nserver.trusted_proxies = [\"127.0.0.1\"]\nadmin.listen = \"127.0.0.1:{}\"\n\
         log.format = \"json\"\nstore.url = \"{redis}\"\nsecrets.keys = [\"{}\"]\nsecrets.naming_key = \"{}\"\n\
         apps.shop.appid = \"{APPID}\"\napps.shop.secret = \"bench\"\napps.shop.base_url = \"http://127.0.0.1:{sandbox}\"\n\
         upstreams.none.endpoints = [\"http://127.0.0.1:9\"]\n[[routes]]\npath = \"/api\"\nupstream = \"none\"\n",
        free_port(),
        generate_key(),
        generate_key()
    )
}
