//! What a new operator runs into, and what is said then: files that cannot be read, slips of the
//! pen, proxies that say nothing.

#![expect(clippy::unwrap_used, reason = "the helpers of tests may fail")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::helpers::{Gateway, echo_upstream, programs::program, until};

/// As long as WeChat's are.
const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// A user who owns nothing.
const NOBODY: u32 = 65534;

/// A folder with what `hufu init` writes, an AppSecret, and the program, which may lie where
/// another user does not get to.
struct Installed {
    folder: tempfile::TempDir,
    program: PathBuf,
}

const INIT: [&str; 5] = [
    "init",
    "--appid",
    "wx0123456789abcdef",
    "--upstream",
    "http://127.0.0.1:9000",
];

impl Installed {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let program = folder.path().join("hufu");
        // By another process: while this one has it open for writing, so has any child that another
        // test starts just then, and nobody can run it.
        assert!(
            Command::new("cp")
                .arg(env!("CARGO_BIN_EXE_hufu"))
                .arg(&program)
                .status()
                .unwrap()
                .success()
        );
        let installed = Self { folder, program };
        let init = installed.command(&INIT).output().unwrap();
        assert!(init.status.success(), "{}", said(&init));
        let env = fs::read_to_string(installed.file(".env")).unwrap();
        fs::write(
            installed.file(".env"),
            env.replace("WX_SECRET=\n", &format!("WX_SECRET={SECRET}\n")),
        )
        .unwrap();
        installed
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .current_dir(self.folder.path())
            .args(args)
            .env_clear();
        command
    }

    /// As a service manager starts it: as another user, who can read only what everybody can.
    fn as_nobody(&self, args: &[&str]) -> Command {
        let mut command = self.command(args);
        if nix::unistd::geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        } else {
            // Nobody else to be: then not even the owner can read it.
            fs::set_permissions(self.file(".env"), Permissions::from_mode(0o000)).unwrap();
        }
        command
    }

    /// What the service manager takes from `EnvironmentFile=`.
    fn variables(&self) -> Vec<(String, String)> {
        let text = fs::read_to_string(self.file(".env")).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn an_env_that_cannot_be_read_stops_nobody_who_does_not_need_it() {
    let installed = Installed::new();
    let variables = installed.variables();
    assert_eq!(variables.len(), 4);
    let checked = installed
        .as_nobody(&["check"])
        .envs(variables)
        .output()
        .unwrap();
    let text = said(&checked);
    assert!(checked.status.success(), "{text}");
    assert!(
        text.starts_with("warning: .env: cannot be read: it belongs to "),
        "{text}"
    );
    for word in ["mode 0", "this process runs as ", "no variable is missing"] {
        assert!(text.contains(word), "{text} lacks {word}");
    }
}

#[test]
fn an_env_that_cannot_be_read_and_is_needed_is_one_problem() {
    let installed = Installed::new();
    let checked = installed.as_nobody(&["check"]).output().unwrap();
    let text = said(&checked);
    assert_eq!(checked.status.code(), Some(2), "{text}");
    assert!(
        text.ends_with("\nhufu: 1 problem\n")
            && text.starts_with(".env: cannot be read: it belongs to "),
        "{text}"
    );
    assert!(
        text.contains("HUFU_KEY, HUFU_NAMING_KEY, HUFU_REDIS_PASSWORD, WX_SECRET")
            && text.contains("EnvironmentFile=.env"),
        "{text}"
    );
    assert!(
        !text.contains("readable") && !text.contains("chmod"),
        "nobody is told to let all read their keys: {text}"
    );
    // What is wrong besides stays a problem of its own.
    let config = fs::read_to_string(installed.file("hufu.toml")).unwrap();
    fs::write(
        installed.file("hufu.toml"),
        format!("{config}\n[server]\nwrokers = 1\n"),
    )
    .unwrap();
    let text = said(&installed.as_nobody(&["check"]).output().unwrap());
    assert!(
        text.ends_with("\nhufu: 2 problems\n") && text.contains("did you mean workers?"),
        "{text}"
    );
}

#[test]
fn an_env_or_a_configuration_that_is_no_text_or_no_file_is_told_as_such() {
    let check = |name: &str, make: &dyn Fn(&Path)| {
        let installed = Installed::new();
        fs::remove_file(installed.file(name)).unwrap();
        make(&installed.file(name));
        let checked = installed.command(&["check"]).output().unwrap();
        assert_eq!(checked.status.code(), Some(2), "{}", said(&checked));
        assert!(
            said(&checked).ends_with("\nhufu: 1 problem\n") && !said(&checked).contains("owner"),
            "{}",
            said(&checked)
        );
        said(&checked)
    };
    let fifo = |path: &Path| assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    for (name, named) in [
        ("hufu.toml", "is a FIFO without a writer"),
        (".env", "is a FIFO"),
    ] {
        let gbk = check(name, &|path| {
            fs::write(path, b"# one\n# \xbb\xa2\n").unwrap();
        });
        assert!(
            gbk.contains("is not UTF-8")
                && gbk.contains("line 2")
                && gbk.contains(&format!("iconv -f GBK -t UTF-8 {name}")),
            "{gbk}"
        );
        let link = check(name, &|path| {
            std::os::unix::fs::symlink("nowhere", path).unwrap();
        });
        assert!(
            link.starts_with(&format!(
                "{name}: is a link to nowhere, which does not exist"
            )) && link.contains("fix the link"),
            "{link}"
        );
        assert!(
            check(name, &|path| fs::create_dir(path).unwrap())
                .starts_with(&format!("{name}: is a directory"))
        );
        assert!(check(name, &fifo).contains(named));
    }
}

#[test]
fn files_and_folders_that_keep_out_are_told_with_owner_mode_and_user() {
    if !nix::unistd::geteuid().is_root() {
        println!("there is no other user to be: left out");
        return;
    }
    let installed = Installed::new();
    fs::set_permissions(installed.file("hufu.toml"), Permissions::from_mode(0o640)).unwrap();
    let text = said(&installed.as_nobody(&["serve"]).output().unwrap());
    assert!(
        text.starts_with(
            "hufu.toml: cannot be read: it belongs to root, mode 0640, and this process runs as "
        ),
        "{text}"
    );
    assert!(text.contains("chmod 640 hufu.toml"), "{text}");
    let inner = installed.file("inner");
    fs::create_dir(&inner).unwrap();
    fs::rename(installed.file("hufu.toml"), inner.join("hufu.toml")).unwrap();
    fs::set_permissions(&inner, Permissions::from_mode(0o700)).unwrap();
    let text = said(
        &installed
            .as_nobody(&["check", "--config", "inner/hufu.toml"])
            .output()
            .unwrap(),
    );
    assert!(
        text.starts_with(
            "inner/hufu.toml: cannot be read: the folder inner belongs to root, mode 0700, and"
        ),
        "{text}"
    );
}

#[test]
fn the_unit_of_the_page_is_one_and_reads_the_env_that_init_writes() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md"))
        .unwrap();
    let unit = page
        .split("```ini\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    assert!(
        unit.contains("\nDynamicUser=yes\n") && unit.contains("\nEnvironmentFile=/etc/hufu/.env\n"),
        "{unit}"
    );
    assert!(
        unit.contains("serve --config /etc/hufu/hufu.toml\n"),
        "{unit}"
    );
    let Some(analyze) = program("systemd-analyze") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    // It looks whether the program is there.
    let file = folder.path().join("hufu.service");
    fs::write(
        &file,
        unit.replace("/usr/local/bin/hufu", env!("CARGO_BIN_EXE_hufu")),
    )
    .unwrap();
    let verified = Command::new(analyze)
        .args(["verify", "--man=no"])
        .arg(&file)
        .output()
        .unwrap();
    let complaints: Vec<_> = said(&verified)
        .lines()
        .filter(|line| line.contains("hufu.service"))
        .map(str::to_owned)
        .collect();
    assert!(
        verified.status.success() && complaints.is_empty(),
        "{complaints:?}\n{}",
        said(&verified)
    );
}

#[test]
fn a_slip_of_the_pen_is_a_warning_without_the_secret() {
    let installed = Installed::new();
    let check = |from: &str, to: &str| {
        let folder = tempfile::tempdir().unwrap();
        for name in ["hufu.toml", ".env"] {
            fs::write(
                folder.path().join(name),
                fs::read_to_string(installed.file(name))
                    .unwrap()
                    .replace(from, to),
            )
            .unwrap();
        }
        let mut command = installed.command(&["check"]);
        let checked = command.current_dir(folder.path()).output().unwrap();
        assert!(checked.status.success(), "{}", said(&checked));
        said(&checked)
            .lines()
            .filter(|line| line.starts_with("warning: hufu.toml"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(check("nothing", ""), [""; 0]);
    for (from, to, words) in [
        (
            SECRET,
            "0123456789abcdef0123456789abcde",
            ["apps.shop.secret", "31 characters"],
        ),
        (
            SECRET,
            "'0123456789abcdef0123456789abcdef '",
            ["apps.shop.secret", "space"],
        ),
        (
            "wx0123456789abcdef",
            "wx0123456789abcde",
            ["apps.shop.appid", "17 characters"],
        ),
        (
            "appid = \"wx0123456789abcdef\"",
            "appid = \"0123456789abcdef0123456789abcdef\"",
            ["apps.shop.appid", "AppSecret"],
        ),
    ] {
        let warnings = check(from, to);
        assert_eq!(warnings.len(), 1, "{to}: {warnings:?}");
        assert!(
            words.iter().all(|word| warnings[0].contains(word))
                && !warnings[0].contains("0123456789abcde"),
            "{warnings:?}"
        );
    }
    let elsewhere = tempfile::tempdir().unwrap();
    let mut init = installed.command(&[
        "init",
        "--appid",
        "wx0123",
        "--upstream",
        "http://127.0.0.1:9000",
    ]);
    let text = said(&init.current_dir(elsewhere.path()).output().unwrap());
    assert!(
        text.starts_with("warning: --appid has 6 characters") && text.contains("\nWrote hufu.toml"),
        "{text}"
    );
}

#[test]
fn what_init_says_of_another_redis_works_as_printed() {
    for (lang, before, after) in [
        ("en", "there already: ", ")\n"),
        ("zh", "已经有 Redis 的话：", "）\n"),
    ] {
        let installed = Installed::new();
        fs::remove_file(installed.file("hufu.toml")).unwrap();
        for name in [".env", "hufu.schema.json", "redis.conf"] {
            fs::remove_file(installed.file(name)).unwrap();
        }
        let text = said(
            &installed
                .command(&INIT)
                .args(["--lang", lang])
                .output()
                .unwrap(),
        );
        assert!(!text.contains("） 和"), "{text}");
        let line = text
            .split(before)
            .nth(1)
            .unwrap()
            .split(after)
            .next()
            .unwrap();
        let line = line
            .replace("HOST", "10.0.0.5")
            .replace("hufu init", "./hufu init");
        let again = Command::new("sh")
            .args(["-c", &line])
            .current_dir(installed.folder.path())
            .output()
            .unwrap();
        assert!(again.status.success(), "{line}: {}", said(&again));
        assert!(
            fs::read_to_string(installed.file("hufu.toml"))
                .unwrap()
                .contains("redis://10.0.0.5:6379/0")
        );
    }
}

#[test]
fn the_image_names_commands_as_they_are_called_outside_of_it() {
    let installed = Installed::new();
    fs::write(
        installed.file("hufu.toml"),
        "[apps.shop]\nappid = \"wx0123456789abcdef\"\nsecret = \"x\"\n",
    )
    .unwrap();
    let text = said(
        &installed
            .command(&["check"])
            .env("HUFU_IMAGE", "hufu")
            .output()
            .unwrap(),
    );
    assert!(
        text.contains("run `docker run --rm hufu keygen --env >> .env`")
            && !text.contains("`hufu keygen"),
        "{text}"
    );
}

#[tokio::test]
async fn a_trusted_proxy_that_says_nothing_is_told_of_once() {
    let echo = echo_upstream();
    let config = format!(
        "server.trusted_proxies = [\"127.0.0.1\"]\n{}",
        echo.route("/", "none")
    );
    let gateway = Gateway::start(&config);
    let send = async |header: Option<&str>| {
        let request = gateway.get("/x");
        let request = header.iter().fold(request, |request, value| {
            request.header("X-Forwarded-For", *value)
        });
        assert_eq!(request.await.status(), 200);
    };
    send(Some("198.51.100.7")).await;
    gateway.assert_not_logged("the trusted proxy");
    send(None).await;
    send(None).await;
    let told = until("the warning", async || {
        Some(gateway.stderr())
            .filter(|log| log.contains("the trusted proxy 127.0.0.1 sent a request without"))
    })
    .await;
    assert_eq!(told.matches("the trusted proxy").count(), 1, "{told}");
}
