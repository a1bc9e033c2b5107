//! `hufu demo` as a stranger meets it: the printed lines pasted into a shell, and the page in a
//! browser.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::Duration;

use hufu::clock::monotonic_now;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::helpers::{http, until, until_blocking};

/// How long the demo may take to end.
const END: Duration = Duration::from_secs(2);
/// What the page does when it walks by itself: the step, its HTTP status, and what came of it.
const WALK: [(&str, &str, &str); 14] = [
    ("anonymous", "401", "anonymous"),
    ("code", "200", "code"),
    ("login", "200", "login"),
    ("again", "200", "replayed"),
    ("call", "200", "call"),
    // What the phone asks WeChat for, and what it does with that.
    ("decrypt", "200", "decrypt"),
    ("decrypt", "200", "decrypt"),
    ("phone", "200", "phone"),
    ("phone", "200", "phone"),
    ("server", "200", "server"),
    ("forge", "200", "forge"),
    ("logout", "204", "logout"),
    ("after", "401", "after"),
    ("again", "400", "used"),
];

/// A running demo; killed when dropped.
struct Demo {
    child: Child,
    /// All that it printed up to the end of its welcome.
    welcome: String,
    /// Kept: a pipe without a reader would be an error for whoever writes into it.
    _stderr: BufReader<ChildStderr>,
}

impl Demo {
    fn start() -> Self {
        Self::start_with(&[], "C")
    }

    fn start_with(args: &[&str], locale: &str) -> Self {
        let mut command = hufu(&[&["demo", "--listen", "127.0.0.1:0"], args].concat());
        command.env("LC_ALL", locale);
        let mut child = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut welcome = String::new();
        while !welcome.contains("Ctrl-C") {
            assert!(
                stderr.read_line(&mut welcome).unwrap() > 0,
                "the demo ended: {welcome}"
            );
        }
        Self {
            child,
            welcome,
            _stderr: stderr,
        }
    }

    /// A URL, as the welcome gives it.
    fn at(&self, path: &str) -> String {
        let (_, rest) = self.welcome.split_once("http://").unwrap();
        let (page, _) = rest.split_once("/ ").unwrap();
        format!("http://{page}{path}")
    }

    /// The lines to paste, as they are printed.
    fn lines(&self) -> [&str; 5] {
        let lines: Vec<_> = self
            .welcome
            .lines()
            .filter(|line| line.contains("curl -s"))
            .collect();
        lines.try_into().unwrap()
    }

    /// All processes that the demo may have started, and itself.
    fn group(&self) -> Pid {
        Pid::from_raw(-i32::try_from(self.child.id()).unwrap())
    }

    fn ended(&mut self, signal: Signal) -> ExitStatus {
        kill(
            Pid::from_raw(i32::try_from(self.child.id()).unwrap()),
            signal,
        )
        .unwrap();
        until_blocking("the demo to end", || self.child.try_wait().unwrap())
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn hufu(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hufu"));
    command.args(args);
    command
}

/// What a shell prints that is given this text.
fn pasted(text: &str) -> String {
    let output = Command::new("sh")
        .args(["-c", text])
        .env("no_proxy", "127.0.0.1")
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_printed_lines_work_by_copy_and_paste() {
    let demo = Demo::start();
    let [login, call, phone, server, logout] = demo.lines();
    let status = format!(
        "{} -o /dev/null -w '%{{http_code}}\\n'",
        call.trim_end_matches("; echo")
    );
    let out = pasted(
        &[
            login, call, &status, phone, phone, server, logout, call, &status,
        ]
        .join("\n"),
    );
    let lines: Vec<&str> = out.lines().map(str::trim_end).collect();
    let logged_in: Value = serde_json::from_str(lines[0]).unwrap();
    assert!(
        logged_in["token"].as_str().unwrap().starts_with("hufu_"),
        "{out}"
    );
    let echoed: Value = serde_json::from_str(lines[1]).unwrap();
    let headers = echoed["headers"].as_array().unwrap();
    assert!(
        headers.iter().any(
            |header| header[0] == "x-wx-openid" && header[1].as_str().unwrap().starts_with('o')
        ),
        "{out}"
    );
    for number in [lines[3], lines[4]] {
        let number: Value = serde_json::from_str(number).unwrap();
        assert!(
            number["phone_number"].as_str().unwrap().starts_with("138"),
            "{out}"
        );
    }
    assert_eq!(lines[5], "{\"errcode\":0,\"errmsg\":\"ok\"}");
    assert_eq!(
        (lines[2], lines[6]),
        ("200", "HTTP/1.1 204 No Content"),
        "{out}"
    );
    let refused: Value = serde_json::from_str(lines[lines.len() - 2]).unwrap();
    assert_eq!(
        (&refused["code"], lines.last()),
        (&"session_expired".into(), Some(&"401")),
        "{out}"
    );
}

#[test]
fn it_speaks_the_language_of_the_terminal() {
    let chinese = |demo: &Demo| demo.welcome.contains("按 Ctrl-C 结束演示");
    for (args, locale, expected) in [
        (&[][..], "zh_CN.UTF-8", true),
        (&["--lang", "en"], "zh_CN.UTF-8", false),
        (&["--lang", "zh"], "C", true),
    ] {
        let demo = Demo::start_with(args, locale);
        assert_eq!(
            chinese(&demo),
            expected,
            "{args:?} {locale}: {}",
            demo.welcome
        );
        // The lines are the same, and work.
        assert!(
            pasted(demo.lines()[0]).contains("\"token\":\"hufu_"),
            "{}",
            demo.welcome
        );
    }
    let other = hufu(&["demo", "--lang", "fr"]).output().unwrap();
    assert_eq!(other.status.code(), Some(2));
}

#[test]
fn the_lines_of_the_page_on_open_data_work_by_copy_and_paste() {
    let demo = Demo::start();
    for page in ["docs/open-data.md", "docs/zh-CN/open-data.md"] {
        let path = format!("{}/{page}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        let (_, block) = text.split_once("```sh\n").unwrap();
        let (lines, _) = block.split_once("```").unwrap();
        let said = pasted(&lines.replace("http://127.0.0.1:8080", &demo.at("")));
        let mut said = said.lines();
        let mut json = || serde_json::from_str::<Value>(said.next().unwrap()).unwrap();
        assert_eq!(json()["data"]["nickName"], "Alice", "{page}");
        let number = json()["phone_number"].as_str().unwrap().to_owned();
        assert!(number.starts_with("138") && number.len() == 11, "{number}");
        assert_eq!(json(), serde_json::json!({ "valid": true }));
        assert_eq!(
            said.next().map(str::trim_end),
            Some("HTTP/1.1 204 No Content")
        );
    }
}

#[tokio::test]
async fn the_page_needs_nothing_from_elsewhere() {
    let demo = Demo::start();
    let answer = http().get(demo.at("/")).await;
    assert_eq!(answer.status(), 200);
    let policy = answer.header("content-security-policy").to_owned();
    assert!(
        policy.starts_with("default-src 'none'; style-src 'sha256-"),
        "{policy}"
    );
    assert!(
        policy.contains("; script-src 'sha256-")
            && policy.contains("; connect-src 'self';")
            && !policy.contains("unsafe"),
        "{policy}"
    );
    let page = answer.text();
    assert!(!page.contains("http://") && !page.contains("https://") && !page.contains("innerHTML"));
    // Two languages with the same words.
    let keys = |language: &str| -> Vec<String> {
        let (_, rest) = page.split_once(&format!("\n  {language}: {{\n")).unwrap();
        let (texts, _) = rest.split_once("\n  }").unwrap();
        texts
            .split(['{', ',', '\n'])
            .filter_map(|part| part.trim().split_once(": "))
            .map(|(key, _)| key.to_owned())
            .filter(|key| is_key(key))
            .collect()
    };
    assert!(keys("en").len() > 80);
    assert_eq!(keys("en"), keys("zh"));
}

/// Whether this is the name of a text and not a piece of a sentence.
fn is_key(key: &str) -> bool {
    key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[tokio::test]
async fn the_store_is_shown_in_words() {
    let demo = Demo::start();
    let login = http()
        .post(demo.at("/auth/login"))
        .json(&serde_json::json!({ "code": "tiger" }))
        .await;
    let token = login.json()["token"].as_str().unwrap().to_owned();
    let stored = http().get(demo.at("/demo/store")).await.text();
    let entries: Vec<Value> = serde_json::from_str(&stored).unwrap();
    let kinds: Vec<&str> = entries
        .iter()
        .map(|entry| &entry["key"].as_str().unwrap()[..7])
        .collect();
    assert_eq!(kinds, ["hufu:c:", "hufu:s:", "hufu:u:"]);
    assert!(
        entries[1]["value"].as_str().unwrap().contains(" bytes: ")
            && entries[2]["value"]["k0"].is_string(),
        "{stored}"
    );
    assert!(
        !stored.contains(&token) && !stored.contains("\\\\x"),
        "{stored}"
    );
    assert_eq!(http().get(demo.at("/elsewhere")).await.status(), 404);
}

#[test]
fn a_taken_port_names_the_flag() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = hufu(&["demo", "--listen", &address]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let other = taken.local_addr().unwrap().port().saturating_add(10);
    assert!(
        said.contains(&address)
            && said.contains(&format!(
                "stop that one or choose another with --listen, such as --listen 127.0.0.1:{other}"
            )),
        "{said}"
    );
    let alone = hufu(&["demo", "--listen", "8090"]).output().unwrap();
    let said = String::from_utf8(alone.stderr).unwrap();
    assert!(
        said.contains("write an address with a port, such as 127.0.0.1:8090"),
        "{said}"
    );
    let foreign = hufu(&["echo", "--listen", "192.0.2.1:9000"])
        .output()
        .unwrap();
    let said = String::from_utf8(foreign.stderr).unwrap();
    assert!(
        said.contains("this machine does not have that address")
            && said.contains("such as --listen 127.0.0.1:9010"),
        "{said}"
    );
}

#[tokio::test]
async fn it_ends_at_once_although_a_browser_keeps_its_connections() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        // At once, unless the machine stalls just then.
        until(&format!("an end at once by {signal}"), async || {
            ended_with_a_browser(signal).await < END
        })
        .await;
    }
}

/// How long the demo takes to end by this signal.
async fn ended_with_a_browser(signal: Signal) -> Duration {
    let mut demo = Demo::start();
    let browser = http();
    assert_eq!(
        browser.get(demo.at("/")).await.text().lines().next(),
        Some("<!doctype html>")
    );
    // Browsers open connections before they need them, and a request may be on its way.
    let address = demo.at("").trim_start_matches("http://").to_owned();
    let _silent = TcpStream::connect(&address).unwrap();
    let mut half = TcpStream::connect(&address).unwrap();
    half.write_all(b"POST /api/hello HTTP/1.1\r\nHost: demo\r\nContent-Length: 9\r\n\r\nhalf")
        .unwrap();
    let started = monotonic_now();
    let status = demo.ended(signal);
    let took = started.elapsed();
    assert!(status.success(), "{signal}: {status}");
    assert_eq!(
        kill(demo.group(), None),
        Err(Errno::ESRCH),
        "a process was left behind"
    );
    took
}

/// The page walks by itself through everything that a visitor can press, in a real browser.
#[test]
fn the_page_walks_through_all_steps() {
    let Some(browser) = ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find(|name| runs(name))
    else {
        println!("skipped: no chromium on the path");
        return;
    };
    let demo = Demo::start();
    let profile = tempfile::tempdir().unwrap();
    for language in ["zh", "en"] {
        let dom = dumped(
            browser,
            profile.path(),
            &demo.at(&format!("/?lang={language}#autoplay")),
        );
        assert!(
            dom.contains("data-walk=\"passed\""),
            "{language}: {:?}\n{dom}",
            walked(&dom)
        );
        assert_eq!(
            walked(&dom),
            WALK.map(|(step, status, outcome)| (
                step.to_owned(),
                status.to_owned(),
                outcome.to_owned(),
                "ok".to_owned()
            ))
        );
        assert!(dom.contains(&format!(
            "<html lang=\"{}\"",
            if language == "zh" { "zh-CN" } else { "en" }
        )));
    }
}

fn runs(name: &str) -> bool {
    Command::new(name)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The document once the browser's clock, which does not run while a request is under way, has gone
/// on by two minutes.
fn dumped(browser: &str, profile: &Path, url: &str) -> String {
    let out = profile.join("dom.html");
    let status = Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--no-proxy-server",
        ])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
        ])
        .arg(format!("--user-data-dir={}", profile.display()))
        .args(["--virtual-time-budget=120000", "--dump-dom", url])
        .stdin(Stdio::null())
        .stdout(File::create(&out).unwrap())
        .stderr(File::create(profile.join("stderr")).unwrap())
        .status()
        .unwrap();
    assert!(
        status.success(),
        "{status}: {}",
        std::fs::read_to_string(profile.join("stderr")).unwrap()
    );
    std::fs::read_to_string(out).unwrap()
}

/// Step, status, outcome and result of each exchange in the document, oldest first; the page shows
/// the newest first.
fn walked(dom: &str) -> Vec<(String, String, String, String)> {
    let attribute = |item: &str, name: &str| {
        item.split_once(&format!("data-{name}=\""))
            .and_then(|(_, rest)| rest.split_once('"'))
            .unwrap()
            .0
            .to_owned()
    };
    let items = dom
        .split("<li data-step=")
        .skip(1)
        .map(|rest| format!("data-step={rest}"));
    let mut walked: Vec<_> = items
        .map(|item| {
            (
                attribute(&item, "step"),
                attribute(&item, "status"),
                attribute(&item, "outcome"),
                attribute(&item, "result"),
            )
        })
        .collect();
    walked.reverse();
    walked
}
