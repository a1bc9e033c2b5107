//! TOML that is no TOML: the line and a caret, as the parser found it, without showing what may be
//! a secret.

pub(super) mod lookalike;
mod twice;

use toml::de::DeTable;

use super::manual;
use super::problem::Problem;

/// The table of a text, or what is wrong with its syntax.
pub(super) fn parse<'a>(file: &str, text: &'a str) -> Result<DeTable<'a>, Problem> {
    DeTable::parse(text).map(toml::Spanned::into_inner).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start).min(text.len());
        let line = text.get(..start).unwrap_or_default().matches('\n').count();
        let content = text.lines().nth(line).unwrap_or_default();
        if let Some(twice) = twice::find(text, start, error.message()) {
            let file = file.to_owned();
            return Problem { file, line: Some(line + 1), path: twice.path, what: twice.what, hint: twice.hint };
        }
        let shown = (!content.is_empty()).then(|| {
            let column = text.get(..start).and_then(|before| before.rsplit('\n').next()).unwrap_or_default().chars().count();
            let gutter = (line + 1).to_string();
            let space = " ".repeat(gutter.len());
            format!("{gutter} | {}\n    {space} | {}^", discreet(content), " ".repeat(column))
        });
        let what = match lookalike::find(content) {
            Some((wide, plain)) => format!("invalid TOML: {wide} is not {plain} (a Chinese input method writes it): write {plain}"),
            None => {
                let quotes = if lacks_quotes(content) { "; write strings in quotes" } else { "" };
                format!("not TOML: {}{quotes}", error.message().trim_end_matches(", expected nothing"))
            }
        };
        Problem { file: file.to_owned(), line: Some(line + 1), path: String::new(), what, hint: shown.unwrap_or_default() }
    })
}

/// Whether a value begins like none of TOML's: `127.0.0.1:8080`, `required`.
fn lacks_quotes(line: &str) -> bool {
    let value = line.split_once('=').map_or("", |(_, value)| value.trim());
    value.starts_with(|c: char| c.is_alphanumeric() || "/:*.$".contains(c))
        && !value.contains(['"', '\''])
        && DeTable::parse(&format!("x = {value}")).is_err()
}

/// The line as it can be shown: whole when its only key is one that holds no secret; else with `*`
/// for every letter and digit of what may be a value.
fn discreet(line: &str) -> String {
    const MAY_BE_SECRET: [&str; 6] = ["secret", "password", "keys", "naming_key", "url", "proxy"];
    let is_table = line.trim_start().starts_with('[') && !line.contains(['"', '\'', '=']);
    let is_equals = ['=', '＝', '：'];
    let equals = line.matches(is_equals).next().unwrap_or("=");
    let (key, value) = line.split_once(is_equals).unwrap_or(("", line));
    let name = key.trim().rsplit('.').next().unwrap_or_default().trim();
    let known = manual::paths()
        .iter()
        .any(|path| path.split('.').any(|part| part == name))
        && !key.contains(['"', '\'']);
    let harmless = known && !MAY_BE_SECRET.contains(&name) && !value.contains(is_equals);
    let hide = |text: &str| {
        text.chars()
            .map(|c| {
                if c.is_alphanumeric() || c == '_' {
                    '*'
                } else {
                    c
                }
            })
            .collect::<String>()
    };
    match (is_table || harmless, known) {
        (true, _) => line.to_owned(),
        (false, true) => format!("{key}{equals}{}", hide(value)),
        (false, false) => hide(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_without_quotes_is_told_as_such() {
        for (line, lacks) in [
            ("listen = 127.0.0.1:8080", true),
            ("path = /api", true),
            ("auth = required", true),
            ("secret = ${WX_SECRET}", true),
            ("max = 5", false),
            ("flag = true # or not", false),
            ("listen = \"0.0.0.0:80", false),
            ("keys = [", false),
            ("[server", false),
            ("x =", false),
        ] {
            assert_eq!(lacks_quotes(line), lacks, "{line}");
        }
    }

    #[test]
    fn a_line_shows_its_key_and_no_secret() {
        for (line, shown) in [
            ("listen = \"0.0.0.0:80", "listen = \"0.0.0.0:80"),
            ("[apps.shop", "[apps.shop"),
            ("path ＝ \"/api\"", "path ＝ \"/api\""),
            ("secret： \"tiger\"", "secret： \"*****\""),
            ("secret = \"tiger", "secret = \"*****"),
            ("apps.shop.secret = tiger", "apps.shop.secret = *****"),
            ("secret = 't-1_g'er", "secret = '*-***'**"),
            ("  \"tiger=\",", "  \"*****=\","),
            ("tiger", "*****"),
            (
                "appid = \"wx\" secret = \"tiger",
                "appid = \"**\" ****** = \"*****",
            ),
            ("shop = { secret = \"tiger }", "**** = { ****** = \"***** }"),
            ("headers = { subject = \"X }", "headers = { ******* = \"* }"),
        ] {
            assert_eq!(discreet(line), shown);
        }
    }
}
