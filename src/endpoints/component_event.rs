//! What a platform posts about an app that acts for the apps of others: its ticket, and who has
//! authorised it. The gateway takes it itself.

use std::sync::Arc;

use crate::broker::TokenBroker;
use crate::detached::detached;
use crate::http::GatewayError;
use crate::identity::{App, Apps, PushedEvent};
use crate::push::{PushReceiver, PushRefusal, PushSettings, PushedMessage, SUCCESS, Undelivered};

/// Acknowledged, it would never come again.
const INCOMPLETE: PushRefusal = PushRefusal::Invalid(
    "This is an event of a third-party platform that lacks a field, or has an invalid one.",
);

/// The apps that act for others, and who keeps what they are given.
#[derive(Clone)]
pub struct ComponentEvents {
    pub apps: Arc<Apps>,
    pub broker: TokenBroker,
}

impl ComponentEvents {
    /// The app of these messages, where it acts for others.
    pub(super) fn app(&self, settings: &PushSettings) -> Option<&App> {
        let app = self.apps.get(&settings.app)?;
        app.component_api().map(|_| app)
    }

    /// The word for success, once what a message of the app's own says is done. `None`: it says
    /// nothing to the gateway, and is for the app's backend as any other.
    ///
    /// The work goes on to its end when the platform leaves meanwhile: the code of an authorization
    /// is good once.
    pub(super) async fn receive(
        &self,
        app: &App,
        settings: &PushSettings,
        message: &PushedMessage,
        pushes: &PushReceiver,
    ) -> Result<Option<Vec<u8>>, GatewayError> {
        let event = match event_of(app, message) {
            PushedEvent::Own(event) => event,
            PushedEvent::Unreadable => {
                pushes.refused(settings, INCOMPLETE);
                return Err(INCOMPLETE.into());
            }
            PushedEvent::Other(_) if settings.backend.is_some() => return Ok(None),
            PushedEvent::Other(kind) => {
                let kind = kind.as_deref().unwrap_or("none");
                log::info!(app = &*app.name; "an event of kind {kind:?} is acknowledged and dropped: it says nothing to the gateway, and there is no apps.NAME.push.upstream");
                pushes.count(settings, "ignored");
                return Ok(Some(SUCCESS.as_bytes().to_vec()));
            }
        };
        let (broker, of) = (self.broker.clone(), app.clone());
        let carried_out = detached(async move { broker.component_event(&of, event).await });
        let why = match carried_out.await {
            Some(Ok(())) => {
                pushes.count(settings, "delivered");
                return Ok(Some(SUCCESS.as_bytes().to_vec()));
            }
            Some(Err(error)) => error.to_string(),
            None => "the work broke off".to_owned(),
        };
        log::warn!(app = &*app.name; "an event of a component cannot be carried out, so the platform is to send it again: {why}");
        pushes.count(settings, "undelivered");
        Err(Undelivered.into())
    }
}

/// What a message is to an app that acts for others.
fn event_of(app: &App, message: &PushedMessage) -> PushedEvent {
    let fields = message.texts();
    app.component_api().map_or(PushedEvent::Other(None), |api| {
        api.event(&|name| fields.get(name).cloned())
    })
}

/// Whether the gateway itself acts on a message, as far as it can be read.
pub(super) fn is_own_event(app: &App, message: &PushedMessage) -> bool {
    !matches!(event_of(app, message), PushedEvent::Other(_))
}
