//! Third-party platforms and the apps that authorise them.

use super::Platform;
use crate::sandbox::access_tokens::Granted;
use crate::sandbox::components::Tokens;
use crate::sandbox::denied::Denied;

impl Platform {
    /// What the platform pushes to a component every ten minutes.
    pub fn ticket(&self, component: &str) -> String {
        self.state.lock().components.ticket(component, self.now())
    }

    /// What an administrator of an app does who authorises a component; the code of the event.
    pub fn authorize(&self, component: &str, app: &str) -> String {
        self.state.lock().components.authorize(component, app)
    }

    /// What an administrator does who ends the authorization; whether there was one. The app's
    /// tokens end with it.
    pub fn withdraw(&self, component: &str, app: &str) -> bool {
        let now = self.now();
        let mut state = self.state.lock();
        state.tokens.end(app, now);
        state.components.withdraw(component, app)
    }

    /// The refresh token that the platform takes of an authorizer.
    pub(in crate::sandbox) fn refresh_token(
        &self,
        component: &str,
        app: &str,
    ) -> Result<String, Denied> {
        self.state.lock().components.refresh_token(component, app)
    }

    pub(in crate::sandbox) fn component_token(
        &self,
        component: &str,
        ticket: &str,
    ) -> Result<Granted, Denied> {
        let now = self.now();
        self.state.lock().components.token(component, ticket, now)
    }

    pub(in crate::sandbox) fn check_component(
        &self,
        component: &str,
        token: &str,
    ) -> Result<(), Denied> {
        let now = self.now();
        self.state.lock().components.check(component, token, now)
    }

    pub(in crate::sandbox) fn check_authorized(
        &self,
        component: &str,
        app: &str,
    ) -> Result<(), Denied> {
        self.state
            .lock()
            .components
            .check_authorized(component, app)
    }

    pub(in crate::sandbox) fn first_tokens(
        &self,
        component: &str,
        code: &str,
    ) -> Result<Tokens, Denied> {
        let now = self.now();
        let state = &mut *self.state.lock();
        let components = &mut state.components;
        components.first_tokens(component, code, &mut state.tokens, now)
    }

    pub(in crate::sandbox) fn refresh_authorizer(
        &self,
        component: &str,
        app: &str,
        refresh: &str,
    ) -> Result<Tokens, Denied> {
        let now = self.now();
        let state = &mut *self.state.lock();
        let components = &mut state.components;
        components.refresh(component, app, refresh, &mut state.tokens, now)
    }
}
