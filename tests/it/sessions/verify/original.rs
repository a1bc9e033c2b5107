//! Which headers say what the original request was: those that the configuration names, and no
//! others.

use super::{ask, believing, trusting};
use crate::helpers::{Gateway, echo_upstream, route};

fn routes(echo: &str) -> String {
    route("/api", echo, "required") + &route("/public", echo, "none")
}

/// What a client may send along: every header of every proxy, and the appended path.
const ALL: [&str; 4] = [
    "X-Original-URI",
    "X-Original-URL",
    "X-Forwarded-Uri",
    "X-Rewrite-URL",
];

async fn status(gateway: &Gateway, path: &str, host: &str, lines: &str) -> u16 {
    gateway
        .raw(format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\n{lines}Connection: close\r\n\r\n"
        ))
        .await
        .status
}

#[tokio::test]
async fn what_the_named_proxy_does_not_set_is_the_clients_and_says_nothing() {
    let echo = echo_upstream();
    for (config, says) in [
        (believing("nginx"), "X-Original-URI: "),
        (
            believing("ingress-nginx"),
            "X-Original-URL: http://shop.test",
        ),
        (believing("traefik"), "X-Forwarded-Uri: "),
        (believing("caddy"), "X-Forwarded-Uri: "),
        (believing("haproxy"), "X-Forwarded-Uri: "),
        (believing("apisix"), "X-Forwarded-Uri: "),
        (believing("envoy"), ""),
        (
            "verify.uri_header = \"X-Asked-For\"\n".to_owned(),
            "x-asked-for: ",
        ),
    ] {
        let gateway = trusting(&(config.clone() + &routes(&echo.url)));
        let own = says.split(':').next().unwrap();
        let others = |uri: &str| {
            ALL.iter()
                .filter(|name| **name != own)
                .map(|name| format!("{name}: {uri}\r\n"))
                .collect::<String>()
        };
        for (path, others, expected) in [
            ("/api/secret", others("/public/x"), 401),
            ("/public/x", others("/api/secret"), 200),
        ] {
            let (target, line) = if says.is_empty() {
                (format!("/auth/verify{path}"), String::new())
            } else {
                ("/auth/verify".to_owned(), format!("{says}{path}\r\n"))
            };
            assert_eq!(
                status(&gateway, &target, "x", &format!("{others}{line}")).await,
                expected,
                "{config} {path}"
            );
            if !says.is_empty() {
                // What only Envoy appends.
                assert_eq!(
                    status(
                        &gateway,
                        "/auth/verify/public/x",
                        "x",
                        &format!("{others}{line}")
                    )
                    .await,
                    expected,
                    "{config} {path}"
                );
                assert_eq!(
                    status(&gateway, "/auth/verify", "x", &format!("{line}{line}")).await,
                    401,
                    "{config} {path}"
                );
            }
        }
        // Not said: the strictest.
        assert_eq!(
            status(&gateway, "/auth/verify", "x", &others("/public/x")).await,
            401,
            "{config}"
        );
    }
}

#[tokio::test]
async fn where_nothing_is_named_the_strictest_rule_counts_whatever_the_headers_say() {
    let echo = echo_upstream();
    let gateway = trusting(&routes(&echo.url));
    let lines: String = ALL
        .iter()
        .map(|name| format!("{name}: /public/x\r\n"))
        .collect();
    let bearer = format!("Authorization: Bearer {}\r\n", gateway.token("alice").await);
    for path in ["/auth/verify", "/auth/verify/public/x", "/auth/verify/"] {
        for lines in ["", &lines, &format!("{lines}{lines}")] {
            assert_eq!(
                status(&gateway, path, "x", lines).await,
                401,
                "{path} {lines}"
            );
            assert_eq!(
                status(&gateway, path, "x", &format!("{bearer}{lines}")).await,
                200,
                "{path} {lines}"
            );
        }
    }
    for (rules, expected) in [
        (["none", "none"], 200),
        (["none", "optional"], 200),
        (["optional", "required"], 401),
    ] {
        let gateway =
            trusting(&(route("/", &echo.url, rules[0]) + &route("/api", &echo.url, rules[1])));
        assert_eq!(
            status(&gateway, "/auth/verify", "x", &lines).await,
            expected,
            "{rules:?}"
        );
    }
}

#[tokio::test]
async fn a_whole_url_says_the_host_too() {
    let echo = echo_upstream();
    let open = format!("{}host = \"open.test\"\n", echo.route("/", "none"));
    let gateway = trusting(&(believing("ingress-nginx") + &open));
    for (url, status, code) in [
        ("http://open.test/x", 200, None),
        ("https://OPEN.test:443/x?y", 200, None),
        ("http://shop.test/x", 401, Some("login_required")),
        ("http:///x", 401, Some("request_invalid")),
        ("http://open.test//x", 401, Some("path_invalid")),
        ("/x", 401, Some("login_required")),
        // nginx takes such hosts from a client.
        ("http://open.test?/x", 401, Some("request_invalid")),
        ("http://shop.test@open.test/x", 401, Some("request_invalid")),
        (
            "http://open.test/x, http://shop.test/x",
            401,
            Some("request_invalid"),
        ),
        ("http://open.test", 401, Some("request_invalid")),
        ("http://open.test#/x", 401, Some("path_invalid")),
        ("http://open.test/../x", 401, Some("path_invalid")),
        ("ftp://open.test/x", 401, Some("path_invalid")),
    ] {
        // The client's X-Forwarded-Host, and the asking's own Host, say nothing.
        let answer = ask(
            &gateway,
            "GET",
            &format!(
                "X-Original-URL: {url}\r\nX-Forwarded-Host: open.test\r\nX-Original-Method: GET\r\n"
            ),
        )
        .await;
        assert_eq!(
            (answer.status, answer.code()),
            (status, code),
            "{url}: {}",
            answer.text
        );
    }
}

#[tokio::test]
async fn envoy_asks_with_the_clients_host_and_method() {
    let echo = echo_upstream();
    let hosts = format!(
        "{}host = \"open.test\"\nmethods = [\"GET\"]\n",
        echo.route("/x", "none")
    ) + &echo.route("/", "required");
    let gateway = trusting(&(believing("envoy") + &hosts));
    let foreign =
        "X-Forwarded-Host: open.test\r\nX-Forwarded-Method: GET\r\nX-Original-Method: GET\r\n";
    for (method, host, expected) in [
        ("GET", "open.test", 200),
        ("GET", "open.test:8080", 200),
        ("GET", "shop.test", 401),
        ("POST", "open.test", 403),
    ] {
        let request = format!(
            "{method} /auth/verify/x HTTP/1.1\r\nHost: {host}\r\n{foreign}Content-Length: 0\r\nConnection: close\r\n\r\n"
        );
        assert_eq!(
            gateway.raw(&request).await.status,
            expected,
            "{method} {host}"
        );
    }
}

#[tokio::test]
async fn the_query_decides_nothing() {
    let echo = echo_upstream();
    let gateway = trusting(&(believing("nginx") + &routes(&echo.url)));
    let bearer = format!("Authorization: Bearer {}\r\n", gateway.token("alice").await);
    let queries: [&[u8]; 9] = [
        "?name=鸡".as_bytes(),
        b"?a=\"b\"",
        b"?%",
        b"?%zz%00",
        b"?<script>",
        b"?a\\b|^`{}[]",
        b"?\xbc\xa6",
        b"?x=/../public",
        b"?u=http://a.test/public?x",
    ];
    for query in queries {
        for (path, lines, expected) in [
            ("/api/x", &*bearer, 200),
            ("/api/x", "", 401),
            ("/public/x", "", 200),
        ] {
            let mut request = format!("GET /auth/verify HTTP/1.1\r\nHost: x\r\n{lines}Connection: close\r\nX-Original-URI: {path}").into_bytes();
            request.extend_from_slice(query);
            request.extend_from_slice(b"\r\n\r\n");
            let answer = gateway.raw(&request).await;
            assert_eq!(
                answer.status,
                expected,
                "{path} {}: {}",
                query.escape_ascii(),
                answer.text
            );
        }
    }
}

/// The proxy passes it on as it came, and backends that read a target as a URL take what follows
/// for a host: `//open/api/x` is served as `/api/x`.
#[tokio::test]
async fn an_original_path_that_begins_with_two_slashes_is_refused() {
    let echo = echo_upstream();
    for raw_path in ["", "raw_path = true\n"] {
        for (config, says) in [
            (believing("nginx"), "X-Original-URI: "),
            (
                believing("ingress-nginx"),
                "X-Original-URL: http://shop.test",
            ),
            (believing("caddy"), "X-Forwarded-Uri: "),
            (believing("envoy"), ""),
        ] {
            let gateway = trusting(
                &(config.clone()
                    + &echo.route("/", "required")
                    + &echo.route("/open", "none")
                    + raw_path),
            );
            let bearer = format!("Authorization: Bearer {}\r\n", gateway.token("alice").await);
            for (path, expected) in [
                ("/open/x", 200),
                ("/open//x", 200),
                ("//open/x", 401),
                ("//open/api/secret", 401),
                ("///open/x", 401),
                ("//", 401),
            ] {
                let (target, line) = if says.is_empty() {
                    (format!("/auth/verify{path}"), String::new())
                } else {
                    ("/auth/verify".to_owned(), format!("{says}{path}\r\n"))
                };
                // Whoever asks: a yes for a session would reach another path than its rule was read
                // for.
                for lines in [&line, &format!("{bearer}{line}")] {
                    let request = format!(
                        "GET {target} HTTP/1.1\r\nHost: x\r\n{lines}Connection: close\r\n\r\n"
                    );
                    let answer = gateway.raw(&request).await;
                    let code = (expected == 401).then_some("path_invalid");
                    assert_eq!(
                        (answer.status, answer.code()),
                        (expected, code),
                        "{config}{raw_path}{path}: {}",
                        answer.text
                    );
                }
            }
        }
    }
}
