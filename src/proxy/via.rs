//! The mark by which a gateway knows its own requests: one that comes back is refused, or it would
//! go round until something breaks.
//!
//! The mark is the deployment's: made with the naming key, it is the same for all its processes,
//! and nobody writes it who has not seen it. It goes to backends alone; whoever learns it there can
//! make the gateway refuse that one's own requests and no others. The marks of other gateways go
//! on, so that a loop through them ends too.

use std::time::Duration;

use actix_web::web::BytesMut;

use crate::assertion::headers::VIA;
use crate::crypto::encoding::base64url;
use crate::crypto::keyring::NamingKey;
use crate::http::head::{Headers, Value};
use crate::http::response::write_line;
use crate::http::{ErrorCode, GatewayError};
use crate::telemetry::Throttle;

/// Bytes of a mark, before it is written as text.
const MARK: usize = 16;
/// Characters of it.
const WRITTEN: usize = 22;
/// Marks of other gateways that go on: a longer chain has most likely been made up.
const OTHERS: usize = 8;

/// The mark of this deployment.
#[derive(Debug, Clone)]
pub struct Via {
    mark: String,
    line: String,
}

impl Via {
    /// The mark of all gateways with this naming key whose sessions are kept under this prefix.
    pub fn new(naming: &NamingKey, key_prefix: &str) -> Self {
        let mark = base64url(&naming.name::<MARK>("gateway loop", &[key_prefix.as_bytes()]));
        let line = format!("{VIA}: {mark}\r\n");
        Self { mark, line }
    }

    /// Refuses a request that this deployment has sent itself.
    pub fn refuse_return(&self, headers: Headers<'_>) -> Result<(), GatewayError> {
        /// The access lines have each of them.
        static THROTTLE: Throttle = Throttle::new(Duration::from_secs(1));
        if !marks(headers).any(|mark| mark == self.mark.as_bytes()) {
            return Ok(());
        }
        if let Some(silent) = THROTTLE.admit() {
            log::error!(
                "request loop: an upstream points back to this gateway, directly or through other proxies; access lines with loop_detected have the path{silent}"
            );
        }
        Err(GatewayError::new(
            ErrorCode::LoopDetected,
            "The request has come back to the gateway that had sent it on.",
        ))
    }

    /// The mark's line, for a request that the gateway makes of itself.
    #[must_use]
    pub fn line(&self) -> &str {
        &self.line
    }

    /// Writes the mark, behind those of the gateways before this one.
    pub fn write(&self, out: &mut BytesMut, headers: Headers<'_>) {
        if !headers.contains(VIA) {
            out.extend_from_slice(self.line.as_bytes());
            return;
        }
        let mut all: Vec<&[u8]> = marks(headers).filter(|mark| is_mark(mark)).collect();
        all.drain(..all.len().saturating_sub(OTHERS));
        all.push(self.mark.as_bytes());
        write_line(out, VIA, &all.join(&b", "[..]));
    }
}

fn marks(headers: Headers<'_>) -> impl Iterator<Item = &[u8]> {
    headers
        .get_all(VIA)
        .map(Value::bytes)
        .flat_map(|value| value.split(|b| *b == b','))
        .map(<[u8]>::trim_ascii)
}

fn is_mark(text: &[u8]) -> bool {
    text.len() == WRITTEN
        && text
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::RequestHead;

    fn written(via: &Via, lines: &[(&str, &str)]) -> String {
        let mut out = BytesMut::new();
        via.write(&mut out, RequestHead::sample("GET", "/", lines).headers());
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn a_mark_is_that_of_the_naming_key_and_the_prefix() {
        let naming = NamingKey::ephemeral();
        let mark = |naming: &NamingKey, prefix: &str| Via::new(naming, prefix).mark;
        let own = mark(&naming, "hufu");
        assert_eq!((own.len(), &own), (WRITTEN, &mark(&naming, "hufu")));
        assert_ne!(own, mark(&naming, "test"));
        assert_ne!(own, mark(&NamingKey::ephemeral(), "hufu"));
    }

    #[test]
    fn nothing_made_up_goes_on_and_not_too_many() {
        let via = Via::new(&NamingKey::ephemeral(), "hufu");
        assert_eq!(
            written(
                &via,
                &[(VIA, "x, , \"y\""), (VIA, "AAAAAAAAAAAAAAAAAAAAA=")]
            ),
            via.line
        );
        let many: Vec<String> = (10..40).map(|number| format!("{number:022}")).collect();
        assert_eq!(
            written(&via, &[(VIA, &many.join(","))]),
            format!("{VIA}: {}, {}\r\n", many[22..].join(", "), via.mark)
        );
    }
}
