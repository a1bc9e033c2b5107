//! Clients of HTTP/1.0.

use super::http_details::before;
use crate::helpers::ByHand;

#[tokio::test]
async fn clients_of_http_1_0_get_no_chunks_and_no_second_answer() {
    let backend = ByHand::start().await;
    let (gateway, _) = before(&backend).await;
    for lines in ["Host: x\r\n", "Host: x\r\nConnection: keep-alive\r\n"] {
        for (answer, body) in [
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
                "abcde",
            ),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nsized", "sized"),
            (
                "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto the end",
                "to the end",
            ),
            ("HTTP/1.1 204 No Content\r\n\r\n", ""),
        ] {
            let mut client = gateway.probe().await;
            client
                .send(format!("GET /old HTTP/1.0\r\n{lines}\r\n"))
                .await;
            // With the version of the gateway's own, whatever the client's.
            let (mut peer, asked) = backend.request().await;
            assert!(asked.first.ends_with(" HTTP/1.1"), "{asked:?}");
            peer.send(answer).await;
            peer.finish().await;
            let got = client.answer("GET").await;
            assert_eq!(got.head.value("transfer-encoding"), None, "{got:?}");
            assert_eq!(got.text(), body, "{got:?}");
            assert!(
                !got.head
                    .value("connection")
                    .is_some_and(|value| value.eq_ignore_ascii_case("keep-alive")),
                "{got:?}"
            );
            client.ended().await;
        }
    }
    let mut client = gateway.probe().await;
    client
        .send("POST /old HTTP/1.0\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
        .await;
    let (mut peer, asked) = backend.request().await;
    assert_eq!(
        (asked.value("content-length"), peer.take(3).await),
        (Some("3"), b"abc".to_vec())
    );
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        .await;
    assert_eq!(client.answer("POST").await.text(), "ok");
    client.ended().await;
}

/// There is no other way to tell a client of HTTP/1.0 that a body without a length has broken off.
#[tokio::test]
async fn a_broken_answer_to_http_1_0_is_no_clean_end() {
    let backend = ByHand::start().await;
    let (_gateway, mut client) = before(&backend).await;
    client.send("GET /old HTTP/1.0\r\nHost: x\r\n\r\n").await;
    let (mut peer, _) = backend.request().await;
    peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
        .await;
    assert_eq!(client.head().await.status(), 200);
    peer.finish().await;
    assert!(
        !client.until_closed().await.1,
        "a clean end says that it is whole"
    );
}
