//! The examples of the documentation, as they stand there.

use std::path::Path;

/// The blocks of a language below a heading of a page, up to the next heading.
///
/// # Panics
///
/// If there are none: a test of no example must not look like one that held.
pub(crate) fn blocks(page: &str, heading: &str, language: &str) -> Vec<String> {
    let text = std::fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("docs")
            .join(page),
    )
    .unwrap();
    let text = format!("\n{text}");
    let (_, section) = text
        .split_once(&format!("\n{heading}\n"))
        .unwrap_or_else(|| panic!("{page} has no {heading}"));
    let section = section.split("\n### ").next().unwrap();
    let blocks: Vec<_> = section
        .split(&format!("```{language}\n"))
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap().to_owned())
        .collect();
    assert!(
        !blocks.is_empty(),
        "{page} has no {language} below {heading}"
    );
    blocks
}
