//! Reloads the configuration, and replaces what was made from it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio::sync::watch;

use super::process_state::ProcessState;
use super::push_watch::PushWatch;
use super::reloadable::Reloadable;
use crate::clock::{Clock as _, SystemClock};
use crate::config::{ConfigError, Settings};
use crate::edge::ConfigGeneration;
use crate::http::TrustedProxies;
use crate::identity::Apps;
use crate::platform_api::Clients;
use crate::proxy::watch::UpstreamWatch;

/// How long it is waited for the workers before it is said that they have the new configuration.
/// They take it between two requests.
const TAKING: Duration = Duration::from_secs(5);

/// Said of a reading that found nothing new.
const UNCHANGED: &str = "; nothing has changed in the file, .env and the secret files since the last load: if you edited one, this process reads another file (in a container mount the folder, not the file)";

/// Holds the current configuration, and publishes each new one.
pub struct Reloader {
    file: Option<PathBuf>,
    process: Arc<ProcessState>,
    workers: usize,
    pub(super) generations: watch::Sender<Arc<ConfigGeneration<Reloadable>>>,
    pub(super) apps: watch::Sender<Arc<Apps>>,
    pub(super) clients: watch::Sender<Arc<Clients>>,
    pub(super) trusted: watch::Sender<Arc<TrustedProxies>>,
    upstream_watch: UpstreamWatch,
    push_watch: PushWatch,
}

impl Reloader {
    /// The first reading, of `file` if it came out of one.
    pub(super) fn new(
        first: Reloadable,
        file: Option<PathBuf>,
        process: Arc<ProcessState>,
        workers: usize,
    ) -> Self {
        let apps = watch::Sender::new(first.apps.clone());
        let clients = watch::Sender::new(first.clients.clone());
        let trusted = watch::Sender::new(first.trusted.clone());
        let (generation, _) = ConfigGeneration::new(first);
        process
            .metrics
            .process
            .configuration_read(SystemClock.unix_now().0 / 1000);
        Self {
            file,
            process,
            workers,
            generations: watch::Sender::new(generation),
            apps,
            clients,
            trusted,
            upstream_watch: UpstreamWatch::default(),
            push_watch: PushWatch::default(),
        }
    }

    /// Begins with the health checks, the look-ups of names and the deliveries of kept messages.
    /// They end when this is dropped.
    pub fn watch(&mut self) {
        let current = self.generations.borrow().clone();
        self.upstream_watch.follow(&current.content.upstreams);
        self.push_watch.follow(&current.content, &self.process);
    }

    /// Reads the file again. One with problems changes nothing.
    pub async fn reload(&mut self) {
        let Some(file) = self.file.clone() else {
            log::warn!("no configuration file to reload");
            return;
        };
        // Files are read, and may be on a slow disk.
        let read = tokio::task::spawn_blocking(move || Settings::load(&file)).await;
        let applied = match read {
            Ok(Ok((settings, warnings))) => {
                warnings.iter().for_each(|warning| log::warn!("{warning}"));
                self.apply(settings).await
            }
            Ok(Err(ConfigError { problems })) => {
                problems.iter().for_each(|problem| log::error!("{problem}"));
                Err(anyhow::anyhow!("problems in the file: {}", problems.len()))
            }
            Err(lost) => Err(lost.into()),
        };
        match applied {
            Ok(()) => {
                self.process.metrics.process.reload("applied");
                self.process
                    .metrics
                    .process
                    .configuration_read(SystemClock.unix_now().0 / 1000);
            }
            Err(why) => {
                self.process.metrics.process.reload("refused");
                log::error!("reload failed, the previous configuration stays in use: {why:#}");
            }
        }
    }

    async fn apply(&mut self, settings: Settings) -> Result<()> {
        let same = self.generations.borrow().content.settings.source == settings.source;
        let unchangeable = self.process.settings.unchangeable(&settings);
        let before = self.generations.borrow().clone();
        let next = Reloadable::new(Arc::new(settings), Some(&before.content), &self.process)?;
        let apps = next.apps.clone();
        let clients = next.clients.clone();
        let trusted = next.trusted.clone();
        let upstreams = next.upstreams.clone();
        let summary = format!(
            "apps: {}, upstreams: {}, routes: {}",
            next.settings.apps.len(),
            upstreams.len(),
            next.settings.routes.routes().len()
        );
        self.upstream_watch.follow(&upstreams);
        self.push_watch.follow(&next, &self.process);
        let (generation, mut taken) = ConfigGeneration::new(next);
        self.trusted.send_replace(trusted);
        self.apps.send_replace(apps);
        self.clients.send_replace(clients);
        self.generations.send_replace(generation);
        let all = async {
            for _ in 0..self.workers {
                let _ = taken.recv().await;
            }
        };
        if tokio::time::timeout(TAKING, all).await.is_err() {
            log::warn!("some workers have not taken over the new configuration yet");
        }
        for old in &before.content.upstreams {
            if !upstreams.iter().any(|upstream| Arc::ptr_eq(upstream, old)) {
                old.retire(&upstreams);
            }
        }
        if !unchangeable.is_empty() {
            log::warn!(
                "changes of these keys need a restart; until then the old values apply: {}",
                unchangeable.join(", ")
            );
        }
        log::info!(
            "configuration reloaded: {summary}{}",
            if same { UNCHANGED } else { "" }
        );
        Ok(())
    }
}
