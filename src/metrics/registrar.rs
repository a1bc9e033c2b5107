//! Registers metrics under the names of docs/metrics.md.

use std::fmt;
use std::hash::Hash;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::registry::{Metric, Registry};

use super::{Family, Histogram};

/// Upper bounds in seconds: from a cached lookup to the longest that `wx.request` waits.
const SECONDS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0,
];

/// Durations, by label.
pub(super) type Times<L> = Family<L, Histogram>;

pub(super) struct Registrar {
    registry: Registry,
    names: Vec<&'static str>,
}

impl Registrar {
    pub(super) fn new() -> Self {
        Self {
            registry: Registry::with_prefix("hufu"),
            names: Vec::new(),
        }
    }

    /// Under the name that Prometheus shows; the text format adds its suffixes itself.
    pub(super) fn register(&mut self, name: &'static str, help: &str, metric: impl Metric) {
        self.names.push(name);
        self.registry.register(
            name.trim_end_matches("_total").trim_end_matches("_info"),
            help,
            metric,
        );
    }

    pub(super) fn metric<M: Metric + Clone + Default>(
        &mut self,
        name: &'static str,
        help: &str,
    ) -> M {
        let metric = M::default();
        self.register(name, help, metric.clone());
        metric
    }

    pub(super) fn times<L>(&mut self, name: &'static str, help: &str) -> Times<L>
    where
        L: Clone + Hash + Eq + EncodeLabelSet + fmt::Debug + Send + Sync + 'static,
    {
        let times = Times::new_with_constructor(|| Histogram::new(SECONDS));
        self.register(name, help, times.clone());
        times
    }

    /// As Prometheus shows them.
    pub(super) fn names(&self) -> Vec<String> {
        let names = self.names.iter();
        names.map(|name| format!("hufu_{name}")).collect()
    }

    /// The page in the format OpenMetrics.
    pub(super) fn page(&self) -> Result<String, fmt::Error> {
        let mut page = String::with_capacity(16 * 1024);
        text::encode(&mut page, &self.registry)?;
        Ok(page)
    }
}
