//! The token of an app for which another one acts. It is got with a refresh token, and what gets the
//! refresh token back where it is lost: the platform is asked before a person is.

use std::borrow::Cow;
use std::time::Duration;

use super::fetched::{Fetched, NotFetched, RefreshTokens};
use super::strangers::Strangers;
use crate::clock::monotonic_now;
use crate::identity::{
    AccessToken, App, AppTokenSource, ComponentApi, ComponentStore, ExchangeError, PlatformCode,
    RefreshTokenMark, Refreshed, TokenName,
};
use crate::secret::Secret;
use crate::session::Written;

/// When to ask again where another gateway has changed what is kept.
const AGAIN: Duration = Duration::from_secs(2);

/// One authorizer, and the app that acts for it.
pub(super) struct Authorizer<'a> {
    pub(super) name: &'a TokenName,
    pub(super) appid: &'a str,
    pub(super) acting: App,
    pub(super) api: &'a dyn ComponentApi,
}

impl Authorizer<'_> {
    /// Gets the next tokens. Whoever asks stores the new refresh token before anybody has the other
    /// one.
    pub(super) async fn fetched(
        &self,
        store: &dyn ComponentStore,
        tokens: &dyn AppTokenSource,
        strangers: &Strangers,
    ) -> Result<Fetched, NotFetched> {
        let found = store.refresh_token(self.name).await?;
        if let Some(kept) = &found.text {
            match self.refreshed(tokens, kept).await? {
                Ok(fetched) => return Ok(fetched),
                Err(refused) => {
                    log::warn!(app = &*self.acting.name; "the platform refuses the kept refresh token of {} ({refused}), so it is asked for the present one", self.appid);
                }
            }
        }
        let recovered = if found.mark.is_none() {
            self.made_known(store, tokens, &found.mark, strangers)
                .await?
        } else {
            self.recovered(store, tokens, &found.mark).await?
        };
        match self.refreshed(tokens, &recovered).await? {
            Ok(fetched) => Ok(fetched),
            Err(platform_code) => Err(ExchangeError::NotAuthorized {
                reason: format!(
                    "the platform takes no refresh token of {}: its administrator has to authorise {} again",
                    self.appid, self.acting.appid
                ),
                platform_code,
            }
            .into()),
        }
    }

    /// The refresh token of an authorizer of which nothing is kept. Its name may be made up.
    async fn made_known(
        &self,
        store: &dyn ComponentStore,
        tokens: &dyn AppTokenSource,
        read: &RefreshTokenMark,
        strangers: &Strangers,
    ) -> Result<Secret<String>, NotFetched> {
        let component = &self.acting.appid;
        let asked_at = monotonic_now();
        strangers.ask(component, asked_at).map_err(|wait| ExchangeError::Unavailable {
            reason: format!(
                "the platform was asked about too many apps that have not authorised {component}, so it is not asked about {} now",
                self.appid
            ),
            retry_after: wait,
        })?;
        let recovered = self.recovered(store, tokens, read).await;
        if !matches!(
            &recovered,
            Err(NotFetched::Platform(ExchangeError::NotAuthorized { .. }))
        ) {
            strangers.give_back(component, asked_at);
        }
        recovered
    }

    async fn refreshed(
        &self,
        tokens: &dyn AppTokenSource,
        refresh_token: &Secret<String>,
    ) -> Result<Result<Fetched, PlatformCode>, NotFetched> {
        let refresh = |token: AccessToken| async move {
            self.api
                .refresh(&token.text, self.appid, refresh_token)
                .await
        };
        Ok(match tokens.with_token(&self.acting, refresh).await?? {
            Refreshed::Fresh(fresh) => Ok(Fetched {
                token: fresh.access,
                refresh: Some(RefreshTokens {
                    used: refresh_token.clone(),
                    fresh: fresh.refresh,
                }),
            }),
            Refreshed::Refused(code) => Err(code),
        })
    }

    /// Asks the platform for the refresh token, and keeps it in the place of what was `read`. Gives
    /// the one that is kept then: another one may have come meanwhile, and is newer.
    pub(super) async fn recovered(
        &self,
        store: &dyn ComponentStore,
        tokens: &dyn AppTokenSource,
        read: &RefreshTokenMark,
    ) -> Result<Secret<String>, NotFetched> {
        let present = self.present(tokens).await?;
        // A script compares it with what is kept, and a withdrawal with its time, whatever the
        // clock of this machine says.
        let now = store.time().await?;
        match store.keep_recovered(self.name, &present, now, read).await? {
            Written::Done => {
                log::warn!(app = &*self.acting.name; "the refresh token of {} was lost, and the platform gave it again", self.appid);
                return Ok(present);
            }
            Written::Gone | Written::Stale => {}
        }
        let found = store.refresh_token(self.name).await?;
        if found.mark.is_none() {
            return Err(ExchangeError::NotAuthorized {
                reason: format!(
                    "{} has withdrawn while the platform was asked for its refresh token",
                    self.appid
                ),
                platform_code: PlatformCode::Word(Cow::Borrowed("withdrawn")),
            }
            .into());
        }
        log::info!(app = &*self.acting.name; "another refresh token of {} came while the platform was asked for it", self.appid);
        // Another gateway has sealed it with a key that this one does not know.
        found.text.ok_or_else(|| {
            let reason = "the refresh token that came meanwhile cannot be read".to_owned();
            ExchangeError::Unavailable {
                reason,
                retry_after: AGAIN,
            }
            .into()
        })
    }

    /// The refresh token that the platform has.
    async fn present(&self, tokens: &dyn AppTokenSource) -> Result<Secret<String>, NotFetched> {
        let ask = |token: AccessToken| async move {
            self.api.refresh_token(&token.text, self.appid).await
        };
        Ok(tokens.with_token(&self.acting, ask).await??)
    }
}
