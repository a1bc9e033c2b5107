//! The error codes: one stable word and one status each.

use actix_web::http::StatusCode;

/// The stable words of docs/errors.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// No token on a protected route.
    LoginRequired,
    /// Two tokens that differ, or one sent in two places.
    TokenAmbiguous,
    /// A token that cannot be one, or that nobody here issued.
    TokenInvalid,
    /// Unknown, expired or revoked.
    SessionExpired,
    /// A living session that the route's `require` does not let in.
    Forbidden,
    /// No session of this name, or another user's.
    SessionNotFound,
    /// The platform refused the code, or it cannot be one.
    CodeInvalid,
    /// The code was used before.
    CodeUsed,
    /// Several apps and none named.
    AppRequired,
    /// An app that is not configured.
    AppUnknown,
    /// The app acts for those of others and none was named.
    AuthorizerRequired,
    /// What was named cannot be one, or the app acts for no other.
    AuthorizerInvalid,
    /// The app that was named has not authorised the gateway's.
    AppNotAuthorized,
    /// The code came from another app.
    AppMismatch,
    /// Blocked by the platform.
    UserBlocked,
    /// Refused by the team's own backend.
    LoginRefused,
    /// The team's own backend, which is asked about logins, gave no answer that counts.
    LoginHookFailed,
    /// What the login brings and what operators have set for the user break a limit together.
    LoginClaimsTooLarge,
    /// Open data that is not this user's, of now, and whole.
    OpenDataInvalid,
    /// The gateway has no session_key of this user, or the platform takes none that it has.
    SessionKeyGone,
    /// The user's platform has no such thing.
    UnsupportedByPlatform,
    /// Too many calls.
    RateLimited,
    /// The platform's API without the secret of a client, or with a wrong one.
    ClientSecretInvalid,
    /// The same with the gateway as an HTTP proxy that wants a login.
    ProxyLoginRequired,
    /// A token of the gateway's for the platform's API that has ended.
    GatewayTokenExpired,
    /// A call that the client may not make.
    ApiNotAllowed,
    /// The platform is down, slow or busy.
    PlatformUnavailable,
    /// The platform was silent for too long.
    PlatformTimeout,
    /// The platform answered nonsense.
    PlatformError,
    /// The operator has to fix something.
    Misconfigured,
    /// The store cannot be reached: nothing is known about the session.
    StoreUnavailable,
    /// No such route.
    RouteNotFound,
    /// No such endpoint under the gateway's prefix.
    EndpointNotFound,
    /// The endpoint does not take this method.
    MethodNotAllowed,
    /// A body that is not what the endpoint takes.
    RequestInvalid,
    /// A body in another form than JSON.
    UnsupportedMediaType,
    /// A path that servers could read in two ways.
    PathInvalid,
    /// A request target over the limit.
    UriTooLong,
    /// A request head over the limit.
    HeadTooLarge,
    /// A request that did not come in time.
    RequestTimeout,
    /// Another version of HTTP.
    VersionUnsupported,
    /// An `Expect` that is not `100-continue`.
    ExpectationFailed,
    /// An upgrade that is not a WebSocket handshake.
    UpgradeInvalid,
    /// A WebSocket handshake of another version than 13.
    WebsocketVersionUnsupported,
    /// A WebSocket of a page that may not open any, or what such a page asks with a cookie alone.
    OriginForbidden,
    /// One user has as many WebSockets as it may have.
    WebsocketLimit,
    /// The gateway has as many WebSockets as it takes.
    WebsocketsFull,
    /// A body over the limit.
    BodyTooLarge,
    /// A body that ended before its announced end, or was not framed as announced.
    BodyBroken,
    /// The admin API without its token, or with a wrong one.
    AdminTokenInvalid,
    /// The admin API, which has no token and so is off.
    AdminDisabled,
    /// `/auth/verify` asked by somebody who is not a trusted proxy.
    UntrustedPeer,
    /// A pushed message, or the check of its console, without the right signature.
    PushSignatureInvalid,
    /// A pushed message that cannot be believed or read.
    PushInvalid,
    /// A pushed message that was neither delivered nor kept.
    PushUndelivered,
    /// The upstream refuses connections.
    UpstreamUnreachable,
    /// The upstream was silent for too long.
    UpstreamTimeout,
    /// The upstream has as many requests as it takes, or every endpoint of it is unhealthy.
    UpstreamUnavailable,
    /// The upstream answered something that is not HTTP, or broke off before its head was complete.
    UpstreamError,
    /// The process ends, and the upstream has not answered in the time that was left.
    ShuttingDown,
    /// A request that the gateway itself has sent.
    LoopDetected,
    /// A fault of the gateway.
    Internal,
}

impl ErrorCode {
    /// Every code, in the order of docs/errors.md.
    pub const ALL: [Self; 62] = [
        Self::LoginRequired,
        Self::TokenAmbiguous,
        Self::TokenInvalid,
        Self::SessionExpired,
        Self::Forbidden,
        Self::SessionNotFound,
        Self::CodeInvalid,
        Self::CodeUsed,
        Self::AppRequired,
        Self::AppUnknown,
        Self::AuthorizerRequired,
        Self::AuthorizerInvalid,
        Self::AppNotAuthorized,
        Self::AppMismatch,
        Self::UserBlocked,
        Self::LoginRefused,
        Self::LoginHookFailed,
        Self::LoginClaimsTooLarge,
        Self::OpenDataInvalid,
        Self::SessionKeyGone,
        Self::UnsupportedByPlatform,
        Self::RateLimited,
        Self::ClientSecretInvalid,
        Self::ProxyLoginRequired,
        Self::GatewayTokenExpired,
        Self::ApiNotAllowed,
        Self::PlatformUnavailable,
        Self::PlatformTimeout,
        Self::PlatformError,
        Self::Misconfigured,
        Self::StoreUnavailable,
        Self::RouteNotFound,
        Self::EndpointNotFound,
        Self::MethodNotAllowed,
        Self::RequestInvalid,
        Self::UnsupportedMediaType,
        Self::PathInvalid,
        Self::UriTooLong,
        Self::HeadTooLarge,
        Self::RequestTimeout,
        Self::VersionUnsupported,
        Self::ExpectationFailed,
        Self::UpgradeInvalid,
        Self::WebsocketVersionUnsupported,
        Self::OriginForbidden,
        Self::WebsocketLimit,
        Self::WebsocketsFull,
        Self::BodyTooLarge,
        Self::BodyBroken,
        Self::AdminTokenInvalid,
        Self::AdminDisabled,
        Self::UntrustedPeer,
        Self::PushSignatureInvalid,
        Self::PushInvalid,
        Self::PushUndelivered,
        Self::UpstreamUnreachable,
        Self::UpstreamTimeout,
        Self::UpstreamUnavailable,
        Self::UpstreamError,
        Self::ShuttingDown,
        Self::LoopDetected,
        Self::Internal,
    ];

    /// The stable word, the HTTP status and the title. One `match` without `_`: a new code does not
    /// compile until someone has decided.
    pub const fn describe(self) -> (&'static str, u16, &'static str) {
        match self {
            Self::LoginRequired => ("login_required", 401, "Log in first"),
            Self::TokenAmbiguous => ("token_ambiguous", 400, "More than one token"),
            Self::TokenInvalid => ("token_invalid", 401, "Not a token of this gateway"),
            Self::SessionExpired => ("session_expired", 401, "The session has ended"),
            Self::Forbidden => ("forbidden", 403, "Not for this user"),
            Self::SessionNotFound => ("session_not_found", 404, "No such session"),
            Self::CodeInvalid => ("code_invalid", 400, "The code is not valid"),
            Self::CodeUsed => ("code_used", 400, "The login code was used before"),
            Self::AppRequired => ("app_required", 400, "Name the app"),
            Self::AppUnknown => ("app_unknown", 400, "No such app"),
            Self::AuthorizerRequired => ("authorizer_required", 400, "Name the user's app"),
            Self::AuthorizerInvalid => ("authorizer_invalid", 400, "Not an app to act for"),
            Self::AppNotAuthorized => (
                "app_not_authorized",
                403,
                "The app has not authorised this one",
            ),
            Self::AppMismatch => ("app_mismatch", 400, "The login code is of another app"),
            Self::UserBlocked => ("user_blocked", 403, "This user is blocked"),
            Self::LoginRefused => ("login_refused", 403, "The login was refused"),
            Self::LoginHookFailed => (
                "login_hook_failed",
                503,
                "It could not be decided about the login",
            ),
            Self::LoginClaimsTooLarge => (
                "login_claims_too_large",
                503,
                "The user's claims do not fit together",
            ),
            Self::OpenDataInvalid => ("open_data_invalid", 400, "The data cannot be opened"),
            Self::SessionKeyGone => ("session_key_gone", 409, "There is no session_key"),
            Self::UnsupportedByPlatform => (
                "unsupported_by_platform",
                400,
                "The platform does not give this",
            ),
            Self::RateLimited => ("rate_limited", 429, "Too many requests"),
            Self::ClientSecretInvalid => (
                "client_secret_invalid",
                401,
                "Not a secret of a client of the platform's API",
            ),
            Self::ProxyLoginRequired => ("proxy_login_required", 407, "The proxy wants a login"),
            Self::GatewayTokenExpired => (
                "gateway_token_expired",
                401,
                "The gateway's token has ended",
            ),
            Self::ApiNotAllowed => ("api_not_allowed", 403, "This client may not call this"),
            Self::PlatformTimeout => (
                "platform_timeout",
                504,
                "The platform was silent for too long",
            ),
            Self::PlatformUnavailable => (
                "platform_unavailable",
                503,
                "The platform cannot be used now",
            ),
            Self::PlatformError => (
                "platform_error",
                502,
                "The platform's answer cannot be used",
            ),
            Self::Misconfigured => (
                "misconfigured",
                500,
                "The operator has to correct something",
            ),
            Self::StoreUnavailable => {
                ("store_unavailable", 503, "Sessions cannot be looked up now")
            }
            Self::RouteNotFound => ("route_not_found", 404, "No such route"),
            Self::EndpointNotFound => ("endpoint_not_found", 404, "No such endpoint"),
            Self::MethodNotAllowed => ("method_not_allowed", 405, "Not with this method"),
            Self::RequestInvalid => ("request_invalid", 400, "The request cannot be read"),
            Self::UnsupportedMediaType => ("unsupported_media_type", 415, "Send JSON"),
            Self::PathInvalid => ("path_invalid", 400, "The path is ambiguous"),
            Self::UriTooLong => ("uri_too_long", 414, "The request target is too long"),
            Self::HeadTooLarge => ("head_too_large", 431, "The request's head is too large"),
            Self::RequestTimeout => ("request_timeout", 408, "The request did not come in time"),
            Self::VersionUnsupported => ("version_unsupported", 505, "Not this version of HTTP"),
            Self::ExpectationFailed => {
                ("expectation_failed", 417, "An expectation that is not met")
            }
            Self::UpgradeInvalid => ("upgrade_invalid", 400, "Not a WebSocket handshake"),
            Self::WebsocketVersionUnsupported => (
                "websocket_version_unsupported",
                426,
                "Not this version of WebSocket",
            ),
            Self::OriginForbidden => ("origin_forbidden", 403, "Not from this web page"),
            Self::WebsocketLimit => ("websocket_limit", 429, "Too many WebSockets of one user"),
            Self::WebsocketsFull => ("websockets_full", 503, "Too many WebSockets"),
            Self::BodyTooLarge => ("body_too_large", 413, "The body is too large"),
            Self::BodyBroken => ("body_broken", 400, "The body broke off"),
            Self::AdminTokenInvalid => ("admin_token_invalid", 401, "Not the admin token"),
            Self::AdminDisabled => ("admin_disabled", 403, "The admin API is off"),
            Self::UntrustedPeer => ("untrusted_peer", 403, "Only trusted proxies may ask"),
            Self::PushSignatureInvalid => (
                "push_signature_invalid",
                403,
                "Not signed by the app's platform",
            ),
            Self::PushInvalid => ("push_invalid", 400, "Not a message that is believed"),
            Self::PushUndelivered => (
                "push_undelivered",
                503,
                "The message was neither delivered nor kept",
            ),
            Self::UpstreamUnreachable => {
                ("upstream_unreachable", 502, "The backend cannot be reached")
            }
            Self::UpstreamTimeout => (
                "upstream_timeout",
                504,
                "The backend was silent for too long",
            ),
            Self::UpstreamUnavailable => (
                "upstream_unavailable",
                503,
                "The backend takes no more requests now",
            ),
            Self::UpstreamError => ("upstream_error", 502, "The backend's answer cannot be used"),
            Self::ShuttingDown => ("shutting_down", 503, "The gateway is shutting down"),
            Self::LoopDetected => ("loop_detected", 508, "The request has come back"),
            Self::Internal => ("internal", 500, "A fault of the gateway"),
        }
    }

    /// The stable word.
    pub const fn word(self) -> &'static str {
        self.describe().0
    }

    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.describe().1).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn words_are_unique_snake_case_and_statuses_are_errors() {
        let mut words = HashSet::new();
        for code in ErrorCode::ALL {
            let (word, status, title) = code.describe();
            assert!(words.insert(word), "{word}");
            assert!(word.chars().all(|c| c.is_ascii_lowercase() || c == '_') && !title.is_empty());
            assert!((400..600).contains(&status));
        }
    }
}
