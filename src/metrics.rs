//! What is counted, by subject: a struct each with a field for each metric, registered under the
//! names of docs/metrics.md. The page that Prometheus reads is made from it by `admin`.

mod exposition;
mod labels;
mod listener;
mod login;
mod platform;
mod process;
mod registrar;
mod session;
mod store;
mod upstream;

use std::fmt;

use self::registrar::Registrar;

pub use self::exposition::Exposition;
pub use self::labels::{AppLabel, AppOperation, AppOutcome, Outcome};
pub use self::listener::{ListenerMetrics, OpenConnection, RouteMetrics};
pub use self::login::LoginMetrics;
pub use self::platform::{PlatformApiCall, PlatformMetrics};
pub use self::process::ProcessMetrics;
pub use self::session::SessionMetrics;
pub use self::store::{Operation, StoreMetrics};
pub use self::upstream::UpstreamMetrics;

pub use prometheus_client::metrics::counter::Counter;
pub use prometheus_client::metrics::family::Family;
pub use prometheus_client::metrics::gauge::Gauge;
pub use prometheus_client::metrics::histogram::Histogram;

/// Every metric of a gateway process. Cheap to share: workers add to atomics.
pub struct Metrics {
    registrar: Registrar,
    pub process: ProcessMetrics,
    pub listener: ListenerMetrics,
    pub login: LoginMetrics,
    pub session: SessionMetrics,
    pub store: StoreMetrics,
    pub platform: PlatformMetrics,
    pub upstream: UpstreamMetrics,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All metrics at zero.
    pub fn new() -> Self {
        let mut registrar = Registrar::new();
        Self {
            process: ProcessMetrics::new(&mut registrar),
            listener: ListenerMetrics::new(&mut registrar),
            login: LoginMetrics::new(&mut registrar),
            session: SessionMetrics::new(&mut registrar),
            store: StoreMetrics::new(&mut registrar),
            platform: PlatformMetrics::new(&mut registrar),
            upstream: UpstreamMetrics::new(&mut registrar),
            registrar,
        }
    }

    /// The names of all metrics as Prometheus shows them.
    pub fn names(&self) -> Vec<String> {
        self.registrar.names()
    }

    /// The page that Prometheus reads.
    pub fn encode(&self, form: Exposition) -> Result<String, fmt::Error> {
        let page = self.registrar.page()?;
        match form {
            Exposition::OpenMetrics => Ok(page),
            Exposition::Text => exposition::text(&page),
        }
    }
}

/// What a gauge can show of a number.
fn gauged(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_page_holds_what_was_counted() {
        let metrics = Metrics::new();
        metrics
            .listener
            .route("/api")
            .record_answer(200, Duration::from_millis(3));
        let page = metrics.encode(Exposition::OpenMetrics).unwrap();
        assert!(
            page.contains(r#"hufu_requests_total{route="/api",status="200"} 1"#),
            "{page}"
        );
        assert!(
            page.contains(r#"hufu_request_duration_seconds_bucket{le="0.005",route="/api"} 1"#),
            "{page}"
        );
    }
}
