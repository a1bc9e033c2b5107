//! Sessions with claims.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hufu::config::{Settings, Variables};
use hufu::crypto::keyring::{Keyring, NamingKey};
use hufu::metrics::Metrics;
use hufu::session::token::tag_of;
use hufu::session::{Session, SessionToken};
use hufu::store::{self, Stores};
use serde_json::Value;

use super::builder::APPID;
use super::client::http;
use super::gateway::Gateway;
use super::store::{made, new_session, session_of};

const OPERATOR_TOKEN: &str = "operator-token-of-a-test";
/// The admin API as [`Gateway::change_claims`] calls it.
pub(crate) const OPERATOR: &str = "admin.token = \"operator-token-of-a-test\"\n";

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

    /// Changes the claims of all sessions of this user, as an operator does. The configuration has
    /// [`OPERATOR`].
    pub(crate) async fn change_claims(&self, user: &str, patch: &Value) {
        let openid = hufu::sandbox::openid(APPID, user);
        let answer = http()
            .request("PATCH", self.admin_at("/admin/api/users/claims"))
            .query(&[("app", "shop"), ("user", &openid)])
            .bearer_auth(OPERATOR_TOKEN)
            .json(patch)
            .await;
        assert_eq!(answer.status(), 200, "{}", answer.text());
        assert!(answer.json()["sessions"].as_u64() > Some(0));
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
