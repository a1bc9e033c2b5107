//! The headers that backends believe (docs/headers.md), in every spelling.

use hufu::assertion::believed::Speaker;

use crate::helpers::script::ok;
use crate::helpers::{Answer, Gateway, Script, Upstream, probe};

/// Fewer than the gate takes of one request, with the others that it has.
pub(super) const AT_ONCE: usize = 80;

pub(super) async fn get(address: std::net::SocketAddr, path: &str, lines: &str) -> Answer {
    probe::send(
        address,
        format!("GET {path} HTTP/1.1\r\nHost: shop.test\r\n{lines}Connection: close\r\n\r\n"),
    )
    .await
}

/// The names of the list as a client may send them: for a family one of it, and a longer one.
pub(super) fn names(of: Speaker) -> Vec<String> {
    let names: Vec<_> = of
        .names()
        .flat_map(|pattern| {
            pattern
                .strip_suffix('*')
                .map_or(vec![pattern.to_string()], |stem| {
                    vec![format!("{stem}a"), format!("{stem}b-c")]
                })
        })
        .collect();
    assert!(names.len() > 8, "{names:?}");
    names
}

/// A name with another character in the place of each that is neither letter nor digit.
pub(super) fn spelled(name: &str, with: char) -> String {
    name.chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { with })
        .collect()
}

pub(super) fn lines(names: &[String]) -> String {
    names
        .iter()
        .map(|name| format!("{name}: /public\r\n"))
        .collect()
}

#[tokio::test]
async fn none_arrives_in_any_spelling_whoever_sends_it() {
    let upstream = Upstream::start(Script::at_head(ok()).then_close());
    let all = names(Speaker::Nobody);
    for trusted in ["[]", "[\"127.0.0.1\"]"] {
        let gateway = Gateway::start(&format!(
            "server.trusted_proxies = {trusted}\n{}",
            upstream.route("/public", "none")
        ));
        for with in ['-', '_', '.', '~'] {
            for change in [str::to_owned, str::to_uppercase, str::to_lowercase] {
                let sent: Vec<_> = all
                    .iter()
                    .map(|name| change(&spelled(name, with)))
                    .collect();
                for sent in sent.chunks(AT_ONCE) {
                    assert_eq!(
                        get(gateway.listen, "/public", &lines(sent)).await.status,
                        200
                    );
                    let seen = upstream.connections().pop().unwrap();
                    let arrived: Vec<_> = sent
                        .iter()
                        .filter(|name| !seen.values(name).is_empty())
                        .collect();
                    assert!(
                        arrived.is_empty() && !seen.head().contains(": /public"),
                        "{trusted} {arrived:?}: {}",
                        seen.head()
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn what_proxies_say_arrives_from_proxies_alone() {
    let upstream = Upstream::start(Script::at_head(ok()).then_close());
    let all = names(Speaker::Proxies);
    for (trusted, arrive) in [("[]", false), ("[\"127.0.0.1\"]", true)] {
        let gateway = Gateway::start(&format!(
            "server.trusted_proxies = {trusted}\n{}",
            upstream.route("/public", "none")
        ));
        assert_eq!(
            get(gateway.listen, "/public", &lines(&all)).await.status,
            200
        );
        let seen = upstream.connections().pop().unwrap();
        // Of the two that say all of it, the one that is not believed stays behind.
        for name in all.iter().filter(|name| *name != "Forwarded") {
            assert_eq!(
                !seen.values(name).is_empty(),
                arrive,
                "{trusted} {name}: {}",
                seen.head()
            );
        }
    }
}

#[tokio::test]
async fn a_route_lets_through_what_it_names_and_in_that_spelling_only() {
    let upstream = Upstream::start(Script::at_head(ok()).then_close());
    let edits = "request_headers = { allow = [\"X-Remote-User\", \"SCRIPT_NAME\"], set = { X-Script-Name = \"/ours\" } }\n";
    let gateway = Gateway::start(
        &(upstream.route("/allowed", "none") + edits + &upstream.route("/public", "none")),
    );
    let sent = "X-Remote-User: alice\r\nX_Remote_User: evil\r\nx.remote.user: evil\r\nscript_name: /app\r\nScript-Name: /evil\r\nX-Script-Name: /evil\r\nX-Remote-Group: evil\r\n";
    for connection in ["", "Connection: X-Remote-User\r\n"] {
        assert_eq!(
            get(gateway.listen, "/allowed", &format!("{sent}{connection}"))
                .await
                .status,
            200
        );
        let seen = upstream.connections().pop().unwrap();
        assert_eq!(
            (seen.values("x-remote-user"), seen.values("script_name")),
            (vec!["alice".to_owned()], vec!["/app".to_owned()]),
            "{}",
            seen.head()
        );
        assert_eq!(seen.values("x-script-name"), ["/ours"]);
        assert!(!seen.head().contains("evil"), "{}", seen.head());
    }
    assert_eq!(get(gateway.listen, "/public", sent).await.status, 200);
    let head = upstream.connections().pop().unwrap().head();
    assert!(
        !head.contains("alice") && !head.contains("/app") && !head.contains("evil"),
        "{head}"
    );
}
