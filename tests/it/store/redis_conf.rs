//! The redis.conf that we ship, started as its own first lines say, with the store logged in as its
//! ACL user.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use hufu::session::Lookup;

use super::contract;
use crate::helpers::{
    Harness, RedisServer, inspect,
    store::{open, settings, user},
    until,
};

const HOUR: Duration = Duration::from_secs(3600);

/// The configuration that we ship, as its own first lines say to start it.
pub(crate) fn shipped_configuration(password: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shipped = std::fs::read_to_string(root.join("redis.conf")).unwrap();
    let recipe = shipped
        .lines()
        .find_map(|line| line.strip_prefix("#   : "))
        .expect("the line that fills in the password");
    let (fill_in, _) = recipe.split_once(" > ").expect("the filled-in file");
    let output = Command::new("sh")
        .arg("-c")
        .arg(format!(": {fill_in}"))
        .env("HUFU_REDIS_PASSWORD", password)
        .current_dir(root)
        .output()
        .unwrap();
    assert_eq!(
        output.status.success(),
        !password.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// The same with one more user, who may see everything.
fn shipped_with_inspector(password: &str) -> String {
    shipped_configuration(password) + "\nuser inspector on >seesall ~* &* +@all\n"
}

#[tokio::test]
async fn the_shipped_configuration_lets_the_gateway_do_its_work() {
    let server = RedisServer::start_with_file(&shipped_with_inspector("t1ger/&\"'"), &[]);
    let (gateway, inspector) = (
        server.url("hufu:t1ger%2F&\"'@"),
        server.url("inspector:seesall@"),
    );
    contract::run(|prefix| Harness::redis(&gateway, &inspector, prefix)).await;
    let probe = open(&settings(&gateway)).probe();
    until("the probe to find the store well", async || {
        probe.check().await.ok()
    })
    .await;
    let mut redis = inspect(&inspector).await;
    let log: Vec<redis::Value> = redis::cmd("ACL")
        .arg("LOG")
        .query_async(&mut redis)
        .await
        .unwrap();
    assert!(log.is_empty(), "the gateway was refused something: {log:?}");
}

#[tokio::test]
async fn the_shipped_configuration_allows_what_comes_later_and_nothing_else() {
    let server = RedisServer::start_with_file(&shipped_with_inspector("tiger"), &[]);
    let mut gateway = inspect(&server.url("hufu:tiger@")).await;
    let mut run = async |line: &str| {
        let mut command = redis::Cmd::new();
        command.arg(line.split(' ').collect::<Vec<_>>());
        command.query_async::<redis::Value>(&mut gateway).await
    };
    let revoked = [
        "PUBLISH hufu:revoked:{push} x",
        "SUBSCRIBE hufu:revoked:{push} hufu:beat:{push}:x",
        "UNSUBSCRIBE hufu:revoked:{push} hufu:beat:{push}:x",
    ];
    for allowed in ["HELLO 3", "CLIENT TRACKING ON", "WAIT 0 1"]
        .iter()
        .chain(&revoked)
        .chain(&["HELLO 2"])
    {
        run(allowed)
            .await
            .unwrap_or_else(|error| panic!("{allowed}: {error}"));
    }
    let slots = run("CLUSTER SLOTS").await.unwrap_err().to_string();
    assert!(slots.contains("cluster support disabled"), "{slots}");
    let refused = [
        "FLUSHALL",
        "FLUSHDB",
        "KEYS *",
        "SCAN 0",
        "CONFIG GET maxmemory",
        "CONFIG SET dir /tmp",
        "ACL LIST",
        "DEBUG SLEEP 0",
        "MODULE LIST",
        "SAVE",
        "SHUTDOWN",
        "MONITOR",
        "REPLICAOF 127.0.0.1 1",
        "SLAVEOF 127.0.0.1 1",
        "MIGRATE 127.0.0.1 1 hufu:a 0 1",
        "DUMP hufu:a",
        "RESTORE hufu:a 0 x",
        "RENAME hufu:a hufu:b",
        "PERSIST hufu:a",
        "EVAL return 0",
        "SCRIPT FLUSH",
        "FUNCTION LIST",
        "CLIENT LIST",
        "CLIENT KILL 127.0.0.1:1",
        "SELECT 0",
        "SWAPDB 0 1",
        "RANDOMKEY",
        "GET other",
        "SET other x",
        "DEL other",
        "GET hufu",
        "PUBLISH other x",
        "SUBSCRIBE other",
    ];
    for command in refused {
        let error = run(command)
            .await
            .map(|answer| panic!("{command}: {answer:?}"))
            .unwrap_err();
        let words = error.to_string();
        assert!(
            error.code() == Some("NOPERM")
                || words.contains("unknown command")
                || words.contains("not allowed"),
            "{command}: {error}"
        );
    }
}

#[tokio::test]
async fn the_shipped_configuration_lets_nobody_in_until_it_has_a_password() {
    let shipped =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("redis.conf")).unwrap();
    let server = RedisServer::start_with_file(&shipped, &[]);
    for login in ["", ":@", "hufu@", "hufu:hufu@", "default:@", ":resetpass@"] {
        let error = open(&settings(&server.url(login)))
            .worker()
            .sessions
            .now()
            .await
            .unwrap_err();
        assert!(error.reason.contains("store.password"), "{login}: {error}");
    }
    assert_eq!(
        shipped_configuration(""),
        "",
        "an empty password is refused"
    );
}

#[tokio::test]
async fn the_shipped_configuration_keeps_sessions_over_a_crash() {
    let mut server = RedisServer::start_with_file(
        &shipped_with_inspector("tiger"),
        &["--appendfsync", "always"],
    );
    let (gateway, inspector) = (server.url("hufu:tiger@"), server.url("inspector:seesall@"));
    let h = Harness::redis(&gateway, &inspector, "hufu");
    let id = h.sign_in(&user("o1"), HOUR, HOUR).await;
    let mut redis = inspect(&inspector).await;
    let memory: String = redis::cmd("INFO")
        .arg("memory")
        .query_async(&mut redis)
        .await
        .unwrap();
    assert!(memory.contains("maxmemory_policy:noeviction"), "{memory}");
    server.kill();
    assert!(server.path("appendonlydir").is_dir());
    server.start_again(&[]);
    // TIME is answered while the data is still being loaded, GET is not.
    let found = until("the data to be loaded", async || {
        h.store().load(&id).await.ok()
    })
    .await;
    assert!(matches!(found, Lookup::Found(_)), "{found:?}");
}
