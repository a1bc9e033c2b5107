//! The WebSocket handshake (RFC 6455 section 4): what is looked for in the client's, and what the upstream's answer must say.

use actix_web::HttpRequest;
use actix_web::http::Version;
use actix_web::http::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE};

use crate::crypto::hash::websocket_accept;
use crate::http::error::{ErrorCode, GatewayError};
use crate::http::token::protocols;
use crate::session::carrier::{PROTOCOL, is_of_gateway_protocol};

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

/// The handshake in a request, if there is one. The gate has let nothing pass that is half of one, unless nothing may come after it on its
/// connection.
pub fn read(req: &HttpRequest) -> Result<Option<Handshake>, GatewayError> {
    let headers = req.headers();
    let has = |name, word: &str| lists(headers.get_all(name), word);
    if !has(UPGRADE, "websocket") {
        return Ok(None);
    }
    let key = headers.get(SEC_WEBSOCKET_KEY).and_then(|key| key.to_str().ok());
    let (Version::HTTP_11, true, Some(key)) = (req.version(), has(CONNECTION, "upgrade"), key) else {
        let detail = "A WebSocket handshake is a GET in HTTP/1.1 with \"Connection: Upgrade\".";
        return Err(GatewayError::new(ErrorCode::UpgradeInvalid, detail).closing());
    };
    let (own, offered): (Vec<&str>, _) = protocols(headers).partition(|protocol| is_of_gateway_protocol(protocol));
    Ok(Some(Handshake { accept: websocket_accept(key.trim()), offered: offered.into_iter().map(str::to_owned).collect(), own: own.contains(&PROTOCOL) }))
}

fn lists<'a>(mut values: impl Iterator<Item = &'a HeaderValue>, word: &str) -> bool {
    values.any(|value| value.to_str().is_ok_and(|v| v.split(',').any(|o| o.trim().eq_ignore_ascii_case(word))))
}

impl Handshake {
    /// Whether an upstream's 101 is the answer to this handshake: to its key, and with a protocol that was offered.
    #[must_use]
    pub fn is_answered_by(&self, headers: &[(HeaderName, HeaderValue)]) -> bool {
        let values = |wanted: HeaderName| headers.iter().filter(move |(name, _)| *name == wanted).map(|(_, value)| value);
        let only = |wanted: HeaderName| {
            let mut all = values(wanted);
            all.next().filter(|_| all.next().is_none())
        };
        let offered = |value: &HeaderValue| self.offered.iter().any(|own| own.as_bytes() == value.as_bytes());
        lists(values(UPGRADE), "websocket")
            && lists(values(CONNECTION), "upgrade")
            && only(SEC_WEBSOCKET_ACCEPT).is_some_and(|accept| accept.as_bytes() == self.accept.as_bytes())
            && (values(SEC_WEBSOCKET_PROTOCOL).next().is_none() || only(SEC_WEBSOCKET_PROTOCOL).is_some_and(offered))
    }

    /// What the gateway adds to the answer. A browser gives up on an answer without a protocol when it has offered some.
    pub fn answer(&self, headers: &mut HeaderMap) {
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        if self.own && !headers.contains_key(SEC_WEBSOCKET_PROTOCOL) {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn handshake(protocols: &str) -> Handshake {
        let request = TestRequest::get().insert_header((UPGRADE, "WebSocket")).insert_header((CONNECTION, "keep-alive, Upgrade"));
        let request = request.insert_header((SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ==")).insert_header((SEC_WEBSOCKET_PROTOCOL, protocols));
        read(&request.to_http_request()).unwrap().unwrap()
    }

    fn answered(handshake: &Handshake, lines: &[(&str, &str)]) -> bool {
        let lines: Vec<_> =
            lines.iter().map(|(name, value)| (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())).collect();
        handshake.is_answered_by(&lines)
    }

    const ACCEPT: (&str, &str) = ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    const UPGRADES: [(&str, &str); 2] = [("upgrade", "websocket"), ("connection", "Upgrade")];

    #[test]
    fn only_the_right_answer_switches() {
        let chat = handshake("hufu.v1, hufu.token.abc, chat, v2");
        let with = |more: &[(&'static str, &'static str)]| answered(&chat, &[&UPGRADES, more].concat());
        assert!(with(&[ACCEPT]) && with(&[ACCEPT, ("sec-websocket-protocol", "v2")]));
        assert!(!with(&[]) && !with(&[ACCEPT, ACCEPT]) && !with(&[("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOx=")]));
        assert!(!with(&[ACCEPT, ("sec-websocket-protocol", "other")]) && !with(&[ACCEPT, ("sec-websocket-protocol", "hufu.token.abc")]));
        assert!(!with(&[ACCEPT, ("sec-websocket-protocol", "chat"), ("sec-websocket-protocol", "v2")]));
        assert!(!answered(&chat, &[UPGRADES[0], ACCEPT]) && !answered(&chat, &[UPGRADES[1], ACCEPT]));
    }

    #[test]
    fn the_own_protocol_is_answered_where_the_upstream_chose_none() {
        let mut headers = HeaderMap::new();
        handshake("chat").answer(&mut headers);
        assert!(headers.get(SEC_WEBSOCKET_PROTOCOL).is_none());
        handshake("hufu.token.abc, hufu.v1").answer(&mut headers);
        assert_eq!(headers.get(SEC_WEBSOCKET_PROTOCOL).unwrap(), "hufu.v1");
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("chat"));
        handshake("hufu.token.abc, hufu.v1, chat").answer(&mut headers);
        assert_eq!(headers.get(SEC_WEBSOCKET_PROTOCOL).unwrap(), "chat");
    }
}
