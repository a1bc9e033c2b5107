//! From start to end: signals, draining, and whoever owns a task.

use actix_web::dev::ServerHandle;
use anyhow::{Context as _, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::app::Gateway;

/// Runs a gateway until it is told to end. SIGTERM and SIGINT drain it; a second one ends it at once.
pub async fn run(gateway: Gateway) -> Result<()> {
    let mut signals = Signals::new()?;
    let hangups = actix_web::rt::spawn(ignore_hangups(signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?));
    let Gateway { public_server, admin_server, upstream_watch, drain, patience, access, traces, certificates, .. } = gateway;
    let upstream_watch = actix_web::rt::spawn(upstream_watch.run());
    let certificates = certificates.map(|watch| actix_web::rt::spawn(watch.run()));
    let (public, admin) = (public_server.handle(), admin_server.handle());
    let mut public_task = actix_web::rt::spawn(public_server);
    let admin_task = actix_web::rt::spawn(admin_server);
    tokio::select! {
        name = signals.next() => {
            log::info!("{name}: draining; not ready any more, connections are accepted for another {}", humantime::format_duration(patience.grace));
            drain.start();
        }
        // The server ends by itself only when a listener breaks.
        ended = &mut public_task => return ended.context("the server's task panicked")?.context("the server ended"),
    }
    let drained = async {
        tokio::time::sleep(patience.grace).await;
        log::info!("accepting no more connections; requests under way have {}", humantime::format_duration(patience.deadline));
        drain.end_streams();
        public.stop(true).await;
    };
    tokio::select! {
        () = drained => log::info!("drained"),
        name = signals.next() => {
            drop(access);
            anyhow::bail!("{name} again: ended at once, requests under way were cut");
        }
    }
    admin.stop(false).await;
    let _ = tokio::join!(public_task, admin_task);
    hangups.abort();
    upstream_watch.abort();
    if let Some(certificates) = certificates {
        certificates.abort();
    }
    drop(access);
    if let Some(traces) = traces {
        // It waits for the collector, a few seconds at most.
        let _ = tokio::task::spawn_blocking(move || traces.stop()).await;
    }
    Ok(())
}

/// SIGHUP would end the process without draining.
async fn ignore_hangups(mut hangup: Signal) {
    while hangup.recv().await.is_some() {
        log::warn!("SIGHUP: this version does not reload its configuration; restart the gateway to apply changes");
    }
}

/// Stops a server of the sandbox when the process is told to end.
pub async fn stop_on_signal(server: ServerHandle) {
    if let Ok(mut signals) = Signals::new() {
        signals.next().await;
        server.stop(false).await;
    }
}

/// The signals that end the process.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
