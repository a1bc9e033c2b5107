//! The idle connections of one worker, to one address and to all addresses of an upstream.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::upstream::{EndpointSet, IdleSettings, ResolvedEndpoint};
use crate::upstream_client::connection::{Connection, Unsolicited};

/// A request that must not be sent twice only takes a connection that was in use this recently, so
/// that it hardly ever meets one that the upstream is just closing.
const FRESH_ENOUGH: Duration = Duration::from_secs(1);
/// How long a connection rests behind an answer without a body before a request takes it that must
/// not be sent twice: what an untidy upstream does there, it does at once.
const REST: Duration = Duration::from_millis(20);
/// The same before any request, where the upstream is known to be untidy: long enough on a busy
/// machine too.
const LONG_REST: Duration = Duration::from_millis(100);

/// Connections that wait for another request, the one that has rested longest first.
pub struct Pool {
    settings: IdleSettings,
    idle: RefCell<VecDeque<Idle>>,
    /// Whether the upstream was ever seen to send bytes behind the end of an answer, or to close
    /// there without having said so: most Python servers do the one or the other where an
    /// application returns a body with a 204.
    untidy: Cell<bool>,
}

struct Idle {
    connection: Box<Connection>,
    since: Instant,
    /// Its last answer had no body, by its method or its status.
    bodiless: bool,
}

impl Pool {
    /// Without any connection.
    pub const fn new(settings: IdleSettings) -> Self {
        Self {
            settings,
            idle: RefCell::new(VecDeque::new()),
            untidy: Cell::new(false),
        }
    }

    /// The upstream does something behind the end of an answer.
    pub fn note_untidy(&self) {
        self.untidy.set(true);
    }

    /// Gives a connection back after a complete exchange; `bodiless`: its answer had no body, by
    /// its method or its status.
    pub fn give_back(&self, mut connection: Box<Connection>, bodiless: bool) {
        let mut idle = self.idle.borrow_mut();
        let since = connection.idle_timer.last_used();
        // The newest are used first, so those that nobody needs any more come to the front.
        let too_old =
            |oldest: &Idle| since.saturating_duration_since(oldest.since) > self.settings.timeout;
        while idle
            .front()
            .is_some_and(|oldest| idle.len() >= self.settings.connections || too_old(oldest))
        {
            idle.pop_front();
        }
        if self.settings.connections > 0 {
            connection.served = true;
            idle.push_back(Idle {
                connection,
                since,
                bodiless,
            });
        }
    }

    /// The connection that was used last and is still alive, and whether its last answer had no
    /// body by its method or its status. For a request that must not be sent twice, only one that
    /// was in use a moment ago and of which the system says that it is open. The system is also
    /// asked where a body may have come that is none: it would be read as the next answer.
    #[must_use]
    pub fn take(&self, now: Instant, may_repeat: bool) -> Option<(Box<Connection>, bool)> {
        let mut idle = self.idle.borrow_mut();
        let mut place = idle.len();
        while place > 0 {
            place -= 1;
            let age = now.saturating_duration_since(idle[place].since);
            let bodiless = idle[place].bodiless;
            if bodiless && self.rests(age, may_repeat) {
                continue;
            }
            let Some(Idle { mut connection, .. }) = idle.remove(place) else {
                break;
            };
            let mut unsolicited = connection.unsolicited();
            if unsolicited == Unsolicited::Nothing && (bodiless || !may_repeat) {
                unsolicited = connection.unsolicited_in_system();
            }
            match unsolicited {
                Unsolicited::Nothing
                    if age <= self.settings.timeout && (may_repeat || age <= FRESH_ENOUGH) =>
                {
                    return Some((connection, bodiless));
                }
                Unsolicited::End if bodiless && age <= FRESH_ENOUGH => self.note_untidy(),
                Unsolicited::Bytes => self.note_untidy(),
                Unsolicited::Nothing | Unsolicited::End => {}
            }
        }
        None
    }

    /// Whether a connection is not to be used yet whose last answer, this long ago, had no body.
    fn rests(&self, age: Duration, may_repeat: bool) -> bool {
        match (self.untidy.get(), may_repeat) {
            (false, true) => false,
            (false, false) => age < REST,
            (true, true) => age < LONG_REST,
            (true, false) => true,
        }
    }
}

/// The addresses of an upstream as a worker sees them, with its idle connections to each.
pub struct PoolView {
    pub set: Arc<EndpointSet>,
    /// In the order of the set's addresses.
    pub pools: Vec<Rc<Pool>>,
}

impl PoolView {
    /// Idle connections to addresses that stay are kept.
    pub fn new(set: Arc<EndpointSet>, idle: IdleSettings, before: Option<&Self>) -> Self {
        let pools = set
            .targets
            .iter()
            .map(|target| {
                before
                    .and_then(|before| before.pool(target))
                    .unwrap_or_else(|| Rc::new(Pool::new(idle)))
            })
            .collect();
        Self { set, pools }
    }

    fn pool(&self, target: &ResolvedEndpoint) -> Option<Rc<Pool>> {
        let mut all = self.set.targets.iter().zip(&self.pools);
        all.find(|(own, _)| own.id == target.id && own.address == target.address)
            .map(|(_, pool)| pool.clone())
    }
}
