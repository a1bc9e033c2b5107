//! HTTP/1.1 with a client.
//!
//! `connection` serves a connection from its first request to its last; `client` is its socket.
//! `parser` parses requests strictly and without I/O, with `head`, `fields`, `target` and `scan`.
//! `writing` writes the answer. `rejector` answers what the parser refuses, with a `refusal`.
//! `linger` reads on after an answer, so that the client sees it.

pub mod client;
pub mod connection;
pub mod fields;
pub mod head;
pub mod linger;
pub mod parser;
pub mod refusal;
pub mod rejector;
pub mod scan;
pub mod target;
pub mod writing;
