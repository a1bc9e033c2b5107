//! The packages, made of the binary that is tested and installed from their files as a user would.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::helpers::{Server, http, programs::program};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The output of a command that must succeed.
fn run(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        output.status.success(),
        "{command:?}: {}\n{text}",
        output.status
    );
    text
}

/// All packages, made once for all tests; `None`: what makes them cannot be had here, as a line of
/// `tests/tools.sh` said.
fn packages() -> Option<&'static Path> {
    static MADE: OnceLock<Option<TempDir>> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        program("package-tools")?;
        let folder = tempfile::tempdir().unwrap();
        run(Command::new("sh")
            .arg(format!("{ROOT}/packaging/dist.sh"))
            .arg(folder.path())
            .env("HUFU_BIN", env!("CARGO_BIN_EXE_hufu")));
        Some(folder)
    });
    made.as_ref().map(TempDir::path)
}

/// The one package whose name ends so.
fn package(folder: &Path, ending: &str) -> PathBuf {
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path());
    let found: Vec<_> = files
        .filter(|file| file.to_str().unwrap().ends_with(ending))
        .collect();
    assert_eq!(found.len(), 1, "{ending} in {folder:?}");
    found[0].clone()
}

/// Starts the demo by a command and asks it for its health.
async fn demo_answers(name: &str, command: impl Fn() -> Command) {
    let server = Server::start(name, |port, folder| {
        let mut command = command();
        command
            .args(["demo", "--listen", &format!("127.0.0.1:{port}")])
            .env("HOME", folder);
        command
    });
    let answer = http()
        .get(format!("http://{}/auth/healthz", server.address()))
        .await;
    assert_eq!(answer.status(), 200, "{}", server.output());
}

/// The newest symbols of the C library that a program needs: the 17 of `GLIBC_2.17`.
fn needed_glibc(binary: &Path) -> u32 {
    let symbols = run(Command::new("objdump").arg("-T").arg(binary));
    let versions = symbols.split("GLIBC_2.").skip(1).map(|rest| {
        rest.split(|c: char| !c.is_ascii_digit())
            .next()
            .unwrap()
            .parse()
            .unwrap()
    });
    versions.max().unwrap()
}

#[tokio::test]
async fn the_npm_package_runs_the_demo() {
    let (Some(packages), Some(npm)) = (packages(), program("npm")) else {
        return;
    };
    let project = tempfile::tempdir().unwrap();
    std::fs::write(
        project.path().join("package.json"),
        r#"{"name":"shop","private":true}"#,
    )
    .unwrap();
    // Both given: nothing is asked of a registry.
    let machine = if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "x64"
    };
    run(Command::new(&npm)
        .args(["install", "--offline", "--no-audit", "--no-fund"])
        .arg(package(
            packages,
            &format!("linux-{machine}-{}.tgz", env!("CARGO_PKG_VERSION")),
        ))
        .arg(packages.join(format!("hufu-{}.tgz", env!("CARGO_PKG_VERSION"))))
        .current_dir(project.path()));
    let npx = npm.with_file_name("npx");
    let version = run(Command::new(&npx)
        .args(["--offline", "hufu", "--version"])
        .current_dir(project.path()));
    assert!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");
    let refused = Command::new(&npx)
        .args(["--offline", "hufu", "no-such-command"])
        .current_dir(project.path())
        .output()
        .unwrap();
    assert_eq!(
        refused.status.code(),
        Some(2),
        "the wrapper ends as the gateway does"
    );
    demo_answers("npx hufu demo", || {
        let mut command = Command::new(&npx);
        command
            .args(["--offline", "hufu"])
            .current_dir(project.path());
        command
    })
    .await;
}

#[tokio::test]
async fn the_wheel_runs_the_demo() {
    let Some(packages) = packages() else { return };
    let wheel = package(packages, ".whl");
    let environment = tempfile::tempdir().unwrap();
    run(Command::new("python3")
        .args(["-m", "venv"])
        .arg(environment.path()));
    run(Command::new(environment.path().join("bin/pip"))
        .args([
            "install",
            "--quiet",
            "--no-index",
            "--disable-pip-version-check",
        ])
        .arg(&wheel));
    demo_answers("hufu demo", || {
        Command::new(environment.path().join("bin/hufu"))
    })
    .await;
    // pip takes it on exactly the systems that have these symbols.
    let needs = needed_glibc(&environment.path().join("bin/hufu"));
    let name = wheel.file_name().unwrap().to_str().unwrap();
    assert!(
        name.ends_with(&format!(
            "-py3-none-manylinux_2_{needs}_{}.whl",
            std::env::consts::ARCH
        )),
        "{name} needs glibc 2.{needs}"
    );
}

#[tokio::test]
async fn the_archive_has_all_and_runs() {
    let Some(packages) = packages() else { return };
    let folder = tempfile::tempdir().unwrap();
    run(Command::new("tar")
        .arg("-xzf")
        .arg(package(packages, ".tar.gz"))
        .args(["--strip-components", "1", "-C"])
        .arg(folder.path()));
    for file in [
        "hufu.toml",
        "redis.conf",
        "LICENSE",
        "hufu.service",
        "hufu.1",
        "hufu.schema.json",
        "completions/hufu.bash",
        "completions/_hufu",
        "completions/hufu.fish",
    ] {
        assert!(
            std::fs::metadata(folder.path().join(file))
                .unwrap_or_else(|error| panic!("{file}: {error}"))
                .len()
                > 0,
            "{file}"
        );
    }
    demo_answers("the archive's hufu demo", || {
        Command::new(folder.path().join("hufu"))
    })
    .await;
    run(Command::new("sha256sum")
        .args(["--check", "--strict", "SHA256SUMS"])
        .current_dir(packages));
    let listed = std::fs::read_to_string(packages.join("SHA256SUMS"))
        .unwrap()
        .lines()
        .count();
    assert_eq!(
        listed,
        std::fs::read_dir(packages).unwrap().count() - 1,
        "each file but the list itself"
    );
}

#[test]
fn the_bill_of_materials_names_every_crate() {
    let Some(packages) = packages() else { return };
    let text = std::fs::read_to_string(package(packages, ".cdx.json")).unwrap();
    let bill: serde_json::Value = serde_json::from_str(&text).unwrap();
    let names: Vec<_> = bill["components"]
        .as_array()
        .unwrap()
        .iter()
        .map(|component| component["name"].as_str().unwrap())
        .collect();
    for name in ["actix-http", "redis", "reqwest", "rustls", "ring"] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    assert!(!names.contains(&"proptest"), "tests are in no binary");
    assert!(
        !text.contains(ROOT),
        "the bill names a folder of the machine that it was made on"
    );
}

#[test]
fn the_debian_package_installs_with_its_user_and_unit() {
    let (Some(packages), Some(dpkg)) = (packages(), program("dpkg")) else {
        return;
    };
    let deb = package(packages, ".deb");
    let root = tempfile::tempdir().unwrap();
    let at = |path: &str| root.path().join(path);
    std::fs::create_dir_all(at("var/lib/dpkg")).unwrap();
    std::fs::write(at("var/lib/dpkg/status"), "").unwrap();
    // Into a folder, and without the dependencies, which are this system's: nothing of the machine
    // changes.
    let installed = run(Command::new(dpkg)
        .arg(format!("--root={}", root.path().display()))
        .args([
            "--force-not-root",
            "--force-script-chrootless",
            "--force-depends",
            "--log=/dev/null",
            "--install",
        ])
        .arg(&deb)
        .env("DEBIAN_FRONTEND", "noninteractive"));
    assert!(
        installed.contains("not started") && installed.contains("/etc/hufu/hufu.toml"),
        "{installed}"
    );
    let version = run(Command::new(at("usr/bin/hufu")).arg("--version"));
    assert!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");
    let conffiles = run(Command::new("dpkg-deb")
        .args(["--info"])
        .arg(&deb)
        .arg("conffiles"));
    assert!(
        conffiles.lines().any(|line| line == "/etc/hufu/hufu.toml"),
        "{conffiles}"
    );
    let users = std::fs::read_to_string(at("etc/passwd")).unwrap();
    assert!(
        users
            .lines()
            .any(|line| line.starts_with("hufu:") && line.ends_with("/usr/sbin/nologin")),
        "{users}"
    );
    // The configuration that comes along is one to be filled in, and right otherwise.
    let checked = Command::new(at("usr/bin/hufu"))
        .arg("check")
        .arg("--config")
        .arg(at("etc/hufu/hufu.toml"))
        .envs([
            ("HUFU_KEY", "A".repeat(43)),
            ("HUFU_NAMING_KEY", "B".repeat(43)),
            ("WX_SECRET", "0".repeat(32)),
        ])
        .output()
        .unwrap();
    assert_ne!(checked.status.code(), Some(101), "{checked:?}");

    let Some(analyze) = program("systemd-analyze") else {
        return;
    };
    let unit = std::fs::read_to_string(at("usr/lib/systemd/system/hufu.service"))
        .or_else(|_| std::fs::read_to_string(at("lib/systemd/system/hufu.service")))
        .unwrap();
    // The file that it starts is in the folder, and the user is not made in it.
    let unit = unit
        .replace("/usr/bin/hufu", at("usr/bin/hufu").to_str().unwrap())
        .replace("User=hufu\nGroup=hufu\n", "");
    let copy = at("hufu.service");
    std::fs::write(&copy, unit).unwrap();
    let said = run(Command::new(analyze)
        .args(["verify", "--man=no"])
        .arg(&copy));
    assert!(!said.contains("hufu.service"), "{said}");
}
