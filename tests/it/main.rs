//! One binary for all tests that need more than one module: a folder per subject.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod docs;
mod edge;
mod helpers;
mod layers;
mod login;
mod operations;
mod platforms;
mod proxy;
mod sessions;
mod store;
