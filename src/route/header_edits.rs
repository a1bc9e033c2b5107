//! Headers that a route sets or removes.

use std::fmt;

/// What a route changes in the headers of a request or an answer; the reader of the configuration
/// has refused what must not be touched.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct HeaderEdits {
    /// Name and value, in the place of whatever came under this name.
    pub set: Vec<(String, String)>,
    /// Names that do not go on.
    pub remove: Vec<String>,
    /// Names that go on though backends believe them.
    pub allow: Vec<String>,
}

impl fmt::Debug for HeaderEdits {
    /// The names: a value may be a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

impl HeaderEdits {
    /// Every name that is set or removed.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.set
            .iter()
            .map(|(name, _)| name.as_str())
            .chain(self.remove.iter().map(String::as_str))
    }
}
