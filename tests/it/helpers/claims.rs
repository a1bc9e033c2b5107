//! Sessions with claims.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hufu::config::{Settings, Variables};
use hufu::crypto::keyring::{Keyring, NamingKey};
use hufu::metrics::Metrics;
use hufu::session::token::tag_of;
use hufu::session::{ClaimsChange, PatchLife, Session, SessionToken};
use hufu::store::{self, Stores};
use serde_json::Value;

use super::builder::APPID;
use super::gateway::Gateway;
use super::store::{made, new_session, session_of};

impl Gateway {
    /// A token of a fresh session of this user with these claims, written into the gateway's Redis as
    /// a login would write it.
    pub(crate) async fn token_with_claims(&self, user: &str, claims: &Value) -> String {
        let (stores, keys, naming) = self.own_store();
        let sessions = stores.sessions;
        let now = sessions.now().await.unwrap();
        let session = Session {
            claims: serde_json::from_value(claims.clone()).unwrap(),
            ..session_of(&hufu::sandbox::openid(APPID, user), now)
        };
        let token = SessionToken::issue(&keys, tag_of(&naming, &session.user));
        let new = new_session(token.id(), &session, Duration::from_secs(3600));
        made(sessions.create(new).await.unwrap());
        token.expose()
    }

    /// Changes the claims of all sessions of this user, as another gateway would. This one and its
    /// siblings learn of it as of a revocation.
    pub(crate) async fn change_claims(&self, user: &str, patch: &Value) {
        let (stores, ..) = self.own_store();
        let now = stores.sessions.now().await.unwrap();
        let user = session_of(&hufu::sandbox::openid(APPID, user), now).user;
        let patch = serde_json::from_value(patch.clone()).unwrap();
        let changed = stores
            .users
            .change_claims(&user, &patch, PatchLife::Lasting);
        let changed = changed.await.unwrap();
        assert!(
            matches!(changed, ClaimsChange::Done { sessions, .. } if sessions > 0),
            "{changed:?}"
        );
    }

    /// The gateway's Redis, opened with its keys.
    fn own_store(&self) -> (Stores, Arc<Keyring>, Arc<NamingKey>) {
        let text = self.stored("hufu.toml");
        let variables = Variables::default();
        let (settings, _) = Settings::parse("hufu.toml", &text, Path::new(""), &variables).unwrap();
        let (keys, naming) = (settings.secrets.keys, settings.secrets.naming_key);
        let metrics = Arc::new(Metrics::new());
        let store = store::open(&settings.store, keys.clone(), naming.clone(), metrics).unwrap();
        (store.process(), keys, naming)
    }
}
