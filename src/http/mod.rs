//! The gateway's own endpoints, one file each, and what every answer shares: error codes, the facts
//! of a request head, CORS, and the completion that counts and logs it.

pub mod answer;
pub mod authenticate;
pub mod buffers;
pub mod client_address;
pub mod connection;
pub mod cors;
pub mod drain;
pub mod error;
mod error_response;
pub mod extract;
pub mod failure;
pub mod forwarded;
pub mod head;
pub mod healthz;
pub mod login;
pub mod logout;
pub mod method;
pub mod object;
pub mod origin;
pub mod original;
pub mod own;
pub mod page;
mod rate_limit;
pub mod request_log;
pub mod response;
pub mod rotate;
pub mod session;
pub mod sessions;
pub mod together;
pub mod token;
pub mod told;
pub mod verify;

pub use client_address::{ForwardingHeader, TrustedProxies};
pub use connection::Connection;
pub use cors::Cors;
pub use drain::Drain;
pub use error::{ErrorCode, GatewayError};
pub use extract::Inbound;
pub use failure::FailureShape;
pub use head::{Headers, RequestHead};
pub use origin::Origin;
pub use original::{AskingProxy, Believed};
pub use request_log::RequestLog;
pub use response::{Answer, AnswerHead};
