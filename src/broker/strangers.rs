//! How often the platform is asked about apps that nobody here has heard of. Whoever may call for
//! all of a component's authorizers can make names up, and the platform's quota of such questions
//! is one for all.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// So many questions within [`SPAN`] may be open, or have brought a refusal.
const MOST: usize = 20;
const SPAN: Duration = Duration::from_secs(60);

/// When the questions that count were asked, by the component's id.
#[derive(Default)]
pub(super) struct Strangers(Mutex<HashMap<Arc<str>, VecDeque<Instant>>>);

impl Strangers {
    /// Notes a question; or says how long nothing may be asked.
    pub(super) fn ask(&self, component: &Arc<str>, now: Instant) -> Result<(), Duration> {
        let mut all = self.0.lock();
        let asked = all.entry(component.clone()).or_default();
        asked.retain(|at| now.saturating_duration_since(*at) < SPAN);
        match asked.front() {
            Some(first) if asked.len() >= MOST => {
                Err(SPAN.saturating_sub(now.saturating_duration_since(*first)))
            }
            _ => {
                asked.push_back(now);
                Ok(())
            }
        }
    }

    /// The question asked then does not count: the platform knows the app, or has not answered.
    pub(super) fn give_back(&self, component: &str, asked_at: Instant) {
        if let Some(asked) = self.0.lock().get_mut(component)
            && let Some(at) = asked.iter().position(|at| *at == asked_at)
        {
            asked.remove(at);
        }
    }
}
