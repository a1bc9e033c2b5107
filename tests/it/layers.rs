//! The layers: a module names only what is below it. The table is data,
//! ARCHITECTURE.md shows the same one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

mod names;
mod platform_names;
mod rings;
mod tree;

/// Layer, module.
pub(crate) const LAYERS: [(u8, &str); 36] = [
    (4, "main"),
    (4, "lib"),
    (4, "cli"),
    (4, "app"),
    (4, "lifecycle"),
    (4, "config"),
    (3, "edge"),
    (3, "endpoints"),
    (3, "proxy"),
    (3, "admin"),
    (3, "platform_api"),
    (3, "sandbox"),
    (2, "http"),
    (2, "store"),
    (2, "redis_client"),
    (2, "provider"),
    (2, "broker"),
    (2, "telemetry"),
    (2, "upstream_client"),
    (1, "session"),
    (1, "identity"),
    (1, "route"),
    (1, "upstream"),
    (1, "limit"),
    (1, "assertion"),
    (1, "push"),
    (0, "clock"),
    (0, "secret"),
    (0, "backoff"),
    (0, "crypto"),
    (0, "metrics"),
    (0, "diagnostic"),
    (0, "files"),
    (0, "peer"),
    (0, "timer"),
    (0, "detached"),
];

/// On one layer, who may name whom.
const NEIGHBOURS: [(&str, &str); 13] = [
    ("identity", "session"),
    ("identity", "limit"),
    ("session", "limit"),
    ("assertion", "session"),
    ("route", "upstream"),
    ("route", "session"),
    ("push", "session"),
    ("http", "telemetry"),
    ("upstream_client", "http"),
    ("store", "redis_client"),
    ("backoff", "crypto"),
    ("timer", "clock"),
    ("crypto", "secret"),
];

/// Crates that live in certain modules, and nowhere else.
pub(crate) const HOMES: [(&str, &[&str]); 32] = [
    ("clap", &["cli", "main"]),
    ("toml", &["config", "cli"]),
    ("anyhow", &["cli", "app", "lifecycle", "config", "main"]),
    ("dotenvy", &["config"]),
    (
        "actix_web",
        &[
            "http",
            "upstream_client",
            "endpoints",
            "proxy",
            "admin",
            "platform_api",
            "edge",
            "sandbox",
            "cli",
            "app",
            "lifecycle",
        ],
    ),
    ("actix_http", &["edge"]),
    ("actix_server", &["edge"]),
    ("actix_service", &["edge"]),
    (
        "rustls",
        &["edge", "app", "cli", "files", "upstream_client"],
    ),
    ("tokio_rustls", &["edge", "upstream_client"]),
    ("rustls_native_certs", &["edge", "upstream_client"]),
    ("socket2", &["upstream_client"]),
    ("ppp", &["edge"]),
    ("x509_cert", &["edge"]),
    ("httparse", &["edge", "upstream_client"]),
    ("rustc_hash", &["route", "store", "assertion"]),
    ("redis", &["redis_client", "store"]),
    ("deadpool_redis", &["redis_client"]),
    ("reqwest", &["provider", "cli", "sandbox"]),
    ("env_logger", &["telemetry"]),
    ("rand", &["crypto"]),
    ("quick_xml", &["push"]),
    ("sha2", &["crypto"]),
    ("hex", &["crypto"]),
    ("aes_gcm_siv", &["crypto"]),
    ("jsonwebtoken", &["crypto"]),
    ("signature", &["crypto"]),
    ("prometheus_client", &["metrics", "telemetry"]),
    ("mimalloc", &["main"]),
    ("clap_complete", &["cli"]),
    ("clap_mangen", &["cli"]),
    ("nix", &["files", "lifecycle", "upstream_client"]),
];

fn sources(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

fn module_of(path: &Path, src: &Path) -> String {
    let first = path.strip_prefix(src).unwrap().components().next().unwrap();
    first
        .as_os_str()
        .to_str()
        .unwrap()
        .trim_end_matches(".rs")
        .to_owned()
}

/// The code of a file without comments and without its test module.
fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// What stands behind each `crate::`, groups included.
fn named_modules(code: &str) -> BTreeSet<String> {
    let word = |text: &str| {
        text.trim_start()
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect::<String>()
    };
    let mut found = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            Some(group) => found.extend(top_level_items(group).iter().map(|item| word(item))),
            None => {
                found.insert(word(rest));
            }
        }
    }
    found
}

fn top_level_items(group: &str) -> Vec<String> {
    let (mut depth, mut items) = (0, vec![String::new()]);
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => items.push(String::new()),
            _ if depth == 0 => items.last_mut().unwrap().push(c),
            _ => {}
        }
    }
    items
}

fn names_crate(code: &str, name: &str) -> bool {
    code.match_indices(&format!("{name}::"))
        .any(|(at, _)| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':'))
}

#[test]
fn every_module_names_only_what_is_below_it() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    assert!(files.len() > 30, "only {} sources found", files.len());
    let layers: BTreeMap<&str, u8> = LAYERS
        .iter()
        .map(|(layer, module)| (*module, *layer))
        .collect();
    let (mut faults, mut arrows) = (Vec::new(), 0);
    for file in &files {
        let (module, text) = (module_of(file, &src), code(file));
        let Some(layer) = layers.get(module.as_str()) else {
            faults.push(format!("{module}: not in the table of layers"));
            continue;
        };
        for other in named_modules(&text)
            .iter()
            .filter(|other| **other != module)
        {
            arrows += 1;
            match layers.get(other.as_str()) {
                Some(below) if below < layer => {}
                Some(same)
                    if same == layer
                        && (*layer == 4
                            || NEIGHBOURS.contains(&(module.as_str(), other.as_str()))) => {}
                Some(_) => faults.push(format!("{}: {module} names {other}", file.display())),
                None => faults.push(format!(
                    "{}: {module} names {other}, which is in no layer",
                    file.display()
                )),
            }
        }
        for (name, homes) in HOMES {
            if names_crate(&text, name) && !homes.contains(&module.as_str()) {
                faults.push(format!(
                    "{}: the crate {name} lives in {homes:?}",
                    file.display()
                ));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(
        arrows > 50,
        "only {arrows} arrows found: the scan does not see the code"
    );
}

#[test]
fn the_scan_sees_groups_and_crates() {
    let code = "use crate::{a::b, c::{d, e}, f};\nuse crate::g::h; redis::cmd(); xredis::y(); z::redis::w();";
    assert_eq!(
        named_modules(code),
        ["a", "c", "f", "g"].map(str::to_owned).into()
    );
    assert!(
        names_crate(code, "redis")
            && !names_crate("deadpool_redis::x", "redis")
            && !names_crate("a::redis::b", "redis")
    );
}
