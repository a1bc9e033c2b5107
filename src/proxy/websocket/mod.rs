//! WebSockets: `handshake` opens one and `limits` says how many may be open. `tunnel` carries the
//! bytes, `frames` knows where one may end, and `tunnel_body` is the answer's body.

pub mod frames;
pub mod handshake;
pub mod limits;
pub mod tunnel;
pub mod tunnel_body;
