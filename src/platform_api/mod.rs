//! The platform's API for the team's own backends, on a listener of its own: they call it with a
//! secret of the gateway's, and have neither the app's secret nor its access token.
//!
//! A request passes through the files in this order: `dispatch` keeps the account of it,
//! `credentials` finds whose it is (`query`, `gateway_token`, `clients`, `client_apps`), `token_endpoint` answers
//! where SDKs fetch their token, `paths` says whether a call may pass, `own_endpoints` answers some
//! (`tickets`, `user_signature`), and `forward` passes the others on (`request_body`, `deadline`,
//! `answer_body`). `refusal` writes errors as their readers expect.

pub mod dispatch;
pub mod paths;
pub mod settings;

mod answer_body;
mod client_apps;
mod clients;
mod credentials;
mod deadline;
mod forward;
mod gateway_token;
mod json_escapes;
mod limits;
mod own_endpoints;
mod query;
mod refusal;
mod request_body;
mod tickets;
mod token_endpoint;
mod user_signature;

pub use client_apps::ClientApp;
pub use clients::Clients;
pub use dispatch::{PlatformApi, configure};
pub use own_endpoints::{is_for_no_endpoint, is_for_user_signatures};
pub use paths::PathPattern;
pub use settings::{CallableApp, ClientSettings};
