//! The signed identity: what an assertion says, and how long.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::assertion::cache::{AssertionCache, AssertionKey};
use crate::clock::{Clock, UnixMillis, monotonic_now};
use crate::crypto::encoding::base64url_text;
use crate::crypto::random;
use crate::crypto::signing::{SigningError, SigningKeys};
use crate::metrics::{Gauge, Metrics};
use crate::session::{Claims, LiveSession};

/// An assertion holds no longer, so that a revoked session's ends soon.
const LONGEST_LIFE: Duration = Duration::from_secs(60);

/// What the operator has decided about assertions.
#[derive(Debug, Clone, PartialEq)]
pub struct AssertionSettings {
    pub keys: Arc<SigningKeys>,
    /// Who issues, as `iss`.
    pub issuer: Arc<str>,
    /// The header in which backends get them.
    pub header: Arc<str>,
    /// `aud` where a proxy asks about a request that no route leads to an upstream.
    pub audience: Option<Arc<str>>,
    /// How much memory those of a worker may take, in bytes.
    pub cache: usize,
}

/// Issues assertions under one configuration.
#[derive(Debug, Clone)]
pub struct AssertionIssuer {
    pub settings: AssertionSettings,
    /// Another number whenever the same session gets another assertion.
    pub generation: u64,
}

/// The claims of an assertion (RFC 7519).
#[derive(Serialize)]
struct AssertionClaims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    app: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    appid: &'a str,
    provider: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    unionid: Option<&'a str>,
    sid: &'a str,
    claims: &'a Claims,
    iat: u64,
    exp: u64,
    jti: &'a str,
}

impl AssertionIssuer {
    /// A new assertion that holds for `life` from now on.
    fn issue(
        &self,
        live: &LiveSession,
        appid: &str,
        audience: &str,
        now: UnixMillis,
        life: Duration,
    ) -> Result<String, SigningError> {
        let user = &live.session.user;
        self.settings.keys.sign(&AssertionClaims {
            iss: &self.settings.issuer,
            aud: audience,
            sub: &user.subject,
            app: &user.app,
            appid,
            provider: user.provider.as_str(),
            unionid: live.session.unionid.as_deref(),
            sid: &live.id.text(),
            claims: &live.session.claims,
            iat: now.0 / 1000,
            exp: now.plus(life).0 / 1000,
            jti: &base64url_text::<22>(&random::name_bytes::<16>()),
        })
    }
}

/// The assertions of one worker, which are signed once and serve until half their life is over.
#[derive(Clone)]
pub struct WorkerAssertions {
    pub issuer: Arc<AssertionIssuer>,
    /// Names in answers are in lower case.
    answer_header: Rc<str>,
    cache: Rc<CountedCache>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

/// A cache whose bytes are counted among those of all workers.
struct CountedCache {
    cache: RefCell<AssertionCache>,
    bytes: Gauge,
}

impl CountedCache {
    fn change(&self, change: impl FnOnce(&mut AssertionCache)) {
        let mut cache = self.cache.borrow_mut();
        let before = gauged(cache.bytes());
        change(&mut cache);
        self.bytes.inc_by(gauged(cache.bytes()) - before);
    }
}

impl Drop for CountedCache {
    fn drop(&mut self) {
        self.bytes.dec_by(gauged(self.cache.get_mut().bytes()));
    }
}

fn gauged(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

impl WorkerAssertions {
    /// None yet.
    pub fn new(issuer: Arc<AssertionIssuer>, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Self {
        let cache = CountedCache {
            cache: RefCell::new(AssertionCache::new(issuer.settings.cache)),
            bytes: metrics.session.assertion_cache_bytes.clone(),
        };
        Self {
            answer_header: answer_header(&issuer),
            cache: Rc::new(cache),
            issuer,
            clock,
            metrics,
        }
    }

    /// Those of the same worker under another configuration.
    #[must_use]
    pub fn succeeding(&self, issuer: Arc<AssertionIssuer>) -> Self {
        self.cache
            .change(|cache| cache.limit(issuer.settings.cache));
        Self {
            answer_header: answer_header(&issuer),
            issuer,
            ..self.clone()
        }
    }

    /// The public keys for verifiers, as JSON.
    pub fn published_keys(&self) -> &Arc<str> {
        self.issuer.settings.keys.published()
    }

    /// The header in which a backend gets them.
    pub fn header(&self) -> &str {
        &self.issuer.settings.header
    }

    /// The same header in an answer.
    pub fn answer_header(&self) -> &str {
        &self.answer_header
    }

    /// The assertion of a session for this audience. `appid` is the id of its app. `None`: it
    /// cannot be signed, which is logged.
    pub fn of(&self, live: &LiveSession, appid: &str, audience: &Arc<str>) -> Option<Rc<str>> {
        self.at(monotonic_now(), live, appid, audience)
    }

    fn at(
        &self,
        now: Instant,
        live: &LiveSession,
        appid: &str,
        audience: &Arc<str>,
    ) -> Option<Rc<str>> {
        let key = AssertionKey {
            session: live.id,
            stamp: live.stamp,
            audience: audience.clone(),
            generation: self.issuer.generation,
        };
        let known = self.cache.cache.borrow_mut().get(&key, now);
        if known.is_some() {
            return known;
        }
        let life = LONGEST_LIFE.min(live.expires_in);
        let issued = self.clock.unix_now();
        match self.issuer.issue(live, appid, audience, issued, life) {
            Ok(assertion) => {
                let assertion: Rc<str> = assertion.into();
                self.metrics.session.assertions_signed.inc();
                self.cache
                    .change(|cache| cache.keep(key, assertion.clone(), now + life / 2, now));
                Some(assertion)
            }
            Err(error) => {
                log::error!("{error}");
                None
            }
        }
    }
}

fn answer_header(issuer: &AssertionIssuer) -> Rc<str> {
    issuer.settings.header.to_ascii_lowercase().into()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::assertion::sample::{self, assertions};
    use crate::crypto::encoding::from_base64url_of_any_length;
    use crate::session::RecordStamp;

    fn live(expires_in: Duration) -> LiveSession {
        let claims = json!({ "vip": true, "role": ["staff"], "level": 7 });
        sample::live(claims, expires_in)
    }

    fn claims(assertion: &str) -> Value {
        let part = assertion.split('.').nth(1).unwrap();
        serde_json::from_slice(&from_base64url_of_any_length(part).unwrap()).unwrap()
    }

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn it_says_who_calls_and_for_whom() {
        let assertions = assertions();
        let live = live(HOUR);
        let mut said = claims(&assertions.of(&live, "wx1", &"orders".into()).unwrap());
        let jti = said.as_object_mut().unwrap().remove("jti").unwrap();
        assert_eq!(jti.as_str().unwrap().len(), 22);
        assert_eq!(
            said,
            json!({
                "iss": "https://api.example.com", "aud": "orders", "sub": "zhang", "app": "shop", "appid": "wx1",
                "provider": "wechat-mini-program", "unionid": "union", "sid": live.id.to_string(),
                "claims": { "vip": true, "role": ["staff"], "level": 7 }, "iat": 1000, "exp": 1060,
            })
        );
    }

    #[test]
    fn it_ends_no_later_than_the_session() {
        for (expires_in, exp) in [(60_000, 1060), (5_000, 1005), (5_001, 1006), (0, 1000)] {
            let live = live(Duration::from_millis(expires_in));
            let assertion = assertions().of(&live, "", &"orders".into()).unwrap();
            assert_eq!(claims(&assertion)["exp"], exp, "{expires_in}");
        }
    }

    #[test]
    fn it_is_signed_once_for_half_its_life() {
        let assertions = assertions();
        let (now, audience) = (monotonic_now(), "orders".into());
        let at = |secs, live: &LiveSession| {
            assertions
                .at(now + Duration::from_secs(secs), live, "wx1", &audience)
                .unwrap()
        };
        let mut live = live(HOUR);
        let first = at(0, &live);
        assert!(Rc::ptr_eq(&first, &at(29, &live)));
        let second = at(30, &live);
        assert_ne!(first, second);
        // A changed record.
        live.stamp = RecordStamp([1; 15]);
        assert_ne!(second, at(31, &live));
        assert_eq!(assertions.metrics.session.assertions_signed.get(), 3);
        let bytes = |of: &WorkerAssertions| of.metrics.session.assertion_cache_bytes.get();
        assert!(bytes(&assertions) > 0);
        let mut issuer = (*assertions.issuer).clone();
        issuer.settings.cache = 1;
        assert_eq!(bytes(&assertions.succeeding(Arc::new(issuer))), 0);
    }
}
