//! Answers requests that the parser refuses.

use std::rc::Rc;
use std::sync::Arc;

use actix_web::body::BoxBody;
use actix_web::web::BytesMut;

use crate::edge::h1::head::first_line;
use crate::edge::h1::refusal::RequestRefusal;
use crate::http::extract::X_REQUEST_ID;
use crate::http::head::RequestParts;
use crate::http::request_log::{CountedRoute, LoggedBody, RequestLog, RequestReporter};
use crate::http::{Answer, ConnectionInfo, Inbound, RequestHead};

/// Most bytes of a refused request's method and path in the access line.
const SHOWN: (usize, usize) = (20, 512);

/// Answers refused requests, and counts and logs them.
#[derive(Clone)]
pub struct Rejector {
    pub reports: Arc<RequestReporter>,
    /// Refusals are counted under it.
    pub route: Arc<CountedRoute>,
}

impl Rejector {
    /// The answer to a request whose head, of which these bytes have come, is refused.
    pub fn answer(
        &self,
        refusal: RequestRefusal,
        head: &[u8],
        connection: Rc<ConnectionInfo>,
    ) -> Answer<LoggedBody<BoxBody>> {
        let (method, path) = shown(head);
        // Nothing in it is believed, whoever has sent it.
        let unread = RequestHead::new(BytesMut::new(), RequestParts::default(), connection);
        let inbound = Inbound::of_peer(&unread);
        let mut request_log = RequestLog::new(
            self.reports.clone(),
            inbound,
            &method,
            &path,
            self.route.clone(),
        );
        let error = refusal.error();
        request_log.refused(&error);
        request_log.status = refusal.code.status().as_u16();
        self.reports
            .metrics
            .listener
            .refused_request(refusal.code.word());
        let mut answer = Answer::from(error.response(&request_log.inbound.id));
        answer
            .head
            .push(X_REQUEST_ID, request_log.inbound.id.as_bytes());
        answer.map_body(|body| LoggedBody::new(body, request_log))
    }
}

/// What can be made out of the bytes of a refused head: the method and the path, for the access
/// line.
fn shown(head: &[u8]) -> (String, String) {
    let mut words = first_line(head).split(|b| *b == b' ');
    let method = words
        .next()
        .filter(|m| !m.is_empty() && m.len() <= SHOWN.0 && m.iter().all(u8::is_ascii_uppercase))
        .unwrap_or(b"-");
    let target = words.next().unwrap_or_default();
    let path = target
        .split(|b| matches!(b, b'?' | b'#'))
        .next()
        .unwrap_or_default();
    let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (shown(method), shown(&path[..path.len().min(SHOWN.1)]))
}
