//! `hufu demo`: everything in one process.

use std::net::SocketAddr;

use clap::Args;

/// Try it: gateway, WeChat's stand-in, an echo backend and a store in memory, all in this process
///
/// Prints three curl lines that work by copy and paste, and the address of a page that walks through login, call and logout.
/// Nothing needs to be installed, and nothing is left behind.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Where the gateway listens
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,
}

pub(crate) fn run(args: &DemoArgs) -> anyhow::Result<()> {
    anyhow::bail!("demo (on {}) arrives with the next merge", args.listen)
}
