//! Whether the server is a master, and has the replicas that revocations wait for.

use super::expected::{Expected, ServerRole};
use super::info::Info;
use crate::diagnostic::Diagnostic;

/// Its role. A replica takes no writes.
pub(super) fn role(info: &Info, expected: &Expected<'_>) -> Option<Diagnostic> {
    let check = "role";
    if expected.is_replica {
        return Some(Diagnostic::ok(check, "a replica"));
    }
    if info.text("redis_mode") == "sentinel" {
        return Some(Diagnostic::fail(
            check,
            "it is a Sentinel and holds no data",
            "write redis+sentinel:// and the master's name in store.url",
        ));
    }
    if info.text("role") == "slave" {
        let advice = match expected.role {
            ServerRole::Single => {
                "write its master in store.url, or redis+sentinel:// for a master that changes"
            }
            ServerRole::OfSentinels | ServerRole::OfCluster => {
                "a failover is under way: try again in a moment"
            }
        };
        return Some(Diagnostic::fail(
            check,
            "it is a replica and takes no writes",
            advice,
        ));
    }
    let of_cluster = info.is_on("cluster_enabled");
    (of_cluster && expected.role != ServerRole::OfCluster).then(|| {
        Diagnostic::fail(
            check,
            "it is a node of a cluster",
            "write redis+cluster:// with some of its nodes in store.url",
        )
    })
}

/// Its replicas, against what `store.wait_replicas` asks for.
pub(super) fn check(online: usize, role: ServerRole, wait_replicas: u32) -> Option<Diagnostic> {
    let check = "replicas";
    let seen = format!("{online} online");
    if wait_replicas as usize > online {
        return Some(Diagnostic::fail(
            check,
            format!("{seen}, and store.wait_replicas = {wait_replicas}"),
            "every logout waits for store.timeout in vain, and a failover can bring the session back: add replicas, or lower it",
        ));
    }
    match (role, online, wait_replicas) {
        (ServerRole::Single, 0, _) => None,
        (ServerRole::OfSentinels | ServerRole::OfCluster, 0, _) => Some(Diagnostic::warn(
            check,
            seen,
            "add one: when this server dies nobody can take its place, and its users get 503 until it is back",
        )),
        (_, _, 0) => Some(Diagnostic::ok(
            check,
            format!("{seen}; logouts do not wait for them (store.wait_replicas = 0)"),
        )),
        _ => Some(Diagnostic::ok(
            check,
            format!("{seen}; logouts wait for {wait_replicas}"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Verdict;
    use crate::store::settings::StoreSettings;
    use crate::store::url::StoreUrl;

    #[test]
    fn replicas_that_are_waited_for_must_be_there() {
        for (online, role, wait, verdict) in [
            (0, ServerRole::Single, 0, None),
            (0, ServerRole::Single, 1, Some(Verdict::Fail)),
            (1, ServerRole::OfSentinels, 1, Some(Verdict::Ok)),
            (1, ServerRole::OfCluster, 2, Some(Verdict::Fail)),
            (0, ServerRole::OfCluster, 0, Some(Verdict::Warn)),
        ] {
            let found = check(online, role, wait).map(|diagnostic| diagnostic.verdict);
            assert_eq!(found, verdict, "{online} {role:?} {wait}");
        }
    }

    #[test]
    fn only_replicas_that_have_copied_everything_count() {
        let text = "connected_slaves:2\r\nslave0:ip=10.0.0.2,port=6380,state=online,offset=1,lag=0\r\nslave1:ip=h,port=2,state=wait_bgsave\r\n";
        let online = Info::parse(text).replicas_online();
        assert_eq!(
            online.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["10.0.0.2:6380"]
        );
    }

    #[test]
    fn neither_a_replica_nor_a_node_of_a_cluster_is_a_server() {
        let settings = StoreSettings::new(StoreUrl::Memory);
        let master_of_cluster = "role:master\r\ncluster_enabled:1\r\n";
        let fails = Some(Verdict::Fail);
        for (text, server_role, is_replica, verdict) in [
            ("redis_mode:sentinel\r\n", ServerRole::Single, false, fails),
            ("role:slave\r\n", ServerRole::OfSentinels, false, fails),
            (
                "role:slave\r\n",
                ServerRole::OfSentinels,
                true,
                Some(Verdict::Ok),
            ),
            (master_of_cluster, ServerRole::Single, false, fails),
            (master_of_cluster, ServerRole::OfCluster, false, None),
            ("role:master\r\n", ServerRole::Single, false, None),
        ] {
            let expected = Expected {
                settings: &settings,
                user: "default",
                role: server_role,
                is_replica,
            };
            let found = role(&Info::parse(text), &expected).map(|diagnostic| diagnostic.verdict);
            assert_eq!(found, verdict, "{text} {server_role:?}");
        }
    }
}
