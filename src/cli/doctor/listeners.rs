//! Whether the addresses to listen on can be had.

use std::fmt::Display;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::diagnostic::{DiagnosedSubject, Diagnostic};
use crate::edge::Listen;

/// `platform_api`: of the backends' listener, where there is one.
pub(super) fn diagnose(
    public: &Listen,
    admin: SocketAddr,
    platform_api: Option<&Listen>,
) -> DiagnosedSubject {
    let mut diagnostics = vec![
        diagnose_place("server.listen", public),
        diagnose_one("admin.listen", admin),
    ];
    diagnostics.extend(platform_api.map(|at| diagnose_place("platform_api.listen", at)));
    DiagnosedSubject {
        subject: "listeners".to_owned(),
        diagnostics,
    }
}

fn diagnose_place(key: &'static str, at: &Listen) -> Diagnostic {
    match at {
        Listen::Tcp(address) => diagnose_one(key, *address),
        Listen::Unix(path) => diagnose_socket(key, path),
    }
}

/// Nothing is made here: a gateway that starts at this moment must not find somebody else's socket.
fn diagnose_socket(key: &'static str, path: &Path) -> Diagnostic {
    let shown = path.display();
    if UnixStream::connect(path).is_ok() {
        return in_use(key, shown);
    }
    if path.parent().is_some_and(Path::is_dir) {
        Diagnostic::ok(key, format!("{shown} is free"))
    } else {
        Diagnostic::fail(
            key,
            format!("{shown}: the folder does not exist"),
            "make the folder, writable for the gateway's user",
        )
    }
}

fn diagnose_one(key: &'static str, address: SocketAddr) -> Diagnostic {
    match TcpListener::bind(address) {
        Ok(_) => Diagnostic::ok(key, format!("{address} is free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse => in_use(key, address),
        Err(error) => Diagnostic::fail(
            key,
            format!("{address}: {error}"),
            Listen::Tcp(address).advice(&error, key),
        ),
    }
}

fn in_use(key: &'static str, at: impl Display) -> Diagnostic {
    Diagnostic::note(
        key,
        format!("{at} is in use"),
        format!("by a running gateway? If by something else, choose another {key}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Verdict;

    #[test]
    fn an_address_that_is_taken_is_worth_knowing_and_a_foreign_one_fails() {
        let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let verdict = |address| diagnose_one("server.listen", address).verdict;
        assert_eq!(verdict(taken.local_addr().unwrap()), Verdict::Note);
        assert_eq!(verdict("127.0.0.1:0".parse().unwrap()), Verdict::Ok);
        assert_eq!(verdict("192.0.2.1:0".parse().unwrap()), Verdict::Fail);
    }

    #[test]
    fn a_socket_is_looked_at_without_being_made() {
        let folder = tempfile::tempdir().unwrap();
        let free = folder.path().join("free");
        let taken = folder.path().join("taken");
        let _listener = std::os::unix::net::UnixListener::bind(&taken).unwrap();
        let verdict = |path: &Path| diagnose_socket("server.listen", path).verdict;
        assert_eq!(
            (
                verdict(&free),
                verdict(&taken),
                verdict(&free.join("deeper"))
            ),
            (Verdict::Ok, Verdict::Note, Verdict::Fail)
        );
        assert!(!free.exists());
    }
}
