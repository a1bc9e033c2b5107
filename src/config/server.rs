//! `[server]`: the public listener.

use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::parsers::{choice, duration, size};
use super::problem::{Wrong, refuse};
use super::reader::Section;
use crate::clock::{Clock as _, SystemClock};
use crate::diagnostic::{DiagnosedSubject, Diagnostic, Verdict};
use crate::edge::{CertificateFiles, Listen, certificate_check, load_certificate};
use crate::http::ForwardingHeader;
use crate::provider::proxy;
use crate::route::{self, RouteTable};

const FORWARDING_HEADERS: [(&str, ForwardingHeader); 2] = [
    ("X-Forwarded-For", ForwardingHeader::XForwardedFor),
    ("Forwarded", ForwardingHeader::Forwarded),
];

/// The public listener and its limits.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    pub listen: Listen,
    /// Its certificates; none: no TLS.
    pub tls: Vec<CertificateFiles>,
    /// Whether trusted proxies begin a connection with a PROXY header.
    pub proxy_protocol: bool,
    /// What the gateway's own endpoints live under, such as `/auth`: canonical, without a slash at
    /// the end.
    pub prefix: String,
    /// Worker threads; 0: one per core.
    pub workers: usize,
    /// Whose forwarding headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// In which header they say whom a request comes from.
    pub forwarding_header: ForwardingHeader,
    /// Largest request body, in bytes.
    pub body_limit: u64,
    /// How long a client's connection may rest; zero: it is closed after each answer.
    pub keep_alive: Duration,
    /// How long a request's head may take.
    pub request_head_timeout: Duration,
    /// Longest request head, in bytes.
    pub max_request_head: usize,
    /// How long a client may be silent within a request's body.
    pub request_body_timeout: Duration,
    /// How long a client may take nothing of an answer.
    pub write_timeout: Duration,
    /// How long connections are still accepted after SIGTERM.
    pub drain_grace: Duration,
    /// How long requests under way may take after that.
    pub drain_deadline: Duration,
}

pub(super) fn read(section: &mut Section<'_>) -> ServerSettings {
    section.takes_restart();
    let any = || duration(Duration::ZERO);
    let settings = ServerSettings {
        listen: section.value("listen", public),
        tls: section
            .rows("tls", certificate)
            .into_iter()
            .flatten()
            .collect(),
        proxy_protocol: section.flag("proxy_protocol"),
        prefix: section.value("prefix", prefix),
        workers: section.number("workers", 1024),
        trusted_proxies: section.on_reload(|section| section.list("trusted_proxies", network)),
        forwarding_header: section
            .on_reload(|section| section.value("forwarding_header", choice(FORWARDING_HEADERS))),
        body_limit: section.on_reload(|section| section.value("body_limit", body_limit)),
        keep_alive: section.value("keep_alive", any()),
        request_head_timeout: section
            .value("request_head_timeout", duration(Duration::from_millis(100))),
        max_request_head: section.value("max_request_head", head_size),
        request_body_timeout: section
            .value("request_body_timeout", duration(Duration::from_millis(100))),
        write_timeout: section.value("write_timeout", duration(Duration::from_millis(100))),
        drain_grace: section.value("drain_grace", any()),
        drain_deadline: section.value("drain_deadline", any()),
    };
    if settings
        .trusted_proxies
        .iter()
        .any(|network| network.prefix_len() == 0)
    {
        let hint = "name the networks of your own proxies; anybody can send X-Forwarded-For";
        section.warn(
            "trusted_proxies",
            "a network of prefix length 0 trusts everybody",
            hint,
        );
    }
    settings
}

fn body_limit(text: &str) -> Result<u64, Wrong> {
    /// Beyond any upload: who writes more means no limit at all, or has slipped.
    const LARGEST: u64 = 1 << 40;
    match size(text)? {
        limit if limit > LARGEST => refuse(
            "is more than any request's body",
            "write at most \"1TiB\"; bodies are passed on as they come, so a large limit costs no memory",
        ),
        limit => Ok(limit),
    }
}

/// The server behind the parser takes heads up to 128 KiB; a client's ordinary one has a few hundred
/// bytes.
fn head_size(text: &str) -> Result<usize, Wrong> {
    let bytes = size(text)?;
    let sensible = usize::try_from(bytes)
        .ok()
        .filter(|bytes| (1024..=64 * 1024).contains(bytes));
    sensible.ok_or_else(|| {
        Wrong::new(
            "must be between 1KiB and 64KiB",
            "\"32KiB\" is what nginx takes by default",
        )
    })
}

/// A pair that the listener can use: it is read here as it will be read then.
pub(super) fn certificate(section: &mut Section<'_>) -> Option<CertificateFiles> {
    let cert = section.path("cert");
    let key = section.path("key");
    for (name, file) in [("cert", &cert), ("key", &key)] {
        if file.is_none() && !section.has(name) {
            section.problem(
                name,
                "is missing",
                "write tls = [{ cert = \"api.pem\", key = \"api.key\" }]",
            );
        }
    }
    let files = CertificateFiles {
        cert: cert?,
        key: key?,
    };
    if let Err(error) = load_certificate(&files) {
        section.problem(
            if error.is_of_key() { "key" } else { "cert" },
            &error.to_string(),
            &error.advice(),
        );
    }
    Some(files)
}

/// What clients will refuse about the certificates, now that the routes are known.
pub(super) fn diagnose_certificates(
    section: &Section<'_>,
    server: &ServerSettings,
    routes: &RouteTable,
) {
    let hosts: Vec<_> = routes
        .routes()
        .iter()
        .map(|route| route.hosts.clone())
        .collect();
    for DiagnosedSubject {
        subject,
        diagnostics,
    } in certificate_check::diagnose(&server.tls, &hosts, SystemClock.unix_now())
    {
        for Diagnostic { seen, advice, .. } in diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.verdict >= Verdict::Warn)
        {
            section.warn_below("server", "tls", &format!("{subject}: {seen}"), advice);
        }
    }
}

/// An address and a port, or the path of a Unix socket.
pub(super) fn public(text: &str) -> Result<Listen, Wrong> {
    match text.strip_prefix("unix:") {
        Some(path) if path.starts_with('/') => Ok(Listen::Unix(path.into())),
        Some(_) => refuse(
            "is not the absolute path of a socket",
            "write it as in \"unix:/run/hufu/hufu.sock\"",
        ),
        None => listen(text).map(Listen::Tcp),
    }
}

/// An address and a port to listen on.
pub(super) fn listen(text: &str) -> Result<SocketAddr, Wrong> {
    let wrong = || {
        Wrong::new(
            "is not an address with a port",
            "write it as in \"0.0.0.0:8080\" (all interfaces), \"127.0.0.1:8080\" or \"[::]:8080\"",
        )
    };
    text.parse().map_err(|_| wrong())
}

fn prefix(text: &str) -> Result<String, Wrong> {
    let path = route_path(text)?;
    if path == "/" {
        refuse(
            "would claim every path for the gateway itself",
            "write it as in \"/auth\"",
        )
    } else {
        Ok(path)
    }
}

fn network(text: &str) -> Result<IpNet, Wrong> {
    proxy::network(text)
        .map(|network| network.trunc())
        .ok_or_else(|| {
            Wrong::new(
                "is not a network",
                "write it as in \"10.0.0.0/8\", \"fd00::/8\" or \"10.1.2.3\"",
            )
        })
}

/// A path as the route table wants it: canonical, without a slash at the end.
pub(super) fn route_path(text: &str) -> Result<String, Wrong> {
    let wrong = |what: &str| refuse(what, write(text));
    if !text.starts_with('/') {
        return wrong("does not start with a slash");
    }
    if text.contains(['?', '#']) {
        return wrong("has a query or a fragment, which routes do not match");
    }
    if text.contains('*') {
        return wrong("has a *; a route matches everything below its path anyway");
    }
    if text.contains(';') {
        return wrong("has a \";\", which begins parameters that some backends ignore");
    }
    let canonical = route::canonical(text).map_err(|error| {
        Wrong::new(
            format!("is not a route path: {error}"),
            "write the path as clients send it",
        )
    })?;
    match text {
        "/" => Ok(text.to_owned()),
        _ if canonical != text => wrong("is not in its canonical form"),
        _ if text.ends_with('/') => wrong("ends with a slash; whole segments are matched anyway"),
        _ => Ok(text.to_owned()),
    }
}

/// The path that was most likely meant: one that is not refused in its turn.
fn write(text: &str) -> String {
    let path = text.split(['?', '#', '*', ';']).next().unwrap_or_default();
    let path = format!("/{}", path.trim_start_matches('/'));
    let path = route::canonical(&path).map_or(path.clone(), std::borrow::Cow::into_owned);
    let path = path.trim_end_matches('/');
    format!("write {:?}", if path.is_empty() { "/" } else { path })
}
