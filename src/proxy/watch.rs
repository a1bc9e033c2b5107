//! What goes on beside the requests: health checks and look-ups of host names. `lifecycle` runs it
//! and ends it.

use std::sync::Arc;

use futures_util::future::join;
use tokio::task::JoinHandle;

use crate::proxy::backend::Backend;
use crate::proxy::health_check::check_for_ever;
use crate::proxy::resolve::{look_up, resolve_for_ever};
use crate::upstream::targets::literal;

/// The work beside the requests, of all upstreams. It ends when this is dropped.
#[derive(Default)]
pub struct UpstreamWatch {
    tasks: Vec<Watched>,
}

struct Watched {
    backend: Arc<Backend>,
    task: JoinHandle<()>,
}

impl UpstreamWatch {
    /// Watches these upstreams from now on: begins with those that are new, ends with those that
    /// are gone, and goes on with the others.
    pub fn follow(&mut self, backends: &[Arc<Backend>]) {
        self.tasks.retain(|old| {
            backends
                .iter()
                .any(|backend| Arc::ptr_eq(&old.backend, backend))
        });
        for backend in backends {
            if !self
                .tasks
                .iter()
                .any(|old| Arc::ptr_eq(&old.backend, backend))
            {
                let task = actix_web::rt::spawn(watch(backend.clone()));
                self.tasks.push(Watched {
                    backend: backend.clone(),
                    task,
                });
            }
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn watch(backend: Arc<Backend>) {
    let look_ups = async {
        if backend
            .upstream()
            .endpoints
            .iter()
            .any(|endpoint| literal(endpoint).is_none())
        {
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
