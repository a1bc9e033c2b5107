//! `[platforms]`: the way to the platforms.

use super::problem::Wrong;
use super::reader::Section;
use crate::provider::proxy::{BadProxyUrl, Exception, Proxies, ProxyUrl};

const FORM: &str = "write it as in \"http://user:password@proxy:3128\", or \"env\" for what HTTPS_PROXY and the like say";

/// Which calls go through a proxy.
pub(super) fn read(section: &mut Section<'_>) -> Proxies {
    let text = section
        .has("proxy")
        .then(|| section.discreet("proxy"))
        .flatten();
    if !section.has("proxy") {
        let _ = section.take("proxy");
    }
    let mut proxies = match text.as_deref() {
        Some("env") => of_environment(section),
        Some(url) => of_url(section, url),
        None => Proxies::default(),
    };
    let shown = if text.as_deref() == Some("env") {
        text
    } else {
        proxies.https.as_ref().map(ProxyUrl::shown)
    };
    section.note("proxy", shown.map(Into::into));
    let listed = section.list("no_proxy", exception);
    if section.has("no_proxy") {
        proxies.except = listed;
    }
    proxies
}

fn of_url(section: &Section<'_>, url: &str) -> Proxies {
    match ProxyUrl::parse(url) {
        Ok(proxy) => Proxies {
            https: Some(proxy.clone()),
            http: Some(proxy),
            except: Vec::new(),
        },
        Err(wrong) => {
            section.problem(
                "proxy",
                &wrong.to_string(),
                if wrong == BadProxyUrl::Socks {
                    "name the HTTP port of the proxy, if it has one"
                } else {
                    FORM
                },
            );
            Proxies::default()
        }
    }
}

/// The variables that curl and others read.
fn of_environment(section: &Section<'_>) -> Proxies {
    let first = |names: &[&'static str]| {
        names
            .iter()
            .find_map(|name| Some((*name, section.reader.variables.found(name)?)))
    };
    let proxy = |names: &[&'static str]| {
        let (name, value) = first(names)?;
        // Without a scheme it is an HTTP proxy.
        let url = if value.contains("://") {
            value
        } else {
            format!("http://{value}")
        };
        ProxyUrl::parse(&url)
            .map_err(|wrong| {
                section.problem(
                    "proxy",
                    &format!("the variable {name} {wrong}"),
                    "set it to http://HOST:PORT",
                );
            })
            .ok()
    };
    let https = proxy(&["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]);
    let http = proxy(&["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]);
    if https.is_none() && !section.has_problems_at("proxy") {
        section.warn(
            "proxy",
            "neither HTTPS_PROXY nor ALL_PROXY is set: calls to platforms go directly",
            "set one of them for this process, or remove the key",
        );
    }
    let except = first(&["NO_PROXY", "no_proxy"]).map(|(_, list)| {
        list.split(',')
            .filter_map(|one| Exception::parse(one.trim()))
            .collect()
    });
    Proxies {
        https,
        http,
        except: except.unwrap_or_default(),
    }
}

fn exception(text: &str) -> Result<Exception, Wrong> {
    let form = "write a name (those below it too), an address, a network or \"*\", as in \"internal.example\", \"10.0.0.0/8\"";
    Exception::parse(text).ok_or_else(|| Wrong::new("is neither a host nor a network", form))
}
