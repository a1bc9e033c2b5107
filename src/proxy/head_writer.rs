//! The head of a client's request as its upstream gets it. It is written once, and once more for a
//! request that waited: its session may be another one by then.

use std::sync::Arc;

use actix_web::web::BytesMut;

use crate::assertion::{IdentityLines, WorkerAssertions};
use crate::identity::Apps;
use crate::proxy::outgoing::{HeadRules, OutgoingHead, SessionLines};
use crate::session::LiveSession;

/// Writes the head of one request.
pub struct HeadWriter<'a> {
    pub rules: &'a HeadRules,
    pub apps: &'a Apps,
    pub identity_lines: &'a IdentityLines,
    /// `None`: nothing is signed.
    pub assertions: Option<&'a WorkerAssertions>,
    /// Whom a signed identity is meant for.
    pub audience: &'a Arc<str>,
    /// What does not come from the session.
    pub request: OutgoingHead<'a>,
}

impl HeadWriter<'_> {
    /// The head for this session; `None`: for nobody in particular.
    pub fn written(&self, live: Option<&LiveSession>) -> BytesMut {
        let Some(live) = live else {
            return self.rules.write(&self.request, &SessionLines::default());
        };
        let appid = self.apps.appid_of(&live.session.user);
        let identity = self.identity_lines.upstream(live, appid);
        let assertion = self.assertions.and_then(|assertions| {
            let assertion = assertions.of(live, appid, self.audience)?;
            Some((assertions.header(), assertion))
        });
        let lines = SessionLines {
            identity: Some(&identity),
            assertion: assertion
                .as_ref()
                .map(|(header, assertion)| (*header, &**assertion)),
        };
        self.rules.write(&self.request, &lines)
    }
}
