//! A named group of endpoints, and how the gateway uses it.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::upstream::Endpoint;
use crate::upstream::breaker::BreakerSettings;

/// How an endpoint is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Balance {
    /// In turn.
    RoundRobin,
    /// Two are drawn by lot; the one with fewer requests in progress is chosen.
    LeastRequest,
    /// A user's requests meet the same endpoint.
    UserHash,
}

/// When another attempt is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetrySettings {
    /// Endpoints that are tried after the first; 0: none.
    pub attempts: u32,
    /// The share of the requests of the last seconds that may be retries, in percent.
    pub percent: u32,
    /// Retries a second that are allowed besides, however few requests there are.
    pub per_second: u32,
}

/// When an endpoint that fails requests is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EjectionSettings {
    /// After how many failures, and for how long.
    pub breaker: BreakerSettings,
    /// The largest share of the endpoints that may be left out at once, in percent, rounded up;
    /// never all of them.
    pub max_percent: u32,
}

/// How endpoints are asked whether they are healthy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthSettings {
    /// The request's target.
    pub path: String,
    /// Between two questions.
    pub interval: Duration,
    /// How long an answer may take, connecting included.
    pub timeout: Duration,
    /// Good answers in a row that make an unhealthy endpoint healthy; at least 1.
    pub healthy_after: u32,
    /// Bad ones in a row that make it unhealthy; at least 1.
    pub unhealthy_after: u32,
    /// Which statuses are good.
    pub expected_status: RangeInclusive<u16>,
}

/// How many idle connections are kept, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdleSettings {
    /// Per endpoint and worker; 0: none is used twice.
    pub connections: usize,
    /// How long one may rest.
    pub timeout: Duration,
}

/// The files of TLS connections to an upstream, which could be opened when the configuration was
/// read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// The authority that signed the endpoints' certificates; `None`: those of the operating
    /// system.
    pub ca: Option<PathBuf>,
    /// The gateway's own certificate and its key.
    pub client: Option<(PathBuf, PathBuf)>,
    /// The name that the certificates must have; `None`: the one that goes out as `Host`, or the
    /// endpoint's.
    pub server_name: Option<String>,
}

/// What an upstream gets as `Host`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostHeader {
    /// The client's.
    Client,
    /// The endpoint's that gets the request.
    Endpoint,
    /// This one, which may have a port.
    Fixed(String),
}

impl HostHeader {
    /// The `Host` of a request that no client has sent.
    pub fn without_client(&self, endpoint: &Endpoint) -> String {
        match self {
            Self::Client => endpoint.host_and_port(),
            Self::Endpoint => endpoint.authority(),
            Self::Fixed(host) => host.clone(),
        }
    }

    /// The host name in it, without its port; `None`: there is none, or it is an address.
    pub fn name(&self) -> Option<&str> {
        let Self::Fixed(host) = self else { return None };
        let name = host.split(':').next().unwrap_or_default();
        (!name.starts_with('[') && name.parse::<IpAddr>().is_err()).then_some(name)
    }
}

/// A named group of endpoints, and how the gateway uses them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// Its place among the upstreams of the configuration.
    pub index: usize,
    /// What it gets as `Host`.
    pub host: HostHeader,
    /// What stands in `Host` where it is the client's and the client sent none: the first endpoint.
    pub authority: String,
    /// Its endpoints; at least one; all with TLS or all without.
    pub endpoints: Vec<Endpoint>,
    /// How one is chosen.
    pub balance: Balance,
    /// How long a connection may take to open, with its TLS handshake.
    pub connect_timeout: Duration,
    /// How long the upstream may be silent before the head of its answer.
    pub first_byte_timeout: Duration,
    /// How long it may be silent within its answer.
    pub timeout: Duration,
    /// How long everything together may take; `None`: as long as it is not silent.
    pub total_timeout: Option<Duration>,
    /// Requests under way at once, over all workers; 0: any number.
    pub max_concurrent: usize,
    /// Requests that may wait for their turn then.
    pub queue: usize,
    /// How long one may wait.
    pub queue_timeout: Duration,
    /// Idle connections.
    pub idle: IdleSettings,
    /// How often host names are looked up.
    pub resolve_interval: Duration,
    /// Other attempts.
    pub retries: RetrySettings,
    /// Leaving out what fails.
    pub ejection: EjectionSettings,
    /// Asking; `None`: nobody is asked.
    pub health: Option<HealthSettings>,
    /// Encryption; `None`: the endpoints speak plain HTTP.
    pub tls: Option<TlsFiles>,
}

impl Upstream {
    /// `wx.request` waits 60 s by default and at most.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);
    /// Longer than a handshake within a network takes even after one lost packet.
    pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

    /// An upstream with these endpoints and the defaults of the manual.
    pub fn new(name: &str, endpoints: Vec<Endpoint>) -> Self {
        Self {
            name: name.into(),
            index: 0,
            host: HostHeader::Client,
            authority: endpoints
                .first()
                .map(Endpoint::host_and_port)
                .unwrap_or_default(),
            endpoints,
            balance: Balance::LeastRequest,
            connect_timeout: Self::DEFAULT_CONNECT_TIMEOUT,
            first_byte_timeout: Self::DEFAULT_TIMEOUT,
            timeout: Self::DEFAULT_TIMEOUT,
            total_timeout: None,
            max_concurrent: 0,
            queue: 0,
            queue_timeout: Duration::from_secs(1),
            idle: IdleSettings {
                connections: 64,
                timeout: Duration::from_secs(50),
            },
            resolve_interval: Duration::from_secs(30),
            retries: RetrySettings {
                attempts: 2,
                percent: 20,
                per_second: 3,
            },
            ejection: EjectionSettings {
                breaker: BreakerSettings {
                    failures: 5,
                    open_for: Duration::from_secs(10),
                    open_max: Duration::from_secs(300),
                    trial_lease: Self::DEFAULT_CONNECT_TIMEOUT + Self::DEFAULT_TIMEOUT,
                },
                max_percent: 50,
            },
            health: None,
            tls: None,
        }
    }

    /// Whether both are one upstream with the same settings, whatever their places in the
    /// configuration.
    pub fn is_same(&self, other: &Self) -> bool {
        Self {
            index: other.index,
            ..self.clone()
        } == *other
    }

    /// An upstream that nobody calls.
    #[cfg(test)]
    pub(crate) fn for_tests(name: &str) -> Self {
        Self::new(
            name,
            vec![Endpoint {
                host: "127.0.0.1".to_owned(),
                port: 9,
                socket: None,
                tls: false,
                weight: 1,
            }],
        )
    }
}
