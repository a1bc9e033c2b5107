//! Sentinels: whether they know the master, and whether they would be enough for a failover; and
//! the master with its replicas.

use std::collections::{BTreeSet, HashMap};

use futures_util::future::join_all;
use redis::aio::MultiplexedConnection;
use redis::{RedisResult, cmd};

use super::conversation::{ServerRefusal, ask, lost};
use super::expected::Expected;
use super::node;
use crate::diagnostic::{DiagnosedSubject, Diagnostic};
use crate::redis_client::failure::of_another_kind;
use crate::redis_client::{NodeAddress, Server, Servers, opening};

/// What one sentinel said.
struct SentinelAnswer {
    diagnosed: DiagnosedSubject,
    /// Whom it calls the master.
    master: Option<NodeAddress>,
}

pub(super) async fn diagnose(
    name: &str,
    sentinels: &[Server],
    data: &Servers,
    expected: &Expected<'_>,
) -> Vec<DiagnosedSubject> {
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
    let group = DiagnosedSubject {
        subject: format!("master {name}"),
        diagnostics: vec![agreement(&named, reached, sentinels.len())],
    };
    let masters = node::examine_all(&named, data, expected).await;
    let mut diagnosed = vec![group];
    diagnosed.extend(answered.into_iter().map(|answered| answered.diagnosed));
    diagnosed.extend(masters);
    diagnosed
}

fn agreement(named: &BTreeSet<NodeAddress>, reached: usize, all: usize) -> Diagnostic {
    let masters = named
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ");
    match named.len() {
        0 => Diagnostic::fail(
            "sentinels",
            format!("none of {all} names it"),
            "without a master every request that needs a session gets 503",
        ),
        1 if reached < all => Diagnostic::warn(
            "sentinels",
            format!("{masters}, say {reached} of {all} sentinels"),
            "the others are below",
        ),
        1 => Diagnostic::ok("sentinels", format!("{masters}, say all {all} sentinels")),
        _ => Diagnostic::warn(
            "sentinels",
            format!("they disagree: {masters}"),
            "a failover is under way, or they cannot see each other: try again in a moment",
        ),
    }
}

async fn ask_sentinel(sentinel: &Server, name: &str) -> SentinelAnswer {
    let (mut diagnostics, mut master) = (Vec::new(), None);
    if let Err(error) = ask_all(sentinel, name, &mut diagnostics, &mut master).await {
        diagnostics.push(lost(sentinel, &error));
    }
    SentinelAnswer {
        diagnosed: DiagnosedSubject {
            subject: format!("sentinel {}", sentinel.address),
            diagnostics,
        },
        master,
    }
}

async fn ask_all(
    sentinel: &Server,
    name: &str,
    diagnostics: &mut Vec<Diagnostic>,
    master: &mut Option<NodeAddress>,
) -> RedisResult<()> {
    let mut connection = opening::open(sentinel).await?;
    let said = ask::<Option<(String, u16)>>(
        &mut connection,
        cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(name),
    )
    .await?;
    diagnostics.push(match said {
        Ok(Some((host, port))) => {
            let address = NodeAddress { host, port };
            let diagnostic = Diagnostic::ok("master", format!("{name} is {address}"));
            *master = Some(address);
            diagnostic
        }
        Ok(None) => Diagnostic::fail(
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
    diagnostics.push(announcements(sentinel).await?);
    diagnostics.push(quorum(&mut connection, name).await?);
    Ok(())
}

fn refused(check: &'static str, refusal: &ServerRefusal, right: &str, without: &str) -> Diagnostic {
    let advice = match of_another_kind(&refusal.words) {
        Some(advice) => advice.to_owned(),
        None if refusal.is_noperm() => {
            format!("give its user of store.sentinel_username `+{right}`; {without}")
        }
        None => without.to_owned(),
    };
    Diagnostic::fail(check, format!("{} {}", refusal.code, refusal.words), advice)
}

/// Whether it would announce another master.
async fn announcements(sentinel: &Server) -> RedisResult<Diagnostic> {
    let within = sentinel.timeouts.connect + sentinel.timeouts.answer;
    let subscribe = opening::subscribe(sentinel, &["+switch-master"]);
    match opening::bounded(within, subscribe).await {
        Ok(_) => Ok(Diagnostic::ok(
            "announcements",
            "+switch-master can be listened to",
        )),
        Err(error) => match ServerRefusal::of(&error) {
            Some(refusal) => {
                let advice = "give its user of store.sentinel_username `+subscribe &+switch-master`; without it idle workers find a new master late";
                Ok(Diagnostic::warn(
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
async fn quorum(connection: &mut MultiplexedConnection, name: &str) -> RedisResult<Diagnostic> {
    let unseen = |right: &str| {
        Diagnostic::note(
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
                return Ok(Diagnostic::warn(
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

fn judged(sentinels: u32, quorum: u32, replicas: u32) -> Diagnostic {
    let seen = format!("{sentinels} sentinels, quorum {quorum}, {replicas} replicas");
    if sentinels < quorum {
        return Diagnostic::fail(
            "quorum",
            seen,
            "fewer sentinels than the quorum know each other: no failover can happen; start the others, or lower the quorum",
        );
    }
    if replicas == 0 {
        return Diagnostic::warn("quorum", seen, "without a replica nobody can become master");
    }
    // A failover also needs the votes of more than half, so two of two must live.
    if sentinels < 3 {
        return Diagnostic::warn(
            "quorum",
            seen,
            "run three: with fewer, the loss of one ends failovers",
        );
    }
    Diagnostic::ok("quorum", seen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Verdict;

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
