//! Who sends a request to the admin API.

use std::future::{Ready, ready};
use std::net::IpAddr;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest};

use crate::http::{ErrorCode, GatewayError};

/// As the audit lines name an operator.
#[derive(Debug, Clone)]
pub(super) struct Operator {
    /// The name of the token: `by`.
    pub(super) token: Arc<str>,
    /// Where the request comes from: `from`.
    pub(super) address: String,
}

impl Operator {
    pub(super) fn new(token: Arc<str>, address: IpAddr) -> Self {
        Self {
            token,
            address: address.to_string(),
        }
    }
}

/// Whoever has shown a token is one: the guard before the operations notes it in the request.
impl FromRequest for Operator {
    type Error = GatewayError;
    type Future = Ready<Result<Self, GatewayError>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let noted = req.extensions().get::<Self>().cloned();
        ready(noted.ok_or_else(|| {
            GatewayError::new(
                ErrorCode::Internal,
                "The token of this request was not looked at.",
            )
        }))
    }
}
