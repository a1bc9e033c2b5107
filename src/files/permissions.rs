//! Whose a file is, and who this process is.

use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use nix::unistd::{Uid, User, geteuid};

/// Says who may open a file that this process may not open. It describes the file itself or, if that
/// cannot be seen, the folder that prevents it.
pub(super) fn describe(path: &Path) -> Option<String> {
    let me = user(geteuid());
    let (place, meta) = visible(path)?;
    let subject = if place == path {
        "it".to_owned()
    } else {
        format!("the folder {}", place.display())
    };
    Some(format!(
        "{subject} belongs to {}, mode {:04o}, and this process runs as {me}",
        user(Uid::from_raw(meta.uid())),
        meta.permissions().mode() & 0o7777
    ))
}

/// The file, or the innermost folder around it that can be seen.
fn visible(path: &Path) -> Option<(&Path, Metadata)> {
    let mut place = path;
    loop {
        match fs::metadata(place) {
            Ok(meta) => return Some((place, meta)),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                let parent = place.parent()?;
                place = if parent.as_os_str().is_empty() {
                    Path::new(".")
                } else {
                    parent
                };
            }
            Err(_) => return None,
        }
    }
}

fn user(uid: Uid) -> String {
    match User::from_uid(uid) {
        Ok(Some(user)) => user.name,
        _ => format!("the user {uid}"),
    }
}
