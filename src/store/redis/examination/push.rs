//! How the near cache of a gateway would hear of changes.

use redis::aio::MultiplexedConnection;
use redis::{RedisResult, cmd};

use super::conversation::{Refusal, ask, connect};
use crate::finding::Finding;
use crate::store::redis::server::Server;

/// How a server tells what has changed.
#[derive(Debug, PartialEq, Eq)]
enum PushMode {
    /// It pushes by itself, on the connection that has read.
    Tracking,
    /// It cannot: the reason.
    None(String),
}

/// `near_cache`: whether the gateway is to keep sessions at all.
pub(super) async fn check(server: &Server, near_cache: bool) -> RedisResult<Finding> {
    if !near_cache {
        return Ok(Finding::note("near cache", "off (session.near_cache): every lookup asks Redis", ""));
    }
    Ok(judged(probe(server).await?))
}

fn judged(mode: PushMode) -> Finding {
    match mode {
        PushMode::Tracking => Finding::ok("near cache", "tracking: RESP3, and CLIENT TRACKING is allowed"),
        PushMode::None(why) => Finding::warn(
            "near cache",
            format!("nothing is pushed ({why}), so every lookup asks Redis"),
            "needs Redis 6.2 with RESP3 and the right `+client|tracking`; revocations hold at once all the same",
        ),
    }
}

async fn probe(server: &Server) -> RedisResult<PushMode> {
    // HELLO 3 is what this connection begins with.
    let mut connection: MultiplexedConnection = match connect(server, server.pushing_connection_info()).await {
        Ok(connection) => connection,
        // The login has worked a moment ago, so what is not the network's fault is that of the protocol.
        Err(error) if error.is_io_error() || error.is_timeout() || error.is_connection_dropped() => return Err(error),
        Err(_) => return Ok(PushMode::None("no RESP3".to_owned())),
    };
    let said = ask::<()>(&mut connection, cmd("CLIENT").arg("TRACKING").arg("ON")).await?;
    Ok(said.map_or_else(|refusal| PushMode::None(format!("no CLIENT TRACKING: {}", told(&refusal))), |()| PushMode::Tracking))
}

fn told(refusal: &Refusal) -> String {
    if refusal.is_noperm() { "the ACL user may not".to_owned() } else { format!("{} {}", refusal.code, refusal.words) }
}
