//! The gateway's own endpoints, one file each.
//!
//! `dispatch` routes to them and reports their requests. `verify` answers past the application, with
//! `original` to read what the asking proxy says. `page` keeps foreign web pages out of what changes
//! something.

pub mod dispatch;
pub mod healthz;
pub mod login;
pub mod logout;
pub mod original;
pub mod page;
pub mod rotate;
pub mod session;
pub mod sessions;
pub mod verify;

pub use dispatch::{ENDPOINTS, OwnEndpoints, configure};
pub use original::{AskingProxy, Believed};
pub use verify::Verify;
