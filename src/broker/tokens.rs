//! The broker: whoever wants a token gets it from memory; one task at a time sees to it that there
//! is one.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::fetch::Fetcher;
use super::slot::{ACCESS, AppSlot, SlotKind};
use super::state::{Refused, Step, unavailable};
use super::strangers::Strangers;
use crate::clock::{Clock, monotonic_now};
use crate::identity::{
    AccessToken, App, AppTicketSource, AppTokenError, AppTokenSource, ComponentStore,
    PlatformTokens, REFUSED_TWICE, TicketKind, TokenName,
};
use crate::metrics::Metrics;

type Outcome = Result<AccessToken, AppTokenError>;

/// Keeps the tokens of all apps. Cheap to clone.
#[derive(Clone)]
pub struct TokenBroker(pub(super) Arc<Shared>);

pub(super) struct Shared {
    pub(super) fetcher: Fetcher,
    /// Where tasks run: callers come and go, and so do workers. `None`: in the caller's runtime.
    runtime: Option<Handle>,
    apps: Mutex<Places>,
}

/// How long the background waits at least after a fetch that failed.
const FAILED: Duration = Duration::from_secs(1);
/// So many entries there may be before those are dropped that hold nothing: anybody can name an
/// authorizer.
const ENTRIES: usize = 1024;

struct Places {
    entries: HashMap<EntryName, Arc<Entry>>,
    /// With how many entries it is time to look for such.
    most: usize,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
            most: ENTRIES,
        }
    }
}

impl Places {
    fn insert(&mut self, name: EntryName, entry: Arc<Entry>) {
        if self.entries.len() >= self.most {
            let now = monotonic_now();
            // Nobody else has it either.
            self.entries
                .retain(|_, entry| Arc::strong_count(entry) > 1 || !entry.slot.is_idle(now));
            self.most = ENTRIES.max(2 * self.entries.len());
        }
        self.entries.insert(name, entry);
    }
}

/// An app's name, the id of the app that it acts for, and what is kept.
type EntryName = (Arc<str>, Option<Arc<str>>, SlotKind);

/// One of an app's tokens, and who works on it.
struct Entry {
    slot: AppSlot,
    /// The outcome of the task that obtains the token.
    flight: Mutex<Option<watch::Receiver<Option<Outcome>>>>,
    /// Whether a task looks after it in the background.
    watched: Mutex<bool>,
}

impl TokenBroker {
    /// Nothing is fetched and nobody is asked before somebody wants a token. Its tasks run in the
    /// runtime of this call.
    pub fn new(
        store: Arc<dyn PlatformTokens>,
        components: Arc<dyn ComponentStore>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let fetcher = Fetcher {
            store,
            components,
            clock,
            metrics,
            started: Mutex::default(),
            strangers: Strangers::default(),
        };
        Self(Arc::new(Shared {
            fetcher,
            runtime: Handle::try_current().ok(),
            apps: Mutex::default(),
        }))
    }
}

#[async_trait]
impl AppTokenSource for TokenBroker {
    async fn token(&self, app: &App) -> Outcome {
        self.0.wanted(app, SlotKind::Access).await
    }

    async fn token_after(&self, app: &App, refused: &AccessToken) -> Outcome {
        let entry = self.0.entry(app, SlotKind::Access)?;
        self.0.fetcher.count_refusal(app);
        let step = entry
            .slot
            .state
            .lock()
            .refused(&refused.text, monotonic_now());
        let early = match step {
            Refused::Use(token) => return Ok(token),
            Refused::Wait(error) => {
                if !self.0.is_withdrawn(app).await {
                    return Err(error);
                }
                self.0.forget(app);
                false
            }
            Refused::Obtain { early } => early,
        };
        if early {
            log::warn!(app = &*app.name; "access tokens of {} ended long before their time twice within an hour: another fetcher ends them, such as a token server or another environment with the classic call", app.appid);
        }
        let token = self.0.obtained(&entry).await?;
        if token.text == refused.text {
            // Of a task that was under way before the refusal.
            return Err(AppTokenError::refused_twice(REFUSED_TWICE));
        }
        Ok(token)
    }
}

#[async_trait]
impl AppTicketSource for TokenBroker {
    async fn ticket(&self, app: &App, kind: TicketKind) -> Outcome {
        self.0.wanted(app, SlotKind::Ticket(kind)).await
    }
}

impl Shared {
    async fn wanted(self: &Arc<Self>, app: &App, kind: SlotKind) -> Outcome {
        let entry = self.entry(app, kind)?;
        let step = entry.slot.state.lock().wanted(monotonic_now());
        match step {
            Step::Use(token) => Ok(token),
            Step::UseAndRefresh(token) => {
                drop(self.flight(&entry));
                Ok(token)
            }
            Step::Obtain => self.obtained(&entry).await.or_else(|why| {
                let state = entry.slot.state.lock();
                state.last_resort(monotonic_now()).ok_or(why)
            }),
        }
    }

    /// What stood against a fetch of this app's token is gone.
    pub(super) fn resume(&self, app: &App) {
        let access = SlotKind::Access;
        let name = (app.name.clone(), app.authorizer().cloned(), access);
        if let Some(entry) = self.apps.lock().entries.get(&name) {
            entry.slot.state.lock().resume();
        }
    }

    /// Whether another gateway has heard that the app lets no other one act for it any more: it has
    /// deleted the refresh token. A token that is refused soon after its fetch is no riddle then.
    async fn is_withdrawn(&self, app: &App) -> bool {
        if app.authorizer().is_none() {
            return false;
        }
        let name = TokenName::of(app, ACCESS);
        let found = self.fetcher.components.refresh_token(&name).await;
        found.is_ok_and(|found| found.text.is_none())
    }

    /// An app has withdrawn: its token and its tickets are good for nothing.
    pub(super) fn forget(&self, app: &App) {
        let authorizer = app.authorizer();
        for ((name, of, _), entry) in &self.apps.lock().entries {
            if *name == app.name && of.as_ref() == authorizer {
                entry.slot.state.lock().forget();
            }
        }
    }

    /// An app's place; another one when its id has changed.
    fn entry(&self, app: &App, kind: SlotKind) -> Result<Arc<Entry>, AppTokenError> {
        let is_supported = match kind {
            SlotKind::Access => app.app_token().is_some() || app.component_api().is_some(),
            // One that acts for others has no pages of its own.
            SlotKind::Ticket(_) => {
                let is_of_page = app.component_api().is_none() || app.authorizer().is_some();
                is_of_page && app.app_tickets().is_some()
            }
        };
        if !is_supported {
            return Err(AppTokenError::Unsupported);
        }
        let mut places = self.apps.lock();
        let name = (app.name.clone(), app.authorizer().cloned(), kind);
        if let Some(entry) = places.entries.get(&name)
            && entry.slot.name == kind.name(app)
        {
            entry.slot.asked_by(app);
            return Ok(entry.clone());
        }
        let entry = Arc::new(Entry {
            slot: AppSlot::new(app.clone(), kind),
            flight: Mutex::default(),
            watched: Mutex::default(),
        });
        places.insert(name, entry.clone());
        Ok(entry)
    }

    /// Waits for the task that obtains the token.
    async fn obtained(self: &Arc<Self>, entry: &Arc<Entry>) -> Outcome {
        let mut outcome = self.flight(entry);
        match outcome.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(outcome)) => outcome.clone(),
            _ => Err(unavailable(
                "the process is ending".to_owned(),
                REFUSED_TWICE,
            )),
        }
    }

    /// The task that obtains the token; begun, unless one is under way. It goes on when nobody waits
    /// any more, so that no token is lost half way.
    fn flight(self: &Arc<Self>, entry: &Arc<Entry>) -> watch::Receiver<Option<Outcome>> {
        let mut flight = entry.flight.lock();
        if let Some(outcome) = &*flight
            && outcome.borrow().is_none()
            && outcome.has_changed().is_ok()
        {
            return outcome.clone();
        }
        let (sender, outcome) = watch::channel(None);
        *flight = Some(outcome.clone());
        let (shared, entry) = (self.clone(), entry.clone());
        self.spawn(async move {
            let tokens = TokenBroker(shared.clone());
            let obtained = shared.fetcher.obtain(&entry.slot, &tokens).await;
            sender.send_replace(Some(obtained));
            shared.watch_over(&entry);
        });
        outcome
    }

    /// Has a task look after the token, as long as there is one that is used.
    fn watch_over(self: &Arc<Self>, entry: &Arc<Entry>) {
        let mut watched = entry.watched.lock();
        if !*watched && entry.slot.state.lock().next_look(monotonic_now()).is_some() {
            *watched = true;
            self.spawn(keep_fresh(Arc::downgrade(self), entry.clone()));
        }
    }

    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        match &self.runtime {
            Some(runtime) => drop(runtime.spawn(task)),
            None => drop(tokio::spawn(task)),
        }
    }
}

/// Obtains the next token shortly before the end of the present one, as long as somebody uses it.
/// It ends with the broker.
async fn keep_fresh(broker: Weak<Shared>, entry: Arc<Entry>) {
    loop {
        let wait = {
            let mut watched = entry.watched.lock();
            let wait = entry.slot.state.lock().next_look(monotonic_now());
            *watched = wait.is_some();
            wait
        };
        let Some(wait) = wait else { return };
        tokio::time::sleep(wait).await;
        let Some(shared) = broker.upgrade() else {
            return;
        };
        let due = entry.slot.state.lock().next_look(monotonic_now());
        let is_due = due.is_some_and(|wait| wait.is_zero());
        if is_due && shared.obtained(&entry).await.is_err() {
            tokio::time::sleep(FAILED).await;
        }
    }
}
