//! Questions about files that the configuration names.

use std::fs;
use std::path::Path;

/// Whether every user of the machine can read the file. Secrets that a container gets (Docker,
/// Kubernetes) are so by default, and there is nobody else in the container.
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
