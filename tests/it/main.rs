//! One binary for all tests that need more than one module: a module per capability.

mod echo;
mod helpers;
mod floors;
mod provider_contract;
mod sandbox;
