//! Running the gateway: configuration, commands, the admin API, logs, keys, packages, start and
//! end.

mod access_lines;
mod admin_api;
mod admin_pages;
mod commands;
mod config;
mod demo;
pub(crate) mod doctor;
mod doctor_upstreams;
mod first_day;
mod image;
mod key_rotation;
mod lifecycle;
mod packages;
mod reload;
mod rolling_update;
mod schema;
mod traces;
