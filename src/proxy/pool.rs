//! The idle connections of one worker to one address.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::proxy::connection::Connection;
use crate::upstream::IdleSettings;

/// A request that must not be sent twice only takes a connection that was in use this recently, so that it hardly ever meets one
/// that the upstream is just closing.
const FRESH_ENOUGH: Duration = Duration::from_secs(1);

/// Connections that wait for another request, the one that has rested longest first.
pub struct Pool {
    settings: IdleSettings,
    idle: RefCell<VecDeque<Idle>>,
}

struct Idle {
    connection: Box<Connection>,
    since: Instant,
}

impl Pool {
    /// Without any connection.
    #[must_use]
    pub const fn new(settings: IdleSettings) -> Self {
        Self { settings, idle: RefCell::new(VecDeque::new()) }
    }

    /// Gives a connection back after a complete exchange.
    pub fn give_back(&self, connection: Box<Connection>) {
        let mut idle = self.idle.borrow_mut();
        let since = connection.patience.last_used();
        // The newest are used first, so those that nobody needs any more come to the front.
        let too_old = |oldest: &Idle| since.saturating_duration_since(oldest.since) > self.settings.timeout;
        while idle.front().is_some_and(|oldest| idle.len() >= self.settings.connections || too_old(oldest)) {
            idle.pop_front();
        }
        if self.settings.connections > 0 {
            idle.push_back(Idle { connection, since });
        }
    }

    /// The connection that was used last and is still alive. For a request that must not be sent twice, only one that was in use a moment ago
    /// and of which the system says that it is open.
    #[must_use]
    pub fn take(&self, now: Instant, may_repeat: bool) -> Option<Box<Connection>> {
        let mut idle = self.idle.borrow_mut();
        while let Some(Idle { mut connection, since }) = idle.pop_back() {
            let age = now.saturating_duration_since(since);
            if age <= self.settings.timeout && connection.is_quiet() && (may_repeat || (age <= FRESH_ENOUGH && connection.is_open())) {
                return Some(connection);
            }
        }
        None
    }
}
