//! Giving up on an endpoint for a while.
