//! What the code of a file names: the paths in `use` items and those written in place.

/// The code of a file without comments, literals and its test module.
pub(super) fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    let chars: Vec<char> = text.chars().collect();
    let (mut out, mut at) = (String::new(), 0);
    while at < chars.len() {
        let rest = &chars[at..];
        at += match rest {
            ['/', '/', ..] => count_to(rest, "\n"),
            ['/', '*', ..] => count_to(rest, "*/"),
            ['r', '"', ..] => 2 + count_to(&rest[2..], "\""),
            ['r', '#', '"', ..] => 3 + count_to(&rest[3..], "\"#"),
            ['"', ..] => text_literal(rest),
            ['\'', '\\', _, ..] => 3 + count_to(&rest[3..], "'"),
            ['\'', _, '\'', ..] => 3,
            [other, ..] => {
                out.push(*other);
                1
            }
            [] => 1,
        };
        out.extend(matches!(rest, ['/', '/', ..]).then_some('\n'));
    }
    out
}

/// How many characters there are up to `end`, and `end` with them.
fn count_to(chars: &[char], end: &str) -> usize {
    let end: Vec<char> = end.chars().collect();
    chars
        .windows(end.len())
        .position(|window| window == end)
        .map_or(chars.len(), |at| at + end.len())
}

fn text_literal(chars: &[char]) -> usize {
    let mut at = 1;
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// What a file brings into its scope with `use`, for itself and for the modules inside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Import {
    pub(super) path: Vec<String>,
    /// The name in this file; `*` for everything that the path has.
    pub(super) name: String,
}

/// The imports of a file, and the paths that it writes in place.
pub(super) fn names(code: &str) -> (Vec<Import>, Vec<Vec<String>>) {
    let tokens = tokens(code);
    let (mut imports, mut paths, mut at) = (Vec::new(), Vec::new(), 0);
    while at < tokens.len() {
        let follows = at > 0 && matches!(tokens[at - 1].as_str(), "::" | ".");
        if tokens[at] == "use" {
            at = path_tree(&tokens, at + 1, &[], &mut imports);
        } else if is_word(&tokens[at]) && !follows && is_at(&tokens, at + 1, "::") {
            let mut found = Vec::new();
            at = path_tree(&tokens, at, &[], &mut found);
            paths.extend(found.into_iter().map(|import| import.path));
        } else {
            at += 1;
        }
    }
    (imports, paths)
}

fn tokens(code: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut goes_on = false;
    for c in code.chars() {
        let in_word = c.is_alphanumeric() || c == '_';
        match tokens.last_mut() {
            Some(last) if goes_on && in_word && is_word(last) => last.push(c),
            Some(last) if goes_on && c == ':' && last == ":" => last.push(c),
            _ if c.is_whitespace() => {}
            _ => tokens.push(c.to_string()),
        }
        goes_on = !c.is_whitespace();
    }
    tokens
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphanumeric() || c == '_')
}

fn is_at(tokens: &[String], at: usize, token: &str) -> bool {
    tokens.get(at).is_some_and(|found| found == token)
}

/// Reads a path with its groups; answers where it ends.
fn path_tree(tokens: &[String], mut at: usize, before: &[String], out: &mut Vec<Import>) -> usize {
    let mut path = before.to_vec();
    loop {
        match tokens.get(at).map(String::as_str) {
            Some("{") => {
                at += 1;
                while at < tokens.len() && tokens[at] != "}" {
                    at = path_tree(tokens, at, &path, out);
                    at += usize::from(is_at(tokens, at, ","));
                }
                return at + 1;
            }
            Some("*") => {
                let name = "*".to_owned();
                out.push(Import { path, name });
                return at + 1;
            }
            Some(word) if is_word(word) => path.push(word.to_owned()),
            // The beginning of `::name`, or of a turbofish.
            _ if path.len() == before.len() => return at + 1,
            _ => break,
        }
        at += 1;
        if !is_at(tokens, at, "::") {
            break;
        }
        at += 1;
    }
    if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
        path.pop();
    }
    let mut name = path.last().cloned().unwrap_or_default();
    if is_at(tokens, at, "as") {
        name = tokens.get(at + 1).cloned().unwrap_or_default();
        at += 2;
    }
    out.push(Import { path, name });
    at
}
