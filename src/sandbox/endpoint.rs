//! An endpoint of the simulator, as a row of a table.

use actix_web::Route;

#[derive(Debug, Clone, Copy)]
pub struct Endpoint {
    /// The method that it is meant for.
    pub method: &'static str,
    pub path: &'static str,
    /// The API's name in faults and calls; `None` on the control side.
    pub api: Option<&'static str>,
    route: fn() -> Route,
}

impl Endpoint {
    /// An API of a platform. It answers every method, since it is the platform that says what is
    /// wrong with another one.
    pub(super) const fn api(
        method: &'static str,
        path: &'static str,
        name: &'static str,
        route: fn() -> Route,
    ) -> Self {
        Self {
            method,
            path,
            api: Some(name),
            route,
        }
    }

    /// An endpoint of the control side.
    pub(super) const fn control(
        method: &'static str,
        path: &'static str,
        route: fn() -> Route,
    ) -> Self {
        Self {
            method,
            path,
            api: None,
            route,
        }
    }

    pub(super) fn route(&self) -> Route {
        (self.route)()
    }
}
