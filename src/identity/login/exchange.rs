//! The exchange of a code, with the app's token where its platform wants one first.

use super::LoginFlow;
use crate::identity::app::App;
use crate::identity::app_token_source::{AccessToken, AppTokenSource};
use crate::identity::exchange_error::ExchangeError;
use crate::identity::impatient::Impatient;
use crate::identity::provider::{ExchangeRequest, Identity};
use crate::identity::token_use::TokenUse;

impl LoginFlow {
    /// Exchanges a code. Where a token is needed there is one before the code goes out; where only
    /// the token is refused, the code is as good as before and goes out with another one.
    pub(super) async fn exchange(&self, app: &App, code: &str) -> Result<Identity, ExchangeError> {
        let Some(acting) = app.acting() else {
            return app.provider.exchange(&ExchangeRequest::of_code(code)).await;
        };
        let tokens: &dyn AppTokenSource = &Impatient(&*self.tokens);
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
