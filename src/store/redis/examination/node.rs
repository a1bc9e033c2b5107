//! Everything about one server that holds data.

use std::net::IpAddr;
use std::time::Duration;

use futures_util::future::join_all;
use redis::aio::MultiplexedConnection;
use redis::{RedisResult, cmd};

use super::conversation::{ask, ask_timed, connect, lost};
use super::info::Info;
use super::wanted::Wanted;
use super::{clock, default_user, memory, persistence, push, replicas, rights, version};
use crate::finding::{Examined, Finding, in_ms};
use crate::redis_client::opening::{NO_PASSWORD, lets_everybody_in};
use crate::redis_client::{NodeAddress, Server, ServerAddress, Servers};

/// So many PINGs; the one in the middle counts.
const PINGS: usize = 5;

/// The master, and then its replicas, as far as the gateway may come to use them.
pub(super) async fn examine_with_replicas(
    address: &NodeAddress,
    data: &Servers,
    wanted: &Wanted<'_>,
) -> Vec<Examined> {
    let (master, replicas) = examine(&data.at(address), wanted).await;
    let wanted = Wanted {
        is_replica: true,
        ..*wanted
    };
    let replicas = join_all(
        replicas
            .iter()
            .map(|replica| async { examine(&data.at(replica), &wanted).await.0 }),
    )
    .await;
    std::iter::once(master).chain(replicas).collect()
}

/// Asks until everything is known or the server falls silent; beside what was found, the replicas
/// that it has.
pub(super) async fn examine(server: &Server, wanted: &Wanted<'_>) -> (Examined, Vec<NodeAddress>) {
    let (mut findings, mut replicas) = (Vec::new(), Vec::new());
    if let Err(error) = ask_all(server, wanted, &mut findings, &mut replicas).await {
        findings.push(lost(server, &error));
    }
    (
        Examined {
            subject: format!("redis {}", server.address),
            findings,
        },
        replicas,
    )
}

async fn ask_all(
    server: &Server,
    wanted: &Wanted<'_>,
    findings: &mut Vec<Finding>,
    replicas: &mut Vec<NodeAddress>,
) -> RedisResult<()> {
    let mut connection = connect(server).await?;
    findings.push(reached(server, wanted, &mut connection).await?);
    if lets_everybody_in(server).await.is_some() {
        let (seen, advice) = NO_PASSWORD;
        findings.push(Finding::warn("password", seen, advice));
    }
    let info = ask::<String>(&mut connection, &cmd("INFO")).await?;
    // What hangs on INFO is not told without it; `rights` says that it is missing.
    let info = info.ok().map(|text| Info::parse(&text));
    if let Some(info) = &info {
        findings.push(version::check(info));
        findings.extend(replicas::role(info, wanted));
    }
    findings.extend(rights::check(&connection, wanted).await?);
    findings.push(
        push::check(
            server,
            wanted.settings.near_cache.as_ref(),
            &wanted.settings.key_prefix,
        )
        .await?,
    );
    if let Some(info) = &info {
        findings.push(memory::eviction(info));
        findings.push(memory::usage(info));
        findings.push(persistence::check(&mut connection, info).await?);
        findings.extend(default_user::check(&mut connection, info).await?);
        if !wanted.is_replica {
            *replicas = info.replicas_online();
            findings.extend(replicas::check(
                replicas.len(),
                wanted.part,
                wanted.settings.wait_replicas,
            ));
        }
    }
    findings.push(clock::check(&mut connection).await?);
    Ok(())
}

/// How fast it answers, and whether anybody can listen in.
async fn reached(
    server: &Server,
    wanted: &Wanted<'_>,
    connection: &mut MultiplexedConnection,
) -> RedisResult<Finding> {
    let mut took = Vec::with_capacity(PINGS);
    for _ in 0..PINGS {
        // Even a PING that the ACL refuses is an answer.
        took.push(ask_timed::<String>(connection, &cmd("PING")).await?.1);
    }
    took.sort_unstable();
    Ok(judged(server, took[PINGS / 2], wanted.settings.timeout))
}

fn judged(server: &Server, ping: Duration, timeout: Duration) -> Finding {
    let encryption = match (server.is_encrypted(), is_this_machine(&server.address)) {
        (true, _) => "; TLS, its certificate is verified",
        (false, true) => "",
        (false, false) => "; not encrypted",
    };
    let seen = format!("answers PING in {}{encryption}", in_ms(ping));
    if ping > timeout / 5 {
        return Finding::warn(
            "connection",
            seen,
            "that is more than a fifth of store.timeout: look at the network, or at SLOWLOG on the server",
        );
    }
    Finding::ok("connection", seen)
}

fn is_this_machine(address: &ServerAddress) -> bool {
    let host = address.host();
    address.is_socket()
        || host == "localhost"
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}
