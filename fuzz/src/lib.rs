//! What must hold for every input: a property per parser of what strangers send or what lies in a store. libFuzzer calls them
//! (`fuzz_targets/`), and so do the integration tests, with the seeds and with mutations of them.

pub mod chunked_body;
pub mod client_address;
pub mod config;
pub mod frames;
pub mod location;
pub mod open_data;
pub mod outgoing_head;
pub mod path;
pub mod platform_answer;
pub mod proxy_header;
pub mod record;
pub mod request_head;
pub mod token;
pub mod upstream_answer;

/// A property of one input: it panics where it does not hold.
pub type Target = fn(&[u8]);

/// Every target with the name of its folder of seeds.
pub const TARGETS: [(&str, Target); 14] = [
    ("chunked_body", chunked_body::check),
    ("client_address", client_address::check),
    ("config", config::check),
    ("frames", frames::check),
    ("location", location::check),
    ("open_data", open_data::check),
    ("outgoing_head", outgoing_head::check),
    ("path", path::check),
    ("platform_answer", platform_answer::check),
    ("proxy_header", proxy_header::check),
    ("record", record::check),
    ("request_head", request_head::check),
    ("token", token::check),
    ("upstream_answer", upstream_answer::check),
];
