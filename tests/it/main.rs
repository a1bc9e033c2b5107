//! One binary for all tests that need more than one module: a module per capability.

mod commands;
mod config;
mod helpers;
