//! The configuration: one TOML file and the environment, read into plain typed settings.
//!
//! `reader` walks the file and collects everything that is wrong with it; one file per section says
//! which keys there are and what they mean. The defaults stand in `hufu.toml`, the manual, which is
//! built in ([`manual`]).
//!
//! Every section is read in one way: `read` makes the settings out of the section, a line for each
//! key, and nothing else knows the key's name. A reload takes a key, unless its section begins with
//! `takes_restart`; there, `on_reload` stands around the keys that a reload takes nevertheless.

mod admin;
mod apps;
mod assertion;
mod backend;
mod checks;
mod claim_headers;
mod cors;
mod description;
mod effective;
mod env;
mod failure;
mod header_edits;
mod identity;
mod later;
mod log;
mod login;
mod login_hook;
pub mod manual;
mod open_data;
mod own_listeners;
mod parsers;
mod platform_api;
mod platforms;
mod problem;
mod push;
mod reader;
mod require;
mod reused_secrets;
mod route_overlap;
mod routes;
pub mod schema;
mod secret_values;
mod secrets;
mod server;
mod session;
mod settings;
mod shared_secrets;
mod store;
mod syntax;
mod traces;
mod upstreams;
mod values;
mod verify;
mod websockets;

pub use self::log::{LogFormat, LogSettings};
pub use admin::AdminSettings;
pub use effective::Effective;
pub use env::Variables;
pub use login::LoginSettings;
pub use platform_api::PlatformApiSettings;
pub use problem::{ConfigError, Problem};
pub use secrets::SecretSettings;
pub use server::ServerSettings;
pub use session::SessionSettings;
pub use settings::Settings;
pub use store::StoreTlsFiles;
