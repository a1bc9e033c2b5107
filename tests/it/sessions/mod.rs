//! Sessions: where a token may stand, devices, revocation, who asks at `/auth/verify`, and what
//! nobody may see of them.

mod assertion;
mod carriers;
mod claims;
mod devices;
mod forward_auth;
pub(crate) mod leaks;
mod model;
mod order;
mod revocation_bounds;
mod revoked_under_way;
mod rules;
mod two_gateways;
mod verify;
