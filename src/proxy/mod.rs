//! The request path: from a client's request to an upstream and back.
//!
//! `walk` tells the story, `outgoing` writes what goes on, `forward` finds it an endpoint and tries
//! another where that can do no harm; `unanswered` says why nobody answered. `upstream_client`
//! speaks HTTP/1.1 with the endpoint, `connector` opens its sockets, `connection` and `pool` keep
//! them, `response_head` reads its answers strictly, `upload` and `download` carry the bodies.
//! `backend` and `queue` are what all workers share of an upstream; `watch` is what goes on beside
//! the requests: `health_check` and `resolve`. `handshake` is what WebSockets begin with, `tunnel`
//! carries them, with `frames` to know where one may end and `handover` to the answer's body;
//! `websockets` says how many there may be. `streaming` binds what still comes to its session:
//! `session_watch` looks at it; `guard` does so before there is an answer. `via` marks what goes
//! on, and knows it when it comes back. `rules` and `location` are what a route changes on the way.

pub mod answer;
pub mod backend;
pub mod connection;
pub mod connector;
pub mod download;
pub mod forward;
pub mod frames;
pub mod guard;
pub mod handover;
pub mod handshake;
pub mod health_check;
pub mod hop_by_hop;
pub mod inbound;
pub mod location;
pub mod outgoing;
pub mod pool;
pub mod queue;
pub mod resolve;
pub mod response_head;
pub mod rules;
pub mod session_watch;
pub mod streaming;
pub mod tunnel;
pub mod unanswered;
pub mod upload;
pub mod upstream_client;
pub mod via;
pub mod walk;
pub mod watch;
pub mod websockets;

pub use rules::RouteRules;
pub use walk::{Proxy, proxy};
