//! Third-party platforms: their tickets and tokens, and the apps that have authorised them.

use std::collections::HashMap;
use std::time::Duration;

use super::access_tokens::{AccessTokens, Granted};
use super::denied::Denied;
use crate::clock::UnixMillis;
use crate::crypto::{encoding, random};

/// How long a ticket is good.
const TICKET_LIFE: Duration = Duration::from_secs(12 * 3600);

/// A component and the app that has authorised it.
type Pair = (String, String);

/// What an authorization gives, or its refresh.
#[derive(Debug)]
pub(super) struct Tokens {
    pub(super) app: String,
    pub(super) access: Granted,
    pub(super) refresh: String,
}

/// All third-party platforms.
pub(super) struct Components {
    tokens: AccessTokens,
    tickets: HashMap<String, (String, UnixMillis)>,
    /// The codes of authorizations, each good once.
    codes: HashMap<String, Pair>,
    /// The refresh tokens of authorizations: a refresh gives another one and ends the one before.
    authorizations: HashMap<Pair, String>,
}

impl Components {
    /// None yet; their tokens will live so long.
    pub(super) fn new(life: Duration) -> Self {
        Self {
            tokens: AccessTokens::new(life),
            tickets: HashMap::new(),
            codes: HashMap::new(),
            authorizations: HashMap::new(),
        }
    }

    pub(super) fn ticket(&mut self, component: &str, now: UnixMillis) -> String {
        self.tickets
            .retain(|_, (_, at)| now.since(*at) < TICKET_LIFE);
        let ticket = format!("ticket@@@{}", text());
        self.tickets
            .insert(ticket.clone(), (component.to_owned(), now));
        ticket
    }

    /// A token for a ticket.
    pub(super) fn token(
        &mut self,
        component: &str,
        ticket: &str,
        now: UnixMillis,
    ) -> Result<Granted, Denied> {
        match self.tickets.get(ticket) {
            Some((owner, at)) if owner == component => {
                if now.since(*at) < TICKET_LIFE {
                    Ok(self.tokens.plain(component, now))
                } else {
                    Err(Denied::TicketExpired)
                }
            }
            _ => Err(Denied::BadTicket),
        }
    }

    /// Whether a token is this component's and lives.
    pub(super) fn check(
        &self,
        component: &str,
        token: &str,
        now: UnixMillis,
    ) -> Result<(), Denied> {
        match self.tokens.app_of(token, now) {
            Some(owner) if owner == component => Ok(()),
            _ => Err(Denied::BadToken),
        }
    }

    /// What an administrator does who authorises the component: a code, for the first tokens.
    pub(super) fn authorize(&mut self, component: &str, app: &str) -> String {
        let pair = (component.to_owned(), app.to_owned());
        let code = format!("queryauthcode@@@{}", text());
        self.codes.insert(code.clone(), pair.clone());
        self.authorizations.insert(pair, new_refresh_token());
        code
    }

    /// Whether there was an authorization.
    pub(super) fn withdraw(&mut self, component: &str, app: &str) -> bool {
        let pair = (component.to_owned(), app.to_owned());
        self.codes.retain(|_, of| *of != pair);
        self.authorizations.remove(&pair).is_some()
    }

    pub(super) fn check_authorized(&self, component: &str, app: &str) -> Result<(), Denied> {
        self.refresh_token(component, app).map(drop)
    }

    pub(super) fn refresh_token(&self, component: &str, app: &str) -> Result<String, Denied> {
        let pair = (component.to_owned(), app.to_owned());
        let refresh = self.authorizations.get(&pair);
        refresh.cloned().ok_or(Denied::NotAuthorized)
    }

    /// The first tokens, by an authorization's code.
    pub(super) fn first_tokens(
        &mut self,
        component: &str,
        code: &str,
        tokens: &mut AccessTokens,
        now: UnixMillis,
    ) -> Result<Tokens, Denied> {
        match self.codes.get(code) {
            Some((owner, app)) if owner == component => {
                let app = app.clone();
                self.codes.remove(code);
                Ok(Tokens {
                    access: tokens.another(&app, now),
                    refresh: self.refresh_token(component, &app)?,
                    app,
                })
            }
            _ => Err(Denied::BadAuthorizationCode),
        }
    }

    /// The next tokens, by a refresh token.
    pub(super) fn refresh(
        &mut self,
        component: &str,
        app: &str,
        refresh: &str,
        tokens: &mut AccessTokens,
        now: UnixMillis,
    ) -> Result<Tokens, Denied> {
        if self.refresh_token(component, app)? != refresh {
            return Err(Denied::BadRefreshToken);
        }
        let fresh = new_refresh_token();
        let pair = (component.to_owned(), app.to_owned());
        self.authorizations.insert(pair, fresh.clone());
        Ok(Tokens {
            app: app.to_owned(),
            access: tokens.another(app, now),
            refresh: fresh,
        })
    }

    /// Ends a component's own tokens; how many lived.
    pub(super) fn end(&mut self, component: &str, now: UnixMillis) -> usize {
        self.tokens.end(component, now)
    }
}

fn new_refresh_token() -> String {
    format!("refreshtoken@@@{}", text())
}

fn text() -> String {
    encoding::base64url(&random::bytes::<33>())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_000);

    #[test]
    fn a_ticket_is_good_for_its_component_and_twelve_hours() {
        let mut components = Components::new(Duration::from_secs(7200));
        let ticket = components.ticket("wxc", NOW);
        let token = components.token("wxc", &ticket, NOW).unwrap().access_token;
        assert_eq!(components.check("wxc", &token, NOW), Ok(()));
        assert_eq!(components.check("wxd", &token, NOW), Err(Denied::BadToken));
        let refused = components.token("wxd", &ticket, NOW);
        assert_eq!(refused, Err(Denied::BadTicket));
        let late = components.token("wxc", &ticket, NOW.plus(TICKET_LIFE));
        assert_eq!(late, Err(Denied::TicketExpired));
    }

    #[test]
    fn a_refresh_ends_the_refresh_token_before() {
        let mut components = Components::new(Duration::from_secs(7200));
        let mut tokens = AccessTokens::new(Duration::from_secs(7200));
        let code = components.authorize("wxc", "wx1");
        let mut first =
            |components: &mut Components| components.first_tokens("wxc", &code, &mut tokens, NOW);
        let pair = first(&mut components).unwrap();
        assert!(matches!(
            first(&mut components),
            Err(Denied::BadAuthorizationCode)
        ));
        let next = components.refresh("wxc", "wx1", &pair.refresh, &mut tokens, NOW);
        let next = next.unwrap().refresh;
        let old = components.refresh("wxc", "wx1", &pair.refresh, &mut tokens, NOW);
        assert!(matches!(old, Err(Denied::BadRefreshToken)));
        assert_eq!(components.refresh_token("wxc", "wx1"), Ok(next.clone()));
        assert!(components.withdraw("wxc", "wx1"));
        let gone = components.refresh("wxc", "wx1", &next, &mut tokens, NOW);
        assert!(matches!(gone, Err(Denied::NotAuthorized)));
    }
}
