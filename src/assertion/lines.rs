//! The identity lines of a session: rendered by its first request, and kept beside it for those
//! that follow.

use std::sync::Arc;

use crate::assertion::headers::{HeaderNames, IdentityHeaders};
use crate::session::LiveSession;

/// Renders identity lines under one reading of the configuration.
#[derive(Debug, Clone)]
pub struct IdentityLines {
    names: HeaderNames,
    generation: u64,
    anonymous: Arc<str>,
}

/// What was rendered for a session, under one generation.
#[derive(Debug, Default)]
struct Rendered {
    generation: u64,
    upstream: Option<Arc<str>>,
    asker: Option<Arc<str>>,
}

impl IdentityLines {
    /// `generation` is another number whenever a name or an app's id has changed.
    pub fn new(names: HeaderNames, generation: u64) -> Self {
        let anonymous = IdentityHeaders::new(&names, None).all_lines().into();
        Self {
            names,
            generation,
            anonymous,
        }
    }

    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// The lines of a session for an upstream. `appid` is the id of its app.
    pub fn upstream(&self, live: &LiveSession, appid: &str) -> Arc<str> {
        self.rendered(
            live,
            appid,
            |kept| &mut kept.upstream,
            |headers| headers.lines(),
        )
    }

    /// Those for a proxy that asks whether a request may pass.
    pub fn asker(&self, live: &LiveSession, appid: &str) -> Arc<str> {
        self.rendered(
            live,
            appid,
            |kept| &mut kept.asker,
            |headers| headers.all_lines(),
        )
    }

    /// Those for such a proxy where there is no session.
    pub fn anonymous(&self) -> &str {
        &self.anonymous
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

    use super::*;
    use crate::assertion::ClaimHeader;
    use crate::clock::UnixMillis;
    use crate::session::{ProviderKind, RecordStamp, Session, SessionId, UserKey};

    fn live() -> LiveSession {
        let session = Session {
            user: UserKey {
                provider: ProviderKind::WechatMiniProgram,
                app: "shop".into(),
                authorizer: None,
                subject: "zhang".into(),
            },
            unionid: None,
            created: UnixMillis(0),
            absolute_deadline: UnixMillis(1),
            client_address: None,
            device: String::new(),
            claims: serde_json::from_str(r#"{"role":["staff","admin"],"unnamed":1}"#).unwrap(),
        };
        LiveSession {
            id: SessionId {
                tag: [0; 2],
                hash: [0; 16],
            },
            stamp: RecordStamp([0; 15]),
            session: session.into(),
            expires_in: Duration::ZERO,
            absolute_expires_in: Duration::ZERO,
        }
    }

    #[test]
    fn lines_are_rendered_once_and_once_more_after_a_reload() {
        let named = |subject: &str, claims: &[(&str, &str)]| HeaderNames {
            subject: subject.to_owned(),
            claims: claims
                .iter()
                .map(|(claim, header)| ClaimHeader {
                    claim: (*claim).to_owned(),
                    header: (*header).to_owned(),
                })
                .collect(),
            ..HeaderNames::default()
        };
        let before = IdentityLines::new(named("X-WX-OPENID", &[]), 1);
        let claims = [("role", "X-User-Role"), ("vip", "X-Vip")];
        let after = IdentityLines::new(named("X-User-Id", &claims), 2);
        let live = live();
        let first = before.upstream(&live, "wx1");
        assert!(first.starts_with("X-WX-OPENID: zhang\r\nX-WX-APPID: wx1\r\n"));
        assert!(Arc::ptr_eq(&first, &before.upstream(&live, "wx1")));
        let asker = before.asker(&live, "wx1");
        assert!(asker.contains("x-wx-unionid: \r\n"), "{asker}");
        assert!(Arc::ptr_eq(&asker, &before.asker(&live, "wx1")));
        let second = after.upstream(&live, "wx1");
        assert!(second.starts_with("X-User-Id: zhang\r\n"), "{second}");
        assert!(
            second.ends_with("\r\nX-User-Role: staff,admin\r\n"),
            "{second}"
        );
        let asker = after.asker(&live, "wx1");
        assert!(
            asker.ends_with("\r\nx-user-role: staff,admin\r\nx-vip: \r\n"),
            "{asker}"
        );
        assert!(
            after
                .anonymous()
                .ends_with("\r\nx-user-role: \r\nx-vip: \r\n")
        );
        assert!(Arc::ptr_eq(&second, &after.upstream(&live, "wx1")));
    }
}
