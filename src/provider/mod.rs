//! The platforms that vouch for users.
