//! How often something may be done: quotas, the cells that keep count of them, and who sends tokens
//! that nobody issued.
//!
//! - [`quota`]: so many in so much time; [`gcra`]: the state machine that holds it, of one number
//!   per cell
//! - [`store`]: the seam to where cells are shared by all gateways ([`CounterStore`])
//! - [`limiter`]: asks the store, and decides in the process what needs no question, or has no
//!   answer
//! - [`login`]: the limits of a login
//! - [`guessing`]: addresses that send many invalid tokens
//! - [`recent`]: a map that cannot grow without bound; [`address`]: what counts as one address

pub mod address;
pub mod gcra;
pub mod guessing;
pub mod limiter;
pub mod login;
pub mod quota;
pub mod recent;
pub mod store;

pub use gcra::{Cell, Level, Micros};
pub use guessing::GuessWatch;
pub use limiter::{LimitRefusal, Limiter, LocalLimits, Policy};
pub use login::{LoginLimits, LoginQuotas};
pub use quota::{BadQuota, Quota};
pub use recent::Recent;
pub use store::{CellName, CounterError, CounterStore, Limit};
