//! Fetches tickets of an app's, with a token of the app's.

use std::sync::Arc;

use async_trait::async_trait;

use super::engine::{Engine, Question, Try, unavailable};
use super::platform::TicketApi;
use crate::identity::{AppTickets, ExchangeError, GrantedToken, TicketKind, TokenUse};
use crate::secret::Secret;

/// One app's. Neither the logins' permits nor their breaker count here.
pub(super) struct TicketCalls {
    pub(super) engine: Arc<Engine>,
    pub(super) api: &'static TicketApi,
}

#[async_trait]
impl AppTickets for TicketCalls {
    async fn fetch(
        &self,
        kind: TicketKind,
        token: &Secret<String>,
    ) -> TokenUse<Result<GrantedToken, ExchangeError>> {
        let question = Question {
            path: self.api.path,
            call: &|| (self.api.request)(token.expose(), kind),
            read: self.api.read,
            hidden: &[token.expose()],
        };
        match self.engine.ask(&question).await {
            Try::Answered(Ok(TokenUse::Refused(why))) => TokenUse::Refused(why),
            Try::Answered(Ok(TokenUse::Taken(ticket))) => TokenUse::Taken(Ok(ticket)),
            Try::Answered(Err(error)) => TokenUse::Taken(Err(error)),
            Try::Busy(none) | Try::NotSent(none) | Try::Cut(none) | Try::Down(none) => {
                TokenUse::Taken(Err(unavailable(none.reason)))
            }
        }
    }
}
