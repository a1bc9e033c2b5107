//! Small files that the configuration names: certificates, keys, secrets. What is no ordinary file
//! is an error at once, so that none makes its reader wait (a FIFO) or read without end
//! (`/dev/zero`).

pub mod pem;
mod permissions;
mod pipe;

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use std::time::Duration;

use zeroize::Zeroizing;

/// Longest file, in bytes.
const LONGEST: u64 = 1 << 20;
/// How long a FIFO may have no writer.
const PATIENCE: Duration = Duration::from_secs(5);
/// What Windows' editors begin a file with.
const BOM: &[u8] = "\u{feff}".as_bytes();

/// Why a file has no content for us; its text follows the file's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// There is none.
    #[error("does not exist")]
    Missing,
    /// A symbolic link to none.
    #[error("is a link to {0}, which does not exist")]
    Dangling(String),
    /// A directory, a FIFO, a device, a socket.
    #[error("is {0}")]
    NotAFile(&'static str),
    /// Longer than anything that belongs here.
    #[error("is longer than 1 MiB, so it is probably the wrong file")]
    TooLong,
    /// The text says who may read it, and as which user this process runs.
    #[error("cannot be read: {0}")]
    Denied(String),
    /// What the operating system said.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// Bytes that are no text.
    #[error("is not UTF-8, but {}: line {line} is the first to show it", if *.wide { "UTF-16" } else { "another encoding, such as GBK" })]
    NotUtf8 {
        /// The first line that has such.
        line: usize,
        /// Whether it says itself that it is UTF-16.
        wide: bool,
    },
}

impl FileError {
    /// What to do; `file` is what the operator calls it.
    pub fn advice(&self, file: &str) -> String {
        match self {
            Self::NotUtf8 { wide, .. } => {
                let from = if *wide { "UTF-16" } else { "GBK" };
                format!(
                    "save it as UTF-8 in the editor, or convert it: iconv -f {from} -t UTF-8 {file} > NEW"
                )
            }
            Self::Dangling(_) => "create that file, or fix the link".to_owned(),
            _ => "name a file that the gateway's user can read".to_owned(),
        }
    }
}

/// Whether it is a file that can be opened.
pub fn check(path: &Path) -> Result<(), FileError> {
    open(path).map(|_| ())
}

/// The content, without a byte order mark.
pub fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let file = open(path)?;
    let length = file.metadata().map_or(0, |found| found.len());
    content(path, length, file)
}

/// The same as text.
pub fn read_text(path: &Path) -> Result<Zeroizing<String>, FileError> {
    text(&read(path)?)
}

/// The text of what somebody names on a command line, who may have it come out of a pipe.
pub fn read_piped_text(path: &Path) -> Result<Zeroizing<String>, FileError> {
    if path.is_dir() {
        return Err(FileError::NotAFile("a directory"));
    }
    let opened = fs::metadata(path).and_then(|found| {
        let file: Box<dyn Read> = if kind(found.file_type()) == FIFO {
            Box::new(pipe::open(path, PATIENCE)?)
        } else {
            Box::new(File::open(path)?)
        };
        Ok((found.len(), file))
    });
    let (length, file) = opened.map_err(|error| unreadable(path, &error))?;
    text(&content(path, length, file)?)
}

fn content(path: &Path, length: u64, file: impl Read) -> Result<Zeroizing<Vec<u8>>, FileError> {
    // Room for all of it at once: a vector that grows leaves what it held behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(
        usize::try_from(length.min(LONGEST)).unwrap_or_default() + 32,
    ));
    file.take(LONGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(path, &error))?;
    if bytes.len() as u64 > LONGEST {
        return Err(FileError::TooLong);
    }
    if bytes.starts_with(BOM) {
        bytes.drain(..BOM.len());
    }
    Ok(bytes)
}

fn text(bytes: &[u8]) -> Result<Zeroizing<String>, FileError> {
    std::str::from_utf8(bytes)
        .map(|text| Zeroizing::new(text.to_owned()))
        .map_err(|error| FileError::NotUtf8 {
            line: bytes[..error.valid_up_to()]
                .iter()
                .filter(|b| **b == b'\n')
                .count()
                + 1,
            wide: bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]),
        })
}

/// Looked at first: to open a FIFO is to wait for its writer.
fn open(path: &Path) -> Result<File, FileError> {
    let found = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    if !found.is_file() {
        return Err(FileError::NotAFile(kind(found.file_type())));
    }
    File::open(path).map_err(|error| unreadable(path, &error))
}

/// Where the permissions are the reason, it says who may and who has tried.
fn unreadable(path: &Path, error: &io::Error) -> FileError {
    match error.kind() {
        ErrorKind::NotFound => fs::read_link(path).map_or(FileError::Missing, |to| {
            FileError::Dangling(to.display().to_string())
        }),
        ErrorKind::PermissionDenied => {
            FileError::Denied(permissions::describe(path).unwrap_or_else(|| error.to_string()))
        }
        _ => FileError::Unreadable(error.to_string()),
    }
}

const FIFO: &str = "a FIFO";

fn kind(kind: fs::FileType) -> &'static str {
    match kind {
        _ if kind.is_dir() => "a directory",
        _ if kind.is_fifo() => FIFO,
        _ if kind.is_socket() => "a socket",
        _ => "a device",
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;

    #[test]
    fn what_is_no_file_is_an_error_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        mkfifo(&at("fifo"), Mode::S_IRWXU).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        fs::write(at("long"), vec![b'x'; 1 << 20]).unwrap();
        fs::write(at("longer"), vec![b'x'; (1 << 20) + 1]).unwrap();
        fs::write(at("latin"), b"caf\xe9").unwrap();
        fs::write(at("gbk"), b"tiger\n\xbb\xa2\n").unwrap();
        fs::write(at("wide"), b"\xff\xfex\0").unwrap();
        std::os::unix::fs::symlink(at("long"), at("link")).unwrap();
        std::os::unix::fs::symlink("nowhere", at("dangling")).unwrap();
        for (path, error) in [
            (folder.path().to_owned(), FileError::NotAFile("a directory")),
            (at("fifo"), FileError::NotAFile("a FIFO")),
            (at("socket"), FileError::NotAFile("a socket")),
            ("/dev/zero".into(), FileError::NotAFile("a device")),
            (at("none"), FileError::Missing),
            (at("longer"), FileError::TooLong),
            (
                at("latin"),
                FileError::NotUtf8 {
                    line: 1,
                    wide: false,
                },
            ),
            (
                at("gbk"),
                FileError::NotUtf8 {
                    line: 2,
                    wide: false,
                },
            ),
            (
                at("wide"),
                FileError::NotUtf8 {
                    line: 1,
                    wide: true,
                },
            ),
            (at("dangling"), FileError::Dangling("nowhere".to_owned())),
        ] {
            assert_eq!(read_text(&path).unwrap_err(), error, "{path:?}");
            assert_eq!(
                check(&path).is_ok(),
                matches!(error, FileError::TooLong | FileError::NotUtf8 { .. }),
                "{path:?}"
            );
        }
        assert_eq!(read(&at("link")).unwrap().len(), 1 << 20);
    }

    #[test]
    fn a_byte_order_mark_is_read_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text");
        for (content, text) in [
            ("\u{feff}tiger\r\n", "tiger\r\n"),
            ("tiger", "tiger"),
            ("\u{feff}", ""),
            ("", ""),
        ] {
            fs::write(&path, content).unwrap();
            assert_eq!(read_text(&path).unwrap().as_str(), text);
        }
    }
}
