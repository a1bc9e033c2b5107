//! Whether the backends can be connected to and speak HTTP, by TLS where that is configured. They
//! are asked for no more than `HEAD /`: what a backend does with other requests is its own
//! business.

use std::io;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::lookup_host;
use tokio::time::timeout;

use crate::clock::monotonic_now;
use crate::diagnostic::{DiagnosedSubject, Diagnostic, in_ms};
use crate::peer;
use crate::upstream::resolved::{Address, literal};
use crate::upstream::{Endpoint, Upstream};
use crate::upstream_client::connection::Io;
use crate::upstream_client::connector::{Connector, speaks_tls};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// The check of every line.
const CHECK: &str = "endpoint";

/// What came in the place of an answer.
enum ProbeOutcome {
    /// An answer with this status.
    Http(u16),
    /// Something else, or the end of the connection.
    Other(&'static str),
    /// Nothing.
    Silence,
}

pub(super) async fn diagnose(upstream: &Upstream) -> DiagnosedSubject {
    let diagnostics = match Connector::new(upstream) {
        Ok(connector) => {
            let endpoints = upstream.endpoints.iter().enumerate();
            join_all(
                endpoints
                    .map(|(at, endpoint)| diagnose_endpoint(at, endpoint, upstream, &connector)),
            )
            .await
        }
        Err(error) => vec![Diagnostic::fail(
            CHECK,
            error.to_string(),
            format!("fix upstreams.{}.tls", upstream.name),
        )],
    };
    DiagnosedSubject {
        subject: format!("upstream {}", upstream.name),
        diagnostics,
    }
}

async fn diagnose_endpoint(
    at: usize,
    endpoint: &Endpoint,
    upstream: &Upstream,
    connector: &Connector,
) -> Diagnostic {
    let (within, name) = (upstream.connect_timeout, &upstream.name);
    let fail =
        |why: String, advice: String| Diagnostic::fail(CHECK, format!("{endpoint}: {why}"), advice);
    let known = literal(endpoint);
    let is_known = known.is_some();
    let found = async {
        match known {
            Some(address) => Ok(vec![address]),
            None => lookup_host((endpoint.host.as_str(), endpoint.port))
                .await
                .map(|found| found.map(Address::Tcp).collect()),
        }
    };
    let addresses: Vec<_> = match timeout(within, found).await {
        Ok(Ok(addresses)) => addresses,
        Ok(Err(error)) => {
            let advice = format!(
                "fix upstreams.{name}.endpoints, or the name servers of this machine; requests get 502 until the name resolves"
            );
            return fail(format!("the host name does not resolve: {error}"), advice);
        }
        Err(_) => {
            return fail(
                "resolving the host name timed out".to_owned(),
                "are the name servers of this machine right?".to_owned(),
            );
        }
    };
    let started = monotonic_now();
    let (address, io) = match timeout(within, first_of(&addresses, at, connector)).await {
        Ok(Ok(connected)) => connected,
        Ok(Err(error)) => {
            let why = peer::plainly(&error.to_string());
            let advice = if error.kind() == io::ErrorKind::PermissionDenied
                && endpoint.socket.is_some()
            {
                "let the user of the gateway write to the socket and enter its folder: a group that both have, and mode 0660 for the socket".to_owned()
            } else {
                advice(&why, name, connector)
            };
            return fail(why, advice);
        }
        Err(_) => {
            let advice = format!("{}; perhaps a firewall drops the packets", down());
            return fail(
                format!(
                    "no connection within {}",
                    humantime::format_duration(within)
                ),
                advice,
            );
        }
    };
    let took = in_ms(started.elapsed());
    let there = match address {
        Address::Tcp(address) if !is_known => format!(" at {}", address.ip()),
        _ => String::new(),
    };
    let connects = format!("{endpoint} connects{there} in {took}");
    let outcome = probe(io, &upstream.host.without_client(endpoint)).await;
    if let Address::Tcp(address) = address
        && !endpoint.tls
        && !matches!(outcome, ProbeOutcome::Http(status) if status != 400)
        && timeout(within, speaks_tls(*address)).await == Ok(true)
    {
        return fail(
            "it speaks TLS there".to_owned(),
            format!("write https:// in upstreams.{name}.endpoints"),
        );
    }
    match outcome {
        ProbeOutcome::Http(_) if endpoint.tls => Diagnostic::ok(CHECK, format!("{connects}, by TLS with a certificate that is trusted, and speaks HTTP")),
        ProbeOutcome::Http(_) => Diagnostic::ok(CHECK, format!("{connects} and speaks HTTP")),
        ProbeOutcome::Other(what) => fail(what.to_owned(), "check that host and port belong to a server that speaks HTTP/1.1; until then its requests get 502".to_owned()),
        ProbeOutcome::Silence => {
            let advice = "check whether it is overloaded, and whether it speaks HTTP/1.1";
            Diagnostic::warn(CHECK, format!("{connects}, but has not answered HEAD / within {}", humantime::format_duration(PATIENCE)), advice)
        }
    }
}

/// The first address that can be connected to, handshake included; else why the last cannot.
async fn first_of<'a>(
    addresses: &'a [Address],
    endpoint: usize,
    connector: &Connector,
) -> io::Result<(&'a Address, Io)> {
    let mut why = io::Error::other("the host name has no address");
    for address in addresses {
        match connector.open(address, endpoint).await {
            Ok(io) => return Ok((address, io)),
            Err(error) => why = error,
        }
    }
    Err(why)
}

async fn probe(mut io: Io, host: &str) -> ProbeOutcome {
    const NO_ANSWER: ProbeOutcome =
        ProbeOutcome::Other("it closes the connection without an answer to HEAD /");
    let head = format!(
        "HEAD / HTTP/1.1\r\nhost: {host}\r\nuser-agent: hufu-doctor\r\naccept: */*\r\nconnection: close\r\n\r\n"
    );
    let exchange = async {
        io.write_all(head.as_bytes()).await.ok()?;
        io.flush().await.ok()?;
        let mut start = [0; 12];
        io.read_exact(&mut start).await.ok().map(|_| start)
    };
    match timeout(PATIENCE, exchange).await {
        Ok(Some(start)) => match status(&start) {
            Some(status) => ProbeOutcome::Http(status),
            None => ProbeOutcome::Other("the server there does not speak HTTP/1.1"),
        },
        Ok(None) => NO_ANSWER,
        Err(_) => ProbeOutcome::Silence,
    }
}

/// Of `HTTP/1.1 200`.
fn status(start: &[u8; 12]) -> Option<u16> {
    let (version, code) = std::str::from_utf8(start).ok()?.split_at_checked(9)?;
    if matches!(version, "HTTP/1.1 " | "HTTP/1.0 ") {
        code.parse().ok()
    } else {
        None
    }
}

fn down() -> String {
    "is it running there? Until it can be reached, its requests get 502".to_owned()
}

fn advice(why: &str, upstream: &str, connector: &Connector) -> String {
    if let Some(cure) = connector.cure(why) {
        return format!("{cure}; until then its requests get 502");
    }
    match why {
        _ if why.contains("no TLS") => {
            format!("write http:// in upstreams.{upstream}.endpoints, or the port that speaks TLS")
        }
        _ if why.contains("certificate") => {
            "fix the certificate there; until then its requests get 502".to_owned()
        }
        _ => down(),
    }
}
