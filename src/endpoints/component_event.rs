//! What a platform posts about an app that acts for the apps of others: its ticket, and who has
//! authorised it. The gateway takes it itself.

use std::sync::Arc;

use crate::broker::TokenBroker;
use crate::detached::detached;
use crate::http::GatewayError;
use crate::identity::{App, Apps, DatedEvent};
use crate::push::{PushReceiver, PushSettings, PushedMessage, SUCCESS, Undelivered};

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

    /// The word for success, once what the event says is done. It goes on to its end when
    /// the platform leaves meanwhile: the code of an authorization is good once.
    pub(super) async fn receive(
        &self,
        app: &App,
        settings: &PushSettings,
        message: &PushedMessage,
        pushes: &PushReceiver,
    ) -> Result<Vec<u8>, GatewayError> {
        let Some(event) = event_of(app, message) else {
            log::info!(app = &*app.name; "an event of a component says nothing that matters here");
            pushes.count(settings, "delivered");
            return Ok(SUCCESS.as_bytes().to_vec());
        };
        let (broker, of) = (self.broker.clone(), app.clone());
        let carried_out = detached(async move { broker.component_event(&of, event).await });
        let why = match carried_out.await {
            Some(Ok(())) => {
                pushes.count(settings, "delivered");
                return Ok(SUCCESS.as_bytes().to_vec());
            }
            Some(Err(error)) => error.to_string(),
            None => "the work broke off".to_owned(),
        };
        log::warn!(app = &*app.name; "an event of a component cannot be carried out, so the platform is to send it again: {why}");
        pushes.count(settings, "undelivered");
        Err(Undelivered.into())
    }
}

/// The event of the app's own that a message is.
pub(super) fn event_of(app: &App, message: &PushedMessage) -> Option<DatedEvent> {
    let fields = message.texts();
    let api = app.component_api()?;
    api.event(&|name| fields.get(name).cloned())
}
