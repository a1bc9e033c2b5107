//! The pages in Chinese say what the English ones say: section by section the same code, the same
//! keys and codes, the same links. And no link of any page leads nowhere.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::markdown::{Text, blocks, code, sections};
use super::{page, quoted, rows};

/// The examples of a section that has a longer one stand on the English page alone, and the Chinese
/// one links to them.
const LONGEST_REPEATED: usize = 50;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The Markdown files of a folder, by their paths from the root.
fn pages_in(folder: &str) -> Vec<String> {
    let files = fs::read_dir(root().join(folder)).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut pages: Vec<_> = names
        .filter(|name| Path::new(name).extension().is_some_and(|end| end == "md"))
        .map(|name| Path::new(folder).join(name).to_str().unwrap().to_owned())
        .collect();
    pages.sort();
    pages
}

/// The names of the pages that are there in both languages.
fn twins() -> Vec<String> {
    let pages = pages_in("docs/zh-CN").into_iter();
    pages
        .map(|page| page.trim_start_matches("docs/zh-CN/").to_owned())
        .collect()
}

/// An English page and its twin.
fn both(name: &str) -> (String, String) {
    (
        page(&format!("docs/{name}")),
        page(&format!("docs/zh-CN/{name}")),
    )
}

fn is_site(link: &str) -> bool {
    link.starts_with("https://") || link.starts_with("http://")
}

/// The file and the anchor that a page's link leads to. `None`: to another site.
fn target(from: &str, link: &str) -> Option<(PathBuf, Option<String>)> {
    if is_site(link) {
        return None;
    }
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let mut path = PathBuf::from(from);
    if !file.is_empty() {
        path.pop();
        for part in file.split('/') {
            if part == ".." {
                assert!(path.pop(), "{from}: {link}");
            } else {
                path.push(part);
            }
        }
    }
    Some((path, (!anchor.is_empty()).then(|| anchor.to_owned())))
}

#[test]
fn every_link_leads_to_a_page_and_a_heading_that_are_there() {
    let folders = ["", "docs", "docs/zh-CN"];
    let mut followed = 0;
    for name in folders.into_iter().flat_map(pages_in) {
        let text = Text::of(&page(&name));
        for link in text.links() {
            let Some((path, anchor)) = target(&name, link) else {
                continue;
            };
            assert!(root().join(&path).exists(), "{name} links to {link}");
            if let Some(anchor) = anchor {
                let there = Text::of(&page(path.to_str().unwrap())).anchors();
                assert!(there.contains(&anchor), "{name} links to {link}");
            }
            followed += 1;
        }
    }
    assert!(followed > 200, "{followed}");
}

#[test]
fn twins_name_each_other_at_their_heads() {
    for name in twins() {
        let (english, chinese) = both(&name);
        let second = |text: &str| text.lines().nth(2).unwrap().to_owned();
        assert_eq!(second(&english), format!("English · [中文](zh-CN/{name})"));
        assert_eq!(second(&chinese), format!("[English](../{name}) · 中文"));
    }
}

#[test]
fn twins_have_the_same_headings_and_every_anchor_holds_in_both_languages() {
    for name in twins() {
        let (english, chinese) = both(&name);
        let (english, chinese) = (Text::of(&english), Text::of(&chinese));
        let levels = |text: &Text| -> Vec<usize> {
            text.headings().iter().map(|(level, _)| *level).collect()
        };
        assert_eq!(levels(&english), levels(&chinese), "{name}");
        let there = chinese.anchors();
        // Nobody links to the title.
        for anchor in english.anchors().iter().skip(1) {
            assert!(there.contains(anchor), "{name}: no <a id=\"{anchor}\">");
        }
    }
}

#[test]
fn twins_have_the_same_examples_but_for_their_comments() {
    for name in twins() {
        let (english, chinese) = both(&name);
        for (english, chinese) in sections(&english).iter().zip(sections(&chinese)) {
            let examples = blocks(english);
            let repeated = examples
                .iter()
                .all(|block| block.lines().count() <= LONGEST_REPEATED + 1);
            if repeated {
                let own = blocks(&chinese);
                assert_eq!(examples.len(), own.len(), "{name}");
                for (example, own) in examples.iter().zip(&own) {
                    assert_eq!(code(example), code(own), "{name}");
                }
            } else {
                assert_eq!(blocks(&chinese), [""; 0], "{name}");
                let heading = &Text::of(english).anchors()[0];
                let link = format!("](../{name}#{heading})");
                assert!(chinese.contains(&link), "{name} has no {link}");
            }
        }
    }
}

/// So a key, a code or an endpoint that an English page gains or loses is missing, or left over, in
/// Chinese until somebody has read that section again.
#[test]
fn twins_name_the_same_keys_codes_and_pages_in_each_section() {
    for name in twins() {
        let (english, chinese) = both(&name);
        for (english, chinese) in sections(&english).iter().zip(sections(&chinese)) {
            let (english, chinese) = (Text::of(english), Text::of(&chinese));
            let heading = english.headings().first().map_or("", |(_, text)| text);
            let words = |text: &Text| text.words().into_iter().collect::<BTreeSet<_>>();
            assert_eq!(
                words(&english),
                words(&chinese),
                "docs/{name} and its Chinese twin differ in: {heading}"
            );
            let links = |text: &Text, folder: &str| -> BTreeSet<String> {
                let from = format!("{folder}/{name}");
                let links = text.links().into_iter();
                let others = links.filter(|link| !link.starts_with(&format!("../{name}#")));
                others.map(|link| destination(&from, link)).collect()
            };
            assert_eq!(
                links(&english, "docs"),
                links(&chinese, "docs/zh-CN"),
                "docs/{name} and its Chinese twin link to other pages in: {heading}"
            );
        }
    }
}

/// Where a link leads, with the English page in the place of its twin.
fn destination(from: &str, link: &str) -> String {
    let Some((path, anchor)) = target(from, link) else {
        return link.to_owned();
    };
    let path = path.to_str().unwrap().replace("docs/zh-CN/", "docs/");
    format!("{path}#{}", anchor.unwrap_or_default())
}

#[test]
fn the_tables_of_twins_have_the_same_words_in_each_cell() {
    for name in twins() {
        let (english, chinese) = both(&name);
        let (english, chinese) = (cells(&english), cells(&chinese));
        for (english, chinese) in english.iter().zip(&chinese) {
            assert_eq!(english, chinese, "docs/{name} and its Chinese twin");
        }
        assert_eq!(english.len(), chinese.len(), "{name}");
    }
}

/// The words in backticks of each cell, row by row.
fn cells(page: &str) -> Vec<Vec<BTreeSet<String>>> {
    let rows = rows(page).into_iter();
    rows.map(|row| {
        row.iter()
            .map(|cell| quoted(cell).into_iter().collect())
            .collect()
    })
    .collect()
}

#[test]
fn chinese_pages_link_to_chinese_pages_where_they_are() {
    let twins = twins();
    let pages = pages_in("docs/zh-CN");
    assert!(!twins.is_empty());
    for name in pages.iter().map(String::as_str).chain(["README.zh-CN.md"]) {
        let text = Text::of(&page(name));
        for link in text.links() {
            let Some((path, _)) = target(name, link) else {
                continue;
            };
            let twin = path
                .strip_prefix("docs")
                .ok()
                .and_then(Path::to_str)
                .filter(|twin| twins.iter().any(|name| name == twin));
            let own_twin = twin.is_some_and(|twin| name == format!("docs/zh-CN/{twin}"));
            assert!(
                twin.is_none() || own_twin,
                "{name} links to the English {link}"
            );
        }
    }
}
