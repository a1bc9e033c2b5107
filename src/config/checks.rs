//! Questions about files that the configuration names.

use std::fs;
use std::io::Read as _;
use std::path::Path;

/// Longest file, in bytes: `/dev/zero` has no end.
const LONGEST: u64 = 1 << 20;

/// Whether every user of the machine can read the file. Secrets that a container gets (Docker, Kubernetes) are so by default, and
/// there is nobody else in the container.
#[cfg(unix)]
pub(super) fn readable_by_all(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    let of_container = path.starts_with("/run/secrets") || path.starts_with("/var/run/secrets");
    !of_container && fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o004 != 0)
}

/// Whether every user of the machine can read the file: not told by permission bits here.
#[cfg(not(unix))]
pub(super) fn readable_by_all(_path: &Path) -> bool {
    false
}

/// The content of a small text file, or why there is none.
pub(super) fn read_text(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_end(&mut bytes));
    match read.map(|_| bytes) {
        Ok(bytes) if bytes.len() as u64 > LONGEST => Err("is longer than 1 MiB, so it is most likely another file than meant".to_owned()),
        Ok(_) if path.is_dir() => Err("is a directory".to_owned()),
        Ok(bytes) => String::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned()),
        Err(_) if path.is_dir() => Err("is a directory".to_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err("does not exist".to_owned()),
        Err(error) => Err(format!("cannot be read: {error}")),
    }
}
