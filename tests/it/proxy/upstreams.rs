//! Several endpoints: who gets which request, who is asked whether it is well, where names lead, and
//! TLS.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hufu::metrics::Metrics;
use hufu::proxy::resolve::resolve_for_ever;
use hufu::proxy::shared_upstream::SharedUpstream;
use hufu::upstream::{Endpoint, Upstream as EndpointGroup};
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::helpers::{
    Certificates, Gateway, Script, Upstream, acceptor, http, until, upstream, upstream_of,
};

/// The body of an answer that must be good.
pub(super) async fn get(gateway: &Gateway, path: &str) -> String {
    let answer = gateway.get(path).await;
    let status = answer.status();
    let body = answer.text();
    assert_eq!(status, 200, "{path}: {body}");
    body
}

#[tokio::test]
async fn turns_follow_the_weights() {
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    let endpoints = format!(
        "endpoints = [{{ url = \"{}\", weight = 3 }}, \"{}\"]",
        one.url, two.url
    );
    let config =
        upstream_of(&[], "none", "balance = \"round_robin\"").replace("endpoints = []", &endpoints);
    let gateway = Gateway::start(&config);
    for _ in 0..40 {
        get(&gateway, "/x").await;
    }
    assert_eq!((one.count("GET /x"), two.count("GET /x")), (30, 10));
    let line = gateway.access_line("an access line", |line| line["path"] == "/x");
    assert!(
        line["endpoint"] == format!("127.0.0.1:{}", one.port)
            || line["endpoint"] == format!("127.0.0.1:{}", two.port),
        "{line}"
    );
    assert_eq!(
        line["attempts"],
        Value::Null,
        "one attempt goes without saying"
    );
}

#[tokio::test]
async fn the_less_busy_endpoint_is_taken() {
    // So slow that nobody sees its answers.
    let slow = Upstream::start(Script::hang());
    let quick = Upstream::named("quick");
    let gateway = Gateway::start(&upstream(&[&slow, &quick], "none", "timeout = \"5m\""));
    let client = http();
    let asked: Vec<JoinHandle<()>> = (0..8)
        .map(|_| {
            let (client, url) = (client.clone(), gateway.at("/x"));
            tokio::spawn(async move {
                for _ in 0..10 {
                    assert_eq!(client.get(&url).await.text(), "quick");
                }
            })
        })
        .collect();
    // Of eight who have two requests under way each, at most, six at most wait at the slow one: then
    // it has more than the other one can have.
    until("two who are served", async || {
        asked.iter().filter(|one| one.is_finished()).count() >= 2
    })
    .await;
    let (slow, quick) = (slow.count("GET"), quick.count("GET"));
    assert!(
        slow <= 6 && quick >= 20,
        "{slow} to the slow one, {quick} to the quick one"
    );
    for one in asked {
        if one.is_finished() {
            one.await.unwrap();
        } else {
            one.abort();
        }
    }
}

#[tokio::test]
async fn a_user_always_meets_the_same_endpoint() {
    let backends = [
        Upstream::named("one"),
        Upstream::named("two"),
        Upstream::named("three"),
    ];
    let config = upstream(
        &backends.iter().collect::<Vec<_>>(),
        "optional",
        "balance = \"user_hash\"",
    );
    let gateway = Gateway::start(&config);
    let client = http();
    let mut met: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    // Where the endpoints listen decides who meets which: twelve users may all meet one.
    for n in 0..100 {
        if n >= 12 && met.values().flatten().collect::<BTreeSet<_>>().len() > 1 {
            break;
        }
        let user = format!("user{n}");
        // Two sessions of one user, as after a new login.
        for token in [gateway.token(&user).await, gateway.token(&user).await] {
            for _ in 0..4 {
                let body = client
                    .get(gateway.at("/x"))
                    .bearer_auth(&token)
                    .await
                    .text();
                met.entry(user.clone()).or_default().insert(body);
            }
        }
    }
    assert!(
        met.values().all(|endpoints| endpoints.len() == 1),
        "{met:?}"
    );
    assert!(
        met.values().flatten().collect::<BTreeSet<_>>().len() > 1,
        "not all users meet one endpoint: {met:?}"
    );
    let mut anonymous = BTreeSet::new();
    for _ in 0..40 {
        anonymous.insert(get(&gateway, "/x").await);
    }
    assert!(anonymous.len() > 1, "{anonymous:?}");
}

#[tokio::test]
async fn a_sick_endpoint_is_left_out_until_it_is_well() {
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    let health = "[upstreams.many.health]\npath = \"/healthz\"\ninterval = \"20ms\"\nhealthy_after = 1\nunhealthy_after = 2";
    let gateway = Gateway::start(&upstream(&[&one, &two], "none", health));
    let up = async |backend: &Upstream| {
        let series = format!(
            "hufu_upstream_endpoint_up{{upstream=\"many\",endpoint=\"127.0.0.1:{}\"}}",
            backend.port
        );
        gateway.counted(&series).await
    };
    until("the first checks", async || {
        one.count("GET /healthz") > 2 && two.count("GET /healthz") > 2
    })
    .await;
    assert_eq!((up(&one).await, up(&two).await), (1, 1));
    one.set(Script::answers("503 Service Unavailable", "sick"));
    until("the sick one to be left out", async || up(&one).await == 0).await;
    for _ in 0..20 {
        assert_eq!(get(&gateway, "/x").await, "two");
    }
    assert_eq!(
        readiness(&gateway).await["parts"]["upstreams"]["state"],
        "up"
    );
    two.set(Script::hang());
    until("both to be left out", async || up(&two).await == 0).await;
    let answer = gateway
        .raw(b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx")
        .await;
    assert_eq!(
        (answer.status, answer.code(), answer.header("retry-after")),
        (503, Some("upstream_unavailable"), Some("1")),
        "{}",
        answer.text
    );
    let ready = readiness(&gateway).await;
    assert_eq!(
        (&ready["degraded"], &ready["status"]),
        (&true.into(), &"ready".into())
    );
    assert_eq!(
        ready["parts"]["upstreams"]["reason"],
        "no healthy endpoint: many"
    );
    one.set(Script::named("one"));
    until("the first to be back", async || up(&one).await == 1).await;
    assert_eq!(get(&gateway, "/x").await, "one");
    assert_eq!(readiness(&gateway).await["degraded"], false);
}

async fn readiness(gateway: &Gateway) -> Value {
    gateway.admin_get("/readyz").await.json()
}

#[tokio::test]
async fn a_name_stands_for_all_its_addresses() {
    let backend = Upstream::named("one");
    // On most machines localhost is ::1 too, where nobody listens: another endpoint that is down.
    let gateway = Gateway::start(&upstream_of(
        &[&format!("http://localhost:{}", backend.port)],
        "none",
        "",
    ));
    for n in 0..60 {
        assert_eq!(get(&gateway, "/x").await, "one");
        let posted = gateway.post("/x").body("x").await;
        assert_eq!(
            posted.status(),
            200,
            "{n}: where nobody listens nothing is sent, so a POST may go elsewhere too"
        );
    }
    assert_eq!(backend.count("POST"), 60);
}

#[tokio::test]
async fn names_are_looked_up_again_and_a_failing_resolver_changes_nothing() {
    let endpoints = vec![
        Endpoint::parse("http://orders.test:80").unwrap(),
        Endpoint::parse("http://10.9.9.9:80").unwrap(),
    ];
    let upstream = EndpointGroup {
        resolve_interval: Duration::from_millis(5),
        ..EndpointGroup::new("orders", endpoints)
    };
    let backend =
        Arc::new(SharedUpstream::new(Arc::new(upstream), Arc::new(Metrics::new())).unwrap());
    type Answer = Result<Vec<&'static str>, io::ErrorKind>;
    let (answer, asked): (Arc<Mutex<Answer>>, _) = (
        Arc::new(Mutex::new(Ok(vec!["10.0.0.1:80"]))),
        Arc::new(Mutex::new(0)),
    );
    let (told, counted) = (answer.clone(), asked.clone());
    let look_up = async move |host: String, port: u16| -> io::Result<Vec<SocketAddr>> {
        assert_eq!(
            (host.as_str(), port),
            ("orders.test", 80),
            "an address needs no look-up"
        );
        *counted.lock().unwrap() += 1;
        let answer = told.lock().unwrap().clone();
        Ok(answer
            .map_err(io::Error::from)?
            .iter()
            .map(|address| address.parse().unwrap())
            .collect())
    };
    let task = tokio::spawn(resolve_for_ever(backend.clone(), look_up));
    let addresses = || {
        backend
            .state
            .targets()
            .targets
            .iter()
            .map(|target| target.name.to_string())
            .collect::<Vec<_>>()
            .join(" ")
    };
    let set = |now: Answer| *answer.lock().unwrap() = now;
    let become_known = async |expected: &str| {
        until(expected, async || addresses() == expected).await;
    };
    become_known("10.0.0.1:80 10.9.9.9:80").await;
    set(Ok(vec!["[fd00::1]:80", "10.0.0.2:80"]));
    become_known("10.0.0.2:80 [fd00::1]:80 10.9.9.9:80").await;
    for wrong in [Err(io::ErrorKind::TimedOut), Ok(Vec::new())] {
        set(wrong);
        let before = *asked.lock().unwrap();
        until("three more look-ups", async || {
            *asked.lock().unwrap() > before + 3
        })
        .await;
        assert_eq!(addresses(), "10.0.0.2:80 [fd00::1]:80 10.9.9.9:80");
    }
    set(Ok(vec!["10.0.0.3:80"]));
    become_known("10.0.0.3:80 10.9.9.9:80").await;
    task.abort();
}

#[tokio::test]
async fn encrypted_upstreams_are_verified_and_get_the_gateways_certificate() {
    let certificates = Certificates::new();
    let backend = Upstream::with_tls(Script::named("encrypted"), acceptor(&certificates));
    let url = format!("https://127.0.0.1:{}", backend.port);
    let tls = |keys: &[&str]| {
        let line = |key: &&str| match *key {
            "ca" => format!("ca = {:?}\n", certificates.path("ca.pem")),
            "client" => format!(
                "cert = {:?}\nkey = {:?}\n",
                certificates.path("client.pem"),
                certificates.path("client.key")
            ),
            name => format!("server_name = \"{name}\"\n"),
        };
        upstream_of(
            &[&url],
            "none",
            &format!(
                "[upstreams.many.tls]\n{}",
                keys.iter().map(line).collect::<String>()
            ),
        )
    };
    let gateway = Gateway::start(&tls(&["ca", "client"]));
    for _ in 0..20 {
        assert_eq!(get(&gateway, "/x").await, "encrypted");
    }
    let body = "x".repeat(300_000);
    let posted = gateway.post("/x").body(body).await;
    assert_eq!((posted.status(), backend.count("POST /x")), (200, 1));
    assert!(
        backend.connections().len() <= 3,
        "{} connections for 21 requests: they are not kept",
        backend.connections().len()
    );
    let before = backend.count("");
    for (keys, why) in [
        (&["ca"][..], "no certificate of the gateway's own"),
        (&["client"], "an authority that nobody trusts"),
        (&["ca", "client", "orders.internal"], "another name"),
    ] {
        let gateway = Gateway::start(&tls(keys));
        let answer = gateway
            .raw(b"GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .await;
        assert_eq!(answer.status, 502, "{why}: {}", answer.text);
    }
    assert_eq!(
        backend.count(""),
        before,
        "nothing went out before the peer was known"
    );
}
