//! Endpoints that die, hang, close and fail: what clients see of it, and what is sent how often.

use std::time::Duration;

use futures_util::future::join_all;

use crate::helpers::{
    Gateway, Load, Script, Upstream, http,
    script::Step,
    servers::{EchoProcess, refusing},
    until, upstream, upstream_of,
};

const GET: &[u8] = b"GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
const POST: &[u8] =
    b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody";

async fn retries(gateway: &Gateway, outcome: &str) -> u64 {
    gateway
        .counted(&format!(
            "hufu_upstream_retries_total{{upstream=\"many\",outcome=\"{outcome}\"}}"
        ))
        .await
}

async fn ejections(gateway: &Gateway, backend: &Upstream) -> u64 {
    gateway
        .counted(&format!(
            "hufu_upstream_ejections_total{{upstream=\"many\",endpoint=\"127.0.0.1:{}\"}}",
            backend.port
        ))
        .await
}

#[tokio::test]
async fn an_endpoint_killed_under_load_costs_no_get() {
    let (one, two) = (
        EchoProcess::start("127.0.0.1:0"),
        EchoProcess::start("127.0.0.1:0"),
    );
    // How often requests go elsewhere hangs on the machine. What the budget of retries is worth
    // another test shows.
    let settings = "retries = { attempts = 2, percent = 100, per_second = 1000 }\n[upstreams.many.ejection]\ntime = \"200ms\"\nmax_time = \"200ms\"";
    let gateway = Gateway::start(&upstream_of(
        &[&one.url(), &two.url()],
        "required",
        settings,
    ));
    let load = Load::start(&gateway, 8).await;
    load.served().await;
    let address = two.address.clone();
    let opened =
        format!("hufu_upstream_connections_total{{upstream=\"many\",endpoint=\"{address}\"}}");
    let mut victim = two;
    for _ in 0..3 {
        drop(victim);
        load.served().await;
        let before = gateway.counted(&opened).await;
        victim = EchoProcess::start(&address);
        until("requests to the one that is back", async || {
            gateway.counted(&opened).await > before
        })
        .await;
    }
    load.served().await;
    // The load itself refuses every answer but 200 with its user's own name, and 503.
    let tally = load.tally();
    assert_eq!(tally.unavailable, 0, "{tally}");
    println!(
        "an endpoint killed under load: {tally}; {} requests went elsewhere",
        retries(&gateway, "another_endpoint").await
    );
}

#[tokio::test]
async fn a_hung_endpoint_is_a_timeout_and_then_left_out() {
    let (hung, well) = (Upstream::start(Script::hang()), Upstream::named("well"));
    // Longer than this machine stalls, so that the one that is well answers in time.
    let settings = "balance = \"round_robin\"\nfirst_byte_timeout = \"4s\"\n[upstreams.many.ejection]\nfailures = 2\ntime = \"10m\"\nmax_time = \"10m\"";
    let gateway = Gateway::start(&upstream(&[&hung, &well], "none", settings));
    let mut statuses = Vec::new();
    // Four at once: each endpoint has two turns.
    let first = join_all((0..4).map(|_| gateway.raw(GET))).await;
    for n in 0..20 {
        let answer = match first.get(n) {
            Some(first) => first,
            None => &gateway.raw(GET).await,
        };
        assert!(
            answer.status == 200 || answer.code() == Some("upstream_timeout"),
            "{}",
            answer.text
        );
        statuses.push(answer.status);
    }
    assert_eq!(
        statuses.iter().filter(|status| **status == 504).count(),
        2,
        "{statuses:?}"
    );
    assert_eq!(
        (ejections(&gateway, &hung).await, hung.count("GET")),
        (1, 2),
        "silence is not tried again: the client has waited long enough"
    );
}

#[tokio::test]
async fn a_half_closed_endpoint_costs_no_get() {
    let (half, well) = (
        Upstream::start(Script::new([Step::Shutdown, Step::Whole])),
        Upstream::named("well"),
    );
    // Once left out it is not tried again.
    let settings = "balance = \"round_robin\"\nejection = { time = \"10m\", max_time = \"10m\" }";
    let gateway = Gateway::start(&upstream(&[&half, &well], "none", settings));
    for _ in 0..20 {
        assert_eq!(gateway.raw(GET).await.body(), "well");
    }
    assert_eq!(ejections(&gateway, &half).await, 1);
    let line = gateway.access_line("a second attempt", |line| line["attempts"] == 2);
    assert_eq!(line["endpoint"], format!("127.0.0.1:{}", well.port));
}

#[tokio::test]
async fn what_may_have_had_an_effect_is_never_sent_twice() {
    let (one, two) = (
        Upstream::start(Script::cut()),
        Upstream::start(Script::cut()),
    );
    let gateway = Gateway::start(&upstream(
        &[&one, &two],
        "none",
        "[upstreams.many.ejection]\nmax_percent = 0",
    ));
    for n in 1..=10 {
        let answer = gateway.raw(POST).await;
        answer.refuses(502, "upstream_error", "");
        assert_eq!(one.count("POST") + two.count("POST"), n);
        let delete = gateway.raw([b"DELETE", &GET[3..]].concat()).await;
        assert_eq!(
            (delete.status, one.count("DELETE") + two.count("DELETE")),
            (502, n)
        );
    }
    assert_eq!(gateway.raw(GET).await.status, 502);
    assert_eq!(
        (one.count("GET"), two.count("GET")),
        (1, 1),
        "a GET is tried at both"
    );
    // A GET whose body has begun to go out cannot be sent again.
    let body = b"GET /x HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody";
    assert_eq!(gateway.raw(body).await.status, 502);
    assert_eq!(one.count("GET") + two.count("GET"), 3);
}

#[tokio::test]
async fn a_post_that_was_not_sent_goes_elsewhere() {
    let (nobody, _socket) = refusing();
    let well = Upstream::named("well");
    let gateway = Gateway::start(&upstream_of(
        &[&nobody, &well.url],
        "none",
        "balance = \"round_robin\"",
    ));
    for n in 1..=20 {
        assert_eq!(gateway.raw(POST).await.body(), "well");
        assert_eq!(well.count("POST"), n);
    }
    assert!(retries(&gateway, "another_endpoint").await >= 5);
}

#[tokio::test]
async fn a_stale_connection_costs_no_client_an_error() {
    for (closes, script) in [
        ("behind each answer", Script::named("one").then_close()),
        (
            "in the place of a second answer",
            Script::named("one").and(Step::Whole).then_close(),
        ),
    ] {
        let backend = Upstream::start(script);
        let gateway = Gateway::start(&upstream(&[&backend], "none", ""));
        let client = http();
        for n in 0..500 {
            let answer = client.get(gateway.at("/x")).await;
            assert_eq!(answer.status(), 200, "{closes}, request {n}");
            assert_eq!(answer.text(), "one");
        }
        assert!(
            backend.connections().len() >= 250,
            "{closes}: {} connections",
            backend.connections().len()
        );
        println!(
            "{closes}: {} of 500 requests met a connection that was being closed",
            retries(&gateway, "stale_connection").await
        );
        assert_eq!(ejections(&gateway, &backend).await, 0);
    }
}

#[tokio::test]
async fn retries_are_a_share_of_the_requests() {
    let backends = [
        Upstream::start(Script::cut()),
        Upstream::start(Script::cut()),
        Upstream::start(Script::cut()),
    ];
    let budget = "[upstreams.many.retries]\nattempts = 2\npercent = 20\nper_second = 0\n[upstreams.many.ejection]\nmax_percent = 0";
    let gateway = Gateway::start(&upstream(
        &backends.iter().collect::<Vec<_>>(),
        "none",
        budget,
    ));
    for _ in 0..200 {
        assert_eq!(gateway.raw(GET).await.status, 502);
    }
    let attempts: usize = backends.iter().map(|backend| backend.count("GET")).sum();
    assert!(
        (210..=250).contains(&attempts),
        "{attempts} attempts of 200 requests"
    );
    assert_eq!(
        attempts as u64,
        200 + retries(&gateway, "another_endpoint").await
    );
    assert!(retries(&gateway, "refused").await > 100);
}

#[tokio::test]
async fn an_answer_that_takes_too_long_in_all_is_cut() {
    let backend = Upstream::start(Script::drip());
    let gateway = Gateway::start(&upstream(
        &[&backend],
        "none",
        "timeout = \"5s\"\ntotal_timeout = \"1s\"",
    ));
    let answer = until("an answer that begins in time", async || {
        let answer = gateway.get("/x").stream().await;
        // A machine may stall before it.
        assert!(matches!(answer.status().as_u16(), 200 | 504), "{answer:?}");
        (answer.status() == 200).then_some(answer)
    })
    .await;
    assert!(
        answer.text().await.is_err(),
        "a part must not look like the whole"
    );
    backend.set(Script::hang());
    let answer = gateway.raw(GET).await;
    answer.refuses(504, "upstream_timeout", "");
}

#[tokio::test]
async fn a_client_that_does_not_go_on_is_not_the_endpoints_fault() {
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    let gateway = Gateway::start(&upstream(
        &[&one, &two],
        "none",
        "timeout = \"200ms\"\n[upstreams.many.ejection]\nfailures = 1",
    ));
    for _ in 0..4 {
        let stalled = gateway
            .raw(b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhal")
            .await;
        stalled.refuses(400, "body_broken", format_args!("{}", stalled.text));
    }
    assert_eq!(
        (
            ejections(&gateway, &one).await,
            ejections(&gateway, &two).await
        ),
        (0, 0)
    );
}

#[tokio::test]
async fn idle_connections_are_kept_as_many_and_as_long_as_told() {
    let backend = Upstream::named("one");
    for (settings, all) in [
        ("", false),
        ("idle_connections = 0", true),
        ("idle_timeout = \"1ms\"", true),
    ] {
        let gateway = Gateway::start(&upstream(&[&backend], "none", settings));
        let (client, before) = (http(), backend.connections().len());
        for _ in 0..10 {
            assert_eq!(client.get(gateway.at("/x")).await.status(), 200);
            // Longer than the shortest of the idle times.
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let opened = backend.connections().len() - before;
        assert!(
            if all { opened == 10 } else { opened <= 2 },
            "{settings}: {opened} connections for ten requests"
        );
    }
}
