//! Codes, metrics, layers, headers and commands: the pages name all of them and no other.

use std::collections::{BTreeMap, BTreeSet};

use hufu::assertion::believed::Speaker;
use hufu::http::ErrorCode;
use hufu::metrics::Metrics;

use super::{page, quoted, rows};
use crate::layers::{HOMES, LAYERS};

#[test]
fn every_error_code_is_on_its_page_with_its_status_and_no_other() {
    let code: BTreeMap<String, String> = ErrorCode::ALL
        .iter()
        .map(|code| (code.word().to_owned(), code.describe().1.to_string()))
        .collect();
    assert!(code.len() > 20);
    for name in ["docs/errors.md", "docs/zh-CN/errors.md"] {
        let documented: BTreeMap<String, String> = rows(&page(name))
            .iter()
            .filter(|row| row.len() >= 4)
            .filter_map(|row| Some((quoted(&row[0]).first()?.clone(), row[1].clone())))
            .collect();
        assert_eq!(documented, code, "{name}");
    }
}

#[test]
fn every_metric_is_on_its_pages_and_no_other() {
    let described: BTreeSet<String> = Metrics::new().names().into_iter().collect();
    assert!(described.len() > 8, "{described:?}");
    for name in ["docs/metrics.md", "docs/zh-CN/metrics.md"] {
        let text = page(name);
        for metric in &described {
            assert!(
                text.contains(&format!("`{metric}`")),
                "{name} lacks {metric}"
            );
        }
        for word in text
            .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .filter(|word| word.starts_with("hufu_"))
        {
            let base = word
                .strip_suffix("_bucket")
                .or_else(|| word.strip_suffix("_count"))
                .or_else(|| word.strip_suffix("_sum"))
                .unwrap_or(word);
            assert!(
                described.contains(base) || described.contains(word),
                "{name} has {word}, which the code has not"
            );
        }
    }
}

#[test]
fn the_layers_of_the_page_are_those_of_the_test() {
    let table = rows(&page("ARCHITECTURE.md"));
    let mut documented = BTreeSet::new();
    for row in table.iter().filter(|row| row.len() == 4) {
        if let Some(layer) = row[0].chars().next().and_then(|c| c.to_digit(10)) {
            documented.extend(
                row[1]
                    .split(", ")
                    .map(|module| (u8::try_from(layer).unwrap(), module.to_owned())),
            );
        }
    }
    let code: BTreeSet<_> = LAYERS
        .iter()
        .map(|(layer, module)| (*layer, (*module).to_owned()))
        .collect();
    assert_eq!(documented, code);
    let text = page("ARCHITECTURE.md");
    for (name, _) in HOMES {
        assert!(
            text.contains(name),
            "ARCHITECTURE.md lacks the crate {name}"
        );
    }
}

#[test]
fn the_headers_that_backends_believe_are_on_their_page_and_no_other() {
    let text = page("docs/headers.md");
    for (speaker, section) in [
        (Speaker::Nobody, "## Dropped from every request\n"),
        (Speaker::Proxies, "## Forwarded only from trusted proxies\n"),
    ] {
        let section = text
            .split_once(section)
            .unwrap()
            .1
            .split("\n## ")
            .next()
            .unwrap();
        let documented: Vec<_> = rows(section)
            .iter()
            .filter(|row| row.len() == 3)
            .flat_map(|row| quoted(&row[0]))
            .collect();
        let unique: BTreeSet<_> = documented.iter().cloned().collect();
        let code: BTreeSet<_> = speaker.names().map(str::to_owned).collect();
        assert!(
            code.len() > 8 && unique.len() == documented.len(),
            "a name stands there twice: {documented:?}"
        );
        assert_eq!(unique, code);
    }
}

#[test]
fn both_readmes_show_the_same_commands_and_configuration() {
    let blocks = |name: &str| -> Vec<String> {
        let text = page(name);
        text.split("```")
            .skip(1)
            .step_by(2)
            .filter(|block| block.starts_with("toml") || block.starts_with("sh"))
            .map(|block| {
                block
                    .lines()
                    .map(|line| {
                        line.split(" #")
                            .next()
                            .unwrap()
                            .split("  #")
                            .next()
                            .unwrap()
                            .trim_end()
                            .to_owned()
                    })
                    .collect::<Vec<_>>()
                    .join("\n")
            })
            .collect()
    };
    let (english, chinese) = (blocks("README.md"), blocks("README.zh-CN.md"));
    assert!(
        english
            .iter()
            .any(|block| block.contains("cargo run --release -- demo"))
            && english.iter().any(|block| block.contains("make test"))
    );
    assert_eq!(english, chinese);
}

#[test]
fn one_rust_is_named_everywhere() {
    let pinned = page("rust-toolchain.toml")
        .split('"')
        .nth(1)
        .unwrap()
        .to_owned();
    let (least, _) = pinned.rsplit_once('.').unwrap();
    assert!(
        page("Cargo.toml").contains(&format!("rust-version = \"{least}\"")),
        "Cargo.toml: {least}"
    );
    assert!(
        page("Dockerfile").contains(&format!("RUST_IMAGE=rust:{pinned}-")),
        "Dockerfile: {pinned}"
    );
    assert!(
        page("README.md").contains(&format!("Rust {least} or later"))
            && page("README.zh-CN.md").contains(&format!("Rust {least} 以上")),
        "README: {least}"
    );
}

/// `dist` inherits what `release` says of single packages: one that it does not name again would be
/// run as good as unoptimised.
#[test]
fn what_is_meant_to_be_run_is_optimised_throughout() {
    let manifest: toml::Table = page("Cargo.toml").parse().unwrap();
    let packages = |profile: &str| {
        manifest["profile"][profile]["package"]
            .as_table()
            .unwrap()
            .clone()
    };
    let (quick, dist) = (packages("release"), packages("dist"));
    assert!(quick.keys().eq(dist.keys()), "{quick:?}\n{dist:?}");
    assert!(
        dist.values()
            .all(|of| of["opt-level"].as_integer() == Some(3)),
        "{dist:?}"
    );
}

/// What stands between a page's markers for a machine-written part.
fn written<'a>(text: &'a str, name: &str) -> &'a str {
    let after = text
        .split_once(&format!("<!-- {name}:begin -->\n"))
        .unwrap_or_else(|| panic!("no {name}:begin"))
        .1;
    after
        .split_once(&format!("<!-- {name}:end -->"))
        .unwrap_or_else(|| panic!("no {name}:end"))
        .0
}

/// The texts of one class in the chart, in order.
fn labels(svg: &str, class: &str) -> Vec<String> {
    let mark = format!("class=\"{class}\"");
    svg.split(&mark)
        .skip(1)
        .map(|text| {
            text.split_once('>')
                .unwrap()
                .1
                .split_once('<')
                .unwrap()
                .0
                .to_owned()
        })
        .collect()
}

#[test]
fn the_chart_of_the_bench_shows_the_figures_of_its_table() {
    let page_text = page("docs/performance.md");
    let table = rows(written(&page_text, "bench"));
    let measured = table
        .iter()
        .filter(|row| row.len() == 9)
        .skip(1)
        .filter(|row| row[0] != "Hufu login");
    let (names, totals): (Vec<_>, Vec<_>) =
        measured.map(|row| (row[0].clone(), row[1].clone())).unzip();
    assert!(
        names.iter().any(|name| name.starts_with("nginx"))
            && names.iter().any(|name| name.starts_with("Hufu")),
        "{names:?}"
    );
    let chart = page("docs/bench.svg");
    assert_eq!(labels(&chart, "name"), names);
    assert_eq!(labels(&chart, "value"), totals);
    assert!(rows(written(&page_text, "growth")).len() > 10);
}
