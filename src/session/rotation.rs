//! A rotation gives a session a fresh token, so that a token that leaked does not work for long.
//!
//! The old token opens the session for a moment longer, since requests that carry it are still on
//! their way. A client that rotates the old token again meanwhile gets the same new token. Such a
//! client lost the answer, or two of its parts rotated at once. The store keeps the answer sealed
//! under the old token, so only a holder of that token can read it.

use crate::crypto::keyring::DerivedBox;
use crate::metrics::Outcome;
use crate::secret::Secret;
use crate::session::model::LoadedSession;
use crate::session::service::{IssuedSession, SessionService};
use crate::session::store::{Rotated, Rotation, StoreError};
use crate::session::token::SessionToken;

/// How often a session may be changed between the look and the write of one rotation.
const ATTEMPTS: u32 = 16;

impl SessionService {
    /// The session of this token under a fresh one; `None`: unknown, expired or revoked.
    pub async fn rotate(&self, token: &SessionToken) -> Result<Option<IssuedSession>, StoreError> {
        let result = self.rotated(token).await;
        let outcome = match &result {
            Ok(Some((_, outcome))) => outcome,
            Ok(None) => "gone",
            Err(_) => "store_unavailable",
        };
        self.metrics
            .session
            .rotations
            .get_or_create(&Outcome { outcome })
            .inc();
        Ok(result?.map(|(issued, _)| issued))
    }

    async fn rotated(
        &self,
        token: &SessionToken,
    ) -> Result<Option<(IssuedSession, &'static str)>, StoreError> {
        for _ in 0..ATTEMPTS {
            // Not from the near cache: what is read here is written again.
            let read = self.store.load_stored(&token.id()).await;
            let Some(loaded) = self.counted_lookup(&token.id(), read)? else {
                return Ok(None);
            };
            if let Some(answer) = &loaded.rotated {
                return self.repeated(token, answer).await;
            }
            let fresh = SessionToken::issue(&self.keys, loaded.id.tag);
            match self.move_to(token, &fresh, &loaded).await? {
                Rotated::Done { expires_in } => {
                    let loaded = LoadedSession {
                        expires_in,
                        ..loaded
                    };
                    return Ok(Some((issued(fresh, &loaded), "rotated")));
                }
                Rotated::Before { answer } => return self.repeated(token, &answer).await,
                Rotated::Gone => return Ok(None),
                Rotated::Changed => {}
            }
        }
        Err(StoreError::new(
            "too many changes of a session while it was rotated",
        ))
    }

    async fn move_to(
        &self,
        token: &SessionToken,
        fresh: &SessionToken,
        loaded: &LoadedSession,
    ) -> Result<Rotated, StoreError> {
        let answer = self
            .answer_box(token)
            .seal(Secret::new(fresh.expose()).expose().as_bytes());
        let rotation = Rotation {
            from: loaded.id,
            to: fresh.id(),
            session: &loaded.session,
            read: loaded.stamp,
            idle: self.rules.lifetime.idle,
            until: loaded.now.plus(self.rules.rotate_grace),
            answer: &answer,
        };
        self.store.rotate(rotation).await
    }

    /// The answer that the rotation gave, if its session still lives.
    async fn repeated(
        &self,
        token: &SessionToken,
        answer: &[u8],
    ) -> Result<Option<(IssuedSession, &'static str)>, StoreError> {
        let Some(fresh) = self.opened(token, answer) else {
            log::warn!(session = token.id().to_string().as_str(); "the answer of a rotation cannot be read: a key was changed since");
            return Ok(None);
        };
        Ok(self
            .look_up(&fresh.id())
            .await?
            .map(|loaded| (issued(fresh, &loaded), "repeated")))
    }

    fn opened(&self, token: &SessionToken, answer: &[u8]) -> Option<SessionToken> {
        let text = Secret::new(self.answer_box(token).open(answer).ok()?);
        SessionToken::parse(&self.keys, std::str::from_utf8(text.expose()).ok()?).ok()
    }

    fn answer_box(&self, token: &SessionToken) -> DerivedBox {
        DerivedBox::new(
            &self.naming,
            "rotate answer",
            &[Secret::new(token.expose()).expose().as_bytes()],
        )
    }
}

fn issued(token: SessionToken, loaded: &LoadedSession) -> IssuedSession {
    IssuedSession {
        id: token.id(),
        token,
        app: loaded.session.user.app.clone(),
        expires_in: loaded.expires_in,
        absolute_expires_in: loaded.absolute_expires_in(),
    }
}
