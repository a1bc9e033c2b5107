//! `[identity]`: what a backend's identity headers are called.

use super::problem::{Wrong, refuse};
use super::reader::Section;
use crate::assertion::{HeaderNames, believed, headers, reserved};
use crate::session::{TokenCarrier, carrier};

/// The names; none may be that of a header in which clients send their tokens.
pub(super) fn read(section: &mut Section<'_>, carriers: &[TokenCarrier]) -> HeaderNames {
    section.section("headers", |section| {
        let names = HeaderNames {
            subject: section.value("subject", name),
            appid: section.value("appid", name),
            unionid: section.value("unionid", name),
            source: section.value("source", name),
            claims: Vec::new(),
        };
        let all = [("subject", &names.subject), ("appid", &names.appid), ("unionid", &names.unionid), ("source", &names.source)];
        for (index, (key, name)) in all.iter().enumerate() {
            if carries_token(carriers, name) {
                section.problem(key, &format!("clients send their tokens in \"{name}\" (session.carriers)"), "give the identity header another name");
            }
            if believed::moves_path(name.as_bytes()) {
                section.warn(key, &format!("servers take the path of a request from \"{name}\", so what stands there moves it"), "choose another, such as \"X-WX-OPENID\" or \"X-User-Id\"");
            }
            let twin = all[..index].iter().find(|(_, other)| reserved::is_same_name(other, name));
            if let Some((twin, _)) = twin {
                let key = if section.has(key) { key } else { twin };
                section.problem(
                    key,
                    &format!("\"{name}\" is the name of two identity headers"),
                    "give each a name of its own; case, \"-\" and \"_\" do not count",
                );
            }
        }
        names
    })
}

/// Whether clients send their tokens in a header of this name.
pub(super) fn carries_token(carriers: &[TokenCarrier], name: &str) -> bool {
    carriers.iter().any(|carrier| matches!(carrier, TokenCarrier::Header(header) if reserved::is_same_name(header, name)))
}

/// Whether a text can be the name of a header.
pub(super) fn is_header_name(text: &str) -> bool {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.len() <= 64 && text.bytes().all(token)
}

fn name(text: &str) -> Result<String, Wrong> {
    let form = "write letters, digits and \"-\", as in \"X-WX-OPENID\"";
    if !is_header_name(text) {
        return refuse("is not a header name", form);
    }
    if !text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic()) {
        return refuse("does not begin with a letter", form);
    }
    if carrier::is_of_http(text) {
        return refuse(
            "is a header that has a meaning of its own in HTTP",
            "choose another, such as \"X-WX-OPENID\" or \"X-User-Id\"",
        );
    }
    let own = [
        "x-hufu-app",
        "x-hufu-provider",
        "x-hufu-session",
        "x-hufu-subject",
        "x-hufu-assertion",
        "x-hufu-error",
        "x-request-id",
        "traceparent",
        headers::VIA,
    ];
    if own.iter().any(|own| reserved::is_same_name(own, text)) {
        return refuse(
            "is a header that only the gateway sets",
            "choose another, such as \"X-WX-OPENID\" or \"X-User-Id\"",
        );
    }
    Ok(text.to_owned())
}
