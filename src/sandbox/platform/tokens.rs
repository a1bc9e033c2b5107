//! The apps' access_tokens and tickets, and who may fetch them.

use std::net::IpAddr;

use super::Platform;
use crate::sandbox::access_tokens::Granted;
use crate::sandbox::denied::Denied;

impl Platform {
    pub(in crate::sandbox) fn plain_token(&self, app: &str) -> Granted {
        self.state.lock().tokens.plain(app, self.now())
    }

    pub(in crate::sandbox) fn stable_token(
        &self,
        app: &str,
        force: bool,
    ) -> Result<Granted, Denied> {
        self.state
            .lock()
            .tokens
            .stable(app, force, self.now())
            .ok_or(Denied::QuotaUsedUp)
    }

    /// The stable access_token of an app, as whoever fetches it gets it.
    #[must_use]
    pub fn stable_token_of(&self, app: &str) -> String {
        self.stable_token(app, false)
            .map(|granted| granted.access_token)
            .unwrap_or_default()
    }

    pub(in crate::sandbox) fn app_ticket(&self, app: &str, kind: &str) -> Result<Granted, Denied> {
        self.state
            .lock()
            .tickets
            .stable(&ticket_owner(app, kind), false, self.now())
            .ok_or(Denied::QuotaUsedUp)
    }

    /// Whether an access_token is good now.
    pub fn knows_token(&self, token: &str) -> bool {
        self.app_of_token(token).is_ok()
    }

    /// Whether a ticket for pages (`jsapi`) or cards (`wx_card`) of an app is good now.
    pub fn knows_ticket(&self, app: &str, kind: &str, ticket: &str) -> bool {
        let owner = self.state.lock().tickets.app_of(ticket, self.now());
        owner.is_some_and(|owner| owner == ticket_owner(app, kind))
    }

    /// The app that an access_token belongs to.
    pub(in crate::sandbox) fn app_of_token(&self, token: &str) -> Result<String, Denied> {
        self.state
            .lock()
            .tokens
            .app_of(token, self.now())
            .ok_or(Denied::BadToken)
    }

    /// Ends all access_tokens of an app, as another fetcher of the team's would; how many lived.
    pub fn end_tokens(&self, app: &str) -> usize {
        let now = self.now();
        let mut state = self.state.lock();
        state.tokens.end(app, now) + state.components.end(app, now)
    }

    /// Only these addresses may fetch the app's access_token from now on; none: any.
    pub fn allow_addresses(&self, app: &str, addresses: Vec<IpAddr>) {
        let mut state = self.state.lock();
        if addresses.is_empty() {
            state.addresses.remove(app);
        } else {
            state.addresses.insert(app.to_owned(), addresses);
        }
    }

    pub(in crate::sandbox) fn allows_address(&self, app: &str, address: IpAddr) -> bool {
        let state = self.state.lock();
        let allowed = state.addresses.get(app);
        allowed.is_none_or(|addresses| addresses.contains(&address))
    }
}

/// Tickets of both kinds stand in one list.
fn ticket_owner(app: &str, kind: &str) -> String {
    format!("{app} {kind}")
}
