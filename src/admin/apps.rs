//! The apps of the configuration, and how operators name them in a path.

use std::sync::Arc;

use actix_web::HttpRequest;
use tokio::sync::watch;

use crate::http::{ErrorCode, GatewayError};
use crate::identity::{App, Apps, NamedApp};

/// The apps that are configured now.
pub struct CurrentApps(pub watch::Receiver<Arc<Apps>>);

impl CurrentApps {
    pub(super) fn now(&self) -> Arc<Apps> {
        self.0.borrow().clone()
    }
}

/// The app that a path names as its `{app}`.
pub(super) fn named_app(req: &HttpRequest, apps: &CurrentApps) -> Result<App, GatewayError> {
    let name = req.match_info().get("app").unwrap_or_default();
    apps.now().get(name).cloned().ok_or_else(unknown_app)
}

/// The app that a path names as its `{authorizer}`.
pub(super) fn named_authorizer(req: &HttpRequest, apps: &CurrentApps) -> Result<App, GatewayError> {
    let app = named_app(req, apps)?;
    if app.component_api().is_none() {
        return Err(acts_for_none());
    }
    let named = NamedApp {
        name: Some(&app.name),
        authorizer: req.match_info().get("authorizer"),
    };
    Ok(named.app_of_user(&app)?)
}

pub(super) fn unknown_app() -> GatewayError {
    GatewayError::new(
        ErrorCode::AppUnknown,
        "No app of this name is configured; send the name in [apps.NAME], not the appid.",
    )
}

pub(super) fn acts_for_none() -> GatewayError {
    GatewayError::new(
        ErrorCode::AuthorizerInvalid,
        "This app acts for no other, so it has no authorizers.",
    )
}
