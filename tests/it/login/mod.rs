//! Logging in: the endpoints, their limits, web pages of other origins, one call per code.

mod http_api;
mod limits;
mod mini_program;
mod origins;
mod single_flight;
