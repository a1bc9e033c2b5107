//! The rules of deliveries, without a gateway: with a clock that a test moves.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hufu::clock::{ManualClock, UnixMillis};
use hufu::crypto::keyring::{Keyring, NamingKey};
use hufu::metrics::{AppOutcome, Metrics};
use hufu::push::{
    BackendError, Delivery, MessageContent, MessageFormat, MessageKey, PushBackend, PushMessages,
    PushSettings, PushTarget, Redelivery,
};
use hufu::store::{KeyPrefix, MemoryStore};

use super::token;

/// Takes messages, or not.
#[derive(Default)]
struct Backend {
    is_up: Cell<bool>,
    got: RefCell<Vec<Vec<u8>>>,
    tries: Cell<usize>,
}

#[async_trait(?Send)]
impl PushBackend for Backend {
    async fn deliver(&self, delivery: Delivery<'_>) -> Result<Vec<u8>, BackendError> {
        self.tries.set(self.tries.get() + 1);
        if !self.is_up.get() {
            return Err(BackendError {
                reason: "down".to_owned(),
            });
        }
        self.got.borrow_mut().push(delivery.content.body.clone());
        Ok(Vec::new())
    }
}

struct World {
    clock: ManualClock,
    store: Arc<MemoryStore>,
    backend: Rc<Backend>,
    metrics: Arc<Metrics>,
    redelivery: Redelivery,
}

fn world() -> World {
    let clock = ManualClock::at(UnixMillis(1_764_000_000_000));
    let metrics = Arc::new(Metrics::new());
    let store = Arc::new(MemoryStore::new(
        Arc::new(clock.clone()),
        KeyPrefix::new("hufu").unwrap(),
        Arc::new(Keyring::ephemeral()),
        Arc::new(NamingKey::ephemeral()),
        metrics.clone(),
    ));
    let backend = Rc::new(Backend::default());
    let settings = Arc::new(PushSettings {
        app: "shop".into(),
        appid: "wx1".into(),
        provider: "wechat-mini-program",
        source: "wechat-push",
        token: token(),
        key: None,
        backend: Some(PushTarget {
            upstream: "backend".into(),
            path: "/".to_owned(),
        }),
        ack: "success".to_owned(),
    });
    let redelivery = Redelivery {
        settings,
        store: store.clone(),
        backend: backend.clone(),
        metrics: metrics.clone(),
    };
    World {
        clock,
        store,
        backend,
        metrics,
        redelivery,
    }
}

impl World {
    async fn keep(&self, body: &str) {
        let owner = self.redelivery.settings.owner();
        let id = self.store.id(owner, None, &MessageKey::Id(body.to_owned()));
        let message = MessageContent {
            format: MessageFormat::Xml,
            authorizer: None,
            body: body.into(),
        };
        let span = Duration::from_secs(25 * 3600);
        let kept = self
            .store
            .keep(owner, &id, &message, Duration::from_secs(2), span);
        kept.await.unwrap();
    }

    fn counted(&self, outcome: &'static str) -> u64 {
        let label = AppOutcome {
            app: "shop".to_owned(),
            outcome,
        };
        self.metrics
            .platform
            .push_redeliveries
            .get_or_create(&label)
            .get()
    }
}

#[tokio::test]
async fn a_dead_backend_is_tried_for_a_day_and_ever_more_rarely() {
    let world = world();
    world.keep("m1").await;
    assert_eq!(
        world.redelivery.round().await.unwrap(),
        0,
        "it is not due yet"
    );
    let mut seconds = 0_u64;
    let mut tries_in_the_first_minute = 0;
    while world.counted("dropped") == 0 {
        assert!(seconds < 26 * 3600, "it is never dropped");
        world.clock.advance(Duration::from_secs(1));
        seconds += 1;
        world.redelivery.round().await.unwrap();
        if seconds == 60 {
            tries_in_the_first_minute = world.backend.tries.get();
        }
    }
    assert!(
        (24 * 3600..24 * 3600 + 600).contains(&seconds),
        "{seconds} s"
    );
    assert!(
        (4..=12).contains(&tries_in_the_first_minute),
        "{tries_in_the_first_minute}"
    );
    let tries = world.backend.tries.get();
    assert!((280..=600).contains(&tries), "{tries} tries in a day");
    world.backend.is_up.set(true);
    world.clock.advance(Duration::from_secs(3600));
    assert_eq!(world.redelivery.round().await.unwrap(), 0);
    assert!(world.store.dump().is_empty(), "nothing is left");
}

#[tokio::test]
async fn a_backend_that_comes_back_gets_everything_once() {
    let world = world();
    for n in 0..40 {
        world.keep(&format!("m{n}")).await;
    }
    world.clock.advance(Duration::from_secs(3));
    while world.redelivery.round().await.unwrap() > 0 {}
    assert_eq!(world.backend.tries.get(), 40);
    world.backend.is_up.set(true);
    for _ in 0..30 {
        world.clock.advance(Duration::from_secs(1));
        world.redelivery.round().await.unwrap();
    }
    let mut got = world.backend.got.borrow().clone();
    got.sort();
    got.dedup();
    assert_eq!((got.len(), world.backend.got.borrow().len()), (40, 40));
    assert_eq!(world.counted("delivered"), 40);
}
