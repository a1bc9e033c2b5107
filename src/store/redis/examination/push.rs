//! How the near cache of a gateway would hear of changes.

use std::time::Duration;

use futures_util::StreamExt as _;
use redis::{Client, RedisResult, cmd};

use super::conversation::{Refusal, ask, connect};
use crate::diagnostic::Diagnostic;
use crate::redis_client::Server;
use crate::redis_client::pushing::{self, NoPush};
use crate::store::near_cache::NearCacheSettings;
use crate::store::push::{PushChoice, PushMode};
use crate::store::redis::announcement;
use crate::store::settings::KeyPrefix;

/// How long a message may take from `PUBLISH` to the subscription of the same login.
const MESSAGE: Duration = Duration::from_secs(2);

/// What a server offers: a way, or why there is none.
type Offered = Result<(), String>;

/// `None`: the gateway is to keep nothing.
pub(super) async fn check(
    server: &Server,
    near_cache: Option<&NearCacheSettings>,
    prefix: &KeyPrefix,
) -> RedisResult<Diagnostic> {
    let Some(settings) = near_cache else {
        return Ok(Diagnostic::note(
            "near cache",
            "off (session.near_cache): every lookup calls Redis",
            "",
        ));
    };
    let (choice, mut refused) = (settings.push, Vec::new());
    if choice != PushChoice::Pubsub {
        match tracking(server).await? {
            Ok(()) => return Ok(judged(choice, PushMode::Tracking, &refused)),
            Err(why) => refused.push(why),
        }
    }
    if choice != PushChoice::Tracking {
        match pubsub(server, prefix).await? {
            Ok(()) => return Ok(judged(choice, PushMode::Pubsub, &refused)),
            Err(why) => refused.push(why),
        }
    }
    Ok(judged(choice, PushMode::Off, &refused))
}

fn judged(choice: PushChoice, mode: PushMode, refused: &[String]) -> Diagnostic {
    let why = refused.join("; ");
    match mode {
        PushMode::Tracking => Diagnostic::ok(
            "near cache",
            "tracking: RESP3, and CLIENT TRACKING is allowed",
        ),
        PushMode::Pubsub if choice == PushChoice::Pubsub => Diagnostic::ok(
            "near cache",
            "pubsub, as session.near_cache.push sets: a message arrived",
        ),
        PushMode::Pubsub => Diagnostic::ok(
            "near cache",
            format!("pubsub, since tracking is not to be had ({why}): a message came through"),
        ),
        PushMode::Off => Diagnostic::warn(
            "near cache",
            format!("there is no way to learn of changes ({why}), so every lookup calls Redis"),
            "needs RESP3 and the right `+client|tracking`, or the rights `+subscribe +unsubscribe +publish` and the channels `&PREFIX:*`; \
             revocations hold at once all the same",
        ),
    }
}

async fn tracking(server: &Server) -> RedisResult<Offered> {
    // Another connection was answered a moment ago, so what goes wrong here has to do with these
    // commands.
    match pushing::open(server, &server.limits(), server.timeouts.connect).await {
        Ok(_) => Ok(Ok(())),
        Err(NoPush::Refused(code)) if code == "NOPERM" => {
            Ok(Err("no CLIENT TRACKING: the ACL user may not".to_owned()))
        }
        Err(NoPush::Refused(code)) => Ok(Err(format!("no RESP3 or no CLIENT TRACKING: {code}"))),
        Err(NoPush::Unclear(what, _)) => Ok(Err(format!("no CLIENT TRACKING: it {what}"))),
        Err(NoPush::Failed(error)) => Err(error),
    }
}

/// Sends a heartbeat and waits for it, as a gateway does before it keeps anything.
async fn pubsub(server: &Server, prefix: &KeyPrefix) -> RedisResult<Offered> {
    let channel = announcement::heartbeats(prefix, &[0; 16]);
    let mut connection = connect(server).await?;
    let client = Client::open(server.connection_info())?;
    let come_through = async {
        let mut subscription = client.get_async_pubsub().await?;
        subscription.subscribe(&channel).await?;
        if let Err(refusal) =
            ask::<u64>(&mut connection, cmd("PUBLISH").arg(&channel).arg("doctor")).await?
        {
            return Ok(Err(format!("no PUBLISH: {}", told(&refusal))));
        }
        let came = subscription.on_message().next().await.is_some();
        Ok(if came {
            Ok(())
        } else {
            Err("the subscription was closed".to_owned())
        })
    };
    match tokio::time::timeout(MESSAGE, come_through).await {
        Ok(Ok(offered)) => Ok(offered),
        Ok(Err(error)) => Ok(Err(match Refusal::of(&error) {
            Some(refusal) => format!("no SUBSCRIBE: {}", told(&refusal)),
            // The connection of before was answered.
            None if error.is_io_error() => "no SUBSCRIBE: the connection is closed".to_owned(),
            None => "no SUBSCRIBE: the answer is something else".to_owned(),
        })),
        Err(_) => Ok(Err("what is published does not arrive".to_owned())),
    }
}

fn told(refusal: &Refusal) -> String {
    if refusal.is_noperm() {
        "the ACL user may not".to_owned()
    } else {
        format!("{} {}", refusal.code, refusal.words)
    }
}
