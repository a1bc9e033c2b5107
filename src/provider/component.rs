//! Calls of an app that acts for the apps of others.

use std::sync::Arc;

use async_trait::async_trait;

use super::engine::{Engine, Question};
use super::platform::{ComponentApis, ComponentCall, ComponentCallApi};
use crate::identity::{
    Authorization, ComponentApi, ExchangeError, GrantedToken, PushedEvent, PushedFields, Refreshed,
    TokenUse,
};
use crate::secret::Secret;

/// One app's. Neither the logins' permits nor their breaker count here.
pub(super) struct ComponentCalls {
    pub(super) engine: Arc<Engine>,
    pub(super) apis: &'static ComponentApis,
}

impl ComponentCalls {
    async fn ask<T>(
        &self,
        api: &'static ComponentCallApi<T>,
        call: &ComponentCall<'_>,
    ) -> Result<T, ExchangeError> {
        let settings = &self.engine.settings;
        let question = Question {
            path: api.path,
            call: &|| (api.request)(settings, call),
            read: api.read,
            hidden: &[settings.secret.expose(), call.token, call.proof],
        };
        self.engine.ask(&question).await.result()
    }

    async fn ask_with_token<T>(
        &self,
        api: &'static ComponentCallApi<T>,
        call: &ComponentCall<'_>,
    ) -> TokenUse<Result<T, ExchangeError>> {
        match self.ask(api, call).await {
            Err(error @ ExchangeError::TokenRefused { .. }) => TokenUse::Refused(error.to_string()),
            outcome => TokenUse::Taken(outcome),
        }
    }
}

#[async_trait]
impl ComponentApi for ComponentCalls {
    fn no_ticket(&self) -> &'static str {
        self.apis.no_ticket
    }

    async fn start_tickets(&self) -> Result<(), ExchangeError> {
        let call = ComponentCall {
            token: "",
            authorizer: "",
            proof: "",
        };
        self.ask(&self.apis.start_tickets, &call).await
    }

    async fn fetch(&self, ticket: &Secret<String>) -> Result<GrantedToken, ExchangeError> {
        let call = ComponentCall {
            token: "",
            authorizer: "",
            proof: ticket.expose(),
        };
        self.ask(&self.apis.token, &call).await
    }

    async fn authorization(
        &self,
        token: &Secret<String>,
        code: &Secret<String>,
    ) -> TokenUse<Result<Authorization, ExchangeError>> {
        let call = ComponentCall {
            token: token.expose(),
            authorizer: "",
            proof: code.expose(),
        };
        self.ask_with_token(&self.apis.authorization, &call).await
    }

    async fn refresh(
        &self,
        token: &Secret<String>,
        authorizer: &str,
        refresh_token: &Secret<String>,
    ) -> TokenUse<Result<Refreshed, ExchangeError>> {
        let call = ComponentCall {
            token: token.expose(),
            authorizer,
            proof: refresh_token.expose(),
        };
        self.ask_with_token(&self.apis.refresh, &call).await
    }

    async fn refresh_token(
        &self,
        token: &Secret<String>,
        authorizer: &str,
    ) -> TokenUse<Result<Secret<String>, ExchangeError>> {
        let call = ComponentCall {
            token: token.expose(),
            authorizer,
            proof: "",
        };
        self.ask_with_token(&self.apis.refresh_token, &call).await
    }

    fn event(&self, fields: &PushedFields<'_>) -> PushedEvent {
        (self.apis.event)(fields)
    }
}
