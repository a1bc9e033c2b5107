//! What the tests of the pages read of Markdown: headings, code, words in backticks, links.

/// A page, or a part of one, without its blocks of code.
pub(super) struct Text(String);

impl Text {
    pub(super) fn of(page: &str) -> Self {
        let mut inside = false;
        let lines = page.lines().filter(|line| {
            let fence = line.trim_start().starts_with("```");
            inside ^= fence;
            !fence && !inside
        });
        Self(lines.collect::<Vec<_>>().join("\n"))
    }

    /// The headings: how deep, and the text.
    pub(super) fn headings(&self) -> Vec<(usize, &str)> {
        let headings = self.0.lines().filter_map(|line| Some((level(line)?, line)));
        headings
            .map(|(level, line)| (level, line[level..].trim()))
            .collect()
    }

    /// The words in backticks. Those that a line's end cuts in two are put together.
    pub(super) fn words(&self) -> Vec<String> {
        let words = self.0.split('`').skip(1).step_by(2);
        words
            .map(|word| word.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect()
    }

    /// Where its links lead.
    pub(super) fn links(&self) -> Vec<&str> {
        let rest = self.0.split("](").skip(1);
        rest.filter_map(|rest| Some(rest.split_once(')')?.0))
            .collect()
    }

    /// What can stand behind the `#` of a link to the page: what GitHub makes of its headings, and
    /// what `<a id>` names.
    pub(super) fn anchors(&self) -> Vec<String> {
        let headings = self.headings().into_iter().map(|(_, text)| slug(text));
        headings.chain(self.ids()).collect()
    }

    fn ids(&self) -> Vec<String> {
        let rest = self.0.split("<a id=\"").skip(1);
        rest.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned()))
            .collect()
    }
}

/// The page, cut before each heading. The first part is what stands before the first one.
pub(super) fn sections(page: &str) -> Vec<String> {
    let mut sections = vec![String::new()];
    let mut inside = false;
    for line in page.lines() {
        inside ^= line.trim_start().starts_with("```");
        if !inside && level(line).is_some() {
            sections.push(String::new());
        }
        if let Some(last) = sections.last_mut() {
            last.push_str(line);
            last.push('\n');
        }
    }
    sections
}

/// The blocks of code, with the line that opens each.
pub(super) fn blocks(page: &str) -> Vec<String> {
    let (mut blocks, mut open): (Vec<String>, Option<String>) = (Vec::new(), None);
    for line in page.lines() {
        let fence = line.trim_start().starts_with("```");
        match &mut open {
            None if fence => open = Some(format!("{line}\n")),
            None => {}
            Some(block) if !fence => {
                block.push_str(line);
                block.push('\n');
            }
            Some(_) => blocks.extend(open.take()),
        }
    }
    assert!(open.is_none(), "a block of code has no end");
    blocks
}

/// The lines of a block without their comments, and without the lines that are nothing else.
pub(super) fn code(block: &str) -> Vec<&str> {
    let lines = block
        .lines()
        .filter(|line| !line.trim_start().starts_with("# "));
    lines
        .map(|line| line.split(" # ").next().unwrap_or(line).trim_end())
        .collect()
}

fn level(line: &str) -> Option<usize> {
    let text = line.trim_start_matches('#');
    let level = line.len() - text.len();
    (level > 0 && text.starts_with(' ')).then_some(level)
}

/// As GitHub does it: letters and digits in lower case, `-` and `_`; a space becomes `-`.
fn slug(heading: &str) -> String {
    let mut in_tag = false;
    let text = heading.chars().filter(|&letter| {
        let tag = in_tag || letter == '<';
        in_tag = tag && letter != '>';
        !tag
    });
    text.flat_map(char::to_lowercase)
        .filter_map(|letter| match letter {
            ' ' => Some('-'),
            '-' | '_' => Some(letter),
            letter => letter.is_alphanumeric().then_some(letter),
        })
        .collect()
}

#[test]
fn a_page_is_read_as_github_reads_it() {
    let page = "# `POST /auth/login`\n\n```sh\n# no heading\n```\n## <a id=\"all-codes\"></a>全部 错误码\n### `DELETE /auth/sessions/{session_id}`\n";
    assert_eq!(
        Text::of(page).anchors(),
        [
            "post-authlogin",
            "全部-错误码",
            "delete-authsessionssession_id",
            "all-codes"
        ]
    );
    assert_eq!(sections(page).len(), 4);
    assert_eq!(code("a # of a\n# of b\n  b\n#:c\n"), ["a", "  b", "#:c"]);
    assert_eq!(blocks(page), ["```sh\n# no heading\n"]);
}
