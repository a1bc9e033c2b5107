//! Changes of users against everything that writes at the same time, a thousand rounds each, as two
//! gateways have them.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use hufu::clock::UnixMillis;
use hufu::session::store::Created;
use hufu::session::token::tag_of;
use hufu::session::{
    Blocked, ClaimsChange, ClaimsPatch, Lifetime, Lookup, NewSession, PatchLife, Session,
    SessionId, SessionRules, SessionService, SessionToken, UserKey, Users,
};
use hufu::store::{InvalidationChoice, Stores};

use crate::helpers::store::{session_of, user};
use crate::helpers::two_stores::Two;
use crate::helpers::{HOUR, RedisServer, new_session, walk};

/// Users at the same time, and rounds of each.
const USERS: usize = 50;
const ROUNDS: usize = 20;

/// Two gateways; sessions are cached.
struct Race {
    two: Two,
    stores: [Stores; 2],
    redis: RedisServer,
}

impl Race {
    async fn start() -> Self {
        let redis = RedisServer::start(&[]);
        let two = Two::with(&redis, InvalidationChoice::Tracking).await;
        Self {
            stores: [two.handle.worker(), two.handle.worker()],
            two,
            redis,
        }
    }

    fn service(&self, store: usize) -> SessionService {
        let rules = SessionRules {
            lifetime: Lifetime {
                idle: HOUR,
                absolute: HOUR,
            },
            max_per_user: 0,
            rotate_grace: Duration::ZERO,
        };
        SessionService::new(
            self.stores[store].sessions.clone(),
            self.two.maker.keys.clone(),
            self.two.maker.naming.clone(),
            rules,
            Arc::new(hufu::metrics::Metrics::new()),
        )
    }

    fn token(&self, user: &UserKey) -> SessionToken {
        let tag = tag_of(&self.two.maker.naming, user);
        SessionToken::issue(&self.two.maker.keys, tag)
    }

    async fn sign_in(&self, user: &UserKey) -> SessionToken {
        let token = self.token(user);
        let session = self.session(user, self.now().await);
        let new = new_session(token.id(), &session, HOUR);
        let made = self.stores[0].sessions.create(new).await.unwrap();
        assert!(matches!(made, Created::Made(_)), "{made:?}");
        token
    }

    async fn now(&self) -> UnixMillis {
        self.stores[0].sessions.now().await.unwrap()
    }

    fn session(&self, user: &UserKey, now: UnixMillis) -> Session {
        session_of(&user.subject, now)
    }

    async fn change(&self, store: usize, user: &UserKey, name: &str, value: usize) {
        let json = serde_json::json!({ name: value });
        let patch: ClaimsPatch = serde_json::from_value(json).unwrap();
        let users: &dyn Users = &*self.stores[store].users;
        let life = PatchLife::Login(Duration::from_secs(60));
        let changed = users.change_claims(user, &patch, life).await.unwrap();
        assert!(matches!(changed, ClaimsChange::Done { .. }), "{changed:?}");
    }

    async fn claim(&self, store: usize, id: &SessionId, name: &str) -> Option<String> {
        let lookup = self.stores[store].sessions.load_stored(id).await.unwrap();
        let Lookup::Found(loaded) = lookup else {
            return None;
        };
        let claims = serde_json::to_value(&loaded.session.claims).unwrap();
        Some(claims[name].to_string())
    }

    /// Runs the rounds of all users. Afterwards the store is whole.
    async fn rounds(&self, round: impl AsyncFn(UserKey, usize)) {
        let of_user = async |number: usize| {
            for at in 0..ROUNDS {
                round(user(&format!("o{number}")), at).await;
            }
        };
        join_all((0..USERS).map(of_user)).await;
        walk(&self.redis, "hufu").assert_sound();
    }
}

#[tokio::test]
async fn of_two_changes_none_is_lost() {
    let race = Race::start().await;
    race.rounds(async |user, at| {
        let tokens = [race.sign_in(&user).await, race.sign_in(&user).await];
        tokio::join!(
            race.change(0, &user, "one", at),
            race.change(1, &user, "other", at)
        );
        for token in &tokens {
            for (store, name) in [(1, "one"), (0, "other")] {
                let claim = race.claim(store, &token.id(), name).await;
                assert_eq!(claim, Some(at.to_string()), "{name}");
            }
        }
        let ended = race.stores[0].sessions.remove_all(&user).await.unwrap();
        assert_eq!(ended, 2);
    })
    .await;
}

#[tokio::test]
async fn no_rotation_brings_old_claims_back() {
    let race = Race::start().await;
    let services = [race.service(0), race.service(1)];
    race.rounds(async |user, at| {
        let token = race.sign_in(&user).await;
        // It is in the near cache of the gateway that rotates.
        let _ = services[1].resolve(&token.id()).await.unwrap();
        let (_, rotated) = tokio::join!(
            race.change(0, &user, "role", at),
            services[1].rotate(&token)
        );
        let id = rotated.unwrap().unwrap().id;
        assert_eq!(race.claim(0, &id, "role").await, Some(at.to_string()));
        let live = services[1].resolve(&id).await.unwrap().unwrap();
        assert!(live.session.claims.get("role").is_some());
        race.stores[0].sessions.remove_all(&user).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_login_that_heard_of_its_claims_before_a_change_gets_the_change() {
    let race = Race::start().await;
    race.rounds(async |user, at| {
        let session = race.session(&user, race.now().await);
        let id = race.token(&user).id();
        let new = NewSession {
            patches: PatchLife::Login(Duration::from_secs(60)),
            ..new_session(id, &session, HOUR)
        };
        let (made, ()) = tokio::join!(
            race.stores[1].sessions.create(new),
            race.change(0, &user, "role", at)
        );
        assert!(matches!(made.unwrap(), Created::Made(_)));
        assert_eq!(race.claim(1, &id, "role").await, Some(at.to_string()));
    })
    .await;
}

#[tokio::test]
async fn no_session_survives_a_block() {
    let race = Race::start().await;
    let service = race.service(1);
    race.rounds(async |user, _| {
        let token = race.sign_in(&user).await;
        let session = race.session(&user, race.now().await);
        let ids = [race.token(&user).id(), race.token(&user).id()];
        let logins = ids.iter().enumerate().map(|(store, id)| {
            let new = new_session(*id, &session, HOUR);
            race.stores[store].sessions.create(new)
        });
        let block = race.stores[0].users.block(&user, None, "");
        let change = race.change(1, &user, "role", 1);
        let (made, blocked, rotated, ()) =
            tokio::join!(join_all(logins), block, service.rotate(&token), change);
        assert!(matches!(blocked.unwrap(), Blocked::Done { .. }));
        for outcome in made {
            let _ = outcome.unwrap();
        }
        let rotated = rotated.unwrap().map(|issued| issued.id);
        for id in ids.into_iter().chain([token.id()]).chain(rotated) {
            assert_eq!(race.claim(1, &id, "role").await, None);
        }
        let left = race.stores[1].sessions.list(&user).await.unwrap();
        assert!(left.is_empty());
        let lifted = race.stores[1].users.unblock(&user).await.unwrap();
        assert!(lifted.is_some());
    })
    .await;
}
