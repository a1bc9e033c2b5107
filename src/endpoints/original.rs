//! The request that a proxy asks about: what is believed of it, and what it says.

use std::borrow::Cow;

use crate::http::head::Value;
use crate::http::method::{goes_on, is_word};
use crate::http::{ErrorCode, GatewayError, Headers, RequestHead};
use crate::route::{HostName, PathError, host_name};

/// A proxy that asks, in its usual set-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskingProxy {
    /// nginx, with the three lines of docs/http-api.md.
    Nginx,
    /// Kubernetes' ingress-nginx.
    IngressNginx,
    /// Traefik's `forwardAuth`.
    Traefik,
    /// Caddy's `forward_auth`.
    Caddy,
    /// Envoy's `ext_authz` over HTTP, with `path_prefix`.
    Envoy,
    /// HAProxy, with the Lua action of docs/http-api.md or haproxy-auth-request.
    Haproxy,
    /// APISIX' `forward-auth`.
    Apisix,
}

/// Where the word of the proxy in front stands. All else may be the client's, which many proxies
/// pass on while they ask.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Believed {
    uri: Option<OriginalSource>,
    method: Option<OriginalSource>,
    host: Option<OriginalSource>,
}

/// Where a proxy says one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
enum OriginalSource {
    /// In the header of this name, which is in lower case.
    Header(String),
    /// In the asking itself: its own method and host, and its path behind the endpoint's.
    Asking,
}

/// What is known of the original request.
#[derive(Debug, Default)]
pub struct Original<'a> {
    /// Its path, in the form by which its route is found.
    pub path: Option<Cow<'a, str>>,
    pub host: Option<HostName>,
    pub method: Option<&'a str>,
}

impl Believed {
    /// What this proxy sets itself.
    pub fn of(proxy: AskingProxy) -> Self {
        use AskingProxy as P;
        match proxy {
            P::Nginx => Self::headers(
                Some("x-original-uri"),
                Some("x-original-method"),
                Some("x-forwarded-host"),
            ),
            P::IngressNginx => {
                Self::headers(Some("x-original-url"), Some("x-original-method"), None)
            }
            P::Traefik | P::Caddy | P::Haproxy | P::Apisix => Self::headers(
                Some("x-forwarded-uri"),
                Some("x-forwarded-method"),
                Some("x-forwarded-host"),
            ),
            P::Envoy => Self {
                uri: Some(OriginalSource::Asking),
                method: Some(OriginalSource::Asking),
                host: Some(OriginalSource::Asking),
            },
        }
    }

    /// What stands in these headers.
    pub fn headers(uri: Option<&str>, method: Option<&str>, host: Option<&str>) -> Self {
        let place = |name: &str| OriginalSource::Header(name.to_ascii_lowercase());
        Self {
            uri: uri.map(place),
            method: method.map(place),
            host: host.map(place),
        }
    }

    /// Whether anything says which path is meant.
    pub const fn names_uri(&self) -> bool {
        self.uri.is_some()
    }

    /// What the asking says of the original request. `appended` is what its path has behind the
    /// endpoint's; the host is read where one matters; `form` is what becomes of the path.
    pub fn read<'a>(
        &self,
        head: &'a RequestHead,
        appended: &'a str,
        with_host: bool,
        form: impl Fn(&'a str) -> Result<Cow<'a, str>, PathError>,
    ) -> Result<Original<'a>, GatewayError> {
        let headers = head.headers();
        let method = match &self.method {
            None => None,
            Some(OriginalSource::Asking) => Some(head.method()),
            Some(OriginalSource::Header(name)) => original_method(headers, name)?,
        };
        let (in_uri, path) = match &self.uri {
            None => (None, None),
            Some(OriginalSource::Asking) => (None, Some(appended).filter(|path| !path.is_empty())),
            Some(OriginalSource::Header(name)) => {
                at_most_one(headers, name)?.map_or(Ok((None, None)), |uri| parts(uri.bytes()))?
            }
        };
        // Backends that read the target as a URL take what follows for a host, and serve the path
        // behind it.
        if path.is_some_and(|path| path.starts_with("//")) {
            return Err(GatewayError::new(
                ErrorCode::PathInvalid,
                "The original path begins with two slashes.",
            ));
        }
        let path = path.map(form).transpose().map_err(path_invalid)?;
        let said = match &self.host {
            Some(place) if with_host => original_host(headers, place)?,
            Some(OriginalSource::Header(name)) => {
                at_most_one(headers, name)?;
                None
            }
            _ => None,
        };
        let host = match (in_uri, said) {
            (Some(one), Some(other)) if one != other => return Err(twice()),
            (one, other) => one.or(other),
        };
        Ok(Original { path, host, method })
    }
}

/// The host, if there is one, and the path of an original URI. Of its query nothing is read: what
/// browsers and backends write there decides no rule.
fn parts(uri: &[u8]) -> Result<(Option<HostName>, Option<&str>), GatewayError> {
    // Two values that something in between has joined.
    if uri.iter().any(|b| matches!(b, b' ' | b'\t')) {
        return Err(twice());
    }
    // Backends differ in where the path ends then, and so do the proxies that ask.
    if uri.contains(&b'#') {
        return Err(GatewayError::new(
            ErrorCode::PathInvalid,
            "The original URI has a fragment.",
        ));
    }
    let end = uri.iter().position(|b| *b == b'?').unwrap_or(uri.len());
    let visible = uri[..end].iter().all(|b| matches!(b, b'!'..=b'~'));
    let text = std::str::from_utf8(&uri[..end])
        .ok()
        .filter(|_| visible)
        .ok_or_else(twice)?;
    let scheme = ["http://", "https://"].into_iter().find(|scheme| {
        text.get(..scheme.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    });
    let Some(scheme) = scheme else {
        return Ok((None, Some(text)));
    };
    let rest = &text[scheme.len()..];
    // The client has written the host, and some proxies take a "?" in it: then this is no path any
    // more.
    let slash = rest.find('/').ok_or_else(twice)?;
    // Without a host it has as many readings as there are URL parsers.
    let host = Some(&rest[..slash])
        .filter(|host| !host.is_empty())
        .and_then(host_name)
        .ok_or_else(twice)?;
    Ok((Some(host), Some(&rest[slash..])))
}

/// The method that the client asked with. What the parser would not let in is no more let in by a
/// proxy that asks: a yes would send the identity headers on with a TRACE, which echoes them.
fn original_method<'a>(headers: Headers<'a>, name: &str) -> Result<Option<&'a str>, GatewayError> {
    match text(headers, name)? {
        // Two values that something in between has joined.
        Some(method) if !is_word(method) => Err(twice()),
        Some(method) if !goes_on(method) => Err(GatewayError::new(
            ErrorCode::MethodNotAllowed,
            "The original request has a method that is never passed on.",
        )),
        method => Ok(method),
    }
}

/// The host that the client asked for.
fn original_host(
    headers: Headers<'_>,
    place: &OriginalSource,
) -> Result<Option<HostName>, GatewayError> {
    let name = match place {
        OriginalSource::Header(name) => name,
        OriginalSource::Asking => "host",
    };
    let Some(host) = text(headers, name)? else {
        return Ok(None);
    };
    host_name(host).map(Some).ok_or_else(twice)
}

fn text<'a>(headers: Headers<'a>, name: &str) -> Result<Option<&'a str>, GatewayError> {
    let value = at_most_one(headers, name)?;
    value
        .map(|value| value.text().ok_or_else(twice))
        .transpose()
}

/// The one value of a header. Two mean that something in between lets a client's through.
fn at_most_one<'a>(headers: Headers<'a>, name: &str) -> Result<Option<Value<'a>>, GatewayError> {
    let mut values = headers.get_all(name);
    let value = values.next();
    if values.next().is_some() {
        Err(twice())
    } else {
        Ok(value)
    }
}

/// The path of an original request is none that has one reading.
pub fn path_invalid(why: PathError) -> GatewayError {
    GatewayError::new(ErrorCode::PathInvalid, format!("{why}"))
}

fn twice() -> GatewayError {
    GatewayError::new(
        ErrorCode::RequestInvalid,
        "The original URI, host or method came twice or is not one; the proxy in front must set it once.",
    )
}

#[cfg(test)]
mod tests;
