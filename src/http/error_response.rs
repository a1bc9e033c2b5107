//! How an error is written as an answer.

use actix_web::http::StatusCode;
use actix_web::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER,
    SEC_WEBSOCKET_VERSION, WWW_AUTHENTICATE,
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
        let mut response = HttpResponseBuilder::new(status).body(body);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(
            HeaderName::from_static(X_HUFU_ERROR),
            HeaderValue::from_static(self.code.word()),
        );
        if let Some(challenge) = challenge(self.code, status) {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if let Some(seconds) = self.retry_after.map(whole_seconds) {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.code == ErrorCode::WebsocketVersionUnsupported {
            headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        }
        if let Some(refusal) = &self.refusal {
            rate_limit::write_fields(headers, refusal);
        }
        if let Some(methods) = self
            .allow
            .as_deref()
            .and_then(|methods| HeaderValue::from_str(methods).ok())
        {
            headers.insert(ALLOW, methods);
        }
        if self.close {
            response
                .head_mut()
                .set_connection_type(actix_web::http::ConnectionType::Close);
        }
        response
    }
}

/// RFC 6750 section 3: `error` stands only where a token came.
fn challenge(code: ErrorCode, status: StatusCode) -> Option<&'static str> {
    match code {
        _ if status != StatusCode::UNAUTHORIZED => None,
        ErrorCode::AdminTokenInvalid => Some(r#"Bearer realm="hufu admin""#),
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
