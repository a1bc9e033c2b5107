//! Sentinels: whether they know the master, and whether they would be enough for a failover; and
//! the master with its replicas.

use std::collections::{BTreeSet, HashMap};

use futures_util::future::join_all;
use redis::aio::MultiplexedConnection;
use redis::{Client, RedisError, RedisResult, cmd};

use super::conversation::{Refusal, ask, connect, lost};
use super::node;
use super::wanted::Wanted;
use crate::finding::{Examined, Finding};
use crate::redis_client::failure::of_another_kind;
use crate::redis_client::{NodeAddress, Server, Servers};

/// What one sentinel said.
struct Answered {
    examined: Examined,
    /// Whom it calls the master.
    master: Option<NodeAddress>,
}

pub(super) async fn examine(
    name: &str,
    sentinels: &[Server],
    data: &Servers,
    wanted: &Wanted<'_>,
) -> Vec<Examined> {
    let answered = join_all(
        sentinels
            .iter()
            .map(|sentinel| ask_sentinel(sentinel, name)),
    )
    .await;
    let named: BTreeSet<NodeAddress> = answered
        .iter()
        .filter_map(|answered| answered.master.clone())
        .collect();
    let reached = answered
        .iter()
        .filter(|answered| answered.master.is_some())
        .count();
    let group = Examined {
        subject: format!("master {name}"),
        findings: vec![agreement(&named, reached, sentinels.len())],
    };
    let masters = join_all(
        named
            .iter()
            .map(|master| node::examine_with_replicas(master, data, wanted)),
    )
    .await;
    let mut examined = vec![group];
    examined.extend(answered.into_iter().map(|answered| answered.examined));
    examined.extend(masters.into_iter().flatten());
    examined
}

fn agreement(named: &BTreeSet<NodeAddress>, reached: usize, all: usize) -> Finding {
    let masters = named
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ");
    match named.len() {
        0 => Finding::fail(
            "sentinels",
            format!("none of {all} names it"),
            "without a master every request that needs a session gets 503",
        ),
        1 if reached < all => Finding::warn(
            "sentinels",
            format!("{masters}, say {reached} of {all} sentinels"),
            "the others are below",
        ),
        1 => Finding::ok("sentinels", format!("{masters}, say all {all} sentinels")),
        _ => Finding::warn(
            "sentinels",
            format!("they disagree: {masters}"),
            "a failover is under way, or they cannot see each other: ask again in a moment",
        ),
    }
}

async fn ask_sentinel(sentinel: &Server, name: &str) -> Answered {
    let (mut findings, mut master) = (Vec::new(), None);
    if let Err(error) = ask_all(sentinel, name, &mut findings, &mut master).await {
        findings.push(lost(sentinel, &error));
    }
    Answered {
        examined: Examined {
            subject: format!("sentinel {}", sentinel.address),
            findings,
        },
        master,
    }
}

async fn ask_all(
    sentinel: &Server,
    name: &str,
    findings: &mut Vec<Finding>,
    master: &mut Option<NodeAddress>,
) -> RedisResult<()> {
    let mut connection = connect(sentinel).await?;
    let said = ask::<Option<(String, u16)>>(
        &mut connection,
        cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(name),
    )
    .await?;
    findings.push(match said {
        Ok(Some((host, port))) => {
            let address = NodeAddress { host, port };
            let finding = Finding::ok("master", format!("{name} is {address}"));
            *master = Some(address);
            finding
        }
        Ok(None) => Finding::fail(
            "master",
            format!("it knows no master {name:?}"),
            "the name in store.url must be that of `sentinel monitor`",
        ),
        Err(refusal) => refused(
            "master",
            &refusal,
            "sentinel|get-master-addr-by-name",
            "the master cannot be found through this one",
        ),
    });
    findings.push(announcements(sentinel).await?);
    findings.push(quorum(&mut connection, name).await?);
    Ok(())
}

fn refused(check: &'static str, refusal: &Refusal, right: &str, without: &str) -> Finding {
    let advice = match of_another_kind(&refusal.words) {
        Some(advice) => advice.to_owned(),
        None if refusal.is_noperm() => {
            format!("give its user of store.sentinel_username `+{right}`; {without}")
        }
        None => without.to_owned(),
    };
    Finding::fail(check, format!("{} {}", refusal.code, refusal.words), advice)
}

/// Whether it would tell of another master.
async fn announcements(sentinel: &Server) -> RedisResult<Finding> {
    let subscribed = async {
        Client::open(sentinel.connection_info())?
            .get_async_pubsub()
            .await?
            .subscribe("+switch-master")
            .await
    };
    let within = sentinel.timeouts.connect + sentinel.timeouts.answer;
    let outcome = tokio::time::timeout(within, subscribed)
        .await
        .unwrap_or_else(|_| {
            Err(RedisError::from(std::io::Error::from(
                std::io::ErrorKind::TimedOut,
            )))
        });
    match outcome {
        Ok(()) => Ok(Finding::ok(
            "announcements",
            "+switch-master can be listened to",
        )),
        Err(error) => match Refusal::of(&error) {
            Some(refusal) => {
                let advice = "give its user of store.sentinel_username `+subscribe &+switch-master`; without it idle workers find a new master late";
                Ok(Finding::warn(
                    "announcements",
                    format!("{} {}", refusal.code, refusal.words),
                    advice,
                ))
            }
            None => Err(error),
        },
    }
}

/// Whether so many sentinels see each other that they can agree on a failover.
async fn quorum(connection: &mut MultiplexedConnection, name: &str) -> RedisResult<Finding> {
    let unseen = |right: &str| {
        Finding::note(
            "quorum",
            "cannot be seen with this login",
            format!("`+{right}` for store.sentinel_username would show it"),
        )
    };
    let known =
        match ask::<HashMap<String, String>>(connection, cmd("SENTINEL").arg("MASTER").arg(name))
            .await?
        {
            Ok(known) => known,
            Err(refusal) if refusal.is_noperm() => return Ok(unseen("sentinel|master")),
            Err(refusal) => {
                return Ok(Finding::warn(
                    "quorum",
                    format!("{} {}", refusal.code, refusal.words),
                    "",
                ));
            }
        };
    let number = |name: &str| {
        known
            .get(name)
            .and_then(|value| value.parse::<u32>().ok())
            .unwrap_or(0)
    };
    Ok(judged(
        number("num-other-sentinels") + 1,
        number("quorum"),
        number("num-slaves"),
    ))
}

fn judged(sentinels: u32, quorum: u32, replicas: u32) -> Finding {
    let seen = format!("{sentinels} sentinels, quorum {quorum}, {replicas} replicas");
    if sentinels < quorum {
        return Finding::fail(
            "quorum",
            seen,
            "fewer sentinels than the quorum know each other: no failover can happen; start the others, or lower the quorum",
        );
    }
    if replicas == 0 {
        return Finding::warn("quorum", seen, "without a replica nobody can become master");
    }
    // A failover also needs the votes of more than half, so two of two must live.
    if sentinels < 3 {
        return Finding::warn(
            "quorum",
            seen,
            "run three: with fewer, the loss of one ends failovers",
        );
    }
    Finding::ok("quorum", seen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Verdict;

    #[test]
    fn a_group_that_cannot_fail_over_is_told() {
        let of = |sentinels, quorum, replicas| judged(sentinels, quorum, replicas).verdict;
        assert_eq!(
            (of(3, 2, 1), of(1, 2, 1), of(3, 2, 0), of(2, 2, 1)),
            (Verdict::Ok, Verdict::Fail, Verdict::Warn, Verdict::Warn)
        );
    }

    #[test]
    fn sentinels_must_agree() {
        let at = |port| NodeAddress {
            host: "h".to_owned(),
            port,
        };
        let of = |ports: &[u16], reached, all| {
            agreement(&ports.iter().map(|port| at(*port)).collect(), reached, all).verdict
        };
        assert_eq!(
            (
                of(&[1], 3, 3),
                of(&[1], 2, 3),
                of(&[1, 2], 3, 3),
                of(&[], 0, 3)
            ),
            (Verdict::Ok, Verdict::Warn, Verdict::Warn, Verdict::Fail)
        );
    }
}
