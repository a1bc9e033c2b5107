//! How the platform is asked for a ticket.

use crate::identity::{
    App, AppTokenError, AppTokenSource, ExchangeError, GrantedToken, TicketKind,
};

/// A ticket, by an access token out of `tokens`.
pub(super) async fn fetched(
    app: &App,
    kind: TicketKind,
    tokens: &dyn AppTokenSource,
) -> Result<GrantedToken, ExchangeError> {
    let Some(api) = app.app_tickets() else {
        return Err(no_longer("tickets"));
    };
    let fetched = tokens.with_token(
        app,
        |token| async move { api.fetch(kind, &token.text).await },
    );
    match fetched.await {
        Ok(fetched) => fetched,
        Err(AppTokenError::Unavailable {
            reason,
            retry_after,
        }) => Err(ExchangeError::Unavailable {
            reason,
            retry_after,
        }),
        Err(AppTokenError::Misconfigured {
            reason,
            platform_code,
            ..
        }) => Err(ExchangeError::Misconfigured {
            reason,
            platform_code,
        }),
        Err(AppTokenError::Unsupported) => Err(no_longer("access tokens")),
    }
}

fn no_longer(what: &str) -> ExchangeError {
    ExchangeError::Nonsense {
        reason: format!("the platform of this app has no {what} any more"),
        platform_code: None,
    }
}
