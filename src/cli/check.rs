//! `hufu check`: reads and validates a configuration, and does nothing else.

use clap::Args;

use super::ConfigArg;
use crate::config::Settings;
use crate::store::{RedisServers, StoreUrl};

/// Validate a configuration: every problem at once, each with its line, its key and a hint
///
/// It connects to nothing and starts nothing. Warnings do not prevent a start. With problems the
/// exit code is 2.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Print the settings in force as TOML: every key with its value, secrets hidden
    #[arg(long)]
    print: bool,
}

pub(crate) fn run(args: &CheckArgs) -> anyhow::Result<()> {
    let (settings, warnings) = Settings::load(&args.config.path)?;
    super::warn(&warnings);
    if args.print {
        super::print(&settings.effective.to_string())?;
    }
    super::say(&format!(
        "{}: ok: {}",
        args.config.path.display(),
        summary(&settings)
    ));
    Ok(())
}

fn summary(settings: &Settings) -> String {
    let count = |count: usize, word: &str| {
        let (count, s) = super::counted(count);
        format!("{count} {word}{s}")
    };
    let store = match &settings.store.url {
        StoreUrl::Memory => "sessions in memory".to_owned(),
        StoreUrl::Redis(redis) => match &redis.servers {
            RedisServers::One { at, .. } => format!("sessions in Redis at {at}"),
            RedisServers::Sentinel {
                sentinels, master, ..
            } => format!(
                "sessions in Redis, master {master} of {}",
                count(sentinels.len(), "sentinel")
            ),
            RedisServers::Cluster { nodes } => format!(
                "sessions in a Redis cluster, found over {}",
                count(nodes.len(), "node")
            ),
        },
    };
    let apps = count(settings.apps.len(), "app");
    let upstreams = count(settings.upstreams.len(), "upstream");
    format!(
        "{apps}, {upstreams}, {}, {store}",
        count(settings.routes.routes().len(), "route")
    )
}
