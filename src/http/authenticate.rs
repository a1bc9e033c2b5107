//! Who sends this request, and whether the route lets them.

use std::net::IpAddr;
use std::sync::Arc;

use actix_web::{HttpMessage as _, HttpRequest};

use crate::http::error::{ErrorCode, GatewayError};
use crate::http::extract::Inbound;
use crate::http::head::{Headers, RequestHead};
use crate::http::token;
use crate::limit::GuessWatch;
use crate::route::AuthMode;
use crate::session::carrier::TokenCarrier;
use crate::session::{LiveSession, SessionService, SessionToken, UserKey};

/// Whom the rules let through.
#[derive(Debug)]
pub enum Caller {
    /// A living session.
    Session(LiveSession),
    /// Nobody: the route asks for nobody, or does not insist.
    Anonymous {
        /// The token that came was no good; the answer says so.
        dead_token: Option<ErrorCode>,
    },
}

impl Caller {
    /// The user, where there is a session.
    #[must_use]
    pub fn user(&self) -> Option<&UserKey> {
        if let Self::Session(live) = self { Some(&live.session.user) } else { None }
    }
}

/// Finds the token in a request and the session behind it.
#[derive(Debug, Clone)]
pub struct Authenticator {
    sessions: Arc<SessionService>,
    carriers: Arc<[TokenCarrier]>,
    guesses: Arc<GuessWatch>,
}

impl Authenticator {
    /// Looks for tokens in these places.
    #[must_use]
    pub fn new(sessions: Arc<SessionService>, carriers: Arc<[TokenCarrier]>, guesses: Arc<GuessWatch>) -> Self {
        Self { sessions, carriers, guesses }
    }

    /// The places that are looked at.
    #[must_use]
    pub fn carriers(&self) -> &[TokenCarrier] {
        &self.carriers
    }

    /// Applies a route's rule to a request of this client.
    pub async fn admit(&self, mode: AuthMode, head: &RequestHead, client: IpAddr) -> Result<Caller, GatewayError> {
        if mode == AuthMode::None {
            return Ok(Caller::Anonymous { dead_token: None });
        }
        match self.session_behind(self.token_in(head.headers(), head.query(), client)).await {
            Ok(live) => Ok(Caller::Session(live)),
            Err(error) => match (mode, error.code) {
                (AuthMode::Optional, ErrorCode::LoginRequired) => Ok(Caller::Anonymous { dead_token: None }),
                (AuthMode::Optional, code @ (ErrorCode::SessionExpired | ErrorCode::TokenInvalid)) => Ok(Caller::Anonymous { dead_token: Some(code) }),
                _ => Err(error),
            },
        }
    }

    /// The living session of a request to one of the gateway's own endpoints.
    pub async fn session(&self, req: &HttpRequest) -> Result<LiveSession, GatewayError> {
        self.session_behind(self.token(req)).await
    }

    async fn session_behind(&self, token: Result<SessionToken, GatewayError>) -> Result<LiveSession, GatewayError> {
        let live = self.sessions.resolve(&token?).await?;
        live.ok_or_else(|| GatewayError::new(ErrorCode::SessionExpired, "The session has expired or was ended. Log in again and repeat the request."))
    }

    /// The token of a request to one of the gateway's own endpoints, checked as far as that goes without the store.
    pub fn token(&self, req: &HttpRequest) -> Result<SessionToken, GatewayError> {
        // Own endpoints have the facts of the head; without them nobody in particular has sent it.
        let client = req.extensions().get::<Inbound>().map_or(IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED), |inbound| inbound.client);
        let head = RequestHead::of(req);
        self.token_in(head.headers(), head.query(), client)
    }

    fn token_in(&self, headers: Headers<'_>, query: Option<&str>, client: IpAddr) -> Result<SessionToken, GatewayError> {
        let text = token::find(&self.carriers, headers, query)?.ok_or_else(|| {
            GatewayError::new(ErrorCode::LoginRequired, "This route needs a session: log in and send the token as \"Authorization: Bearer …\".")
        })?;
        self.sessions.read_token(text).map_err(|_| {
            self.guesses.invalid_token(client);
            GatewayError::new(ErrorCode::TokenInvalid, "This is not a token that this gateway has issued. Log in again.")
        })
    }

    /// The sessions behind the tokens.
    #[must_use]
    pub const fn sessions(&self) -> &Arc<SessionService> {
        &self.sessions
    }
}
