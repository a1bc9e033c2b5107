//! The identity headers.

use std::borrow::Cow;

use crate::assertion::claims::ClaimHeader;
use crate::session::LiveSession;

/// The configurable names. A backend written for WeChat Cloud Hosting reads the defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderNames {
    /// The user, such as the openid.
    pub subject: String,
    /// The app's id on the platform.
    pub appid: String,
    /// The user across the owner's apps.
    pub unionid: String,
    /// The source, always `hufu`. Its presence tells a backend that the call came through the
    /// gateway.
    pub source: String,
    /// The claims that backends get, and no others.
    pub claims: Vec<ClaimHeader>,
}

impl Default for HeaderNames {
    fn default() -> Self {
        Self {
            subject: "X-WX-OPENID".into(),
            appid: "X-WX-APPID".into(),
            unionid: "X-WX-UNIONID".into(),
            source: "X-WX-SOURCE".into(),
            claims: Vec::new(),
        }
    }
}

impl HeaderNames {
    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        let own = [&self.subject, &self.appid, &self.unionid, &self.source];
        let of_claims = self.claims.iter().map(|claim| claim.header.as_str());
        own.into_iter().map(String::as_str).chain(of_claims)
    }
}

/// The header in which gateways mark what they have sent on, so that they know it when it comes
/// back.
pub const VIA: &str = "hufu-via";

/// The value of the source header.
pub const SOURCE: &str = "hufu";

/// The identity headers of one request, each with its value, empty when unknown. Those of claims are
/// written beside them (`lines`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityHeaders<'a>([(&'a str, Cow<'a, str>); 8]);

impl<'a> IdentityHeaders<'a> {
    /// The headers of a session; `None`: of an anonymous request, all empty.
    pub fn new(names: &'a HeaderNames, identity: Option<(&'a LiveSession, &'a str)>) -> Self {
        let session = identity.map(|(live, _)| &live.session);
        let user = session.map(|session| &session.user);
        let known = |value: Option<&'a str>| value.map(header_safe).unwrap_or_default();
        Self([
            (&*names.subject, known(user.map(|u| &*u.subject))),
            (&names.appid, known(identity.map(|(_, appid)| appid))),
            (
                &names.unionid,
                known(session.and_then(|session| session.unionid.as_deref())),
            ),
            (&names.source, known(identity.map(|_| SOURCE))),
            ("X-Hufu-App", known(user.map(|u| &*u.app))),
            ("X-Hufu-Provider", known(user.map(|u| u.provider.as_str()))),
            ("X-Hufu-Subject", known(user.map(|u| &*u.subject))),
            (
                "X-Hufu-Session",
                identity
                    .map(|(live, _)| live.id.to_string())
                    .unwrap_or_default()
                    .into(),
            ),
        ])
    }

    /// The headers of what an app's platform sends: nobody is its user.
    #[must_use]
    pub fn of_app(
        names: &'a HeaderNames,
        (app, appid, provider): (&'a str, &'a str, &'a str),
        source: &'a str,
    ) -> Self {
        let unknown = Cow::Borrowed("");
        Self([
            (&names.subject, unknown.clone()),
            (&names.appid, header_safe(appid)),
            (&names.unionid, unknown.clone()),
            (&names.source, header_safe(source)),
            ("X-Hufu-App", header_safe(app)),
            ("X-Hufu-Provider", header_safe(provider)),
            ("X-Hufu-Subject", unknown.clone()),
            ("X-Hufu-Session", unknown),
        ])
    }

    /// The lines for an upstream's request head: only what is known.
    pub fn lines(&self) -> String {
        let known = self.all().filter(|(_, value)| !value.is_empty());
        written(known.map(|(name, value)| (name.into(), value)))
    }

    /// The lines for a forward-auth proxy: all of them, also the empty ones, so that its copy list
    /// overwrites whatever the client sent; names in lower case, as answers have them.
    pub fn all_lines(&self) -> String {
        written(
            self.all()
                .map(|(name, value)| (name.to_ascii_lowercase().into(), value)),
        )
    }

    fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (*name, &**value))
    }
}

fn written<'a>(headers: impl Iterator<Item = (Cow<'a, str>, &'a str)>) -> String {
    let mut lines = String::with_capacity(384);
    for (name, value) in headers {
        for part in [&*name, ": ", value, "\r\n"] {
            lines.push_str(part);
        }
    }
    lines
}

/// The value as it can stand in a header: visible ASCII as it is, everything else percent-encoded,
/// so that no value can end a line.
fn header_safe(value: &str) -> Cow<'_, str> {
    const NOT_VISIBLE: percent_encoding::AsciiSet = percent_encoding::CONTROLS.add(b' ').add(b'%');
    // Without a way out on the way: many bytes at once.
    if value
        .bytes()
        .fold(true, |safe, b| safe & b.is_ascii_graphic())
    {
        Cow::Borrowed(value)
    } else {
        percent_encoding::utf8_percent_encode(value, &NOT_VISIBLE).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_ends_a_line() {
        assert_eq!(
            header_safe("oGZUI0egBJY1zhBYw2KhdUfwVJJE"),
            "oGZUI0egBJY1zhBYw2KhdUfwVJJE"
        );
        assert_eq!(header_safe("a\r\nX: y"), "a%0D%0AX:%20y");
        assert_eq!(header_safe("虎\u{7f}"), "%E8%99%8E%7F");
    }

    #[test]
    fn anonymous_requests_have_every_name_and_no_value() {
        let names = HeaderNames::default();
        let headers = IdentityHeaders::new(&names, None);
        let lines = headers.all_lines();
        assert!(
            lines.lines().count() == 8 && lines.lines().all(|line| line.ends_with(": ")),
            "{lines}"
        );
        assert_eq!(headers.lines(), "");
    }
}
