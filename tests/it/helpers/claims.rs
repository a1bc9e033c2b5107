//! Sessions with claims.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hufu::config::{Settings, Variables};
use hufu::metrics::Metrics;
use hufu::session::token::tag_of;
use hufu::session::{Session, SessionToken};
use hufu::store;
use serde_json::Value;

use super::builder::APPID;
use super::gateway::Gateway;
use super::store::{made, new_session, session_of};

impl Gateway {
    /// A token of a fresh session of this user with these claims, written into the gateway's Redis as
    /// a login would write it.
    pub(crate) async fn token_with_claims(&self, user: &str, claims: &Value) -> String {
        let text = self.stored("hufu.toml");
        let variables = Variables::default();
        let (settings, _) = Settings::parse("hufu.toml", &text, Path::new(""), &variables).unwrap();
        let (keys, naming) = (settings.secrets.keys, settings.secrets.naming_key);
        let metrics = Arc::new(Metrics::new());
        let store = store::open(&settings.store, keys.clone(), naming.clone(), metrics).unwrap();
        let sessions = store.process().sessions;
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
}
