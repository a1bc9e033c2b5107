//! Sessions, users, and the identity that is signed for upstreams.

use super::labels::{AppOperation, Outcome};
use super::registrar::Registrar;
use super::{Counter, Family, Gauge};

pub struct SessionMetrics {
    pub lookups: Family<Outcome, Counter>,
    pub rotations: Family<Outcome, Counter>,
    pub user_changes: Family<AppOperation, Counter>,
    pub assertions_signed: Counter,
    pub assertion_cache_bytes: Gauge,
}

impl SessionMetrics {
    pub(super) fn new(registrar: &mut Registrar) -> Self {
        Self {
            lookups: registrar.metric("session_lookups_total", "Session lookups by outcome"),
            rotations: registrar
                .metric("session_rotations_total", "Rotations of tokens by outcome"),
            user_changes: registrar.metric(
                "user_changes_total",
                "Changes of users by operators, by app, operation and outcome",
            ),
            assertions_signed: registrar
                .metric("assertions_signed_total", "Assertions that were signed"),
            assertion_cache_bytes: registrar.metric(
                "assertion_cache_bytes",
                "What the assertions that are kept take, in bytes",
            ),
        }
    }
}
