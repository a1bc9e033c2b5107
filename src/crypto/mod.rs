//! Hashing, sealing, open data. Everything secret-dependent compares in constant time.

pub mod encoding;
pub mod hash;
pub mod keyring;
pub mod open_data;
pub mod push;
pub mod random;
pub mod signing;
