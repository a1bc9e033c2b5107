//! The WebSocket handshake of a client (RFC 6455 section 4).

use crate::http::head::{RequestHead, Value};
use crate::http::token::protocols;
use crate::http::{AnswerHead, ErrorCode, GatewayError};
use crate::session::carrier::{PROTOCOL, is_of_gateway_protocol};
use crate::upstream_client::upgrade::{PROTOCOLS, Upgrade};

/// A client's handshake.
#[derive(Debug)]
pub struct Handshake {
    /// What the upstream must answer.
    pub upgrade: Upgrade,
    /// The client has offered the gateway's own protocol, beside which a token stands.
    own: bool,
}

/// The handshake in a request, if there is one. The parser has let nothing pass that is half of one,
/// unless nothing may come after it on its connection.
pub fn read(head: &RequestHead) -> Result<Option<Handshake>, GatewayError> {
    let headers = head.headers();
    if !headers.lists("upgrade", b"websocket") {
        return Ok(None);
    }
    let key = headers.get("sec-websocket-key").and_then(Value::text);
    let switches = head.is_http_11 && headers.lists("connection", b"upgrade");
    let Some(key) = key.filter(|_| switches) else {
        let detail = "A WebSocket handshake is a GET in HTTP/1.1 with \"Connection: Upgrade\".";
        return Err(GatewayError::new(ErrorCode::UpgradeInvalid, detail).closing());
    };
    let (own, offered): (Vec<&str>, Vec<&str>) =
        protocols(headers).partition(|protocol| is_of_gateway_protocol(protocol));
    let offered = offered.into_iter().map(str::to_owned).collect();
    Ok(Some(Handshake {
        upgrade: Upgrade::new(key.trim(), offered),
        own: own.contains(&PROTOCOL),
    }))
}

impl Handshake {
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

    #[test]
    fn the_upstream_may_choose_no_protocol_of_the_gateways() {
        for (chosen, answers) in [("v2", true), ("hufu.token.abc", false)] {
            let lines = [
                ("upgrade", "websocket"),
                ("connection", "upgrade"),
                ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
                (PROTOCOLS, chosen),
            ];
            let answer = RequestHead::sample("", "", &lines);
            let chat = handshake("hufu.v1, hufu.token.abc, chat, v2");
            assert_eq!(chat.upgrade.is_answered_by(answer.headers()), answers);
        }
    }

    #[test]
    fn the_own_protocol_is_answered_where_the_upstream_chose_none() {
        let answer = |offered: &str, chosen: Option<&str>| {
            let mut head = AnswerHead::new(StatusCode::SWITCHING_PROTOCOLS);
            chosen
                .into_iter()
                .for_each(|chosen| head.push(PROTOCOLS, chosen.as_bytes()));
            handshake(offered).answer(&mut head);
            String::from_utf8(head.lines.to_vec()).unwrap()
        };
        assert!(!answer("chat", None).contains(PROTOCOLS));
        assert!(
            answer("hufu.token.abc, hufu.v1", None).contains("sec-websocket-protocol: hufu.v1\r\n")
        );
        let chosen = answer("hufu.token.abc, hufu.v1, chat", Some("chat"));
        assert!(chosen.contains("sec-websocket-protocol: chat\r\n") && !chosen.contains("hufu.v1"));
    }
}
