//! The request path: from a client's request to an upstream and back.
//!
//! `walk` tells the story, `outgoing` writes what goes on, `upstream_client` speaks HTTP/1.1 with the upstream,
//! `connection` and `pool` keep its sockets, `response_head` reads its answers strictly, `upload` and `download` carry the bodies;
//! `rules` and `location` are what a route changes on the way.

pub mod answer;
pub mod connection;
pub mod download;
pub mod hop_by_hop;
pub mod inbound;
pub mod location;
pub mod outgoing;
pub mod pool;
pub mod response_head;
pub mod rules;
pub mod upload;
pub mod upstream_client;
pub mod walk;

pub use rules::RouteRules;
pub use walk::{Proxy, proxy};
