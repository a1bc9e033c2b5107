//! What others do while a gateway asks the platform for a lost refresh token.

use std::sync::Mutex;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use hufu::identity::{
    ExchangeError, FoundRefreshToken, GrantedToken, KeptAuthorizer, NewRefreshToken,
    RefreshTokenMark,
};
use hufu::session::{StoreError, Written};

use super::*;

/// A store in which somebody does something between a gateway's question to the platform and its
/// write: it asks for the time then.
struct Meddled {
    store: Arc<dyn ComponentStore>,
    meddling: Mutex<Option<BoxFuture<'static, ()>>>,
}

#[async_trait]
impl ComponentStore for Meddled {
    async fn time(&self) -> Result<UnixMillis, StoreError> {
        let meddling = self.meddling.lock().unwrap().take();
        if let Some(meddling) = meddling {
            meddling.await;
        }
        self.store.time().await
    }

    async fn ticket(&self, component: &str) -> Result<Option<Secret<String>>, StoreError> {
        self.store.ticket(component).await
    }

    async fn keep_ticket(
        &self,
        component: &str,
        ticket: &Secret<String>,
        made: UnixMillis,
    ) -> Result<Written, StoreError> {
        self.store.keep_ticket(component, ticket, made).await
    }

    async fn authorizers(&self, component: &str) -> Result<Vec<KeptAuthorizer>, StoreError> {
        self.store.authorizers(component).await
    }

    async fn refresh_token(&self, name: &TokenName) -> Result<FoundRefreshToken, StoreError> {
        self.store.refresh_token(name).await
    }

    async fn authorize(
        &self,
        name: &TokenName,
        refresh_token: &Secret<String>,
        at: UnixMillis,
        access: Option<&GrantedToken>,
    ) -> Result<(), StoreError> {
        self.store.authorize(name, refresh_token, at, access).await
    }

    async fn keep_recovered(
        &self,
        name: &TokenName,
        refresh_token: &Secret<String>,
        at: UnixMillis,
        read: &RefreshTokenMark,
    ) -> Result<Written, StoreError> {
        let kept = self.store.keep_recovered(name, refresh_token, at, read);
        kept.await
    }

    async fn keep_refreshed(
        &self,
        name: &TokenName,
        ticket: &[u8; 16],
        token: &NewToken<'_>,
        refresh_token: &NewRefreshToken<'_>,
    ) -> Result<Written, StoreError> {
        let kept = self
            .store
            .keep_refreshed(name, ticket, token, refresh_token);
        kept.await
    }

    async fn withdraw(&self, name: &TokenName, at: UnixMillis) -> Result<Written, StoreError> {
        self.store.withdraw(name, at).await
    }

    async fn reseal(&self, component: &str) -> Result<usize, StoreError> {
        self.store.reseal(component).await
    }
}

/// The authorizer withdraws, and another process hears of it.
fn withdrawing(scene: &Scene) -> impl Future<Output = ()> + Send + use<> {
    let other = scene.process();
    async move {
        let authorizer = APPID.into();
        let event = ComponentEvent::Withdrawn { authorizer };
        other.event(event).await.unwrap();
    }
}

impl Scene {
    /// A process whose store is meddled with.
    fn meddled(&self, meddling: impl Future<Output = ()> + Send + 'static) -> Process {
        let process = self.process();
        let store = Arc::new(Meddled {
            store: process.store.clone(),
            meddling: Mutex::new(Some(Box::pin(meddling))),
        });
        let metrics = Arc::new(Metrics::new());
        let clock = Arc::new(SystemClock);
        Process {
            broker: TokenBroker::new(process.tokens.clone(), store, clock, metrics),
            ..process
        }
    }

    /// A kept refresh token that the platform does not take any more.
    async fn outdated(&self) -> Vec<u8> {
        let process = self.ready().await;
        let code = self.wechat.platform.authorize(COMPONENT, APPID);
        process.authorized(&code).await.unwrap();
        let old = self.dump();
        self.expire();
        let second = self.process();
        second.token(&second.of).await.unwrap();
        self.restore(&old);
        old
    }
}

#[tokio::test]
async fn an_authorizer_that_withdraws_meanwhile_does_not_come_back() {
    let scene = Scene::new();
    let old = scene.outdated().await;
    let process = scene.meddled(withdrawing(&scene));
    let outcome = process.token(&process.of).await;
    let Err(AppTokenError::NotAuthorized { reason, .. }) = outcome else {
        panic!("{outcome:?}")
    };
    assert!(reason.contains("has withdrawn while"), "{reason}");
    assert_eq!(process.refresh_token().await, None);

    // An operator has the platform asked.
    scene.restore(&old);
    let process = scene.meddled(withdrawing(&scene));
    let outcome = process.broker.recover(&process.of).await;
    assert!(
        matches!(
            outcome,
            Err(ComponentError::Platform(
                ExchangeError::NotAuthorized { .. }
            ))
        ),
        "{outcome:?}"
    );
    assert_eq!(process.refresh_token().await, None);
}

/// An authorization of which no gateway has heard.
#[tokio::test]
async fn an_authorizer_that_was_not_known_and_withdraws_meanwhile_does_not_come() {
    let scene = Scene::new();
    scene.ready().await;
    scene.wechat.platform.authorize(COMPONENT, APPID);
    let process = scene.meddled(withdrawing(&scene));
    let outcome = process.token(&process.of).await;
    let Err(AppTokenError::NotAuthorized { reason, .. }) = outcome else {
        panic!("{outcome:?}")
    };
    assert!(reason.contains("has withdrawn while"), "{reason}");
    assert_eq!(process.refresh_token().await, None);
    // Whoever asks after the withdrawal believes the platform.
    let later = scene.process();
    later.token(&later.of).await.unwrap();
    assert!(later.refresh_token().await.is_some());
}

#[tokio::test]
async fn a_refresh_token_that_came_meanwhile_is_gone_on_with() {
    let scene = Scene::new();
    scene.outdated().await;
    let other = scene.process();
    let platform = scene.wechat.platform.clone();
    let process = scene.meddled(async move {
        let code = platform.authorize(COMPONENT, APPID);
        other.authorized(&code).await.unwrap();
    });
    let token = process.token(&process.of).await.unwrap();
    assert!(scene.wechat.platform.knows_token(&token));
    assert_eq!(scene.calls("api_get_authorizer_info"), 1);
}
