//! What a platform has given a component and gives nobody again.

use async_trait::async_trait;
use redis::cmd;

use super::sessions::RedisStore;
use crate::clock::{UnixMillis, millis};
use crate::crypto::random;
use crate::identity::{
    CLOCK_AHEAD, ComponentStore, FoundRefreshToken, GrantedToken, KeptAuthorizer, NewRefreshToken,
    NewToken, RefreshTokenMark, TICKET_LIFE, TokenName, WITHDRAWAL_KEPT,
};
use crate::redis_client::Request;
use crate::secret::Secret;
use crate::session::{SessionStore, StoreError, Written};
use crate::store::sealed::Unreadable;

impl RedisStore {
    async fn stored_ticket(&self, component: &str) -> Result<Option<Secret<String>>, StoreError> {
        let key = self.keys.ticket(component);
        let mut command = cmd("GET");
        command.arg(&key);
        let stored: Option<Vec<u8>> = self.connector.call(&Request::Command(&command)).await?;
        let opened = stored.map(|stored| self.sealer.open_token(&key, &stored));
        Ok(match opened {
            Some(Ok((ticket, _))) => Some(ticket),
            Some(Err(Unreadable(why))) => {
                log::warn!("a ticket cannot be read, and the next one is waited for: {why}");
                None
            }
            None => None,
        })
    }

    async fn put_ticket(
        &self,
        component: &str,
        ticket: &Secret<String>,
        made: UnixMillis,
    ) -> Result<Written, StoreError> {
        let key = self.keys.ticket(component);
        let sealed = self.sealer.seal_token(&key, made, ticket);
        let mut script = self.scripts.keep_ticket.key(key);
        script.arg(sealed).arg(made.0);
        script.arg(millis(TICKET_LIFE)).arg(millis(CLOCK_AHEAD));
        let kept: bool = self.connector.call(&Request::Script(&script)).await?;
        Ok(if kept { Written::Done } else { Written::Stale })
    }

    /// The sealed refresh tokens, by authorizer.
    async fn sealed_authorizers(
        &self,
        component: &str,
    ) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let mut command = cmd("HGETALL");
        command.arg(self.keys.authorizers(component));
        Ok(self.connector.call(&Request::Command(&command)).await?)
    }

    async fn stored_refresh_token(
        &self,
        name: &TokenName,
    ) -> Result<FoundRefreshToken, StoreError> {
        let mut command = cmd("HGET");
        command
            .arg(self.keys.authorizers(&name.appid))
            .arg(name.authorizer.as_deref());
        let stored: Option<Vec<u8>> = self.connector.call(&Request::Command(&command)).await?;
        let withdrawal = if stored.is_none() {
            let mut command = cmd("GET");
            command.arg(self.keys.withdrawal(name));
            self.connector.call(&Request::Command(&command)).await?
        } else {
            None
        };
        let mark = RefreshTokenMark { stored, withdrawal };
        Ok(self.sealer.found_refresh_token(&self.keys, name, mark))
    }

    async fn put_authorization(
        &self,
        name: &TokenName,
        refresh_token: &Secret<String>,
        at: UnixMillis,
        access: Option<&GrantedToken>,
        read: Option<&RefreshTokenMark>,
    ) -> Result<Written, StoreError> {
        let key = self.keys.token(name);
        let sealed_access = access.map(|access| self.sealer.seal_token(&key, at, &access.token));
        let life = access.map_or(1, |access| millis(access.expires_in).max(1));
        let mut script = self
            .scripts
            .authorize
            .key(self.keys.authorizers(&name.appid));
        script.key(key).key(self.keys.withdrawal(name));
        script
            .arg(name.authorizer.as_deref())
            .arg(
                self.sealer
                    .seal_refresh_token(&self.keys, name, at, refresh_token),
            )
            .arg(sealed_access.unwrap_or_default())
            .arg(life);
        if let Some(RefreshTokenMark { stored, withdrawal }) = read {
            for read in [stored, withdrawal] {
                script.arg(read.as_deref().unwrap_or_default());
            }
        }
        let stored: bool = self.connector.call(&Request::Script(&script)).await?;
        Ok(if stored {
            Written::Done
        } else {
            Written::Stale
        })
    }

    async fn put_refreshed(
        &self,
        name: &TokenName,
        ticket: &[u8; 16],
        token: &NewToken<'_>,
        refresh_token: &NewRefreshToken<'_>,
    ) -> Result<Written, StoreError> {
        let key = self.keys.token(name);
        let at = token.fetched_at;
        let sealed = self.sealer.seal_token(&key, at, token.text);
        let mut script = self.scripts.keep_refreshed.key(key);
        script.key(self.keys.token_lease(name));
        script.key(self.keys.authorizers(&name.appid));
        script.arg(ticket).arg(sealed);
        script.arg(token.ends().0);
        // Redis refuses an expiry of nothing.
        script.arg(millis(token.rest).max(1));
        let fresh = refresh_token.text;
        script
            .arg(name.authorizer.as_deref())
            .arg(self.sealer.seal_refresh_token(&self.keys, name, at, fresh))
            .arg(
                &self
                    .sealer
                    .refresh_token_mark(&self.keys, name, refresh_token.used),
            );
        let kept: u8 = self.connector.call(&Request::Script(&script)).await?;
        Ok(match kept {
            0 => Written::Gone,
            1 => Written::Stale,
            _ => Written::Done,
        })
    }

    async fn delete_authorizer(
        &self,
        name: &TokenName,
        at: UnixMillis,
    ) -> Result<Written, StoreError> {
        let hash = self.keys.authorizers(&name.appid);
        let mut script = self.scripts.withdraw_authorizer.key(hash);
        script.key(self.keys.withdrawal(name));
        script.key(self.keys.token(name));
        for key in self.keys.of_tickets(name) {
            script.key(key);
        }
        let withdrawal: [u8; 16] = random::bytes();
        script.arg(name.authorizer.as_deref()).arg(at.0);
        script.arg(&withdrawal).arg(millis(WITHDRAWAL_KEPT));
        let deleted: bool = self.connector.call(&Request::Script(&script)).await?;
        Ok(if deleted {
            Written::Done
        } else {
            Written::Stale
        })
    }

    async fn seal_anew(&self, component: &str) -> Result<usize, StoreError> {
        let mut sealed = 0;
        for (authorizer, old) in self.sealed_authorizers(component).await? {
            let Some(new) =
                self.sealer
                    .resealed_refresh_token(&self.keys, component, &authorizer, &old)
            else {
                continue;
            };
            let mut script = self.scripts.reseal.key(self.keys.authorizers(component));
            script.arg(authorizer).arg(old).arg(new);
            sealed += self
                .connector
                .call::<usize>(&Request::Script(&script))
                .await?;
        }
        Ok(sealed)
    }
}

#[async_trait]
impl ComponentStore for RedisStore {
    async fn time(&self) -> Result<UnixMillis, StoreError> {
        SessionStore::now(self).await
    }

    async fn ticket(&self, component: &str) -> Result<Option<Secret<String>>, StoreError> {
        let found = self.stored_ticket(component);
        self.meter.watch("find_ticket", found).await
    }

    async fn keep_ticket(
        &self,
        component: &str,
        ticket: &Secret<String>,
        made: UnixMillis,
    ) -> Result<Written, StoreError> {
        let kept = self.put_ticket(component, ticket, made);
        self.meter.watch("keep_ticket", kept).await
    }

    async fn authorizers(&self, component: &str) -> Result<Vec<KeptAuthorizer>, StoreError> {
        let found = self.sealed_authorizers(component);
        let found = self.meter.watch("authorizers", found).await?;
        Ok(self.sealer.kept_authorizers(&self.keys, component, found))
    }

    async fn refresh_token(&self, name: &TokenName) -> Result<FoundRefreshToken, StoreError> {
        let found = self.stored_refresh_token(name);
        self.meter.watch("find_refresh_token", found).await
    }

    async fn authorize(
        &self,
        name: &TokenName,
        refresh_token: &Secret<String>,
        at: UnixMillis,
        access: Option<&GrantedToken>,
    ) -> Result<(), StoreError> {
        let put = self.put_authorization(name, refresh_token, at, access, None);
        let _ = self.meter.watch("authorize", put).await?;
        Ok(())
    }

    async fn keep_recovered(
        &self,
        name: &TokenName,
        refresh_token: &Secret<String>,
        at: UnixMillis,
        read: &RefreshTokenMark,
    ) -> Result<Written, StoreError> {
        let put = self.put_authorization(name, refresh_token, at, None, Some(read));
        self.meter.watch("authorize", put).await
    }

    async fn keep_refreshed(
        &self,
        name: &TokenName,
        ticket: &[u8; 16],
        token: &NewToken<'_>,
        refresh_token: &NewRefreshToken<'_>,
    ) -> Result<Written, StoreError> {
        let put = self.put_refreshed(name, ticket, token, refresh_token);
        self.meter.watch("keep_refreshed", put).await
    }

    async fn withdraw(&self, name: &TokenName, at: UnixMillis) -> Result<Written, StoreError> {
        let deleted = self.delete_authorizer(name, at);
        self.meter.watch("withdraw", deleted).await
    }

    async fn reseal(&self, component: &str) -> Result<usize, StoreError> {
        let sealed = self.seal_anew(component);
        self.meter.watch("reseal", sealed).await
    }
}
