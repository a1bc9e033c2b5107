//! The command line, and what is examined.

use anyhow::{Context as _, Result, bail};
use clap::Args;
use futures_util::future::join_all;

use super::report::Report;
use super::{authorizers, listeners, upstreams};
use crate::app;
use crate::cli::{ConfigArg, counted, print};
use crate::clock::{Clock as _, SystemClock};
use crate::config::{Problem, Settings};
use crate::diagnostic::{DiagnosedSubject, Diagnostic, Verdict};
use crate::edge::certificate_check;
use crate::identity::OnFailure;
use crate::provider::client::PlatformClient;
use crate::provider::diagnostic;
use crate::store;

/// Validate a configuration and try everything in it: Redis, the platforms, the backends
///
/// It runs `hufu check` first. Then it connects with the gateway's own logins and prints one line
/// per check, with what to do. It writes nothing and consumes nothing. It can run beside a gateway.
///
/// Exit codes: 0 no line says FAIL, 1 at least one does, 2 wrong arguments or configuration.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Print the diagnostics as JSON instead of lines
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &DoctorArgs) -> Result<()> {
    let (settings, warnings) = Settings::load(&args.config.path)?;
    // A second client in the process finds it installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start")?;
    let diagnosed = runtime.block_on(diagnose(&settings, &warnings));
    // A name server that does not answer would hold up the end.
    runtime.shutdown_background();
    let report = Report(diagnosed?);
    print(&if args.json {
        report.json()
    } else {
        report.text()
    })?;
    match report.count(Verdict::Fail) {
        0 => Ok(()),
        failed => {
            let (failed, s) = counted(failed);
            bail!("{failed} check{s} failed")
        }
    }
}

/// Everything at once; the report is in the order of the configuration.
async fn diagnose(settings: &Settings, warnings: &[Problem]) -> Result<Vec<DiagnosedSubject>> {
    let store_settings = app::store_settings(settings)?;
    let client = PlatformClient::new(settings.platforms.clone())
        .context("cannot set up the client for the platforms")?;
    let apps = settings
        .apps
        .iter()
        .map(|app| diagnostic::diagnose(app, &client));
    let (store, apps, authorizers, upstreams) = tokio::join!(
        store::diagnose(&store_settings),
        join_all(apps),
        authorizers::diagnose(settings, &store_settings),
        join_all(
            settings
                .upstreams
                .iter()
                .map(|upstream| upstreams::diagnose(upstream, meanwhile(settings, &upstream.name)))
        )
    );
    let own = [
        configuration(warnings),
        listeners::diagnose(
            &settings.server.listen,
            settings.admin.listen,
            settings.platform_api.listen.as_ref(),
        ),
    ];
    let certificates = certificate_check::diagnose(
        &settings.server.tls,
        &app::hosts(&settings.routes),
        SystemClock.unix_now(),
    );
    Ok(own
        .into_iter()
        .chain(certificates)
        .chain(store)
        .chain(apps)
        .chain(authorizers)
        .chain(upstreams)
        .collect())
}

/// What happens to users as long as an upstream cannot be reached.
fn meanwhile(settings: &Settings, upstream: &str) -> &'static str {
    let mut routes = settings.routes.routes().iter();
    let mut backends = settings
        .pushes
        .iter()
        .filter_map(|push| push.backend.as_ref());
    let has_requests = routes.any(|route| *route.upstream.name == *upstream)
        || backends.any(|backend| *backend.upstream == *upstream);
    let hook = settings.login.hook.as_ref();
    let hook = hook.filter(|hook| *hook.upstream == *upstream);
    match (hook.map(|hook| hook.on_failure), has_requests) {
        (None, _) => "its requests get 502",
        (Some(OnFailure::Refuse), false) => "logins get 503 login_hook_failed",
        (Some(OnFailure::Refuse), true) => {
            "its requests get 502, and logins get 503 login_hook_failed"
        }
        (Some(OnFailure::Allow), false) => "logins go on without the hook's claims",
        (Some(OnFailure::Allow), true) => {
            "its requests get 502, and logins go on without the hook's claims"
        }
    }
}

/// What `check` says.
fn configuration(warnings: &[Problem]) -> DiagnosedSubject {
    let mut diagnostics = vec![Diagnostic::ok("check", "it can be used")];
    // What is odd about certificates has lines of its own.
    diagnostics.extend(
        warnings
            .iter()
            .filter(|warning| warning.path != "server.tls")
            .map(|warning| {
                let key = if warning.path.is_empty() {
                    &warning.file
                } else {
                    &warning.path
                };
                Diagnostic::warn(
                    "check",
                    format!("{key}: {}", warning.what),
                    warning.hint.clone(),
                )
            }),
    );
    DiagnosedSubject {
        subject: "configuration".to_owned(),
        diagnostics,
    }
}
