//! The request path: from a client's request to an upstream and back.
//!
//! `handle` handles a request from top to bottom. `head_writer` and `outgoing` write the head that
//! the upstream gets. `forward` sends it: `worker_upstream` chooses an endpoint, and another one where a retry can
//! do no harm. `unanswered` says why no endpoint answered. All workers share the `shared_upstream`
//! and its `queue`. `watch` runs the `health_check`s and `resolve`s host names. `handle::streaming`
//! ends an open answer with its session, which `session_watch` watches. `pending_guard` does so
//! before there is an answer. `websocket` carries WebSockets. `via` finds loops. `rules` and
//! `location` are what a route changes. `own_request` sends requests of the gateway's own: `push`
//! hands pushed messages over, `login_hook` asks about logins.

pub mod answer;
pub mod forward;
pub mod handle;
pub mod head_writer;
pub mod health_check;
pub mod hop_by_hop;
pub mod inbound;
pub mod location;
pub mod login_hook;
pub mod outgoing;
pub mod own_request;
pub mod pending_guard;
pub mod push;
pub mod queue;
pub mod resolve;
pub mod rules;
pub mod session_watch;
pub mod shared_upstream;
pub mod unanswered;
pub mod via;
pub mod watch;
pub mod websocket;
pub mod worker_upstream;

pub use handle::{Proxy, proxy};
pub use login_hook::{HookCaller, HookPermits};
pub use push::PushForwarder;
pub use rules::RouteRules;
