//! A master with replicas, watched by Redis Sentinel: the sentinels know who the master is, the
//! server itself confirms it, and a subscription reports at once when another one takes over.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use redis::{FromRedisValue, Value, cmd, from_redis_value};

use super::address::{NodeAddress, ServerAddress};
use super::connection::{Connections, Connector};
use super::error::ClientError;
use super::failure::{Failure, NextStep};
use super::request::Request;
use super::sentinel_ask::master_of;
use super::sentinel_watch::{self, Listener};
use super::server::{Server, Servers};
use crate::clock::monotonic_now;
use crate::metrics::Metrics;

/// After a search in vain, calls fail at once for this long instead of all searching in a row.
const SEARCH_AFTER: Duration = Duration::from_millis(150);

/// The master, as one worker knows it.
pub(crate) struct Sentinels {
    master: Arc<str>,
    sentinels: Arc<[Server]>,
    pub(super) data: Servers,
    metrics: Arc<Metrics>,
    connections: Connections,
    known: Arc<Mutex<MasterState>>,
    listener: Mutex<Listener>,
    /// Held by the one call that searches; the others use its outcome.
    searching: tokio::sync::Mutex<()>,
}

/// What is known of the master. It is forgotten when the sentinels announce another.
#[derive(Default)]
struct MasterState {
    master: Option<Arc<Connector>>,
    failed: Option<(Instant, ClientError)>,
    /// The sentinel to ask first: the one that knew the master last.
    next_asked: usize,
}

impl Sentinels {
    pub(super) fn new(
        master: &str,
        sentinels: &[Server],
        data: &Servers,
        metrics: &Arc<Metrics>,
        connections: Connections,
    ) -> Self {
        Self {
            master: master.into(),
            sentinels: sentinels.into(),
            data: data.clone(),
            metrics: metrics.clone(),
            connections,
            known: Arc::default(),
            listener: Mutex::default(),
            searching: tokio::sync::Mutex::new(()),
        }
    }

    /// Sends a request to the master.
    pub(super) async fn call(&self, request: &Request<'_>) -> Result<Value, ClientError> {
        self.listen();
        let started = monotonic_now();
        let mut trouble = ClientError::new(format!(
            "redis sentinel: no master {:?} in time",
            self.master
        ));
        let master = self.known.lock().master.clone();
        if let Some(master) = &master {
            match master.send(request, false).await {
                Ok(value) => return Ok(value),
                Err(failure) => {
                    trouble = master.error(&failure);
                    if !self.leave(master, &failure) {
                        return Err(trouble);
                    }
                }
            }
        }
        // Only a call that goes wrong pays for a timer.
        let rest = self.data.timeouts.call().saturating_sub(started.elapsed());
        tokio::time::timeout(rest, self.elsewhere(request))
            .await
            .unwrap_or(Err(trouble))
    }

    /// The master at present.
    pub(super) async fn master(&self) -> Result<Server, ClientError> {
        self.listen();
        let known = self.known.lock().master.clone();
        let master = match known {
            Some(master) => master,
            None => self.search().await?,
        };
        Ok(master.server.clone())
    }

    /// Looks for the master and sends the request there.
    async fn elsewhere(&self, request: &Request<'_>) -> Result<Value, ClientError> {
        let master = self.search().await?;
        master.send(request, false).await.map_err(|failure| {
            self.leave(&master, &failure);
            master.error(&failure)
        })
    }

    /// Forgets a master that fails as one that was replaced does. Whether it was such a failure.
    fn leave(&self, master: &Arc<Connector>, failure: &Failure) -> bool {
        if failure.next() != NextStep::Elsewhere {
            return false;
        }
        let mut known = self.known.lock();
        if known
            .master
            .as_ref()
            .is_some_and(|known| Arc::ptr_eq(known, master))
        {
            known.master = None;
        }
        true
    }

    /// Asks for the master, unless another call has just done so.
    async fn search(&self) -> Result<Arc<Connector>, ClientError> {
        let _alone = self.searching.lock().await;
        {
            let known = self.known.lock();
            if let Some(master) = &known.master {
                return Ok(master.clone());
            }
            if let Some((at, error)) = &known.failed
                && at.elapsed() < SEARCH_AFTER
            {
                return Err(error.clone());
            }
        }
        let found = self.ask_in_turn().await;
        self.metrics.store.refresh(found.is_ok());
        let mut known = self.known.lock();
        match found {
            Ok((next_asked, master)) => {
                if known.failed.take().is_some() {
                    log::info!(
                        "redis {}: now the master {:?}",
                        master.server.address,
                        self.master
                    );
                }
                *known = MasterState {
                    master: Some(master.clone()),
                    failed: None,
                    next_asked,
                };
                drop(known);
                if let ServerAddress::Node(address) = &master.server.address {
                    self.connections.keep(std::slice::from_ref(address));
                }
                Ok(master)
            }
            Err(error) => {
                known.failed = Some((monotonic_now(), error.clone()));
                Err(error)
            }
        }
    }

    async fn ask_in_turn(&self) -> Result<(usize, Arc<Connector>), ClientError> {
        let (first, count) = (self.known.lock().next_asked, self.sentinels.len());
        let mut last = ClientError::new("redis sentinel: none is configured");
        for index in (0..count).map(|step| (first + step) % count) {
            // A call that runs out of time here leaves the next one to begin with another sentinel.
            self.known.lock().next_asked = (index + 1) % count;
            let sentinel = &self.sentinels[index];
            let ask = master_of(sentinel, &self.master);
            match sentinel.within(self.data.timeouts.answer, ask).await {
                Ok(address) => match self.confirmed(&address).await {
                    Ok(master) => return Ok((index, master)),
                    Err(error) => last = error,
                },
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// A connection to the server, if it says itself that it is a master: a sentinel may not have
    /// heard yet.
    async fn confirmed(&self, address: &NodeAddress) -> Result<Arc<Connector>, ClientError> {
        let node = Connector::new(
            self.data.at(address),
            self.metrics.clone(),
            self.connections.clone(),
        );
        let role = node
            .send(&Request::Command(&cmd("ROLE")), false)
            .await
            .map_err(|failure| node.error(&failure))?;
        let role = Vec::<Value>::from_redis_value(role)
            .ok()
            .and_then(|parts| from_redis_value::<String>(parts.into_iter().next()?).ok());
        match role.as_deref() {
            Some("master") => Ok(Arc::new(node)),
            _ => Err(node.server.trouble(
                "the sentinels name it as the master, but it is a replica: the failover is under way",
            )),
        }
    }

    /// Keeps a task that listens for announcements.
    fn listen(&self) {
        let mut listener = self.listener.lock();
        listener.keep(|| {
            let known = self.known.clone();
            self.connections.spawn(sentinel_watch::listen(
                self.sentinels.clone(),
                self.master.clone(),
                move |announced| forget(&known, announced),
            ))
        });
    }
}

/// Forgets the master, unless it is the one that the sentinels name; `None`: they name another.
fn forget(known: &Mutex<MasterState>, named: Option<&NodeAddress>) {
    let mut known = known.lock();
    if let Some(master) = &known.master
        && named.is_none_or(|named| master.server.address != *named)
    {
        log::info!(
            "redis {}: the sentinels report another master",
            master.server.address
        );
        known.master = None;
    }
}
