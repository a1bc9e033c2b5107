//! The Host that a backend sees, against a real nginx whose sites are told apart by name, with and
//! without TLS.

use std::collections::BTreeSet;

use crate::helpers::{
    Answer, Certificates, Gateway, Nginx, Script, Upstream, route, script::ok, until,
};

async fn get(gateway: &Gateway, path: &str) -> Answer {
    gateway
        .raw(format!(
            "GET {path} HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n"
        ))
        .await
}

/// An upstream and a route of its own to it, which leaves out its path.
fn named(name: &str, endpoints: &[String], more: &str) -> String {
    format!(
        "[upstreams.{name}]\nendpoints = {endpoints:?}\nconnect_timeout = \"30s\"\n{more}\n[[routes]]\npath = \"/{name}\"\nupstream = \"{name}\"\nauth = \"none\"\nstrip_prefix = true\n"
    )
}

/// What each site answers: its name, and what it was asked by.
fn site(port: u16, name: &str, more: &str) -> String {
    let says = "$http_host $http_x_forwarded_host $ssl_server_name";
    format!(
        "server {{ listen 127.0.0.1:{port}{}; server_name {name}; port_in_redirect off; {more}\n\
         location / {{ return 200 \"{name}: {says}\"; }} location = /dir {{ return 301 /dir/; }} location = /secure {{ return 301 https://$host/x; }} }}\n",
        if more.contains("ssl") { " ssl" } else { "" }
    )
}

fn sites() -> Nginx {
    Nginx::configured(|port| {
        let nobody = format!("server {{ listen 127.0.0.1:{port} default_server; return 421; }}\n");
        nobody
            + &site(port, "one.test", "")
            + &site(port, "two.test", "")
            + &site(port, "localhost", "")
    })
}

#[tokio::test]
async fn the_backend_sees_the_host_that_was_chosen_for_it() {
    let nginx = sites();
    let port = nginx.address().port();
    let (by_address, by_name) = (vec![nginx.at("")], vec![format!("http://localhost:{port}")]);
    let gateway = Gateway::start(
        &(named("client", &by_address, "")
            + &named("one", &by_address, "host = \"one.test\"")
            + &named("two", &by_address, "host = \"two.test:81\"")
            + &named("endpoint", &by_name, "host = \"endpoint\"")),
    );
    assert_eq!(get(&gateway, "/client/x").await.status, 421, "as it came");
    assert_eq!(
        get(&gateway, "/one/x").await.body(),
        "one.test: one.test shop.test "
    );
    assert_eq!(
        get(&gateway, "/two/x").await.body(),
        "two.test: two.test:81 shop.test "
    );
    assert_eq!(
        get(&gateway, "/endpoint/x").await.body(),
        format!("localhost: localhost:{port} shop.test ")
    );
    let without = gateway.raw(b"GET /one/x HTTP/1.0\r\n\r\n").await;
    assert!(
        without.body().starts_with("one.test: one.test"),
        "{}",
        without.text
    );
    // A redirect to the name that the backend was given is one to itself.
    for (path, location) in [
        ("/one/dir", "/one/dir/"),
        ("/one/secure", "/one/x"),
        ("/endpoint/dir", "http://localhost/dir/"),
        ("/client/dir", ""),
    ] {
        let answer = get(&gateway, path).await;
        assert_eq!(
            answer.header("location").unwrap_or_default(),
            location,
            "{}",
            answer.text
        );
    }
}

#[tokio::test]
async fn every_attempt_has_the_host_of_its_endpoint() {
    let upstream = Upstream::start(Script::at_head(ok()).then_close());
    let port = upstream
        .url
        .rsplit(':')
        .next()
        .unwrap()
        .trim_end_matches('/')
        .to_owned();
    let (address, name) = (format!("127.0.0.1:{port}"), format!("localhost:{port}"));
    let url = |host: &str| format!("http://{host}");
    let more = "host = \"endpoint\"\nbalance = \"round_robin\"\nretries = { attempts = 3, percent = 100, per_second = 100 }\nejection = { max_percent = 0 }";
    let gateway = Gateway::start(&named(
        "all",
        &[url("127.0.0.1:1"), url(&address), url(&name)],
        more,
    ));
    let mut seen = BTreeSet::new();
    for number in 0..12 {
        let request = format!(
            "POST /all/{number} HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\nab\r\n0\r\n\r\n"
        );
        assert_eq!(gateway.raw(&request).await.status, 200);
        let record = until("the request at the upstream", async || {
            upstream
                .connections()
                .into_iter()
                .find(|record| record.head().contains(&format!("POST /{number} ")))
        })
        .await;
        let hosts = record.values("host");
        assert_eq!(
            (hosts.len(), record.values("x-forwarded-host")),
            (1, vec!["shop.test".to_owned()]),
            "{}",
            record.head()
        );
        seen.extend(hosts);
    }
    assert_eq!(seen, [address, name].into());
}

#[tokio::test]
async fn health_checks_ask_by_the_same_host() {
    let nginx = sites();
    let endpoints = [nginx.at("")];
    // A refusal is one at once; an answer may be late where the machine stalls.
    let health = "health = { path = \"/\", interval = \"20ms\", timeout = \"30s\", unhealthy_after = 1, healthy_after = 1 }\n";
    let gateway = Gateway::start(
        &(named("client", &endpoints, health)
            + &named("one", &endpoints, &format!("host = \"one.test\"\n{health}"))),
    );
    until("the check without the name to fail", async || {
        get(&gateway, "/client/x").await.status == 503
    })
    .await;
    assert_eq!(get(&gateway, "/one/x").await.status, 200);
}

#[tokio::test]
async fn the_name_is_that_of_the_handshake_too() {
    let certificates = Certificates::new();
    let nginx = Nginx::configured(|port| {
        let ssl = |name: &str| {
            let who = name.split('.').next().unwrap();
            certificates.sign(who, &format!("DNS:{name}"));
            format!(
                "ssl_certificate {}; ssl_certificate_key {};",
                certificates.path(&format!("{who}.pem")).display(),
                certificates.path(&format!("{who}.key")).display()
            )
        };
        let nobody = format!(
            "server {{ listen 127.0.0.1:{port} ssl default_server; ssl_reject_handshake on; }}\n"
        );
        nobody
            + &site(port, "one.test", &ssl("one.test"))
            + &site(port, "two.test", &ssl("two.test"))
    });
    let endpoints = [format!("https://{}", nginx.address())];
    let of = |name: &str, host: &str, more: &str| {
        named(
            name,
            &endpoints,
            &format!(
                "host = \"{host}\"\ntls = {{ ca = {:?}{more} }}",
                certificates.path("ca.pem")
            ),
        )
    };
    let config = |host: &str| {
        let others = of("client", "client", "")
            + &of("endpoint", "endpoint", "")
            + &of("address", "127.0.0.1", "")
            + &of("wrong", "three.test", "");
        of("one", host, "") + &of("other", "one.test", ", server_name = \"two.test\"") + &others
    };
    let gateway = Gateway::start(&config("one.test"));
    assert_eq!(
        get(&gateway, "/one/x").await.body(),
        "one.test: one.test shop.test one.test"
    );
    assert_eq!(
        get(&gateway, "/other/x").await.body(),
        "one.test: one.test shop.test two.test",
        "tls.server_name is the operator's word"
    );
    for name in ["client", "endpoint", "address", "wrong"] {
        assert_eq!(
            get(&gateway, &format!("/{name}/x")).await.status,
            502,
            "{name}: the certificate is of no such name"
        );
    }
    gateway.reload(&config("two.test"), "applied").await;
    assert_eq!(
        get(&gateway, "/one/x").await.body(),
        "two.test: two.test shop.test two.test"
    );
}

#[tokio::test]
async fn a_reload_takes_another_host() {
    let nginx = sites();
    let config = |host: &str| {
        named("site", &[nginx.at("")], &format!("host = \"{host}\""))
            + &route("/other", &nginx.at(""), "none")
    };
    let gateway = Gateway::start(&config("one.test"));
    for host in ["two.test", "one.test"] {
        gateway.reload(&config(host), "applied").await;
        assert_eq!(
            get(&gateway, "/site/x").await.body(),
            format!("{host}: {host} shop.test ")
        );
    }
}
