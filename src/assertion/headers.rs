//! The identity headers, and the names that only the gateway may set.

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

/// Header names that only the gateway may set, in every spelling that a backend could fold onto
/// them.
#[derive(Debug, Clone)]
pub struct ReservedNames {
    folded: Vec<Vec<u8>>,
    first: [bool; 256],
}

impl ReservedNames {
    /// `x-wx-*`, `x-hufu-*`, the mark of gateways and the configured names.
    pub fn new(names: &HeaderNames) -> Self {
        let folded: Vec<Vec<u8>> = std::iter::once(VIA)
            .chain(names.all())
            .map(|name| name.bytes().map(fold).collect())
            .collect();
        let mut first = [false; 256];
        for byte in folded
            .iter()
            .filter_map(|n| n.first().copied())
            .chain([b'x'])
        {
            first[usize::from(byte)] = true;
            first[usize::from(byte.to_ascii_uppercase())] = true;
        }
        Self { folded, first }
    }

    /// And this one.
    #[must_use]
    pub fn and(mut self, name: Option<&str>) -> Self {
        let folded: Vec<u8> = name.unwrap_or_default().bytes().map(fold).collect();
        if let Some(first) = folded.first() {
            self.first[usize::from(*first)] = true;
            self.first[usize::from(first.to_ascii_uppercase())] = true;
            self.folded.push(folded);
        }
        self
    }

    /// Whether a name, in whatever spelling, is one of them: CGI and WSGI backends read every
    /// character that is neither letter nor digit as the same one, and case does not count.
    pub fn contains(&self, name: &[u8]) -> bool {
        let Some(first) = name.first() else {
            return false;
        };
        if !self.first[usize::from(*first)] {
            return false;
        }
        begins_with(name, b"x-wx-")
            || begins_with(name, b"x-hufu-")
            || self
                .folded
                .iter()
                .any(|own| own.len() == name.len() && begins_with(name, own))
    }
}

/// Whether two header names are one to a backend that folds them.
pub fn is_same_name(one: impl AsRef<[u8]>, other: impl AsRef<[u8]>) -> bool {
    let one = one.as_ref();
    let other = other.as_ref();
    one.len() == other.len()
        && one
            .iter()
            .zip(other)
            .all(|(one, other)| fold(*one) == fold(*other))
}

/// A byte of a name as a backend reads it that folds names.
pub const fn fold(b: u8) -> u8 {
    if b.is_ascii_alphanumeric() {
        b.to_ascii_lowercase()
    } else {
        b'-'
    }
}

/// Whether a name begins so, in whatever spelling.
pub fn begins_with(name: &[u8], folded: &[u8]) -> bool {
    name.len() >= folded.len() && name.iter().zip(folded).all(|(a, b)| fold(*a) == *b)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_spelling_is_reserved() {
        let role = ClaimHeader {
            claim: "role".to_owned(),
            header: "X-User-Role".to_owned(),
        };
        let names = HeaderNames {
            subject: "Remote.User".into(),
            claims: vec![role],
            ..HeaderNames::default()
        };
        let reserved = ReservedNames::new(&names).and(Some("Signed.Identity"));
        for name in [
            "signed_identity",
            "Signed-Identity",
            "X-WX-OPENID",
            "x-wx-openid",
            "X_WX_OPENID",
            "X.WX.OPENID",
            "X-WX_ANYTHING",
            "x~wx!y",
            "X-Hufu-Assertion",
            "x_hufu_x",
            "Hufu-Via",
            "hufu_via",
            "remote-user",
            "REMOTE_USER",
            "Remote.User",
            "X-User-Role",
            "x_user_role",
            "X.USER!ROLE",
        ] {
            assert!(reserved.contains(name.as_bytes()), "{name}");
        }
        for name in [
            "",
            "X-WX",
            "X-WXA",
            "Authorization",
            "Remote-Users",
            "X-Request-Id",
            "XX-WX-OPENID",
            "X-User-Roles",
            "X-User",
        ] {
            assert!(!reserved.contains(name.as_bytes()), "{name}");
        }
    }

    proptest! {
        #[test]
        fn a_folded_name_is_reserved_exactly_when_its_fold_is(name in "[xXwW_.\\-a-cH]{0,12}") {
            let reserved = ReservedNames::new(&HeaderNames::default());
            let folded: Vec<u8> = name.bytes().map(fold).collect();
            prop_assert_eq!(reserved.contains(name.as_bytes()), folded.starts_with(b"x-wx-") || folded.starts_with(b"x-hufu-"));
        }
    }

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
