//! Secrets that stand in two places, so that whoever may know the one knows the other.

use super::reader::{PlacedSecret, Section};
use crate::secret::Secret;

/// These are known to others than the gateway: a backend, an operator. Within one of these tables
/// the reader of the table looks for twins.
const GIVEN_AWAY: [&str; 3] = ["login.hook.", "platform_api.clients.", "admin."];

/// Refuses a secret of somebody else's that is another secret too.
pub(super) fn check(root: &Section<'_>) {
    let secrets = root.reader.secrets.borrow().clone();
    for (index, given) in secrets.iter().enumerate() {
        let is_empty = given.secret.expose().is_empty();
        let Some(table) = table_of(given).filter(|_| !is_empty) else {
            continue;
        };
        let is_twin = |(at, other): &(usize, &PlacedSecret)| {
            // Of two that are given away, the later one is told of.
            let is_told = table_of(other).is_none() || *at < index;
            is_told && !other.path.starts_with(table) && is_in(&given.secret, &other.secret)
        };
        if let Some((_, twin)) = secrets.iter().enumerate().find(is_twin) {
            root.fault(
                given.line,
                &given.path,
                &format!("is the same secret as {}", twin.path),
                "make one of its own with `hufu keygen`",
            );
        }
    }
}

fn table_of(secret: &PlacedSecret) -> Option<&'static str> {
    let mut tables = GIVEN_AWAY.into_iter();
    tables.find(|table| secret.path.starts_with(table))
}

/// Whether the other is this one, also behind a word such as `Bearer`.
fn is_in(secret: &Secret<String>, other: &Secret<String>) -> bool {
    let word = other.expose().rsplit(' ').next();
    other == secret || word == Some(secret.expose().as_str())
}
