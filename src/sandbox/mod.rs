//! The platforms' simulator and the echo upstream, for demos and tests. Nothing of it runs under
//! `hufu serve`. docs/sandbox.md tells every endpoint with an example.

pub mod echo;
pub mod platform;
pub mod routes;
pub mod settings;

mod access_tokens;
mod code2session;
mod codes;
mod control;
mod faults;
mod phone;
mod session_key;
mod token;
mod users;
mod wire;

pub use platform::Platform;
pub use routes::{ENDPOINTS, Endpoint, configure, serve};
pub use settings::{AcceptedApps, SandboxApp, SandboxSettings};
pub use users::{openid, unionid};
