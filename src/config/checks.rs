//! Questions about files that the configuration names.

use std::fs;
use std::path::Path;

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
    match fs::read(path) {
        Ok(_) if path.is_dir() => Err("is a directory".to_owned()),
        Ok(bytes) => String::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned()),
        Err(_) if path.is_dir() => Err("is a directory".to_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err("does not exist".to_owned()),
        Err(error) => Err(format!("cannot be read: {error}")),
    }
}
