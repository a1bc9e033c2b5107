//! The commands as a script sees them: exit codes, what stands on stdout and what on stderr.

#![expect(clippy::unwrap_used, reason = "the helpers of tests may fail")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use hufu::crypto::keyring::parse_key;

fn hufu(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hufu"));
    for name in [
        "HUFU_KEY",
        "HUFU_NAMING_KEY",
        "HUFU_REDIS_PASSWORD",
        "WX_SECRET",
    ] {
        command.env_remove(name);
    }
    command
        .env("LC_ALL", "C")
        .current_dir(folder)
        .args(args)
        .output()
        .unwrap()
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn init(folder: &Path) -> Output {
    hufu(
        folder,
        &[
            "init",
            "--appid",
            "wx0123456789abcdef",
            "--upstream",
            "http://127.0.0.1:9000",
        ],
    )
}

fn fill_in_secret(folder: &Path) {
    let env = folder.join(".env");
    let text = fs::read_to_string(&env).unwrap();
    let secret = "WX_SECRET=0123456789abcdef0123456789abcdef";
    fs::write(&env, text.replace("WX_SECRET=", secret)).unwrap();
}

#[test]
fn init_and_check_take_a_stranger_to_a_good_configuration() {
    let folder = folder();
    let written = init(folder.path());
    assert_eq!((code(&written), out(&written).as_str()), (0, ""));
    assert!(
        err(&written).contains("WX_SECRET=") && err(&written).contains("hufu serve"),
        "{}",
        err(&written)
    );
    let config = fs::read_to_string(folder.path().join("hufu.toml")).unwrap();
    let example =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/configs/valid/least.toml");
    assert_eq!(config, fs::read_to_string(example).unwrap());

    let unfilled = hufu(folder.path(), &["check"]);
    assert_eq!(code(&unfilled), 2);
    assert!(
        err(&unfilled).contains("hufu.toml:11: apps.shop.secret: \"${WX_SECRET}\" is empty\n    copy the AppSecret from mp.weixin.qq.com"),
        "{}",
        err(&unfilled)
    );
    assert!(
        err(&unfilled).ends_with("hufu: 1 problem\n"),
        "{}",
        err(&unfilled)
    );

    fill_in_secret(folder.path());
    let filled = hufu(folder.path(), &["check"]);
    assert_eq!(
        (code(&filled), out(&filled).as_str()),
        (0, ""),
        "{}",
        err(&filled)
    );
    assert_eq!(
        err(&filled),
        "hufu.toml: ok: 1 app, 1 upstream, 1 route, sessions in Redis at 127.0.0.1:6379\n"
    );
}

#[test]
fn check_print_shows_every_setting_and_no_secret() {
    let folder = folder();
    init(folder.path());
    let env = folder.path().join(".env");
    let text = fs::read_to_string(&env)
        .unwrap()
        .replace("WX_SECRET=", "WX_SECRET=0123456789abcdef0123456789abcdef");
    fs::write(&env, &text).unwrap();
    let printed = hufu(
        folder.path(),
        &["check", "--print", "--config", "hufu.toml"],
    );
    assert_eq!(code(&printed), 0, "{}", err(&printed));
    let table: toml::Table = out(&printed).parse().unwrap();
    assert_eq!(table["apps"]["shop"]["secret"].as_str(), Some("[hidden]"));
    assert_eq!(table["session"]["idle_timeout"].as_str(), Some("24h"));
    let secrets: Vec<_> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .collect();
    assert_eq!(secrets.len(), 4);
    for (name, secret) in secrets {
        assert!(
            !out(&printed).contains(secret) && !err(&printed).contains(secret),
            "{name}"
        );
    }
}

#[cfg(unix)]
#[test]
fn init_keeps_the_keys_from_other_users() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = folder();
    init(folder.path());
    let mode = |name: &str| {
        fs::metadata(folder.path().join(name))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(mode(".env"), 0o600);
    fs::set_permissions(
        folder.path().join(".env"),
        fs::Permissions::from_mode(0o644),
    )
    .unwrap();
    fill_in_secret(folder.path());
    let checked = hufu(folder.path(), &["check"]);
    assert_eq!(code(&checked), 0);
    assert!(
        err(&checked).starts_with(
            "warning: .env: every user of this machine can read it\n    chmod 600 .env\n"
        ),
        "{}",
        err(&checked)
    );
}

#[test]
fn init_overwrites_nothing_and_writes_no_half() {
    for existing in ["hufu.toml", ".env", "redis.conf", "hufu.schema.json"] {
        let folder = folder();
        fs::write(folder.path().join(existing), "mine").unwrap();
        let refused = init(folder.path());
        assert_eq!(code(&refused), 1);
        assert_eq!(
            err(&refused),
            format!("hufu: {existing} exists already; nothing was written\n")
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(
            fs::read_to_string(folder.path().join(existing)).unwrap(),
            "mine"
        );
    }
}

#[test]
fn init_refuses_what_would_not_load() {
    for (appid, upstream, word) in [
        ("wx\"]", "http://127.0.0.1:9000", "--appid"),
        ("", "http://127.0.0.1:9000", "--appid"),
        ("wx1", "127.0.0.1:9000", "http://HOST:PORT"),
        ("wx1", "http://127.0.0.1:9000/api", "[[routes]]"),
        ("wx1", "ftp://api.internal", "--upstream"),
    ] {
        let folder = folder();
        let refused = hufu(
            folder.path(),
            &["init", "--appid", appid, "--upstream", upstream],
        );
        assert_eq!(code(&refused), 2, "{appid} {upstream}");
        assert!(err(&refused).contains(word), "{}", err(&refused));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

#[test]
fn keygen_prints_keys_that_load() {
    let folder = folder();
    let key = hufu(folder.path(), &["keygen"]);
    assert!(parse_key(&out(&key)).is_ok());
    assert_ne!(out(&key), out(&hufu(folder.path(), &["keygen"])));

    let env = out(&hufu(folder.path(), &["keygen", "--env"]));
    let values: Vec<_> = env
        .lines()
        .filter_map(|line| line.split_once('='))
        .collect();
    assert_eq!(
        values.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
        ["HUFU_KEY", "HUFU_NAMING_KEY"]
    );
    assert!(values.iter().all(|(_, key)| parse_key(key).is_ok()) && values[0].1 != values[1].1);

    let signing = out(&hufu(folder.path(), &["keygen", "--signing"]));
    assert!(parse_key(&signing).is_ok());
    let signing = out(&hufu(folder.path(), &["keygen", "--signing", "--env"]));
    let (name, key) = signing.split_once('=').unwrap();
    assert!(name == "HUFU_SIGNING_KEY" && parse_key(key).is_ok());

    let redis = out(&hufu(folder.path(), &["keygen", "--redis"]));
    let lines: Vec<_> = redis.lines().collect();
    assert_eq!((lines.len(), lines[0].len()), (2, 43));
    assert!(
        lines[1].starts_with("user hufu on #") && lines[1].contains(" ~hufu:* "),
        "{redis}"
    );
    assert!(
        !lines[1].contains(lines[0]),
        "the ACL line holds a hash only"
    );
    let both = out(&hufu(folder.path(), &["keygen", "--redis", "--env"]));
    assert!(
        both.starts_with("HUFU_REDIS_PASSWORD=") && both.contains("\n# user hufu on #"),
        "{both}"
    );
}

#[test]
fn a_file_that_is_none_is_an_error_of_the_caller() {
    let folder = folder();
    fs::write(folder.path().join("latin1.toml"), b"# caf\xe9").unwrap();
    fs::write(
        folder.path().join("broken.toml"),
        "[server]\nlisten = 0.0.0.0:8080\n[apps.shop]\nsecret = \"tiger\"",
    )
    .unwrap();
    for (file, message) in [
        (
            "none.toml",
            "none.toml: does not exist\n    write one with `hufu init`, or name another with --config\n",
        ),
        (".", ".: is a directory\n"),
        ("latin1.toml", "latin1.toml: is not UTF-8, but"),
        (
            "broken.toml",
            "broken.toml:2: not TOML: invalid float; write strings in quotes\n    2 | listen = 0.0.0.0:8080\n      |             ^\n",
        ),
    ] {
        for command in ["check", "serve"] {
            let failed = hufu(folder.path(), &[command, "--config", file]);
            assert_eq!((code(&failed), out(&failed).as_str()), (2, ""));
            assert!(err(&failed).starts_with(message), "{}", err(&failed));
        }
    }
}

#[test]
fn a_broken_configuration_shows_no_secret() {
    let folder = folder();
    fs::write(folder.path().join(".env"), "A=1\nTIGER='tiger\n").unwrap();
    fs::write(folder.path().join("secret"), "tiger").unwrap();
    let texts = [
        "store.url = \"redis://u:tiger@h:x\"\nsecrets.keys = [\"tiger\"]\nsecrets.naming_key = \"tiger\"\n[apps.shop]\nsecret = \"tiger$\"",
        "store.password = [\"tiger\"]\nstore.username = 1\nsecrets.keys = { a = \"tiger\" }\nsecrets.naming_key_file = \"secret\"",
        "[apps.shop]\nsecret = \"tiger",
        "[apps.shop]\nsecret = tiger",
        "secrets.keys = [\n\"tiger\n]",
        "[upstreams.a]\nendpoints = [\"http://u:tiger@h\"]\n[apps.shop]\nbase_url = \"https://u:tiger@h\"\nsecret = \"\"\"\ntiger",
    ];
    for text in texts {
        fs::write(folder.path().join("hufu.toml"), text).unwrap();
        let failed = hufu(folder.path(), &["check", "--print"]);
        assert_eq!((code(&failed), out(&failed).as_str()), (2, ""));
        assert!(
            err(&failed).contains("hufu.toml:") && !err(&failed).contains("tiger"),
            "{text}\n{}",
            err(&failed)
        );
    }
}

#[test]
fn the_environment_wins_over_the_file_beside_the_configuration() {
    let folder = folder();
    init(folder.path());
    let mut check = Command::new(env!("CARGO_BIN_EXE_hufu"));
    let checked = check
        .current_dir(folder.path())
        .arg("check")
        .env("WX_SECRET", "of the environment")
        .output()
        .unwrap();
    assert_eq!(code(&checked), 0, "{}", err(&checked));
    let elsewhere = tempfile::tempdir().unwrap();
    let path = folder.path().join("hufu.toml");
    let mut check = Command::new(env!("CARGO_BIN_EXE_hufu"));
    let checked = check
        .current_dir(elsewhere.path())
        .args(["check", "-c"])
        .arg(&path)
        .env("WX_SECRET", "x")
        .output()
        .unwrap();
    assert_eq!(
        code(&checked),
        0,
        "the .env lies beside the file, not where the command runs: {}",
        err(&checked)
    );
}

#[test]
fn init_speaks_the_language_of_the_terminal() {
    let said = |locale: &[(&str, &str)], more: &[&str]| {
        let folder = folder();
        let mut command = Command::new(env!("CARGO_BIN_EXE_hufu"));
        for variable in ["LC_ALL", "LC_MESSAGES", "LANG"] {
            command.env_remove(variable);
        }
        command
            .args([
                "init",
                "--appid",
                "wx0123456789abcdef",
                "--upstream",
                "http://127.0.0.1:9000",
            ])
            .args(more)
            .envs(locale.iter().copied());
        err(&command.current_dir(folder.path()).output().unwrap())
    };
    let redis = ["--redis", "redis://10.0.0.5:6379/0"];
    let chinese = ("LC_ALL", "zh_CN.UTF-8");
    let lang = ("LANG", "zh_CN.UTF-8");
    for (locale, more, words) in [
        (
            &[chinese][..],
            &[][..],
            "redis-server redis.conf    （已经有",
        ),
        (&[chinese], &redis, "确认 redis://10.0.0.5:6379/0"),
        (&[("LC_ALL", "C")], &["--lang", "zh"], "接下来："),
        (&[chinese], &["--lang", "en"], "Next:"),
        (
            &[("LC_ALL", "C")],
            &redis,
            "have Redis at redis://10.0.0.5:6379/0",
        ),
        // The first variable that is set decides.
        (&[lang], &[], "接下来："),
        (&[lang, ("LC_ALL", "C")], &[], "Next:"),
        (
            &[
                ("LANG", "en_US.UTF-8"),
                ("LC_ALL", ""),
                ("LC_MESSAGES", "zh_TW"),
            ],
            &[],
            "接下来：",
        ),
        (&[("LC_CTYPE", "zh_CN.UTF-8")], &[], "Next:"),
        (&[], &[], "Next:"),
    ] {
        let said = said(locale, more);
        assert!(
            said.contains(words) && said.contains("hufu doctor") && said.contains("WX_SECRET="),
            "{locale:?} {more:?}: {said}"
        );
    }
}

#[test]
fn every_command_explains_itself() {
    let folder = folder();
    let help = hufu(folder.path(), &["--help"]);
    assert_eq!(code(&help), 0);
    for command in [
        "demo",
        "init",
        "check",
        "doctor",
        "serve",
        "sessions",
        "users",
        "keygen",
        "sandbox",
        "echo",
        "schema",
        "completions",
        "man",
    ] {
        assert!(
            out(&help).contains(&format!("\n  {command} ")),
            "{command} is not in the help"
        );
        let of_command = hufu(folder.path(), &[command, "--help"]);
        assert_eq!(code(&of_command), 0);
        assert!(out(&of_command).contains("Usage: hufu"), "{command}");
    }
    for wrong in [
        &["serv"][..],
        &[],
        &["init"],
        &["check", "--no-such-option"],
        &["sandbox"],
    ] {
        let refused = hufu(folder.path(), wrong);
        assert_eq!(
            (code(&refused), out(&refused).as_str()),
            (2, ""),
            "{wrong:?}"
        );
        assert!(!err(&refused).is_empty());
    }
}

#[test]
fn a_dollar_sign_in_env_does_not_vanish_unseen() {
    let folder = folder();
    init(folder.path());
    let env = folder.path().join(".env");
    let text = fs::read_to_string(&env).unwrap();
    fs::write(&env, text.replace("WX_SECRET=", "WX_SECRET=tig$er#1")).unwrap();
    let lost = hufu(folder.path(), &["check"]);
    let line = text
        .lines()
        .position(|line| line.starts_with("WX_SECRET="))
        .unwrap()
        + 1;
    assert_eq!(code(&lost), 2);
    assert!(
        err(&lost).starts_with(&format!(".env:{line}: WX_SECRET has a dollar sign")),
        "{}",
        err(&lost)
    );
    assert!(
        err(&lost).contains("single quotes") && !err(&lost).contains("tig"),
        "{}",
        err(&lost)
    );
    fs::write(&env, text.replace("WX_SECRET=", "WX_SECRET='tig$er#1'")).unwrap();
    assert_eq!(code(&hufu(folder.path(), &["check"])), 0);
}

#[test]
fn who_looks_for_a_session_hears_nothing_of_routes() {
    let folder = folder();
    let config = fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures/configs/valid/route_overlap.toml"),
    )
    .unwrap();
    let config = format!(
        "admin = {{ listen = \"127.0.0.1:1\", token = \"an-admin-token-of-a-test\" }}\n{}",
        config.replace("${WX_SECRET}", "tiger")
    );
    fs::write(folder.path().join("hufu.toml"), config).unwrap();
    let count = |output: &Output| err(output).matches("routes[").count();
    assert!(count(&hufu(folder.path(), &["check"])) > 3);
    let asked = hufu(folder.path(), &["sessions", "count"]);
    assert_eq!((code(&asked), count(&asked)), (1, 0), "{}", err(&asked));
}

#[test]
fn a_listener_that_cannot_be_had_says_why() {
    let folder = folder();
    let start = |listen: &str| {
        let config = format!(
            "server.listen = \"{listen}\"\nadmin.listen = \"127.0.0.1:0\"\nstore.url = \"memory:\"\n[apps.shop]\nappid = \"wx0123456789abcdef\"\nsecret = \"x\"\n"
        );
        fs::write(folder.path().join("hufu.toml"), config).unwrap();
        hufu(folder.path(), &["serve"])
    };
    let missing = folder.path().join("missing");
    let socket = format!("unix:{}/hufu.sock", missing.display());
    for (listen, words) in [
        (
            "192.0.2.1:8080",
            "this machine does not have that address".to_owned(),
        ),
        (&socket, format!("create the folder {}", missing.display())),
    ] {
        let failed = start(listen);
        assert_eq!(code(&failed), 1);
        assert!(
            err(&failed).contains(&words) && !err(&failed).contains("stop that one"),
            "{}",
            err(&failed)
        );
    }
}
