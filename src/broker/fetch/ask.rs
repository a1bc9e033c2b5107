//! Asks the platform for a token: an app's own, a ticket, or one of an app that acts for others.

use std::time::Duration;

use super::Fetcher;
use crate::broker::authorizer::Authorizer;
use crate::broker::fetched::{Fetched, NotFetched};
use crate::broker::slot::{AppSlot, SlotKind};
use crate::broker::ticket;
use crate::clock::monotonic_now;
use crate::identity::{App, AppTokenSource, ComponentApi, ExchangeError, GrantedToken, TokenGrant};

/// When the platform is asked again to push tickets: as often as it does so by itself, and soon
/// where it has refused.
const START_AGAIN: Duration = Duration::from_secs(600);
const START_SOON: Duration = Duration::from_secs(2);

impl Fetcher {
    /// Asks the platform, in the way that the operator has chosen.
    pub(super) async fn fetched(
        &self,
        slot: &AppSlot,
        app: &App,
        tokens: &dyn AppTokenSource,
    ) -> Result<Fetched, NotFetched> {
        if let SlotKind::Ticket(kind) = slot.kind {
            return Ok(Fetched {
                token: ticket::fetched(app, kind, tokens).await?,
                refresh: None,
            });
        }
        let token = match (app.component_api(), app.acting()) {
            (None, _) => granted(app, None).await?,
            (Some(api), None) => self.by_ticket(app, api).await?,
            (Some(api), Some(acting)) => {
                let authorizer = Authorizer {
                    name: &slot.name,
                    appid: &app.appid,
                    acting,
                    api,
                };
                return authorizer
                    .fetched(&*self.components, tokens, &self.strangers)
                    .await;
            }
        };
        Ok(Fetched {
            token,
            refresh: None,
        })
    }

    /// The token of an app that acts for others.
    async fn by_ticket(
        &self,
        app: &App,
        api: &dyn ComponentApi,
    ) -> Result<GrantedToken, NotFetched> {
        let Some(ticket) = self.components.ticket(&app.appid).await? else {
            self.start_tickets(app, api).await;
            return Err(ExchangeError::Unavailable {
                reason: api.no_ticket().replace("{app}", &app.name),
                retry_after: START_SOON,
            }
            .into());
        };
        Ok(api.fetch(&ticket).await?)
    }

    /// Asks the platform to push tickets, and not again for a while. A platform that has not
    /// stopped takes no notice.
    pub(in crate::broker) async fn start_tickets(&self, app: &App, api: &dyn ComponentApi) {
        let now = monotonic_now();
        {
            let mut started = self.started.lock();
            if started.get(&app.appid).is_some_and(|until| now < *until) {
                return;
            }
            started.insert(app.appid.clone(), now + START_AGAIN);
        }
        match api.start_tickets().await {
            Ok(()) => {
                log::info!(app = &*app.name; "there is no ticket of {}, so the platform was asked to push one", app.appid);
            }
            Err(error) => {
                let soon = monotonic_now() + START_SOON;
                self.started.lock().insert(app.appid.clone(), soon);
                log::warn!(app = &*app.name; "there is no ticket of {}, and asking the platform to push one failed: {error}", app.appid);
            }
        }
    }
}

/// Asks the platform; `None`: in the way that the operator has chosen.
pub(super) async fn granted(
    app: &App,
    grant: Option<TokenGrant>,
) -> Result<GrantedToken, ExchangeError> {
    match app.app_token() {
        Some(api) => api.fetch(grant.unwrap_or_else(|| api.grant())).await,
        None => Err(ExchangeError::Nonsense {
            reason: "the platform of this app has no access tokens any more".to_owned(),
            platform_code: None,
        }),
    }
}
