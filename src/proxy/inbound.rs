//! What is refused before a route is looked for, beyond what the parser refuses, and how the
//! request's body is framed.

use std::borrow::Cow;

use crate::http::method::other_methods;
use crate::http::{ErrorCode, GatewayError, Headers};
use crate::route::{HostName, NoRoute, PathError, host_name};
use crate::session::token::redacted;
use crate::upstream_client::upload::BodyFraming;

/// A token in the path would be in every log on its way, and in the backend's hands.
pub fn refuse_token_in(path: &str) -> Result<(), GatewayError> {
    if has_token(path) {
        Err(GatewayError::new(
            ErrorCode::PathInvalid,
            "The path carries a session token; send it as \"Authorization: Bearer …\".",
        ))
    } else {
        Ok(())
    }
}

/// Whether a token stands in it, as it is written.
pub fn has_token(text: &str) -> bool {
    matches!(redacted(text), Cow::Owned(_))
}

/// How the body comes. The parser has refused everything that has two readings.
pub fn body_framing(headers: Headers<'_>, limit: u64) -> Result<BodyFraming, GatewayError> {
    if headers.contains("transfer-encoding") {
        return Ok(BodyFraming::Chunked);
    }
    let Some(length) = headers.get("content-length") else {
        return Ok(BodyFraming::None);
    };
    let length = length.text().and_then(|digits| digits.trim().parse().ok());
    let length = length.ok_or_else(|| {
        GatewayError::new(
            ErrorCode::RequestInvalid,
            "The Content-Length is not a number.",
        )
        .closing()
    })?;
    if length > limit {
        Err(too_large().closing())
    } else {
        Ok(BodyFraming::Sized(length))
    }
}

/// The body is over the limit.
pub fn too_large() -> GatewayError {
    GatewayError::new(
        ErrorCode::BodyTooLarge,
        "The request's body is longer than this route takes.",
    )
}

/// The host of a request, in the form in which hosts are compared.
pub fn host(headers: Headers<'_>) -> Option<HostName> {
    headers.get("host").and_then(|host| host_name(host.text()?))
}

/// Why there is no route, for the client.
pub fn no_route(why: NoRoute<'_>) -> GatewayError {
    match why {
        NoRoute::Unknown => GatewayError::new(
            ErrorCode::RouteNotFound,
            "No route of the gateway matches this host and path.",
        ),
        NoRoute::OtherMethods(methods) => other_methods("path", methods),
        NoRoute::Refused(why) => ambiguous_path(why),
    }
}

/// The path has two readings.
pub fn ambiguous_path(error: PathError) -> GatewayError {
    GatewayError::new(ErrorCode::PathInvalid, format!("Refused: {error}."))
}
