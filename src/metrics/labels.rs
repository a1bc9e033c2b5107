//! The labels of metrics: few values each, so that no client can make series.

use prometheus_client::encoding::EncodeLabelSet;

/// One label whose values are few.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Outcome {
    /// What came of it, a word of docs/metrics.md.
    pub outcome: &'static str,
}

/// An error code.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Code {
    /// A word of docs/errors.md.
    pub code: &'static str,
}

/// A route and a status.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RouteStatus {
    /// The route's path as configured, or the endpoint's name for the gateway's own.
    pub route: String,
    /// The HTTP status that the client saw; 499: the client left before there was one.
    pub status: u16,
}

/// A route.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RouteLabel {
    /// As in [`RouteStatus`].
    pub route: String,
}

/// An app and what came of a login, of the fetch of an access token, or of a pushed message.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct AppOutcome {
    /// The app's name in the configuration.
    pub app: String,
    /// `ok`, `replayed`, or an error code of docs/errors.md; of a fetch also `same` and `late`; of a
    /// message a word of docs/metrics.md.
    pub outcome: &'static str,
}

/// An app and one of its platform's APIs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct AppApi {
    /// The app's name in the configuration.
    pub app: String,
    /// The API's last path segment, such as `jscode2session`.
    pub api: &'static str,
}

/// A call of the platform's API by a backend.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PlatformApiCall {
    /// The app's name in the configuration; empty: it is not known.
    pub app: String,
    /// The client's name in the configuration; empty: it is not known.
    pub client: String,
    /// The pattern of `allow` that let it pass, or the gateway's own endpoint; empty: neither.
    pub path: String,
    /// `answered`, `client_left`, or an error code of docs/errors.md.
    pub outcome: &'static str,
}

/// An app.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct AppLabel {
    /// As in [`AppApi`].
    pub app: String,
}

/// An app, an operation on its users' open data or on a user, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct AppOperation {
    /// The app's name in the configuration.
    pub app: String,
    /// `decrypt`, `phone`, `status` or `reset`; of a user `claims`, `block` or `unblock`.
    pub operation: &'static str,
    /// `ok`, `ok_older_key`, `replayed`, `stale`, or an error code of docs/errors.md.
    pub outcome: &'static str,
}

/// A quota and what came of asking it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PolicyOutcome {
    /// `per_ip`, `per_user`, `per_app`, `open_data` or `phone_limit`.
    pub policy: &'static str,
    /// `admitted`, `refused`, `refused_early`, `admitted_alone` or `refused_alone`.
    pub outcome: &'static str,
}

/// A store operation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Operation {
    /// `load`, `create`, `renew`, `rotate`, `remove`, `remove_all`, `list`, `count`,
    /// `session_keys`, `take_session_keys`, `return_session_keys`, `reset_session_keys`, `reserve`,
    /// `settle`, `limit`, `publish`, `now`,
    /// `find_token`, `lease_token`, `keep_token`, `release_token`, `find_ticket`, `keep_ticket`,
    /// `authorizers`, `find_refresh_token`, `authorize`, `keep_refreshed`, `withdraw`, `reseal`, or
    /// one of the pushed messages' (docs/metrics.md).
    pub operation: &'static str,
}

/// How connections to the store hear of changes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Mode {
    /// `tracking`, `pubsub` or `off`.
    pub mode: &'static str,
}

/// A server of the store.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StoreNode {
    /// Its host and port.
    pub node: String,
}

/// An upstream and what came of a request to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct UpstreamOutcome {
    /// The upstream's name in the configuration.
    pub upstream: String,
    /// `answered`, `unreachable`, `timeout`, `broken`, `unavailable`, `client_left`,
    /// `session_expired`, `forbidden` or `shutting_down`; of retries `stale_connection`, `another_endpoint` or
    /// `refused`.
    pub outcome: &'static str,
}

/// A name in a certificate of a listener.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CertificateName {
    /// The listener's section in the configuration.
    pub listener: &'static str,
    /// A host, or a wildcard.
    pub name: String,
}

/// An endpoint of an upstream.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct EndpointLabel {
    /// As in [`UpstreamOutcome`].
    pub upstream: String,
    /// Its address.
    pub endpoint: String,
}

/// An upstream.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct UpstreamLabel {
    /// As in [`UpstreamOutcome`].
    pub upstream: String,
}
