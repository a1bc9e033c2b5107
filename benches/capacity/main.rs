//! What a session costs: the coefficients of docs/capacity.md, measured.
//!
//! ```sh
//! cargo bench --bench capacity                # a million sessions of a million users
//! cargo bench --bench capacity -- 100000      # fewer
//! ```
//!
//! Starts a Redis of its own, fills it through the gateway's own store, and asks Redis what it
//! uses; then it counts the processor time that Redis spends on each kind of request, and the
//! gateway on a login. Memory is what `INFO` calls used_memory, less what the empty server used, so
//! everything counts: keys, values, tables, expiries. Processor time is that of the process, so it
//! does not matter what else the machine does.
#![expect(
    clippy::panic,
    reason = "a measurement that cannot be made ends by panicking"
)]

mod login;
mod memory;
mod processor;
mod server;
mod sessions;

use server::Redis;
use sessions::Sessions;

/// What design and docs promise for a session with all its keys, at a million.
const GOAL: f64 = 600.0;

fn main() {
    let count = std::env::args()
        .skip(1)
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(1_000_000);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("threads can be started");
    runtime.block_on(measure(count));
}

async fn measure(count: u64) {
    let redis = Redis::start();
    println!(
        "{}, {count} sessions of {count} users\n",
        redis.version().await
    );
    let sessions = Sessions::on(&redis);
    let per_session = memory::of_sessions(&redis, &sessions, count).await;
    processor::of_requests(&redis, &sessions, count).await;
    memory::of_tracked_keys(&redis, count).await;
    memory::of_second_sessions(&redis, &sessions, count).await;
    memory::of_login_codes(&redis, &sessions, count).await;
    drop(redis);
    login::processor_time().await;
    assert!(
        count < 1_000_000 || per_session <= GOAL,
        "{per_session:.0} bytes a session are more than {GOAL}"
    );
}

/// A line of the result.
fn told(what: &str, value: f64, unit: &str) {
    println!("{what:54} {value:9.1} {unit}");
}
