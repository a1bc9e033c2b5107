//! Rules and claims: who is let in, and what becomes of what is open when the claims change.

use hufu::clock::monotonic_now;
use serde_json::json;

use super::order::Order;
use crate::helpers::claims::OPERATOR;
use crate::helpers::ws_client::open;
use crate::helpers::{
    BOUND, ByHand, Gateway, RedisServer, Script, Upstream, WsUpstream, echoed, farewell, until,
    upstream_of,
};
use tokio_tungstenite::tungstenite::Message;

const STAFF: &str = "require.role = \"staff\"\n";
/// An event stream with its first event.
const EVENTS: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n";

#[tokio::test]
async fn claims_of_every_type_decide() {
    let redis = RedisServer::start(&[]);
    let upstream = Upstream::ok();
    let mut config = format!("[upstreams.u]\nendpoints = [\"{}\"]\n", upstream.url);
    for (path, require) in [
        ("/staff", "{ role = [\"staff\", \"admin\"] }"),
        ("/vip", "{ claim.vip = true }"),
        ("/level", "{ claim.level = [2, 3.5] }"),
        ("/text", "{ claim.level = \"2\" }"),
        (
            "/all",
            "{ role = \"staff\", app = \"shop\", claim.vip = true }",
        ),
        ("/city", "{ claim.city = \"广州\" }"),
    ] {
        config +=
            &format!("[[routes]]\npath = \"{path}\"\nupstream = \"u\"\nrequire = {require}\n");
    }
    let gateway = Gateway::on(&redis.url(""), &config);
    for (n, (claims, open)) in [
        (json!({}), &[][..]),
        (json!({ "role": "staff" }), &["/staff"]),
        (json!({ "role": ["guest", "admin"] }), &["/staff"]),
        (json!({ "role": "Staff" }), &[]),
        (json!({ "role": "staff,admin" }), &[]),
        (json!({ "role": "" }), &[]),
        (json!({ "role": [] }), &[]),
        (json!({ "role": "ѕtaff" }), &[]),
        (json!({ "vip": true }), &["/vip"]),
        (json!({ "vip": "true" }), &[]),
        (json!({ "vip": 1 }), &[]),
        (json!({ "vip": false }), &[]),
        (json!({ "level": 2 }), &["/level"]),
        (json!({ "level": 2.0 }), &["/level"]),
        (json!({ "level": 3.5 }), &["/level"]),
        (json!({ "level": "2" }), &["/text"]),
        (json!({ "level": ["1", "2"] }), &["/text"]),
        (json!({ "level": 3 }), &[]),
        (json!({ "city": "广州" }), &["/city"]),
        (
            json!({ "role": ["x", "staff"], "vip": true }),
            &["/staff", "/vip", "/all"],
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let token = gateway
            .token_with_claims(&format!("user{n}"), &claims)
            .await;
        let mut let_in = Vec::new();
        for path in ["/staff", "/vip", "/level", "/text", "/all", "/city"] {
            let answer = gateway.get(path).bearer_auth(&token).await;
            match (answer.status(), answer.code()) {
                (200, None) => let_in.push(path),
                (403, Some("forbidden")) => {}
                other => panic!("{path} {claims}: {other:?}"),
            }
        }
        assert_eq!(let_in, open, "{claims}");
    }
}

#[tokio::test]
async fn a_change_of_claims_opens_and_closes_a_route_without_a_login() {
    let redis = RedisServer::start(&[]);
    let upstream = Upstream::ok();
    let config = OPERATOR.to_owned() + &upstream.route("/", "required") + STAFF;
    let one = Gateway::on(&redis.url(""), &config);
    let other = one.sibling();
    let token = one
        .token_with_claims("zhang", &json!({ "vip": true }))
        .await;
    let answers = async |status: u16| {
        for gateway in [&one, &other] {
            until("the change to arrive", async || {
                let answer = gateway.get("/x").bearer_auth(&token).await;
                answer.status() == status
            })
            .await;
        }
    };
    answers(403).await;
    for (patch, status) in [
        (json!({ "role": ["guest", "staff"] }), 200),
        (json!({ "role": "guest" }), 403),
        (json!({ "role": "staff" }), 200),
        (json!({ "role": null }), 403),
    ] {
        one.change_claims("zhang", &patch).await;
        answers(status).await;
    }
}

async fn stream(gateway: &Gateway, path: &str, token: &str) -> reqwest::Response {
    let mut events = gateway.get(path).bearer_auth(token).stream().await;
    let first = events.chunk().await.unwrap().unwrap();
    assert_eq!(first.as_ref(), b"data: 1\n\n");
    events
}

/// WebSockets, event streams and long polls, on the gateway that was told and on another one.
async fn what_is_open_ends(cache: &str) {
    let redis = RedisServer::start(&[]);
    let sockets = WsUpstream::start().await;
    let events = Upstream::start(Script::at_head(EVENTS.to_vec()));
    let polls = ByHand::start().await;
    let patient = |route: String| route.replace("timeout = \"5s\"", "timeout = \"5m\"");
    let config = [
        OPERATOR.to_owned() + cache,
        sockets.route("/echo", "required") + STAFF,
        sockets.route("/", "required"),
        patient(events.route("/events", "required")) + STAFF,
        patient(events.route("/free", "optional")),
        patient(polls.route("/poll", "required")) + STAFF,
    ]
    .concat();
    let one = Gateway::on(&redis.url(""), &config);
    let other = one.sibling();
    let claims = json!({ "role": ["staff", "guest"] });
    let token = one.token_with_claims("zhang", &claims).await;
    let colleague = one.token_with_claims("li", &claims).await;
    let mut stays = open(&one, "/echo", &colleague).await;
    let mut free_socket = open(&other, "/", &token).await;
    let mut free_events = stream(&other, "/free", &token).await;
    let mut ending = Vec::new();
    for gateway in [&one, &other] {
        let socket = open(gateway, "/echo", &token).await;
        let events = stream(gateway, "/events", &token).await;
        let poll = gateway.asking("GET /poll", &token, "\r\n").await;
        let (peer, _) = polls.request().await;
        ending.push((gateway, socket, events, poll, peer));
    }
    // A change that leaves the role ends nothing.
    one.change_claims("zhang", &json!({ "vip": true, "role": ["staff"] }))
        .await;
    for (_, socket, events, ..) in &mut ending {
        let end = tokio::time::timeout(std::time::Duration::from_millis(1200), events.chunk());
        assert!(
            end.await.is_err(),
            "long enough for two looks, and it goes on"
        );
        echoed(socket, Message::text("still here")).await;
    }
    let changed = monotonic_now();
    one.change_claims("zhang", &json!({ "role": "guest" }))
        .await;
    for (gateway, socket, events, poll, peer) in &mut ending {
        assert_eq!(farewell(socket).await, Some((1008, "forbidden".to_owned())));
        let cut = tokio::time::timeout(BOUND, events.chunk()).await;
        assert!(
            cut.expect("the stream stays open").is_err(),
            "never complete"
        );
        let answer = poll.answer("GET").await;
        answer.refuses(403, "forbidden", format_args!("{answer:?}"));
        peer.ended().await;
        println!("ended {:?} after the change", changed.elapsed());
        for (path, status) in [("/echo", 101), ("/events", 200), ("/poll", 403)] {
            let line = gateway.access_line(path, |line| {
                line["path"] == path && line["error"] == "forbidden"
            });
            assert_eq!(
                (&line["status"], line["session"].is_string()),
                (&status.into(), true)
            );
        }
        gateway
            .counts(
                "hufu_upstream_requests_total{upstream=\"u2f706f6c6c\",outcome=\"forbidden\"}",
                1,
            )
            .await;
        gateway
            .counts("hufu_forbidden_requests_total{route=\"/echo\"}", 1)
            .await;
    }
    // The session goes on, where the route asks for no role.
    echoed(&mut free_socket, Message::text("still here")).await;
    echoed(&mut stays, Message::text("still here")).await;
    let more = tokio::time::timeout(std::time::Duration::from_millis(1), free_events.chunk());
    assert!(more.await.is_err());
    let answer = other.get("/auth/session").bearer_auth(&token).await;
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn what_is_open_ends_where_redis_pushes() {
    what_is_open_ends("session.near_cache.push = \"tracking\"\n").await;
}

#[tokio::test]
async fn what_is_open_ends_where_gateways_publish() {
    what_is_open_ends("session.near_cache.push = \"pubsub\"\n").await;
}

#[tokio::test]
async fn what_is_open_ends_without_a_near_cache() {
    what_is_open_ends("session.near_cache.capacity = 0\n").await;
}

/// As after a logout: an upload is never whole, whoever waits in the queue is asked again, and what
/// the backend acts on is answered.
#[tokio::test]
async fn requests_under_way_end_unless_the_backend_acts_on_them() {
    let redis = RedisServer::start(&[]);
    let backend = ByHand::start().await;
    let settings = "max_concurrent = 2\nqueue = 5\nqueue_timeout = \"60s\"\ntimeout = \"60s\"";
    let config = upstream_of(&[&backend.url], "required", settings)
        .replace("auth = \"required\"\n", "require.role = \"staff\"\n");
    let gateway = Gateway::on(&redis.url(""), &(OPERATOR.to_owned() + &config));
    let token = gateway
        .token_with_claims("zhang", &json!({ "role": "staff" }))
        .await;
    let order = Order::begin(&gateway, &backend, &token).await;
    let begun = "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    let mut uploading = gateway.asking("POST /upload", &token, begun).await;
    let (mut upload, _) = backend.request().await;
    let mut queued = gateway
        .asking("POST /queued", &token, "Content-Length: 2\r\n\r\nhi")
        .await;
    gateway
        .counts("hufu_upstream_waiting{upstream=\"many\"}", 1)
        .await;
    gateway
        .change_claims("zhang", &json!({ "role": null }))
        .await;
    let answer = uploading.answer("POST").await;
    answer.refuses(403, "forbidden", format_args!("{answer:?}"));
    let body = String::from_utf8(upload.rest().await).unwrap();
    assert!(!body.ends_with("0\r\n\r\n"), "never a whole one: {body:?}");
    // The upload's place is the next one's, who is not let in any more.
    let answer = queued.answer("POST").await;
    answer.refuses(403, "forbidden", format_args!("{answer:?}"));
    order.gets_its_answer().await;
    assert!(backend.is_left_alone().await);
}

/// A reload that adds a requirement is for new requests.
#[tokio::test]
async fn what_is_open_keeps_the_rule_that_let_it_in() {
    let sockets = WsUpstream::start().await;
    let route = sockets.route("/", "required");
    let gateway = Gateway::start(&route);
    let token = gateway.token("zhang").await;
    let mut socket = open(&gateway, "/echo", &token).await;
    gateway.reload(&(route + STAFF), "applied").await;
    let answer = gateway.get("/x").bearer_auth(&token).await;
    assert_eq!((answer.status(), answer.code()), (403, Some("forbidden")));
    // Long enough for two looks.
    tokio::time::sleep(std::time::Duration::from_millis(1200)).await;
    echoed(&mut socket, Message::text("still here")).await;
}
