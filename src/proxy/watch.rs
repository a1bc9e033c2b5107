//! What goes on beside the requests: health checks and look-ups of host names. `lifecycle` runs it
//! and ends it.

use std::sync::Arc;

use futures_util::future::join;
use tokio::task::JoinHandle;

use crate::proxy::health_check::check_for_ever;
use crate::proxy::resolve::{look_up, resolve_for_ever};
use crate::proxy::shared_upstream::SharedUpstream;
use crate::upstream::resolved::literal;

/// The work beside the requests, of all upstreams. It ends when this is dropped.
#[derive(Default)]
pub struct UpstreamWatch {
    tasks: Vec<WatchedUpstream>,
}

struct WatchedUpstream {
    upstream: Arc<SharedUpstream>,
    task: JoinHandle<()>,
}

impl UpstreamWatch {
    /// Watches these upstreams from now on: begins with those that are new, ends with those that
    /// are gone, and goes on with the others.
    pub fn follow(&mut self, upstreams: &[Arc<SharedUpstream>]) {
        self.tasks.retain(|old| {
            upstreams
                .iter()
                .any(|upstream| Arc::ptr_eq(&old.upstream, upstream))
        });
        for upstream in upstreams {
            if !self
                .tasks
                .iter()
                .any(|old| Arc::ptr_eq(&old.upstream, upstream))
            {
                let task = actix_web::rt::spawn(watch(upstream.clone()));
                self.tasks.push(WatchedUpstream {
                    upstream: upstream.clone(),
                    task,
                });
            }
        }
    }
}

impl Drop for WatchedUpstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn watch(upstream: Arc<SharedUpstream>) {
    let look_ups = async {
        if upstream
            .upstream()
            .endpoints
            .iter()
            .any(|endpoint| literal(endpoint).is_none())
        {
            resolve_for_ever(upstream.clone(), look_up).await;
        }
    };
    let checks = async {
        if let Some(settings) = upstream.upstream().health.clone() {
            check_for_ever(upstream.clone(), settings).await;
        }
    };
    join(look_ups, checks).await;
}
