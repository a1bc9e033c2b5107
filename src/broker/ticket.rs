//! How the platform is asked for a ticket.

use super::fetched::NotFetched;
use crate::identity::{App, AppTokenSource, ExchangeError, GrantedToken, TicketKind};

/// A ticket, by an access token out of `tokens`.
pub(super) async fn fetched(
    app: &App,
    kind: TicketKind,
    tokens: &dyn AppTokenSource,
) -> Result<GrantedToken, NotFetched> {
    let Some(api) = app.app_tickets() else {
        return Err(ExchangeError::Nonsense {
            reason: "the platform of this app has no tickets any more".to_owned(),
            platform_code: None,
        }
        .into());
    };
    let fetched = tokens.with_token(
        app,
        |token| async move { api.fetch(kind, &token.text).await },
    );
    Ok(fetched.await??)
}
