//! Listens to one sentinel for `+switch-master`. Without it a worker without requests would keep its connection to a master
//! that was frozen, and when that thaws as yesterday's master, read from it once.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{Client, PushInfo, PushKind, RedisError, Value};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use super::sentinel::{Known, ask_master};
use super::server::Server;
use crate::clock::monotonic_now;
use crate::session::StoreError;

/// How long to wait before listening again after no sentinel could be listened to.
const LISTEN_AFTER: Duration = Duration::from_secs(1);

const CHANNEL: &str = "+switch-master";

/// The task that listens; it ends when its sentinel does, and with its owner.
#[derive(Debug, Default)]
pub(super) struct Listener(Option<(Instant, JoinHandle<()>)>);

impl Listener {
    /// Starts the task when there is none, in the runtime of the worker that calls.
    pub(super) fn keep<F: Future<Output = ()> + Send + 'static>(&mut self, listen: impl FnOnce() -> F) {
        let rests = self.0.as_ref().is_some_and(|(since, task)| !task.is_finished() || since.elapsed() < LISTEN_AFTER);
        if !rests {
            self.0 = Some((monotonic_now(), tokio::spawn(listen())));
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some((_, task)) = &self.0 {
            task.abort();
        }
    }
}

/// Listens to the first sentinel that can be listened to, and forgets the master when it is replaced.
pub(super) async fn listen(sentinels: Arc<[Server]>, name: Arc<str>, known: Arc<Mutex<Known>>) {
    for sentinel in &*sentinels {
        let (sender, announcements) = unbounded_channel();
        match subscribed(sentinel, sender).await {
            // Calls go on without: they find a new master when the old one fails.
            Err(error) => log::debug!("{}", sentinel.error(&error)),
            Ok(connection) => {
                if let Err(error) = follow(connection, announcements, sentinel, &name, &known).await {
                    log::debug!("{error}");
                }
                return;
            }
        }
    }
}

async fn subscribed(sentinel: &Server, sender: UnboundedSender<PushInfo>) -> Result<MultiplexedConnection, RedisError> {
    let client = Client::open(sentinel.pushing_connection_info())?;
    let mut connection = client.get_multiplexed_async_connection_with_config(&sentinel.limits().set_push_sender(sender)).await?;
    connection.subscribe(CHANNEL).await?;
    Ok(connection)
}

async fn follow(
    mut connection: MultiplexedConnection,
    mut announcements: UnboundedReceiver<PushInfo>,
    sentinel: &Server,
    name: &str,
    known: &Mutex<Known>,
) -> Result<(), StoreError> {
    // What was announced while nobody listened.
    let now = ask_master(&mut connection, sentinel, name).await?;
    forget_unless(known, |known| known.to_string() == now.to_string());
    while let Some(PushInfo { kind, data }) = announcements.recv().await {
        match kind {
            PushKind::Disconnection => return Ok(()),
            PushKind::Message if announces(&data, name) => forget_unless(known, |_| false),
            _ => {}
        }
    }
    Ok(())
}

fn forget_unless(known: &Mutex<Known>, same: impl Fn(&crate::store::url::NodeAddress) -> bool) {
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(master) = &known.master
        && !same(master.address())
    {
        log::info!("redis {}: the sentinels announce another master", master.address());
        known.master = None;
    }
}

/// The message is "name old-host old-port new-host new-port".
fn announces(data: &[Value], name: &str) -> bool {
    let Some(Value::BulkString(message)) = data.last() else { return false };
    message.split(|b| *b == b' ').next() == Some(name.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announcements_of_other_masters_are_not_ours() {
        let message = |text: &str| vec![Value::BulkString(CHANNEL.as_bytes().to_vec()), Value::BulkString(text.as_bytes().to_vec())];
        assert!(announces(&message("main 127.0.0.1 1 127.0.0.1 2"), "main"));
        assert!(!announces(&message("main2 127.0.0.1 1 127.0.0.1 2"), "main"));
        assert!(!announces(&[], "main"));
    }
}
