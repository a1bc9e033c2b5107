//! The gateway process: its version, its configuration, and what it could not write.

use prometheus_client::metrics::info::Info;

use super::labels::Outcome;
use super::registrar::Registrar;
use super::{Counter, Family, Gauge, gauged};

pub struct ProcessMetrics {
    reloads: Family<Outcome, Counter>,
    configuration_read: Gauge,
    pub spans: Family<Outcome, Counter>,
    pub access_lines_dropped: Counter,
}

impl ProcessMetrics {
    pub(super) fn new(registrar: &mut Registrar) -> Self {
        registrar.register(
            "build_info",
            "The version of this gateway",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        Self {
            reloads: registrar.metric(
                "reloads_total",
                "Readings of the configuration after the first, by outcome",
            ),
            configuration_read: registrar.metric(
                "configuration_read_timestamp_seconds",
                "When the configuration in force was read",
            ),
            spans: registrar.metric(
                "spans_total",
                "Spans for the OpenTelemetry collector, by outcome",
            ),
            access_lines_dropped: registrar.metric(
                "access_lines_dropped_total",
                "Access lines lost because the output did not keep up",
            ),
        }
    }

    /// Counts a reading of the configuration after the first.
    pub fn reload(&self, outcome: &'static str) {
        self.reloads.get_or_create(&Outcome { outcome }).inc();
    }

    /// Shows when the configuration in force was read.
    pub fn configuration_read(&self, unix_seconds: u64) {
        self.configuration_read.set(gauged(unix_seconds));
    }
}
