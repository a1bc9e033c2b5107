//! One line per request. Lines are collected in memory and written by a thread of their own, so
//! that a request costs no system call and a slow output slows no request: when the output does not
//! keep up, lines are dropped and counted.

use std::fmt::Write as _;
use std::io::Write;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use prometheus_client::metrics::counter::Counter;

use crate::clock::UnixMillis;

/// How long a line waits for others, and how many bytes of them: what is written soon is still in
/// the processor's cache.
const BATCH: (Duration, usize) = (Duration::from_millis(100), 256 * 1024);
/// How long the last batch may take when the process ends.
const LAST_WRITE: Duration = Duration::from_secs(1);
/// Lines that wait, in bytes; more are dropped.
const MAX_WAITING: usize = 8 << 20;

/// The form of access lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineFormat {
    /// One JSON object.
    Json,
    /// For people.
    Text,
}

/// A request that is over, as its access line and its spans show it.
#[derive(Debug)]
pub struct FinishedRequest<'a> {
    /// When the request's head had been read.
    pub time: UnixMillis,
    pub request_id: &'a str,
    /// The W3C trace id.
    pub trace_id: &'a str,
    pub method: &'a str,
    /// The path without the query: tokens may stand in queries.
    pub path: &'a str,
    /// The route's path, or the name of the gateway's own endpoint.
    pub route: &'a str,
    /// The status that the client got; 499 when it left before.
    pub status: u16,
    /// The error code, where the gateway itself answered with one.
    pub error: Option<&'a str>,
    /// What of several things the error was.
    pub reason: Option<&'a str>,
    /// Body bytes that went to the client.
    pub bytes: u64,
    /// Bytes that came from the client through a WebSocket.
    pub received: Option<u64>,
    /// From the head to the last byte of the answer.
    pub took: Duration,
    /// From the request's head to the request to the upstream.
    pub upstream_after: Option<Duration>,
    /// From the request to the upstream until its answer's head.
    pub upstream_took: Option<Duration>,
    /// The upstream's endpoint that it went to last.
    pub endpoint: Option<&'a str>,
    /// How many endpoints it went to; shown where it is more than one.
    pub attempts: usize,
    /// The session's public id.
    pub session: Option<&'a str>,
    pub app: Option<&'a str>,
    /// The client's address.
    pub client: &'a str,
}

#[derive(Debug)]
struct LineQueue {
    lines: Mutex<Lines>,
    /// Told when there are enough lines for a batch, and when no more will come.
    enough: Condvar,
    dropped: Counter,
}

/// Lines that wait, and the last second that was written out: all lines of a second begin alike.
#[derive(Debug, Default)]
struct Lines {
    text: String,
    second: u64,
    stamp: String,
    /// No more will come.
    ended: bool,
}

/// Takes access lines from all workers.
#[derive(Debug, Clone)]
pub struct AccessLog {
    queue: Arc<LineQueue>,
    format: LineFormat,
}

/// Writes what waits when dropped, and ends the writing thread.
#[derive(Debug)]
pub struct AccessLogGuard {
    queue: Arc<LineQueue>,
    ended: mpsc::Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

impl AccessLog {
    /// A log that writes to `out`. Keep the guard until no more requests come.
    pub fn start(
        format: LineFormat,
        out: impl Write + Send + 'static,
        dropped: Counter,
    ) -> std::io::Result<(Self, AccessLogGuard)> {
        let queue = Arc::new(LineQueue {
            lines: Mutex::default(),
            enough: Condvar::new(),
            dropped,
        });
        let (end, ended) = mpsc::channel::<()>();
        let source = queue.clone();
        let thread = std::thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || {
                write_batches(&source, out);
                drop(end);
            })?;
        Ok((
            Self {
                queue: queue.clone(),
                format,
            },
            AccessLogGuard {
                queue,
                ended,
                thread: Some(thread),
            },
        ))
    }

    /// Takes the line of a request.
    pub fn record(&self, request: &FinishedRequest<'_>) {
        let mut lines = self.queue.lines.lock();
        if lines.text.len() > MAX_WAITING {
            drop(lines);
            self.queue.dropped.inc();
            return;
        }
        let before = lines.text.len();
        match self.format {
            LineFormat::Json => json(&mut lines, request),
            LineFormat::Text => text(&mut lines, request),
        }
        let enough = before < BATCH.1 && lines.text.len() >= BATCH.1;
        // Before the other thread is told, which would only wait for it.
        drop(lines);
        if enough {
            self.queue.enough.notify_one();
        }
    }
}

impl Drop for AccessLogGuard {
    fn drop(&mut self) {
        self.queue.lines.lock().ended = true;
        self.queue.enough.notify_one();
        // An output that takes nothing must not keep the process alive: its last lines are lost.
        let ended = self.ended.recv_timeout(LAST_WRITE);
        if let (Some(thread), Ok(()) | Err(RecvTimeoutError::Disconnected)) =
            (self.thread.take(), ended)
        {
            let _ = thread.join();
        }
    }
}

fn write_batches(queue: &LineQueue, mut out: impl Write) {
    let mut batch = String::new();
    loop {
        batch.clear();
        let too_few = |lines: &mut Lines| lines.text.len() < BATCH.1 && !lines.ended;
        let mut lines = queue.lines.lock();
        queue.enough.wait_while_for(&mut lines, too_few, BATCH.0);
        std::mem::swap(&mut batch, &mut lines.text);
        let last = lines.ended;
        drop(lines);
        if !batch.is_empty()
            && out
                .write_all(batch.as_bytes())
                .and_then(|()| out.flush())
                .is_err()
        {
            queue.dropped.inc_by(batch.lines().count() as u64);
        }
        if last {
            return;
        }
    }
}

impl Lines {
    fn push_number(&mut self, number: u64) {
        self.text.push_str(itoa::Buffer::new().format(number));
    }

    fn push_three_digits(&mut self, number: u64) {
        // A digit before them, so that noughts are written.
        self.text.push_str(
            itoa::Buffer::new()
                .format(1000 + number % 1000)
                .get(1..)
                .unwrap_or_default(),
        );
    }

    /// Milliseconds with three decimals; whole numbers only, since printing a float costs more than
    /// the rest of a line.
    fn push_millis(&mut self, span: Duration) {
        let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        self.push_number(micros / 1000);
        self.text.push('.');
        self.push_three_digits(micros % 1000);
    }

    /// A word, a number or an address of the gateway's own: nothing in it needs an escape.
    fn push_plain(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text.extend([name, value, "\""]);
        }
    }

    /// Any text.
    fn push_quoted(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text.push_str(name);
            quoted(&mut self.text, value);
        }
    }

    /// RFC 3339 with milliseconds.
    fn push_time(&mut self, time: UnixMillis) {
        let second = time.0 / 1000;
        if self.second != second || self.stamp.is_empty() {
            let written = humantime::format_rfc3339_seconds(
                std::time::UNIX_EPOCH + Duration::from_secs(second),
            )
            .to_string();
            (self.second, self.stamp) = (second, written.trim_end_matches('Z').to_owned());
        }
        self.text.push_str(&self.stamp);
        self.text.push('.');
        self.push_three_digits(time.0 % 1000);
        self.text.push('Z');
    }
}

fn json(out: &mut Lines, request: &FinishedRequest<'_>) {
    out.text.push_str("{\"time\":\"");
    out.push_time(request.time);
    out.text.push('"');
    out.push_plain(",\"request_id\":\"", Some(request.request_id));
    out.push_plain(",\"trace_id\":\"", Some(request.trace_id));
    out.push_plain(",\"method\":\"", Some(request.method));
    out.push_quoted(",\"path\":", Some(request.path));
    out.push_quoted(",\"route\":", Some(request.route));
    out.push_plain(",\"error\":\"", request.error);
    out.push_quoted(",\"reason\":", request.reason);
    out.push_plain(",\"session\":\"", request.session);
    out.push_quoted(",\"app\":", request.app);
    out.push_plain(",\"client\":\"", Some(request.client));
    out.push_plain(",\"endpoint\":\"", request.endpoint);
    out.text.push_str(",\"status\":");
    out.push_number(request.status.into());
    out.text.push_str(",\"bytes\":");
    out.push_number(request.bytes);
    if let Some(received) = request.received {
        out.text.push_str(",\"received\":");
        out.push_number(received);
    }
    out.text.push_str(",\"ms\":");
    out.push_millis(request.took);
    if let Some(took) = request.upstream_took {
        out.text.push_str(",\"upstream_ms\":");
        out.push_millis(took);
    }
    if request.attempts > 1 {
        out.text.push_str(",\"attempts\":");
        out.push_number(request.attempts as u64);
    }
    out.text.push_str("}\n");
}

/// A JSON string. Almost all values need no escape.
fn quoted(out: &mut String, value: &str) {
    if value
        .bytes()
        .all(|b| b >= b' ' && b != b'"' && b != b'\\' && b != 0x7f)
    {
        out.push('"');
        out.push_str(value);
        out.push('"');
    } else {
        out.push_str(
            &serde_json::Value::from(value)
                .to_string()
                .replace('\u{7f}', "\\u007f"),
        );
    }
}

fn text(out: &mut Lines, request: &FinishedRequest<'_>) {
    out.push_time(request.time);
    let _ = write!(
        out.text,
        " {} {} {} ",
        request.status,
        request.method,
        request.path.escape_debug()
    );
    out.push_millis(request.took);
    out.text.push_str("ms");
    if let Some(took) = request.upstream_took {
        out.text.push_str(" upstream=");
        out.push_millis(took);
        out.text.push_str("ms");
    }
    if let Some(endpoint) = request.endpoint {
        let _ = write!(out.text, " endpoint={endpoint}");
    }
    if request.attempts > 1 {
        let _ = write!(out.text, " attempts={}", request.attempts);
    }
    if let Some(received) = request.received {
        let _ = write!(out.text, " received={received}");
    }
    let _ = write!(
        out.text,
        " bytes={} client={} route={}",
        request.bytes, request.client, request.route
    );
    if let Some(reason) = request.reason {
        let _ = write!(out.text, " reason={reason:?}");
    }
    for (name, value) in [
        ("error", request.error),
        ("app", request.app),
        ("session", request.session),
        ("request_id", Some(request.request_id)),
    ] {
        if let Some(value) = value {
            let _ = write!(out.text, " {name}={}", value.escape_debug());
        }
    }
    out.text.push('\n');
}

#[cfg(test)]
mod tests;
