//! Answers that go on after their head: what is still coming is bound to the session, and a switch of protocols becomes a tunnel.

use actix_web::HttpResponse;
use actix_web::dev::Payload;
use actix_web::http::{ConnectionType, StatusCode};

use crate::http::authenticate::Caller;
use crate::http::completion::Completion;
use crate::http::error::{ErrorCode, GatewayError};
use crate::proxy::answer::AnswerBody;
use crate::proxy::download::Download;
use crate::proxy::handshake::Handshake;
use crate::proxy::session_watch::SessionWatch;
use crate::proxy::tunnel::Tunnel;
use crate::proxy::walk::Proxy;
use crate::proxy::watched_body::WatchedBody;
use crate::proxy::websockets::Place;

/// A WebSocket that is asked for.
pub struct Opening {
    /// The client's handshake.
    pub handshake: Handshake,
    /// Its place among the open ones.
    pub place: Place,
    /// What the client sends behind it: nobody's before it is answered.
    pub client: Payload,
}

impl Proxy {
    /// The answer with the body that it has from now on.
    pub fn stream(
        &self,
        response: HttpResponse<AnswerBody>,
        opening: Option<Opening>,
        caller: &Caller,
        completion: &mut Completion,
    ) -> Result<HttpResponse<AnswerBody>, GatewayError> {
        if let Some(opening) = opening.filter(|_| response.status() == StatusCode::SWITCHING_PROTOCOLS) {
            return self.switch(response, opening, caller, completion);
        }
        let (Caller::Session(_), AnswerBody::Upstream(body)) = (caller, response.body()) else { return Ok(response) };
        if body.is_here() {
            return Ok(response);
        }
        let (watch, account) = (self.watch(caller), completion.stream.get_or_insert_default().clone());
        Ok(response.map_body(|_, body| match body {
            AnswerBody::Upstream(body) => AnswerBody::Watched(Box::new(WatchedBody::new(body, watch, account))),
            other => other,
        }))
    }

    /// The tunnel behind a handshake that the upstream has answered.
    fn switch(
        &self,
        response: HttpResponse<AnswerBody>,
        opening: Opening,
        caller: &Caller,
        completion: &mut Completion,
    ) -> Result<HttpResponse<AnswerBody>, GatewayError> {
        let Opening { handshake, place, client } = opening;
        let (mut head, body) = response.into_parts();
        let AnswerBody::Upstream(answer) = body else { return Err(cut_off()) };
        let (upstream, held) = Download::into_connection(*answer).ok_or_else(cut_off)?;
        handshake.answer(head.headers_mut());
        head.head_mut().set_connection_type(ConnectionType::Upgrade);
        let tunnel = Tunnel {
            client,
            upstream,
            watch: self.watch(caller),
            idle_timeout: self.websockets.limits.idle_timeout,
            drain: self.drain.clone(),
            account: completion.stream.get_or_insert_default().clone(),
            held: (place, held),
        };
        Ok(head.set_body(AnswerBody::Tunnel(tunnel.open())))
    }

    fn watch(&self, caller: &Caller) -> SessionWatch {
        SessionWatch::new(if let Caller::Session(live) = caller { Some((self.auth.sessions().clone(), live)) } else { None })
    }
}

fn cut_off() -> GatewayError {
    GatewayError::new(ErrorCode::UpstreamError, "The backend of this route ended the WebSocket at its beginning.")
}
