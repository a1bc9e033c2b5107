//! The store inside the process: what Redis would hold, byte for byte, in a map. It forgets when
//! the process ends.
//!
//! - `held`: the keys and their expiries
//! - `index`: a user's hash
//! - `cells`, `limits`: cells of limits
//! - `login_codes`: reservations of login codes
//! - `store`: the store; `rotation` and `devices` have what it does with tokens and with all
//!   sessions of a user

mod cells;
mod devices;
mod held;
mod index;
mod limits;
mod login_codes;
mod rotation;
mod store;

pub use held::StoredEntry;
pub use store::MemorySessionStore;
