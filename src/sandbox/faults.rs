//! What is to go wrong next, and how often each API was called.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use actix_web::http::StatusCode;

/// One kind of trouble for the next calls of an API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// How many calls it still meets.
    pub(super) times: u32,
    /// The answer instead of the real one.
    pub(super) answer: Option<(StatusCode, String)>,
    /// How long the call waits first.
    pub(super) delay: Duration,
    /// The connection is cut instead of an answer.
    pub(super) reset: bool,
}

/// The troubles in the order in which they were ordered.
#[derive(Default)]
pub(super) struct Faults {
    queues: HashMap<&'static str, VecDeque<Fault>>,
    calls: BTreeMap<&'static str, u64>,
}

impl Faults {
    /// Orders trouble.
    pub(super) fn order(&mut self, api: &'static str, fault: Fault) {
        self.queues.entry(api).or_default().push_back(fault);
    }

    /// Counts a call and tells what is to happen to it.
    pub(super) fn called(&mut self, api: &'static str) -> Option<Fault> {
        *self.calls.entry(api).or_default() += 1;
        let queue = self.queues.get_mut(api)?;
        let first = queue.front_mut()?;
        first.times -= 1;
        if first.times == 0 {
            queue.pop_front()
        } else {
            Some(first.clone())
        }
    }

    /// The calls of an API so far.
    pub(super) fn calls(&self, api: &str) -> u64 {
        self.calls.get(api).copied().unwrap_or_default()
    }
}
