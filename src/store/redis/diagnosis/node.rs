//! Everything about one server that holds data.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use futures_util::future::join_all;
use redis::aio::MultiplexedConnection;
use redis::{RedisResult, cmd};

use super::conversation::{ask, ask_timed, lost};
use super::expected::Expected;
use super::info::Info;
use super::{clock, default_user, memory, persistence, push, replicas, rights, version};
use crate::diagnostic::{DiagnosedSubject, Diagnostic, in_ms};
use crate::redis_client::opening::{self, NO_PASSWORD, lets_everybody_in};
use crate::redis_client::{NodeAddress, Server, ServerAddress, Servers};

/// How many PINGs are sent. The median of their times counts.
const PINGS: usize = 5;

/// Each master, and then its replicas, as far as the gateway may come to use them.
pub(super) async fn examine_all(
    masters: &BTreeSet<NodeAddress>,
    data: &Servers,
    expected: &Expected<'_>,
) -> Vec<DiagnosedSubject> {
    let examined = masters
        .iter()
        .map(|master| examine_with_replicas(master, data, expected));
    join_all(examined).await.concat()
}

async fn examine_with_replicas(
    address: &NodeAddress,
    data: &Servers,
    expected: &Expected<'_>,
) -> Vec<DiagnosedSubject> {
    let (master, replicas) = diagnose(&data.at(address), expected).await;
    let expected = Expected {
        is_replica: true,
        ..*expected
    };
    let replicas = join_all(
        replicas
            .iter()
            .map(|replica| async { diagnose(&data.at(replica), &expected).await.0 }),
    )
    .await;
    std::iter::once(master).chain(replicas).collect()
}

/// Asks until everything is known or the server falls silent. Gives what was found, and the
/// replicas that the server has.
pub(super) async fn diagnose(
    server: &Server,
    expected: &Expected<'_>,
) -> (DiagnosedSubject, Vec<NodeAddress>) {
    let (mut diagnostics, mut replicas) = (Vec::new(), Vec::new());
    if let Err(error) = ask_all(server, expected, &mut diagnostics, &mut replicas).await {
        diagnostics.push(lost(server, &error));
    }
    (
        DiagnosedSubject {
            subject: format!("redis {}", server.address),
            diagnostics,
        },
        replicas,
    )
}

async fn ask_all(
    server: &Server,
    expected: &Expected<'_>,
    diagnostics: &mut Vec<Diagnostic>,
    replicas: &mut Vec<NodeAddress>,
) -> RedisResult<()> {
    let mut connection = opening::open(server).await?;
    diagnostics.push(reached(server, expected, &mut connection).await?);
    if lets_everybody_in(server).await.is_some() {
        let (seen, advice) = NO_PASSWORD;
        diagnostics.push(Diagnostic::warn("password", seen, advice));
    }
    let info = ask::<String>(&mut connection, &cmd("INFO")).await?;
    // Without INFO the checks that need it are left out; `rights` reports that it is missing.
    let info = info.ok().map(|text| Info::parse(&text));
    if let Some(info) = &info {
        diagnostics.push(version::check(info));
        diagnostics.extend(replicas::role(info, expected));
    }
    diagnostics.extend(rights::check(&connection, expected).await?);
    diagnostics.push(
        push::check(
            server,
            expected.settings.near_cache.as_ref(),
            &expected.settings.key_prefix,
        )
        .await?,
    );
    if let Some(info) = &info {
        diagnostics.push(memory::eviction(info));
        diagnostics.push(memory::usage(info));
        diagnostics.push(persistence::check(&mut connection, info).await?);
        diagnostics.extend(default_user::check(&mut connection, info).await?);
        if !expected.is_replica {
            *replicas = info.replicas_online();
            diagnostics.extend(replicas::check(
                replicas.len(),
                expected.role,
                expected.settings.wait_replicas,
            ));
        }
    }
    diagnostics.push(clock::check(&mut connection).await?);
    Ok(())
}

/// How fast it answers, and whether anybody can listen in.
async fn reached(
    server: &Server,
    expected: &Expected<'_>,
    connection: &mut MultiplexedConnection,
) -> RedisResult<Diagnostic> {
    let mut took = Vec::with_capacity(PINGS);
    for _ in 0..PINGS {
        // Even a PING that the ACL refuses is an answer.
        took.push(ask_timed::<String>(connection, &cmd("PING")).await?.1);
    }
    took.sort_unstable();
    Ok(judged(server, took[PINGS / 2], expected.settings.timeout))
}

fn judged(server: &Server, ping: Duration, timeout: Duration) -> Diagnostic {
    let encryption = match (server.is_encrypted(), is_this_machine(&server.address)) {
        (true, _) => "; TLS, its certificate is verified",
        (false, true) => "",
        (false, false) => "; not encrypted",
    };
    let seen = format!("answers PING in {}{encryption}", in_ms(ping));
    if ping > timeout / 5 {
        return Diagnostic::warn(
            "connection",
            seen,
            "that is more than a fifth of store.timeout: look at the network, or at SLOWLOG on the server",
        );
    }
    Diagnostic::ok("connection", seen)
}

fn is_this_machine(address: &ServerAddress) -> bool {
    let host = address.host();
    address.is_socket()
        || host == "localhost"
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}
