//! Servers and proxies of others, as `tests/tools.sh` has installed them.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::wait::until_blocking;

/// The program, or nothing where `tests/tools.sh` could not have it: then a line says so, and the
/// test passes without.
///
/// # Panics
///
/// If it is missing and `tests/tools.sh` has not said that it cannot be had: a check that is left
/// out must not look like one that held.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-tools");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = [tools.join("python/bin"), tools.join("bin")]
        .into_iter()
        .chain(std::env::split_paths(&path))
        .chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    // Debian writes the version behind the name of php-fpm.
    let is_it = |found: &str| {
        found == name
            || found.strip_prefix(name).is_some_and(|version| {
                !version.is_empty() && version.chars().all(|c| c.is_ascii_digit() || c == '.')
            })
    };
    for folder in folders {
        let Ok(files) = std::fs::read_dir(&folder) else {
            continue;
        };
        let mut found: Vec<_> = files
            .filter_map(Result::ok)
            .filter(|file| file.file_name().to_str().is_some_and(is_it))
            .map(|file| file.path())
            .collect();
        found.sort();
        if let Some(found) = found.pop() {
            return Some(found);
        }
    }
    assert_absent(name);
    None
}

/// A Python that has a module of `tests/requirements.txt`, or nothing where that cannot be had.
///
/// # Panics
///
/// As [`program`].
pub(crate) fn python_with(module: &str) -> Option<PathBuf> {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-tools/python/bin/python");
    let has = Command::new(&python)
        .args(["-c", &format!("import {module}")])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !has {
        assert_absent(module);
    }
    has.then_some(python)
}

/// Node, if it has a package that `tests/tools.sh` has installed, or nothing where that cannot be
/// had.
///
/// # Panics
///
/// As [`program`].
pub(crate) fn node_with(package: &str) -> Option<PathBuf> {
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-tools/node/node_modules");
    if modules.join(package).is_dir() {
        return program("node");
    }
    assert_absent(package);
    None
}

fn assert_absent(name: &str) {
    let absent = std::fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-tools/absent"),
    )
    .unwrap_or_default();
    assert!(
        absent.lines().any(|line| line == name),
        "{name} is missing: run `sh tests/tools.sh` once, which installs it or notes that it cannot be had"
    );
    println!("{name} cannot be had here: left out");
}

/// A free port below those that the system gives to others who ask for any, and another one each
/// time: so no test of this process takes it between its choice and the server's start.
pub(super) fn port() -> u16 {
    const FIRST: u32 = 10_000;
    const PORTS: u32 = 22_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let at = std::process::id()
            .wrapping_mul(977)
            .wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(FIRST + at % PORTS).unwrap();
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// Such a server on a free port of its own, in a folder of its own; it and all that it has started
/// are killed when the value is dropped.
pub(crate) struct Server {
    child: Child,
    folder: TempDir,
    port: u16,
}

impl Server {
    /// Starts what `command` makes of a free port of 127.0.0.1 and an empty folder, and waits until
    /// it accepts connections. `name` is for messages.
    pub(crate) fn start(name: &str, command: impl Fn(u16, &Path) -> Command) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("output");
        // Another process may take the port before the server does: choose again.
        let (child, port) = until_blocking(&format!("{name} on a free port"), || {
            let port = port();
            let log = File::create(&output).unwrap();
            let mut command = command(port, folder.path());
            command
                .stdin(Stdio::null())
                .stdout(log.try_clone().unwrap())
                .stderr(log)
                .process_group(0);
            let mut child = command
                .spawn()
                .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
            let up = until_blocking(&format!("{name} to accept connections or to end"), || {
                let ended = child.try_wait().unwrap().is_some();
                (ended || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()).then_some(!ended)
            });
            if !up {
                eprintln!(
                    "{name} ended: {}",
                    std::fs::read_to_string(&output).unwrap_or_default()
                );
            }
            up.then_some((child, port))
        });
        Self {
            child,
            folder,
            port,
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// What it has written to its outputs, for messages of tests.
    pub(crate) fn output(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("output")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = killpg(
            Pid::from_raw(self.child.id().cast_signed()),
            Signal::SIGKILL,
        );
        let _ = self.child.wait();
    }
}
