//! One access token per app for all gateways, and one ticket of each kind: fetched when somebody
//! needs it, by one of them, and kept in the store for the others.
//!
//! - `state`: what one process knows of one app's token, and what is to be done; no I/O
//! - `slot`: an app's place, with its state
//! - `fetch`: asks the store, and the platform where this process is the one that does;
//!   `authorizer`: the token of an app for which another one acts; `ticket`: a ticket; `fetched`:
//!   what came; `strangers`: how often it is asked about apps that nobody has heard of
//! - [`component`]: the events of a component, and what operators do with its authorizers
//! - [`tokens`]: hands tokens out, and has `fetch` run in the background

mod authorizer;
pub mod component;
mod fetch;
mod fetched;
mod slot;
mod state;
mod strangers;
mod ticket;
pub mod tokens;

pub use component::ComponentError;
pub use tokens::TokenBroker;
