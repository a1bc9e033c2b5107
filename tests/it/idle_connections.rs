//! Many connections that rest, and more than the process may open.

use futures_util::future::join_all;
use hufu::clock::monotonic_now;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::helpers::gateway::{Gateway, Setup};
use crate::helpers::servers::http;
use crate::helpers::wait::until;

const MANY: usize = 10_000;
/// Connections that are opened at a time; the listener's queue takes a thousand.
const AT_ONCE: usize = 250;
const ASK: &[u8] = b"GET /auth/healthz HTTP/1.1\r\nHost: x\r\n\r\n";

/// Asks on a connection and leaves it open.
async fn ask(stream: &mut TcpStream) {
    stream.write_all(ASK).await.unwrap();
    let (mut seen, mut buf) = (Vec::new(), [0; 512]);
    while !seen.ends_with(b"\r\n\r\nok") {
        let n = stream.read(&mut buf).await.unwrap();
        assert_ne!(n, 0, "closed: {}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&buf[..n]);
    }
}

#[tokio::test]
async fn ten_thousand_connections_may_rest() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    if hard < MANY as u64 + 2000 {
        println!("left out: at most {hard} files can be open here; raise the limit (ulimit -Hn) to {}", MANY + 2000);
        return;
    }
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    let gateway = Gateway::with(&Setup { config: "server.keep_alive = \"10m\"\n".to_owned(), ..Setup::default() });
    assert!(gateway.stderr().contains(&format!("at most {hard} files and connections can be open")), "{}", gateway.stderr());
    ask(&mut TcpStream::connect(gateway.listen).await.unwrap()).await;
    let before = gateway.resident_kib();
    let mut all = Vec::with_capacity(MANY);
    while all.len() < MANY {
        let more = (0..AT_ONCE).map(|_| async {
            let mut stream = TcpStream::connect(gateway.listen).await.unwrap();
            ask(&mut stream).await;
            stream
        });
        all.extend(join_all(more).await);
    }
    until("all of them to be counted", async || (gateway.counted("hufu_connections_open").await == MANY as u64).then_some(())).await;
    let grown = gateway.resident_kib().saturating_sub(before);
    println!("{MANY} resting connections take {grown} KiB, {} bytes each", grown * 1024 / MANY as u64);
    for stream in all.iter_mut().step_by(97) {
        ask(stream).await;
    }
    ask(&mut TcpStream::connect(gateway.listen).await.unwrap()).await;
    drop(all);
    until("all of them to be gone", async || (gateway.counted("hufu_connections_open").await == 0).then_some(())).await;
}

#[tokio::test]
async fn without_descriptors_it_waits_and_goes_on_when_there_are_some() {
    const LIMIT: usize = 100;
    let gateway = Gateway::with_descriptors(&Setup::default(), u32::try_from(LIMIT).unwrap());
    let mut first = TcpStream::connect(gateway.listen).await.unwrap();
    ask(&mut first).await;
    let mut others = Vec::new();
    for _ in 0..2 * LIMIT {
        others.push(TcpStream::connect(gateway.listen).await.unwrap());
    }
    let told = || gateway.stderr().lines().filter(|line| line.contains("Too many open files")).count();
    until("it to be told", async || (told() > 0).then_some(())).await;
    // One failed accept is one line, so the lines count the attempts. A loaded machine only makes fewer of them in a span that begins
    // before the first count and ends behind the last.
    let (since, ticks, lines) = (monotonic_now(), gateway.ticks(), told());
    until("it to be told again", async || (told() > lines + 2).then_some(())).await;
    let (said, used, took) = (told() - lines, gateway.ticks() - ticks, since.elapsed());
    println!("without descriptors for {took:?}: {said} lines, {used} ticks of 10 ms");
    assert!(said as u128 <= took.as_millis() / 200 + 1, "{said} attempts in {took:?}: it does not wait");
    ask(&mut first).await;
    drop(others);
    until("it to accept again", async || Some(http().get(gateway.at("/auth/healthz")).send().await.ok()?.status()).filter(|status| *status == 200)).await;
    ask(&mut first).await;
    let log = gateway.stderr();
    assert!(!log.contains("panic"), "{log}");
}
