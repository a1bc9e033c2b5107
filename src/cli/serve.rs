//! `hufu serve`: the gateway.

use clap::Args;

use super::ConfigArg;

/// Run the gateway
///
/// Ends on SIGTERM: it goes on accepting for server.drain_grace, then finishes what is under way within server.drain_deadline.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArg,
}

pub(crate) fn run(args: &ServeArgs) -> anyhow::Result<()> {
    let (_settings, warnings) = crate::config::Settings::load(&args.config.path)?;
    super::warn(&warnings);
    anyhow::bail!("serve arrives with the next merge")
}
