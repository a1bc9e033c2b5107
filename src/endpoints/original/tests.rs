use proptest::prelude::*;

use super::*;

/// Path, host and method.
type Said<'a> = (Option<String>, Option<String>, Option<&'a str>);

fn read<'a>(
    believed: &Believed,
    head: &'a RequestHead,
    appended: &'a str,
) -> Result<Said<'a>, ErrorCode> {
    let original = believed
        .read(head, appended, true, crate::route::canonical)
        .map_err(|error| error.code)?;
    Ok((
        original.path.map(Cow::into_owned),
        original.host.map(|host| host.to_string()),
        original.method,
    ))
}

#[test]
fn each_proxy_is_believed_where_it_speaks_itself_and_nowhere_else() {
    let every = [
        "X-Original-URI",
        "X-Original-URL",
        "X-Original-Method",
        "X-Forwarded-Uri",
        "X-Forwarded-Method",
        "X-Forwarded-Host",
    ];
    let lines: Vec<_> = every
        .iter()
        .zip([
            "/uri",
            "http://b.test/url",
            "PUT",
            "/forwarded",
            "POST",
            "a.test:80",
        ])
        .map(|(name, value)| (*name, value))
        .collect();
    let head = RequestHead::sample(
        "GET",
        "/auth/verify/appended",
        &[&lines[..], &[("Host", "own.test")]].concat(),
    );
    use AskingProxy as P;
    for (proxy, path, host, method) in [
        (P::Nginx, "/uri", "a.test", "PUT"),
        (P::IngressNginx, "/url", "b.test", "PUT"),
        (P::Traefik, "/forwarded", "a.test", "POST"),
        (P::Caddy, "/forwarded", "a.test", "POST"),
        (P::Haproxy, "/forwarded", "a.test", "POST"),
        (P::Apisix, "/forwarded", "a.test", "POST"),
        (P::Envoy, "/appended", "own.test", "GET"),
    ] {
        let said = read(&Believed::of(proxy), &head, "/appended");
        assert_eq!(
            said,
            Ok((Some(path.to_owned()), Some(host.to_owned()), Some(method))),
            "{proxy:?}"
        );
    }
    assert_eq!(
        read(&Believed::default(), &head, "/appended"),
        Ok((None, None, None))
    );
    assert_eq!(
        read(
            &Believed::headers(None, Some("X-Original-Method"), None),
            &head,
            "/appended"
        ),
        Ok((None, None, Some("PUT")))
    );
}

#[test]
fn the_host_of_a_whole_url_counts_and_its_query_does_not() {
    let believed = Believed::headers(Some("X-Original-URL"), None, Some("X-Forwarded-Host"));
    let of = |url: &'static str, more: &[(&'static str, &'static str)]| {
        let lines = [&[("X-Original-URL", url)], more].concat();
        let head = RequestHead::sample("GET", "/auth/verify", &lines);
        read(&believed, &head, "")
            .map(|(path, host, _)| (path.unwrap_or_default(), host.unwrap_or_default()))
    };
    let is = |path: &str, host: &str| Ok((path.to_owned(), host.to_owned()));
    assert_eq!(
        of("http://Shop.Test:80/api/x?a=http://evil/public", &[]),
        is("/api/x", "shop.test")
    );
    assert_eq!(of("HTTPS://[::1]:8443/", &[]), is("/", "[::1]"));
    assert_eq!(
        of("http:///api/x", &[("X-Forwarded-Host", "a.test")]),
        Err(ErrorCode::RequestInvalid)
    );
    assert_eq!(of("http://a.test/api//x", &[]), is("/api/x", "a.test"));
    assert_eq!(of("/api/x?n=鸡\"<>%\\", &[]), is("/api/x", ""));
    assert_eq!(
        of("http://a.test/x", &[("X-Forwarded-Host", "A.test.:80")]),
        is("/x", "a.test")
    );
    assert_eq!(
        of("http://a.test/x", &[("X-Forwarded-Host", "b.test")]),
        Err(ErrorCode::RequestInvalid)
    );
    for url in [
        "http:///api/x",
        "http:////api/x",
        "http://a?/api/x",
        "http://a",
        "http://u@a/x",
        "http://a:b/x",
        "http://a, b/x",
        "/public, /api",
        "/public?x, /api",
        "/鸡",
        "http://鸡/x",
    ] {
        assert_eq!(of(url, &[]), Err(ErrorCode::RequestInvalid), "{url}");
    }
    for url in [
        "",
        "api",
        "ftp://a/x",
        "//a/../x",
        "//a/x",
        "///a",
        "//",
        "http://a//x",
        "HTTP://a//",
        "/a#b",
        "/a?b#c",
        "http://a/x%2f",
        "http:/a/x",
    ] {
        assert_eq!(of(url, &[]), Err(ErrorCode::PathInvalid), "{url}");
    }
}

proptest! {
    /// Clients write the host of a whole URL, and nginx takes all of what they write there but
    /// a slash.
    #[test]
    fn no_host_is_taken_for_the_path(host in "[!-.0-~]{0,12}", query in "[!-~]{0,12}") {
        let url = format!("http://{host}/api/secret?{query}");
        let head = RequestHead::sample("GET", "/auth/verify", &[("X-Original-URL", &url)]);
        if let Ok((path, said, _)) = read(&Believed::of(AskingProxy::IngressNginx), &head, "") {
            prop_assert_eq!(path.as_deref(), Some("/api/secret"));
            prop_assert_eq!(said.unwrap_or_default(), host_name(&host).map(|host| host.to_string()).unwrap_or_default());
        }
    }
}

#[test]
fn two_hosts_are_refused_where_no_rule_asks_for_the_host_either() {
    let believed = Believed::of(AskingProxy::Traefik);
    let hosts = [
        ("X-Forwarded-Host", "a.test"),
        ("x-forwarded-host", "a.test"),
    ];
    for (count, read) in [(1, None), (2, Some(ErrorCode::RequestInvalid))] {
        let head = RequestHead::sample("GET", "/auth/verify", &hosts[..count]);
        let said = believed.read(&head, "", false, crate::route::canonical);
        assert_eq!(said.err().map(|error| error.code), read, "{count}");
    }
}
