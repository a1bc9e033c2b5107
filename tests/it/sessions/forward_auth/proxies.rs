//! Each proxy with its example of the documentation, which finds the gateway and the backend where
//! they are.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::helpers::{Nginx, Server, examples::blocks, probe, programs::program, until};

const PAGE: &str = "http-api.md";

/// A running proxy.
pub(super) enum Proxy {
    Nginx(Nginx),
    Other(Server),
}

impl Proxy {
    pub(super) fn address(&self) -> SocketAddr {
        match self {
            Self::Nginx(nginx) => nginx.address(),
            Self::Other(server) => server.address(),
        }
    }

    /// Nothing where the program cannot be had.
    pub(super) async fn start(name: &str, gateway: SocketAddr, backend: &str) -> Option<Self> {
        let proxy = Self::set_up(name, gateway, backend)?;
        // Traefik listens before it knows its routes.
        until("the proxy to know the gateway", async || {
            let request =
                "GET /auth/login HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n";
            probe::send(proxy.address(), &request).await.status == 405
        })
        .await;
        Some(proxy)
    }

    fn set_up(name: &str, gateway: SocketAddr, backend: &str) -> Option<Self> {
        let backend = backend.trim_start_matches("http://").to_owned();
        let at = move |text: &str| {
            text.replace("127.0.0.1:8080", &gateway.to_string())
                .replace("127.0.0.1:9000", &backend)
        };
        match name {
            "nginx" => {
                let blocks = blocks(PAGE, "### nginx", "nginx");
                Some(Self::Nginx(nginx(&at(&blocks[0].replace(
                    "include /etc/nginx/hufu-never.conf;",
                    &blocks[1],
                )))))
            }
            "nginx-websockets" => Some(Self::Nginx(nginx(&at(&nginx_with_websockets())))),
            "ingress-nginx" => Some(Self::Nginx(nginx(&at(&ingress())))),
            "caddy" => caddy(&at(&blocks(PAGE, "### Caddy", "caddyfile")[0])),
            "traefik" => traefik(
                &blocks(PAGE, "### Traefik", "yaml")
                    .iter()
                    .map(|block| at(block))
                    .collect::<Vec<_>>(),
            ),
            "envoy" => envoy(
                &blocks(PAGE, "### Envoy", "yaml")[0],
                gateway,
                at("127.0.0.1:9000").rsplit(':').next().unwrap(),
            ),
            "haproxy" => haproxy(
                &at(&blocks(PAGE, "### HAProxy", "haproxy")[0]),
                &at(&blocks(PAGE, "### HAProxy", "lua")[0]),
            ),
            _ => panic!("{name}"),
        }
    }
}

/// The example with what the page says to take from the other page's for WebSockets.
fn nginx_with_websockets() -> String {
    let own = blocks(PAGE, "### nginx", "nginx");
    let other = blocks("operations.md", "## Behind nginx or a balancer", "nginx");
    let lines = |start: &str| -> String {
        let found: Vec<_> = other[0]
            .lines()
            .filter(|line| line.trim_start().starts_with(start))
            .collect();
        assert!(!found.is_empty(), "{start}");
        found.join("\n")
    };
    let upgrade = [
        lines("proxy_set_header Upgrade"),
        lines("proxy_set_header Connection"),
    ];
    let (before, api) = own[0].split_once("location /api/ {").unwrap();
    let api = api.replace("proxy_set_header Connection \"\";", &upgrade.join("\n"));
    format!(
        "{}\n{before}location /api/ {{{}",
        lines("map "),
        api.replace("include /etc/nginx/hufu-never.conf;", &own[1])
    )
}

/// The example of a proxy, as text.
pub(super) fn example(name: &str) -> String {
    match name {
        "nginx" => blocks(PAGE, "### nginx", "nginx").concat(),
        "ingress-nginx" => blocks("ingress-nginx.md", "# Behind ingress-nginx", "yaml").concat(),
        "traefik" => blocks(PAGE, "### Traefik", "yaml").concat(),
        _ => panic!("{name}"),
    }
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn nginx(config: &str) -> Nginx {
    Nginx::configured(|port| config.replace("listen 80;", &format!("listen 127.0.0.1:{port};")))
}

fn caddy(config: &str) -> Option<Proxy> {
    let caddy = program("caddy")?;
    Some(Proxy::Other(Server::start("caddy", |port, folder| {
        let config = config.replace(":80 {", &format!("http://:{port} {{"));
        let file = write(
            folder,
            "Caddyfile",
            &format!("{{\n\tadmin off\n\tauto_https off\n}}\n{config}"),
        );
        let mut command = Command::new(&caddy);
        command.args(["run", "--config", &file]).env("HOME", folder);
        command
    })))
}

fn traefik(configs: &[String]) -> Option<Proxy> {
    let traefik = program("traefik")?;
    let [fixed, dynamic] = configs else {
        panic!("two parts")
    };
    Some(Proxy::Other(Server::start("traefik", |port, folder| {
        let dynamic = write(folder, "dynamic.yml", dynamic);
        let fixed = fixed
            .replace("\":80\"", &format!("\"127.0.0.1:{port}\""))
            .replace("/etc/traefik/dynamic.yml", &dynamic);
        let mut command = Command::new(&traefik);
        command.arg(format!(
            "--configFile={}",
            write(folder, "traefik.yml", &fixed)
        ));
        command
    })))
}

fn envoy(config: &str, gateway: SocketAddr, backend: &str) -> Option<Proxy> {
    let envoy = program("envoy")?;
    Some(Proxy::Other(Server::start("envoy", |port, folder| {
        let config = config
            .replace(
                "address: 0.0.0.0, port_value: 80}",
                &format!("address: 127.0.0.1, port_value: {port}}}"),
            )
            .replace(
                "port_value: 8080",
                &format!("port_value: {}", gateway.port()),
            )
            .replace("port_value: 9000", &format!("port_value: {backend}"))
            // A machine that runs all tests at once stands still now and then.
            .replace("timeout: 3s", "timeout: 30s");
        let mut command = Command::new(&envoy);
        command.args([
            "--disable-hot-restart",
            "--concurrency",
            "1",
            "-l",
            "warn",
            "-c",
            &write(folder, "envoy.yaml", &config),
        ]);
        command
    })))
}

fn haproxy(config: &str, lua: &str) -> Option<Proxy> {
    let haproxy = program("haproxy")?;
    Some(Proxy::Other(Server::start("haproxy", |port, folder| {
        // A machine that runs all tests at once stands still now and then.
        let lua = lua.replace("timeout = 3000", "timeout = 30000");
        let config = config
            .replace("timeout connect 5s", "timeout connect 30s")
            .replace("/etc/haproxy/hufu.lua", &write(folder, "hufu.lua", &lua))
            .replace("bind :80", &format!("bind 127.0.0.1:{port}"));
        let mut command = Command::new(&haproxy);
        command.args(["-db", "-f", &write(folder, "haproxy.cfg", &config)]);
        command
    })))
}

/// The same with the headers that the page's ConfigMap removes, and its `server-snippet`.
fn ingress() -> String {
    let page = example("ingress-nginx");
    let snippet = page.split_once("server-snippet: |\n").unwrap().1;
    let removed: String = page
        .lines()
        .filter_map(|line| {
            Some(format!(
                "proxy_set_header {} \"\";\n",
                line.trim().strip_suffix(": \"\"")?
            ))
        })
        .collect();
    assert!(removed.lines().count() > 60);
    INGRESS
        .replace("# What proxy-set-headers says.", &removed)
        .replace("# What server-snippet says.", snippet)
}

/// What the controller makes of the annotations of docs/ingress-nginx.md (its nginx.tmpl): the
/// lines that have to do with headers.
const INGRESS: &str = r#"
    map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
    server {
        listen 80;
        proxy_headers_hash_max_size 512;
        proxy_headers_hash_bucket_size 64;
        # What server-snippet says.
        location /auth/login { proxy_pass http://127.0.0.1:8080; proxy_set_header Host $http_host; }
        location = /_external-auth {
            internal;
            proxy_intercept_errors off;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
            proxy_set_header X-Forwarded-Proto "";
            proxy_set_header Host hufu.default.svc.cluster.local;
            proxy_set_header X-Original-URL $scheme://$http_host$request_uri;
            proxy_set_header X-Original-Method $request_method;
            proxy_set_header X-Sent-From "nginx-ingress-controller";
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Auth-Request-Redirect $request_uri;
            proxy_pass_request_headers on;
            proxy_http_version 1.1;
            proxy_pass http://127.0.0.1:8080/auth/verify;
        }
        location /api/ {
            auth_request /_external-auth;
            auth_request_set $h0 $upstream_http_x_wx_openid;
            auth_request_set $h1 $upstream_http_x_wx_appid;
            auth_request_set $h2 $upstream_http_x_wx_unionid;
            auth_request_set $h3 $upstream_http_x_wx_source;
            auth_request_set $h4 $upstream_http_x_hufu_app;
            auth_request_set $h5 $upstream_http_x_hufu_provider;
            auth_request_set $h6 $upstream_http_x_hufu_subject;
            auth_request_set $h7 $upstream_http_x_hufu_session;
            proxy_set_header 'X-WX-OPENID' $h0;
            proxy_set_header 'X-WX-APPID' $h1;
            proxy_set_header 'X-WX-UNIONID' $h2;
            proxy_set_header 'X-WX-SOURCE' $h3;
            proxy_set_header 'X-Hufu-App' $h4;
            proxy_set_header 'X-Hufu-Provider' $h5;
            proxy_set_header 'X-Hufu-Subject' $h6;
            proxy_set_header 'X-Hufu-Session' $h7;
            proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Host $http_host;
            proxy_set_header X-Original-URI $request_uri;
            # What proxy-set-headers says.
            proxy_http_version 1.1;
            proxy_pass http://127.0.0.1:9000;
        }
    }
"#;
