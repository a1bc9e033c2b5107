//! How many requests an upstream has under way, how many wait for their turn, and for how long.

use super::upstreams::get;
use crate::helpers::{ByHand, Gateway, Script, Upstream, until, upstream, upstream_of};

#[tokio::test]
async fn so_many_at_once_so_many_wait_and_no_more() {
    let backend = Upstream::start(Script::hang());
    let limits = "timeout = \"60s\"\nmax_concurrent = 1\nqueue = 1\nqueue_timeout = \"60s\"";
    let gateway = Gateway::start(&upstream(&[&backend], "none", limits));
    let ask = |path: &str| tokio::spawn(gateway.get(path).try_send());
    let first = ask("/first");
    until("the first request", async || {
        backend.count("GET /first") == 1
    })
    .await;
    let second = ask("/second");
    let waiting = "hufu_upstream_waiting{upstream=\"many\"}";
    gateway.counts(waiting, 1).await;
    let third = gateway
        .raw(b"GET /third HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await;
    assert_eq!(
        (third.status, third.code(), third.header("retry-after")),
        (503, Some("upstream_unavailable"), Some("1"))
    );
    backend.set(Script::named("one"));
    // The first is never answered; when its client leaves, its place is the second's.
    first.abort();
    assert_eq!(second.await.unwrap().unwrap().status(), 200);
    assert_eq!(
        (backend.count("GET /second"), backend.count("GET /third")),
        (1, 0)
    );
    gateway.counts(waiting, 0).await;
    gateway
        .counts(
            "hufu_upstream_requests_total{upstream=\"many\",outcome=\"unavailable\"}",
            1,
        )
        .await;
    // A place is given back at the end of each answer.
    for _ in 0..5 {
        assert_eq!(get(&gateway, "/x").await, "one");
    }
}

/// Whose client leaves, does not wait any more, whatever of its request has come: the place is
/// another's.
#[tokio::test]
async fn a_client_that_leaves_the_queue_frees_its_place() {
    let backend = ByHand::start().await;
    let gateway = Gateway::start(&upstream_of(
        &[&backend.url],
        "none",
        "timeout = \"60s\"\nmax_concurrent = 1\nqueue = 1\nqueue_timeout = \"60s\"",
    ));
    let waiting = async |count| {
        gateway
            .counts("hufu_upstream_waiting{upstream=\"many\"}", count)
            .await;
    };
    let mut first = gateway.probe().await;
    first.send("GET /first HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let (mut held, _) = backend.request().await;
    for request in [
        "GET /left HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /left HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
        "POST /left HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n2;a=b\r\n !\r\n0\r\nT: u\r\n\r\n",
        "POST /left HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /next HTTP/1.1\r\nHost: x\r\n\r\n",
    ] {
        let mut leaves = gateway.probe().await;
        leaves.send(request).await;
        waiting(1).await;
        drop(leaves);
        waiting(0).await;
    }
    // The one place to wait is free, and none of those who left is passed on.
    let mut next = gateway.probe().await;
    next.send("POST /next HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n").await;
    waiting(1).await;
    held.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nfirst")
        .await;
    assert_eq!(first.answer("GET").await.text(), "first");
    let (mut peer, head) = backend.request().await;
    assert!(head.first.starts_with("POST /next "), "{head:?}");
    assert_eq!(peer.chunks().await.0, b"hello");
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext")
        .await;
    assert_eq!(next.answer("POST").await.text(), "next");
    assert!(backend.is_left_alone().await);
    let left = || {
        gateway
            .stdout()
            .lines()
            .filter(|line| line.contains("\"/left\"") && line.contains("499"))
            .count()
    };
    until("a line for each who left", async || left() == 4).await;
}

#[tokio::test]
async fn a_wait_in_the_queue_has_an_end() {
    let backend = Upstream::start(Script::hang());
    let gateway = Gateway::start(&upstream(
        &[&backend],
        "none",
        "timeout = \"60s\"\nmax_concurrent = 1\nqueue = 5\nqueue_timeout = \"50ms\"",
    ));
    let _first = tokio::spawn(gateway.get("/first").try_send());
    until("the first request", async || {
        backend.count("GET /first") == 1
    })
    .await;
    let second = gateway.get("/second").await;
    assert_eq!((second.status(), backend.count("GET /second")), (503, 0));
}
