//! Answers that go on after their head: what is still coming is bound to the session, and a switch
//! of protocols becomes a tunnel.

use std::future::poll_fn;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;

use super::Proxy;
use crate::http::authenticate::Caller;
use crate::http::{Answer, ErrorCode, GatewayError, RequestLog};
use crate::proxy::answer::AnswerBody;
use crate::proxy::session_watch::{Admitted, SessionWatch};
use crate::proxy::websocket::handshake::Handshake;
use crate::proxy::websocket::limits::WebsocketPermit;
use crate::proxy::websocket::tunnel::Tunnel;
use crate::route::AccessRule;
use crate::upstream_client::download::Download;

/// A WebSocket that is asked for.
pub struct Opening {
    /// The client's handshake.
    pub handshake: Handshake,
    /// Its place among the open ones.
    pub place: WebsocketPermit,
    /// What the client sends behind it: nobody's before it is answered.
    pub client: Payload,
}

impl Proxy {
    /// The answer with the body that it has from now on.
    pub fn stream(
        &self,
        answer: Answer<Box<Download>>,
        opening: Option<Opening>,
        admitted: Option<Admitted<'_>>,
        request_log: &mut RequestLog,
    ) -> Result<Answer<AnswerBody>, GatewayError> {
        if let Some(opening) =
            opening.filter(|_| answer.head.status == StatusCode::SWITCHING_PROTOCOLS)
        {
            return self.switch(answer, opening, admitted, request_log);
        }
        if admitted.is_none() || answer.body.is_here() {
            return Ok(answer.map_body(AnswerBody::Upstream));
        }
        let mut watch = SessionWatch::new(admitted);
        let account = request_log.stream.get_or_insert_default().clone();
        let until = async move {
            let end = poll_fn(|cx| watch.poll_ended(cx)).await;
            account.error.set(Some(end.code()));
        };
        Ok(Answer {
            until: Some(Box::pin(until)),
            ..answer.map_body(AnswerBody::Upstream)
        })
    }

    /// The tunnel behind a handshake that the upstream has answered.
    fn switch(
        &self,
        answer: Answer<Box<Download>>,
        opening: Opening,
        admitted: Option<Admitted<'_>>,
        request_log: &mut RequestLog,
    ) -> Result<Answer<AnswerBody>, GatewayError> {
        let Opening {
            handshake,
            place,
            client,
        } = opening;
        let Answer { mut head, body, .. } = answer;
        let (upstream, held) = Download::into_connection(*body).ok_or_else(cut_off)?;
        handshake.answer(&mut head);
        let tunnel = Tunnel {
            client,
            upstream,
            watch: SessionWatch::new(admitted),
            idle_timeout: self.websockets.limits.idle_timeout,
            drain: self.drain.clone(),
            account: request_log.stream.get_or_insert_default().clone(),
            held: (place, held),
        };
        Ok(Answer::new(head, AnswerBody::Tunnel(tunnel.open())))
    }

    /// The caller's session and the rule that has let it in, for whoever watches both.
    pub fn admitted<'a>(
        &'a self,
        caller: &'a Caller,
        rule: &'a AccessRule,
    ) -> Option<Admitted<'a>> {
        let Caller::Session(live) = caller else {
            return None;
        };
        let sessions = &self.auth.sessions;
        Some(Admitted {
            sessions,
            live,
            rule,
        })
    }
}

fn cut_off() -> GatewayError {
    GatewayError::new(
        ErrorCode::UpstreamError,
        "The backend of this route ended the WebSocket at its beginning.",
    )
}
