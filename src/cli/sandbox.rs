//! `hufu sandbox`: the platforms' simulator alone.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use clap::Args;

use super::say;
use super::serve::{address, listener};
use crate::clock::SystemClock;
use crate::sandbox::{self, Platform, SandboxSettings};

/// Run WeChat's stand-in alone, for your own tests: it answers as api.weixin.qq.com does
///
/// Point apps.NAME.base_url at it. POST /sandbox/code makes login codes for users that you name.
#[derive(Debug, Args)]
pub(crate) struct SandboxArgs {
    /// Where it listens, such as 127.0.0.1:9001
    #[arg(long, value_name = "ADDR", value_parser = address)]
    pub(crate) listen: SocketAddr,
}

pub(crate) fn run(args: &SandboxArgs) -> Result<()> {
    let listener = listener(args.listen, "--listen")?;
    let address = listener.local_addr()?;
    actix_web::rt::System::new().block_on(async {
        let server = sandbox::serve(listener, Platform::new(SandboxSettings::default(), Arc::new(SystemClock)))?;
        say(&format!(
            "hufu sandbox: WeChat's stand-in on http://{address}\n\
             In hufu.toml, under the app:  base_url = \"http://{address}\"\n\
             A login code for the user alice:\n\
             curl -s http://{address}/sandbox/code -H 'Content-Type: application/json' -d '{{\"app\":\"wx0123456789abcdef\",\"user\":\"alice\"}}'\n\
             All endpoints: docs/sandbox.md. Ctrl-C ends it."
        ));
        let handle = server.handle();
        let ending = crate::lifecycle::stop_on_signal(handle);
        let (served, ()) = tokio::join!(server, ending);
        Ok(served?)
    })
}
