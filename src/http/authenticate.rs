//! Who sends this request, and whether the route lets them.

use std::net::IpAddr;
use std::sync::Arc;

use actix_web::{HttpMessage as _, HttpRequest};

use crate::http::error::{ErrorCode, GatewayError};
use crate::http::extract::Inbound;
use crate::http::head::RequestHead;
use crate::http::request_log::{RequestLog, note_session};
use crate::http::token;
use crate::limit::GuessWatch;
use crate::route::AccessRule;
use crate::session::{
    LiveSession, SessionId, SessionService, SessionToken, TokenCarrier, TokenError, UserKey,
};

/// A caller that the rules let through.
#[derive(Debug)]
pub enum Caller {
    /// A living session.
    Session(LiveSession),
    /// The route does not look at sessions, or does not require one.
    Anonymous {
        /// The token that came was no good; the answer says so.
        dead_token: Option<ErrorCode>,
    },
}

impl Caller {
    pub const fn session(&self) -> Option<&LiveSession> {
        if let Self::Session(live) = self {
            Some(live)
        } else {
            None
        }
    }

    /// The user, where there is a session.
    pub fn user(&self) -> Option<&UserKey> {
        self.session().map(|live| &live.session.user)
    }
}

/// Finds the token in a request and the session behind it.
#[derive(Clone)]
pub struct Authenticator {
    /// The sessions behind the tokens.
    pub sessions: Arc<SessionService>,
    /// The places where tokens are looked for.
    pub carriers: Arc<[TokenCarrier]>,
    pub guesses: Arc<GuessWatch>,
}

impl Authenticator {
    /// Applies a route's rule to a request. The access line names the session, also of one that is
    /// refused.
    pub async fn admit(
        &self,
        rule: &AccessRule,
        head: &RequestHead,
        request_log: &mut RequestLog,
    ) -> Result<Caller, GatewayError> {
        if matches!(rule, AccessRule::None) {
            return Ok(Caller::Anonymous { dead_token: None });
        }
        let id = self.read_in(head, request_log.inbound.client, SessionService::session_of);
        let error = match self.session_behind(id).await {
            Ok(live) => {
                request_log.session = Some(live.id);
                request_log.app = Some(live.session.user.app.clone());
                return if rule.admits(&live.session) {
                    Ok(Caller::Session(live))
                } else {
                    Err(GatewayError::forbidden())
                };
            }
            Err(error) if matches!(rule, AccessRule::Optional) => error,
            Err(error) => return Err(error),
        };
        match error.code {
            ErrorCode::LoginRequired => Ok(Caller::Anonymous { dead_token: None }),
            code @ (ErrorCode::SessionExpired | ErrorCode::TokenInvalid) => Ok(Caller::Anonymous {
                dead_token: Some(code),
            }),
            _ => Err(error),
        }
    }

    /// The living session of a request to one of the gateway's own endpoints. The access line names
    /// it.
    pub async fn session(&self, req: &HttpRequest) -> Result<LiveSession, GatewayError> {
        let id = self.read(req, SessionService::session_of);
        let live = self.session_behind(id).await?;
        note_session(req, live.id, &live.session.user.app);
        Ok(live)
    }

    /// The token of a request to one of the gateway's own endpoints, checked as far as that goes
    /// without the store.
    pub fn token(&self, req: &HttpRequest) -> Result<SessionToken, GatewayError> {
        self.read(req, SessionService::read_token)
    }

    /// Whether the token of a request stands in a cookie, and nowhere else.
    pub fn is_by_cookie(&self, head: &RequestHead) -> Result<bool, GatewayError> {
        let (cookies, others): (Vec<_>, Vec<_>) = self
            .carriers
            .iter()
            .partition(|carrier| matches!(carrier, TokenCarrier::Cookie(_)));
        let found = |carriers: Vec<_>| token::find(carriers, head.headers(), head.query());
        Ok(!cookies.is_empty() && found(others)?.is_none() && found(cookies)?.is_some())
    }

    async fn session_behind(
        &self,
        id: Result<SessionId, GatewayError>,
    ) -> Result<LiveSession, GatewayError> {
        let live = self.sessions.resolve(&id?).await?;
        live.ok_or_else(GatewayError::session_expired)
    }

    fn read<T>(
        &self,
        req: &HttpRequest,
        read: impl FnOnce(&SessionService, &str) -> Result<T, TokenError>,
    ) -> Result<T, GatewayError> {
        // Own endpoints have the facts of the head; without them nobody in particular has sent it.
        let client = req
            .extensions()
            .get::<Inbound>()
            .map_or(IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED), |inbound| {
                inbound.client
            });
        self.read_in(&RequestHead::of(req), client, read)
    }

    /// Finds the token in a request of this client, and reads it.
    fn read_in<T>(
        &self,
        head: &RequestHead,
        client: IpAddr,
        read: impl FnOnce(&SessionService, &str) -> Result<T, TokenError>,
    ) -> Result<T, GatewayError> {
        let text = token::find(&*self.carriers, head.headers(), head.query())?.ok_or_else(|| {
            GatewayError::new(ErrorCode::LoginRequired, "This route needs a session: log in and send the token as \"Authorization: Bearer …\".")
        })?;
        read(&self.sessions, text).map_err(|_| {
            self.guesses.invalid_token(client);
            GatewayError::new(
                ErrorCode::TokenInvalid,
                "This is not a token that this gateway has issued. Log in again.",
            )
        })
    }
}
