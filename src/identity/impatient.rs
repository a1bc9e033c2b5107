//! A source of tokens that is not waited for longer than an exchange of the app may take: whoever
//! calls it has a client that waits. A token that comes later is for the next one.

use async_trait::async_trait;

use super::app::App;
use super::app_token_source::{AccessToken, AppTicketSource, AppTokenError, AppTokenSource};
use super::capability::TicketKind;

pub struct Impatient<'a, S: ?Sized>(pub &'a S);

async fn in_time(
    app: &App,
    token: impl Future<Output = Result<AccessToken, AppTokenError>> + Send,
) -> Result<AccessToken, AppTokenError> {
    let patience = app.provider.total_timeout();
    let outcome = tokio::time::timeout(patience, token).await;
    outcome.unwrap_or_else(|_| {
        Err(AppTokenError::Unavailable {
            reason: "it takes too long to get one".to_owned(),
            retry_after: patience,
        })
    })
}

#[async_trait]
impl<S: AppTokenSource + ?Sized> AppTokenSource for Impatient<'_, S> {
    async fn token(&self, app: &App) -> Result<AccessToken, AppTokenError> {
        in_time(app, self.0.token(app)).await
    }

    async fn token_after(
        &self,
        app: &App,
        refused: &AccessToken,
    ) -> Result<AccessToken, AppTokenError> {
        in_time(app, self.0.token_after(app, refused)).await
    }
}

#[async_trait]
impl<S: AppTicketSource + ?Sized> AppTicketSource for Impatient<'_, S> {
    async fn ticket(&self, app: &App, kind: TicketKind) -> Result<AccessToken, AppTokenError> {
        in_time(app, self.0.ticket(app, kind)).await
    }
}
