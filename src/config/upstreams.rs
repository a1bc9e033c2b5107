//! `[upstreams.NAME]`: the backends.

use std::sync::Arc;
use std::time::Duration;

use super::problem::Wrong;
use super::reader::Section;
use super::values::duration;
use crate::upstream::{Endpoint, Upstream};

/// An upstream; `None`: its name only, because it is not all there, which the reader has noted.
pub(super) type Named = (Arc<str>, Option<Arc<Upstream>>);

/// Every upstream.
pub(super) fn read(root: &mut Section<'_>) -> Vec<Named> {
    root.named("upstreams", |name, section| {
        let name: Arc<str> = name.into();
        (name.clone(), read_upstream(name, section).map(Arc::new))
    })
}

fn read_upstream(name: Arc<str>, section: &mut Section<'_>) -> Option<Upstream> {
    let form = "write endpoints = [\"http://HOST:PORT\"]";
    let endpoints = section.list("endpoints", |text| Endpoint::parse(text).map_err(|error| Wrong::new(format!("is not an endpoint: {error}"), "")));
    if !section.has("endpoints") {
        section.problem("endpoints", "missing", form);
    } else if section.is_empty_list("endpoints") {
        section.problem("endpoints", "is empty", form);
    }
    if endpoints.len() > 1 {
        section.problem("endpoints", "more than one endpoint is not in this version", "keep one, or put your own balancer before them");
    }
    let patience = duration(Duration::from_millis(1));
    let (connect_timeout, timeout) = (section.value("connect_timeout", &patience), section.value("timeout", &patience));
    let authority = endpoints.first()?.to_string();
    Some(Upstream { name, authority, endpoints, connect_timeout, timeout })
}
