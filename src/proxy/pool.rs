//! The idle connections of one worker.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::clock::monotonic_now;
use crate::proxy::connection::Connection;
use crate::upstream::Endpoint;

/// Idle connections that are kept per endpoint and worker.
const MAX_IDLE: usize = 64;
/// How long one is kept: below the 75 s after which nginx, and far below the minutes after which load balancers, close theirs. What an
/// upstream closes earlier is noticed when the connection is taken out.
const MAX_IDLE_AGE: Duration = Duration::from_secs(50);
/// A request that must not be sent twice only takes a connection that was in use this recently, so that it hardly ever meets one
/// that the upstream is just closing.
const FRESH_ENOUGH: Duration = Duration::from_secs(1);
/// Connections that wait for another request, by endpoint.
#[derive(Default)]
pub struct Pool {
    idle: RefCell<HashMap<Endpoint, Vec<Idle>>>,
}

struct Idle {
    connection: Connection,
    since: Instant,
}

impl Pool {
    /// Gives a connection back after a complete exchange.
    pub fn give_back(&self, endpoint: &Endpoint, connection: Connection) {
        let mut idle = self.idle.borrow_mut();
        if !idle.contains_key(endpoint) {
            idle.insert(endpoint.clone(), Vec::new());
        }
        if let Some(kept) = idle.get_mut(endpoint) {
            if kept.len() >= MAX_IDLE {
                kept.remove(0);
            }
            kept.push(Idle { connection, since: monotonic_now() });
        }
    }

    /// The connection that was used last and is still alive. For a request that must not be sent twice, only one that was in use a moment ago.
    #[must_use]
    pub fn take(&self, endpoint: &Endpoint, may_repeat: bool) -> Option<Connection> {
        let now = monotonic_now();
        let mut idle = self.idle.borrow_mut();
        let kept = idle.get_mut(endpoint)?;
        while let Some(Idle { connection, since }) = kept.pop() {
            let age = now.duration_since(since);
            if age > MAX_IDLE_AGE {
                kept.clear();
                return None;
            }
            if connection.is_quiet() && (may_repeat || age <= FRESH_ENOUGH) {
                return Some(connection);
            }
        }
        None
    }
}
