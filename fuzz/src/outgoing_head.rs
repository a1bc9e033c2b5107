//! The head that goes on to an upstream: whole lines, one framing, the gateway's own identity lines
//! and nobody else's, and no token.

use actix_web::http::header::{HeaderName, HeaderValue};
use hufu::assertion::believed::{Speaker, speaker};
use hufu::assertion::{CallerLines, ClaimHeader, HeaderNames, ReservedNames};
use hufu::crypto::keyring::NamingKey;
use hufu::http::{Inbound, RequestHead, TrustedProxies};
use hufu::proxy::outgoing::{HeadRules, OutgoingHead, SessionLines};
use hufu::proxy::rules::PreparedEdits;
use hufu::proxy::via::Via;
use hufu::session::token::redacted;
use hufu::session::{Claims, TokenCarrier};
use hufu::upstream::HostHeader;
use hufu::upstream_client::upload::BodyFraming;

const IDENTITY: &str = "X-WX-OPENID: alice\r\nX-WX-SOURCE: hufu\r\nX-Hufu-Subject: alice\r\n";

/// See the module. A byte of choices, a line with the query, then a header on each line.
pub fn check(data: &[u8]) {
    let Some((&choice, rest)) = data.split_first() else {
        return;
    };
    let mut lines = rest.split(|b| *b == b'\n');
    let query = lines
        .next()
        .and_then(|query| std::str::from_utf8(query).ok())
        .filter(|query| query.bytes().all(|b| b.is_ascii_graphic()));
    let mut headers: Vec<(&[u8], &[u8])> = lines.filter_map(header).collect();
    // The parser lets one host in.
    let mut hosts = 0;
    headers.retain(|(name, _)| {
        hosts += usize::from(name.eq_ignore_ascii_case(b"host"));
        !name.eq_ignore_ascii_case(b"host") || hosts == 1
    });
    let head = super::request("POST", "/x", query, &headers);
    let framing = [
        BodyFraming::None,
        BodyFraming::Sized(5),
        BodyFraming::Chunked,
    ][usize::from(choice % 3)];
    let signed_in = choice & 4 != 0;
    let mut inbound = Inbound::of(&RequestHead::default(), &TrustedProxies::default(), None);
    inbound.trusted_peer = choice & 8 != 0;
    let role = [role()];
    let claims = Claims::new([("role", "staff")]).expect("one claim");
    let identity = CallerLines {
        user: IDENTITY.into(),
        claims: Some(&claims),
        headers: &role,
        with_empty: false,
    };
    let session = SessionLines {
        identity: signed_in.then_some(&identity),
        assertion: signed_in.then_some(("X-Hufu-Assertion", "a.b.c")),
    };
    let request = OutgoingHead {
        head: &head,
        path: "/x",
        stripped: (choice & 16 != 0).then_some("/api"),
        edits: &PreparedEdits::default(),
        host: &if choice & 64 != 0 {
            HostHeader::Fixed("name.test".into())
        } else {
            HostHeader::Client
        },
        upstream: "10.0.0.1:9000",
        inbound: &inbound,
        framing,
        upgrades: choice & 32 != 0,
    };
    let written = rules().write(&request, &session);
    let head = Written::read(&written);
    head.has_one_framing(framing, choice & 32 != 0);
    head.has_its_own_identity(signed_in);
    head.has_no_token();
    head.has_nothing_believed();
}

fn role() -> ClaimHeader {
    ClaimHeader {
        claim: "role".into(),
        header: "X-User-Role".into(),
    }
}

fn rules() -> HeadRules {
    let carriers = [
        TokenCarrier::Bearer,
        TokenCarrier::Header("x-session".into()),
        TokenCarrier::Cookie("sid".into()),
    ];
    let names = HeaderNames {
        claims: vec![role()],
        ..HeaderNames::default()
    };
    HeadRules {
        reserved: ReservedNames::new(&names),
        via: Via::new(&NamingKey::ephemeral(), "hufu"),
        carriers: carriers.into(),
    }
}

fn header(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|b| *b == b':')?;
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    (HeaderName::from_bytes(name).is_ok() && HeaderValue::from_bytes(value).is_ok())
        .then_some((name, value))
}

/// A head as the plainest upstream reads it.
struct Written<'a> {
    first: &'a str,
    fields: Vec<(String, &'a [u8])>,
}

impl<'a> Written<'a> {
    fn read(head: &'a [u8]) -> Self {
        let mut lines = Vec::new();
        let mut rest = head;
        while let Some(at) = rest.windows(2).position(|pair| pair == b"\r\n") {
            lines.push(&rest[..at]);
            rest = &rest[at + 2..];
        }
        assert!(
            rest.is_empty() && lines.pop().is_some_and(<[u8]>::is_empty),
            "it does not end with one empty line"
        );
        let first = std::str::from_utf8(lines.remove(0)).expect("a request line is ASCII");
        let field = |line: &&'a [u8]| {
            assert!(
                !line.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)),
                "a line holds the end of a line"
            );
            let colon = line
                .iter()
                .position(|b| *b == b':')
                .expect("a line has a colon");
            let name: String = line[..colon].iter().map(|b| char::from(*b)).collect();
            (
                name.chars()
                    .map(|c| {
                        if c.is_ascii_alphanumeric() {
                            c.to_ascii_lowercase()
                        } else {
                            '-'
                        }
                    })
                    .collect(),
                line[colon + 1..].trim_ascii(),
            )
        };
        Self {
            first,
            fields: lines.iter().map(field).collect(),
        }
    }

    fn values(&self, folded: &str) -> Vec<&'a [u8]> {
        self.fields
            .iter()
            .filter(|(name, _)| name == folded)
            .map(|(_, value)| *value)
            .collect()
    }

    fn has_one_framing(&self, framing: BodyFraming, upgrades: bool) {
        assert_eq!(self.first.split(' ').count(), 3, "{}", self.first);
        let (lengths, codings): (&[&[u8]], &[&[u8]]) = match framing {
            BodyFraming::None => (&[], &[]),
            BodyFraming::Sized(_) => (&[b"5"], &[]),
            BodyFraming::Chunked => (&[], &[b"chunked"]),
        };
        assert_eq!(
            (
                &*self.values("content-length"),
                &*self.values("transfer-encoding")
            ),
            (lengths, codings),
            "another framing"
        );
        let options: &[&[u8]] = if upgrades { &[b"Upgrade"] } else { &[] };
        assert_eq!(
            self.values("connection"),
            options,
            "options of another connection"
        );
        for name in [
            "host",
            "x-request-id",
            "x-forwarded-for",
            "x-real-ip",
            "traceparent",
            "hufu-via",
        ] {
            assert_eq!(self.values(name).len(), 1, "{name}");
        }
        for name in ["proxy", "te", "trailer", "expect"] {
            assert!(self.values(name).is_empty(), "{name} is the connection's");
        }
    }

    fn has_its_own_identity(&self, signed_in: bool) {
        let is_reserved = |name: &str| {
            name.starts_with("x-wx-") || name.starts_with("x-hufu-") || name == "x-user-role"
        };
        let found: Vec<(&str, &[u8])> = self
            .fields
            .iter()
            .filter(|(name, _)| is_reserved(name))
            .map(|(name, value)| (&**name, *value))
            .collect();
        let own: [(&str, &[u8]); 5] = [
            ("x-wx-openid", b"alice"),
            ("x-wx-source", b"hufu"),
            ("x-hufu-subject", b"alice"),
            ("x-user-role", b"staff"),
            ("x-hufu-assertion", b"a.b.c"),
        ];
        assert_eq!(
            found,
            if signed_in { &own[..] } else { &[] },
            "a forged identity"
        );
    }

    /// From which a backend would take another path, host or user.
    fn has_nothing_believed(&self) {
        let believed = self
            .fields
            .iter()
            .find(|(name, _)| speaker(name.as_bytes()) == Some(Speaker::Nobody));
        assert!(believed.is_none(), "{believed:?}");
    }

    /// Where tokens stand, or are put by mistake.
    fn has_no_token(&self) {
        let shows = |text: &str| redacted(text) != text;
        assert!(!shows(self.first), "{}", self.first);
        assert!(
            self.values("x-session").is_empty(),
            "the header that carries tokens"
        );
        for value in ["authorization", "cookie"]
            .iter()
            .flat_map(|name| self.values(name))
        {
            let text = String::from_utf8_lossy(value);
            assert!(!shows(&text), "{text}");
        }
    }
}
