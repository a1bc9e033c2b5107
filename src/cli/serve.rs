//! `hufu serve`: the gateway.

use anyhow::{Context as _, Result};
use clap::Args;

use super::ConfigArg;
use crate::app::{self, Gateway};
use crate::config::Settings;
use crate::lifecycle;

/// Run the gateway
///
/// Ends on SIGTERM: it goes on accepting for server.drain_grace, then finishes what is under way within server.drain_deadline.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArg,
}

pub(crate) fn run(args: &ServeArgs) -> Result<()> {
    let (settings, warnings) = Settings::load(&args.config.path)?;
    app::start_log(&settings);
    for warning in &warnings {
        log::warn!("{warning}");
    }
    let descriptors = lifecycle::raise_descriptor_limit();
    actix_web::rt::System::new().block_on(async {
        let gateway = app::build(settings, Some(args.config.path.clone()), descriptors)?;
        announce(&gateway).await;
        lifecycle::run(gateway).await
    })
}

/// Says what listens where and with which store; a store that does not answer is no reason not to start.
async fn announce(gateway: &Gateway) {
    let (listen, admin) = (gateway.listen.to_string(), gateway.admin.to_string());
    log::info!(listen = listen.as_str(), admin = admin.as_str(), store = gateway.store_name.as_str(); "hufu {} is listening", env!("CARGO_PKG_VERSION"));
    match gateway.store.probe().check().await {
        Ok(took) => log::info!("the store answers in {} ms", took.as_millis()),
        Err(error) => log::error!("{error}; every request that needs a session gets 503 until it answers"),
    }
}

/// The context of an error at start.
pub(crate) fn listener(address: std::net::SocketAddr, flag: &str) -> Result<std::net::TcpListener> {
    std::net::TcpListener::bind(address).with_context(|| {
        format!(
            "cannot listen on {address}; if another program has the port, choose another with {flag}, such as {flag} 127.0.0.1:{}",
            address.port().wrapping_add(1).max(1024)
        )
    })
}
