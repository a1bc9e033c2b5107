//! docs/capacity.md: the last table is what the first two come to.

use std::collections::BTreeMap;

use super::{page, quoted, rows};

const PAGE: &str = "docs/capacity.md";
const USERS: [f64; 3] = [1e6, 1e8, 1e9];
/// Redis follows no more keys than that (`tracking-table-max-keys`).
const TRACKED: f64 = 1e6;
const GB: f64 = 1e9;

/// A row: its name, its formula in words, and what it comes to.
type Row = (&'static str, &'static str, fn(&Model) -> String);

const TABLE: [Row; 12] = [
    ("sessions", "users × `sessions_per_user`", |m| {
        count(m.sessions())
    }),
    (
        "proxied requests a second",
        "users × `requests_per_day` × `peak_hour` ÷ 3600",
        |m| count(m.requests()),
    ),
    (
        "logins a second, and as many calls of WeChat",
        "users × `logins_per_day` × `peak_hour` ÷ 3600",
        |m| count(m.logins()),
    ),
    (
        "gateway cores",
        "requests and logins × their microseconds ÷ `gateway_processor`; at least 2, for two machines",
        |m| count(m.gateway_cores()),
    ),
    (
        "near cache hits",
        "a visit's requests are spread evenly over a worker for each core (as if there were no hits); the first on each is a miss",
        |m| format!("{:.0} %", m.hits() * 100.0),
    ),
    (
        "Redis: lookups a second",
        "the misses, and one for each renewal",
        |m| count(m.lookups()),
    ),
    (
        "Redis: renewals a second",
        "users × `visits_per_day` × `peak_hour` ÷ 3600",
        |m| count(m.renewals()),
    ),
    (
        "Redis: requests a second",
        "lookups, renewals, and three for each login",
        |m| count(m.lookups() + m.renewals() + 3.0 * m.logins()),
    ),
    (
        "Redis: memory of the data",
        "users × (`session_memory` + (`sessions_per_user` − 1) × `further_session_memory`), and codes",
        |m| gigabytes(m.data()),
    ),
    (
        "Redis: busy cores",
        "lookups, renewals and logins × their microseconds",
        |m| format!("{:.2}", m.redis_cores()),
    ),
    (
        "Redis: masters",
        "as the data or the cores need, whichever is more: `server_fill` of `server_memory` less a million × `tracked_memory`; `server_processor`; \
         one, or a cluster of at least three",
        |m| count(m.masters()),
    ),
    (
        "Redis: memory of all machines",
        "data and tracked sessions ÷ `server_fill` × `copies` × `machine_memory`",
        |m| gigabytes(m.machines()),
    ),
];

/// The coefficients and assumptions of the page, for so many users.
struct Model {
    values: BTreeMap<String, f64>,
    users: f64,
}

impl Model {
    fn get(&self, name: &str) -> f64 {
        *self
            .values
            .get(name)
            .unwrap_or_else(|| panic!("{PAGE} has no `{name}`"))
    }

    /// What each user does so many times a day, in a second of the busiest hour.
    fn at_peak(&self, name: &str) -> f64 {
        self.users * self.get(name) * self.get("peak_hour") / 3600.0
    }

    fn sessions(&self) -> f64 {
        self.users * self.get("sessions_per_user")
    }

    fn requests(&self) -> f64 {
        self.at_peak("requests_per_day")
    }

    fn logins(&self) -> f64 {
        self.at_peak("logins_per_day")
    }

    fn renewals(&self) -> f64 {
        self.at_peak("visits_per_day")
    }

    fn lookups(&self) -> f64 {
        self.requests() * (1.0 - self.hits()) + self.renewals()
    }

    fn cores_at(&self, hits: f64) -> f64 {
        let request =
            hits * self.get("gateway_request") + (1.0 - hits) * self.get("gateway_lookup_request");
        let busy = (self.requests() * request + self.logins() * self.get("gateway_login")) / 1e6;
        (busy / self.get("gateway_processor")).ceil().max(2.0)
    }

    fn hits(&self) -> f64 {
        let (workers, visit) = (
            self.cores_at(0.0),
            self.get("requests_per_day") / self.get("visits_per_day"),
        );
        let met = workers * (1.0 - (1.0 - 1.0 / workers).powf(visit));
        1.0 - met / visit
    }

    fn gateway_cores(&self) -> f64 {
        self.cores_at(self.hits())
    }

    fn data(&self) -> f64 {
        let user = self.get("session_memory")
            + (self.get("sessions_per_user") - 1.0) * self.get("further_session_memory");
        self.users * user + self.logins() * self.get("replay_window") * self.get("code_memory")
    }

    fn redis_cores(&self) -> f64 {
        let of = |rate: f64, name: &str| rate * self.get(name) / 1e6;
        of(self.lookups(), "redis_lookup")
            + of(self.renewals(), "redis_renewal")
            + of(self.logins(), "redis_login")
    }

    fn masters(&self) -> f64 {
        let room = self.get("server_memory") * GB * self.get("server_fill") - self.tracked();
        let needed = (self.data() / room)
            .max(self.redis_cores() / self.get("server_processor"))
            .ceil();
        if needed > 1.0 { needed.max(3.0) } else { 1.0 }
    }

    /// What one server keeps in mind of the near caches.
    fn tracked(&self) -> f64 {
        TRACKED * self.get("tracked_memory")
    }

    fn machines(&self) -> f64 {
        let held = self.data() + self.masters() * self.tracked();
        held / self.get("server_fill") * self.get("copies") * self.get("machine_memory")
    }
}

/// Digits in threes.
fn count(number: f64) -> String {
    let digits = format!("{number:.0}");
    let places = digits.len();
    digits
        .chars()
        .enumerate()
        .fold(String::new(), |mut text, (place, digit)| {
            if place > 0 && (places - place) % 3 == 0 {
                text.push(' ');
            }
            text.push(digit);
            text
        })
}

fn gigabytes(bytes: f64) -> String {
    let number = bytes / GB;
    if number < 10.0 {
        format!("{number:.1} GB")
    } else {
        format!("{} GB", count(number))
    }
}

/// What stands in the first two tables.
fn values(text: &str) -> BTreeMap<String, f64> {
    rows(text)
        .iter()
        .filter_map(|row| {
            Some((
                quoted(row.first()?).first()?.clone(),
                row.get(1)?.parse().ok()?,
            ))
        })
        .collect()
}

fn table(text: &str) -> String {
    let lines = TABLE.iter().map(|(name, how, formula)| {
        let cells = USERS.map(|users| {
            formula(&Model {
                values: values(text),
                users,
            })
        });
        format!("| {name} | {} | {how} |\n", cells.join(" | "))
    });
    lines.collect()
}

#[test]
fn the_table_is_what_the_coefficients_come_to() {
    let text = page(PAGE);
    assert!(values(&text).len() > 20, "{:?}", values(&text));
    let (head, rest) = text
        .split_once("| how |\n| --- | --- | --- | --- | --- |\n")
        .unwrap();
    let (found, after) = rest.split_once("\n## ").unwrap();
    let expected = table(&text);
    if std::env::var_os("HUFU_BLESS").is_some() && found != expected {
        let whole =
            format!("{head}| how |\n| --- | --- | --- | --- | --- |\n{expected}\n## {after}");
        std::fs::write(format!("{}/{PAGE}", env!("CARGO_MANIFEST_DIR")), whole).unwrap();
        return;
    }
    assert_eq!(found, expected, "HUFU_BLESS=1 writes the table anew");
}

#[test]
fn the_gateways_figures_are_those_of_the_performance_page() {
    let (capacity, performance) = (rows(&page(PAGE)), rows(&page("docs/performance.md")));
    for name in ["gateway_request", "gateway_lookup_request"] {
        let row = capacity
            .iter()
            .find(|row| row[0] == format!("`{name}`"))
            .unwrap();
        let known = performance
            .iter()
            .any(|measured| measured.get(1) == Some(&row[1]));
        assert!(
            known,
            "`{name}` is {} in {PAGE}, and in no row of docs/performance.md: write the new figure, then HUFU_BLESS=1",
            row[1]
        );
    }
}

#[test]
fn a_changed_coefficient_changes_the_table() {
    let text = page(PAGE);
    let (mut changed, before) = (0, table(&text));
    for (name, value) in values(&text) {
        let row = text
            .lines()
            .find(|line| line.starts_with(&format!("| `{name}` |")))
            .unwrap();
        let cell = |value: &str| format!("| `{name}` | {value} |");
        let with = |value: f64| {
            text.replace(
                row,
                &row.replace(
                    &cell(row.split('|').nth(2).unwrap().trim()),
                    &cell(&value.to_string()),
                ),
            )
        };
        assert!(
            table(&with(value * 10.0)) != before || table(&with(value / 10.0)) != before,
            "{name}"
        );
        changed += 1;
    }
    assert!(changed > 20);
}
