//! SIGHUP: what is read again, that a request sees one configuration whole, and that a bad file
//! changes nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::helpers::{Gateway, Script, Upstream, echo_upstream, http, probe, until, upstream};

async fn get(gateway: &Gateway, path: &str) -> (u16, String) {
    let answer = gateway.get(path).await;
    (answer.status(), answer.text())
}

/// A header as the echo upstream has seen it.
fn seen(body: &str, name: &str) -> Option<String> {
    let body: Value = serde_json::from_str(body).ok()?;
    let headers: Vec<(String, String)> = serde_json::from_value(body["headers"].clone()).ok()?;
    headers
        .into_iter()
        .find(|(other, _)| other == name)
        .map(|(_, value)| value)
}

#[tokio::test]
async fn routes_and_upstreams_change_and_what_is_under_way_ends_as_it_began() {
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    // Requests that hang are to be there until the end.
    let old = one
        .route("/old", "none")
        .replace("timeout = \"5s\"", "timeout = \"5m\"");
    let gateway = Gateway::start(&old);
    let mut kept = gateway.connect().await;
    kept.write_all(b"GET /old HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(probe::read(&mut kept).await.body(), "one");
    one.set(Script::hang());
    let slow = tokio::spawn(gateway.get("/old/slow").try_send());
    until("the request under way", async || {
        one.count("GET /old/slow") == 1
    })
    .await;

    gateway.reload(&two.route("/new", "none"), "applied").await;
    kept.write_all(b"GET /new HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(
        probe::read(&mut kept).await.body(),
        "two",
        "on a connection from before, too"
    );
    assert_eq!(get(&gateway, "/old").await.0, 404);
    assert!(!slow.is_finished());
    drop(slow);

    one.set(Script::held());
    gateway.reload(&old, "applied").await;
    let slow = tokio::spawn(gateway.get("/old/slow").try_send());
    until("the request under way", async || {
        one.count("GET /old/slow") == 2
    })
    .await;
    gateway.reload(&two.route("/new", "none"), "applied").await;
    one.set(Script::named("one"));
    let answer = slow.await.unwrap().unwrap();
    assert_eq!(
        (answer.status(), answer.text().as_str()),
        (200, "one"),
        "its route and its upstream are gone since"
    );
}

/// Nothing holds what was before: neither the connections that rested nor those that were given
/// back later.
#[tokio::test]
async fn connections_to_upstreams_that_are_gone_are_closed() {
    let (old, new) = (Upstream::ok(), Upstream::named("new"));
    let gateway = Gateway::start(&old.route("/api", "none"));
    assert_eq!(get(&gateway, "/api").await.0, 200);
    assert!(
        old.connections()
            .iter()
            .all(|connection| !connection.closed)
            && !old.connections().is_empty(),
        "it rests"
    );
    gateway.reload(&new.route("/api", "none"), "applied").await;
    until("the end of the old connections", async || {
        old.connections().iter().all(|connection| connection.closed)
    })
    .await;
    assert_eq!(get(&gateway, "/api").await.1, "new");
}

/// Each configuration marks what goes to the upstream and what comes back; a request that met a
/// mixture would show two marks.
#[tokio::test]
async fn a_request_sees_one_configuration_whole_and_none_is_lost() {
    let echo = echo_upstream();
    let config = |mark: &str| {
        format!(
            "identity.headers = {{ subject = \"X-User-{mark}\" }}\n\
             [upstreams.{mark}]\nendpoints = [\"{}\"]\ntimeout = \"10s\"\n\
             [[routes]]\npath = \"/api\"\nupstream = \"{mark}\"\nrequest_headers = {{ set = {{ X-Mark = \"{mark}\" }} }}\nresponse_headers = {{ set = {{ X-Mark = \"{mark}\" }} }}\n",
            echo.url
        )
    };
    let gateway = Arc::new(Gateway::start(&config("one")));
    let (over, served) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let token = gateway.token("alice").await;
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (gateway, token, over, served) =
                (gateway.clone(), token.clone(), over.clone(), served.clone());
            tokio::spawn(async move {
                let client = http();
                while !over.load(Ordering::Relaxed) {
                    let answer = client.get(gateway.at("/api")).bearer_auth(&token).await;
                    assert_eq!(answer.status(), 200);
                    let mark = answer.header("x-mark").to_owned();
                    let body = answer.text();
                    assert_eq!(seen(&body, "x-mark").as_deref(), Some(mark.as_str()));
                    let (own, other) = if mark == "one" {
                        ("x-user-one", "x-user-two")
                    } else {
                        ("x-user-two", "x-user-one")
                    };
                    assert!(
                        seen(&body, own).is_some() && seen(&body, other).is_none(),
                        "{mark}: {body}"
                    );
                    served.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for mark in ["two", "one"].repeat(5) {
        let before = served.load(Ordering::Relaxed);
        gateway.reload(&config(mark), "applied").await;
        let answer = gateway.get("/api").bearer_auth(&token).await;
        assert_eq!(
            answer.header("x-mark"),
            mark,
            "what was reported holds for whoever comes then"
        );
        until("requests under the new configuration", async || {
            served.load(Ordering::Relaxed) > before + 20
        })
        .await;
    }
    over.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
}

#[tokio::test]
async fn a_bad_file_changes_nothing_and_says_everything_that_is_wrong() {
    let echo = echo_upstream();
    let gateway = Gateway::start(&echo.route("/api", "none"));
    let read = "hufu_configuration_read_timestamp_seconds";
    let at = gateway.counted(read).await;
    assert!(at > 1_700_000_000);
    let bad = format!(
        "server.trusted_proxy = []\n{}\n[[routes]]\npath = \"nothing\"\nupstream = \"nobody\"\n",
        echo.route("/other", "none")
    );
    gateway.reload(&bad, "refused").await;
    assert_eq!(
        (
            get(&gateway, "/api").await.0,
            get(&gateway, "/other").await.0
        ),
        (200, 404)
    );
    let log = gateway.stderr();
    for said in [
        "server.trusted_proxy",
        "unknown key",
        "does not start with a slash",
        "nobody",
        "the previous configuration stays in use",
    ] {
        assert!(log.contains(said), "{said}: {log}");
    }
    gateway.write("hufu.toml", "this is no TOML");
    gateway.reload_as_it_is("refused").await;
    assert_eq!(
        (get(&gateway, "/api").await.0, gateway.counted(read).await),
        (200, at)
    );
    gateway
        .reload(&echo.route("/other", "none"), "applied")
        .await;
    assert_eq!(
        (
            get(&gateway, "/api").await.0,
            get(&gateway, "/other").await.0
        ),
        (404, 200)
    );
    assert!(gateway.counted(read).await >= at);
}

#[tokio::test]
async fn variables_and_files_are_read_again() {
    let echo = echo_upstream();
    let config = format!(
        "{}response_headers = {{ set = {{ X-Greeting = \"${{GREETING}}\" }} }}\n",
        echo.route("/api", "none")
    );
    let gateway = Gateway::start(&echo.route("/api", "none"));
    let greeting = async || {
        let answer = gateway.get("/api").await;
        answer.get("x-greeting").map(str::to_owned)
    };
    gateway.reload(&config, "refused").await;
    gateway.assert_logged("GREETING is not set");
    for text in ["hello", "good morning"] {
        gateway.write(".env", &format!("GREETING='{text}'\n"));
        gateway.reload_as_it_is("applied").await;
        assert_eq!(greeting().await.as_deref(), Some(text));
    }
}

#[tokio::test]
async fn a_session_from_before_has_its_apps_new_id() {
    let echo = echo_upstream();
    let gateway = Gateway::start(&echo.route("/api", "required"));
    let token = gateway.token("alice").await;
    let appid = async || {
        let answer = gateway.get("/api").bearer_auth(&token).await;
        assert_eq!(answer.status(), 200);
        seen(&answer.text(), "x-wx-appid").unwrap()
    };
    let before = appid().await;
    let text = gateway.stored("hufu.toml");
    for id in ["wx2222222222222222", "wx3333333333333333", before.as_str()] {
        gateway.write("hufu.toml", &text.replace(&before, id));
        gateway.reload_as_it_is("applied").await;
        assert_eq!((appid().await.as_str(), appid().await.as_str()), (id, id));
    }
}

#[tokio::test]
async fn apps_limits_origins_errors_and_trusted_proxies_change() {
    let echo = echo_upstream();
    let api = echo.route("/api", "required");
    let gateway = Gateway::start(&api);
    let verify = async || {
        gateway
            .raw(b"GET /auth/verify HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .await
            .code()
            .map(str::to_owned)
    };
    let origin = async || {
        let answer = gateway
            .get("/api")
            .header("origin", "https://h5.example.com")
            .await;
        (
            answer.status(),
            answer.get("access-control-allow-origin").is_some(),
        )
    };
    let login = async |app: &str| {
        let code = gateway
            .wechat
            .platform
            .login_code("wx9999999999999999", "bob");
        gateway
            .login_with(json!({ "app": app, "code": code }))
            .await
            .status()
    };
    assert_eq!(
        (
            verify().await.as_deref(),
            origin().await,
            login("second").await
        ),
        (Some("untrusted_peer"), (401, false), 400)
    );
    let more = format!(
        "server.trusted_proxies = [\"127.0.0.1\"]\ncors.origins = [\"https://h5.example.com\"]\nlogin.rate_limit = {{ per_ip = \"off\", per_user = \"1/1h\" }}\n\
         apps.second.appid = \"wx9999999999999999\"\napps.second.secret = \"s\"\napps.second.base_url = \"{}\"\n{api}",
        gateway.wechat.server.url
    );
    gateway.reload(&more, "applied").await;
    assert_eq!(
        (
            verify().await.as_deref(),
            origin().await,
            login("second").await
        ),
        (Some("login_required"), (401, true), 200)
    );
    assert_eq!(login("second").await, 429, "one in an hour");
    gateway.reload(&api, "applied").await;
    assert_eq!(
        (
            verify().await.as_deref(),
            origin().await,
            login("second").await
        ),
        (Some("untrusted_peer"), (401, false), 400)
    );
}

#[tokio::test]
async fn what_is_known_of_endpoints_stays_and_so_do_their_connections() {
    let (one, two) = (
        Upstream::named("one"),
        Upstream::start(Script::answers("503 Service Unavailable", "sick")),
    );
    let health = "[upstreams.many.health]\npath = \"/healthz\"\ninterval = \"20ms\"\ntimeout = \"30s\"\nunhealthy_after = 1\nhealthy_after = 1";
    let both = |settings: &str| upstream(&[&one, &two], "none", &format!("{settings}\n{health}"));
    let gateway = Gateway::start(&both(""));
    let up = async || {
        let series = format!(
            "hufu_upstream_endpoint_up{{upstream=\"many\",endpoint=\"127.0.0.1:{}\"}}",
            two.port
        );
        let page = gateway.admin_get("/metrics").await.text();
        page.lines().find_map(|line| {
            line.strip_prefix(&series)
                .map(|value| value.trim().to_owned())
        })
    };
    until("the sick one to be found", async || {
        up().await.as_deref() == Some("0")
    })
    .await;
    let mut kept = gateway.connect().await;
    let mut ask = async || {
        kept.write_all(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .unwrap();
        probe::read(&mut kept).await.body().to_owned()
    };
    assert_eq!(ask().await, "one");
    let opened = format!(
        "hufu_upstream_connections_total{{upstream=\"many\",endpoint=\"127.0.0.1:{}\"}}",
        one.port
    );
    assert_eq!(gateway.counted(&opened).await, 1);
    two.set(Script::held());
    for settings in ["", "connect_timeout = \"3s\"\ntimeout = \"20s\""] {
        gateway.reload(&both(settings), "applied").await;
        assert_eq!(up().await.as_deref(), Some("0"), "{settings}");
        for _ in 0..6 {
            assert_eq!(ask().await, "one", "{settings}");
        }
    }
    assert_eq!(
        (gateway.counted(&opened).await, two.count("GET /x")),
        (1, 0),
        "the kept connection was used all the time"
    );
    two.set(Script::named("two"));
    until("the sick one to be well again", async || {
        up().await.as_deref() == Some("1")
    })
    .await;
    gateway
        .reload(&upstream(&[&one], "none", ""), "applied")
        .await;
    assert_eq!(
        (up().await, ask().await.as_str()),
        (None, "one"),
        "an endpoint that is gone is not shown any more"
    );
    let asked = two.count("GET /healthz");
    assert_eq!(ask().await, "one");
    assert_eq!(two.count("GET /healthz"), asked, "nobody asks it any more");
}

#[tokio::test]
async fn what_takes_a_restart_is_named() {
    let echo = echo_upstream();
    let api = echo.route("/api", "none");
    let gateway = Gateway::start(&api);
    gateway.reload(&api, "applied").await;
    gateway.assert_not_logged("need a restart");
    let other = format!(
        "server.keep_alive = \"5s\"\nserver.body_limit = \"1KiB\"\nserver.prefix = \"/session\"\nsession.idle_timeout = \"1h\"\n\
         admin.token = \"a-token-that-is-long-enough-for-it\"\n{api}"
    );
    gateway.reload(&other, "applied").await;
    let log = gateway.stderr();
    let warning = log
        .lines()
        .find(|line| line.contains("need a restart"))
        .unwrap();
    for key in [
        "server.keep_alive",
        "server.prefix",
        "session.idle_timeout",
        "admin.token",
    ] {
        assert!(warning.contains(key), "{key}: {warning}");
    }
    assert!(
        !warning.contains("body_limit")
            && !warning.contains("secrets")
            && !warning.contains("long-enough"),
        "{warning}"
    );
    assert_eq!(
        get(&gateway, "/auth/healthz").await.0,
        200,
        "the prefix is the one of the start"
    );
    let long = gateway.post("/api").body("x".repeat(2000)).await;
    assert_eq!(long.status(), 413, "and the limit is the new one");
}

#[tokio::test]
async fn what_is_believed_of_an_original_request_changes() {
    let echo = echo_upstream();
    let routes = echo.route("/api", "required") + &echo.route("/public", "none");
    let config =
        |verify: &str| format!("server.trusted_proxies = [\"127.0.0.1\"]\n{verify}{routes}");
    let gateway = Gateway::start(&config(""));
    let asked = async || {
        let lines = "X-Original-URI: /public\r\nX-Forwarded-Uri: /api\r\n";
        gateway
            .raw(format!(
                "GET /auth/verify HTTP/1.1\r\nHost: x\r\n{lines}Connection: close\r\n\r\n"
            ))
            .await
            .status
    };
    assert_eq!(asked().await, 401);
    for (verify, outcome, status) in [
        ("verify.proxy = \"nginx\"\n", "applied", 200),
        (
            "verify.proxy = \"nginx\"\nverify.uri_header = \"X-Forwarded-Uri\"\n",
            "refused",
            200,
        ),
        ("verify.proxy = \"caddy\"\n", "applied", 401),
        ("verify.uri_header = \"X-Original-URI\"\n", "applied", 200),
        ("", "applied", 401),
    ] {
        gateway.reload(&config(verify), outcome).await;
        assert_eq!(asked().await, status, "{verify}");
    }
    gateway.assert_not_logged("need a restart");
}

/// As in a container that mounts the file: the operator has edited another one.
#[tokio::test]
async fn a_reload_that_finds_the_very_same_bytes_says_so() {
    let echo = echo_upstream();
    let gateway = Gateway::start(&echo.route("/one", "none"));
    let told = || {
        gateway
            .stderr()
            .matches("nothing has changed in the file")
            .count()
    };
    gateway.reload_as_it_is("applied").await;
    assert_eq!(told(), 1, "{}", gateway.stderr());
    gateway.reload(&echo.route("/two", "none"), "applied").await;
    assert_eq!(told(), 1, "{}", gateway.stderr());
    gateway.write(".env", "SOMETHING=1\n");
    gateway.reload_as_it_is("applied").await;
    assert_eq!(
        told(),
        1,
        "a variable may have changed: {}",
        gateway.stderr()
    );
    gateway.reload_as_it_is("applied").await;
    assert_eq!(told(), 2, "{}", gateway.stderr());
}
