//! All settings together, and how they come out of a file.

use std::path::Path;
use std::sync::Arc;

use super::effective::Effective;
use super::env::Variables;
use super::own_listeners::OwnListeners;
use super::problem::{ConfigError, Problem};
use super::reader::{Findings, Reader, Section};
use super::{
    AdminSettings, LogSettings, LoginSettings, PlatformApiSettings, SecretSettings, ServerSettings,
    SessionSettings, StoreTlsFiles,
};
use super::{
    admin, apps, assertion, claim_headers, cors, failure, identity, login, login_hook, open_data,
    platform_api, platforms, reused_secrets, routes, secrets, server, session, store, syntax,
    traces, upstreams, verify, websockets,
};
use crate::assertion::{AssertionSettings, HeaderNames, ReservedNames};
use crate::edge::Listen;
use crate::endpoints::Believed;
use crate::files::{self, FileError};
use crate::http::{CorsSettings, FailureShape};
use crate::identity::OpenDataRules;
use crate::provider::proxy::Proxies;
use crate::provider::settings::AppSettings;
use crate::proxy::websocket::limits::WebsocketLimits;
use crate::push::PushSettings;
use crate::route::RouteTable;
use crate::session::TokenCarrier;
use crate::store::StoreSettings;
use crate::telemetry::TraceSettings;
use crate::upstream::Upstream;

/// A configuration that was read and is valid as a whole.
#[derive(Debug)]
pub struct Settings {
    /// The public listener.
    pub server: ServerSettings,
    /// The operators' listener.
    pub admin: AdminSettings,
    /// Where sessions live: without what the files hold and without the near cache.
    pub store: StoreSettings,
    pub store_tls: StoreTlsFiles,
    /// The keys.
    pub secrets: SecretSettings,
    /// How long sessions live, and where tokens stand.
    pub session: SessionSettings,
    /// How codes become sessions.
    pub login: LoginSettings,
    pub open_data: OpenDataRules,
    /// The proxies on the way to the platforms.
    pub platforms: Proxies,
    /// Whose users may sign in; at least one.
    pub apps: Vec<AppSettings>,
    /// What the apps take that their platforms push.
    pub pushes: Vec<Arc<PushSettings>>,
    /// The listener for backends that call the platform.
    pub platform_api: PlatformApiSettings,
    /// The backends.
    pub upstreams: Vec<Arc<Upstream>>,
    /// Which request leads to which of them.
    pub routes: RouteTable,
    /// What the gateway's own errors look like.
    pub failure: Arc<FailureShape>,
    /// The same on each route, in the order of the table.
    pub route_failures: Vec<Arc<FailureShape>>,
    /// What the identity headers are called.
    pub identity: HeaderNames,
    /// The signed identity, where there is one.
    pub assertion: Option<AssertionSettings>,
    /// What is believed of the request that a proxy asks about.
    pub verify: Believed,
    /// Which web pages may call.
    pub cors: CorsSettings,
    /// How many WebSockets may be open.
    pub websockets: WebsocketLimits,
    /// Where spans go, if anywhere.
    pub traces: Option<TraceSettings>,
    /// What is logged.
    pub log: LogSettings,
    /// The same as TOML, with secrets hidden.
    pub effective: Effective,
    /// What everything that was read hashes to: the file, the `.env` and the files of secrets.
    pub source: [u8; 32],
}

impl Settings {
    /// Reads a file, with the environment and the `.env` beside it. With the settings come
    /// warnings: what is odd, but no reason not to start.
    pub fn load(path: &Path) -> Result<(Self, Vec<Problem>), ConfigError> {
        let file = path.display().to_string();
        let text = files::read_piped_text(path).map_err(|reason| {
            let hint = match &reason {
                FileError::Missing => "write one with `hufu init`, or name another with --config".to_owned(),
                FileError::Denied(_) => format!("let the gateway's user read it, as with chgrp and chmod 640 {file}, and enter each folder on the way to it"),
                FileError::NotUtf8 { .. } | FileError::Dangling(_) => reason.advice(&file),
                _ => "name a file with --config".to_owned(),
            };
            ConfigError { problems: vec![Problem::of_file(&file, None, &reason.to_string(), &hint)] }
        })?;
        let directory = path.parent().unwrap_or(Path::new(""));
        let (variables, mut problems, mut warnings) = Variables::load(directory);
        let result = Self::parse(&file, &text, directory, &variables);
        let settings = match result {
            Ok((settings, more)) => {
                warnings.extend(more);
                Some(settings)
            }
            Err(error) => {
                problems.extend(error.problems);
                None
            }
        };
        variables.note_unread(&mut problems, &mut warnings);
        settings
            .filter(|_| problems.is_empty())
            .map(|settings| (settings, warnings))
            .ok_or(ConfigError { problems })
    }

    /// The header names that only the gateway may set.
    pub fn reserved_names(&self) -> ReservedNames {
        reserved_names(&self.identity, self.assertion.as_ref())
    }

    /// The keys that a process started with these settings cannot take over from `later`, and that
    /// are different there.
    pub fn unchangeable(&self, later: &Self) -> Vec<String> {
        self.effective.waiting_for_restart(&later.effective)
    }

    /// Reads a text, which messages call `file`; paths in it start at `directory`.
    pub fn parse(
        file: &str,
        text: &str,
        directory: &Path,
        variables: &Variables,
    ) -> Result<(Self, Vec<Problem>), ConfigError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let table = syntax::parse(file, text).map_err(|problem| ConfigError {
            problems: vec![problem],
        })?;
        let reader = Reader::new(file, text, directory, variables);
        let mut settings = reader.root(&table, read);
        let source = reader.source();
        let Findings {
            problems,
            warnings,
            effective,
        } = reader.finish();
        if problems.is_empty() {
            (settings.effective, settings.source) = (effective, source);
            Ok((settings, warnings))
        } else {
            Err(ConfigError { problems })
        }
    }
}

fn reserved_names(identity: &HeaderNames, assertion: Option<&AssertionSettings>) -> ReservedNames {
    ReservedNames::new(identity).and(assertion.map(|assertion| &*assertion.header))
}

/// Every section in the order of the manual.
pub(super) fn read(root: &mut Section<'_>) -> Settings {
    let failure = failure::read_global(root);
    let server = root.section("server", server::read);
    let admin = root.section("admin", |section| admin::read(section, &server.listen));
    let (store, store_tls, durable) = root.section("store", store::read);
    let secrets = root.section("secrets", |section| secrets::read(section, durable));
    let session = root.section("session", session::read);
    let login = read_login(root);
    let open_data = root.section("open_data", open_data::read);
    let platforms = root.section("platforms", platforms::read);
    let (apps, pushes) = apps::read(root, durable);
    let platform_api = read_platform_api(root, &apps, &server, &admin);
    let named_upstreams = upstreams::read(root, &OwnListeners::new(&server.listen, admin.listen));
    if let Some(hook) = &login.hook {
        login_hook::warn(root, hook, &apps, &named_upstreams, &server);
    }
    // Before the routes, which must leave their headers alone.
    let identity = read_identity(root, &session.carriers);
    let assertion = read_assertion(root, &secrets, &identity, &session.carriers);
    let around_routes = routes::Surroundings {
        prefix: &server.prefix,
        apps: root.names_below("apps"),
        upstreams: &named_upstreams,
        reserved: reserved_names(&identity, assertion.as_ref()),
        failure: &failure,
        called: routes::CalledUpstreams::new(&pushes, login.hook.as_ref()),
    };
    let (routes, route_failures) = routes::read(root, &around_routes);
    if !root.any_problems() {
        server::diagnose_certificates(root, &server, &routes);
    }
    let reserved = reserved_names(&identity, assertion.as_ref());
    let verify = root.section("verify", |section| {
        verify::read(section, &session.carriers, &reserved)
    });
    verify::warn(root, &verify, &server, &routes);
    open_data::warn(root, &open_data, &routes);
    let settings = Settings {
        cors: root.section("cors", cors::read),
        websockets: root.section("websockets", websockets::read),
        traces: root.section("traces", traces::read),
        log: root.section("log", super::log::read),
        upstreams: named_upstreams
            .into_iter()
            .filter_map(|(_, upstream)| upstream)
            .collect(),
        server,
        admin,
        store,
        store_tls,
        secrets,
        session,
        login,
        open_data,
        platforms,
        apps,
        pushes,
        platform_api,
        routes,
        failure,
        route_failures,
        identity,
        assertion,
        verify,
        effective: Effective::default(),
        source: [0; 32],
    };
    // Now every section has placed its secrets.
    reused_secrets::check(root);
    settings
}

fn read_login(root: &mut Section<'_>) -> LoginSettings {
    let around_hook = login_hook::Surroundings {
        apps: root.names_below("apps"),
        upstreams: root.names_below("upstreams"),
    };
    root.section("login", |section| login::read(section, &around_hook))
}

fn read_platform_api(
    root: &mut Section<'_>,
    apps: &[AppSettings],
    server: &ServerSettings,
    admin: &AdminSettings,
) -> PlatformApiSettings {
    let admin = Listen::Tcp(admin.listen);
    let taken = [("server.listen", &server.listen), ("admin.listen", &admin)];
    root.section("platform_api", |section| {
        platform_api::read(section, apps, taken)
    })
}

fn read_identity(root: &mut Section<'_>, carriers: &[TokenCarrier]) -> HeaderNames {
    root.section("identity", |section| {
        let names = identity::read(section, carriers);
        let claims = claim_headers::read(section, &names, carriers);
        HeaderNames { claims, ..names }
    })
}

fn read_assertion(
    root: &mut Section<'_>,
    secrets: &SecretSettings,
    identity: &HeaderNames,
    carriers: &[TokenCarrier],
) -> Option<AssertionSettings> {
    let around = assertion::Surroundings {
        sealing_keys: &secrets.keys,
        identity,
        carriers,
    };
    root.section("assertion", |section| assertion::read(section, &around))
}
