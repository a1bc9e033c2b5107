//! Redis Cluster: a map of the slots, a connection per master, and what to do when the map is
//! wrong. The redis crate's own cluster connection reconnects behind one's back, which a cache of
//! what a connection has read could not live with.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{select_ok, try_join_all};
use parking_lot::Mutex;
use redis::{Value, cmd};

use super::address::{NodeAddress, ServerAddress};
use super::connection::{Connections, Connector};
use super::error::ClientError;
use super::failure::{Failure, NextStep};
use super::request::Request;
use super::server::{Server, Servers};
use super::slots::{SLOTS, SlotMap, redirected, slot_of};
use crate::backoff;
use crate::clock::monotonic_now;
use crate::crypto::random;
use crate::metrics::Metrics;

/// A map is not asked for again so soon: hundreds of calls may find at once that it is wrong.
const REFRESH_AFTER: Duration = Duration::from_millis(100);
/// Nodes that are asked for the map at the same time; the first to answer counts.
const ASKED_AT_ONCE: usize = 3;
/// Between repetitions: the first wait and the longest.
const WAITS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(160));
/// After so many redirections in a row the nodes do not agree yet: each further one waits.
const QUICK_HOPS: u32 = 2;

/// The nodes of a cluster, as one worker knows them.
pub(crate) struct Cluster {
    seeds: Vec<NodeAddress>,
    pub(super) data: Servers,
    metrics: Arc<Metrics>,
    connections: Connections,
    known: Mutex<ClusterState>,
    /// Held by the one call that asks for the map; the others use its outcome.
    refreshing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct ClusterState {
    map: Option<Arc<SlotMap>>,
    nodes: HashMap<NodeAddress, Arc<Connector>>,
    /// When the map was asked for, and what came of it.
    asked: Option<(Instant, Result<(), ClientError>)>,
}

impl Cluster {
    pub(super) fn new(
        seeds: &[NodeAddress],
        data: &Servers,
        metrics: &Arc<Metrics>,
        connections: Connections,
    ) -> Self {
        Self {
            seeds: seeds.to_vec(),
            data: data.clone(),
            metrics: metrics.clone(),
            connections,
            known: Mutex::default(),
            refreshing: tokio::sync::Mutex::new(()),
        }
    }

    /// Sends a request to the node that has its key; one without a key to a node that is always the
    /// same while it lives.
    pub(super) async fn call(&self, request: &Request<'_>) -> Result<Value, ClientError> {
        let slot = request.key().map(|key| slot_of(&key));
        let started = monotonic_now();
        let mut trouble = ClientError::new("redis cluster: no answer in time");
        let mut tried = None;
        if let Some(node) = self.known_owner(slot.unwrap_or(0)) {
            match self.first(request, slot, &node).await {
                Ok(Some(value)) => return Ok(value),
                Ok(None) => {}
                Err(failure) => tried = Some((node, failure)),
            }
        }
        // Only a call that goes wrong pays for a timer.
        let rest = self.data.timeouts.call().saturating_sub(started.elapsed());
        match tokio::time::timeout(rest, self.persist(request, slot, tried, &mut trouble)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(trouble),
        }
    }

    /// The node that has a key's slot at present.
    pub(super) async fn owner_of(&self, key: &[u8]) -> Result<Server, ClientError> {
        Ok(self.owner(Some(slot_of(key))).await?.server.clone())
    }

    /// Sends a request without a key to every master of the present.
    pub(super) async fn call_all(&self, request: &Request<'_>) -> Result<Vec<Value>, ClientError> {
        let all = async {
            self.refresh(None).await?;
            let masters = self
                .known
                .lock()
                .map
                .as_ref()
                .map(|map| map.masters().to_vec())
                .unwrap_or_default();
            try_join_all(masters.iter().map(|address| async {
                let node = self.node(address);
                node.send(request, false)
                    .await
                    .map_err(|failure| node.error(&failure))
            }))
            .await
        };
        tokio::time::timeout(self.data.timeouts.call(), all)
            .await
            .unwrap_or_else(|_| {
                Err(ClientError::new(
                    "redis cluster: not all masters answered in time",
                ))
            })
    }

    /// Asks the node that the map names; `None`: it answered, but has the slot no more. A master
    /// that was frozen and replaced believes for a moment after its thaw that nothing has happened,
    /// and does not know the sessions made since. Only a connection that nobody has used meanwhile
    /// can still lead there: after a silence others are asked too.
    async fn first(
        &self,
        request: &Request<'_>,
        slot: Option<u16>,
        node: &Connector,
    ) -> Result<Option<Value>, Failure> {
        let Some(slot) = slot.filter(|_| node.silence() > self.data.timeouts.answer) else {
            return node.send(request, false).await.map(Some);
        };
        let others = tokio::time::timeout(
            self.data.timeouts.answer / 2,
            self.refresh(Some(&node.server.address)),
        );
        // If no other node answers, this node's answer counts.
        let (answer, _) = tokio::join!(node.send(request, false), others);
        let value = answer?;
        let is_owner = self
            .known_owner(slot)
            .is_some_and(|owner| owner.server.address == node.server.address);
        Ok(is_owner.then_some(value))
    }

    /// Follows redirections, until there is an answer or an error that every node would return.
    async fn persist(
        &self,
        request: &Request<'_>,
        slot: Option<u16>,
        mut tried: Option<(Arc<Connector>, Failure)>,
        trouble: &mut ClientError,
    ) -> Result<Value, ClientError> {
        for hop in 0_u32.. {
            let (node, asking) = match tried.take() {
                None => (self.owner(slot).await?, false),
                Some((node, failure)) => {
                    *trouble = node.error(&failure);
                    if hop > QUICK_HOPS {
                        pause(hop).await;
                    }
                    self.after(&node, &failure, slot, hop)
                        .await
                        .ok_or_else(|| trouble.clone())?
                }
            };
            match node.send(request, asking).await {
                Ok(value) => return Ok(value),
                Err(failure) => tried = Some((node, failure)),
            }
        }
        Err(trouble.clone())
    }

    /// Where the request goes after this failure, and whether it is to ask there; `None`: nowhere.
    async fn after(
        &self,
        node: &Connector,
        failure: &Failure,
        slot: Option<u16>,
        hop: u32,
    ) -> Option<(Arc<Connector>, bool)> {
        match failure.next() {
            NextStep::Moved(target) => {
                let target = redirected(&target, node.server.address.host())?;
                self.moved(slot, &target);
                // The rest of the map has probably changed too. Whether that succeeds or not, this
                // node is known.
                let _ = self.refresh(None).await;
                self.moved(slot, &target);
                Some((self.node(&target), false))
            }
            NextStep::Ask(target) => Some((
                self.node(&redirected(&target, node.server.address.host())?),
                true,
            )),
            NextStep::Later => {
                pause(hop).await;
                let _ = self.refresh(None).await;
                Some((self.owner(slot).await.ok()?, false))
            }
            NextStep::Elsewhere => {
                let _ = self.refresh(None).await;
                let owner = self.owner(slot).await.ok()?;
                // Still the same: its replica has not taken over yet, and waiting for that is the
                // client's business.
                (owner.server.address != node.server.address).then_some((owner, false))
            }
            NextStep::Nowhere => None,
        }
    }

    async fn owner(&self, slot: Option<u16>) -> Result<Arc<Connector>, ClientError> {
        // Who has no key may go to any node; not always to the one that has just failed.
        let slot = slot.unwrap_or_else(|| u16::from_be_bytes(random::bytes()) % SLOTS);
        if let Some(node) = self.known_owner(slot) {
            return Ok(node);
        }
        self.refresh(None).await?;
        self.known_owner(slot)
            .ok_or_else(|| ClientError::new(format!("redis cluster: no node has slot {slot}")))
    }

    fn known_owner(&self, slot: u16) -> Option<Arc<Connector>> {
        let mut known = self.known.lock();
        let address = known.map.as_ref()?.owner(slot)?.clone();
        Some(self.connector(&mut known, &address))
    }

    fn node(&self, address: &NodeAddress) -> Arc<Connector> {
        self.connector(&mut self.known.lock(), address)
    }

    fn connector(&self, known: &mut ClusterState, address: &NodeAddress) -> Arc<Connector> {
        if let Some(node) = known.nodes.get(address) {
            return node.clone();
        }
        let node = Arc::new(Connector::new(
            self.data.at(address),
            self.metrics.clone(),
            self.connections.clone(),
        ));
        known.nodes.insert(address.clone(), node.clone());
        node
    }

    fn moved(&self, slot: Option<u16>, to: &NodeAddress) {
        if let (Some(map), Some(slot)) = (&mut self.known.lock().map, slot) {
            Arc::make_mut(map).moved(slot, to);
        }
    }

    /// Asks for the map, unless another call has just done so; all but one node, if that one may be
    /// wrong.
    async fn refresh(&self, but: Option<&ServerAddress>) -> Result<(), ClientError> {
        let _alone = self.refreshing.lock().await;
        if let Some((at, outcome)) = &self.known.lock().asked
            && at.elapsed() < REFRESH_AFTER
        {
            return outcome.clone();
        }
        let answer = self.ask_around(but).await;
        self.metrics.store.refresh(answer.is_ok());
        let mut known = self.known.lock();
        let outcome = answer.map(|map| {
            known
                .nodes
                .retain(|address, _| map.masters().contains(address));
            self.connections
                .keep(&[map.masters(), &self.seeds[..]].concat());
            known.map = Some(Arc::new(map));
        });
        known.asked = Some((monotonic_now(), outcome.clone()));
        outcome
    }

    async fn ask_around(&self, but: Option<&ServerAddress>) -> Result<SlotMap, ClientError> {
        let mut last = ClientError::new("redis cluster: no other node is known");
        for group in self.candidates(but).chunks(ASKED_AT_ONCE) {
            match select_ok(group.iter().map(|node| Box::pin(self.ask(node)))).await {
                Ok((map, _)) => return Ok(map),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Whom to ask: first those who are connected, the masters before the seeds, in no order that
    /// would repeat a failure.
    fn candidates(&self, but: Option<&ServerAddress>) -> Vec<Arc<Connector>> {
        let mut known = self.known.lock();
        let mut addresses: Vec<NodeAddress> = known
            .map
            .as_ref()
            .map(|map| map.masters().to_vec())
            .unwrap_or_default();
        for seed in &self.seeds {
            if !addresses.contains(seed) {
                addresses.push(seed.clone());
            }
        }
        let mut nodes: Vec<_> = addresses
            .iter()
            .filter(|address| but.is_none_or(|but| *but != **address))
            .map(|address| self.connector(&mut known, address))
            .collect();
        nodes
            .sort_by_cached_key(|node| (!node.is_connected(), u16::from_be_bytes(random::bytes())));
        nodes
    }

    async fn ask(&self, node: &Connector) -> Result<SlotMap, ClientError> {
        let mut command = cmd("CLUSTER");
        command.arg("SLOTS");
        let request = Request::Command(&command);
        let slots = async {
            let answer = node.send(&request, false).await;
            let answer = answer.map_err(|failure| node.error(&failure))?;
            SlotMap::read(answer, node.server.address.host()).ok_or_else(|| {
                node.server
                    .trouble("it belongs to no cluster, or to one without slots")
            })
        };
        node.server.within(self.data.timeouts.answer, slots).await
    }
}

async fn pause(hop: u32) {
    tokio::time::sleep(backoff::jittered(WAITS.0, WAITS.1, hop + 1)).await;
}
