//! The identity lines of a request. Those about the user are rendered by the first request of a
//! session and kept beside it for those that follow. Those of its claims are written from the claims
//! each time: kept lines would hold every value twice.

use std::sync::Arc;

use bytes::BytesMut;

use crate::assertion::claims::{ClaimHeader, write_header_value};
use crate::assertion::headers::{HeaderNames, IdentityHeaders};
use crate::session::{Claims, LiveSession};

/// Renders identity lines under one reading of the configuration.
#[derive(Debug, Clone)]
pub struct IdentityLines {
    names: HeaderNames,
    generation: u64,
    anonymous: Arc<str>,
    /// Names in answers are in lower case.
    asker_claims: Vec<ClaimHeader>,
}

/// What was rendered for a session, under one generation.
#[derive(Debug, Default)]
struct Rendered {
    generation: u64,
    upstream: Option<Arc<str>>,
    asker: Option<Arc<str>>,
}

/// The identity lines of one request.
#[derive(Debug)]
pub struct CallerLines<'a> {
    /// Those about the user.
    pub user: Arc<str>,
    /// `None`: nobody is signed in.
    pub claims: Option<&'a Claims>,
    /// The headers of claims.
    pub headers: &'a [ClaimHeader],
    /// Whether there is also a line where a claim is missing or empty.
    pub with_empty: bool,
}

impl CallerLines<'_> {
    pub fn write(&self, out: &mut BytesMut) {
        out.extend_from_slice(self.user.as_bytes());
        for named in self.headers {
            let value = self.claims.and_then(|claims| claims.stored(&named.claim));
            if value.is_none() && !self.with_empty {
                continue;
            }
            let line = out.len();
            out.extend_from_slice(named.header.as_bytes());
            out.extend_from_slice(b": ");
            let written = out.len();
            if let Some(value) = value {
                write_header_value(out, value);
            }
            if out.len() == written && !self.with_empty {
                out.truncate(line);
            } else {
                out.extend_from_slice(b"\r\n");
            }
        }
    }
}

impl IdentityLines {
    /// `generation` is another number whenever a name or an app's id has changed.
    pub fn new(names: HeaderNames, generation: u64) -> Self {
        let anonymous = IdentityHeaders::new(&names, None).all_lines().into();
        let in_lower_case = |named: &ClaimHeader| ClaimHeader {
            claim: named.claim.clone(),
            header: named.header.to_ascii_lowercase(),
        };
        Self {
            asker_claims: names.claims.iter().map(in_lower_case).collect(),
            names,
            generation,
            anonymous,
        }
    }

    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// The lines of a session for an upstream. `appid` is the id of its app.
    pub fn upstream<'a>(&'a self, live: &'a LiveSession, appid: &str) -> CallerLines<'a> {
        let user = self.rendered(
            live,
            appid,
            |kept| &mut kept.upstream,
            |headers| headers.lines(),
        );
        CallerLines {
            user,
            claims: Some(&live.session.claims),
            headers: &self.names.claims,
            with_empty: false,
        }
    }

    /// Those for a proxy that asks whether a request may pass. A line for every header: the proxy
    /// overwrites what the client sent.
    pub fn asker<'a>(&'a self, live: &'a LiveSession, appid: &str) -> CallerLines<'a> {
        let user = self.rendered(
            live,
            appid,
            |kept| &mut kept.asker,
            |headers| headers.all_lines(),
        );
        CallerLines {
            user,
            claims: Some(&live.session.claims),
            ..self.anonymous()
        }
    }

    /// Those for such a proxy where there is no session.
    pub fn anonymous(&self) -> CallerLines<'_> {
        CallerLines {
            user: self.anonymous.clone(),
            claims: None,
            headers: &self.asker_claims,
            with_empty: true,
        }
    }

    fn rendered(
        &self,
        live: &LiveSession,
        appid: &str,
        lines: impl FnOnce(&mut Rendered) -> &mut Option<Arc<str>>,
        render: impl FnOnce(&IdentityHeaders<'_>) -> String,
    ) -> Arc<str> {
        live.session.with_derived(|kept: &mut Rendered| {
            if kept.generation != self.generation {
                *kept = Rendered {
                    generation: self.generation,
                    ..Rendered::default()
                };
            }
            let render = || render(&IdentityHeaders::new(&self.names, Some((live, appid))));
            lines(kept).get_or_insert_with(|| render().into()).clone()
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::assertion::sample;

    fn named(subject: &str, claims: &[(&str, &str)]) -> HeaderNames {
        let of_claim = |(claim, header): &(&str, &str)| ClaimHeader {
            claim: (*claim).to_owned(),
            header: (*header).to_owned(),
        };
        HeaderNames {
            subject: subject.to_owned(),
            claims: claims.iter().map(of_claim).collect(),
            ..HeaderNames::default()
        }
    }

    fn text(lines: &CallerLines<'_>) -> String {
        let mut out = BytesMut::new();
        lines.write(&mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn lines_of_the_user_are_rendered_once_and_once_more_after_a_reload() {
        let before = IdentityLines::new(named("X-WX-OPENID", &[]), 1);
        let after = IdentityLines::new(named("X-User-Id", &[]), 2);
        let live = sample::live(json!({ "role": "staff" }), Duration::ZERO);
        let first = before.upstream(&live, "wx1");
        assert!(text(&first).starts_with("X-WX-OPENID: zhang\r\nX-WX-APPID: wx1\r\n"));
        assert!(Arc::ptr_eq(
            &first.user,
            &before.upstream(&live, "wx1").user
        ));
        let asker = before.asker(&live, "");
        assert!(text(&asker).contains("x-wx-appid: \r\n"), "{asker:?}");
        assert!(Arc::ptr_eq(&asker.user, &before.asker(&live, "").user));
        let second = after.upstream(&live, "wx1");
        assert!(text(&second).starts_with("X-User-Id: zhang\r\n"));
        assert!(Arc::ptr_eq(
            &second.user,
            &after.upstream(&live, "wx1").user
        ));
    }

    #[test]
    fn claims_follow_the_user_and_only_a_proxy_that_asks_gets_empty_ones() {
        let headers = [
            ("role", "X-User-Role"),
            ("empty", "X-Empty"),
            ("none", "X-None"),
            ("level", "X-Level"),
            ("vip", "X-Vip"),
        ];
        let lines = IdentityLines::new(named("X-WX-OPENID", &headers), 1);
        let claims = json!({ "vip": true, "role": ["a\"b", "虎", "c"], "empty": [], "level": 1.5, "unnamed": 1 });
        let live = sample::live(claims, Duration::ZERO);
        let upstream = text(&lines.upstream(&live, "wx1"));
        let found = upstream.find("X-User-Role").unwrap();
        assert_eq!(
            &upstream[found..],
            "X-User-Role: a\"b,%E8%99%8E,c\r\nX-Level: 1.5\r\nX-Vip: true\r\n"
        );
        let asker = text(&lines.asker(&live, "wx1"));
        let found = asker.find("x-user-role").unwrap();
        assert_eq!(
            &asker[found..],
            "x-user-role: a\"b,%E8%99%8E,c\r\nx-empty: \r\nx-none: \r\nx-level: 1.5\r\nx-vip: true\r\n"
        );
        let anonymous = text(&lines.anonymous());
        assert_eq!(anonymous.lines().count(), 8 + headers.len());
        assert!(
            anonymous.lines().all(|line| line.ends_with(": ")),
            "{anonymous}"
        );
    }
}
