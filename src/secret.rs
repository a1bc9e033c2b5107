//! A value that must not be seen: it prints nothing, compares in constant time and is wiped when
//! dropped.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// Holds an app secret, a key, a session_key or a token. The only way to the value is
/// [`Secret::expose`], so that every place that takes it out can be found.
#[derive(Clone)]
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Takes the value into hiding.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself, for the one line that needs it.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

impl<T: Zeroize + AsRef<[u8]>> PartialEq for Secret<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_ref().ct_eq(other.0.as_ref()).into()
    }
}

impl<T: Zeroize + AsRef<[u8]>> Eq for Secret<T> {}

impl From<String> for Secret<String> {
    fn from(value: String) -> Self {
        Self::new(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_prints_nothing_of_the_value() {
        let secret = Secret::new("tiger".to_owned());
        assert_eq!(format!("{secret:?}"), "[hidden]");
        assert_eq!(secret, Secret::new("tiger".to_owned()));
        assert_ne!(secret, Secret::new("lion".to_owned()));
    }
}
