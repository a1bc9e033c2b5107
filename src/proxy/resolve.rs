//! Looking up the host names of an upstream's endpoints, again and again. Every address that a name
//! has is used.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::proxy::shared_upstream::SharedUpstream;
use crate::upstream::resolved::{Address, literal};

/// How long one look-up may take; the operating system's own patience is longer.
const LOOK_UP: Duration = Duration::from_secs(5);
/// Before the next look-up while there is no address at all.
const SOON: Duration = Duration::from_millis(500);

/// Asks the operating system where a host name leads.
pub async fn look_up(host: String, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok(tokio::net::lookup_host((host, port)).await?.collect())
}

/// Keeps an upstream's addresses up to date. What cannot be looked up keeps the addresses that it
/// had. Ends when it is dropped.
pub async fn resolve_for_ever(
    shared: Arc<SharedUpstream>,
    look_up: impl AsyncFn(String, u16) -> io::Result<Vec<SocketAddr>>,
) {
    let endpoints = &shared.upstream().endpoints;
    let mut failing = vec![false; endpoints.len()];
    loop {
        let mut found = Vec::with_capacity(endpoints.len());
        for (endpoint, failing) in endpoints.iter().zip(&mut failing) {
            if let Some(address) = literal(endpoint) {
                found.push(Some(vec![address]));
                continue;
            }
            let answer =
                tokio::time::timeout(LOOK_UP, look_up(endpoint.host.clone(), endpoint.port)).await;
            let answer = answer.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
            let failed = answer.as_ref().map_or_else(
                |error| Some(error.to_string()),
                |found| found.is_empty().then(|| "it has no address".to_owned()),
            );
            log_change(&shared, &endpoint.host, failed.as_deref(), failing);
            found.push(
                answer
                    .ok()
                    .map(|found| found.into_iter().map(Address::Tcp).collect()),
            );
        }
        shared.refresh(&found);
        let any = !shared.state.targets().targets.is_empty();
        tokio::time::sleep(if any {
            shared.upstream().resolve_interval
        } else {
            SOON
        })
        .await;
    }
}

/// Once when it begins to fail, and once when it works again.
fn log_change(shared: &SharedUpstream, host: &str, failed: Option<&str>, failing: &mut bool) {
    let upstream = &*shared.upstream().name;
    let has_address = !shared.state.targets().targets.is_empty();
    match failed {
        Some(why) if !*failing => {
            let meanwhile = if has_address {
                "the last addresses stay in use"
            } else {
                "there is no address yet, and requests get 502"
            };
            log::warn!(upstream, host; "cannot resolve the host name: {why}; {meanwhile}");
        }
        None if *failing => log::info!(upstream, host; "the host name resolves again"),
        _ => {}
    }
    *failing = failed.is_some();
}
