//! `hufu sessions` against both stores.

use std::process::{Command, Output};

use serde_json::{Value, json};

use super::{TOKEN, alive, gateway, openid, text};
use crate::helpers::{APPID, Gateway, RedisServer};

// ---- hufu sessions

pub(super) struct Cli<'a> {
    gateway: &'a Gateway,
    command: &'static str,
    folder: tempfile::TempDir,
}

impl<'a> Cli<'a> {
    /// With a configuration whose admin section is the gateway's.
    pub(super) fn new(gateway: &'a Gateway, command: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = format!(
            "store.url = \"memory:\"\nadmin.listen = \"{}\"\nadmin.token = \"{TOKEN}\"\nserver.listen = \"127.0.0.1:0\"\napps.shop.appid = \"{APPID}\"\n\
             apps.shop.secret = \"s\"\nupstreams.a.endpoints = [\"http://127.0.0.1:9\"]\n[[routes]]\npath = \"/api\"\nupstream = \"a\"\n",
            gateway.admin
        );
        std::fs::write(folder.path().join("hufu.toml"), config).unwrap();
        Self {
            gateway,
            command,
            folder,
        }
    }

    /// Its configuration.
    pub(super) fn config(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("hufu.toml")).unwrap()
    }

    pub(super) fn write(&self, config: &str) {
        std::fs::write(self.folder.path().join("hufu.toml"), config).unwrap();
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hufu"));
        // A proxy of the environment must not get the token.
        command
            .env("http_proxy", "http://127.0.0.1:9")
            .env("ADMIN_TOKEN", TOKEN)
            .env("WRONG_TOKEN", "wrong");
        command
            .current_dir(self.folder.path())
            .arg(self.command)
            .args(args)
            .output()
            .unwrap()
    }

    pub(super) fn said(&self, args: &[&str]) -> (i32, String, String) {
        let output = self.run(args);
        let (out, err) = (
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        );
        assert!(
            !out.contains(TOKEN) && !err.contains(TOKEN),
            "the token is shown"
        );
        (output.status.code().unwrap(), out, err)
    }
}

#[tokio::test]
async fn the_command_lists_shows_counts_and_ends_sessions() {
    let gateway = gateway("memory:", "");
    let cli = Cli::new(&gateway, "sessions");
    let (first, second) = (gateway.login("alice").await, gateway.login("alice").await);
    let alice = openid("alice");

    let (code, out, _) = cli.said(&["list", "--app", "shop", "--user", &alice]);
    let lines: Vec<_> = out.lines().collect();
    assert_eq!((code, lines.len()), (0, 3), "{out}");
    assert!(lines[0].starts_with("SESSION ") && lines[0].contains("ENDS IN"));
    assert!(out.contains(text(&first, "session_id")) && out.contains("127.0.0.1"));
    let (code, out, err) = cli.said(&["list", "--user", "nobody"]);
    assert_eq!((code, out.as_str()), (0, ""));
    assert!(
        err.starts_with("note: --user is no openid: WeChat's have 28 ")
            && err.ends_with("\nno sessions\n"),
        "{err}"
    );
    let (code, out, _) = cli.said(&["list", "--user", &alice, "--json"]);
    let listed: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (
            code,
            listed["sessions"].as_array().unwrap().len(),
            out.lines().count()
        ),
        (0, 2, 1)
    );

    let (code, out, _) = cli.said(&["show", "--session", text(&first, "session_id")]);
    assert!(
        code == 0 && out.contains(&format!("user                 {alice}\n")),
        "{out}"
    );
    let (code, out, _) = cli.said(&["count", "--user", &alice]);
    assert_eq!((code, out.as_str()), (0, "2\n"));
    let (code, out, _) = cli.said(&["count", "--json"]);
    assert_eq!(
        (
            code,
            serde_json::from_str::<Value>(&out).unwrap()["exact"].clone()
        ),
        (0, json!(true)),
        "memory counts exactly"
    );

    let (code, out, err) = cli.said(&["revoke", "--session", text(&first, "session_id")]);
    assert_eq!(
        (code, out.as_str(), err.as_str()),
        (
            0,
            "",
            format!("ended {}\n", text(&first, "session_id")).as_str()
        )
    );
    assert!(!alive(&gateway, &first).await && alive(&gateway, &second).await);
    let (code, out, err) = cli.said(&["revoke", "--session", text(&first, "session_id")]);
    assert!(
        code == 1 && out.is_empty() && err.contains("(session_not_found)"),
        "{err}"
    );
    let (code, out, _) = cli.said(&["revoke-all", "--app", "shop", "--user", &alice, "--json"]);
    assert_eq!((code, out.as_str()), (0, "{\"revoked\":1}\n"));
    assert!(!alive(&gateway, &second).await);
}

#[tokio::test]
async fn the_command_finds_its_gateway_and_says_what_is_wrong() {
    let gateway = gateway("memory:", "");
    let cli = Cli::new(&gateway, "sessions");
    let url = format!("http://{}", cli.gateway.admin);
    std::fs::write(cli.folder.path().join("token"), format!("{TOKEN}\n")).unwrap();
    for args in [
        &["count"][..],
        &["--config", "hufu.toml", "count"],
        &["count", "--admin", &url],
        &["count", "--token-env", "ADMIN_TOKEN"],
        &[
            "count",
            "--admin",
            &url,
            "--token-file",
            "token",
            "--config",
            "there-is-none.toml",
        ],
        &[
            "--admin",
            &url,
            "--token-env",
            "ADMIN_TOKEN",
            "-c",
            "there-is-none.toml",
            "count",
        ],
    ] {
        assert_eq!(
            cli.said(args),
            (0, "0\n".to_owned(), String::new()),
            "{args:?}"
        );
    }
    // A session's name may begin with the sign of an option.
    let hyphen = format!("-{}", "A".repeat(24));
    let other = format!("{}/", gateway.wechat.server.url);
    for (args, code, word) in [
        (
            &["revoke", "--session", &hyphen][..],
            1,
            "(session_not_found)",
        ),
        (
            &["count", "--token-env", "WRONG_TOKEN"],
            1,
            "the token in the variable WRONG_TOKEN of --token-env is none of this gateway's admin tokens (admin_token_invalid)",
        ),
        (
            &["count", "--admin", "http://127.0.0.1:9"],
            1,
            "does not answer",
        ),
        (
            &["count", "--admin", &other],
            1,
            "is not the admin listener",
        ),
        (
            &["list", "--app", "nope", "--user", "x"],
            2,
            "the name in [apps.NAME], not the appid. (app_unknown)",
        ),
        (&["list", "--app", "shop"], 2, "--user"),
        (&["count", "--app", "shop"], 2, "--user"),
        (&["revoke", "--session", "x"], 2, "25 letters"),
        (&["revoke"], 2, "--session"),
        (
            &["count", "--config", "there-is-none.toml"],
            2,
            "does not exist",
        ),
        (&["count", "--token-env", "NOWHERE"], 2, "NOWHERE"),
        (&["count", "--token-file", "nowhere"], 2, "nowhere"),
        (
            &["count", "--token-env", "A", "--token-file", "b"],
            2,
            "cannot be used with",
        ),
        (
            &["count", "--admin", "127.0.0.1:8081"],
            2,
            "such as http://127.0.0.1:8081",
        ),
        (
            &["count", "--admin", "http://127.0.0.1:8081/admin"],
            2,
            "such as http://127.0.0.1:8081",
        ),
        (&[], 2, "revoke-all"),
    ] {
        let (got, out, err) = cli.said(args);
        assert_eq!((got, out.as_str()), (code, ""), "{args:?}: {err}");
        assert!(err.contains(word), "{args:?}: {err}");
    }
    let second = format!(
        "admin.token = \"{TOKEN}\"\n[apps.game]\nappid = \"wxfedcba9876543210\"\nsecret = \"other\"\n"
    );
    let two = Gateway::start(&second);
    let (code, _, err) = cli.said(&[
        "list",
        "--user",
        "x",
        "--admin",
        &format!("http://{}", two.admin),
    ]);
    assert!(
        code == 2 && err.contains("name one with --app NAME (app_required)"),
        "{err}"
    );
    let mut redis = RedisServer::start(&[]);
    let lame = self::gateway(&redis.url(""), "");
    redis.kill();
    let (code, _, err) = cli.said(&["count", "--admin", &format!("http://{}", lame.admin)]);
    assert!(
        code == 1 && err.contains("The store does not answer") && !err.contains("log in again"),
        "{err}"
    );
    let off = Gateway::start("");
    let (code, _, err) = cli.said(&["count", "--admin", &format!("http://{}", off.admin)]);
    assert!(code == 1 && err.contains("Set admin.token"), "{err}");
    let own = format!("admin.token = \"{TOKEN}\"\n");
    cli.write(&cli.config().replace(&own, ""));
    let (code, _, err) = cli.said(&["count"]);
    assert!(code == 2 && err.contains("admin.token is not set"), "{err}");
}
