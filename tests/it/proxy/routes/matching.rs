//! Which route takes a request: by host, path and method, in every spelling.

use super::{ask, config};
use crate::helpers::{Gateway, Upstream, until};

#[tokio::test]
async fn the_host_chooses_however_it_is_written_and_unknown_hosts_have_no_route() {
    let (one, other) = (Upstream::ok(), Upstream::ok());
    let gateway = Gateway::start(&format!(
        "[upstreams.one]\nendpoints = [\"{}\"]\n[upstreams.other]\nendpoints = [\"{}\"]\n\
         [[routes]]\npath = \"/\"\nhost = \"api.example.com\"\nupstream = \"one\"\n\
         [[routes]]\npath = \"/\"\nhost = \"*.example.com\"\nupstream = \"other\"\nauth = \"none\"\n\
         [[routes]]\npath = \"/\"\nhost = \"[::1]\"\nupstream = \"other\"\nauth = \"none\"\n",
        one.url, other.url
    ));
    // The one that needs a session: no spelling of its name leads to the weaker wildcard.
    for host in [
        "api.example.com",
        "API.Example.COM",
        "api.example.com.",
        "api.example.com:8080",
        "aPi.example.com.:80",
    ] {
        let answer = ask(&gateway, "GET", "/x", host, "").await;
        answer.refuses(401, "login_required", host);
    }
    let absolute = ask(
        &gateway,
        "GET",
        "http://api.example.com/x",
        "api.example.com",
        "",
    )
    .await;
    absolute.refuses(401, "login_required", "");
    for target in ["http://www.example.com/x", "http://API.example.com:1/x"] {
        let two_names = ask(&gateway, "GET", target, "api.example.com", "").await;
        two_names.refuses(400, "path_invalid", target);
    }
    for host in [
        "www.example.com",
        "a.b.Example.com:1",
        "x.api.example.com",
        "[::1]:80",
        "[0:0::1]",
    ] {
        assert_eq!(
            ask(&gateway, "GET", "/x", host, "").await.status,
            200,
            "{host}"
        );
    }
    for host in [
        "example.com",
        "example.com.evil.test",
        "xexample.com",
        "[::2]",
        "127.0.0.1",
        "api.example.com..",
        ".example.com",
        "a..example.com",
    ] {
        let answer = ask(&gateway, "GET", "/x", host, "").await;
        answer.refuses(404, "route_not_found", host);
    }
    for host in [
        "api.example.com, www.example.com",
        "api.example.com@www.example.com",
        "www.example.com/",
        "",
        "[::1",
    ] {
        assert_eq!(
            ask(&gateway, "GET", "/x", host, "").await.status,
            400,
            "{host}"
        );
    }
    // What a client or proxy says of another host does not choose.
    let forwarded = ask(
        &gateway,
        "GET",
        "/x",
        "api.example.com",
        "X-Forwarded-Host: www.example.com\r\nForwarded: host=www.example.com\r\n",
    )
    .await;
    assert_eq!(forwarded.status, 401);
    let without = gateway.raw(b"GET /x HTTP/1.0\r\n\r\n").await;
    assert_eq!(without.status, 404);
    assert_eq!(one.text(), "");
    assert!(other.text().matches("GET /x HTTP/1.1").count() == 5);
}

#[tokio::test]
async fn the_method_chooses_the_rule_and_what_no_route_takes_is_405() {
    let upstream = Upstream::ok();
    let gateway = Gateway::start(&config(
        &upstream,
        &[
            "path = \"/api\"\nmethods = [\"GET\"]\nauth = \"none\"",
            "path = \"/api\"\nmethods = [\"POST\", \"DELETE\"]",
            "path = \"/\"\nauth = \"none\"",
            "path = \"/locked\"\nmethods = [\"GET\"]",
            "path = \"/locked\"\nauth = \"none\"",
        ],
    ));
    assert_eq!(ask(&gateway, "GET", "/api/x", "a", "").await.status, 200);
    for method in ["POST", "DELETE", "post", "Delete"] {
        let answer = ask(&gateway, method, "/api/x", "a", "").await;
        answer.refuses(401, "login_required", method);
    }
    // "/" does not take over, and neither do methods that nobody has heard of.
    for method in ["PUT", "OPTIONS", "PATCH", "PROPFIND", "GETT"] {
        let answer = ask(&gateway, method, "/api/x", "a", "").await;
        assert_eq!(
            (answer.status, answer.code(), answer.header("allow")),
            (
                405,
                Some("method_not_allowed"),
                Some("DELETE, GET, HEAD, POST")
            ),
            "{method}"
        );
    }
    for method in ["GET", "HEAD", "get", "head"] {
        assert_eq!(
            ask(&gateway, method, "/locked", "a", "").await.status,
            401,
            "{method}: HEAD answers what GET does, without its body"
        );
    }
    assert_eq!(
        ask(&gateway, "OPTIONS", "/locked", "a", "").await.status,
        200
    );
    // Another reading of the path is refused, whatever the method.
    for target in ["/API/x", "/api;v=1/x", "/api%20/x", "/api./x"] {
        for method in ["GET", "POST", "OPTIONS"] {
            let answer = ask(&gateway, method, target, "a", "").await;
            answer.refuses(400, "path_invalid", format_args!("{method} {target}"));
        }
    }
    // A second method, for backends that believe it.
    for name in [
        "X-HTTP-Method-Override",
        "x_http_method_override",
        "X-HTTP-Method",
        "X-Method-Override",
    ] {
        let answer = ask(
            &gateway,
            "GET",
            "/api/x",
            "a",
            &format!("{name}: DELETE\r\n"),
        )
        .await;
        answer.refuses(400, "request_invalid", name);
        assert_eq!(
            ask(&gateway, "GET", "/api/x", "a", &format!("{name}: get\r\n"))
                .await
                .status,
            200,
            "{name}"
        );
        assert_eq!(
            ask(
                &gateway,
                "POST",
                "/other",
                "a",
                &format!("{name}: DELETE\r\n")
            )
            .await
            .status,
            200,
            "{name}: one rule for all methods"
        );
    }
    let seen = upstream.text();
    assert!(
        !seen.contains("POST /api")
            && !seen.contains("DELETE /api")
            && !seen.contains("/locked HTTP/1.1\r\nhead"),
        "{seen}"
    );
}

/// Rails, ThinkPHP, Struts and others serve these with what is behind the protected path.
#[tokio::test]
async fn a_suffix_leads_past_no_rule_and_a_route_of_its_own_opens_a_file() {
    let upstream = Upstream::ok();
    let routes = [
        "path = \"/public\"\nauth = \"none\"",
        "path = \"/public/secret\"",
        "path = \"/public/secret.css\"\nauth = \"none\"",
    ];
    let gateway = Gateway::start(&config(&upstream, &routes));
    for suffix in [
        ".json",
        ".html",
        ".do",
        "%2ejson",
        ".JSON",
        ".json/",
        ".css.map",
        ".json;v=1",
    ] {
        for method in ["GET", "POST"] {
            let answer = ask(
                &gateway,
                method,
                &format!("/public/secret{suffix}"),
                "a",
                "",
            )
            .await;
            answer.refuses(
                400,
                "path_invalid",
                format_args!("{method} {suffix}: {}", answer.text),
            );
        }
    }
    assert_eq!(upstream.text(), "");
    for path in ["/public/secret.css", "/public/other.json"] {
        assert_eq!(
            ask(&gateway, "GET", path, "a", "").await.body(),
            "ok",
            "{path}"
        );
    }
}

/// What is matched and what goes on agree, whatever a server makes of an encoded or a repeated
/// slash.
#[tokio::test]
async fn a_path_goes_on_as_it_came_and_leads_nowhere_else() {
    let upstream = Upstream::ok();
    let routes = config(
        &upstream,
        &[
            "path = \"/\"",
            "path = \"/raw\"\nauth = \"none\"\nraw_path = true",
            "path = \"/img\"\nauth = \"none\"\nraw_path = true\nstrip_prefix = true",
            "path = \"/raw/open\"\nauth = \"none\"",
            "path = \"/host\"\nhost = \"a.example\"\nauth = \"none\"\nraw_path = true",
            "path = \"/get\"\nmethods = [\"GET\"]\nauth = \"none\"\nraw_path = true",
            "path = \"/get\"\nmethods = [\"POST\"]",
            "path = \"/plain\"\nauth = \"none\"",
        ],
    );
    let gateway = Gateway::start(&format!(
        "server.trusted_proxies = [\"127.0.0.1\"]\n{routes}"
    ));
    for (target, out) in [
        ("/raw/a%2Fb", "/raw/a%2Fb"),
        ("/raw/a%2fb//c%7E?x=/../%2F", "/raw/a%2fb//c%7E?x=/../%2F"),
        ("/raw//x", "/raw//x"),
        (
            "/raw/plain/https://b.example/c.jpg@png",
            "/raw/plain/https://b.example/c.jpg@png",
        ),
        ("/raw/%2Fx", "/raw/%2Fx"),
        ("/raw", "/raw"),
        (
            "/img/rs:fill/plain/http%3A%2F%2Fb.example%2Fc",
            "/rs:fill/plain/http%3A%2F%2Fb.example%2Fc",
        ),
        ("/img/a//b", "/a//b"),
        // Its own part is written in another way: as on every other route.
        ("//raw/x//y", "/raw/x/y"),
        ("/r%61w//x%7E", "/raw/x~"),
        ("/raw//open/x", "/raw/open/x"),
        ("/get/a%2Fb", "/get/a%2Fb"),
    ] {
        assert_eq!(
            ask(&gateway, "GET", target, "a", "").await.status,
            200,
            "{target}"
        );
        until("it to arrive", async || {
            upstream.text().contains(&format!("GET {out} HTTP/1.1\r\n"))
        })
        .await;
    }
    assert_eq!(
        ask(&gateway, "GET", "/host/a%2Fb", "a.example", "")
            .await
            .status,
        200
    );
    let before = upstream.text();
    for (method, target, host, status) in [
        ("GET", "/raw/..%2fadmin", "a", 400),
        ("GET", "/raw/%2F..%2Fadmin", "a", 400),
        ("GET", "/raw/%2e%2e/admin", "a", 400),
        ("GET", "/raw/%2e%2e%2fadmin", "a", 400),
        ("GET", "/raw//../admin", "a", 400),
        ("GET", "/raw/a%2F..", "a", 400),
        ("GET", "/raw/..;x%2Fadmin", "a", 400),
        ("GET", "/raw/..%3b%2Fadmin", "a", 400),
        ("GET", "/raw/a%252Fb", "a", 400),
        ("GET", "/raw/a%2Fb%00", "a", 400),
        ("GET", "/raw/a%2Fb%5c..", "a", 400),
        ("GET", "/raw/a%2Fb\\c", "a", 400),
        ("GET", "/raw%2Fadmin", "a", 400),
        ("GET", "/raw%2F..%2Fadmin", "a", 400),
        ("GET", "//raw/a%2Fb", "a", 400),
        ("GET", "/r%61w/a%2Fb", "a", 400),
        ("GET", "/raw/open%2Fx", "a", 400),
        ("GET", "/raw/open/a%2Fb", "a", 400),
        ("GET", "/RAW/a%2Fb", "a", 400),
        ("GET", "/img//evil.example/x", "a", 400),
        ("GET", "/img/%2Fevil.example/x", "a", 400),
        ("GET", "/img/%2f/x", "a", 400),
        ("GET", "/host/a%2Fb", "b.example", 400),
        ("POST", "/get/a%2Fb", "a", 400),
        ("POST", "/get//a", "a", 401),
        ("PUT", "/get/a%2Fb", "a", 405),
        ("GET", "/plain/a%2Fb", "a", 400),
        ("GET", "/admin//x", "a", 401),
        ("GET", "/admin%2Fx", "a", 400),
        ("GET", "/auth%2Fsession", "a", 400),
    ] {
        let answer = ask(&gateway, method, target, host, "Content-Length: 0\r\n").await;
        assert_eq!(
            answer.status, status,
            "{method} {target} {host}: {}",
            answer.text
        );
    }
    assert_eq!(upstream.text(), before, "nothing of it goes on");
}

#[tokio::test]
async fn the_gateways_own_endpoints_are_no_backends_however_slashes_are_written() {
    let upstream = Upstream::ok();
    let gateway = Gateway::start(&config(
        &upstream,
        &["path = \"/\"\nauth = \"none\"\nraw_path = true"],
    ));
    for (target, status) in [
        ("/auth%2Flogin", 404),
        ("/auth%2Fnothing%2Fx", 404),
        ("/%2Fauth%2Flogin", 404),
        ("/auth/x%2Fy", 404),
        ("//auth/nothing", 404),
        ("//evil.example/x", 400),
        ("/%2Fevil.example/x", 400),
    ] {
        assert_eq!(
            ask(&gateway, "GET", target, "a", "").await.status,
            status,
            "{target}"
        );
    }
    assert_eq!(upstream.text(), "");
    assert_eq!(ask(&gateway, "GET", "/a//b%2Fc", "a", "").await.status, 200);
}
