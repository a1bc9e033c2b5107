//! Whether the backends can be connected to. Nothing is sent: what a backend does with a request is its own business.

use std::io;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::timeout;

use crate::clock::monotonic_now;
use crate::finding::{Examined, Finding, in_ms};
use crate::upstream::{Endpoint, Upstream};

pub(super) async fn examine(upstream: &Upstream) -> Examined {
    let findings = join_all(upstream.endpoints.iter().map(|endpoint| examine_endpoint(endpoint, upstream.connect_timeout, &upstream.name))).await;
    Examined { subject: format!("upstream {}", upstream.name), findings }
}

async fn examine_endpoint(endpoint: &Endpoint, within: Duration, name: &str) -> Finding {
    let fail = |why: String, advice: String| Finding::fail("endpoint", format!("{endpoint}: {why}"), advice);
    let down = || "is it running there? Until it can be reached, its requests get 502".to_owned();
    let started = monotonic_now();
    if let Some(path) = &endpoint.socket {
        return match timeout(within, UnixStream::connect(path)).await {
            Ok(Ok(_)) => Finding::ok("endpoint", format!("{endpoint} connects in {}", in_ms(started.elapsed()))),
            Ok(Err(error)) if error.kind() == io::ErrorKind::PermissionDenied => fail(
                error.to_string(),
                "let the user of the gateway write to the socket and enter its folder: a group that both have, and mode 0660 for the socket".to_owned(),
            ),
            Ok(Err(error)) => fail(error.to_string(), down()),
            Err(_) => fail(format!("no connection within {}", humantime::format_duration(within)), down()),
        };
    }
    let addresses: Vec<_> = match timeout(within, lookup_host((endpoint.host.as_str(), endpoint.port))).await {
        Ok(Ok(addresses)) => addresses.collect(),
        Ok(Err(error)) => {
            return fail(format!("its name does not resolve: {error}"), format!("mend upstreams.{name}.endpoints, or the name servers of this machine"));
        }
        Err(_) => return fail("its name does not resolve in time".to_owned(), "are the name servers of this machine right?".to_owned()),
    };
    match timeout(within, TcpStream::connect(&addresses[..])).await {
        Ok(Ok(stream)) => {
            let address = stream.peer_addr().map(|address| format!(" at {}", address.ip())).unwrap_or_default();
            let shown = if endpoint.host.parse::<std::net::IpAddr>().is_ok() { String::new() } else { address };
            Finding::ok("endpoint", format!("{endpoint} connects{shown} in {}", in_ms(started.elapsed())))
        }
        Ok(Err(error)) => fail(error.to_string(), down()),
        Err(_) => {
            fail(format!("no connection within {}", humantime::format_duration(within)), format!("{}; a firewall that drops packets looks like this", down()))
        }
    }
}
