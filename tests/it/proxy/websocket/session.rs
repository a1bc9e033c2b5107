//! The session behind an open socket or stream: its token is rotated, and the store goes away.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use hufu::clock::monotonic_now;
use serde_json::Value;
use tokio_tungstenite::tungstenite::Message;

use super::EVENTS;
use crate::helpers::{
    BOUND, Gateway, RedisServer, Script, Socket, Upstream, WsUpstream, echoed, farewell, until,
    ws_client::open,
};

/// Long enough for each stream to have looked at its session, more than once.
const LOOKS: Duration = Duration::from_millis(1500);

/// Backends of both kinds, and the routes to them.
struct Backends {
    sockets: WsUpstream,
    _events: Upstream,
    routes: String,
}

impl Backends {
    async fn start() -> Self {
        let (sockets, events) = (
            WsUpstream::start().await,
            Upstream::start(Script::at_head(EVENTS.to_vec())),
        );
        // Nothing comes behind the first event: that is not what ends the stream here.
        let patient = events
            .route("/events", "required")
            .replace("timeout = \"5s\"", "timeout = \"5m\"");
        let routes = sockets.route("/", "required") + &patient;
        Self {
            sockets,
            _events: events,
            routes,
        }
    }
}

/// An event stream that has begun.
async fn stream(gateway: &Gateway, token: &str) -> reqwest::Response {
    let mut events = gateway.get("/events").bearer_auth(token).stream().await;
    assert_eq!(
        events.chunk().await.unwrap().unwrap().as_ref(),
        b"data: 1\n\n"
    );
    events
}

/// Whether it goes on; `false`: it has broken off. A stream that ends as if it were complete fails
/// the test.
async fn goes_on(events: &mut reqwest::Response, span: Duration) -> bool {
    match tokio::time::timeout(span, events.chunk()).await {
        Err(_) => true,
        Ok(Err(_)) => false,
        Ok(Ok(more)) => panic!("it must not look complete: {more:?}"),
    }
}

/// Messages for a while, all of which come back.
async fn busy(socket: &mut Socket, span: Duration) {
    let started = monotonic_now();
    while started.elapsed() < span {
        echoed(socket, Message::text("x")).await;
        // In use all the time, and no load.
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
}

async fn rotate(gateway: &Gateway, token: &str) -> String {
    let answer = gateway.post("/auth/rotate").bearer_auth(token).await;
    assert_eq!(answer.status(), 200);
    let answer: Value = answer.json();
    answer["token"].as_str().unwrap().to_owned()
}

async fn status(gateway: &Gateway, token: &str) -> u16 {
    gateway
        .get("/auth/session")
        .bearer_auth(token)
        .await
        .status()
}

async fn sign_out(gateway: &Gateway, token: &str) {
    gateway.sign_out(token).await;
}

async fn outlives_its_token(store: &str, cache: &str) {
    let backends = Backends::start().await;
    let config = format!("session.rotate_grace = \"3s\"\n{cache}{}", backends.routes);
    let gateway = Gateway::on(store, &config);
    let first = gateway.token("zhang").await;
    let (mut used, mut resting) = (
        open(&gateway, "/echo", &first).await,
        open(&gateway, "/echo", &first).await,
    );
    let mut events = stream(&gateway, &first).await;
    echoed(&mut used, Message::text("before")).await;
    // Twice, faster than a stream looks.
    let second = rotate(&gateway, &first).await;
    let third = rotate(&gateway, &second).await;
    while status(&gateway, &first).await != 401 || status(&gateway, &second).await != 401 {
        busy(&mut used, Duration::from_millis(80)).await;
    }
    busy(&mut used, LOOKS).await;
    echoed(&mut resting, Message::text("still here")).await;
    assert!(
        goes_on(&mut events, Duration::from_millis(1)).await,
        "a stream ends with its session, not with its token"
    );
    assert_eq!(status(&gateway, &third).await, 200);
    assert_eq!(gateway.counted("hufu_websockets_open").await, 2);

    sign_out(&gateway, &third).await;
    for socket in [&mut used, &mut resting] {
        assert_eq!(
            farewell(socket).await,
            Some((1008, "session_expired".to_owned()))
        );
    }
    assert!(!goes_on(&mut events, BOUND).await, "the stream stays open");
    let heard = async || {
        backends
            .sockets
            .heard
            .lock()
            .unwrap()
            .contains(&"close 1008".to_owned())
            .then_some(())
    };
    until("the backend to hear of it", heard).await;
}

#[tokio::test]
async fn streams_live_on_with_a_rotated_token_and_end_with_it() {
    outlives_its_token("memory:", "").await;
}

#[tokio::test]
async fn streams_live_on_with_a_rotated_token_in_redis() {
    let redis = RedisServer::start(&[]);
    outlives_its_token(&redis.url(""), "").await;
}

#[tokio::test]
async fn streams_live_on_with_a_rotated_token_without_a_near_cache() {
    let redis = RedisServer::start(&[]);
    outlives_its_token(&redis.url(""), "session.near_cache.capacity = 0\n").await;
}

/// Waits until a request that needs the store is refused because of it.
async fn store_is_missed(gateway: &Gateway, token: &str) {
    until("the near cache's grace to be over", async || {
        status(gateway, token).await == 503
    })
    .await;
}

#[tokio::test]
async fn without_redis_streams_stay_open_until_their_sessions_would_have_expired() {
    /// Longer than `outage_grace` by far.
    const KNOWN: Duration = Duration::from_secs(10);
    let (mut redis, backends) = (RedisServer::start(&[]), Backends::start().await);
    let config = format!(
        "session.idle_timeout = \"10s\"\nsession.near_cache.outage_grace = \"500ms\"\n{}",
        backends.routes
    );
    let gateway = Gateway::on(&redis.url(""), &config);
    let began = monotonic_now();
    let token = gateway.token("zhang").await;
    let (mut used, mut resting) = (
        open(&gateway, "/echo", &token).await,
        open(&gateway, "/echo", &token).await,
    );
    let mut events = stream(&gateway, &token).await;
    redis.kill();
    store_is_missed(&gateway, &token).await;
    let missed = began.elapsed();
    for socket in [&mut used, &mut resting] {
        echoed(socket, Message::text("still here")).await;
    }
    assert!(goes_on(&mut events, Duration::from_millis(1)).await);
    // Use that cannot be told to the store renews nothing.
    let (one, two, cut) = tokio::join!(
        used_to_the_end(&mut used),
        farewell(&mut resting),
        goes_on(&mut events, BOUND)
    );
    let ended = began.elapsed();
    println!("503 after {missed:?}, the streams ended after {ended:?}");
    assert!(
        ended > KNOWN - Duration::from_secs(1) && ended < KNOWN + BOUND,
        "{ended:?}"
    );
    assert_eq!(
        (one, two),
        (
            Some((1008, "session_expired".to_owned())),
            Some((1008, "session_expired".to_owned()))
        )
    );
    assert!(!cut, "the stream stays open");
    gateway.access_line("the socket's reason", |line| {
        line["status"] == 101 && line["error"] == "session_expired"
    });
    gateway.access_line("the stream's reason", |line| {
        line["path"] == "/events" && line["error"] == "session_expired"
    });
}

/// Sends messages as long as the socket takes them.
async fn used_to_the_end(socket: &mut Socket) -> Option<(u16, String)> {
    loop {
        if socket.send(Message::text("x")).await.is_err() {
            return farewell(socket).await;
        }
        match tokio::time::timeout(BOUND, socket.next())
            .await
            .expect("the socket stays open and says nothing")
        {
            Some(Ok(Message::Close(frame))) => {
                return frame.map(|frame| (frame.code.into(), frame.reason.to_string()));
            }
            // In use all the time, and no load.
            Some(Ok(_)) => tokio::time::sleep(Duration::from_millis(40)).await,
            Some(Err(_)) | None => return None,
        }
    }
}

#[tokio::test]
async fn streams_outlast_an_outage_of_redis_and_end_with_their_sessions_after_it() {
    let mut redis = RedisServer::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let backends = Backends::start().await;
    // Shorter than the frozen Redis is waited for, and longer than this machine stalls.
    let config = format!(
        "store.connect_timeout = \"3s\"\nstore.timeout = \"3s\"\nsession.near_cache.outage_grace = \"500ms\"\n{}",
        backends.routes
    );
    let gateway = Gateway::on(&redis.url(""), &config);
    let (token, lost) = (gateway.token("zhang").await, gateway.token("li").await);
    let (mut socket, mut other) = (
        open(&gateway, "/echo", &token).await,
        open(&gateway, "/echo", &lost).await,
    );
    let (mut events, mut others) = (
        stream(&gateway, &token).await,
        stream(&gateway, &lost).await,
    );
    for outage in ["frozen", "dead"] {
        match outage {
            "frozen" => redis.freeze(),
            _ => redis.kill(),
        }
        store_is_missed(&gateway, &token).await;
        busy(&mut socket, LOOKS).await;
        match outage {
            "frozen" => redis.thaw(),
            _ => redis.start_again(&[]),
        }
        until("the session to work again", async || {
            status(&gateway, &token).await == 200
        })
        .await;
        busy(&mut socket, LOOKS).await;
        echoed(&mut other, Message::text(outage)).await;
        assert!(
            goes_on(&mut events, Duration::from_millis(1)).await
                && goes_on(&mut others, Duration::from_millis(1)).await,
            "{outage}"
        );
    }
    sign_out(&gateway, &token).await;
    assert_eq!(
        farewell(&mut socket).await,
        Some((1008, "session_expired".to_owned()))
    );
    assert!(!goes_on(&mut events, BOUND).await, "the stream stays open");
    // A Redis that has lost its sessions has ended them.
    redis.ask::<()>(&["FLUSHALL"]).unwrap();
    assert_eq!(
        farewell(&mut other).await,
        Some((1008, "session_expired".to_owned()))
    );
    assert!(!goes_on(&mut others, BOUND).await, "the stream stays open");
}
