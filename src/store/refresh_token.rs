//! The stored form of refresh tokens: that of other tokens, in a hash of all authorizers of a
//! component. A value opens in its own field only.

use crate::clock::UnixMillis;
use crate::identity::{FoundRefreshToken, KeptAuthorizer, RefreshTokenMark, SealState, TokenName};
use crate::secret::Secret;
use crate::store::keys::Keys;
use crate::store::sealed::{Sealer, Unreadable};

impl Sealer {
    pub(super) fn seal_refresh_token(
        &self,
        keys: &Keys,
        name: &TokenName,
        at: UnixMillis,
        text: &Secret<String>,
    ) -> Vec<u8> {
        self.seal_token(&place_of(keys, name), at, text)
    }

    /// What stands in the authorizer's place. No text, and a warning: it does not open.
    pub(super) fn found_refresh_token(
        &self,
        keys: &Keys,
        name: &TokenName,
        mark: RefreshTokenMark,
    ) -> FoundRefreshToken {
        let text = mark
            .stored
            .as_deref()
            .and_then(|stored| self.open_refresh_token(keys, name, stored));
        FoundRefreshToken { text, mark }
    }

    fn open_refresh_token(
        &self,
        keys: &Keys,
        name: &TokenName,
        stored: &[u8],
    ) -> Option<Secret<String>> {
        match self.open_token(&place_of(keys, name), stored) {
            Ok((text, _)) => Some(text),
            Err(Unreadable(why)) => {
                log::warn!(
                    "a refresh token cannot be read, so the platform is asked for it: {why}"
                );
                None
            }
        }
    }

    pub(super) fn refresh_token_mark(
        &self,
        keys: &Keys,
        name: &TokenName,
        text: &Secret<String>,
    ) -> [u8; 8] {
        self.token_mark(&place_of(keys, name), text)
    }

    /// The authorizers of a component's hash, by their ids.
    pub(super) fn kept_authorizers(
        &self,
        keys: &Keys,
        component: &str,
        stored: impl IntoIterator<Item = (String, Vec<u8>)>,
    ) -> Vec<KeptAuthorizer> {
        let kept = stored.into_iter().map(|(appid, value)| {
            let opened = self.open_token(&place(keys, component, &appid), &value);
            KeptAuthorizer {
                appid,
                since: opened.as_ref().map_or(UnixMillis(0), |(_, at)| *at),
                seal: match opened {
                    Ok(_) if self.is_under_first_key(&value) => SealState::Current,
                    Ok(_) => SealState::Old,
                    Err(_) => SealState::Unreadable,
                },
            }
        });
        let mut kept: Vec<_> = kept.collect();
        kept.sort_by(|a, b| a.appid.cmp(&b.appid));
        kept
    }

    /// The value under the first sealing key; `None`: it is under it already, or does not open.
    pub(super) fn resealed_refresh_token(
        &self,
        keys: &Keys,
        component: &str,
        authorizer: &str,
        stored: &[u8],
    ) -> Option<Vec<u8>> {
        if self.is_under_first_key(stored) {
            return None;
        }
        let place = place(keys, component, authorizer);
        match self.open_token(&place, stored) {
            Ok((text, at)) => Some(self.seal_token(&place, at, &text)),
            Err(Unreadable(why)) => {
                log::warn!("the refresh token of {authorizer} cannot be read: {why}");
                None
            }
        }
    }
}

fn place_of(keys: &Keys, name: &TokenName) -> String {
    place(
        keys,
        &name.appid,
        name.authorizer.as_deref().unwrap_or_default(),
    )
}

/// What a value is bound to: its key and its field.
fn place(keys: &Keys, component: &str, authorizer: &str) -> String {
    format!("{}:{authorizer}", keys.authorizers(component))
}
