//! What the gateway answers itself, for clients whose list has it: tickets, and signatures with them
//! and with users' keys.

use actix_web::HttpResponse;
use actix_web::body::BoxBody;
use actix_web::dev::Payload;
use actix_web::web::Query;
use serde::de::DeserializeOwned;

use super::credentials::Caller;
use super::paths::PathPattern;
use super::request_body::small_json;
use super::tickets::{self, PageRequest};
use super::user_signature::{self, SignRequest};
use crate::clock::UnixMillis;
use crate::http::answer::json;
use crate::http::{ErrorCode, GatewayError, RequestHead};
use crate::identity::{AppTicketSource, AppTokenError, AppTokenSource};
use crate::provider::server_api::ServerApi;
use crate::session::SessionKeys;

/// What the gateway's own paths begin with. Nothing below it is passed on.
const PREFIX: &str = "/hufu";

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OwnEndpoint {
    SignPage,
    PageTicket,
    PlatformTicket,
    SignForUser,
}

/// The gateway's own paths.
const OWN: [(&str, OwnEndpoint); 3] = [
    ("/hufu/jssdk/sign", OwnEndpoint::SignPage),
    ("/hufu/ticket/jsapi", OwnEndpoint::PageTicket),
    (SIGN_FOR_USER, OwnEndpoint::SignForUser),
];
const SIGN_FOR_USER: &str = "/hufu/session-key/sign";

/// What they work with.
pub(super) struct OwnParts<'a> {
    pub(super) tokens: &'a dyn AppTokenSource,
    pub(super) tickets: &'a dyn AppTicketSource,
    pub(super) keys: &'a dyn SessionKeys,
    pub(super) api: &'a ServerApi,
    pub(super) now: UnixMillis,
}

/// Whether a pattern is for the gateway's own paths, but for none that there is.
#[must_use]
pub fn is_for_no_endpoint(pattern: &PathPattern) -> bool {
    OwnEndpoint::claims(pattern.text()) && !OWN.iter().any(|(path, _)| pattern.covers(path))
}

/// Whether a pattern is for the signatures with users' keys, and for nothing else.
#[must_use]
pub fn is_for_user_signatures(pattern: &PathPattern) -> bool {
    let mut covered = OWN.iter().filter(|(path, _)| pattern.covers(path));
    pattern.text().starts_with(PREFIX)
        && covered
            .next()
            .is_some_and(|(path, _)| *path == SIGN_FOR_USER)
}

impl OwnEndpoint {
    pub(super) fn of(path: &str, api: &ServerApi) -> Option<Self> {
        if path == api.ticket {
            return Some(Self::PlatformTicket);
        }
        let own = OWN.iter().find(|(own, _)| *own == path);
        own.map(|(_, endpoint)| *endpoint)
    }

    /// Whether a plain path is one of the gateway's, in any case of letters.
    pub(super) fn claims(path: &str) -> bool {
        let first = path.get(..PREFIX.len());
        let rest = path.get(PREFIX.len()..).unwrap_or_default();
        first.is_some_and(|first| first.eq_ignore_ascii_case(PREFIX))
            && (rest.is_empty() || rest.starts_with('/'))
    }

    pub(super) const fn method(self) -> &'static str {
        match self {
            Self::SignPage | Self::SignForUser => "POST",
            Self::PageTicket | Self::PlatformTicket => "GET",
        }
    }

    pub(super) async fn answer(
        self,
        caller: &Caller,
        head: &RequestHead,
        payload: &mut Payload,
        parts: &OwnParts<'_>,
    ) -> Result<HttpResponse<BoxBody>, GatewayError> {
        is_authorised(caller, parts.tokens).await?;
        match self {
            Self::SignPage => {
                let request: PageRequest = read(head, payload).await?;
                let signed =
                    tickets::sign_page(caller, request, parts.tickets, parts.api, parts.now);
                Ok(json(&signed.await?))
            }
            Self::PageTicket => Ok(json(&tickets::page_ticket(caller, parts.tickets).await?)),
            Self::PlatformTicket => {
                let pairs =
                    Query::<Vec<(String, String)>>::from_query(head.query().unwrap_or_default())
                        .map(Query::into_inner)
                        .unwrap_or_default();
                let mut kinds = pairs.iter().filter(|(name, _)| name == "type");
                let kind = kinds.next().map(|(_, kind)| kind.as_str());
                if kinds.next().is_some() {
                    return Err(GatewayError::new(
                        ErrorCode::RequestInvalid,
                        "The query has more than one type.",
                    ));
                }
                let ticket = tickets::platform_ticket(caller, kind, parts.tickets);
                Ok(json(&ticket.await?))
            }
            Self::SignForUser => {
                let request: SignRequest = read(head, payload).await?;
                Ok(json(
                    &user_signature::sign(caller, request, parts.keys).await?,
                ))
            }
        }
    }
}

/// Whether the app that the call is for still lets another one act for it. Its tickets and its users'
/// keys outlive a withdrawal; its token does not.
async fn is_authorised(caller: &Caller, tokens: &dyn AppTokenSource) -> Result<(), AppTokenError> {
    let app = &caller.app.app;
    if app.authorizer().is_none() {
        return Ok(());
    }
    match tokens.token(app).await {
        Err(error @ AppTokenError::NotAuthorized { .. }) => Err(error),
        // What needs no token works while none can be had.
        _ => Ok(()),
    }
}

async fn read<T: DeserializeOwned>(
    head: &RequestHead,
    payload: &mut Payload,
) -> Result<T, GatewayError> {
    let body = small_json(head, payload).await?;
    serde_json::from_slice(&body).map_err(|error| {
        GatewayError::new(
            ErrorCode::RequestInvalid,
            format!("The body is invalid: {error}."),
        )
    })
}
