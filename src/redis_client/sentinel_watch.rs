//! Listens to one sentinel for `+switch-master`. Without it a worker without requests would keep
//! its connection to a master that was frozen, and when that thaws as yesterday's master, read from
//! it once.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Client, PushInfo, PushKind, RedisError, Value};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use super::address::NodeAddress;
use super::error::ClientError;
use super::sentinel_ask::ask_master;
use super::server::Server;

/// How long to wait before the next round, when every sentinel has been tried.
const LISTEN_AFTER: Duration = Duration::from_secs(1);

const CHANNEL: &str = "+switch-master";

/// The task that listens; it ends with its owner, and with the runtime that it was started in.
#[derive(Debug, Default)]
pub(super) struct Listener(Option<JoinHandle<()>>);

impl Listener {
    /// Starts the task when there is none.
    pub(super) fn keep(&mut self, start: impl FnOnce() -> JoinHandle<()>) {
        if self.0.as_ref().is_none_or(JoinHandle::is_finished) {
            self.0 = Some(start());
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

/// Subscribes at the first sentinel that allows it, and at the next one when that ends: a worker
/// without requests learns of a new master in no other way. `on_change` gets the master's address,
/// or `None` when another server has taken its place.
pub(super) async fn listen(
    sentinels: Arc<[Server]>,
    name: Arc<str>,
    on_change: impl Fn(Option<&NodeAddress>),
) {
    loop {
        for sentinel in &*sentinels {
            // Calls go on without: they find a new master when the old one fails.
            if let Err(error) = listen_to(sentinel, &name, &on_change).await {
                log::debug!("{error}");
            }
        }
        tokio::time::sleep(LISTEN_AFTER).await;
    }
}

/// Listens to one sentinel until it ends.
async fn listen_to(
    sentinel: &Server,
    name: &str,
    on_change: impl Fn(Option<&NodeAddress>),
) -> Result<(), ClientError> {
    let (sender, announcements) = unbounded_channel();
    let connection = subscribed(sentinel, sender)
        .await
        .map_err(|error| sentinel.error(&error))?;
    follow(connection, announcements, sentinel, name, on_change).await
}

async fn subscribed(
    sentinel: &Server,
    sender: UnboundedSender<PushInfo>,
) -> Result<MultiplexedConnection, RedisError> {
    let client = Client::open(sentinel.resp3_connection_info())?;
    let mut connection = client
        .get_multiplexed_async_connection_with_config(&sentinel.limits().set_push_sender(sender))
        .await?;
    connection.subscribe(CHANNEL).await?;
    Ok(connection)
}

async fn follow(
    mut connection: MultiplexedConnection,
    mut announcements: UnboundedReceiver<PushInfo>,
    sentinel: &Server,
    name: &str,
    on_change: impl Fn(Option<&NodeAddress>),
) -> Result<(), ClientError> {
    // What was announced before the subscription.
    on_change(Some(&ask_master(&mut connection, sentinel, name).await?));
    while let Some(PushInfo { kind, data }) = announcements.recv().await {
        match kind {
            PushKind::Disconnection => return Ok(()),
            PushKind::Message if announces(&data, name) => on_change(None),
            _ => {}
        }
    }
    Ok(())
}

/// The message is "name old-host old-port new-host new-port".
fn announces(data: &[Value], name: &str) -> bool {
    let Some(Value::BulkString(message)) = data.last() else {
        return false;
    };
    message.split(|b| *b == b' ').next() == Some(name.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announcements_of_other_masters_are_not_ours() {
        let message = |text: &str| {
            vec![
                Value::BulkString(CHANNEL.as_bytes().to_vec()),
                Value::BulkString(text.as_bytes().to_vec()),
            ]
        };
        assert!(announces(&message("main 127.0.0.1 1 127.0.0.1 2"), "main"));
        assert!(!announces(
            &message("main2 127.0.0.1 1 127.0.0.1 2"),
            "main"
        ));
        assert!(!announces(&[], "main"));
    }
}
