//! Passes a call on with the real access token, once more with a fresh one where the platform
//! refuses it, and looks at the answer before anything of it goes out.

use std::cell::Cell;
use std::collections::BTreeSet;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, HeaderName, HeaderValue};
use actix_web::web::{Bytes, BytesMut};
use actix_web::{HttpResponse, HttpResponseBuilder};
use serde_json::Value;

use super::answer_body::{CallAnswerBody, PlatformBody};
use super::credentials::Caller;
use super::deadline::Deadline;
use super::json_escapes;
use super::limits::InFlight;
use super::query::CallQuery;
use super::request_body::{RequestBody, Upload, broken};
use crate::http::{ErrorCode, GatewayError, RequestHead};
use crate::identity::{AccessToken, AppTokenSource, TokenUse};
use crate::provider::client::CallError;
use crate::provider::server_api::ServerApi;
use crate::provider::server_calls::{ServerAnswer, ServerCall, ServerCallBody};
use crate::secret::Secret;

/// How much of an answer is read before anything of it goes out: errors are shorter.
const LOOKED_AT: usize = 64 * 1024;
/// Headers beside those of the content that a call's answer does not depend on.
const ACCEPT: [&str; 2] = ["accept", "accept-language"];

/// A call that may pass.
pub(super) struct Forward<'a> {
    pub(super) api: &'static ServerApi,
    pub(super) tokens: &'a dyn AppTokenSource,
    pub(super) head: &'a RequestHead,
    pub(super) query: &'a CallQuery<'a>,
    pub(super) caller: &'a Caller,
    /// Whether the platform may act on the call: not while its token is waited for.
    pub(super) is_out: Cell<bool>,
}

/// An answer whose beginning has been looked at.
struct Seen {
    begun: Bytes,
    /// `None`: there is no more.
    more: bool,
    answer: ServerAnswer,
    refuses_token: bool,
}

impl Forward<'_> {
    /// The platform's answer.
    pub(super) async fn answer(
        &self,
        body: RequestBody,
        place: InFlight,
    ) -> Result<HttpResponse<CallAnswerBody>, GatewayError> {
        let deadline = Deadline::new(self.caller.app.app.provider.total_timeout());
        let (seen, upload) = match body {
            RequestBody::Kept(bytes) => {
                let seen = self
                    .within(&deadline, None, self.with_fresh_token(bytes))
                    .await?;
                (seen, None)
            }
            RequestBody::Long(_) if self.head.method() == "GET" => {
                return Err(GatewayError::new(
                    ErrorCode::BodyTooLarge,
                    "A GET has no body of this size.",
                )
                .closing());
            }
            RequestBody::Long(long) => {
                let (body, mut upload) = long.stream(deadline.clone());
                let seen = self
                    .within(&deadline, Some(&mut upload), self.once(body))
                    .await?;
                (seen, Some(upload))
            }
        };
        self.respond(seen, deadline, upload, place)
    }

    /// Repeats the call once, where the platform refuses the token.
    async fn with_fresh_token(&self, body: Bytes) -> Result<Seen, GatewayError> {
        let call = |token: AccessToken| {
            let body = ServerCallBody::Whole(body.clone());
            async move {
                match self.call(&token, body).await {
                    Ok(seen) if seen.refuses_token => {
                        TokenUse::Refused(format!("at a call of {}", self.head.path()))
                    }
                    called => TokenUse::Taken(called),
                }
            }
        };
        self.tokens.with_token(&self.caller.app.app, call).await?
    }

    /// A call that cannot be repeated. The next one has a fresh token if this one's was refused.
    async fn once(&self, body: ServerCallBody) -> Result<Seen, GatewayError> {
        let app = &self.caller.app.app;
        let token = self.tokens.token(app).await?;
        let seen = self.call(&token, body).await?;
        if seen.refuses_token {
            let _ = self.tokens.token_after(app, &token).await;
        }
        Ok(seen)
    }

    async fn call(&self, token: &AccessToken, body: ServerCallBody) -> Result<Seen, GatewayError> {
        let call = ServerCall {
            method: self.head.method(),
            path: self.head.path(),
            query: Secret::new(self.query.with_token(self.api, token.text.expose())),
            headers: &self.headers(),
        };
        self.is_out.set(true);
        let sent = self.caller.app.calls.send(&call, body).await;
        let answer = sent.map_err(|error| self.no_answer(&error))?;
        let seen = self.look_at(answer, token).await?;
        self.is_out.set(!seen.refuses_token);
        Ok(seen)
    }

    /// Reads the beginning. An answer that holds the real token, or that leads elsewhere, goes no
    /// further.
    async fn look_at(
        &self,
        mut answer: ServerAnswer,
        token: &AccessToken,
    ) -> Result<Seen, GatewayError> {
        if answer.status < 200 {
            return Err(unusable(
                "The platform answers with another protocol, which is not passed on.",
            ));
        }
        if (300..400).contains(&answer.status) {
            return Err(unusable(
                "The platform answers with a redirect, which is not followed.",
            ));
        }
        let mut begun = BytesMut::new();
        let more = loop {
            if begun.len() > LOOKED_AT {
                break true;
            }
            match answer
                .piece()
                .await
                .map_err(|error| self.no_answer(&error))?
            {
                Some(piece) => begun.extend_from_slice(&piece),
                None => break false,
            }
        };
        let text = token.text.expose().as_bytes();
        let unescaped = json_escapes::resolved(&begun);
        let headers = answer.headers.iter().map(|(_, value)| value.as_slice());
        let bodies = [&*begun, unescaped.as_deref().unwrap_or_default()];
        if headers.chain(bodies).any(|bytes| holds(bytes, text)) {
            let app = &*self.caller.app.app.name;
            log::error!(app, client = &*self.caller.client.settings.name; "an answer of the platform to {} holds the access token; it is not passed on", self.head.path());
            return Err(unusable(
                "The platform's answer holds the access token, so it is not passed on.",
            ));
        }
        Ok(Seen {
            refuses_token: !more && self.refuses_token(&begun),
            begun: begun.freeze(),
            more,
            answer,
        })
    }

    fn refuses_token(&self, body: &[u8]) -> bool {
        if !body.trim_ascii_start().starts_with(b"{") {
            return false;
        }
        let Ok(Value::Object(body)) = serde_json::from_slice(body) else {
            return false;
        };
        let number = body.get(self.api.error_fields[0]).and_then(|number| {
            let text = number.as_str();
            text.map_or_else(|| number.as_i64(), |text| text.parse().ok())
        });
        number.is_some_and(|number| self.api.refused_token.contains(&number))
    }

    fn respond(
        &self,
        seen: Seen,
        deadline: Deadline,
        upload: Option<Upload>,
        place: InFlight,
    ) -> Result<HttpResponse<CallAnswerBody>, GatewayError> {
        let status = StatusCode::from_u16(seen.answer.status)
            .map_err(|_| unusable("The platform's answer has no known status."))?;
        let mut response = HttpResponseBuilder::new(status);
        response.insert_header((CACHE_CONTROL, "no-store"));
        for (name, value) in &seen.answer.headers {
            if let (true, Ok(name), Ok(value)) = (
                self.passes(name),
                HeaderName::from_bytes(name.as_bytes()),
                HeaderValue::from_bytes(value),
            ) {
                response.append_header((name, value));
            }
        }
        let answer = seen.more.then_some(seen.answer);
        let body = PlatformBody::new(seen.begun, answer, deadline, upload, place);
        response
            .message_body(CallAnswerBody::Platform(body))
            .map_err(|_| unusable("The platform's answer cannot be passed on."))
    }

    /// The headers of the call that pass.
    fn headers(&self) -> Vec<(&str, &[u8])> {
        // What `Connection` names belongs to the connection.
        let connection: BTreeSet<String> = self
            .head
            .headers()
            .get_all("connection")
            .filter_map(crate::http::head::Value::text)
            .flat_map(|line| line.split(','))
            .map(|name| name.trim().to_ascii_lowercase())
            .collect();
        self.head
            .headers()
            .iter()
            .filter_map(|(name, value)| Some((std::str::from_utf8(name).ok()?, value.bytes())))
            .filter(|(name, _)| self.passes(name) || ACCEPT.contains(name))
            .filter(|(name, _)| !connection.contains(*name))
            .collect()
    }

    /// Whether a header passes, both ways. The length is written anew.
    fn passes(&self, name: &str) -> bool {
        (name.starts_with("content-") && name != "content-length")
            || name.starts_with(self.api.header_prefix)
    }

    /// What comes of a call before the deadline; meanwhile the upload goes on.
    async fn within<T>(
        &self,
        deadline: &Deadline,
        upload: Option<&mut Upload>,
        call: impl Future<Output = Result<T, GatewayError>>,
    ) -> Result<T, GatewayError> {
        let upload = async {
            if let Some(upload) = upload
                && !upload.await
            {
                return broken(self.head);
            }
            std::future::pending().await
        };
        tokio::select! {
            biased;
            done = call => done,
            broken = upload => Err(broken),
            () = deadline.passed() => Err(self.too_late()),
        }
    }

    fn too_late(&self) -> GatewayError {
        if self.is_out.get() {
            return GatewayError::new(ErrorCode::PlatformTimeout, SILENT);
        }
        let app = &self.caller.app.app;
        log::warn!(app = &*app.name, client = &*self.caller.client.settings.name; "a call of {} was not made: no access token came in time", self.head.path());
        GatewayError::new(
            ErrorCode::PlatformUnavailable,
            "No access token came in time, so the platform has not acted on the call. Try again in a moment.",
        )
        .retry_after(app.provider.total_timeout())
    }

    fn no_answer(&self, error: &CallError) -> GatewayError {
        let app = &*self.caller.app.app.name;
        log::warn!(app, client = &*self.caller.client.settings.name; "a call of {} has no answer: {error}", self.head.path());
        let (code, detail) = match error {
            CallError::NotSent { .. } => (
                ErrorCode::PlatformUnavailable,
                "The platform cannot be reached; it has not got the call.",
            ),
            CallError::Silent { .. } => (ErrorCode::PlatformTimeout, SILENT),
            // Not the code of a call that was not made: backends repeat those without a thought.
            CallError::Broken { .. } | CallError::TooLarge { .. } => (
                ErrorCode::PlatformError,
                "The connection to the platform broke; it may have acted on the call.",
            ),
        };
        GatewayError::new(code, detail)
    }
}

const SILENT: &str = "The platform has not answered in time; it may have acted on the call.";

fn unusable(detail: &'static str) -> GatewayError {
    GatewayError::new(ErrorCode::PlatformError, detail)
}

fn holds(bytes: &[u8], text: &[u8]) -> bool {
    !text.is_empty() && bytes.windows(text.len()).any(|window| window == text)
}
