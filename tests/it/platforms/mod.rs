//! The platforms that vouch for users: their contract, the way to them, their stand-in in the
//! sandbox.

mod access_token_processes;
mod access_tokens;
mod component;
mod component_open_data;
mod component_processes;
mod contract;
mod echo;
mod logins;
mod outbound_proxy;
pub(crate) mod platform_api;
pub(crate) mod push;
mod sandbox;
mod ticket_processes;
mod trouble;

use std::time::Duration;

use hufu::store::StoreSettings;

use crate::helpers::store::settings;

/// The first lines of a gateway that does not give its store up where a busy machine stalls.
pub(crate) const PATIENT: &str = "store.timeout = \"15s\"\nstore.connect_timeout = \"15s\"\n";

/// The same of a store that a test opens itself.
fn patient(url: &str) -> StoreSettings {
    let patience = Duration::from_secs(15);
    StoreSettings {
        timeout: patience,
        connect_timeout: patience,
        ..settings(url)
    }
}
