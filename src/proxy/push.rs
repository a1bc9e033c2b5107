//! Hands pushed messages to their upstream.

use async_trait::async_trait;

use crate::assertion::HeaderNames;
use crate::assertion::headers::IdentityHeaders;
use crate::proxy::own_request::{BodyEnd, OwnRequest, OwnRequests, request_id};
use crate::push::backend::{ANSWER_MAX, DELIVERY_MAX};
use crate::push::envelope::media_type;
use crate::push::{BackendError, Delivery, PushBackend};

/// The upstreams of one worker, for pushed messages.
pub struct PushForwarder {
    pub requests: OwnRequests,
    pub names: HeaderNames,
}

#[async_trait(?Send)]
impl PushBackend for PushForwarder {
    async fn deliver(&self, delivery: Delivery<'_>) -> Result<Vec<u8>, BackendError> {
        let Delivery { settings, content } = delivery;
        let Some(target) = &settings.backend else {
            return Err(failure("the app has no backend for messages"));
        };
        let appid = content.authorizer.as_ref().unwrap_or(&settings.appid);
        let app = (&*settings.app, &**appid, settings.provider);
        let identity = IdentityHeaders::of_app(&self.names, app, settings.source);
        let id = request_id();
        let request = OwnRequest {
            upstream: &target.upstream,
            path: &target.path,
            user_agent: "hufu-push",
            media_type: media_type(content.format),
            lines: &identity.lines(),
            body: &content.body,
            id: &id,
            timeout: DELIVERY_MAX,
            answer_max: ANSWER_MAX,
        };
        let answer = self.requests.send(request).await.map_err(failure)?;
        let name = &target.upstream;
        let status = answer.status.as_u16();
        // The backend has the id; the forwarder has logged only what is no answer.
        let refused = |why: String| {
            log::warn!(app = &*settings.app, request_id = &*id; "a pushed message: {why}");
            failure(why)
        };
        if !answer.status.is_success() {
            return Err(refused(format!("{name} answered {status}")));
        }
        match answer.end {
            BodyEnd::Whole => Ok(answer.body),
            BodyEnd::Broken(error) => Err(refused(format!(
                "{name} answered {status}, and then: {error}"
            ))),
            BodyEnd::TooLong => {
                log::warn!(app = &*settings.app; "the backend's answer to a pushed message is longer than {ANSWER_MAX} bytes, so the platform gets the app's ack");
                Ok(Vec::new())
            }
        }
    }
}

fn failure(reason: impl Into<String>) -> BackendError {
    BackendError {
        reason: reason.into(),
    }
}
