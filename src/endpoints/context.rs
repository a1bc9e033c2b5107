//! What the application's endpoints and `verify` share.

use std::sync::Arc;

use crate::http::request_log::RequestReporter;
use crate::http::{Cors, Drain, TrustedProxies};

#[derive(Clone)]
pub struct EndpointContext {
    /// Where requests are counted and logged.
    pub reports: Arc<RequestReporter>,
    /// Whose forwarding headers are believed.
    pub trusted: Arc<TrustedProxies>,
    pub cors: Arc<Cors>,
    pub drain: Drain,
}
