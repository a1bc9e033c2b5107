//! What ends a WebSocket or an event stream: its session, silence, the process.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use hufu::clock::monotonic_now;
use nix::sys::signal::Signal;
use tokio_tungstenite::tungstenite::Message;

use super::EVENTS;
use crate::helpers::ws_client::{close, closed, connect, open, refused};
use crate::helpers::{
    BOUND, Gateway, RedisServer, Script, Socket, Upstream, WsUpstream, echoed, http, until,
};

/// Two streams of a user, and one that nobody has logged in for.
#[tokio::test]
async fn an_event_stream_is_cut_when_its_session_ends() {
    let (redis, upstream) = (
        RedisServer::start(&[]),
        Upstream::start(Script::at_head(EVENTS.to_vec())),
    );
    let flood = Upstream::start(Script::flood(
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
    ));
    let routes = upstream.route("/", "required")
        + &flood.route("/flood", "required")
        + &upstream.route("/open", "none");
    // Nothing comes behind the first event: that is not what ends a stream here.
    let config = routes.replace("timeout = \"5s\"", "timeout = \"5m\"");
    let one = Gateway::on(&redis.url(""), &config);
    let other = one.sibling();
    let (token, client) = (one.token("zhang").await, http());
    let mut events = client
        .get(one.at("/events"))
        .bearer_auth(&token)
        .stream()
        .await;
    let mut anonymous = client.get(one.at("/open")).stream().await;
    for stream in [&mut events, &mut anonymous] {
        assert_eq!(
            stream.chunk().await.unwrap().unwrap().as_ref(),
            b"data: 1\n\n"
        );
    }
    let mut flood = client
        .get(one.at("/flood"))
        .bearer_auth(&token)
        .stream()
        .await;
    assert!(flood.chunk().await.unwrap().is_some());
    assert_eq!(
        client
            .post(other.at("/auth/logout"))
            .bearer_auth(&token)
            .await
            .status(),
        204
    );
    let ended = monotonic_now();
    let cut =
        async |stream: &mut reqwest::Response| while let Ok(Some(_)) = stream.chunk().await {};
    tokio::time::timeout(BOUND, cut(&mut flood))
        .await
        .expect("the flood goes on");
    assert!(
        tokio::time::timeout(BOUND, events.chunk())
            .await
            .expect("the stream stays open")
            .is_err(),
        "it must not look complete"
    );
    println!("cut after {:?}", ended.elapsed());
    for path in ["/events", "/flood"] {
        one.access_line("its reason", |line| {
            line["path"] == path && line["status"] == 200 && line["error"] == "session_expired"
        });
    }
    assert!(
        tokio::time::timeout(Duration::from_millis(600), anonymous.chunk())
            .await
            .is_err(),
        "nobody's session, nobody's end"
    );
}

#[tokio::test]
async fn a_session_revoked_on_another_gateway_closes_its_sockets() {
    let (redis, upstream) = (RedisServer::start(&[]), WsUpstream::start().await);
    let one = Gateway::on(&redis.url(""), &upstream.route("/", "required"));
    let other = one.sibling();
    let (token, keeps) = (one.token("zhang").await, one.token("li").await);
    let mut stays = open(&one, "/echo", &keeps).await;
    let mut sockets = [
        open(&one, "/echo", &token).await,
        open(&other, "/echo", &token).await,
        open(&one, "/half", &token).await,
        open(&one, "/late", &token).await,
    ];
    for socket in &mut sockets[..2] {
        echoed(socket, Message::text("x")).await;
    }
    // So that it is in the middle of a frame.
    until("half a frame", async || {
        upstream
            .heard
            .lock()
            .unwrap()
            .contains(&"half sent".to_owned())
    })
    .await;
    sockets[3].send(Message::text("go on")).await.unwrap();
    assert_eq!(
        sockets[3].next().await.unwrap().unwrap(),
        Message::binary(b"abcdefghij".to_vec())
    );
    other.sign_out(&token).await;
    let ended = monotonic_now();
    for (n, socket) in sockets.iter_mut().enumerate() {
        let frame = closed(socket).await;
        println!(
            "socket {n}: {:?} after {:?}",
            frame.as_ref().map(|frame| u16::from(frame.code)),
            ended.elapsed()
        );
        // One stands in a frame that never ends: it is cut.
        assert_eq!(
            frame.map(|frame| (u16::from(frame.code), frame.reason.to_string())),
            (n != 2).then(|| (1008, "session_expired".to_owned())),
            "{n}"
        );
    }
    until("the upstream's connections to end", async || {
        upstream.ended.load(Ordering::SeqCst) == 4
    })
    .await;
    assert!(
        upstream
            .heard
            .lock()
            .unwrap()
            .contains(&"close 1008".to_owned())
    );
    one.access_line("its reason", |line| {
        line["status"] == 101 && line["error"] == "session_expired"
    });
    echoed(&mut stays, Message::text("still here")).await;
}

/// Uses a socket until it is closed: the code, for how long that was, and the longest time between
/// two uses.
async fn used_until_closed(socket: &mut Socket) -> (Option<u16>, Duration, Duration) {
    let started = monotonic_now();
    let (mut rounds, mut last, mut longest) = (0, started, Duration::ZERO);
    let frame = loop {
        if socket.send(Message::text("use")).await.is_err() {
            break closed(socket).await;
        }
        match socket.next().await {
            Some(Ok(Message::Close(frame))) => break frame,
            Some(Ok(_)) => rounds += 1,
            Some(Err(_)) | None => break None,
        }
        longest = longest.max(last.elapsed());
        last = monotonic_now();
        // A client with little to say: the seconds until its session ends are the point.
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let longest = longest.max(last.elapsed());
    println!("{rounds} rounds in {:?}", started.elapsed());
    let code = frame.map(|frame| frame.code.into());
    (code, started.elapsed(), longest)
}

#[tokio::test]
async fn sessions_that_expire_close_their_sockets_and_use_renews_them() {
    const IDLE: Duration = Duration::from_secs(3);
    // Without use, and until the gateway looks at it again.
    const UNUSED: Duration = Duration::from_secs(4);
    let upstream = WsUpstream::start().await;
    let config = format!(
        "session.idle_timeout = \"3s\"\nsession.absolute_timeout = \"8s\"\n{}",
        upstream.route("/", "required")
    );
    let gateway = Gateway::start(&config);
    let mut idle = until("a client that does not use its socket", async || {
        let bearer = format!("Bearer {}", gateway.token("li").await);
        let opened = connect(&gateway, "/echo", &[("authorization", &bearer)]).await;
        Some(opened.ok()?.0)
    })
    .await;
    let mut tries = 0;
    let lived = until("a client that a machine lets use its socket", async || {
        tries += 1;
        let token = gateway.token(&format!("busy{tries}")).await;
        let bearer = format!("Bearer {token}");
        let opened = connect(&gateway, "/echo", &[("authorization", &bearer)]).await;
        let (code, lived, longest) = used_until_closed(&mut opened.ok()?.0).await;
        assert_eq!(code, Some(1008));
        // Where the machine has stalled, the session may have been idle for its time.
        (lived > UNUSED || longest < IDLE / 2).then_some(lived)
    })
    .await;
    // It has 8 s from the login on, of which the handshake took fewer than 3.
    assert!(lived > UNUSED, "it outlives the idle timeout: {lived:?}");
    assert_eq!(
        closed(&mut idle).await.map(|frame| frame.code.into()),
        Some(1008)
    );
}

#[tokio::test]
async fn silence_ends_a_socket() {
    let upstream = WsUpstream::start().await;
    let config = format!(
        "websockets = {{ max = 1, idle_timeout = \"1s\" }}\n{}",
        upstream.route("/", "required")
    );
    let gateway = Gateway::start(&config);
    let token = gateway.token("zhang").await;
    // Twice: the first one's place is free again.
    for _ in 0..2 {
        let mut socket = open(&gateway, "/echo", &token).await;
        let frame = closed(&mut socket).await.unwrap();
        assert_eq!(
            (u16::from(frame.code), frame.reason.as_str()),
            (1001, "idle")
        );
        gateway.counts("hufu_websockets_open", 0).await;
    }
}

#[tokio::test]
async fn limits_hold() {
    let upstream = WsUpstream::start().await;
    let config = format!(
        "websockets = {{ max = 3, max_per_user = 2 }}\n{}",
        upstream.route("/", "required")
    );
    let gateway = Gateway::start(&config);
    let (zhang, li) = (gateway.token("zhang").await, gateway.token("li").await);
    let bearer = |token: &str| format!("Bearer {token}");
    let mut sockets = [
        open(&gateway, "/echo", &zhang).await,
        open(&gateway, "/echo", &zhang).await,
    ];
    assert_eq!(
        refused(&gateway, "/echo", &[("authorization", &bearer(&zhang))]).await,
        (429, "websocket_limit".to_owned())
    );
    let _third = open(&gateway, "/echo", &li).await;
    assert_eq!(
        refused(&gateway, "/echo", &[("authorization", &bearer(&li))]).await,
        (503, "websockets_full".to_owned())
    );
    assert_eq!(upstream.opened.load(Ordering::SeqCst), 3);
    for socket in &mut sockets {
        close(socket, 1000).await;
    }
    gateway.counts("hufu_websockets_open", 1).await;
    let mut again = open(&gateway, "/echo", &zhang).await;
    echoed(&mut again, Message::text("x")).await;
}

#[tokio::test]
async fn a_gateway_that_ends_says_so() {
    let upstream = WsUpstream::start().await;
    let config = format!(
        "server.drain_grace = \"0s\"\n{}",
        upstream.route("/", "none")
    );
    let mut gateway = Gateway::start(&config);
    let mut socket = connect(&gateway, "/echo", &[]).await.unwrap().0;
    echoed(&mut socket, Message::text("x")).await;
    gateway.signal(Signal::SIGTERM);
    let frame = closed(&mut socket).await.unwrap();
    assert_eq!(
        (u16::from(frame.code), frame.reason.as_str()),
        (1001, "going_away")
    );
    drop(socket);
    assert_eq!(gateway.ended().code(), Some(0), "{}", gateway.stderr());
    gateway.access_line("the socket's end", |line| line["status"] == 101);
}
