//! The configuration: files that are right, files that are wrong and every word that is said about
//! them, and the manual.

#![expect(clippy::unwrap_used, reason = "the helpers of tests may fail")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hufu::config::{ConfigError, LogFormat, Problem, Settings, Variables, manual};
use hufu::store::{RedisServers, ServerAddress, StoreUrl};
use hufu::upstream::{Balance, Upstream};

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
/// As long as WeChat's are.
const SECRET: &str = "0123456789abcdef0123456789abcdef";
const NAMING_KEY: &str = "HxwbGhkYFxYVFBMSERAPDg0MCwoJCAcGBQQDAgEAHR4";

fn variables() -> Variables {
    Variables::only([
        ("HUFU_KEY", KEY),
        ("HUFU_NAMING_KEY", NAMING_KEY),
        (
            "HUFU_SIGNING_KEY",
            "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8",
        ),
        ("WX_SECRET", SECRET),
        ("HUFU_REDIS_PASSWORD", "tiger"),
        ("HUFU_ADMIN_TOKEN", "tiger-admin-token-of-a-test"),
        ("OPS_ADMIN_TOKEN", "tiger-ops-token-of-a-test"),
        (
            "HUFU_TRACES_AUTHORIZATION",
            "Bearer collector-login-of-a-test",
        ),
        ("PROXY_PASSWORD", "tiger"),
        ("WX_PUSH_TOKEN", "tigertoken"),
        (
            "WX_PUSH_AES_KEY",
            "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C",
        ),
        (
            "ORDERS_PLATFORM_SECRET",
            "tiger-platform-secret-of-a-test-0987654321",
        ),
        ("HUFU_HOOK_SECRET", "tiger-hook-secret-of-a-test-0987654321"),
        ("EMPTY", ""),
    ])
}

fn folder(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/configs")
        .join(kind)
}

fn parse(path: &Path) -> Result<(Settings, Vec<Problem>), ConfigError> {
    let name = path.file_name().unwrap().to_str().unwrap();
    Settings::parse(
        name,
        &fs::read_to_string(path).unwrap(),
        path.parent().unwrap(),
        &variables(),
    )
}

fn files(kind: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder(kind))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|path| path.extension().is_some_and(|ext| ext == "toml"));
    files.sort();
    files
}

/// Compares with the file beside it; `HUFU_BLESS=1` writes that file instead, for a person to read
/// and commit.
fn hold(path: &Path, text: &str) {
    let folder = path.parent().unwrap().display().to_string();
    let text = format!("{}\n", text.replace(&format!("{folder}/"), ""));
    assert!(
        !text.contains("tiger\"")
            && !text.contains("tiger@")
            && !text.contains(KEY)
            && !text.contains(SECRET),
        "{path:?} shows a secret:\n{text}"
    );
    let expected = path.with_extension("expected");
    if std::env::var_os("HUFU_BLESS").is_some() {
        fs::write(&expected, &text).unwrap();
    }
    assert_eq!(
        text,
        fs::read_to_string(&expected).unwrap_or_default(),
        "{}",
        path.display()
    );
}

/// What differs from the defaults, so that a new key changes the full snapshot alone.
fn without_defaults(printed: &str) -> String {
    let manual: toml::Value = manual::TEXT.parse::<toml::Table>().unwrap().into();
    let mut kept = String::new();
    let mut defaults = Some(&manual);
    let mut header = None;
    for line in printed
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        if line.starts_with('[') {
            defaults = defaults_of(&manual, line.trim_matches(['[', ']']));
            header = Some(line);
            continue;
        }
        let given: toml::Table = line.parse().unwrap();
        let (key, value) = given.iter().next().unwrap();
        if defaults.and_then(|table| table.get(key)) != Some(value) {
            if let Some(header) = header.take() {
                kept = format!("{kept}\n{header}\n");
            }
            kept = format!("{kept}{line}\n");
        }
    }
    kept
}

/// The table of the manual that has the defaults of this one; that of its example where the
/// operator chooses the name.
fn defaults_of<'a>(manual: &'a toml::Value, path: &str) -> Option<&'a toml::Value> {
    let mut value = manual;
    for part in path.split('.') {
        let table = value.as_table()?;
        value = table.get(part).or_else(|| table.values().next())?;
    }
    value.get(0).or(Some(value))
}

#[test]
fn what_takes_a_restart_is_named_also_where_it_is_written_alike() {
    let read = |text: &str, variables: &[(&'static str, &'static str)]| {
        let text = format!(
            "store.url = \"memory:\"\n[apps.a]\nappid = \"wx1\"\nsecret = \"s\"\n[upstreams.u]\nendpoints = [\"http://x\"]\n\
             [[routes]]\npath = \"/\"\nupstream = \"u\"\n{text}"
        );
        let variables = Variables::only(variables.iter().copied());
        Settings::parse("f", &text, Path::new(""), &variables)
            .unwrap()
            .0
    };
    let sizes = "[server]\nmax_request_head = \"${SIZE}\"\nbody_limit = \"${BODY}\"\n";
    let settings = read(sizes, &[("SIZE", "16KiB"), ("BODY", "1KiB")]);
    for (text, variables, named) in [
        (sizes, [("SIZE", "16KiB"), ("BODY", "2KiB")], &[][..]),
        (
            sizes,
            [("SIZE", "32KiB"), ("BODY", "1KiB")],
            &["server.max_request_head"][..],
        ),
        (
            "[log]\nlevel = \"warn\"\n",
            [("SIZE", ""), ("BODY", "")],
            &["log.level", "server.max_request_head"][..],
        ),
    ] {
        assert_eq!(settings.unchangeable(&read(text, &variables)), named);
    }
    let token = "[admin]\ntoken = \"${SECRET}0123456789abcdef01234567\"\n";
    let traces = "[traces]\nendpoint = \"http://c/v1/traces\"\nauthorization = \"${SECRET}\"\n";
    let keys = format!("[secrets]\nkeys = [\"${{SECRET}}{}\"]\n", &KEY[1..]);
    let naming_key = format!(
        "[secrets]\nnaming_key = \"${{SECRET}}{}\"\n",
        &NAMING_KEY[1..]
    );
    for (text, named) in [
        (token, "admin.token"),
        (traces, "traces.authorization"),
        (&keys, "secrets.keys"),
        (&naming_key, "secrets.naming_key"),
    ] {
        let [before, same, other] = ["A", "A", "B"].map(|secret| read(text, &[("SECRET", secret)]));
        assert_eq!(before.unchangeable(&same), [""; 0]);
        assert_eq!(before.unchangeable(&other), [named]);
    }
}

#[test]
fn passwords_of_the_store_are_compared_wherever_they_stand() {
    let read = |store: &str, password: &'static str| {
        let text = format!(
            "[store]\n{store}[secrets]\nkeys = \"{KEY}\"\nnaming_key = \"{NAMING_KEY}\"\n[apps.a]\nappid = \"wx1\"\nsecret = \"s\"\n"
        );
        let variables = Variables::only([("PASSWORD", password)]);
        Settings::parse("f", &text, Path::new(""), &variables)
            .unwrap()
            .0
    };
    for (store, named) in [
        ("url = \"redis://h:${PASSWORD}@r:6379/0\"\n", "store.url"),
        (
            "url = \"redis://r:6379/0\"\npassword = \"${PASSWORD}\"\n",
            "store.password",
        ),
        (
            "url = \"redis+sentinel://r:26379/m/0\"\nsentinel_password = \"${PASSWORD}\"\n",
            "store.sentinel_password",
        ),
    ] {
        let settings = read(store, "one");
        assert_eq!(settings.unchangeable(&read(store, "one")), [""; 0]);
        assert_eq!(settings.unchangeable(&read(store, "two")), [named]);
    }
}

#[test]
fn the_manual_says_which_keys_take_a_restart() {
    let (_, text) = manual::TEXT.split_once("# SIGHUP ").unwrap();
    let (text, _) = text.split_once(" docs/").unwrap();
    let (sections, reloaded) = text.split_once("except for").unwrap();
    let is_fixed = |path: &String| {
        let section = path.split('.').next().unwrap();
        let is_named = |name: &str| sections.split([' ', ',']).any(|word| word == name);
        let mut above = path.match_indices('.').map(|(at, _)| &path[..at]);
        is_named(path)
            || above.any(is_named)
            || sections.contains(&format!("[{section}]"))
                && !reloaded
                    .split([' ', ','])
                    .any(|word| word.trim_end_matches('.') == path)
    };
    let (settings, _) = parse(&folder("valid").join("full.toml")).unwrap();
    let fixed: BTreeSet<String> = settings.effective.restart_paths().collect();
    assert!(fixed.len() > 40);
    assert_eq!(
        manual::paths()
            .into_iter()
            .filter(is_fixed)
            .collect::<BTreeSet<_>>(),
        fixed
    );
}

#[test]
fn every_problem_of_a_broken_file_is_named_at_once() {
    let files = files("invalid");
    assert!(files.len() >= 15);
    for path in files {
        let error = parse(&path)
            .map(|_| ())
            .expect_err(&path.display().to_string());
        hold(&path, &error.to_string());
    }
}

#[test]
fn good_files_load_and_say_what_is_odd() {
    let files = files("valid");
    assert!(files.len() >= 4);
    for path in files {
        let (settings, warnings) =
            parse(&path).unwrap_or_else(|error| panic!("{}:\n{error}", path.display()));
        let warnings: Vec<_> = warnings
            .iter()
            .filter(|warning| !warning.what.starts_with("every user"))
            .map(ToString::to_string)
            .collect();
        let printed = settings.effective.to_string();
        assert!(printed.parse::<toml::Table>().is_ok());
        let shown = if path.ends_with("full.toml") {
            printed
        } else {
            without_defaults(&printed)
        };
        hold(&path, format!("{}\n\n{shown}", warnings.join("\n")).trim());
        assert!(
            !format!("{settings:?}").contains("tiger"),
            "Debug shows a secret"
        );
    }
}

#[test]
fn no_text_makes_the_reader_panic() {
    let text = manual::complete();
    let mut read = 0;
    for (at, c) in text.char_indices().step_by(7) {
        let cut = &text[..at];
        let changed = format!(
            "{cut}{}{}",
            ["\"", "[", "=", "\n", "$", "{"][at % 6],
            &text[at + c.len_utf8()..]
        );
        for text in [cut, &changed] {
            if let Err(error) = Settings::parse("f", text, Path::new("nowhere"), &variables()) {
                assert!(!error.problems.is_empty() && !error.to_string().contains("tiger"));
            }
            read += 1;
        }
    }
    assert!(read > 1000);
}

#[test]
fn values_arrive_in_their_types() {
    let (settings, _) = parse(&folder("valid").join("full.toml")).unwrap();
    assert_eq!(settings.server.listen.to_string(), "[::]:8443");
    assert_eq!(
        settings.server.trusted_proxies[2].to_string(),
        "192.0.2.7/32"
    );
    assert_eq!(
        (settings.server.workers, settings.server.body_limit),
        (4, 1 << 30)
    );
    assert_eq!(
        settings.server.request_head_timeout,
        Duration::from_millis(1500)
    );
    assert_eq!(
        (
            settings.session.rules.lifetime.idle,
            settings.session.rules.max_per_user
        ),
        (Duration::from_secs(900), 0)
    );
    assert_eq!(settings.session.rules.rotate_grace, Duration::from_secs(60));
    let quotas = settings.login.quotas;
    let seen = [quotas.per_ip, quotas.per_user, quotas.per_app]
        .map(|quota| quota.map(|quota| (quota.amount(), quota.window().as_secs())));
    assert_eq!(seen, [Some((2000, 60)), None, Some((40_000, 120))]);
    let tokens = settings.admin.tokens.iter();
    let tokens: Vec<_> = tokens
        .map(|token| (&*token.name, token.secret.expose().as_str()))
        .collect();
    assert_eq!(
        tokens,
        [
            ("admin", "tiger-admin-token-of-a-test"),
            ("deploy", "tiger-deploy-token-of-a-test"),
            ("ops", "tiger-ops-token-of-a-test")
        ]
    );
    let StoreUrl::Redis(redis) = &settings.store.url else {
        panic!("not Redis")
    };
    let RedisServers::One {
        at: ServerAddress::Node(at),
        db,
    } = &redis.servers
    else {
        panic!("{redis}")
    };
    assert_eq!(
        (at.port, *db, redis.login.username.as_deref()),
        (6380, 2, Some("hufu"))
    );
    assert_eq!(
        redis.login.password.as_ref().unwrap().expose(),
        "tiger-password"
    );
    assert!(redis.tls && settings.store_tls.ca.is_some());
    assert!(!settings.secrets.ephemeral);
    // The apps are in the order of their names.
    assert_eq!(
        settings.apps[1].base_urls,
        ["https://api.weixin.qq.com", "https://api2.weixin.qq.com"]
    );
    assert_eq!(settings.apps[0].secret.expose(), "tiger-password");
    assert_eq!(&*settings.routes.routes()[1].upstream.name, "orders");
    let orders = &settings.upstreams[0];
    assert_eq!(
        orders
            .endpoints
            .iter()
            .map(|endpoint| (endpoint.port, endpoint.weight, endpoint.tls))
            .collect::<Vec<_>>(),
        [(8000, 1, true), (8443, 3, true)]
    );
    assert_eq!(
        (
            orders.balance,
            orders.max_concurrent,
            orders.queue,
            orders.index
        ),
        (Balance::UserHash, 100, 20, 0)
    );
    assert_eq!(
        (orders.first_byte_timeout, orders.total_timeout),
        (Duration::from_secs(10), Some(Duration::from_secs(3600)))
    );
    assert_eq!(
        (
            orders.retries.attempts,
            orders.ejection.breaker.failures,
            orders.ejection.max_percent
        ),
        (1, 3, 30)
    );
    let health = orders.health.as_ref().unwrap();
    assert_eq!(
        (health.path.as_str(), health.expected_status.clone()),
        ("/healthz?deep=1", 204..=204)
    );
    assert_eq!(
        orders.tls.as_ref().unwrap().server_name.as_deref(),
        Some("orders.internal")
    );
    assert_eq!(settings.identity.subject, "X-User-Id");
    assert_eq!(settings.identity.appid, "X-WX-APPID");
    assert_eq!(
        (settings.log.format, settings.log.level),
        (LogFormat::Json, log::LevelFilter::Debug)
    );
}

#[test]
fn sentinels_and_clusters_arrive_in_their_types() {
    let (settings, _) = parse(&folder("valid").join("sentinel.toml")).unwrap();
    let StoreUrl::Redis(redis) = &settings.store.url else {
        panic!("not Redis")
    };
    assert!(
        matches!(&redis.servers, RedisServers::Sentinel { sentinels, master, db: 3 } if sentinels.len() == 3 && master == "sessions")
    );
    assert_eq!(
        settings.store.sentinel_login.username.as_deref(),
        Some("watcher")
    );
    assert_eq!(
        settings
            .store
            .sentinel_login
            .password
            .as_ref()
            .unwrap()
            .expose(),
        "tiger-password"
    );
    assert_eq!(settings.store.wait_replicas, 1);
    let (settings, _) = parse(&folder("valid").join("cluster.toml")).unwrap();
    assert_eq!(
        settings.store.url.to_string(),
        "redis+cluster://10.0.0.1:6379,10.0.0.2:7001"
    );
}

#[test]
fn every_default_is_the_one_of_the_manual() {
    let (settings, warnings) = parse(&folder("valid").join("least.toml")).unwrap();
    assert_eq!(warnings, []);
    assert_eq!(settings.identity, hufu::assertion::HeaderNames::default());
    // The code's own defaults, for whoever makes an upstream without a file, are the manual's too.
    let (upstream, plain) = (
        &settings.upstreams[0],
        Upstream::new("api", settings.upstreams[0].endpoints.clone()),
    );
    assert_eq!(format!("{upstream:?}"), format!("{plain:?}"));
    // What the loader took from nowhere else it took from the manual: the printed settings and the
    // manual agree.
    let manual: toml::Table = manual::TEXT.parse().unwrap();
    let printed: toml::Table = settings.effective.to_string().parse().unwrap();
    for section in [
        "server",
        "session",
        "login",
        "identity",
        "cors",
        "websockets",
        "log",
    ] {
        assert_eq!(manual[section], printed[section], "[{section}]");
    }
    for (manual, printed) in [
        (&manual["apps"]["shop"], &printed["apps"]["shop"]),
        (&manual["upstreams"]["orders"], &printed["upstreams"]["api"]),
        (
            &manual["upstreams"]["orders"]["retries"],
            &printed["upstreams"]["api"]["retries"],
        ),
        (
            &manual["upstreams"]["orders"]["ejection"],
            &printed["upstreams"]["api"]["ejection"],
        ),
        (
            &manual["upstreams"]["orders"]["health"],
            &printed["upstreams"]["api"]["health"],
        ),
        (&manual["admin"], &printed["admin"]),
        (&manual["store"], &printed["store"]),
    ] {
        for (key, value) in manual
            .as_table()
            .unwrap()
            .iter()
            .filter(|(_, value)| !value.is_table())
        {
            assert_eq!(printed.get(key), Some(value), "{key}");
        }
    }
}

#[test]
fn the_manual_has_every_key_and_no_other() {
    let manual: BTreeSet<String> = manual::paths().into_iter().collect();
    assert!(manual.len() > 40);
    let (settings, _) = parse(&folder("valid").join("full.toml")).unwrap();
    let code: BTreeSet<String> = settings.effective.paths().collect();
    assert_eq!(manual, code);
    // And the manual is a good configuration once its examples are switched on, without the twins,
    // the files and the sentinels.
    let complete = manual::complete();
    let lines = complete.lines().filter(|line| {
        let others = [
            "tls = ",
            "ca = ",
            "cert = ",
            "key = ",
            "server_name = ",
            "sentinel_",
            "uri_header",
            "method_header",
            "host_header",
        ];
        !line.contains("_file = ") && !others.iter().any(|key| line.starts_with(key))
    });
    // Who names the proxy that asks trusts it too.
    let text = lines
        .collect::<Vec<_>>()
        .join("\n")
        .replace("trusted_proxies = []", "trusted_proxies = [\"10.0.0.0/8\"]");
    let (_, warnings) = Settings::parse("hufu.toml", &text, Path::new("."), &variables()).unwrap();
    assert_eq!(warnings, []);
    // As it stands it is no configuration: its examples have no appid.
    assert!(Settings::parse("hufu.toml", manual::TEXT, Path::new("."), &variables()).is_err());
    assert!(!manual::TEXT.contains(KEY));
}

#[test]
fn the_pages_for_operators_have_every_key_and_default_of_the_manual() {
    let manual: toml::Table = manual::TEXT.parse().unwrap();
    for name in ["docs/configuration.md", "docs/zh-CN/configuration.md"] {
        let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap();
        let rows = keys_and_defaults(&page);
        assert_eq!(
            rows.keys().cloned().collect::<BTreeSet<_>>(),
            manual::paths().into_iter().collect(),
            "{name}"
        );
        for (key, default) in rows {
            let value = key
                .replace("apps.*", "apps.shop")
                .replace("upstreams.*", "upstreams.orders")
                .replace("clients.*", "clients.orders")
                .split('.')
                .try_fold(toml::Value::Table(manual.clone()), |table, part| {
                    if part == "*" {
                        table.get(0).cloned()
                    } else {
                        table.get(part).cloned()
                    }
                });
            let in_manual = value.map_or_else(String::new, |value| format!("`{value}`"));
            assert_eq!(default, in_manual, "{name}: {key}");
        }
    }
}

/// The first two columns of the tables of keys.
fn keys_and_defaults(page: &str) -> BTreeMap<String, &str> {
    let rows = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    rows.filter(|(key, _)| (key.contains('.') || *key == "failure") && !key.contains(['"', ' ']))
        .map(|(key, rest)| {
            (
                key.replace("NAME", "*").replace("routes[]", "routes.*"),
                rest.split('|').next().unwrap().trim(),
            )
        })
        .collect()
}
