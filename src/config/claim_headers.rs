//! `identity.claims`: which claims backends get, and in which headers.

use super::effective;
use super::identity::{carries_token, is_header_name};
use super::problem::{Wrong, refuse};
use super::reader::{Given, Section};
use crate::assertion::headers::VIA;
use crate::assertion::reserved::{begins_with, is_same_name};
use crate::assertion::{ClaimHeader, HeaderNames, believed};
use crate::http::method;
use crate::session::{Claims, TokenCarrier, carrier};

/// A name to propose.
const PROPOSED: &str = "X-User-Role";
const ANOTHER: &str = "choose another, such as \"X-User-Role\"";
/// Where the proposed name itself is taken.
const YET_ANOTHER: &str = "choose another, such as \"X-Account-Role\"";

/// By these clients, proxies and servers treat a request, or an answer of `/auth/verify`, beside
/// those of [`carrier::is_of_http`]. Which of them does, depends on what stands in front and behind.
const ACTED_ON: [&str; 31] = [
    "age",
    "allow",
    "alt-svc",
    "b3",
    "baggage",
    "cdn-loop",
    "clear-site-data",
    "cookie2",
    "dav",
    "depth",
    "destination",
    "early-data",
    "etag",
    "from",
    "last-event-id",
    "last-modified",
    "link",
    "location",
    "lock-token",
    "overwrite",
    "priority",
    "refresh",
    "retry-after",
    "server",
    "set-cookie2",
    "status",
    "strict-transport-security",
    "timeout",
    "tracestate",
    "vary",
    "x-sendfile",
];
/// How the names of others of that kind begin.
const ACTED_ON_FAMILIES: [&[u8]; 2] = [b"x-b3-", b"x-envoy-"];

/// The headers of claims: none is another identity header, or one that says something else.
pub(super) fn read(
    section: &mut Section<'_>,
    names: &HeaderNames,
    carriers: &[TokenCarrier],
) -> Vec<ClaimHeader> {
    let Some(given) = section.take("claims") else {
        section.note("claims", Some(toml::Table::new().into()));
        return Vec::new();
    };
    section.note("claims", Some(effective::written(given.value)));
    let mut all: Vec<ClaimHeader> = Vec::new();
    for (claim, given) in section.entries(&given) {
        let Some(header) = header(section, claim, &given) else {
            continue;
        };
        let twin = all
            .iter()
            .find(|other| is_same_name(&other.header, &header));
        if let Some(twin) = twin {
            section.fault_at(
                &given,
                &format!("\"{header}\" is the header of the claim {} too", twin.claim),
                "give each a header of its own; case does not count",
            );
        } else if names.all().any(|own| is_same_name(own, &header)) {
            section.fault_at(
                &given,
                &format!("\"{header}\" is one of identity.headers"),
                another_than(&header),
            );
        } else if carries_token(carriers, &header) {
            section.fault_at(
                &given,
                &format!("clients send their tokens in \"{header}\" (session.carriers)"),
                another_than(&header),
            );
        } else {
            all.push(ClaimHeader {
                claim: claim.to_owned(),
                header,
            });
        }
    }
    if all.len() > Claims::MAX {
        section.fault_at(
            &given,
            &format!("names more than {} claims", Claims::MAX),
            "a session has no more; remove some",
        );
    }
    all
}

/// The hint for a name that is taken.
fn another_than(header: &str) -> &'static str {
    if is_same_name(header, PROPOSED) {
        YET_ANOTHER
    } else {
        ANOTHER
    }
}

fn header<'a>(section: &Section<'a>, claim: &str, given: &Given<'a>) -> Option<String> {
    if let Err(wrong) = claim_name(claim) {
        section.fault_at(given, &format!("{claim:?} {}", wrong.what), &wrong.hint);
        return None;
    }
    section.entry(given, header_name)
}

/// The name of a claim.
pub(super) fn claim_name(text: &str) -> Result<String, Wrong> {
    if Claims::is_name(text) {
        Ok(text.to_owned())
    } else {
        refuse(
            "is not the name of a claim",
            "write 1 to 32 characters of a-z, 0-9 and _, as in \"user_id\"",
        )
    }
}

/// Stricter than the names of `identity.headers`: one spelling that every proxy passes on.
pub(super) fn header_name(text: &str) -> Result<String, Wrong> {
    let folded = text.as_bytes();
    let is_plain = folded
        .iter()
        .all(|b| b.is_ascii_alphanumeric() || *b == b'-');
    let begins_well = folded.first().is_some_and(u8::is_ascii_alphabetic);
    if !is_header_name(text) || !is_plain || !begins_well {
        return refuse(
            "is not a header name for a claim",
            "write letters, digits and \"-\", as in \"X-User-Role\"",
        );
    }
    if begins_with(folded, b"x-wx-")
        || begins_with(folded, b"x-hufu-")
        || ["x-request-id", "traceparent", VIA]
            .iter()
            .any(|own| is_same_name(own, text))
    {
        return refuse("is a header that only the gateway sets", ANOTHER);
    }
    if carrier::is_of_http(text)
        || method::is_override(folded)
        || ACTED_ON.iter().any(|name| is_same_name(name, text))
        || ACTED_ON_FAMILIES
            .iter()
            .any(|family| begins_with(folded, family))
    {
        return refuse("is a header that has a meaning of its own in HTTP", ANOTHER);
    }
    if believed::is_believed_of_request(folded) {
        return refuse(
            "is a header from which servers take more than the user (docs/headers.md)",
            ANOTHER,
        );
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_takes_no_header_that_says_something_else() {
        for name in [
            "X-User-Id",
            "X-User-Role",
            "X-Role",
            "vip",
            "Remote-User",
            "X-Auth-Roles",
            "X-Remote-Groups",
        ] {
            assert_eq!(header_name(name).ok().as_deref(), Some(name));
        }
        for name in [
            "",
            "-X",
            "1X",
            "X User",
            "X:User",
            "X_User_Id",
            "X.User",
            "X-User\r\nA",
            "X-\u{430}dmin",
            "Host",
            "Destination",
            "Depth",
            "Lock-Token",
            "authorization",
            "Cookie",
            "Set-Cookie",
            "Set-Cookie2",
            "Content-Length",
            "Content-Type",
            "Transfer-Encoding",
            "Connection",
            "Keep-Alive",
            "Upgrade",
            "TE",
            "Trailer",
            "Proxy-Authorization",
            "Sec-WebSocket-Key",
            "Location",
            "Cache-Control",
            "X-Forwarded-For",
            "X-Forwarded-User",
            "X-Real-IP",
            "Forwarded",
            "Via",
            "Hufu-Via",
            "X-Request-Id",
            "traceparent",
            "tracestate",
            "X-WX-OPENID",
            "x-wx-role",
            "X-Hufu-App",
            "X-Hufu-Assertion",
            "X-Hufu-Role",
            "X-HTTP-Method-Override",
            "Script-Name",
            "X-Original-URL",
            "X-Rewrite-URL",
            "X-Client-IP",
            "Proxy",
            "HTTPS",
            "X-Accel-Redirect",
            "X-Accel-Expires",
            "X-Sendfile",
            "X-Envoy-Auth-Headers-To-Remove",
        ] {
            assert!(header_name(name).is_err(), "{name:?}");
        }
        assert!(header_name(&"x".repeat(64)).is_ok());
        assert!(header_name(&"x".repeat(65)).is_err());
    }
}
