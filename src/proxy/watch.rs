//! What goes on beside the requests: health checks and look-ups of host names. `lifecycle` runs it and ends it.

use std::sync::Arc;

use futures_util::future::{join, join_all};

use crate::proxy::backend::Backend;
use crate::proxy::health_check::check_for_ever;
use crate::proxy::resolve::{look_up, resolve_for_ever};
use crate::upstream::targets::literal;

/// The work beside the requests, of all upstreams.
pub struct UpstreamWatch(pub Vec<Arc<Backend>>);

impl UpstreamWatch {
    /// Runs until it is dropped.
    pub async fn run(self) {
        join_all(self.0.into_iter().map(watch)).await;
    }
}

async fn watch(backend: Arc<Backend>) {
    let look_ups = async {
        if backend.upstream().endpoints.iter().any(|endpoint| literal(endpoint).is_none()) {
            resolve_for_ever(backend.clone(), look_up).await;
        }
    };
    let checks = async {
        if let Some(settings) = backend.upstream().health.clone() {
            check_for_ever(backend.clone(), settings).await;
        }
    };
    join(look_ups, checks).await;
}
