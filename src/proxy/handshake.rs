//! The WebSocket handshake (RFC 6455 section 4): what is looked for in the client's, and what the
//! upstream's answer must say.

use crate::crypto::hash::websocket_accept;
use crate::http::error::{ErrorCode, GatewayError};
use crate::http::head::{Headers, RequestHead, Value};
use crate::http::response::AnswerHead;
use crate::http::token::protocols;
use crate::session::carrier::{PROTOCOL, is_of_gateway_protocol};

const PROTOCOLS: &str = "sec-websocket-protocol";

/// A client's handshake.
#[derive(Debug)]
pub struct Handshake {
    /// What the upstream must answer to the client's key.
    accept: String,
    /// The protocols that the upstream is offered.
    offered: Vec<String>,
    /// The client has offered the gateway's own protocol, beside which a token stands.
    own: bool,
}

/// The handshake in a request, if there is one. The parser has let nothing pass that is half of one,
/// unless nothing may come after it on its connection.
pub fn read(head: &RequestHead) -> Result<Option<Handshake>, GatewayError> {
    let headers = head.headers();
    let has = |name, word: &str| lists(headers.get_all(name), word);
    if !has("upgrade", "websocket") {
        return Ok(None);
    }
    let key = headers.get("sec-websocket-key").and_then(Value::text);
    let (true, true, Some(key)) = (head.is_http_11(), has("connection", "upgrade"), key) else {
        let detail = "A WebSocket handshake is a GET in HTTP/1.1 with \"Connection: Upgrade\".";
        return Err(GatewayError::new(ErrorCode::UpgradeInvalid, detail).closing());
    };
    let (own, offered): (Vec<&str>, _) =
        protocols(headers).partition(|protocol| is_of_gateway_protocol(protocol));
    Ok(Some(Handshake {
        accept: websocket_accept(key.trim()),
        offered: offered.into_iter().map(str::to_owned).collect(),
        own: own.contains(&PROTOCOL),
    }))
}

fn lists<'a>(mut values: impl Iterator<Item = Value<'a>>, word: &str) -> bool {
    values.any(|value| {
        value
            .text()
            .is_some_and(|v| v.split(',').any(|o| o.trim().eq_ignore_ascii_case(word)))
    })
}

impl Handshake {
    /// Whether an upstream's 101 is the answer to this handshake: to its key, and with a protocol
    /// that was offered.
    #[must_use]
    pub fn is_answered_by(&self, headers: Headers<'_>) -> bool {
        let only = |name: &str| {
            let mut all = headers.get_all(name);
            all.next().filter(|_| all.next().is_none())
        };
        let offered = |value: Value<'_>| {
            self.offered
                .iter()
                .any(|own| own.as_bytes() == value.bytes())
        };
        lists(headers.get_all("upgrade"), "websocket")
            && lists(headers.get_all("connection"), "upgrade")
            && only("sec-websocket-accept")
                .is_some_and(|accept| accept.bytes() == self.accept.as_bytes())
            && (!headers.contains(PROTOCOLS) || only(PROTOCOLS).is_some_and(offered))
    }

    /// What the gateway adds to the answer. A browser gives up on an answer without a protocol when
    /// it has offered some.
    pub fn answer(&self, answer: &mut AnswerHead) {
        answer.push("upgrade", b"websocket");
        if self.own && !answer.contains(PROTOCOLS) {
            answer.push(PROTOCOLS, PROTOCOL.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::StatusCode;

    use super::*;

    fn handshake(protocols: &str) -> Handshake {
        let lines = [
            ("Upgrade", "WebSocket"),
            ("Connection", "keep-alive, Upgrade"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            (PROTOCOLS, protocols),
        ];
        read(&RequestHead::sample("GET", "/", &lines))
            .unwrap()
            .unwrap()
    }

    fn answered(handshake: &Handshake, lines: &[(&str, &str)]) -> bool {
        handshake.is_answered_by(RequestHead::sample("", "", lines).headers())
    }

    const ACCEPT: (&str, &str) = ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    const UPGRADES: [(&str, &str); 2] = [("upgrade", "websocket"), ("connection", "Upgrade")];

    #[test]
    fn only_the_right_answer_switches() {
        let chat = handshake("hufu.v1, hufu.token.abc, chat, v2");
        let with =
            |more: &[(&'static str, &'static str)]| answered(&chat, &[&UPGRADES, more].concat());
        assert!(with(&[ACCEPT]) && with(&[ACCEPT, ("sec-websocket-protocol", "v2")]));
        assert!(
            !with(&[])
                && !with(&[ACCEPT, ACCEPT])
                && !with(&[("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOx=")])
        );
        assert!(
            !with(&[ACCEPT, ("sec-websocket-protocol", "other")])
                && !with(&[ACCEPT, ("sec-websocket-protocol", "hufu.token.abc")])
        );
        assert!(!with(&[
            ACCEPT,
            ("sec-websocket-protocol", "chat"),
            ("sec-websocket-protocol", "v2")
        ]));
        assert!(
            !answered(&chat, &[UPGRADES[0], ACCEPT]) && !answered(&chat, &[UPGRADES[1], ACCEPT])
        );
    }

    #[test]
    fn the_own_protocol_is_answered_where_the_upstream_chose_none() {
        let answer = |offered: &str, chosen: Option<&str>| {
            let mut head = AnswerHead::new(StatusCode::SWITCHING_PROTOCOLS);
            chosen
                .into_iter()
                .for_each(|chosen| head.push(PROTOCOLS, chosen.as_bytes()));
            handshake(offered).answer(&mut head);
            String::from_utf8(head.into_lines().to_vec()).unwrap()
        };
        assert!(!answer("chat", None).contains(PROTOCOLS));
        assert!(
            answer("hufu.token.abc, hufu.v1", None).contains("sec-websocket-protocol: hufu.v1\r\n")
        );
        let chosen = answer("hufu.token.abc, hufu.v1, chat", Some("chat"));
        assert!(chosen.contains("sec-websocket-protocol: chat\r\n") && !chosen.contains("hufu.v1"));
    }
}
