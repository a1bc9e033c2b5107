//! From start to end: signals, draining, and whoever owns a task.

use std::pin::pin;

use actix_web::dev::{Server, ServerHandle};
use anyhow::{Context as _, Result};
use futures_util::future::join_all;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::app::{DrainTimeouts, Gateway, Reloader};
use crate::edge::{CertificateWatch, SocketFile};
use crate::http::Drain;

/// Runs a gateway until it is told to end. SIGTERM, SIGINT and SIGQUIT drain it; a second one ends
/// it at once. SIGHUP reads its configuration again. SIGUSR1 and SIGUSR2 do nothing.
pub async fn run(gateway: Gateway) -> Result<()> {
    let mut signals = Signals::new()?;
    let Gateway {
        public_server,
        admin_server,
        platform_api_server,
        socket_files,
        reloader,
        drain,
        drain_timeouts,
        access,
        traces,
        certificates,
        ..
    } = gateway;
    let background = start_background(reloader, certificates)?;
    let admin = admin_server.handle();
    let mut served = vec![public_server.handle()];
    let platform_api = platform_api_server.map(|server| {
        served.push(server.handle());
        actix_web::rt::spawn(server)
    });
    let mut public_task = actix_web::rt::spawn(public_server);
    let admin_task = actix_web::rt::spawn(admin_server);
    tokio::select! {
        name = signals.next() => {
            log::info!("{name}: draining; /readyz fails, new connections are accepted for another {}; a second signal stops the gateway at once", humantime::format_duration(drain_timeouts.grace));
            drain.start();
        }
        // The server ends by itself only when a listener breaks.
        ended = &mut public_task => return ended.context("the server's task panicked")?.context("the server ended"),
    }
    tokio::select! {
        () = stop(&served, socket_files, &drain, drain_timeouts) => match drain.cut_requests() {
            0 => log::info!("drained"),
            cut => log::warn!("drained; {cut} requests were cut at server.drain_deadline"),
        },
        name = signals.next() => {
            drop(access);
            anyhow::bail!("second {name}: stopped at once, requests in flight were cut");
        }
    }
    admin.stop(false).await;
    let _ = tokio::join!(public_task, admin_task);
    if let Some(platform_api) = platform_api {
        let _ = platform_api.await;
    }
    background.iter().for_each(JoinHandle::abort);
    drop(access);
    if let Some(traces) = traces {
        // It waits for the collector, a few seconds at most.
        let _ = tokio::task::spawn_blocking(move || traces.stop()).await;
    }
    Ok(())
}

/// Starts what runs beside the servers and never ends by itself.
fn start_background(
    mut reloader: Reloader,
    certificates: Vec<CertificateWatch>,
) -> Result<Vec<JoinHandle<()>>> {
    let hangups = listen(SignalKind::hangup())?;
    let ignored = ignore(
        listen(SignalKind::user_defined1())?,
        listen(SignalKind::user_defined2())?,
    );
    reloader.watch();
    let mut tasks = vec![
        actix_web::rt::spawn(reload_on(hangups, reloader)),
        actix_web::rt::spawn(ignored),
    ];
    let watches = certificates.into_iter().map(|watch| watch.run());
    tasks.extend(watches.map(actix_web::rt::spawn));
    Ok(tasks)
}

/// Stops the servers of clients and backends: requests in flight have their time, and what is left is cut.
async fn stop(
    servers: &[ServerHandle],
    socket_files: Vec<SocketFile>,
    drain: &Drain,
    timeouts: DrainTimeouts,
) {
    tokio::time::sleep(timeouts.grace).await;
    log::info!(
        "no longer accepting connections; requests in flight have {} to finish",
        humantime::format_duration(timeouts.deadline)
    );
    drain.end_streams();
    // While it still listens: another gateway that starts on the same path finds it in use, or not
    // there.
    drop(socket_files);
    let mut stopped = pin!(join_all(servers.iter().map(|server| server.stop(true))));
    if timeout(timeouts.deadline, &mut stopped).await.is_err() {
        drain.cut();
        stopped.await;
    }
}

/// Raises the limit of open files to the highest that this process may set: every connection takes
/// one, of a client and to an upstream, and what shells and service managers begin with is a
/// thousand. The limit that holds now; `None`: it cannot be told.
pub fn raise_descriptor_limit() -> Option<u64> {
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map(|()| (soft, hard))
    });
    match raised {
        Ok((soft, hard)) if soft < hard => {
            log::info!("at most {hard} files and connections can be open; the limit was {soft}");
        }
        Ok((_, hard)) => log::info!("at most {hard} files and connections can be open"),
        Err(error) => log::warn!("cannot raise the limit of open files: {error}"),
    }
    raised.ok().map(|(_, hard)| hard)
}

/// Reads the configuration again at each SIGHUP. Several that come during one reading make one
/// more.
async fn reload_on(mut hangup: Signal, mut reloader: Reloader) {
    while hangup.recv().await.is_some() {
        log::info!("SIGHUP: reloading the configuration");
        reloader.reload().await;
    }
}

/// What rotates logs tells servers by these signals to open their files anew (nginx: SIGUSR1).
/// Unheard, they would end the process.
async fn ignore(mut first: Signal, mut second: Signal) {
    loop {
        let name = tokio::select! {
            _ = first.recv() => "SIGUSR1",
            _ = second.recv() => "SIGUSR2",
        };
        log::info!(
            "{name} ignored: the gateway logs to standard output and error, so it has no log files to reopen"
        );
    }
}

/// Runs a server of the sandbox until the process is told to end.
pub async fn run_until_signal(server: Server) -> std::io::Result<()> {
    let handle = server.handle();
    let ending = async {
        if let Ok(mut signals) = Signals::new() {
            signals.next().await;
            handle.stop(false).await;
        }
    };
    tokio::join!(server, ending).0
}

/// The signals that end the process.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            quit: listen(SignalKind::quit())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.quit.recv() => "SIGQUIT",
        }
    }
}

fn listen(kind: SignalKind) -> Result<Signal> {
    signal(kind).context("cannot listen for signals")
}
