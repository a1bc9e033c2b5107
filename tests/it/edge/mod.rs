//! Connections of clients: listeners, TLS, the strict parser, forged headers, and proxies in front.

mod behind_nginx;
mod behind_proxies;
mod certificate_files;
mod certificates;
mod forged;
mod fuzz;
mod gate;
mod gate_peers;
mod gate_time;
mod head_requests;
mod idle_connections;
mod listener;
mod tls_resumption;
