//! The answer that carries a token: of a login and of a rotation.

use std::time::Duration;

use serde::Serialize;

/// Times in whole seconds.
#[derive(Serialize)]
pub struct TokenAnswer<'a> {
    token: &'a str,
    token_type: &'static str,
    expires_in: u64,
    absolute_expires_in: u64,
    session_id: &'a str,
}

impl<'a> TokenAnswer<'a> {
    pub const fn new(
        token: &'a str,
        session_id: &'a str,
        expires_in: Duration,
        absolute_expires_in: Duration,
    ) -> Self {
        Self {
            token,
            token_type: "Bearer",
            expires_in: expires_in.as_secs(),
            absolute_expires_in: absolute_expires_in.as_secs(),
            session_id,
        }
    }
}
