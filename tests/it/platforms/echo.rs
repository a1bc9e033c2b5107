//! The echo upstream tells what arrived.

use serde_json::Value;

use crate::helpers::{echo_upstream, http};

#[tokio::test]
async fn tells_the_request() {
    let echo = echo_upstream();
    let answer: Value = http()
        .put(echo.at("/a/b?c=d%20e"))
        .header("X-Two", "1")
        .header("X-Two", "2")
        .body("tiger")
        .await
        .json();
    assert_eq!(
        (&answer["method"], &answer["path"], &answer["query"]),
        (&"PUT".into(), &"/a/b".into(), &"c=d%20e".into())
    );
    assert_eq!(
        (&answer["body"], &answer["body_bytes"]),
        (&"tiger".into(), &5.into())
    );
    let twos: Vec<&Value> = answer["headers"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|header| header[0] == "x-two")
        .map(|header| &header[1])
        .collect();
    assert_eq!(twos, ["1", "2"]);
}

#[tokio::test]
async fn keeps_large_and_binary_bodies_to_itself() {
    let echo = echo_upstream();
    for (body, bytes) in [(vec![b'a'; 4097], 4097), (vec![0xff; 3], 3)] {
        let answer: Value = http().post(echo.at("/")).body(body).await.json();
        assert_eq!(
            (&answer["body"], &answer["body_bytes"]),
            (&Value::Null, &bytes.into())
        );
    }
}

#[tokio::test]
async fn special_paths() {
    let (echo, http) = (echo_upstream(), http());
    for status in [200, 204, 304, 404, 503] {
        assert_eq!(
            http.get(echo.at(&format!("/status/{status}")))
                .await
                .status(),
            status
        );
    }
    assert_eq!(http.get(echo.at("/status/099")).await.status(), 400);
    let bytes = http.get(echo.at("/bytes/3000000")).await;
    assert_eq!(bytes.header("content-length"), "3000000");
    assert_eq!(bytes.bytes().len(), 3_000_000);
    let sunk: Value = http.post(echo.at("/sink")).body("abc").await.json();
    assert_eq!(
        sunk,
        serde_json::json!({ "bytes": 3, "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" })
    );
    let slow: Value = http.get(echo.at("/slow/1")).await.json();
    assert_eq!(slow["path"], "/slow/1");
    let events = http.get(echo.at("/sse")).await;
    assert_eq!(events.header("content-type"), "text/event-stream");
    assert_eq!(
        events.text(),
        "id: 1\ndata: event 1\n\nid: 2\ndata: event 2\n\nid: 3\ndata: event 3\n\n"
    );
}
