//! What becomes of the events that a platform pushes to a component, and of what operators do with
//! its authorizers.

use std::sync::Arc;
use std::time::Duration;

use super::authorizer::Authorizer;
use super::fetched::NotFetched;
use super::slot::ACCESS;
use super::tokens::TokenBroker;
use crate::clock::UnixMillis;
use crate::identity::{
    AccessToken, App, AppTokenError, AppTokenSource, Authorization, ComponentApi, ComponentEvent,
    DatedEvent, ExchangeError, KeptAuthorizer, TokenName,
};
use crate::secret::Secret;
use crate::session::{StoreError, Written};

/// How much the platform's clock may be behind the store's: an event that is older than what is kept
/// is an earlier one that comes late.
const CLOCKS_APART: Duration = Duration::from_secs(60);
/// How long a process may take from its settings to its listeners.
const LISTENING: Duration = Duration::from_secs(2);
/// When to try again to seal refresh tokens anew.
const RESEAL_AGAIN: Duration = Duration::from_secs(30);

/// Why an operator's or a platform's wish was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum ComponentError {
    /// The app acts for no others.
    #[error("the app acts for no others")]
    Unsupported,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Platform(#[from] ExchangeError),
}

impl TokenBroker {
    /// Does what a pushed event says. After an error the platform is to push it again.
    pub async fn component_event(
        &self,
        app: &App,
        pushed: DatedEvent,
    ) -> Result<(), ComponentError> {
        let api = app.component_api().ok_or(ComponentError::Unsupported)?;
        match pushed.event {
            ComponentEvent::Ticket(ticket) => self.ticket(app, &ticket, pushed.at).await,
            ComponentEvent::Authorized { authorizer, code } => {
                let of = app.for_authorizer(authorizer);
                self.authorized(&of, api, &code, pushed.at).await
            }
            ComponentEvent::Withdrawn { authorizer } => {
                let of = app.for_authorizer(authorizer);
                self.withdrawn(&of, pushed.at.plus(CLOCKS_APART)).await
            }
        }
    }

    async fn ticket(
        &self,
        app: &App,
        ticket: &Secret<String>,
        made: UnixMillis,
    ) -> Result<(), ComponentError> {
        let components = &self.0.fetcher.components;
        match components.keep_ticket(&app.appid, ticket, made).await? {
            Written::Done => self.0.resume(app),
            Written::Stale | Written::Gone => {
                log::info!(app = &*app.name; "a ticket that has expired or is older than the kept one came; it is thrown away");
            }
        }
        Ok(())
    }

    async fn authorized(
        &self,
        of: &App,
        api: &dyn ComponentApi,
        code: &Secret<String>,
        at: UnixMillis,
    ) -> Result<(), ComponentError> {
        let Some(acting) = of.acting() else {
            return Err(ComponentError::Unsupported);
        };
        let tokens: &dyn AppTokenSource = self;
        let ask = |token: AccessToken| async move { api.authorization(&token.text, code).await };
        match tokens.with_token(&acting, ask).await? {
            Ok(Authorization { authorizer, tokens }) => {
                let of = of.for_authorizer(authorizer);
                let name = TokenName::of(&of, ACCESS);
                let components = &self.0.fetcher.components;
                components
                    .authorize(&name, &tokens.refresh, at, Some(&tokens.access))
                    .await?;
                log::info!(app = &*of.name; "{} has authorised {}", of.appid, acting.appid);
                self.0.resume(&of);
                Ok(())
            }
            Err(error @ (ExchangeError::Unavailable { .. } | ExchangeError::Throttled { .. })) => {
                Err(error.into())
            }
            // The event came before, and its code is good once.
            Err(error) => {
                log::warn!(app = &*of.name; "the platform did not give the authorization of {}, so it is asked for the refresh token: {error}", of.appid);
                self.recover(of).await
            }
        }
    }

    async fn withdrawn(&self, of: &App, at: UnixMillis) -> Result<(), ComponentError> {
        let name = TokenName::of(of, ACCESS);
        match self.0.fetcher.components.withdraw(&name, at).await? {
            Written::Done => {
                self.0.forget(of);
                log::info!(app = &*of.name; "{} has withdrawn its authorization, and its tokens are deleted", of.appid);
            }
            Written::Stale | Written::Gone => {
                log::info!(app = &*of.name; "{} has withdrawn an earlier authorization than the one that is kept", of.appid);
            }
        }
        Ok(())
    }

    /// Asks the platform for an authorizer's refresh token, and keeps it, unless another one has come
    /// meanwhile or the authorizer has withdrawn.
    pub async fn recover(&self, of: &App) -> Result<(), ComponentError> {
        let (Some(api), Some(acting)) = (of.component_api(), of.acting()) else {
            return Err(ComponentError::Unsupported);
        };
        let authorizer = Authorizer {
            name: &TokenName::of(of, ACCESS),
            appid: &of.appid,
            acting,
            api,
        };
        let components = &*self.0.fetcher.components;
        let found = components.refresh_token(authorizer.name).await?;
        authorizer.recovered(components, self, &found.mark).await?;
        self.0.resume(of);
        Ok(())
    }

    /// Keeps an authorizer's refresh token that an operator has.
    pub async fn import(
        &self,
        of: &App,
        refresh_token: &Secret<String>,
    ) -> Result<(), ComponentError> {
        if of.authorizer().is_none() {
            return Err(ComponentError::Unsupported);
        }
        let name = TokenName::of(of, ACCESS);
        let components = &self.0.fetcher.components;
        // A withdrawal is compared with it, whatever the clock of this machine says.
        let now = components.time().await?;
        components
            .authorize(&name, refresh_token, now, None)
            .await?;
        self.0.resume(of);
        Ok(())
    }

    /// Deletes an authorizer's tokens, whenever they came.
    pub async fn forget(&self, of: &App) -> Result<(), ComponentError> {
        self.withdrawn(of, UnixMillis(u64::MAX)).await
    }

    /// The authorizers of an app whose refresh tokens are kept.
    pub async fn authorizers(&self, app: &App) -> Result<Vec<KeptAuthorizer>, ComponentError> {
        if app.component_api().is_none() {
            return Err(ComponentError::Unsupported);
        }
        Ok(self.0.fetcher.components.authorizers(&app.appid).await?)
    }

    /// Looks, in the background, whether there is a ticket, and asks the platform to push one if
    /// there is none: it would take ten minutes to come by itself. The answer comes to the gateway's
    /// own listener, which is up by then.
    pub fn expect_ticket(&self, app: &App) {
        let broker = Arc::downgrade(&self.0);
        let app = app.clone();
        self.0.spawn(async move {
            tokio::time::sleep(LISTENING).await;
            let (Some(shared), Some(api)) = (broker.upgrade(), app.component_api()) else {
                return;
            };
            // Without the store a ticket could not be kept.
            if let Ok(None) = shared.fetcher.components.ticket(&app.appid).await {
                shared.fetcher.start_tickets(&app, api).await;
            }
        });
    }

    /// Has refresh tokens sealed anew that are under an old sealing key: they never expire, so that
    /// such a key could never be taken out of the configuration. It goes on in the background until
    /// the store answers, and ends with the broker.
    pub fn reseal(&self, app: &App) {
        let broker = Arc::downgrade(&self.0);
        let app = app.clone();
        self.0.spawn(async move {
            loop {
                let Some(shared) = broker.upgrade() else {
                    return;
                };
                match shared.fetcher.components.reseal(&app.appid).await {
                    Ok(0) => return,
                    Ok(count) => {
                        log::info!(app = &*app.name; "refresh tokens sealed anew under the first sealing key: {count}");
                        return;
                    }
                    Err(error) => {
                        log::warn!(app = &*app.name; "refresh tokens cannot be sealed anew yet: {error}");
                    }
                }
                drop(shared);
                tokio::time::sleep(RESEAL_AGAIN).await;
            }
        });
    }
}

impl From<AppTokenError> for ComponentError {
    fn from(error: AppTokenError) -> Self {
        NotFetched::from(error).into()
    }
}

impl From<NotFetched> for ComponentError {
    fn from(error: NotFetched) -> Self {
        match error {
            NotFetched::Store(error) => Self::Store(error),
            NotFetched::Platform(error) => Self::Platform(error),
        }
    }
}
