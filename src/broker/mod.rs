//! One access token per app for all gateways: fetched when somebody needs it, by one of them, and
//! kept in the store for the others.
//!
//! - `state`: what one process knows of one app's token, and what is to be done; no I/O
//! - `slot`: an app's place, with its state
//! - `fetch`: asks the store, and the platform where this process is the one that does
//! - [`tokens`]: hands tokens out, and has `fetch` run in the background

mod fetch;
mod slot;
mod state;
pub mod tokens;

pub use tokens::TokenBroker;
