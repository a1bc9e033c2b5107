//! The tables of endpoints, and their pages.

use std::collections::BTreeSet;

use super::{page, quoted, rows};

#[test]
fn the_first_table_of_the_page_has_the_endpoints_of_the_code_and_no_other() {
    let own = hufu::endpoints::ENDPOINTS.iter().map(|endpoint| {
        let path = format!("/auth/{}", endpoint.path);
        match endpoint.methods.split(',').next() {
            Some("any") | None => path,
            Some(method) => format!("{method} {path}"),
        }
    });
    let admin = hufu::admin::ENDPOINTS
        .iter()
        .map(|endpoint| format!("/{}", endpoint.path));
    let api = format!("{}/…", hufu::admin::API_PREFIX);
    let code: BTreeSet<String> = own.chain(admin).chain([api]).collect();
    for name in ["docs/http-api.md", "docs/zh-CN/http-api.md"] {
        // Each of them leads to its section.
        let documented: BTreeSet<String> = rows(&page(name))
            .iter()
            .filter(|row| row[0].contains("[`"))
            .flat_map(|row| quoted(&row[0]))
            .collect();
        assert_eq!(documented, code, "{name}");
    }
}

#[test]
fn what_requests_to_endpoints_count_as_is_on_the_page_of_the_metrics() {
    let own = hufu::endpoints::ENDPOINTS.iter();
    let own: BTreeSet<String> = own.map(|endpoint| endpoint.path.to_owned()).collect();
    let operations = hufu::admin::OPERATIONS.iter().map(|row| row.path);
    let admin: BTreeSet<String> = operations
        .chain(["unknown_endpoint"])
        .map(|name| format!("admin/{name}"))
        .collect();
    let documented: Vec<BTreeSet<String>> = rows(&page("docs/metrics.md"))
        .iter()
        .filter_map(|row| Some(quoted(row.get(1)?).into_iter().collect()))
        .collect();
    for names in [own, admin] {
        assert!(documented.contains(&names), "docs/metrics.md: {names:?}");
    }
}
