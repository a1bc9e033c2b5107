//! What must hold for every input: a property per parser of what strangers send or what lies in a
//! store. libFuzzer calls them (`fuzz_targets/`), and so do the integration tests, with the seeds
//! and with mutations of them.

use std::rc::Rc;

use actix_web::web::BytesMut;
use hufu::http::RequestHead;
use hufu::http::head::{RequestParts, Span};

pub mod chunked_body;
pub mod client_address;
pub mod config;
pub mod frames;
pub mod hook_answer;
pub mod location;
pub mod open_data;
pub mod outgoing_head;
pub mod path;
pub mod platform_answer;
pub mod proxy_header;
pub mod push;
pub mod record;
pub mod request_head;
pub mod token;
pub mod upstream_answer;

/// A property of one input: it panics where it does not hold.
pub type Target = fn(&[u8]);

/// Every target with the name of its folder of seeds.
pub const TARGETS: [(&str, Target); 16] = [
    ("chunked_body", chunked_body::check),
    ("client_address", client_address::check),
    ("config", config::check),
    ("frames", frames::check),
    ("hook_answer", hook_answer::check),
    ("location", location::check),
    ("open_data", open_data::check),
    ("outgoing_head", outgoing_head::check),
    ("path", path::check),
    ("platform_answer", platform_answer::check),
    ("proxy_header", proxy_header::check),
    ("push", push::check),
    ("record", record::check),
    ("request_head", request_head::check),
    ("token", token::check),
    ("upstream_answer", upstream_answer::check),
];

/// A request's head with these lines, as it would come in.
fn request(method: &str, path: &str, query: Option<&str>, lines: &[(&[u8], &[u8])]) -> RequestHead {
    let mut bytes = BytesMut::new();
    let mut at = Vec::new();
    let mut put = |part: &[u8], behind: &[u8]| {
        at.push(bytes.len()..bytes.len() + part.len());
        bytes.extend_from_slice(part);
        bytes.extend_from_slice(behind);
    };
    put(method.as_bytes(), b" ");
    put(path.as_bytes(), b"?");
    put(query.unwrap_or_default().as_bytes(), b" HTTP/1.1\r\n");
    for (name, value) in lines {
        put(name, b": ");
        put(value, b"\r\n");
    }
    let spans: Vec<Span> = at
        .into_iter()
        .map(|part| Span::of(&bytes[part], &bytes))
        .collect();
    let lines = spans[3..]
        .chunks(2)
        .map(|line| (line[0], line[1]))
        .collect();
    let parts = RequestParts {
        method: spans[0],
        path: spans[1],
        query: query.map(|_| spans[2]),
        escaped_query: None,
        http_11: true,
        lines,
    };
    RequestHead::new(bytes, parts, Rc::default())
}
