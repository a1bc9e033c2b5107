//! What an upstream must answer to a WebSocket handshake (RFC 6455 section 4).

use crate::crypto::hash::websocket_accept;
use crate::http::Headers;

pub const PROTOCOLS: &str = "sec-websocket-protocol";

/// A handshake that the upstream is to answer with 101.
#[derive(Debug)]
pub struct Upgrade {
    /// The answer to the client's key.
    accept: String,
    /// The protocols that the upstream is offered.
    offered: Vec<String>,
}

impl Upgrade {
    pub fn new(key: &str, offered: Vec<String>) -> Self {
        Self {
            accept: websocket_accept(key),
            offered,
        }
    }

    /// Whether a 101 with these headers answers the handshake: its key, with a protocol that was
    /// offered.
    pub fn is_answered_by(&self, headers: Headers<'_>) -> bool {
        let accept = headers.single("sec-websocket-accept");
        let is_offered = |protocol: &str| self.offered.iter().any(|own| own == protocol);
        headers.lists("upgrade", b"websocket")
            && headers.lists("connection", b"upgrade")
            && accept.is_some_and(|accept| accept == self.accept)
            && (!headers.contains(PROTOCOLS) || headers.single(PROTOCOLS).is_some_and(is_offered))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::RequestHead;

    #[test]
    fn only_the_right_answer_switches() {
        const UPGRADE: (&str, &str) = ("upgrade", "websocket");
        const CONNECTION: (&str, &str) = ("connection", "Upgrade");
        const ACCEPT: (&str, &str) = ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        let chat = Upgrade::new(
            "dGhlIHNhbXBsZSBub25jZQ==",
            vec!["chat".to_owned(), "v2".to_owned()],
        );
        for (lines, answers) in [
            (&[UPGRADE, CONNECTION, ACCEPT][..], true),
            (&[UPGRADE, CONNECTION, ACCEPT, (PROTOCOLS, "v2")], true),
            (&[UPGRADE, CONNECTION], false),
            (&[UPGRADE, CONNECTION, ACCEPT, ACCEPT], false),
            (
                &[
                    UPGRADE,
                    CONNECTION,
                    ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOx="),
                ],
                false,
            ),
            (&[UPGRADE, CONNECTION, ACCEPT, (PROTOCOLS, "other")], false),
            (
                &[
                    UPGRADE,
                    CONNECTION,
                    ACCEPT,
                    (PROTOCOLS, "chat"),
                    (PROTOCOLS, "v2"),
                ],
                false,
            ),
            (&[UPGRADE, ACCEPT], false),
            (&[CONNECTION, ACCEPT], false),
        ] {
            let head = RequestHead::sample("", "", lines);
            assert_eq!(chat.is_answered_by(head.headers()), answers, "{lines:?}");
        }
    }
}
