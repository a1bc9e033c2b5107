//! A Redis cluster of the test's own.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use redis::Value;

use super::redis_server::{Certificates, FREE, RedisServer};
use super::sentinels::{follows, shipped_user};
use super::wait::until_blocking;

const SLOTS: usize = 16_384;

/// For how long a node may say nothing before its replica takes its place, in milliseconds. On a
/// loaded machine a live one may be silent for a second or two, and a test that takes a master away
/// has to know which one it is.
const AT_EASE: &str = "15000";
/// The same once the test has taken a master away.
const CLOSELY: &str = "1000";

/// Masters, and after them as many replicas.
pub(crate) struct RedisCluster {
    pub(crate) nodes: Vec<RedisServer>,
    masters: usize,
}

impl RedisCluster {
    /// Six nodes, three of them replicas, with the user of redis.conf.
    pub(crate) fn start() -> Self {
        let mut cluster = Self {
            nodes: (0..6).map(|_| Self::node()).collect(),
            masters: 3,
        };
        cluster.join(3);
        for master in 0..3 {
            let id = cluster.id(master);
            let replica = 3 + master;
            until_blocking("the replica to know its master", || {
                cluster
                    .ask::<()>(replica, &["CLUSTER", "REPLICATE", &id])
                    .ok()
            });
        }
        for replica in 3..6 {
            follows(&cluster.nodes[replica]);
        }
        cluster.is_healthy();
        cluster.masters = 3;
        cluster
    }

    /// Three masters without replicas.
    pub(crate) fn start_small() -> Self {
        let cluster = Self {
            nodes: (0..3).map(|_| Self::node()).collect(),
            masters: 3,
        };
        cluster.join(3);
        cluster
    }

    /// A node that belongs to no cluster yet.
    pub(crate) fn node() -> RedisServer {
        let user = shipped_user();
        let own = [
            "--cluster-enabled",
            "yes",
            "--cluster-port",
            FREE,
            "--cluster-node-timeout",
            AT_EASE,
            "--cluster-replica-validity-factor",
            "0",
        ];
        let more = [
            "--repl-diskless-sync-delay",
            "0",
            "--cluster-allow-replica-migration",
            "no",
        ];
        let user: Vec<&str> = user.iter().map(String::as_str).collect();
        RedisServer::start(&[&own[..], &more, &user].concat())
    }

    /// Three masters that speak TLS only, among themselves too, and want certificates of all;
    /// without replicas.
    pub(crate) fn start_tls(certificates: &Arc<Certificates>) -> Self {
        let own = [
            "--cluster-enabled",
            "yes",
            "--cluster-port",
            FREE,
            "--tls-cluster",
            "yes",
        ];
        let nodes = (0..3)
            .map(|_| RedisServer::start_with_certificates(certificates, &own))
            .collect();
        let cluster = Self { nodes, masters: 3 };
        cluster.join(3);
        cluster
    }

    /// The store's URL.
    pub(crate) fn url(&self) -> String {
        format!("redis+cluster://hufu:tiger@{}", self.addresses())
    }

    /// The nodes as they stand in a URL.
    pub(crate) fn addresses(&self) -> String {
        self.nodes
            .iter()
            .map(|node| format!("127.0.0.1:{}", node.port()))
            .collect::<Vec<_>>()
            .join(",")
    }

    /// The nodes that have slots, as another node sees it.
    pub(crate) fn masters_of(&self, asked: usize) -> BTreeSet<usize> {
        let place = |port: &u16| self.nodes.iter().position(|node| node.port() == *port);
        self.slots(asked)
            .iter()
            .filter_map(|(_, port)| place(port))
            .collect()
    }

    /// The URLs of the masters as they were at the start, for looking into them.
    pub(crate) fn inspectors(&self) -> Vec<String> {
        self.nodes[..self.masters]
            .iter()
            .map(|node| node.url(""))
            .collect()
    }

    /// Sends a node one command.
    pub(crate) fn ask<T: redis::FromRedisValue>(
        &self,
        node: usize,
        words: &[&str],
    ) -> redis::RedisResult<T> {
        self.nodes[node].ask(words)
    }

    /// A node's id.
    pub(crate) fn id(&self, node: usize) -> String {
        self.ask(node, &["CLUSTER", "MYID"]).unwrap()
    }

    /// The running node that has a slot, as another node sees it.
    pub(crate) fn owner(&self, slot: u16, asked: usize) -> Option<usize> {
        let (_, port) = self
            .slots(asked)
            .into_iter()
            .find(|(slots, _)| slots.contains(&slot))?;
        self.nodes.iter().position(|node| node.port() == port)
    }

    /// Ranges of slots, with the ports of their masters.
    fn slots(&self, asked: usize) -> Vec<(RangeInclusive<u16>, u16)> {
        let ranges: Vec<Vec<Value>> = self.ask(asked, &["CLUSTER", "SLOTS"]).unwrap();
        let read = |range: &Vec<Value>| {
            let Value::Array(master) = &range[2] else {
                panic!("{range:?}")
            };
            (number(&range[0])..=number(&range[1]), number(&master[1]))
        };
        ranges.iter().map(read).collect()
    }

    /// Makes a node known to all.
    pub(crate) fn meet(&self, node: usize) {
        let newcomer = &self.nodes[node];
        let (port, bus) = (
            newcomer.port().to_string(),
            newcomer.argument("--cluster-port").to_owned(),
        );
        self.ask::<()>(0, &["CLUSTER", "MEET", "127.0.0.1", &port, &bus])
            .unwrap();
    }

    /// Spreads the slots over the first nodes, and waits until every node knows it.
    fn join(&self, masters: usize) {
        let share = SLOTS.div_ceil(masters);
        for node in 0..masters {
            let (first, last) = (node * share, ((node + 1) * share).min(SLOTS) - 1);
            self.ask::<()>(
                node,
                &["CLUSTER", "SET-CONFIG-EPOCH", &(node + 1).to_string()],
            )
            .unwrap();
            self.ask::<()>(
                node,
                &[
                    "CLUSTER",
                    "ADDSLOTSRANGE",
                    &first.to_string(),
                    &last.to_string(),
                ],
            )
            .unwrap();
        }
        (1..self.nodes.len()).for_each(|node| self.meet(node));
        self.is_healthy();
    }

    /// Waits until all running nodes know all of them and every slot has a master.
    pub(crate) fn is_healthy(&self) {
        for node in 0..self.nodes.len() {
            until_blocking("the cluster to be well", || {
                let state: String = self.ask(node, &["CLUSTER", "INFO"]).ok()?;
                let known = format!("cluster_known_nodes:{}", self.nodes.len());
                let has = |line: &str| state.lines().any(|has| has == line);
                (has("cluster_state:ok") && has(&known)).then_some(())
            });
        }
    }

    /// Has replicas take the place of a master that is frozen or dead. Before this they let it be.
    /// The nodes that answer are told, so none may be frozen but this one.
    pub(crate) fn watch_closely(&self, but: usize) {
        self.node_timeout(but, CLOSELY);
    }

    /// Has them take nobody's place any more.
    pub(crate) fn watch_at_ease(&self, but: usize) {
        self.node_timeout(but, AT_EASE);
    }

    fn node_timeout(&self, but: usize, silence: &str) {
        for node in (0..self.nodes.len()).filter(|node| *node != but) {
            self.ask::<()>(node, &["CONFIG", "SET", "cluster-node-timeout", silence])
                .unwrap();
        }
    }

    /// Begins to move a slot: from now on both nodes answer for it, each for the keys that it has.
    pub(crate) fn begin_move(&self, slot: u16, from: usize, to: usize) {
        let slot = slot.to_string();
        self.ask::<()>(
            to,
            &["CLUSTER", "SETSLOT", &slot, "IMPORTING", &self.id(from)],
        )
        .unwrap();
        self.ask::<()>(
            from,
            &["CLUSTER", "SETSLOT", &slot, "MIGRATING", &self.id(to)],
        )
        .unwrap();
    }

    /// The keys of a slot on a node.
    pub(crate) fn keys(&self, slot: u16, node: usize) -> Vec<String> {
        self.ask(
            node,
            &["CLUSTER", "GETKEYSINSLOT", &slot.to_string(), "1000"],
        )
        .unwrap()
    }

    /// Moves one key of a slot that is on its way.
    pub(crate) fn move_key(&self, key: &str, from: usize, to: usize) {
        let port = self.nodes[to].port().to_string();
        let moved: String = self
            .ask(from, &["MIGRATE", "127.0.0.1", &port, key, "0", "30000"])
            .unwrap();
        assert!(moved == "OK" || moved == "NOKEY", "{moved}");
    }

    /// Moves what is left of a slot, and says to everybody who has it now.
    pub(crate) fn end_move(&self, slot: u16, from: usize, to: usize) {
        for key in self.keys(slot, from) {
            self.move_key(&key, from, to);
        }
        let (id, slot) = (self.id(to), slot.to_string());
        let words = ["CLUSTER", "SETSLOT", &slot, "NODE", &id];
        for node in [to, from] {
            self.ask::<()>(node, &words).unwrap();
        }
        // The others would hear of it sooner or later. Replicas hear of it from their masters.
        for node in (0..self.nodes.len()).filter(|node| ![to, from].contains(node)) {
            let _ = self.ask::<()>(node, &words);
        }
    }
}

fn number(value: &Value) -> u16 {
    let Value::Int(number) = value else {
        panic!("{value:?}")
    };
    u16::try_from(*number).unwrap()
}
