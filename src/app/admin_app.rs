//! The operators' application.

use std::sync::Arc;

use actix_web::web;

use super::parts::{NearCachePart, ReloadablePart, StorePart, platform_trouble, upstream_trouble};
use super::process_state::ProcessState;
use super::reload::Reloader;
use crate::admin::{self, AdminApi, AppTokens, CurrentApps, Parts, Readiness};
use crate::broker::TokenBroker;
use crate::metrics::Metrics;
use crate::session::{SessionService, UserService};

/// What the admin listener's endpoints share.
#[derive(Clone)]
pub(super) struct AdminApp {
    metrics: web::Data<Metrics>,
    readiness: web::Data<Readiness>,
    api: web::Data<AdminApi>,
    apps: web::Data<CurrentApps>,
    tokens: web::Data<AppTokens>,
    broker: web::Data<TokenBroker>,
    users: web::Data<UserService>,
}

impl AdminApp {
    pub(super) fn new(process: &ProcessState, reloader: &Reloader) -> Self {
        let mut parts: Parts = vec![
            Arc::new(StorePart(process.store.probe())),
            Arc::new(ReloadablePart {
                name: "upstreams",
                generations: reloader.generations.subscribe(),
                trouble: upstream_trouble,
            }),
            Arc::new(ReloadablePart {
                name: "platforms",
                generations: reloader.generations.subscribe(),
                trouble: platform_trouble,
            }),
        ];
        if process.store.invalidation().is_some() {
            parts.push(Arc::new(NearCachePart(process.store.clone())));
        }
        let tokens = &process.settings.admin.tokens;
        let api = AdminApi::new(tokens, process.reports.clone(), &process.metrics);
        Self {
            metrics: web::Data::from(process.metrics.clone()),
            readiness: web::Data::new(Readiness {
                drain: process.drain.clone(),
                parts,
            }),
            api: web::Data::new(api),
            apps: web::Data::new(CurrentApps(reloader.apps.subscribe())),
            tokens: web::Data::new(AppTokens(process.tokens.clone())),
            broker: web::Data::new(process.broker.clone()),
            users: web::Data::new(process.users()),
        }
    }

    pub(super) fn configure(&self, sessions: SessionService, cfg: &mut web::ServiceConfig) {
        cfg.app_data(self.metrics.clone())
            .app_data(self.readiness.clone())
            .app_data(self.api.clone())
            .app_data(self.apps.clone())
            .app_data(self.tokens.clone())
            .app_data(self.broker.clone())
            .app_data(self.users.clone())
            .app_data(web::Data::new(sessions))
            .configure(admin::configure);
    }
}
