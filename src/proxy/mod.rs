//! The request path: from a client's request to an upstream and back.
//!
//! `handle` handles a request from top to bottom. `outgoing` writes the head that the upstream
//! gets. `forward` chooses an endpoint, and another one where a retry can do no harm; `unanswered`
//! says why no endpoint answered. `upstream_client` speaks HTTP/1.1 with an endpoint: `connector`
//! opens connections, `connection` and `pool` keep them, `response_head` parses answers strictly,
//! `upload` and `download` carry the bodies. All workers share the `shared_upstream` and its
//! `queue`. `watch` runs the `health_check`s and `resolve`s host names. `handshake` opens a
//! WebSocket and `websockets` limits how many are open; `tunnel` carries its bytes, `frames` knows
//! where one may end, and `tunnel_body` is the answer's body. `handle::streaming` ends an open answer with
//! its session, which `session_watch` watches. `pending_guard` does so before there is an answer.
//! `via` finds loops. `rules` and `location` are what a route changes.

pub mod answer;

pub mod connection;
pub mod connector;
pub mod download;
pub mod forward;
pub mod frames;

pub mod handle;
pub mod handshake;
pub mod health_check;
pub mod hop_by_hop;
pub mod inbound;
pub mod location;
pub mod outgoing;
pub mod pending_guard;
pub mod pool;
pub mod queue;
pub mod resolve;
pub mod response_head;
pub mod rules;
pub mod session_watch;
pub mod shared_upstream;
pub mod tunnel;
pub mod tunnel_body;
pub mod unanswered;
pub mod upload;
pub mod upstream_client;
pub mod via;

pub mod watch;
pub mod websockets;

pub use handle::{Proxy, proxy};
pub use rules::RouteRules;
