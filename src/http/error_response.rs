//! How an error is written as an answer.

use actix_web::http::StatusCode;
use actix_web::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, SEC_WEBSOCKET_VERSION, WWW_AUTHENTICATE,
};
use actix_web::{HttpResponse, HttpResponseBuilder};
use serde::Serialize;

use crate::http::error::{ErrorCode, GatewayError, X_HUFU_ERROR};
use crate::http::failure::FailureShape;
use crate::http::rate_limit::{self, whole_seconds};
use crate::identity::PlatformCode;

impl GatewayError {
    /// The answer, as a problem document.
    pub fn response(&self, request_id: &str) -> HttpResponse {
        self.response_with(self.code.status(), request_id)
    }

    /// The answer in the shape that its clients expect. That nobody answers here is said plainly in
    /// any case: to a proxy that asks the wrong address whether a request may pass, a template's
    /// 200 would be a yes.
    pub fn response_as(&self, shape: &FailureShape, request_id: &str) -> HttpResponse {
        let (status, body) = match (shape, self.code) {
            (FailureShape::Problem, _)
            | (_, ErrorCode::RouteNotFound | ErrorCode::EndpointNotFound) => {
                return self.response(request_id);
            }
            (FailureShape::Template { status, body }, _) => (status, body),
        };
        let (code, own, title) = self.code.describe();
        let status = status.unwrap_or_else(|| self.code.status());
        let text = body.fill(&[code, &self.detail, title, &own.to_string(), request_id]);
        self.answer(status, "application/json", text.into_bytes())
    }

    /// The answer under another status, for askers who know only some.
    pub fn response_with(&self, status: StatusCode, request_id: &str) -> HttpResponse {
        let body =
            serde_json::to_vec(&ProblemDocument::new(self, status, request_id)).unwrap_or_default();
        self.answer(status, "application/problem+json", body)
    }

    fn answer(
        &self,
        status: StatusCode,
        content_type: &'static str,
        body: Vec<u8>,
    ) -> HttpResponse {
        let mut response = HttpResponseBuilder::new(status);
        response
            .insert_header((CONTENT_TYPE, content_type))
            .insert_header((CACHE_CONTROL, "no-store"))
            .insert_header((X_HUFU_ERROR, self.code.word()));
        if let Some(challenge) = challenge(self.code, status) {
            response.insert_header((WWW_AUTHENTICATE, challenge));
        }
        if let Some(seconds) = self.retry_after.map(whole_seconds) {
            response.insert_header((RETRY_AFTER, seconds));
        }
        if self.code == ErrorCode::WebsocketVersionUnsupported {
            response.insert_header((SEC_WEBSOCKET_VERSION, "13"));
        }
        if let Some(refusal) = &self.refusal {
            for field in rate_limit::fields(refusal) {
                response.insert_header(field);
            }
        }
        if let Some(methods) = self.allow.as_deref() {
            response.insert_header((ALLOW, methods));
        }
        if self.close {
            response.force_close();
        }
        response.body(body)
    }
}

/// RFC 6750 section 3: `error` stands only where a token came.
fn challenge(code: ErrorCode, status: StatusCode) -> Option<&'static str> {
    match code {
        _ if status != StatusCode::UNAUTHORIZED => None,
        ErrorCode::AdminTokenInvalid => Some(r#"Bearer realm="hufu admin""#),
        ErrorCode::ClientSecretInvalid => Some(r#"Bearer realm="hufu platform api""#),
        ErrorCode::TokenInvalid | ErrorCode::SessionExpired => {
            Some(r#"Bearer realm="hufu", error="invalid_token""#)
        }
        _ => Some(r#"Bearer realm="hufu""#),
    }
}

#[derive(Serialize)]
struct ProblemDocument<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    code: &'static str,
    detail: &'a str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform_code: Option<&'a PlatformCode>,
}

impl<'a> ProblemDocument<'a> {
    fn new(error: &'a GatewayError, status: StatusCode, request_id: &'a str) -> Self {
        let (code, _, title) = error.code.describe();
        Self {
            r#type: format!("urn:hufu:error:{code}"),
            title,
            status: status.as_u16(),
            code,
            detail: &error.detail,
            request_id,
            retry_after: error.retry_after.map(whole_seconds),
            platform_code: error.platform_code.as_ref(),
        }
    }
}
