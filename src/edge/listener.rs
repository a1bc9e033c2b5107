//! Where clients connect: a TCP address or a Unix socket.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use tokio::net::TcpSocket;

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;
/// Who may connect to a Unix socket: its owner and its group.
const MODE: u32 = 0o660;

/// A place to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// An address; port 0: any free one.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Listen {
    /// What to do when it cannot be had; `key` is what it is called where it was written.
    pub fn advice(&self, error: &io::Error, key: &str) -> String {
        match (error.kind(), self) {
            (io::ErrorKind::AddrInUse, _) => {
                format!("if another program has it, stop that one or choose another with {key}")
            }
            (io::ErrorKind::AddrNotAvailable, _) => format!(
                "this machine does not have that address: choose one that it has, or 0.0.0.0 for all, with {key}"
            ),
            (io::ErrorKind::PermissionDenied, Self::Tcp(address)) if address.port() < 1024 => {
                format!(
                    "ports below 1024 need CAP_NET_BIND_SERVICE; without it choose 8080 or another with {key}"
                )
            }
            (io::ErrorKind::PermissionDenied, Self::Unix(path)) => format!(
                "make the folder {} writable for the gateway's user",
                folder(path)
            ),
            (io::ErrorKind::NotFound, Self::Unix(path)) => format!(
                "create the folder {}, writable for the gateway's user",
                folder(path)
            ),
            _ => format!("choose another with {key}"),
        }
    }
}

fn folder(socket: &Path) -> std::path::Display<'_> {
    socket.parent().unwrap_or(socket).display()
}

/// An open listener.
#[derive(Debug)]
pub enum Listener {
    /// Of TCP.
    Tcp(TcpListener),
    /// Of a Unix socket.
    Unix(UnixListener),
}

impl Listener {
    pub fn open(at: &Listen) -> io::Result<Self> {
        match at {
            Listen::Tcp(address) => {
                let socket = if address.is_ipv4() {
                    TcpSocket::new_v4()
                } else {
                    TcpSocket::new_v6()
                }?;
                socket.set_reuseaddr(true)?;
                socket.bind(*address)?;
                Ok(Self::Tcp(socket.listen(BACKLOG)?.into_std()?))
            }
            Listen::Unix(path) => {
                remove_stale(path)?;
                let listener = UnixListener::bind(path)?;
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(MODE))?;
                Ok(Self::Unix(listener))
            }
        }
    }

    /// Where it is, with the port that it got.
    pub fn address(&self, configured: &Listen) -> io::Result<Listen> {
        match self {
            Self::Tcp(listener) => Ok(Listen::Tcp(listener.local_addr()?)),
            Self::Unix(_) => Ok(configured.clone()),
        }
    }

    /// The file that is to go when nothing is accepted any more: of a Unix socket.
    pub fn file(&self, configured: &Listen) -> io::Result<Option<SocketFile>> {
        match configured {
            Listen::Unix(path) => Ok(Some(SocketFile {
                path: path.clone(),
                number: number(path)?,
            })),
            Listen::Tcp(_) => Ok(None),
        }
    }
}

/// The file of a Unix socket, which is removed when this is dropped. Whatever else has taken its
/// place by then stays.
///
/// Drop it while the socket is still open: so long nobody takes the file for one that was left
/// behind, nor does another file get its number.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    number: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if number(&self.path).is_ok_and(|found| found == self.number)
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            log::warn!(
                "cannot remove the socket {}: {error}; the next start replaces it",
                self.path.display()
            );
        }
    }
}

fn number(path: &Path) -> io::Result<(u64, u64)> {
    std::fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

/// Removes the socket that a process has left behind: one that nobody listens on. Anything else at
/// its path stays.
fn remove_stale(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "a file that is not a socket is in the way",
        )),
        Ok(_) if UnixStream::connect(path).is_ok() => Err(io::ErrorKind::AddrInUse.into()),
        Ok(_) => std::fs::remove_file(path),
        Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who runs as root may take every port, so only this shows what others are told.
    #[test]
    fn a_low_port_needs_a_capability() {
        let forbidden = Listen::Tcp("127.0.0.1:443".parse().unwrap())
            .advice(&io::ErrorKind::PermissionDenied.into(), "server.listen");
        assert!(
            forbidden.contains("CAP_NET_BIND_SERVICE") && forbidden.contains("8080"),
            "{forbidden}"
        );
    }

    #[test]
    fn a_socket_that_was_left_behind_is_replaced_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let at = Listen::Unix(folder.path().join("hufu.sock"));
        drop(Listener::open(&at).unwrap());
        let living = Listener::open(&at).unwrap();
        let mode = std::fs::metadata(folder.path().join("hufu.sock"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(
            (mode & 0o777, at.to_string().starts_with("unix:/")),
            (MODE, true)
        );
        assert_eq!(
            Listener::open(&at).unwrap_err().kind(),
            io::ErrorKind::AddrInUse
        );
        drop(living);
        let file = folder.path().join("file");
        std::fs::write(&file, "precious").unwrap();
        assert!(Listener::open(&Listen::Unix(file.clone())).is_err());
        assert_eq!(std::fs::read_to_string(file).unwrap(), "precious");
    }

    #[test]
    fn the_socket_goes_at_the_end_and_nothing_that_took_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hufu.sock");
        let at = Listen::Unix(path.clone());
        let listener = Listener::open(&at).unwrap();
        drop(listener.file(&at).unwrap());
        assert!(!path.exists());
        drop(listener);

        let replaced = Listener::open(&at).unwrap();
        let file = replaced.file(&at).unwrap();
        std::fs::remove_file(&path).unwrap();
        let other = Listener::open(&at).unwrap();
        drop(file);
        assert!(
            UnixStream::connect(&path).is_ok(),
            "the other's socket is there"
        );

        let file = other.file(&at).unwrap();
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "precious").unwrap();
        drop(file);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
        std::fs::remove_file(&path).unwrap();

        let gone = Listener::open(&at).unwrap().file(&at).unwrap();
        std::fs::remove_file(&path).unwrap();
        drop(gone);
    }
}
