//! One binary for all tests that need more than one module: a module per capability.

mod config;
mod helpers;
