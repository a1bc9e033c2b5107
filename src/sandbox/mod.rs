//! The platforms' simulator and the echo upstream, for demos and tests. Nothing of it runs under
//! `hufu serve`. docs/sandbox.md tells every endpoint with an example.

pub mod echo;
pub mod endpoint;
pub mod platform;
pub mod routes;
pub mod settings;

mod access_tokens;
mod authorizations;
mod codes;
mod components;
mod control;
mod denied;
mod douyin;
mod faults;
mod push;
mod push_settings;
mod users;
mod wechat;

pub use endpoint::Endpoint;
pub use platform::Platform;
pub use routes::{configure, serve};
pub use settings::{AcceptedApps, SandboxApp, SandboxSettings};
pub use users::{openid, unionid};

/// Each platform's APIs, and the control side with the messages that the platform pushes.
const ENDPOINTS: [&[Endpoint]; 5] = [
    wechat::ENDPOINTS,
    douyin::ENDPOINTS,
    control::ENDPOINTS,
    push::ENDPOINTS,
    authorizations::ENDPOINTS,
];

/// Every endpoint, in the order of docs/sandbox.md.
pub fn endpoints() -> impl Iterator<Item = &'static Endpoint> {
    ENDPOINTS.into_iter().flatten()
}

/// The names of the simulated APIs.
fn apis() -> impl Iterator<Item = &'static str> {
    endpoints().filter_map(|endpoint| endpoint.api)
}
