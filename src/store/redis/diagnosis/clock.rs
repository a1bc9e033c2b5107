//! Whether the server's clock and this machine's agree.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{RedisResult, cmd};

use super::conversation::ask_timed;
use crate::clock::{Clock as _, SystemClock, millis};
use crate::diagnostic::Diagnostic;
use crate::store::redis::invalidation::server_clock::store_time;

/// A larger difference shows in logs that are read side by side.
const APART: Duration = Duration::from_secs(1);
const HARMLESS: &str = "sessions end by Redis's clock alone, so nobody is signed out; but log lines of the two do not fit together, and signed \
                        identities (JWT) look too old or too new: run NTP on both";

pub(super) async fn check(connection: &mut MultiplexedConnection) -> RedisResult<Diagnostic> {
    let before = SystemClock.unix_now();
    let (said, took) = ask_timed::<(u64, u64)>(connection, &cmd("TIME")).await?;
    let Ok(time) = said else {
        return Ok(Diagnostic::note(
            "clock",
            "TIME is not allowed, so its clock cannot be seen",
            "",
        ));
    };
    // The server read its clock at some moment of the round trip. The middle of the round trip is
    // wrong by half of it at most.
    let (here, there) = (before.plus(took / 2), store_time(time));
    Ok(judged(
        here.since(there).max(there.since(here)),
        there > here,
        took,
    ))
}

fn judged(apart: Duration, ahead: bool, round_trip: Duration) -> Diagnostic {
    if apart.saturating_sub(round_trip / 2) > APART {
        let (seconds, which) = (
            apart.as_secs_f64(),
            if ahead { "ahead of" } else { "behind" },
        );
        return Diagnostic::warn(
            "clock",
            format!("{seconds:.1} s {which} this machine's"),
            HARMLESS,
        );
    }
    Diagnostic::ok("clock", format!("{} ms from this machine's", millis(apart)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Verdict;

    #[test]
    fn a_slow_answer_is_no_wrong_clock() {
        let second = Duration::from_secs(1);
        assert_eq!(
            judged(second * 3, true, Duration::ZERO).verdict,
            Verdict::Warn
        );
        assert!(
            judged(second * 3, false, Duration::ZERO)
                .seen
                .starts_with("3.0 s behind")
        );
        assert_eq!(judged(second * 3, true, second * 5).verdict, Verdict::Ok);
        assert_eq!(judged(second, true, Duration::ZERO).verdict, Verdict::Ok);
    }
}
