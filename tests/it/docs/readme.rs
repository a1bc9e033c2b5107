//! The README as a stranger follows it: its commands one after the other, with a real Redis. Ports
//! and the platform's address are the test's.

#![expect(clippy::unwrap_used, reason = "the helpers of tests may fail")]

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use hufu::config::{Settings, Variables};
use hufu::crypto::keyring::generate_key;
use hufu::sandbox::SandboxSettings;
use serde_json::{Value, json};

use crate::helpers::{APPID, RedisServer, echo_upstream, http, sandbox, until_blocking};

/// As long as WeChat's are.
const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// The block of a language after a heading of a page.
fn block(page: &str, heading: &str, language: &str) -> String {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).unwrap();
    let after = text
        .split_once(heading)
        .unwrap_or_else(|| panic!("{page} has no {heading}"))
        .1;
    after
        .split_once(&format!("```{language}\n"))
        .unwrap()
        .1
        .split_once("```")
        .unwrap()
        .0
        .to_owned()
}

/// The commands without their comments.
fn commands() -> Vec<Vec<String>> {
    let text = block("README.md", "## For your own app", "sh");
    text.lines()
        .map(|line| {
            line.split(" #")
                .next()
                .unwrap()
                .split_whitespace()
                .map(str::to_owned)
                .collect()
        })
        .collect()
}

fn hufu(folder: &Path, args: &[String]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hufu"));
    command.current_dir(folder).args(args).stdin(Stdio::null());
    command
}

fn replace(file: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "{} has no {from}", file.display());
    fs::write(file, text.replace(from, to)).unwrap();
}

/// A gateway that ends with the test.
struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts it, and waits until it says where it listens.
fn serve(folder: &Path, args: &[String]) -> (Serving, String, String) {
    let log = folder.join("stderr");
    let child = hufu(folder, args)
        .stdout(Stdio::null())
        .stderr(File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let mut serving = Serving(child);
    let (listen, admin) = until_blocking("the gateway to listen", || {
        let log = fs::read_to_string(&log).unwrap();
        assert!(serving.0.try_wait().unwrap().is_none(), "{log}");
        let line = log
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .find(|line| line["listen"].is_string())?;
        Some((
            line["listen"].as_str()?.to_owned(),
            line["admin"].as_str()?.to_owned(),
        ))
    });
    (serving, listen, admin)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_the_readme_lead_to_a_login_with_the_redis_that_they_start() {
    let (folder, wechat, backend) = (
        tempfile::tempdir().unwrap(),
        sandbox(SandboxSettings::default()),
        echo_upstream(),
    );
    let file = |name: &str| folder.path().join(name);
    let (mut redis, mut gateway, mut asked) = (None, None, 0);
    let commands = commands();
    assert_eq!(commands.len(), 7, "{commands:?}");
    for words in &commands {
        match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["hufu", "serve"] => gateway = Some(serve(folder.path(), &words[1..])),
            ["hufu", command, ..] => {
                let output = hufu(folder.path(), &words[1..]).output().unwrap();
                let said = format!(
                    "{}{}",
                    String::from_utf8_lossy(&output.stdout),
                    String::from_utf8_lossy(&output.stderr)
                );
                assert!(
                    output.status.success() && !said.contains("warn"),
                    "{words:?}\n{said}"
                );
                if command == "init" {
                    let written = fs::read_to_string(file("hufu.toml")).unwrap();
                    assert_eq!(
                        written,
                        block("README.md", "## For your own app", "toml"),
                        "the README shows another file than init writes"
                    );
                    replace(
                        &file("hufu.toml"),
                        "[apps.shop]\n",
                        &format!("[apps.shop]\nbase_url = \"{}\"\n", wechat.server.url),
                    );
                    replace(&file("hufu.toml"), "http://127.0.0.1:9000", &backend.url);
                    // A busy machine stalls Redis for a second or two.
                    let patience = "[store]\nconnect_timeout = \"10s\"\ntimeout = \"10s\"\n";
                    replace(&file("hufu.toml"), "[store]\n", patience);
                    // Tables that the file has not: whoever writes one more does it in this way.
                    let more = "\n[server]\nlisten = \"127.0.0.1:0\"\n\n[admin]\nlisten = \"127.0.0.1:0\"\n";
                    fs::write(
                        file("hufu.toml"),
                        fs::read_to_string(file("hufu.toml")).unwrap() + more,
                    )
                    .unwrap();
                }
            }
            ["vi", ".env"] => replace(
                &file(".env"),
                "WX_SECRET=\n",
                &format!("WX_SECRET={SECRET}\n"),
            ),
            ["redis-server", "redis.conf"] => {
                let server = RedisServer::start_with_file(
                    &fs::read_to_string(file("redis.conf")).unwrap(),
                    &[],
                );
                replace(
                    &file("hufu.toml"),
                    "127.0.0.1:6379",
                    &format!("127.0.0.1:{}", server.port()),
                );
                redis = Some(server);
            }
            ["curl", url] => {
                let admin = &gateway.as_ref().unwrap().2;
                let ready = http().get(url.replace("127.0.0.1:8081", admin)).await;
                assert_eq!(ready.status(), 200);
                let parts: Value = ready.json();
                assert_eq!(parts["status"], "ready", "{parts}");
                asked += 1;
            }
            _ => panic!("what is {words:?}?"),
        }
    }
    assert!(asked == 1 && redis.is_some());
    // And what it is for.
    let code = wechat.platform.login_code(APPID, "alice");
    let login = format!("http://{}/auth/login", gateway.as_ref().unwrap().1);
    let answer = http().post(login).json(&json!({ "code": code })).await;
    assert_eq!(answer.status(), 200, "{}", answer.text());
}

/// Whoever adds them to the minimal configuration has one that is right.
#[test]
fn the_examples_with_claims_pass_check() {
    let keys = [generate_key(), generate_key()];
    let variables = Variables::only([
        ("HUFU_REDIS_PASSWORD", "any"),
        ("HUFU_KEY", &*keys[0]),
        ("HUFU_NAMING_KEY", &*keys[1]),
        ("WX_SECRET", SECRET),
    ]);
    let minimal = block("README.md", "## For your own app", "toml");
    for (page, heading) in [
        ("README.md", "### A route for staff only"),
        ("docs/claims.md", "# Claims"),
        ("docs/claims.md", "## Routes that require claims"),
    ] {
        let text = minimal.clone() + &block(page, heading, "toml");
        let read = Settings::parse("hufu.toml", &text, Path::new(""), &variables);
        let (_, warnings) = read.unwrap_or_else(|error| panic!("{page}: {error}"));
        assert_eq!(warnings, [], "{page}");
    }
}

#[test]
fn the_redis_conf_that_init_writes_is_the_shipped_one_with_a_password() {
    let folder = tempfile::tempdir().unwrap();
    assert!(
        hufu(folder.path(), &commands()[0][1..])
            .output()
            .unwrap()
            .status
            .success()
    );
    let (written, shipped) = (
        fs::read_to_string(folder.path().join("redis.conf")).unwrap(),
        fs::read_to_string("redis.conf").unwrap(),
    );
    let settings = |text: &str| {
        text.lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let (written_settings, shipped_settings) = (settings(&written), settings(&shipped));
    let differing: Vec<_> = written_settings
        .iter()
        .zip(&shipped_settings)
        .filter(|(ours, theirs)| ours != theirs)
        .collect();
    assert_eq!(
        (written_settings.len(), differing.len()),
        (shipped_settings.len(), 1),
        "{differing:?}"
    );
    assert!(
        differing[0].0.starts_with("user hufu on #"),
        "{differing:?}"
    );
    let env = fs::read_to_string(folder.path().join(".env")).unwrap();
    let password = env
        .lines()
        .find_map(|line| line.strip_prefix("HUFU_REDIS_PASSWORD="))
        .unwrap();
    assert!(password.len() == 43 && !written.contains(password));
}

#[test]
fn a_redis_that_is_there_already_takes_the_place_of_the_written_one() {
    let init = |more: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        let args: Vec<String> = commands()[0][1..]
            .iter()
            .cloned()
            .chain(more.iter().map(|&arg| arg.to_owned()))
            .collect();
        let output = hufu(folder.path(), &args).output().unwrap();
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap_or_default();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
            read("hufu.toml"),
            read(".env"),
            folder.path().join("redis.conf").exists(),
        )
    };
    let (code, said, config, env, redis_conf) = init(&["--redis", "redis://10.0.0.5:6380/2"]);
    assert_eq!((code, redis_conf), (Some(0), false), "{said}");
    assert!(
        config.contains("[store]\nurl = \"redis://10.0.0.5:6380/2\"\n[secrets]\n")
            && !env.contains("HUFU_REDIS_PASSWORD"),
        "{config}"
    );
    let (code, said, config, env, redis_conf) =
        init(&["--redis", "rediss://10.0.0.5:6380", "--redis-user", "shop"]);
    assert_eq!((code, redis_conf), (Some(0), false), "{said}");
    assert!(
        config.contains("username = \"shop\"\npassword = \"${HUFU_REDIS_PASSWORD}\"\n")
            && env.contains("\nHUFU_REDIS_PASSWORD=\n"),
        "{config}"
    );
    assert!(said.contains("behind HUFU_REDIS_PASSWORD="), "{said}");
    for (more, word) in [
        (&["--redis", "redis://u:tiger@h"][..], "--redis-user"),
        (&["--redis", "http://h"], "--redis"),
        (&["--redis", "memory:"], "redis://"),
        (&["--redis-user", "shop"], "--redis"),
        (
            &["--redis", "redis://h", "--redis-user", "a\"b"],
            "--redis-user",
        ),
    ] {
        let (code, said, config, ..) = init(more);
        assert_eq!((code, config.as_str()), (Some(2), ""), "{more:?}");
        assert!(said.contains(word) && !said.contains("tiger"), "{said}");
    }
}
