//! `hufu echo`: the echo upstream alone, for a first try.

use std::net::SocketAddr;

use anyhow::Result;
use clap::Args;

use super::say;
use super::serve::{address, listener};
use crate::lifecycle::run_until_signal;
use crate::sandbox::echo;

/// Run a backend that answers with the request that it got, to try the gateway
#[derive(Debug, Args)]
pub(crate) struct EchoArgs {
    /// The address to listen on, such as 127.0.0.1:9000
    #[arg(long, value_name = "ADDR", value_parser = address)]
    pub(crate) listen: SocketAddr,
}

pub(crate) fn run(args: &EchoArgs) -> Result<()> {
    let listener = listener(args.listen, "--listen")?;
    let address = listener.local_addr()?;
    actix_web::rt::System::new().block_on(async {
        let server = echo::serve(listener)?;
        say(&format!("hufu echo: a backend that answers with what it got, on http://{address}. Ctrl-C ends it."));
        Ok(run_until_signal(server).await?)
    })
}
