//! Spellings of paths and hosts.

use super::get;
use crate::helpers::{Gateway, Upstream, echo_upstream};

/// Hostile cases 18 to 37: none reaches the protected backend under another name.
#[tokio::test]
async fn no_spelling_of_a_path_reaches_another_route() {
    let (open, secret) = (Upstream::ok(), Upstream::ok());
    let gateway = Gateway::start(&(open.route("/", "none") + &secret.route("/api", "required")));
    let refused = [
        "/public/../api/x",
        "/public/%2e%2e/api/x",
        "/public/..%2fapi/x",
        "/public/..;/api/x",
        "/public/%252e%252e/api/x",
        "/./api/x",
        "/API/x",
        "/public%2f..%2fapi",
        "/api%00.css",
        "/api/x%0d%0aX:%20y",
        "/public\\..\\api",
        "/public%5c..%5capi",
        "/%c0%ae%c0%ae/api",
        "/api;x=1/y",
        "/;/api/x",
        "/;a=b/api",
        "/%3b/api",
        "/api.",
        "/api%20",
        "/%2561pi/x",
        "/api%3bx/y",
        "/Api",
        "/api%",
        "/x/..",
    ];
    for path in refused {
        let answer = get(&gateway, path, "").await;
        assert_eq!(answer.status, 400, "{path}: {}", answer.text);
    }
    for path in [
        "/api",
        "/api/",
        "/api/x",
        "//api/x",
        "/api//x",
        "/ap%69/x",
        "/%61pi",
        "/api/x;jsessionid=1",
        "/api/x?path=/public",
        "///api",
        "/api/x%20y",
    ] {
        let answer = get(&gateway, path, "").await;
        answer.refuses(401, "login_required", path);
    }
    for (path, upstream) in [
        ("/apix?x=/api", "/apix?x=/api"),
        ("/pub//lic", "/pub/lic"),
        ("/a%2Db%7e", "/a-b~"),
        ("/%e8%99%8e", "/%E8%99%8E"),
        ("/public%23/api", "/public%23/api"),
    ] {
        assert_eq!(get(&gateway, path, "").await.status, 200, "{path}");
        let seen = open.text();
        assert!(
            seen.contains(&format!("GET {upstream} HTTP/1.1\r\n")),
            "{path}: {seen}"
        );
    }
    assert!(secret.connections().is_empty());
    let long = get(&gateway, &format!("/{}", "a".repeat(9000)), "").await;
    long.refuses(414, "uri_too_long", "");
    let elsewhere = gateway
        .raw(b"GET http://other.test/api HTTP/1.1\r\nHost: shop.test\r\n\r\n")
        .await;
    assert_eq!((elsewhere.status, elsewhere.closed), (400, true));
    for (target, host) in [
        ("http://shop.test/api", "shop.test"),
        ("http://SHOP.test:80/api", "shop.test"),
        ("http://shop.test/api", "Shop.test:80"),
    ] {
        let same = gateway
            .raw(format!(
                "GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
            ))
            .await;
        assert_eq!(same.status, 401, "{target} {host}");
    }
}

#[tokio::test]
async fn a_protected_path_with_capitals_has_no_other_spelling_either() {
    let (open, secret) = (Upstream::ok(), Upstream::ok());
    let gateway =
        Gateway::start(&(open.route("/", "none") + &secret.route("/skills/Kids", "required")));
    for path in [
        "/skills/kids",
        "/skills/KIDS/x",
        "/SKILLS/Kids",
        "/skills/%E2%84%AAids",
    ] {
        assert_eq!(get(&gateway, path, "").await.status, 400, "{path}");
    }
    assert_eq!(get(&gateway, "/skills/Kids/x", "").await.status, 401);
    assert_eq!(get(&gateway, "/skills", "").await.status, 200);
    assert!(secret.connections().is_empty());
}

#[tokio::test]
async fn hosts_are_names_or_addresses_and_nothing_that_links_could_be_built_from() {
    let echo = echo_upstream();
    let gateway = Gateway::start(&echo.route("/", "none"));
    let ask = async |host: &str| {
        gateway
            .raw(format!(
                "GET /public HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
            ))
            .await
            .status
    };
    for host in [
        "",
        "a,b",
        "a b",
        "u:p@gw",
        "gw/x",
        "gw?x",
        "gw#x",
        "../",
        "gw:99999",
        "gw:x",
        "[",
        "[::1",
        "[::1]x",
        "\"><script>",
    ] {
        assert_eq!(ask(host).await, 400, "{host:?}");
    }
    for host in [
        "gw",
        "GW.example.com:443",
        "127.0.0.1:8080",
        "[::1]:8080",
        "[2001:db8::1]",
        "shop_a.test",
    ] {
        assert_eq!(ask(host).await, 200, "{host:?}");
    }
}
