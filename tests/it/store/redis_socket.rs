//! Redis over a Unix socket: the store, the near cache, readiness, the admin API and the doctor.

use std::path::Path;

use redis::Commands as _;
use serde_json::{Value, json};

use crate::helpers::{Gateway, RedisServer, echo_upstream, http, until};
use crate::operations::doctor::doctor;

const ADMIN: &str = "admin.token = \"an-admin-token-for-tests\"\n";

fn server(args: &[&str]) -> RedisServer {
    RedisServer::start(&[&["--unixsocket", "redis.sock"], args].concat())
}

fn url(path: &Path, query: &str) -> String {
    format!("redis+unix://{}{query}", path.display())
}

async fn status(gateway: &Gateway, token: &str) -> u16 {
    gateway.get("/api").bearer_auth(token).await.status()
}

/// Uses the gateway until it says how it hears of changes.
async fn hears(gateway: &Gateway, mode: &str) {
    until(mode, async || {
        gateway.token("warm").await;
        let part = gateway.part("near_cache").await;
        part["state"] == "up" && part["mode"] == mode
    })
    .await;
}

#[tokio::test]
async fn a_gateway_works_over_a_socket_as_over_a_port() {
    let (mut redis, echo) = (server(&[]), echo_upstream());
    let socket = redis.path("redis.sock");
    for push in ["auto", "pubsub"] {
        let config = format!(
            "{ADMIN}session.near_cache.push = \"{push}\"\n{}",
            echo.route("/api", "required")
        );
        let one = Gateway::on(&url(&socket, "?db=3"), &config);
        let port = redis.url("").replace("/0", "/3");
        let other = one.sibling_over(&port);
        for gateway in [&one, &other] {
            hears(gateway, if push == "auto" { "tracking" } else { "pubsub" }).await;
        }
        for (here, there) in [(&one, &other), (&other, &one)] {
            let token = here.token("alice").await;
            for gateway in [here, there] {
                assert_eq!(
                    (status(gateway, &token).await, status(gateway, &token).await),
                    (200, 200)
                );
            }
            assert_eq!(
                http()
                    .post(here.at("/auth/logout"))
                    .bearer_auth(&token)
                    .await
                    .status(),
                204
            );
            until("the end to be heard of", async || {
                status(there, &token).await == 401
            })
            .await;
        }
        let keys: u64 = redis::cmd("DBSIZE")
            .query(&mut redis::Client::open(port).unwrap().get_connection().unwrap())
            .unwrap();
        assert!(keys > 0, "the sessions are in database 3");
        assert_eq!(
            redis.connect("").keys::<_, Vec<String>>("*").unwrap(),
            [""; 0],
            "and not in database 0"
        );
        let count = one
            .admin_get("/admin/api/sessions/count")
            .bearer_auth("an-admin-token-for-tests")
            .await;
        let count: Value = count.json();
        assert!(count["at_most"].as_u64().unwrap() > 0, "{count}");
        until("the store to be up", async || {
            one.store_state().await.0 == "up"
        })
        .await;
        let started = one.stderr();
        assert!(
            started.contains("redis+unix:///") || !started.contains("redis://"),
            "{started}"
        );
    }

    // It goes, leaves its file behind, and comes back.
    let config = format!(
        "session.near_cache.push = \"off\"\n{}",
        echo.route("/api", "required")
    );
    let gateway = Gateway::on(&url(&socket, ""), &config);
    let token = gateway.token("bob").await;
    redis.kill();
    until("the store to be missed", async || {
        status(&gateway, &token).await == 503
    })
    .await;
    until("readiness to say that nobody listens there", async || {
        let (state, reason) = gateway.store_state().await;
        state == "down"
            && reason.contains(&format!("redis unix:{}", socket.display()))
            && reason.contains("nobody listens there")
    })
    .await;
    std::fs::remove_file(&socket).unwrap();
    until("the socket to be missed", async || {
        gateway
            .store_state()
            .await
            .1
            .contains("there is no such socket")
    })
    .await;
    redis.start_again(&[]);
    until("the store to be back", async || {
        let login = json!({ "code": gateway.code("carol") });
        let login = gateway.login_with(login).await.json();
        let token = login["token"].as_str()?;
        (status(&gateway, token).await == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn logins_over_a_socket_stand_in_the_url_or_beside_it() {
    let echo = echo_upstream();
    let redis = RedisServer::start_with_file(
        "save \"\"\nuser default off\nuser hufu on >tiger&+word ~* &* +@all\n",
        &["--unixsocket", "redis.sock"],
    );
    let socket = redis.path("redis.sock");
    let routes = echo.route("/api", "required");
    for (query, config) in [
        ("?user=hufu&pass=tiger%26%2Bword", ""),
        (
            "",
            "store.username = \"hufu\"\nstore.password = \"tiger&+word\"\n",
        ),
    ] {
        let gateway = Gateway::on(&url(&socket, query), &format!("{config}{routes}"));
        let token = gateway.token("alice").await;
        assert_eq!(status(&gateway, &token).await, 200);
        gateway.assert_not_logged("tiger");
        let said = doctor(&url(&socket, query), config);
        said.has("ok", "connection", &["unix:", "answers PING"])
            .has("ok", "near cache", &["tracking"])
            .has("ok", "rights", &[]);
        assert!(!said.lines("connection").concat().contains("not encrypted"));
    }
    let said = doctor(&url(&socket, "?user=hufu&pass=wrong"), "");
    said.has(
        "FAIL",
        "connection",
        &[
            "the server refuses this login",
            "check store.username and store.password",
        ],
    );
}

#[test]
fn a_socket_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("none.sock");
    let said = doctor(&url(&missing, "?pass=tiger"), "");
    said.has(
        "FAIL",
        "connection",
        &[
            &format!("unix:{}", missing.display()),
            "there is no such socket",
        ],
    );
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    doctor(&url(&file, ""), "").has("FAIL", "connection", &["nobody listens there"]);
}
