//! The store inside the process: what Redis would hold, byte for byte, in a map. It forgets when
//! the process ends.
//!
//! - `store`: the store; `sessions`, `login_codes`, `limits`, `platform_tokens`, `session_keys`, `users`: what it does for each of its traits
//! - `entries`: the keys and their expiries; `index`: a user's hash

mod component;
mod entries;
mod index;
mod limits;
mod login_codes;
mod platform_tokens;
mod pushes;
mod session_keys;
mod sessions;
mod store;
mod users;

pub use entries::StoredEntry;
pub use store::MemoryStore;
