//! The pages against the code: what an operator reads is what the gateway does.

mod capacity;
mod endpoints;
mod errors;
mod markdown;
mod pages;
mod readme;
mod twins;

pub(crate) fn page(name: &str) -> String {
    std::fs::read_to_string(format!("{}/{name}", env!("CARGO_MANIFEST_DIR")))
        .unwrap_or_else(|_| panic!("{name} is missing"))
}

/// The cells of the rows of all tables of a page.
fn rows(text: &str) -> Vec<Vec<String>> {
    let rows = text.lines().filter(|line| {
        line.starts_with('|') && !line.starts_with("|--") && !line.starts_with("| --")
    });
    rows.map(|line| {
        line.trim_matches('|')
            .split('|')
            .map(|cell| cell.trim().to_owned())
            .collect()
    })
    .collect()
}

/// The words in backticks of a cell.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}
