//! Access lines that nobody reads.

use serde_json::Value;

use crate::helpers::{Gateway, echo_upstream, route};

/// Asks, and names the request.
async fn ask(gateway: &Gateway, path: &str) -> (u16, String) {
    let answer = gateway
        .raw(format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        ))
        .await;
    (
        answer.status,
        answer.header("x-request-id").unwrap().to_owned(),
    )
}

/// The ids of the requests that have a line once this one, which has one for certain, has it. Lines
/// of one connection after the other stand in their order.
async fn lines_before_the_next(gateway: &Gateway) -> Vec<String> {
    let (_, last) = ask(gateway, "/auth/nowhere").await;
    gateway.access_line("the last line", |line| line["request_id"] == last.as_str());
    let lines = gateway.stdout();
    lines
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["request_id"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect()
}

#[tokio::test]
async fn what_nobody_reads_has_no_line_and_is_counted() {
    let echo = echo_upstream();
    let routes = echo.route("/api", "none")
        + &route("/gone", "http://127.0.0.1:9", "none")
        + &echo.route("/closed", "required");
    let gateway = Gateway::start(&format!(
        "log.skip = [\"/auth/healthz\", \"/api/ping\", \"/gone\", \"/closed\"]\n{routes}"
    ));
    let (mut without, mut with) = (Vec::new(), Vec::new());
    // By its canonical path, however it is written, and whatever its query.
    for path in [
        "/auth/healthz",
        "/auth/healthz?x=1",
        "/api/ping",
        "/api/ping?a=b",
        "/api/%70ing",
        "/api//ping",
    ] {
        let (status, id) = ask(&gateway, path).await;
        assert_eq!(status, 200, "{path}");
        without.push((path, id));
    }
    // The whole path counts, and what fails has a line on these paths too.
    for (path, status) in [
        ("/api/ping/x", 200),
        ("/api/ping/", 200),
        ("/api", 200),
        ("/auth/healthz/", 404),
        ("/auth//healthz", 404),
        ("/gone", 502),
        ("/closed", 401),
    ] {
        let (seen, id) = ask(&gateway, path).await;
        assert_eq!(seen, status, "{path}");
        with.push((path, id));
    }
    let lines = lines_before_the_next(&gateway).await;
    for (path, id) in without {
        assert!(!lines.contains(&id), "{path} has a line");
    }
    for (path, id) in with {
        assert!(lines.contains(&id), "{path} has no line");
    }
    gateway
        .counts("hufu_requests_total{route=\"healthz\",status=\"200\"}", 2)
        .await;
    gateway
        .counts("hufu_requests_total{route=\"/api\",status=\"200\"}", 7)
        .await;
}

#[tokio::test]
async fn a_reload_takes_the_paths() {
    let echo = echo_upstream();
    let routes = echo.route("/api", "none");
    let gateway = Gateway::start(&routes);
    let (_, before) = ask(&gateway, "/api").await;
    gateway
        .reload(&format!("log.skip = [\"/api\"]\n{routes}"), "applied")
        .await;
    let (_, meanwhile) = ask(&gateway, "/api").await;
    gateway.reload(&routes, "applied").await;
    let (_, after) = ask(&gateway, "/api").await;
    let lines = lines_before_the_next(&gateway).await;
    assert_eq!(
        [before, meanwhile, after].map(|id| lines.contains(&id)),
        [true, false, true]
    );
    assert!(
        !gateway.stderr().contains("log.skip"),
        "it takes no restart: {}",
        gateway.stderr()
    );
}
