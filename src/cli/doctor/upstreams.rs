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
use crate::peer::{self, PeerTrouble};
use crate::upstream::resolved::{Address, literal};
use crate::upstream::{Endpoint, Upstream};
use crate::upstream_client::connection::Io;
use crate::upstream_client::connector::{Connector, speaks_tls};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The check of every line.
const CHECK: &str = "endpoint";

/// The upstream whose endpoints are examined.
struct Examined<'a> {
    upstream: &'a Upstream,
    connector: &'a Connector,
    /// What happens until it can be reached.
    meanwhile: &'static str,
}

impl Examined<'_> {
    /// What to do where nobody listens.
    fn down(&self) -> String {
        let meanwhile = self.meanwhile;
        format!("is it running there? Until it can be reached, {meanwhile}")
    }
}

/// What came in the place of an answer.
enum ProbeOutcome {
    /// An answer with this status.
    Http(u16),
    /// Something else, or the end of the connection.
    Other(&'static str),
    /// Nothing.
    Silence,
}

/// `meanwhile`: what happens until it can be reached.
pub(super) async fn diagnose(upstream: &Upstream, meanwhile: &'static str) -> DiagnosedSubject {
    let diagnostics = match Connector::new(upstream) {
        Ok(connector) => {
            let examined = Examined {
                upstream,
                connector: &connector,
                meanwhile,
            };
            let endpoints = upstream.endpoints.iter().enumerate();
            join_all(endpoints.map(async |(at, endpoint)| {
                diagnose_endpoint(at, endpoint, &examined)
                    .await
                    .unwrap_or_else(|Failed { why, advice }| {
                        Diagnostic::fail(CHECK, format!("{endpoint}: {why}"), advice)
                    })
            }))
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

/// Ends a diagnosis: what is wrong, and what to do.
struct Failed {
    why: String,
    advice: String,
}

async fn diagnose_endpoint(
    at: usize,
    endpoint: &Endpoint,
    examined: &Examined<'_>,
) -> Result<Diagnostic, Failed> {
    let upstream = examined.upstream;
    let addresses = addresses(endpoint, examined).await?;
    let started = monotonic_now();
    let (address, io) = connected(&addresses, at, endpoint, examined).await?;
    let took = in_ms(started.elapsed());
    let there = match address {
        Address::Tcp(address) if literal(endpoint).is_none() => format!(" at {}", address.ip()),
        _ => String::new(),
    };
    let connects = format!("{endpoint} connects{there} in {took}");
    let outcome = probe(io, &upstream.host.without_client(endpoint)).await;
    if let Address::Tcp(address) = address
        && !endpoint.tls
        && !matches!(outcome, ProbeOutcome::Http(status) if status != 400)
        && timeout(upstream.connect_timeout, speaks_tls(*address)).await == Ok(true)
    {
        return Err(Failed {
            why: "it speaks TLS there".to_owned(),
            advice: format!("write https:// in upstreams.{}.endpoints", upstream.name),
        });
    }
    match outcome {
        ProbeOutcome::Http(_) if endpoint.tls => Ok(Diagnostic::ok(
            CHECK,
            format!("{connects}, by TLS with a certificate that is trusted, and speaks HTTP"),
        )),
        ProbeOutcome::Http(_) => Ok(Diagnostic::ok(CHECK, format!("{connects} and speaks HTTP"))),
        ProbeOutcome::Other(what) => Err(Failed {
            why: what.to_owned(),
            advice: format!(
                "check that host and port belong to a server that speaks HTTP/1.1; until then {}",
                examined.meanwhile
            ),
        }),
        ProbeOutcome::Silence => Ok(Diagnostic::warn(
            CHECK,
            format!(
                "{connects}, but has not answered HEAD / within {}",
                humantime::format_duration(PATIENCE)
            ),
            "check whether it is overloaded, and whether it speaks HTTP/1.1",
        )),
    }
}

/// The addresses of an endpoint, looked up where it has a name.
async fn addresses(endpoint: &Endpoint, examined: &Examined<'_>) -> Result<Vec<Address>, Failed> {
    let upstream = examined.upstream;
    if let Some(address) = literal(endpoint) {
        return Ok(vec![address]);
    }
    let found = lookup_host((endpoint.host.as_str(), endpoint.port));
    match timeout(upstream.connect_timeout, found).await {
        Ok(Ok(addresses)) => Ok(addresses.map(Address::Tcp).collect()),
        Ok(Err(error)) => Err(Failed {
            why: format!("the host name does not resolve: {error}"),
            advice: format!(
                "fix upstreams.{}.endpoints, or the name servers of this machine; until the name resolves, {}",
                upstream.name, examined.meanwhile
            ),
        }),
        Err(_) => Err(Failed {
            why: "resolving the host name timed out".to_owned(),
            advice: "are the name servers of this machine right?".to_owned(),
        }),
    }
}

/// A connection to the first address that can be connected to.
async fn connected<'a>(
    addresses: &'a [Address],
    at: usize,
    endpoint: &Endpoint,
    examined: &Examined<'_>,
) -> Result<(&'a Address, Io), Failed> {
    let within = examined.upstream.connect_timeout;
    let error = match timeout(within, first_of(addresses, at, examined.connector)).await {
        Ok(Ok(connected)) => return Ok(connected),
        Ok(Err(error)) => error,
        Err(_) => {
            return Err(Failed {
                why: format!(
                    "no connection within {}",
                    humantime::format_duration(within)
                ),
                advice: format!("{}; perhaps a firewall drops the packets", examined.down()),
            });
        }
    };
    let is_denied = error.kind() == io::ErrorKind::PermissionDenied;
    let error = error.to_string();
    let advice = if is_denied && endpoint.socket.is_some() {
        "let the user of the gateway write to the socket and enter its folder: a group that both have, and mode 0660 for the socket".to_owned()
    } else {
        advice(peer::trouble(&error), examined)
    };
    Err(Failed {
        why: peer::plainly(&error),
        advice,
    })
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
        Ok(None) => ProbeOutcome::Other("it closes the connection without an answer to HEAD /"),
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

fn advice(trouble: PeerTrouble, examined: &Examined<'_>) -> String {
    let meanwhile = examined.meanwhile;
    if let Some(cure) = examined.connector.cure(trouble) {
        return format!("{cure}; until then {meanwhile}");
    }
    match trouble {
        PeerTrouble::NoTls => {
            let name = &examined.upstream.name;
            format!("write http:// in upstreams.{name}.endpoints, or the port that speaks TLS")
        }
        PeerTrouble::Certificate => {
            format!("fix the certificate there; until then {meanwhile}")
        }
        _ => examined.down(),
    }
}
