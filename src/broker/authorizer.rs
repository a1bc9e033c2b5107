//! The token of an app for which another one acts. It is got with a refresh token, and what gets the
//! refresh token back where it is lost: the platform is asked before a person is.

use super::fetched::{Fetched, NotFetched, RefreshTokens};
use crate::identity::{
    AccessToken, App, AppTokenSource, ComponentApi, ComponentStore, ExchangeError, PlatformCode,
    Refreshed, TokenName,
};
use crate::secret::Secret;

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
    ) -> Result<Fetched, NotFetched> {
        let kept = store.refresh_token(self.name).await?;
        if let Some(kept) = &kept {
            match self.refreshed(tokens, kept).await? {
                Ok(fetched) => return Ok(fetched),
                Err(refused) => {
                    log::warn!(app = &*self.acting.name; "the platform refuses the kept refresh token of {} ({refused}), so it is asked for the present one", self.appid);
                }
            }
        }
        let present = self.present(tokens).await?;
        // Others would use it at the same time, and a script compares it with what is kept.
        let now = store.time().await?;
        store.authorize(self.name, &present, now, None).await?;
        match self.refreshed(tokens, &present).await? {
            Ok(fetched) => {
                log::warn!(app = &*self.acting.name; "the refresh token of {} was lost, and the platform gave it again", self.appid);
                Ok(fetched)
            }
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

    /// The refresh token that the platform has.
    pub(super) async fn present(
        &self,
        tokens: &dyn AppTokenSource,
    ) -> Result<Secret<String>, NotFetched> {
        let ask = |token: AccessToken| async move {
            self.api.refresh_token(&token.text, self.appid).await
        };
        Ok(tokens.with_token(&self.acting, ask).await??)
    }
}
