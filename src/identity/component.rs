//! An app that acts for the apps of others, its authorizers: what its platform can do for it.

use std::sync::Arc;

use async_trait::async_trait;

use super::capability::GrantedToken;
use super::exchange_error::{ExchangeError, PlatformCode};
use super::token_use::TokenUse;
use crate::clock::UnixMillis;
use crate::secret::Secret;

/// What a platform does for a component. Its own token comes by a ticket that the platform pushes;
/// the other calls carry that token.
#[async_trait]
pub trait ComponentApi: Send + Sync {
    /// What to do where no ticket has come, for operators.
    fn no_ticket(&self) -> &'static str;

    /// Has the platform push tickets, if it has stopped.
    async fn start_tickets(&self) -> Result<(), ExchangeError>;

    /// The component's own token.
    async fn fetch(&self, ticket: &Secret<String>) -> Result<GrantedToken, ExchangeError>;

    /// The first tokens of an authorizer, by the code of its authorization.
    async fn authorization(
        &self,
        token: &Secret<String>,
        code: &Secret<String>,
    ) -> TokenUse<Result<Authorization, ExchangeError>>;

    /// An authorizer's next tokens.
    async fn refresh(
        &self,
        token: &Secret<String>,
        authorizer: &str,
        refresh_token: &Secret<String>,
    ) -> TokenUse<Result<Refreshed, ExchangeError>>;

    /// The refresh token that the platform has of an authorizer.
    async fn refresh_token(
        &self,
        token: &Secret<String>,
        authorizer: &str,
    ) -> TokenUse<Result<Secret<String>, ExchangeError>>;

    /// What a pushed message is to a component.
    fn event(&self, fields: &PushedFields<'_>) -> PushedEvent;
}

/// What an authorization gives.
#[derive(Debug)]
pub struct Authorization {
    /// The platform's id of the app.
    pub authorizer: Arc<str>,
    pub tokens: AuthorizerTokens,
}

#[derive(Debug)]
pub struct AuthorizerTokens {
    pub access: GrantedToken,
    pub refresh: Secret<String>,
}

/// Gives the text of a field of a pushed event.
pub type PushedFields<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// What came of a refresh token.
#[derive(Debug)]
pub enum Refreshed {
    Fresh(AuthorizerTokens),
    /// The platform does not take it.
    Refused(PlatformCode),
}

/// A message that a platform has pushed to a component.
#[derive(Debug)]
pub enum PushedEvent {
    /// The gateway acts on it.
    Own(DatedEvent),
    /// It would, but something is missing in it.
    Unreadable,
    /// It says nothing that the gateway acts on. The kind that it names, if any.
    Other(Option<String>),
}

/// An event that a platform has pushed, and when it happened.
#[derive(Debug)]
pub struct DatedEvent {
    pub at: UnixMillis,
    pub event: ComponentEvent,
}

#[derive(Debug)]
pub enum ComponentEvent {
    /// A ticket for the component's own token.
    Ticket(Secret<String>),
    /// Somebody has authorised the component, or changed what it may do.
    Authorized {
        authorizer: Arc<str>,
        code: Secret<String>,
    },
    /// Somebody has ended an authorization.
    Withdrawn { authorizer: Arc<str> },
}
