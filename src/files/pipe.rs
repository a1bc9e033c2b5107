//! Text out of a pipe. To open one in the ordinary way is to wait until somebody writes, and nobody
//! may.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use nix::fcntl::OFlag;

/// How often it is looked again.
const PAUSE: Duration = Duration::from_millis(20);

/// A pipe of which nothing has been read yet, or some.
pub(super) struct Pipe {
    file: File,
    /// How long nobody may have it open for writing.
    patience: Duration,
    /// Whether somebody has had.
    has_writer: bool,
}

/// Opens one, without waiting.
pub(super) fn open(path: &Path, patience: Duration) -> io::Result<Pipe> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)?;
    Ok(Pipe {
        file,
        patience,
        has_writer: false,
    })
}

impl Read for Pipe {
    /// Waits for a writer that is there for as long as it takes: it may have asked somebody for a
    /// password.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut waited = Duration::ZERO;
        loop {
            match self.file.read(buffer) {
                Ok(0) if !self.has_writer && waited < self.patience => {}
                Ok(0) if !self.has_writer => {
                    return Err(io::Error::new(
                        ErrorKind::TimedOut,
                        "it is a FIFO without a writer",
                    ));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.has_writer = true,
                result => {
                    self.has_writer = true;
                    return result;
                }
            }
            sleep(PAUSE);
            waited += PAUSE;
        }
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;

    #[test]
    fn a_writer_is_waited_for_and_nobody_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fifo");
        mkfifo(&path, Mode::S_IRWXU).unwrap();
        let mut text = String::new();
        let error = open(&path, Duration::from_millis(1))
            .unwrap()
            .read_to_string(&mut text)
            .unwrap_err();
        assert_eq!((error.kind(), text.as_str()), (ErrorKind::TimedOut, ""));
        let mut pipe = open(&path, Duration::from_secs(60)).unwrap();
        let writer = std::thread::spawn(move || std::fs::write(path, "tiger"));
        pipe.read_to_string(&mut text).unwrap();
        writer.join().unwrap().unwrap();
        assert_eq!(text, "tiger");
    }
}
