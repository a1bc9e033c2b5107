//! The gateway's own endpoints: one file and one row of the `table` each.
//!
//! `dispatch` puts them into actix-web's application, under the prefix. `find` says whether a request
//! is for one of them. `verify` answers on the fast path, with `original` to read what the asking
//! proxy says. `page` keeps foreign web pages out of what changes something.

pub mod asker;
pub mod authorizer_push;
pub mod component_event;
pub mod context;
pub mod decrypt;
pub mod dispatch;
pub mod find;
pub mod healthz;
pub mod jwks;
pub mod login;
pub mod logout;
pub mod logout_all;
pub mod original;
pub mod page;
pub mod phone;
pub mod push;
pub mod rotate;
pub mod session;
pub mod session_key_reset;
pub mod session_key_status;
pub mod sessions;
pub mod sign_out;
pub mod table;
pub mod token_answer;
pub mod verify;

pub use component_event::ComponentEvents;
pub use context::EndpointContext;
pub use dispatch::{EndpointDispatcher, Endpoints};
pub use find::{OwnEndpoint, find};
pub use jwks::PublishedKeys;
pub use original::{AskingProxy, Believed};
pub use session::VisibleClaims;
pub use table::ENDPOINTS;
pub use verify::Verify;
