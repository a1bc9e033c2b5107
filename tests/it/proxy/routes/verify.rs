//! What `/auth/verify` knows of routes.

use super::{ask, config};
use crate::helpers::{Gateway, Upstream};

#[tokio::test]
async fn verify_knows_hosts_and_methods() {
    let upstream = Upstream::ok();
    let gateway = Gateway::start(&format!(
        "server.trusted_proxies = [\"127.0.0.1\"]\nverify.proxy = \"traefik\"\n{}",
        config(
            &upstream,
            &[
                "path = \"/\"\nauth = \"none\"",
                "path = \"/api\"\nhost = \"a.example.com\"\nmethods = [\"GET\"]\nauth = \"none\"",
                "path = \"/api\"\nhost = \"a.example.com\"\nmethods = [\"POST\"]",
                "path = \"/api\"\nhost = \"b.example.com\"",
            ]
        )
    ));
    let (a, b) = (
        "X-Forwarded-Host: A.example.com:443\r\n",
        "X-Forwarded-Host: b.example.com.\r\n",
    );
    let (get, post) = (
        "X-Forwarded-Method: GET\r\n",
        "X-Forwarded-Method: POST\r\n",
    );
    let api = "X-Forwarded-Uri: /api/x\r\n";
    for (lines, status, code) in [
        (format!("{api}{a}{get}"), 200, None),
        (format!("{api}{a}X-Forwarded-Method: HEAD\r\n"), 200, None),
        (format!("{api}{a}{post}"), 401, Some("login_required")),
        (
            format!("{api}{a}X-Forwarded-Method: PUT\r\n"),
            403,
            Some("method_not_allowed"),
        ),
        (format!("{api}{b}{get}"), 401, Some("login_required")),
        (
            format!("{api}X-Forwarded-Host: c.example.com\r\n{get}"),
            200,
            None,
        ),
        ("X-Forwarded-Uri: /x\r\n".to_owned(), 200, None),
        // Not said: the strictest that it may be. The asking's own Host is the proxy's.
        (format!("{api}{get}"), 401, Some("login_required")),
        (format!("X-Forwarded-Uri: /x\r\n{get}"), 200, None),
        (format!("{api}{b}"), 401, Some("login_required")),
        // It may be PUT, which /api of a.example.com does not take.
        (format!("{api}{a}"), 403, Some("method_not_allowed")),
        (api.to_owned(), 403, Some("method_not_allowed")),
        // Said twice, or not understood.
        (format!("{api}{a}{a}{get}"), 401, Some("request_invalid")),
        (format!("{api}{a}{get}{get}"), 401, Some("request_invalid")),
        // Another proxy's header, which is not read.
        (
            format!("{api}{a}{get}X-Original-Method: POST\r\n"),
            200,
            None,
        ),
        (
            format!("{api}X-Forwarded-Host: c.example.com, a.example.com\r\n{get}"),
            401,
            Some("request_invalid"),
        ),
        (
            format!("{api}{a}X-Forwarded-Method: GET, POST\r\n"),
            401,
            Some("request_invalid"),
        ),
        (
            format!("{api}{a}X-Forwarded-Method:\r\n"),
            401,
            Some("request_invalid"),
        ),
        (
            format!("{api}X-Forwarded-Host:\r\n{get}"),
            401,
            Some("request_invalid"),
        ),
        (
            format!("{api}{a}{get}X-HTTP-Method-Override: POST\r\n"),
            401,
            Some("request_invalid"),
        ),
        (
            format!("X-Forwarded-Uri: /API/x\r\n{a}{get}"),
            401,
            Some("path_invalid"),
        ),
        (
            format!("X-Forwarded-Uri: /api;x/y\r\n{get}"),
            401,
            Some("path_invalid"),
        ),
        (
            format!("X-Forwarded-Uri: /api.json\r\n{b}{get}"),
            401,
            Some("path_invalid"),
        ),
        (
            format!("X-Forwarded-Uri: /api.json\r\nX-Forwarded-Host: c.example.com\r\n{get}"),
            200,
            None,
        ),
    ] {
        let answer = ask(&gateway, "GET", "/auth/verify", "c.example.com", &lines).await;
        assert_eq!(
            (answer.status, answer.code()),
            (status, code),
            "{lines}{}",
            answer.text
        );
    }
}

#[tokio::test]
async fn verify_decides_on_raw_paths_as_the_proxy_does() {
    let upstream = Upstream::ok();
    let routes = config(
        &upstream,
        &[
            "path = \"/\"",
            "path = \"/raw\"\nauth = \"none\"\nraw_path = true",
            "path = \"/plain\"\nauth = \"none\"",
        ],
    );
    let config =
        format!("server.trusted_proxies = [\"127.0.0.1\"]\nverify.proxy = \"nginx\"\n{routes}");
    let gateway = Gateway::start(&config);
    for (uri, status, code) in [
        ("/raw/a%2Fb", 200, None),
        ("/raw//a%2fb?x", 200, None),
        ("/raw/..%2Fadmin", 401, Some("path_invalid")),
        ("/raw%2Fadmin", 401, Some("path_invalid")),
        ("//raw/a%2Fb", 401, Some("path_invalid")),
        ("/r%61w/a%2Fb", 401, Some("path_invalid")),
        ("/plain/a%2Fb", 401, Some("path_invalid")),
        ("/admin%2Fx", 401, Some("path_invalid")),
        ("/admin//x", 401, Some("login_required")),
    ] {
        let answer = ask(
            &gateway,
            "GET",
            "/auth/verify",
            "a",
            &format!("X-Original-URI: {uri}\r\nX-Original-Method: GET\r\n"),
        )
        .await;
        assert_eq!((answer.status, answer.code()), (status, code), "{uri}");
    }
}

#[tokio::test]
async fn verify_says_no_to_who_does_not_have_what_the_route_requires() {
    let upstream = Upstream::ok();
    let routes = [
        "path = \"/\"\nauth = \"none\"",
        "path = \"/api\"",
        "path = \"/staff\"\nrequire.role = \"staff\"",
        "path = \"/shop\"\nmethods = [\"GET\"]\nrequire.app = \"shop\"",
        "path = \"/shop\"\nrequire = { app = \"shop\", role = \"staff\" }",
        "path = \"/host\"\nhost = \"a.example.com\"\nrequire.role = \"staff\"",
        "path = \"/host\"",
    ];
    let start = |proxy: &str| {
        let lines = format!("server.trusted_proxies = [\"127.0.0.1\"]\n{proxy}");
        Gateway::start(&(lines + &config(&upstream, &routes)))
    };
    let gateway = start("verify.proxy = \"traefik\"\n");
    let client = format!("Authorization: Bearer {}\r\n", gateway.token("ann").await);
    let get = "X-Forwarded-Method: GET\r\n";
    let host = |name: &str| format!("X-Forwarded-Host: {name}\r\n");
    let forbidden = (403, Some("forbidden"));
    for (uri, lines, expected) in [
        ("/api", get.to_owned(), (200, None)),
        ("/staff/x", get.to_owned(), forbidden),
        ("/staff.json", get.to_owned(), (401, Some("path_invalid"))),
        ("/STAFF", get.to_owned(), (401, Some("path_invalid"))),
        ("/shop", get.to_owned(), (200, None)),
        (
            "/shop",
            "X-Forwarded-Method: HEAD\r\n".to_owned(),
            (200, None),
        ),
        (
            "/shop",
            "X-Forwarded-Method: POST\r\n".to_owned(),
            forbidden,
        ),
        // It may be POST.
        ("/shop", String::new(), forbidden),
        (
            "/host",
            format!("{get}{}", host("b.example.com")),
            (200, None),
        ),
        (
            "/host",
            format!("{get}{}", host("a.example.com")),
            forbidden,
        ),
        // It may be a.example.com.
        ("/host", get.to_owned(), forbidden),
        // Without the path, all rules together.
        ("", String::new(), forbidden),
    ] {
        let uri = if uri.is_empty() {
            String::new()
        } else {
            format!("X-Forwarded-Uri: {uri}\r\n")
        };
        let lines = format!("{client}{uri}{lines}");
        let answer = ask(&gateway, "GET", "/auth/verify", "x", &lines).await;
        let got = (answer.status, answer.header("x-hufu-error"));
        assert_eq!(got, expected, "{lines}{}", answer.text);
        assert_eq!(answer.header("x-wx-openid").is_some(), expected.0 == 200);
    }
    let line = gateway.access_line("the refusal", |line| line["error"] == "forbidden");
    assert_eq!(
        (&line["route"], line["session"].is_string()),
        (&"verify".into(), true)
    );
    gateway
        .counts("hufu_forbidden_requests_total{route=\"verify\"}", 6)
        .await;
    // Nobody says the path.
    let gateway = start("");
    let client = format!("Authorization: Bearer {}\r\n", gateway.token("ann").await);
    for (lines, status) in [(client, 403), (String::new(), 401)] {
        let answer = ask(&gateway, "GET", "/auth/verify", "x", &lines).await;
        assert_eq!(answer.status, status, "{}", answer.text);
    }
}
