//! Which rules and which upstream a request has, by its host, path and method, and what becomes of
//! its path. A path has one canonical form, and that form is what is matched and what the upstream
//! gets.

pub mod access;
pub mod definition;
pub mod host;
pub mod methods;
pub mod path;
pub mod reading;
pub mod requirements;
pub mod rewrite;
pub mod table;

pub use access::AccessRule;
pub use definition::{HeaderEdits, Route};
pub use host::{HostName, HostPattern, host_name};
pub use methods::Methods;
pub use path::{PathError, as_it_came, below, canonical, slashes_decoded, with_encoded_slashes};
pub use reading::may_lie_below;
pub use requirements::{Fact, RequiredNumber, RequiredValue, Requirement, Requirements};
pub use rewrite::PathRewrite;
pub use table::{NoRoute, RouteConflict, RouteTable};
