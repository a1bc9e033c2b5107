//! How many WebSockets may be open, in all and of one user, and whose pages may open them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::http::{Cors, ErrorCode, GatewayError, Headers};
use crate::metrics::Gauge;
use crate::session::{TokenCarrier, UserKey};

/// When somebody may come back whom a full gateway turned away.
const COME_BACK: Duration = Duration::from_secs(5);

/// The operator's limits.
#[derive(Debug, Clone, Copy)]
pub struct WebsocketLimits {
    /// Open at once in this process.
    pub max: usize,
    /// Open at once of one user in this process; 0: no limit.
    pub max_per_user: usize,
    /// Silence in both directions, pings included, after which one is closed.
    pub idle_timeout: Duration,
}

/// The open WebSockets of a process.
#[derive(Debug)]
pub struct Websockets {
    pub limits: WebsocketLimits,
    open: Mutex<Open>,
    shown: Gauge,
}

#[derive(Debug, Default)]
struct Open {
    all: usize,
    users: HashMap<UserKey, usize>,
}

/// A place among them, until it is dropped.
#[derive(Debug)]
pub struct WebsocketPermit {
    of: Arc<Websockets>,
    user: Option<UserKey>,
}

impl Websockets {
    /// None open; `shown` shows how many are.
    pub fn new(limits: WebsocketLimits, shown: Gauge) -> Self {
        Self {
            limits,
            open: Mutex::default(),
            shown,
        }
    }

    /// A place for another one.
    pub fn enter(
        self: &Arc<Self>,
        user: Option<&UserKey>,
    ) -> Result<WebsocketPermit, GatewayError> {
        let mut open = self.open.lock();
        if open.all >= self.limits.max {
            let detail = "As many WebSockets are open as this gateway takes. Try again later.";
            return Err(GatewayError::new(ErrorCode::WebsocketsFull, detail).retry_after(COME_BACK));
        }
        if let Some(user) = user {
            let of_user = open.users.entry(user.clone()).or_default();
            if self.limits.max_per_user > 0 && *of_user >= self.limits.max_per_user {
                return Err(GatewayError::new(
                    ErrorCode::WebsocketLimit,
                    "This user has as many WebSockets open as one user may. Close one first.",
                ));
            }
            *of_user += 1;
        }
        open.all += 1;
        self.shown.inc();
        Ok(WebsocketPermit {
            of: self.clone(),
            user: user.cloned(),
        })
    }
}

impl Drop for WebsocketPermit {
    fn drop(&mut self) {
        let mut open = self.of.open.lock();
        open.all -= 1;
        self.of.shown.dec();
        if let Some(user) = &self.user
            && let Some(of_user) = open.users.get_mut(user)
        {
            *of_user -= 1;
            if *of_user == 0 {
                open.users.remove(user);
            }
        }
    }
}

/// A browser opens WebSockets for every page of the world, with the cookies of the gateway's host,
/// and CORS does not apply to them: so the gateway looks at `Origin` itself (OWASP ASVS 4.4.2).
/// What is no browser sends none. Where no token stands in a cookie and no origins are configured,
/// a foreign page has nothing that would let it in. `https`: whether the client is known to have
/// come by it.
pub fn check_origin(
    headers: Headers<'_>,
    https: bool,
    cors: &Cors,
    carriers: &[TokenCarrier],
) -> Result<(), GatewayError> {
    if !headers.contains("origin") {
        return Ok(());
    }
    let alone = headers.get_all("origin").nth(1).is_none();
    let harmless = cors.is_empty()
        && !carriers
            .iter()
            .any(|carrier| matches!(carrier, TokenCarrier::Cookie(_)));
    if alone && harmless || cors.knows_page(headers, https) {
        return Ok(());
    }
    Err(GatewayError::new(ErrorCode::OriginForbidden, "Pages of this origin may not open WebSockets here; the operator names them in cors.origins.").closing())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{CorsSettings, RequestHead};
    use crate::session::ProviderKind;

    fn user(name: &str) -> UserKey {
        UserKey {
            provider: ProviderKind::WechatMiniProgram,
            app: "shop".into(),
            authorizer: None,
            subject: name.into(),
        }
    }

    #[test]
    fn places_are_counted_in_all_and_for_each_user() {
        let limits = WebsocketLimits {
            max: 3,
            max_per_user: 2,
            idle_timeout: Duration::from_secs(1),
        };
        let sockets = Arc::new(Websockets::new(limits, Gauge::default()));
        let zhang = user("zhang");
        let li = user("li");
        let first = sockets.enter(Some(&zhang)).unwrap();
        let _second = sockets.enter(Some(&zhang)).unwrap();
        assert_eq!(
            sockets.enter(Some(&zhang)).unwrap_err().code,
            ErrorCode::WebsocketLimit
        );
        let _third = sockets.enter(Some(&li)).unwrap();
        assert_eq!(
            sockets.enter(None).unwrap_err().code,
            ErrorCode::WebsocketsFull
        );
        drop(first);
        assert_eq!(sockets.shown.get(), 2);
        drop(sockets.enter(Some(&zhang)).unwrap());
        drop(sockets.enter(None).unwrap());
        assert_eq!(sockets.open.lock().users.len(), 2);
    }

    #[test]
    fn foreign_pages_are_refused_where_they_could_do_harm() {
        let check = |origin: &str, https: bool, origins: &[&str], carriers: &[&str]| {
            let lines = [("Host", "api.test:8443"), ("Origin", origin)];
            let head =
                RequestHead::sample("GET", "/", &lines[..if origin.is_empty() { 1 } else { 2 }]);
            let carriers: Vec<TokenCarrier> = carriers
                .iter()
                .map(|carrier| carrier.parse().unwrap())
                .collect();
            let settings = CorsSettings {
                origins: origins.iter().map(|origin| (*origin).to_owned()).collect(),
                ..CorsSettings::default()
            };
            let cors = Cors::new(&settings, &carriers, ["https://servicewechat.com"]);
            check_origin(head.headers(), https, &cors, &carriers).is_ok()
        };
        let h5: &[&str] = &["https://h5.test"];
        for (origin, origins, carriers, allowed) in [
            ("", h5, ["cookie:sid"], true),
            ("https://h5.test", h5, ["bearer"], true),
            ("https://H5.test:443", h5, ["cookie:sid"], true),
            ("https://h5.test:8443", h5, ["cookie:sid"], false),
            ("https://servicewechat.com", h5, ["bearer"], true),
            ("https://servicewechat.com:444", h5, ["bearer"], false),
            ("https://api.test:8443", h5, ["cookie:sid"], true),
            ("https://API.test.:8443", h5, ["cookie:sid"], true),
            ("https://api.test", h5, ["cookie:sid"], false),
            ("https://evil.test", h5, ["bearer"], false),
            ("null", h5, ["bearer"], false),
            ("https://evil.test", &[], ["bearer"], true),
            ("https://evil.test", &[], ["cookie:sid"], false),
        ] {
            for https in [false, true] {
                assert_eq!(
                    check(origin, https, origins, &carriers),
                    allowed,
                    "{origin} {https} {origins:?} {carriers:?}"
                );
            }
        }
        // An origin has the scheme of a page, and not a lesser one than the gateway's.
        assert!(
            check("http://api.test:8443", false, &[], &["cookie:sid"])
                && !check("http://api.test:8443", true, &[], &["cookie:sid"])
        );
        for origin in [
            "ftp://api.test:8443",
            "://api.test:8443",
            "api.test:8443",
            "//api.test:8443",
            "ws://api.test:8443",
            "chrome-extension://api.test:8443",
        ] {
            assert!(!check(origin, false, &[], &["cookie:sid"]), "{origin}");
        }
    }
}
