//! The vocabulary of both listeners, below those who serve them: a request's head and the facts in
//! it, its token and whose it is, answers, error codes, CORS, and the request log.

pub mod address;
pub mod answer;
pub mod authenticate;
pub mod body_decoder;
pub mod buffers;
pub mod chunks;
pub mod client_address;
pub mod connection;
pub mod cors;
pub mod drain;
pub mod endpoint;
pub mod error;
mod error_response;
pub mod extract;
pub mod failure;
pub mod forwarded;
pub mod forwarded_origin;
pub mod head;
pub mod json_body;
pub mod method;
pub mod origin;
mod rate_limit;
pub mod request_log;
pub mod response;
pub mod scheduling;

pub mod socket;
pub mod to_the_end;
pub mod token;

pub use client_address::{ForwardingHeader, TrustedProxies};
pub use connection::ConnectionInfo;
pub use cors::{Cors, CorsSettings};
pub use drain::Drain;
pub use endpoint::{Endpoint, EndpointCounters};
pub use error::{ErrorCode, GatewayError};
pub use extract::Inbound;
pub use failure::FailureShape;
pub use head::{Headers, RequestHead};
pub use origin::Origin;
pub use request_log::RequestLog;
pub use response::{Answer, AnswerHead};
pub use socket::Socket;
