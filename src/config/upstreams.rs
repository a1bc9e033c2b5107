//! `[upstreams.NAME]`: the backends.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use toml::de::DeValue;

use super::own_listeners::OwnListeners;
use super::parsers::{choice, duration};
use super::problem::{Wrong, refuse};
use super::reader::{Given, Section};
use crate::route::host_name;
use crate::upstream::breaker::BreakerSettings;
use crate::upstream::{
    Balance, EjectionSettings, Endpoint, HealthSettings, HostHeader, IdleSettings, RetrySettings,
    TlsFiles, Upstream,
};
use crate::upstream_client::connector::Connector;

/// An upstream; `None`: its name only, because it is not all there, which the reader has noted.
pub(super) type Named = (Arc<str>, Option<Arc<Upstream>>);

/// More than any upstream takes, and few enough to be counted.
const CONCURRENT_MAX: u64 = 1_000_000;
const BALANCES: [(&str, Balance); 3] = [
    ("round_robin", Balance::RoundRobin),
    ("least_request", Balance::LeastRequest),
    ("user_hash", Balance::UserHash),
];
const ENDPOINTS_FORM: &str = "write endpoints = [\"http://HOST:PORT\"]";

/// Every upstream.
pub(super) fn read(root: &mut Section<'_>, own: &OwnListeners<'_>) -> Vec<Named> {
    let mut index = 0;
    root.named("upstreams", |name, section| {
        let upstream = read_upstream(name, index, section, own).map(Arc::new);
        index += 1;
        (name.into(), upstream)
    })
}

fn read_upstream(
    name: &str,
    index: usize,
    section: &mut Section<'_>,
    own: &OwnListeners<'_>,
) -> Option<Upstream> {
    let mut upstream = Upstream::new(name, read_endpoints(section, own));
    upstream.index = index;
    upstream.host = section.value("host", host);
    upstream.balance = section.value("balance", choice(BALANCES));
    let patience = duration(Duration::from_millis(1));
    upstream.connect_timeout = section.value("connect_timeout", &patience);
    upstream.timeout = section.value("timeout", &patience);
    upstream.first_byte_timeout = section
        .optional("first_byte_timeout", &patience)
        .unwrap_or(upstream.timeout);
    upstream.total_timeout = section.optional("total_timeout", &patience);
    upstream.max_concurrent = section.number("max_concurrent", CONCURRENT_MAX);
    upstream.queue = section.number("queue", CONCURRENT_MAX);
    if upstream.max_concurrent == 0 && upstream.queue > 0 {
        section.problem(
            "queue",
            "has no effect, since max_concurrent is 0",
            "set max_concurrent to the number of requests in flight, or remove this key",
        );
    }
    upstream.queue_timeout = section.value("queue_timeout", &patience);
    upstream.idle = IdleSettings {
        connections: section.number("idle_connections", 100_000),
        timeout: section.value("idle_timeout", &patience),
    };
    upstream.resolve_interval = section.value("resolve_interval", duration(Duration::from_secs(1)));
    upstream.retries = section.section("retries", read_retries);
    let trial_lease = upstream.connect_timeout + upstream.first_byte_timeout;
    upstream.ejection = section.section("ejection", |section| read_ejection(section, trial_lease));
    upstream.health = section.section("health", read_health);
    let encrypted = upstream.endpoints.iter().any(|endpoint| endpoint.tls);
    let tls = section.section("tls", |section| read_tls(section, encrypted));
    upstream.tls = encrypted.then_some(tls);
    if upstream.endpoints.is_empty() {
        return None;
    }
    if !section.has_problems_at("tls")
        && let Err(error) = Connector::new(&upstream)
    {
        section.problem(
            "tls",
            &error.to_string(),
            "name files in PEM: a certificate or several, and the key that belongs to it",
        );
    }
    Some(upstream)
}

/// A list of URLs, or of tables with a URL and a weight.
fn read_endpoints(section: &mut Section<'_>, own: &OwnListeners<'_>) -> Vec<Endpoint> {
    let Some(given) = section.take("endpoints") else {
        section.problem("endpoints", "missing", ENDPOINTS_FORM);
        section.note("endpoints", None);
        return Vec::new();
    };
    let list = match given.value {
        DeValue::String(_) => vec![given],
        _ => section.elements(&given).unwrap_or_else(|| {
            section.wrong_kind(&given, "a list", ENDPOINTS_FORM);
            Vec::new()
        }),
    };
    if section.is_empty_list("endpoints") {
        section.problem("endpoints", "is empty", ENDPOINTS_FORM);
    }
    let mut all: Vec<(Endpoint, toml::Value)> = Vec::with_capacity(list.len());
    for item in &list {
        let Some((endpoint, shown)) = read_endpoint(section, item) else {
            continue;
        };
        if let Some(listener) = own.met_by(&endpoint) {
            let what = format!("points to the gateway itself ({listener}), so requests would loop");
            section.fault_at(item, &what, "write where the backend listens");
        }
        if all.iter().any(|(other, _)| other.is_same_place(&endpoint)) {
            section.fault_at(
                item,
                &format!("names {endpoint} a second time"),
                "remove it; { url = \"…\", weight = 2 } gives it a larger share",
            );
        } else if all
            .first()
            .is_some_and(|(first, _)| first.tls != endpoint.tls)
        {
            let what = "has another scheme than the first endpoint: some requests would go out unencrypted";
            section.fault_at(item, what, "write https:// for all of them, or for none");
        }
        all.push((endpoint, shown));
    }
    section.note(
        "endpoints",
        Some(
            all.iter()
                .map(|(_, shown)| shown.clone())
                .collect::<Vec<_>>()
                .into(),
        ),
    );
    all.into_iter().map(|(endpoint, _)| endpoint).collect()
}

/// An endpoint, and how it is shown.
fn read_endpoint<'a>(section: &Section<'a>, item: &Given<'a>) -> Option<(Endpoint, toml::Value)> {
    if !matches!(item.value, DeValue::Table(_)) {
        let (endpoint, text) = section.entry(item, endpoint)?;
        return Some((endpoint, text.into()));
    }
    section.inline(item, weighted_endpoint).flatten()
}

fn weighted_endpoint(table: &mut Section<'_>) -> Option<(Endpoint, toml::Value)> {
    let form = "write { url = \"http://HOST:PORT\", weight = 2 }";
    let url = table.required("url", form, endpoint);
    let weight = table.number_in(
        "weight",
        1..=u64::from(Endpoint::WEIGHT_MAX),
        "to take an endpoint out, remove it from the list",
    );
    let (mut endpoint, text) = url?;
    let mut shown = toml::Table::from_iter([("url".to_owned(), text.into())]);
    if weight > 0 {
        endpoint.weight = weight;
        shown.insert("weight".to_owned(), i64::from(weight).into());
    }
    Some((endpoint, toml::Value::Table(shown)))
}

/// The endpoint, and its text with variables put in.
fn endpoint(text: &str) -> Result<(Endpoint, String), Wrong> {
    match Endpoint::parse(text) {
        Ok(endpoint) => Ok((endpoint, text.to_owned())),
        Err(error) => refuse(format!("is not an endpoint: {error}"), ""),
    }
}

/// `"client"`, `"endpoint"`, or a host with or without a port.
fn host(text: &str) -> Result<HostHeader, Wrong> {
    let form = "write \"client\", \"endpoint\", or the name that the backend knows itself by, as in \"shop.example.com\"";
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (text, None),
    };
    let has_sound_port = port.is_none_or(|port| {
        port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    match host_name(name) {
        _ if text == "client" => Ok(HostHeader::Client),
        _ if text == "endpoint" => Ok(HostHeader::Endpoint),
        // A slip that would be a name otherwise.
        _ if ["client", "endpoint"]
            .iter()
            .any(|word| text.trim_end_matches('s').eq_ignore_ascii_case(word)) =>
        {
            refuse("is an unknown value", form)
        }
        Some(canonical) if has_sound_port && *canonical == *name => {
            Ok(HostHeader::Fixed(text.to_owned()))
        }
        Some(canonical) if has_sound_port => refuse(
            "is not in its canonical form",
            format!("write {:?}", text.replacen(name, &canonical, 1)),
        ),
        _ => refuse("is no host", form),
    }
}

fn read_retries(section: &mut Section<'_>) -> RetrySettings {
    RetrySettings {
        attempts: section.number("attempts", 10),
        percent: section.number("percent", 100),
        per_second: section.number("per_second", 100_000),
    }
}

fn read_ejection(section: &mut Section<'_>, trial_lease: Duration) -> EjectionSettings {
    let failures = section.positive(
        "failures",
        1_000_000,
        "is 0, so an endpoint would be ejected before it failed",
        "write at least 1; max_percent = 0 switches ejection off",
    );
    let span = duration(Duration::from_millis(1));
    let time = section.value("time", &span);
    let max_time = section.value("max_time", &span);
    if time > max_time {
        section.problem("max_time", "is shorter than time", "write a longer one");
    }
    EjectionSettings {
        breaker: BreakerSettings {
            failures,
            open_for: time,
            open_max: max_time,
            trial_lease,
        },
        max_percent: section.number("max_percent", 100),
    }
}

fn read_health(section: &mut Section<'_>) -> Option<HealthSettings> {
    let path = section.optional("path", |text| {
        match text.starts_with('/')
            && text.bytes().all(|b| b.is_ascii_graphic())
            && !text.contains('#')
        {
            true => Ok(text.to_owned()),
            false => refuse("is not a path", "write it as in \"/healthz\""),
        }
    });
    let span = duration(Duration::from_millis(1));
    let interval = section.value("interval", duration(Duration::from_millis(10)));
    let timeout = section.value("timeout", &span);
    let healthy_after = section.positive("healthy_after", 1000, "is 0", "write at least 1");
    let unhealthy_after = section.positive("unhealthy_after", 1000, "is 0", "write at least 1");
    let expected_status = section.value("expected_status", statuses);
    let others = [
        "interval",
        "timeout",
        "healthy_after",
        "unhealthy_after",
        "expected_status",
    ];
    if !section.has("path")
        && let Some(key) = others.into_iter().find(|key| section.has(key))
    {
        section.problem(
            "path",
            &format!("missing: {key} is set, but health checks need a path"),
            "write the path that answers, as in \"/healthz\"",
        );
    }
    Some(HealthSettings {
        path: path?,
        interval,
        timeout,
        healthy_after,
        unhealthy_after,
        expected_status,
    })
}

/// `"200"`, or `"200-299"`.
fn statuses(text: &str) -> Result<RangeInclusive<u16>, Wrong> {
    let status = |text: &str| {
        text.trim()
            .parse::<u16>()
            .ok()
            .filter(|status| (200..1000).contains(status))
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (status(first), status(last)) {
        (Some(first), Some(last)) if first <= last => Ok(first..=last),
        _ => refuse(
            "is not a status or a range of statuses",
            "write \"200\" or \"200-299\"",
        ),
    }
}

fn read_tls(section: &mut Section<'_>, encrypted: bool) -> TlsFiles {
    let ca = section.path("ca");
    let client = section.certificate_pair();
    let is_name = |text: &str| {
        !text.is_empty()
            && text.len() <= 253
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':'))
    };
    let server_name = section.optional("server_name", |text| match is_name(text) {
        true => Ok(text.to_owned()),
        false => refuse(
            "is not a host name",
            "write the name that the certificate has, without scheme and port",
        ),
    });
    if !encrypted
        && let Some(key) = ["ca", "cert", "key", "server_name"]
            .into_iter()
            .find(|key| section.has(key))
    {
        section.problem(
            key,
            "has no effect, since the endpoints are not https://",
            "write https:// in endpoints",
        );
    }
    TlsFiles {
        ca,
        client,
        server_name,
    }
}
