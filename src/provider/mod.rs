//! The platforms that vouch for users.

pub mod call;
pub mod proxy;
pub mod untrusted;
pub mod wechat;
