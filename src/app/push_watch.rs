//! Kept messages beside the requests: one task for each app that takes messages, and none where no
//! app does.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use super::process_state::ProcessState;
use super::reloadable::Reloadable;
use crate::proxy::PushForwarder;
use crate::proxy::forward::Forwarder;
use crate::proxy::own_request::OwnRequests;
use crate::push::{PushBackend, Redelivery};

/// The tasks. They take no further messages once this is dropped; what is under way comes to its
/// end.
#[derive(Default)]
pub(super) struct PushWatch {
    is_over: Rc<Cell<bool>>,
    /// With the connections of the tasks.
    forwarder: Option<Forwarder>,
}

impl PushWatch {
    /// Delivers the messages of this configuration's apps from now on.
    pub(super) fn follow(&mut self, reloadable: &Reloadable, process: &Arc<ProcessState>) {
        self.is_over.replace(true);
        self.is_over = Rc::default();
        let pushes = reloadable.settings.pushes.iter();
        let mut pushes = pushes
            .filter(|settings| settings.backend.is_some())
            .peekable();
        if pushes.peek().is_none() {
            self.forwarder = None;
            return;
        }
        let forwarder = Forwarder::new(&reloadable.upstreams, self.forwarder.as_ref());
        self.forwarder = Some(forwarder.clone());
        let backend: Rc<dyn PushBackend> = Rc::new(push_forwarder(reloadable, process, forwarder));
        for settings in pushes {
            let redelivery = Redelivery {
                settings: settings.clone(),
                store: process.store.process().pushes,
                backend: backend.clone(),
                metrics: process.metrics.clone(),
            };
            let (is_over, drain) = (self.is_over.clone(), process.drain.clone());
            actix_web::rt::spawn(redelivery.run(move || is_over.get() || drain.is_on()));
        }
    }
}

impl Drop for PushWatch {
    fn drop(&mut self) {
        self.is_over.set(true);
    }
}

/// How messages go to their upstreams over these connections.
pub(super) fn push_forwarder(
    reloadable: &Reloadable,
    process: &ProcessState,
    forwarder: Forwarder,
) -> PushForwarder {
    PushForwarder {
        requests: own_requests(process, forwarder),
        names: reloadable.settings.identity.clone(),
    }
}

/// How the gateway makes requests of its own over these connections.
pub(super) fn own_requests(process: &ProcessState, forwarder: Forwarder) -> OwnRequests {
    OwnRequests {
        forwarder,
        via: process.via(),
        drain: process.drain.clone(),
    }
}
