//! Logging in: the endpoints, their limits, web pages of other origins, one call per code; open data and
//! phone numbers.

mod http_api;
mod limits;
mod mini_program;
mod open_data;
mod origins;
mod phone;
mod single_flight;
