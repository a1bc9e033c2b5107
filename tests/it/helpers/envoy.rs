//! A real Envoy that passes everything on to one server.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

/// Envoy on this port, before that server, with its files in `folder`.
pub(crate) fn command(envoy: &Path, folder: &Path, port: u16, backend: SocketAddr) -> Command {
    let place = |at: SocketAddr| {
        format!(
            "{{ socket_address: {{ address: {}, port_value: {} }} }}",
            at.ip(),
            at.port()
        )
    };
    let listen = SocketAddr::from(([127, 0, 0, 1], port));
    let config = format!(
        "static_resources:
  listeners:
  - address: {}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          \"@type\": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: gateway
          route_config: {{ virtual_hosts: [{{ name: all, domains: [\"*\"], routes: [{{ match: {{ prefix: \"/\" }}, route: {{ cluster: backend, timeout: 60s }} }}] }}] }}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{ \"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }}
  clusters:
  - name: backend
    connect_timeout: 5s
    load_assignment: {{ cluster_name: backend, endpoints: [{{ lb_endpoints: [{{ endpoint: {{ address: {} }} }}] }}] }}
",
        place(listen),
        place(backend)
    );
    let file = folder.join("envoy.yaml");
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new(envoy);
    // Several may run at once.
    command.arg("-c").arg(file).args([
        "--concurrency",
        "1",
        "-l",
        "error",
        "--use-dynamic-base-id",
    ]);
    command
}
