//! A session that is revoked while its request is under way: in an upload, in a queue, in a wait
//! for the answer.

use super::order::Order;
use crate::helpers::{ByHand, Gateway, Probe, until, upstream_of};

/// The rest of a head, and the beginning of a body that does not end.
const BEGUN: &str = "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";

/// A gateway with a backend that is answered by hand, and the token of somebody who is signed in.
async fn signed_in() -> (ByHand, Gateway, String) {
    let backend = ByHand::start().await;
    let gateway = Gateway::start(&patient(&backend, "required"));
    let token = gateway.token("ann").await;
    (backend, gateway, token)
}

/// A route to a backend that may take its time, so that nothing ends by itself.
fn patient(backend: &ByHand, auth: &str) -> String {
    let route = backend.route("/", auth);
    route.replace("timeout = \"5s\"", "timeout = \"5m\"")
}

async fn log_out(gateway: &Gateway, token: &str) {
    let answer = gateway.post("/auth/logout").bearer_auth(token).await;
    assert_eq!(answer.status(), 204);
}

/// The 401 of a session that has ended.
async fn refused(gateway: &Gateway, client: &mut Probe, path: &str) {
    let answer = client.answer("GET").await;
    answer.refuses(401, "session_expired", format_args!("{path}: {answer:?}"));
    logged(gateway, path, 401);
}

/// The access line of a request whose session ended on the way.
fn logged(gateway: &Gateway, path: &str, status: u16) {
    let line = gateway.access_line(path, |line| line["path"] == path);
    assert_eq!(
        (&line["status"], &line["error"]),
        (&status.into(), &"session_expired".into()),
        "{line}"
    );
}

#[tokio::test]
async fn an_upload_is_broken_off() {
    let (backend, gateway, token) = signed_in().await;
    let mut client = gateway.asking("POST /upload", &token, BEGUN).await;
    let (mut peer, _) = backend.request().await;
    log_out(&gateway, &token).await;
    // It goes on sending, slowly.
    let mut sender = client.sender();
    let sending = async {
        while sender.try_send("3\r\nbye\r\n").await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let answered = refused(&gateway, &mut client, "/upload");
    tokio::select! { () = sending => panic!("closed before its answer"), () = answered => {} }
    let body = String::from_utf8(peer.rest().await).unwrap();
    assert!(
        body.starts_with("5\r\nhello\r\n") && !body.ends_with("0\r\n\r\n"),
        "never a whole one: {body:?}"
    );
    let outcome = async |outcome: &str| {
        gateway
            .counted(&format!(
                "hufu_upstream_requests_total{{upstream=\"u2f\",outcome=\"{outcome}\"}}"
            ))
            .await
    };
    until("its outcome", async || {
        outcome("session_expired").await == 1
    })
    .await;
    assert_eq!(outcome("client_left").await, 0);
}

/// The answer is the client's already, but what it still sends is nobody's any more.
#[tokio::test]
async fn an_upload_behind_an_early_answer_is_broken_off() {
    let (backend, gateway, token) = signed_in().await;
    let mut client = gateway.asking("POST /early", &token, BEGUN).await;
    let (mut peer, _) = backend.request().await;
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        .await;
    assert_eq!(client.answer("POST").await.text(), "ok");
    log_out(&gateway, &token).await;
    client.ended().await;
    let body = String::from_utf8(peer.rest().await).unwrap();
    assert!(!body.ends_with("0\r\n\r\n"), "{body:?}");
    logged(&gateway, "/early", 200);
}

#[tokio::test]
async fn a_wait_for_an_answer_ends_unless_the_request_must_not_be_sent_again() {
    let (backend, gateway, token) = signed_in().await;
    // The backend has all of this one, and acts on it.
    let order = Order::begin(&gateway, &backend, &token).await;
    let mut polling = gateway.asking("GET /poll", &token, "\r\n").await;
    let (mut poll, _) = backend.request().await;
    log_out(&gateway, &token).await;
    refused(&gateway, &mut polling, "/poll").await;
    poll.ended().await;
    // Both were looked at.
    until("a look at each", async || {
        gateway
            .counted("hufu_session_lookups_total{outcome=\"gone\"}")
            .await
            >= 2
    })
    .await;
    order.gets_its_answer().await;
    // A connection that has had a 401 goes on.
    assert_eq!(polling.ask("GET", "/auth/healthz", "").await.text(), "ok");
}

#[tokio::test]
async fn whoever_waits_in_the_queue_is_asked_again_before_the_backend_hears_of_it() {
    let backend = ByHand::start().await;
    let gateway = Gateway::start(&upstream_of(
        &[&backend.url],
        "required",
        "max_concurrent = 1\nqueue = 5\nqueue_timeout = \"60s\"\ntimeout = \"60s\"",
    ));
    let (stays, leaves) = (gateway.token("ann").await, gateway.token("ben").await);
    let mut first = gateway.asking("GET /first", &stays, "\r\n").await;
    let (mut held, _) = backend.request().await;
    let waiting = async |count| {
        gateway
            .counts("hufu_upstream_waiting{upstream=\"many\"}", count)
            .await;
    };
    let mut gone = gateway
        .asking("POST /gone", &leaves, "Content-Length: 2\r\n\r\nhi")
        .await;
    waiting(1).await;
    let mut next = gateway.asking("GET /next", &stays, "\r\n").await;
    waiting(2).await;
    log_out(&gateway, &leaves).await;
    held.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst")
        .await;
    assert_eq!(first.answer("GET").await.text(), "first");
    refused(&gateway, &mut gone, "/gone").await;
    // Its place is the next one's.
    assert!(held.head().await.first.starts_with("GET /next "));
    held.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext")
        .await;
    assert_eq!(next.answer("GET").await.text(), "next");
    assert!(backend.is_left_alone().await);
}

/// Whoever leaves before the answer is in one outcome, as everybody is.
#[tokio::test]
async fn every_request_to_a_backend_is_in_one_outcome() {
    let backend = ByHand::start().await;
    let gateway = Gateway::start(&patient(&backend, "none"));
    let outcome = async |outcome: &str| {
        gateway
            .counted(&format!(
                "hufu_upstream_requests_total{{upstream=\"u2f\",outcome=\"{outcome}\"}}"
            ))
            .await
    };
    for n in 1..4 {
        let mut client = gateway.probe().await;
        client.send("GET /x HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let (mut peer, _) = backend.request().await;
        drop(client);
        peer.ended().await;
        until("the one who left", async || {
            outcome("client_left").await == n
        })
        .await;
    }
    let mut client = gateway.probe().await;
    client.send("GET /x HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let (mut peer, _) = backend.request().await;
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        .await;
    assert_eq!(client.answer("GET").await.text(), "ok");
    until("the one who stayed", async || {
        outcome("answered").await == 1
    })
    .await;
    assert_eq!(outcome("client_left").await, 3);
}
