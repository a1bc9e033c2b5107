//! The exchange of a code, with the app's token where its platform wants one first.

use std::time::Duration;

use async_trait::async_trait;

use super::LoginFlow;
use crate::identity::app::App;
use crate::identity::app_token_source::{AccessToken, AppTokenError, AppTokenSource};
use crate::identity::exchange_error::ExchangeError;
use crate::identity::provider::{ExchangeRequest, Identity};
use crate::identity::token_use::TokenUse;

impl LoginFlow {
    /// Exchanges a code. Where a token is needed there is one before the code goes out; where only
    /// the token is refused, the code is as good as before and goes out with another one.
    pub(super) async fn exchange(&self, app: &App, code: &str) -> Result<Identity, ExchangeError> {
        let Some(acting) = app.acting() else {
            return app.provider.exchange(&ExchangeRequest::of_code(code)).await;
        };
        let tokens: &dyn AppTokenSource = &Impatient {
            source: &*self.tokens,
            patience: app.provider.total_timeout(),
        };
        let exchange = |token: AccessToken| async move {
            let request = ExchangeRequest {
                code,
                authorizer: app.authorizer().map(|appid| &**appid),
                token: Some(&token.text),
            };
            match app.provider.exchange(&request).await {
                Err(error @ ExchangeError::TokenRefused { .. }) => {
                    TokenUse::Refused(error.to_string())
                }
                outcome => TokenUse::Taken(outcome),
            }
        };
        tokens.with_token(&acting, exchange).await?
    }
}

/// A source that is not waited for longer than an exchange may take: clients wait here.
struct Impatient<'a> {
    source: &'a dyn AppTokenSource,
    patience: Duration,
}

impl Impatient<'_> {
    async fn within(
        &self,
        token: impl Future<Output = Result<AccessToken, AppTokenError>> + Send,
    ) -> Result<AccessToken, AppTokenError> {
        let outcome = tokio::time::timeout(self.patience, token).await;
        outcome.unwrap_or_else(|_| {
            Err(AppTokenError::Unavailable {
                reason: "it takes too long to get one".to_owned(),
                retry_after: self.patience,
            })
        })
    }
}

#[async_trait]
impl AppTokenSource for Impatient<'_> {
    async fn token(&self, app: &App) -> Result<AccessToken, AppTokenError> {
        self.within(self.source.token(app)).await
    }

    async fn token_after(
        &self,
        app: &App,
        refused: &AccessToken,
    ) -> Result<AccessToken, AppTokenError> {
        self.within(self.source.token_after(app, refused)).await
    }
}
