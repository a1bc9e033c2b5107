//! Which rules and which upstream a request path has. A path has one canonical form, and that form is both what
//! is matched and what the upstream gets.

pub mod path;
pub mod table;

pub use path::{PathError, canonical};
pub use table::{AuthMode, Route, RouteConflict, RouteTable};
