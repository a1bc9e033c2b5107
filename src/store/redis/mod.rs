//! Sessions in Redis. Every check-and-write is one script on one cluster slot, and its answer is
//! read.
//!
//! - `scripts`: the only writers
//! - `sessions`: the store; `create`: how a session is made; `login_codes`: reservations of login
//!   codes; `platform_tokens`: tokens of the platforms; `component`: tickets and refresh tokens;
//!   `pushes`: pushed messages; `limits`: cells of limits; `rotation`: how a session changes its
//!   token, and how it ends; `devices`: all sessions of a user; `session_keys`: their session_keys;
//!   `users`: what operators decide about users; `claims`: how a user's claims are changed;
//!   `turns`: one change of a user after the other
//! - `affected`: the sessions that a script has to name, and that are announced
//! - `lookup`: asks the near cache, then Redis; `naming_check`: whether the naming key was changed
//! - `replica_wait`: removals that wait for replicas; `revocation`: how other gateways learn of them
//! - `invalidation`: how near caches learn of changes
//! - `diagnosis`: what `hufu doctor` finds out about the servers

mod affected;
mod claims;
mod component;
mod create;
mod devices;
mod diagnosis;
mod invalidation;
mod limits;
mod login_codes;
mod lookup;
mod naming_check;
mod platform_tokens;
mod pushes;
mod replica_wait;
mod revocation;
mod rotation;
mod scripts;
mod session_keys;
mod sessions;
mod turns;
mod users;

pub use diagnosis::diagnose;
pub use sessions::RedisStore;

pub(super) use invalidation::Invalidation;
pub(super) use scripts::Scripts;
pub(super) use sessions::RedisSetup;
