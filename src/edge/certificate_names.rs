//! Whether the listener's certificates are for the hosts of the routes.

use super::certificate::{CertificateFiles, load};
use super::x509::Facts;
use crate::diagnostic::Diagnostic;
use crate::route::HostPattern;

/// Which of the routes' hosts no certificate has.
pub fn uncovered(files: &[CertificateFiles], hosts: &[HostPattern]) -> Option<Diagnostic> {
    let names: Vec<String> = files
        .iter()
        .filter_map(|files| load(files).ok())
        .filter_map(|one| Some(Facts::of(one.cert.first()?)?.names))
        .flatten()
        .collect();
    let mut lacking: Vec<String> = hosts
        .iter()
        .filter(|host| **host != HostPattern::Any && !names.iter().any(|name| meets(name, host)))
        .filter_map(HostPattern::example)
        .collect();
    lacking.sort_unstable();
    lacking.dedup();
    let first = lacking.first()?;
    let named = lacking.join(", ");
    let first = if first.contains('*') {
        format!("'{first}'")
    } else {
        first.clone()
    };
    let seen = format!(
        "no certificate has {named}, which routes are for: clients that ask for it are shown another one, and refuse it"
    );
    Some(Diagnostic::warn(
        "names",
        seen,
        format!(
            "have one made with that name too, such as certbot certonly -d {first}, and add it to server.tls"
        ),
    ))
}

/// Whether it is for hosts that there are routes for.
pub fn of_names(
    leaf: &Facts,
    files: &CertificateFiles,
    hosts: &[HostPattern],
) -> Option<Diagnostic> {
    if leaf.names.is_empty() {
        let seen = "it names no host (subjectAltName), and the common name counts for nothing: every client refuses it";
        let how = if leaf.is_self_signed() {
            files.by_hand()
        } else {
            "certbot certonly -d HOST".to_owned()
        };
        return Some(Diagnostic::fail(
            "names",
            seen,
            format!("have one made with the host's name, as with {how}"),
        ));
    }
    let is_met = |name: &&String| hosts.iter().any(|host| meets(name, host));
    if hosts.is_empty() {
        return None;
    }
    let (met, other): (Vec<&String>, Vec<&String>) = leaf.names.iter().partition(is_met);
    let listed = |names: &[&String]| {
        names
            .iter()
            .map(|name| name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    Some(match (met.is_empty(), other.is_empty()) {
        (_, true) => Diagnostic::ok("names", listed(&met)),
        (false, false) => Diagnostic::note(
            "names",
            format!("{}; no route is for {}", listed(&met), listed(&other)),
            "",
        ),
        (true, false) => {
            let advice = "have one made for the host of a route, as with certbot certonly -d HOST, or fix host in [[routes]]";
            Diagnostic::warn(
                "names",
                format!(
                    "it is for {}, and no route is for any of these hosts",
                    listed(&other)
                ),
                advice,
            )
        }
    })
}

/// Whether some host has both the name of a certificate and the pattern of a route.
fn meets(name: &str, host: &HostPattern) -> bool {
    match (name.strip_prefix("*."), host) {
        (_, HostPattern::Any) => true,
        (None, HostPattern::Exact(host)) => name == host.trim_matches(['[', ']']),
        (None, HostPattern::Below(_)) => host.matches(Some(name)),
        // A wildcard stands for one label.
        (Some(of), HostPattern::Exact(host)) => {
            host.split_once('.').is_some_and(|(_, rest)| rest == of)
        }
        (Some(of), HostPattern::Below(parent)) => of == &**parent || host.matches(Some(of)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_hosts_meet_as_clients_compare_them() {
        for (name, host, meet) in [
            ("a.test", "a.test", true),
            ("a.test", "b.test", false),
            ("*.a.test", "b.a.test", true),
            ("*.a.test", "c.b.a.test", false),
            ("*.a.test", "a.test", false),
            ("b.a.test", "*.a.test", true),
            ("a.test", "*.a.test", false),
            ("xa.test", "*.a.test", false),
            ("*.a.test", "*.a.test", true),
            ("*.b.a.test", "*.a.test", true),
            ("*.a.test", "*.b.a.test", false),
            ("::1", "[::1]", true),
            ("192.0.2.1", "192.0.2.1", true),
        ] {
            assert_eq!(
                meets(name, &HostPattern::parse(host).unwrap()),
                meet,
                "{name} {host}"
            );
        }
        assert!(meets("anything", &HostPattern::Any));
    }
}
