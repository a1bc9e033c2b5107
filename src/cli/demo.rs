//! `hufu demo`: everything in one process.

mod backend;
mod stored;
mod welcome;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use actix_web::{App, HttpResponse, HttpServer, web};
use anyhow::{Context as _, Result};
use clap::Args;

use super::lang::LangArg;
use super::say;
use super::serve::{address, listener};
use crate::app;
use crate::clock::SystemClock;
use crate::config::{Settings, Variables};
use crate::crypto::{encoding, hash};
use crate::lifecycle;
use crate::sandbox::{self, Platform, SandboxSettings, echo};
use crate::store::StoreHandle;

/// The page that plays a phone.
const PAGE: &str = include_str!("demo/page.html");
/// The app that the page logs in to.
const APPID: &str = "wx00000000000demo0";

/// Try it: gateway, simulated WeChat, echo backend and a store in memory, all in this process
///
/// It prints curl lines to copy and paste, and the address of a page that shows login, call, phone
/// number and logout. It needs no installation and leaves nothing behind.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// The gateway's address to listen on
    #[arg(long, value_name = "ADDR", value_parser = address, default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,
    #[command(flatten)]
    lang: LangArg,
}

pub(crate) fn run(args: &DemoArgs) -> Result<()> {
    // A port that is taken is found before anything else starts.
    drop(listener(args.listen, "--listen")?);
    actix_web::rt::System::new().block_on(async {
        let sandbox = free_port()?;
        let echo = free_port()?;
        let page = free_port()?;
        let text = configuration(
            args.listen,
            sandbox.local_addr()?,
            echo.local_addr()?,
            page.local_addr()?,
        );
        let (settings, _) = Settings::parse("demo", &text, Path::new("."), &Variables::default())?;
        app::start_log(&settings);
        let gateway = app::build(settings, None, None)?;
        let platform = Platform::new(
            SandboxSettings {
                accept_unknown_codes: true,
                ..SandboxSettings::default()
            },
            Arc::new(SystemClock),
        );
        let helpers = [
            sandbox::serve(sandbox, platform)?,
            echo::serve(echo)?,
            page_server(
                page,
                gateway.store.clone(),
                backend::Backend::new(&gateway)?,
            )?,
        ];
        let handles: Vec<_> = helpers.iter().map(actix_web::dev::Server::handle).collect();
        let tasks: Vec<_> = helpers.into_iter().map(actix_web::rt::spawn).collect();
        say(&welcome::text(args.lang.get(), &gateway));
        let result = lifecycle::run(gateway).await;
        for handle in handles {
            handle.stop(false).await;
        }
        for task in tasks {
            task.await.context("a helper of the demo panicked")??;
        }
        result
    })
}

fn free_port() -> Result<std::net::TcpListener> {
    std::net::TcpListener::bind("127.0.0.1:0").context("no free port on 127.0.0.1")
}

/// The demo is an ordinary gateway with an ordinary configuration.
fn configuration(
    listen: SocketAddr,
    sandbox: SocketAddr,
    echo: SocketAddr,
    page: SocketAddr,
) -> String {
    format!(
        r#"
server.listen = "{listen}"
server.workers = 2
server.drain_grace = "0s"
server.drain_deadline = "500ms"
platform_api.listen = "127.0.0.1:0"
admin.listen = "127.0.0.1:0"
store.url = "memory:"
log.level = "warn"
[apps.demo]
appid = "{APPID}"
secret = "demo"
base_url = "http://{sandbox}"
[platform_api.clients.{client}]
secrets = ["{secret}"]
apps = ["demo"]
allow = ["{path}"]
[upstreams.backend]
endpoints = ["http://{echo}"]
[upstreams.wechat]
endpoints = ["http://{sandbox}"]
[upstreams.page]
endpoints = ["http://{page}"]
[[routes]]
path = "/api"
upstream = "backend"
[[routes]]
path = "/public"
upstream = "backend"
auth = "none"
[[routes]]
path = "/sandbox"
upstream = "wechat"
auth = "none"
[[routes]]
path = "/"
upstream = "page"
auth = "none"
"#,
        client = backend::NAME,
        secret = backend::SECRET,
        path = backend::PATH,
    )
}

fn page_server(
    listener: std::net::TcpListener,
    store: StoreHandle,
    backend: backend::Backend,
) -> Result<actix_web::dev::Server> {
    let server = HttpServer::new(move || {
        App::new()
            .app_data(web::Data::new(store.clone()))
            .app_data(web::Data::new(backend.clone()))
            .route("/", web::get().to(page))
            .route("/demo/store", web::get().to(stored))
            .route("/demo/backend", web::post().to(backend::call))
            .default_service(web::to(nothing_here))
    });
    Ok(server
        .workers(1)
        .disable_signals()
        .shutdown_timeout(1)
        .listen(listener)?
        .run())
}

async fn page() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header(("Content-Security-Policy", page_policy()))
        .insert_header(("X-Content-Type-Options", "nosniff"))
        .insert_header(("Referrer-Policy", "no-referrer"))
        .insert_header(("Cache-Control", "no-store"))
        .body(PAGE)
}

/// The page's own style and script by their hashes, the gateway that it came from, and nothing
/// else.
fn page_policy() -> String {
    format!(
        "default-src 'none'; style-src {}; script-src {}; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        source("style"),
        source("script")
    )
}

/// The page's one element of this name as a Content-Security-Policy names it.
fn source(element: &str) -> String {
    let inside = PAGE
        .split_once(&format!("<{element}>"))
        .and_then(|(_, rest)| rest.split_once(&format!("</{element}>")));
    match inside {
        Some((text, _)) => {
            let hash = hash::sha256(text.as_bytes());
            format!("'sha256-{}'", encoding::base64(&hash))
        }
        None => "'none'".to_owned(),
    }
}

async fn nothing_here() -> HttpResponse {
    HttpResponse::NotFound().body("The demo has /, /api, /public and /auth.\n")
}

/// What Redis would hold: the very keys and sealed values that the gateway would write there.
async fn stored(store: web::Data<StoreHandle>) -> HttpResponse {
    let entries: Vec<stored::Stored> = store
        .memory()
        .map(|memory| memory.dump())
        .unwrap_or_default()
        .into_iter()
        .map(Into::into)
        .collect();
    HttpResponse::Ok()
        .insert_header(("Cache-Control", "no-store"))
        .json(entries)
}
