//! Requests whose method is not the right one, or not the only one.

use crate::assertion::reserved::is_same_name;
use crate::http::error::{ErrorCode, GatewayError};
use crate::http::head::Headers;

/// Headers by which some backends let a request be treated as if it had another method: those that
/// the Fetch standard knows. docs/routes.md says who honours them, and what is not covered.
const OVERRIDES: [&str; 3] = [
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
];

/// Longest method, in bytes; the longest registered one has 17.
const MAX_METHOD: usize = 20;

/// Whether it could be a method's name, and one that backends may see. What else is a token for the
/// standard, the server behind the gateway may not take for one; TRACE would send the identity
/// headers back to the client.
pub fn goes_on(method: &str) -> bool {
    // In any case: methods have theirs, but some frameworks make capitals of them.
    is_word(method)
        && method.len() <= MAX_METHOD
        && !["CONNECT", "TRACE"]
            .iter()
            .any(|never| method.eq_ignore_ascii_case(never))
}

/// Whether it has only characters that methods' names have.
pub fn is_word(method: &str) -> bool {
    !method.is_empty()
        && method
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// Whether some backends take the method from a header of this name.
pub fn is_override(name: &[u8]) -> bool {
    OVERRIDES.iter().any(|own| is_same_name(own, name))
}

/// Refuses a request whose headers name another method than its own. Asked where the method has
/// chosen the rule: a backend that honours them would run what another rule protects.
pub fn refuse_another(method: &str, headers: Headers<'_>) -> Result<(), GatewayError> {
    let is_another = |value: &[u8]| !value.trim_ascii().eq_ignore_ascii_case(method.as_bytes());
    let another = headers
        .iter()
        .any(|(name, value)| is_override(name) && is_another(value.bytes()));
    if another {
        Err(GatewayError::new(
            ErrorCode::RequestInvalid,
            "The request names two methods; send it with the one that is meant.",
        ))
    } else {
        Ok(())
    }
}

/// The path or the endpoint is for other methods: these.
pub fn other_methods(what: &str, methods: &str) -> GatewayError {
    GatewayError::new(
        ErrorCode::MethodNotAllowed,
        format!("This {what} takes {methods}."),
    )
    .allow(methods)
}
