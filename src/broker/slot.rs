//! The place of one of an app's tokens with the broker: what it is called, who fetches it and what is
//! known of it.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use super::fetched::DatedFetch;
use super::state::TokenState;
use crate::identity::{App, TicketKind, TokenName};

/// The kind of token that stands in the store.
pub(super) const ACCESS: &str = "access";

/// What is kept for an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum SlotKind {
    Access,
    Ticket(TicketKind),
}

impl SlotKind {
    /// Its name in the store.
    const fn stored(self) -> &'static str {
        match self {
            Self::Access => ACCESS,
            Self::Ticket(kind) => kind.as_str(),
        }
    }

    /// What it is called in the log.
    pub(super) const fn noun(self) -> &'static str {
        match self {
            Self::Access => "access token",
            Self::Ticket(TicketKind::Page) => "jsapi ticket",
            Self::Ticket(TicketKind::Card) => "card ticket",
        }
    }

    pub(super) fn name(self, app: &App) -> TokenName {
        TokenName::of(app, self.stored())
    }
}

pub(super) struct AppSlot {
    pub(super) name: TokenName,
    pub(super) kind: SlotKind,
    /// The app as it was last asked for.
    app: Mutex<App>,
    pub(super) state: Mutex<TokenState>,
    /// An authorizer's tokens that the store could not take: the refresh token that stands there is
    /// used up, and nobody else has the next one.
    pub(super) unstored: Mutex<Option<DatedFetch>>,
}

impl AppSlot {
    pub(super) fn new(app: App, kind: SlotKind) -> Self {
        Self {
            name: kind.name(&app),
            kind,
            app: Mutex::new(app),
            state: Mutex::default(),
            unstored: Mutex::default(),
        }
    }

    /// Whether nothing would be lost with it.
    pub(super) fn is_idle(&self, now: Instant) -> bool {
        self.state.lock().is_idle(now) && self.unstored.lock().is_none()
    }

    pub(super) fn app(&self) -> App {
        self.app.lock().clone()
    }

    /// The app as it is configured now. With other settings what stood against a fetch may be gone.
    pub(super) fn asked_by(&self, app: &App) {
        let mut last = self.app.lock();
        if !Arc::ptr_eq(&last.provider, &app.provider) {
            *last = app.clone();
            self.state.lock().resume();
        }
    }
}
