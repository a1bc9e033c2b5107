//! HTTP/1.1 with upstreams.
//!
//! `connector` opens connections, and `connection` and `pool` keep them. An `exchange` sends a
//! request and reads the head of its answer: `upload` carries the request, `response_head` parses
//! the answer strictly, `upgrade` checks a switch of protocols. `download` carries the answer's
//! body.

pub mod connection;
pub mod connector;
pub mod download;
pub mod exchange;
pub mod pool;
pub mod response_head;
pub mod upgrade;
pub mod upload;
