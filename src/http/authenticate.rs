//! Who sends this request, and whether the route lets them.

use std::sync::Arc;

use actix_web::http::header::HeaderMap;

use crate::http::error::{ErrorCode, GatewayError};
use crate::http::token;
use crate::route::AuthMode;
use crate::session::carrier::TokenCarrier;
use crate::session::{LiveSession, SessionService, SessionToken, UserKey};

/// Whom the rules let through.
#[derive(Debug)]
pub enum Caller {
    /// A living session.
    Session(Box<LiveSession>),
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
}

impl Authenticator {
    /// Looks for tokens in these places.
    #[must_use]
    pub fn new(sessions: Arc<SessionService>, carriers: Arc<[TokenCarrier]>) -> Self {
        Self { sessions, carriers }
    }

    /// The places that are looked at.
    #[must_use]
    pub fn carriers(&self) -> &[TokenCarrier] {
        &self.carriers
    }

    /// Applies a route's rule to a request.
    pub async fn admit(&self, mode: AuthMode, headers: &HeaderMap, query: Option<&str>) -> Result<Caller, GatewayError> {
        if mode == AuthMode::None {
            return Ok(Caller::Anonymous { dead_token: None });
        }
        match self.session(headers, query).await {
            Ok(live) => Ok(Caller::Session(Box::new(live))),
            Err(error) => match (mode, error.code) {
                (AuthMode::Optional, ErrorCode::LoginRequired) => Ok(Caller::Anonymous { dead_token: None }),
                (AuthMode::Optional, code @ (ErrorCode::SessionExpired | ErrorCode::TokenInvalid)) => Ok(Caller::Anonymous { dead_token: Some(code) }),
                _ => Err(error),
            },
        }
    }

    /// The living session of a request.
    pub async fn session(&self, headers: &HeaderMap, query: Option<&str>) -> Result<LiveSession, GatewayError> {
        let token = self.token(headers, query)?;
        let live = self.sessions.resolve(&token).await?;
        live.ok_or_else(|| GatewayError::new(ErrorCode::SessionExpired, "The session has expired or was ended. Log in again and repeat the request."))
    }

    /// The token of a request, checked as far as that goes without the store.
    pub fn token(&self, headers: &HeaderMap, query: Option<&str>) -> Result<SessionToken, GatewayError> {
        let text = token::find(&self.carriers, headers, query)?.ok_or_else(|| {
            GatewayError::new(ErrorCode::LoginRequired, "This route needs a session: log in and send the token as \"Authorization: Bearer …\".")
        })?;
        self.sessions
            .read_token(&text)
            .map_err(|_| GatewayError::new(ErrorCode::TokenInvalid, "This is not a token that this gateway has issued. Log in again."))
    }

    /// The sessions behind the tokens.
    #[must_use]
    pub fn sessions(&self) -> &SessionService {
        &self.sessions
    }
}
