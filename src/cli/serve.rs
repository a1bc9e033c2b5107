//! `hufu serve`: the gateway.

use std::net::{SocketAddr, TcpListener};

use anyhow::Result;
use clap::Args;

use super::ConfigArg;
use crate::app::{self, Gateway};
use crate::config::Settings;
use crate::edge::Listen;
use crate::lifecycle;

/// Run the gateway
///
/// Stops on SIGTERM, SIGINT or SIGQUIT: it accepts connections for another server.drain_grace, then
/// finishes requests in progress within server.drain_deadline.
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

/// Says what listens where and with which store; a store that does not answer is no reason not to
/// start.
async fn announce(gateway: &Gateway) {
    let listen = gateway.listen.to_string();
    let admin = gateway.admin.to_string();
    log::info!(listen = listen.as_str(), admin = admin.as_str(), store = gateway.store_name.as_str(); "hufu {} is listening", env!("CARGO_PKG_VERSION"));
    if let Some(platform_api) = &gateway.platform_api {
        let at = platform_api.to_string();
        log::info!(platform_api = at.as_str(); "backends call the platform here");
    }
    match gateway.store.probe().check().await {
        Ok(took) => log::info!("the store answers in {} ms", took.as_millis()),
        Err(error) => {
            log::error!("{error}; every request that needs a session gets 503 until it answers");
        }
    }
}

/// Opens the listener of a command that has no configuration.
pub(crate) fn listener(address: SocketAddr, flag: &str) -> Result<TcpListener> {
    TcpListener::bind(address).map_err(|error| {
        let advice = Listen::Tcp(address).advice(&error, flag);
        // Ten further: the port behind 8080 is that of the admin listener.
        let port = if address.port() < 1024 {
            8090
        } else {
            address.port().saturating_add(10)
        };
        anyhow::Error::new(error).context(format!(
            "cannot listen on {address}; {advice}, such as {flag} 127.0.0.1:{port}"
        ))
    })
}

/// An address to listen on, of the command line.
pub(crate) fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse()
        .map_err(|_| "write an address with a port, such as 127.0.0.1:8090")
}
