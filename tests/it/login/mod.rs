//! Logging in: the endpoints, their limits, web pages of other origins, one call per code; the login
//! hook; open data and phone numbers.

pub(crate) mod hook;
mod http_api;
mod kept_open_data;
mod limits;
mod mini_program;
mod open_data;
mod origins;
mod phone;
mod phone_waits;
mod single_flight;
