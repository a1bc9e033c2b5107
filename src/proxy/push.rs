//! Hands pushed messages to their upstream: a request that the gateway makes of itself, over the
//! connections of its worker, counted as any other.

use actix_web::body;
use actix_web::dev::Payload;
use actix_web::web::BytesMut;
use async_trait::async_trait;
use tokio::time::timeout;

use crate::assertion::HeaderNames;
use crate::assertion::headers::IdentityHeaders;
use crate::crypto::{hash, random};
use crate::http::Drain;
use crate::http::request_log::UpstreamCall;
use crate::http::response::write_line;
use crate::proxy::forward::{Forwarder, Outgoing};
use crate::proxy::pending_guard::PendingGuard;
use crate::proxy::via::Via;
use crate::push::backend::{ANSWER_MAX, DELIVERY_MAX};
use crate::push::envelope::media_type;
use crate::push::{BackendError, Delivery, PushBackend};
use crate::upstream::{HostHeader, Upstream};
use crate::upstream_client::upload::BodyFraming;

/// The upstreams of one worker, for pushed messages.
pub struct PushForwarder {
    pub forwarder: Forwarder,
    pub names: HeaderNames,
    pub via: Via,
    pub drain: Drain,
}

#[async_trait(?Send)]
impl PushBackend for PushForwarder {
    async fn deliver(&self, delivery: Delivery<'_>) -> Result<Vec<u8>, BackendError> {
        let delivered = timeout(DELIVERY_MAX, self.try_deliver(delivery)).await;
        delivered.unwrap_or_else(|_| Err(failure("the backend takes too long")))
    }
}

impl PushForwarder {
    async fn try_deliver(&self, delivery: Delivery<'_>) -> Result<Vec<u8>, BackendError> {
        let Some(target) = &delivery.settings.backend else {
            return Err(failure("the app has no backend for messages"));
        };
        let name = &*target.upstream;
        let Some(upstream) = self.forwarder.named(name) else {
            return Err(failure(format!("there is no upstream {name} any more")));
        };
        let id = hash::to_hex(&random::name_bytes::<16>());
        let guard = PendingGuard::new(None, &self.drain);
        let outgoing = Outgoing {
            upstream,
            user: None,
            method: "POST",
            head: self.request(upstream, &target.path, &delivery, &id),
            payload: Payload::None,
            framing: BodyFraming::None,
            body_limit: 0,
            timeout: None,
            upgrade: None,
            guard: &guard,
        };
        let mut call = UpstreamCall::default();
        let response = self
            .forwarder
            .forward(outgoing, &mut call, &id)
            .await
            .map_err(|error| failure(error.to_string()))?;
        let status = response.head.status;
        let answer = body::to_bytes_limited(response.body, ANSWER_MAX).await;
        if !status.is_success() {
            return Err(failure(format!("{name} answered {}", status.as_u16())));
        }
        match answer {
            Ok(Ok(answer)) => Ok(answer.to_vec()),
            Ok(Err(error)) => Err(failure(format!(
                "{name} answered {}, and then: {error}",
                status.as_u16()
            ))),
            Err(_) => {
                log::warn!(app = &*delivery.settings.app; "the backend's answer to a pushed message is longer than {ANSWER_MAX} bytes, so the platform gets the app's ack");
                Ok(Vec::new())
            }
        }
    }

    /// Head and body in one: so the request can be sent again as long as nothing of it was written.
    fn request(
        &self,
        upstream: &Upstream,
        path: &str,
        delivery: &Delivery<'_>,
        id: &str,
    ) -> BytesMut {
        let Delivery { settings, content } = *delivery;
        let mut out = BytesMut::with_capacity(1024 + content.body.len());
        for part in ["POST ", path, " HTTP/1.1\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
        match &upstream.host {
            HostHeader::Client => write_line(&mut out, "host", upstream.authority.as_bytes()),
            HostHeader::Fixed(host) => write_line(&mut out, "host", host.as_bytes()),
            // Once an endpoint is chosen.
            HostHeader::Endpoint => {}
        }
        write_line(&mut out, "user-agent", b"hufu-push");
        write_line(&mut out, "accept", b"*/*");
        write_line(
            &mut out,
            "content-type",
            media_type(content.format).as_bytes(),
        );
        let length = itoa::Buffer::new().format(content.body.len()).to_owned();
        write_line(&mut out, "content-length", length.as_bytes());
        write_line(&mut out, "x-request-id", id.as_bytes());
        out.extend_from_slice(self.via.line().as_bytes());
        let appid = content.authorizer.as_ref().unwrap_or(&settings.appid);
        let app = (&*settings.app, &**appid, settings.provider);
        let identity = IdentityHeaders::of_app(&self.names, app, settings.source);
        out.extend_from_slice(identity.lines().as_bytes());
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(&content.body);
        out
    }
}

fn failure(reason: impl Into<String>) -> BackendError {
    BackendError {
        reason: reason.into(),
    }
}
