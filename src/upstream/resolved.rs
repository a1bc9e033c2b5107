//! The addresses behind an upstream's endpoints. A set never changes; another takes its place when
//! a host name leads elsewhere.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};

use crate::upstream::balance::{self, Candidate};
use crate::upstream::breaker::Ticket;
use crate::upstream::endpoint::Endpoint;

/// Why an address is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// Health checks found it unhealthy.
    Unhealthy = 1,
    /// Requests to it failed.
    Ejected = 2,
    /// The same, but too many others are ejected already: it is used, but counts as unhealthy.
    Suspected = 4,
}

/// Where to connect to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Address {
    /// An address and a port.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(Arc<Path>),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// One address of an upstream, and what all workers know of it. It lives as long as a set has it or
/// a request is under way to it.
#[derive(Debug)]
pub struct ResolvedEndpoint {
    /// Tells it from all others that this upstream ever had.
    pub id: u64,
    /// The endpoint of the configuration that it belongs to.
    pub endpoint: usize,
    /// Where to connect to.
    pub address: Address,
    /// The same for logs and metrics.
    pub name: Arc<str>,
    weight: u32,
    place: u64,
    load: AtomicUsize,
    marks: AtomicU8,
    /// Whether a request has failed since the last that was answered: then the next that is
    /// answered tells the ejection so.
    pub(super) troubled: AtomicBool,
    ticket: AtomicU64,
}

impl ResolvedEndpoint {
    fn new(id: u64, endpoint: usize, weight: u32, address: Address) -> Arc<Self> {
        let name: Arc<str> = address.to_string().into();
        Arc::new(Self {
            id,
            endpoint,
            address,
            place: balance::stable_hash(&[name.as_bytes()]),
            name,
            weight,
            load: AtomicUsize::default(),
            marks: AtomicU8::default(),
            troubled: AtomicBool::default(),
            ticket: AtomicU64::default(),
        })
    }

    /// The same address at another place, with what is known of it.
    fn moved(&self, endpoint: usize, weight: u32, is_checked: bool) -> Arc<Self> {
        let moved = Self {
            id: self.id,
            endpoint,
            address: self.address.clone(),
            name: self.name.clone(),
            weight,
            place: self.place,
            load: AtomicUsize::default(),
            marks: self.marks.load(Ordering::Relaxed).into(),
            troubled: self.troubled.load(Ordering::Relaxed).into(),
            ticket: self.ticket.load(Ordering::Relaxed).into(),
        };
        if !is_checked {
            moved.mark(Mark::Unhealthy, false);
        }
        Arc::new(moved)
    }

    /// Whether health checks found it unhealthy.
    pub fn is_unhealthy(&self) -> bool {
        self.has(Mark::Unhealthy)
    }

    /// Whether nothing is known against it.
    pub fn is_healthy(&self) -> bool {
        self.marks.load(Ordering::Relaxed) == 0
    }

    pub(super) fn has(&self, mark: Mark) -> bool {
        self.marks.load(Ordering::Relaxed) & mark as u8 != 0
    }

    /// Sets or removes a mark; tells whether that changed anything.
    pub(super) fn mark(&self, mark: Mark, on: bool) -> bool {
        let before = if on {
            self.marks.fetch_or(mark as u8, Ordering::Relaxed)
        } else {
            self.marks.fetch_and(!(mark as u8), Ordering::Relaxed)
        };
        (before & mark as u8 != 0) != on
    }

    pub(super) fn candidate(&self) -> Candidate {
        Candidate {
            weight: self.weight,
            load: self.load.load(Ordering::Relaxed),
            place: self.place,
        }
    }

    pub(super) fn ticket(&self) -> Ticket {
        Ticket(self.ticket.load(Ordering::Relaxed))
    }

    pub(super) fn set_ticket(&self, ticket: Ticket) {
        self.ticket.store(ticket.0, Ordering::Relaxed);
    }
}

/// A request that is under way to a target, until this is dropped.
#[derive(Debug)]
pub struct UnderWay(Arc<ResolvedEndpoint>);

impl UnderWay {
    /// Counts one more.
    pub fn to(target: &Arc<ResolvedEndpoint>) -> Self {
        target.load.fetch_add(1, Ordering::Relaxed);
        Self(target.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.load.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The addresses of an upstream at one time.
#[derive(Debug, Default)]
pub struct EndpointSet {
    /// In the order of their endpoints.
    pub targets: Vec<Arc<ResolvedEndpoint>>,
    pub(super) turns: Vec<u16>,
    next_id: u64,
}

impl EndpointSet {
    /// Those endpoints that are addresses; names are still to be looked up.
    pub fn literal(endpoints: &[Endpoint]) -> Self {
        let found: Vec<_> = endpoints
            .iter()
            .map(|endpoint| literal(endpoint).map(|address| vec![address]))
            .collect();
        Self::default()
            .refreshed(endpoints, &found)
            .unwrap_or_default()
    }

    /// The set of an upstream whose settings have changed, with what is known of the addresses that
    /// stay: those of the same endpoints. Requests under way to them are counted anew; whether they
    /// are unhealthy counts only where somebody goes on asking (`is_checked`).
    pub fn succeeding(&self, before: &[Endpoint], now: &[Endpoint], is_checked: bool) -> Self {
        let mut next = Self {
            next_id: self.next_id,
            ..Self::default()
        };
        for (index, endpoint) in now.iter().enumerate() {
            let known = before
                .iter()
                .position(|old| old.is_same_place(endpoint) && old.tls == endpoint.tls);
            let stay: Vec<_> = self
                .targets
                .iter()
                .filter(|target| Some(target.endpoint) == known)
                .collect();
            if stay.is_empty()
                && let Some(address) = literal(endpoint)
            {
                next.push(index, endpoint, address);
            }
            next.targets.extend(
                stay.into_iter()
                    .map(|target| target.moved(index, endpoint.weight, is_checked)),
            );
        }
        next.with_turns()
    }

    /// The set after a look-up, with what is known of the addresses that stay; `None`: nothing has
    /// changed. `found` has the addresses of each endpoint; where there are none, because the name
    /// could not be looked up, those of before stay.
    pub fn refreshed(
        &self,
        endpoints: &[Endpoint],
        found: &[Option<Vec<Address>>],
    ) -> Option<Self> {
        let mut next = Self {
            next_id: self.next_id,
            ..Self::default()
        };
        for (index, (endpoint, found)) in endpoints.iter().zip(found).enumerate() {
            let known = self
                .targets
                .iter()
                .filter(|target| target.endpoint == index);
            let Some(addresses) = found.as_ref().filter(|addresses| !addresses.is_empty()) else {
                next.targets.extend(known.cloned());
                continue;
            };
            let mut addresses = addresses.clone();
            addresses.sort_unstable();
            addresses.dedup();
            for address in addresses {
                match known.clone().find(|target| target.address == address) {
                    Some(stays) => next.targets.push(stays.clone()),
                    None => next.push(index, endpoint, address),
                }
            }
        }
        let same = next.targets.len() == self.targets.len()
            && next
                .targets
                .iter()
                .zip(&self.targets)
                .all(|(a, b)| a.id == b.id);
        (!same).then(|| next.with_turns())
    }

    fn with_turns(mut self) -> Self {
        let weights: Vec<u32> = self.targets.iter().map(|target| target.weight).collect();
        self.turns = balance::turns(&weights);
        self
    }

    /// The next address of an endpoint, with a number of its own.
    fn push(&mut self, index: usize, endpoint: &Endpoint, address: Address) {
        self.next_id += 1;
        self.targets.push(ResolvedEndpoint::new(
            self.next_id,
            index,
            endpoint.weight,
            address,
        ));
    }
}

/// The address of an endpoint that is no name.
pub fn literal(endpoint: &Endpoint) -> Option<Address> {
    if let Some(path) = &endpoint.socket {
        return Some(Address::Unix(path.clone()));
    }
    endpoint
        .host
        .parse::<IpAddr>()
        .ok()
        .map(|ip| Address::Tcp(SocketAddr::new(ip, endpoint.port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints() -> Vec<Endpoint> {
        ["http://10.0.0.1:80", "http://orders.internal:81"]
            .map(|url| Endpoint::parse(url).unwrap())
            .into()
    }

    fn addresses(set: &EndpointSet) -> Vec<String> {
        set.targets
            .iter()
            .map(|target| target.name.to_string())
            .collect()
    }

    /// The set after a look-up of the name.
    fn looked_up(set: &EndpointSet, names: &[&str]) -> Option<EndpointSet> {
        let found = names
            .iter()
            .map(|name| Address::Tcp(name.parse().unwrap()))
            .collect();
        set.refreshed(&endpoints(), &[None, Some(found)])
    }

    #[test]
    fn names_become_all_their_addresses_and_what_is_known_of_them_stays() {
        let first = EndpointSet::literal(&endpoints());
        assert_eq!(addresses(&first), ["10.0.0.1:80"]);
        let second = looked_up(
            &first,
            &["10.0.1.2:81", "10.0.1.1:81", "10.0.1.2:81", "[fd00::1]:81"],
        )
        .unwrap();
        assert_eq!(
            addresses(&second),
            ["10.0.0.1:80", "10.0.1.1:81", "10.0.1.2:81", "[fd00::1]:81"]
        );
        assert!(
            looked_up(&second, &["[fd00::1]:81", "10.0.1.1:81", "10.0.1.2:81"]).is_none(),
            "the order means nothing"
        );
        second.targets[1].mark(Mark::Unhealthy, true);
        let third = looked_up(&second, &["10.0.1.1:81", "10.0.1.3:81"]).unwrap();
        assert_eq!(
            addresses(&third),
            ["10.0.0.1:80", "10.0.1.1:81", "10.0.1.3:81"]
        );
        assert!(
            Arc::ptr_eq(&third.targets[1], &second.targets[1]) && !third.targets[1].is_healthy()
        );
        assert!(
            second
                .targets
                .iter()
                .all(|old| old.id != third.targets[2].id),
            "a number is never used again"
        );
    }

    #[test]
    fn a_resolver_that_fails_changes_nothing() {
        let set = looked_up(&EndpointSet::literal(&endpoints()), &["10.0.1.1:81"]).unwrap();
        assert!(set.refreshed(&endpoints(), &[None, None]).is_none());
        assert!(looked_up(&set, &[]).is_none());
    }
}
