//! How the near cache of a gateway would learn of changes.

use std::time::Duration;

use futures_util::StreamExt as _;
use redis::{RedisResult, cmd};

use super::conversation::{ServerRefusal, ask};
use crate::diagnostic::Diagnostic;
use crate::redis_client::tracked_connection::{self, NoTracking};
use crate::redis_client::{Server, opening};
use crate::store::near_cache::NearCacheSettings;
use crate::store::near_cache::invalidation::{InvalidationChoice, InvalidationMode};
use crate::store::redis::invalidation::announcement;
use crate::store::settings::KeyPrefix;

/// How long a message may take from `PUBLISH` to the subscription of the same login.
const MESSAGE: Duration = Duration::from_secs(5);

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
    if choice != InvalidationChoice::Pubsub {
        match tracking(server).await? {
            Ok(()) => return Ok(judged(choice, InvalidationMode::Tracking, &refused)),
            Err(why) => refused.push(why),
        }
    }
    if choice != InvalidationChoice::Tracking {
        match pubsub(server, prefix).await? {
            Ok(()) => return Ok(judged(choice, InvalidationMode::Pubsub, &refused)),
            Err(why) => refused.push(why),
        }
    }
    Ok(judged(choice, InvalidationMode::Off, &refused))
}

fn judged(choice: InvalidationChoice, mode: InvalidationMode, refused: &[String]) -> Diagnostic {
    let why = refused.join("; ");
    match mode {
        InvalidationMode::Tracking => Diagnostic::ok(
            "near cache",
            "tracking: RESP3, and CLIENT TRACKING is allowed",
        ),
        InvalidationMode::Pubsub if choice == InvalidationChoice::Pubsub => Diagnostic::ok(
            "near cache",
            "pubsub, as session.near_cache.push sets: a message arrived",
        ),
        InvalidationMode::Pubsub => Diagnostic::ok(
            "near cache",
            format!("pubsub, since tracking is not to be had ({why}): a message came through"),
        ),
        InvalidationMode::Off => Diagnostic::warn(
            "near cache",
            format!("there is no way to learn of changes ({why}), so every lookup calls Redis"),
            "needs RESP3 and the right `+client|tracking`, or the rights `+subscribe +unsubscribe +publish` and the channels `&PREFIX:*`; \
             revocations hold at once all the same",
        ),
    }
}

async fn tracking(server: &Server) -> RedisResult<Offered> {
    // The server has answered on another connection a moment ago. So an error here comes from these
    // commands.
    match tracked_connection::open(server, &server.limits(), server.timeouts.connect).await {
        Ok(_) => Ok(Ok(())),
        Err(NoTracking::Refused(code)) if code == "NOPERM" => {
            Ok(Err("no CLIENT TRACKING: the ACL user may not".to_owned()))
        }
        Err(NoTracking::Refused(code)) => {
            Ok(Err(format!("no RESP3 or no CLIENT TRACKING: {code}")))
        }
        Err(NoTracking::Unclear(what, _)) => Ok(Err(format!("no CLIENT TRACKING: it {what}"))),
        Err(NoTracking::Failed(error)) => Err(error),
    }
}

/// Sends a heartbeat and waits for it, as a gateway does before it keeps anything.
async fn pubsub(server: &Server, prefix: &KeyPrefix) -> RedisResult<Offered> {
    let channel = announcement::heartbeats(prefix, &[0; 16]);
    let mut connection = opening::open(server).await?;
    let come_through = async {
        let mut subscription = opening::subscribe(server, &[&channel]).await?;
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
        Ok(Err(error)) => Ok(Err(match ServerRefusal::of(&error) {
            Some(refusal) => format!("no SUBSCRIBE: {}", told(&refusal)),
            // The server has just answered on the other connection.
            None if error.is_io_error() => "no SUBSCRIBE: the connection is closed".to_owned(),
            None => "no SUBSCRIBE: the answer is something else".to_owned(),
        })),
        Err(_) => Ok(Err("what is published does not arrive".to_owned())),
    }
}

fn told(refusal: &ServerRefusal) -> String {
    if refusal.is_noperm() {
        "the ACL user may not".to_owned()
    } else {
        format!("{} {}", refusal.code, refusal.words)
    }
}
