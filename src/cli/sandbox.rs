//! `hufu sandbox`: the platforms' simulator alone.

use std::net::SocketAddr;

use clap::Args;

/// Run WeChat's stand-in alone, for your own tests: it answers as api.weixin.qq.com does
///
/// Point apps.NAME.base_url at it. POST /sandbox/code makes login codes for users that you name.
#[derive(Debug, Args)]
pub(crate) struct SandboxArgs {
    /// Where it listens, such as 127.0.0.1:9001
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: SocketAddr,
}

pub(crate) fn run(args: &SandboxArgs) -> anyhow::Result<()> {
    anyhow::bail!("sandbox (on {}) arrives with the next merge", args.listen)
}
