//! One app's place with the broker: what its token is called, who fetches it and what is known of
//! it.

use std::sync::Arc;

use parking_lot::Mutex;

use super::state::TokenState;
use crate::identity::{App, TokenName};

/// The kind of token that stands in the store.
pub(super) const ACCESS: &str = "access";

pub(super) struct AppSlot {
    pub(super) name: TokenName,
    /// The app as it was last asked for.
    app: Mutex<App>,
    pub(super) state: Mutex<TokenState>,
}

impl AppSlot {
    pub(super) fn new(app: App) -> Self {
        Self {
            name: TokenName::of(&app, ACCESS),
            app: Mutex::new(app),
            state: Mutex::default(),
        }
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
