//! The language of what `demo` and `init` print: those are read by people who begin. Everything
//! else is English, so that it can be searched for.

use clap::{Args, ValueEnum};

/// A language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Lang {
    /// English
    En,
    /// 中文
    Zh,
}

/// The option.
#[derive(Debug, Args)]
pub(crate) struct LangArg {
    /// The language of what is printed; otherwise that of the terminal (LC_ALL, LC_MESSAGES, LANG)
    #[arg(long)]
    lang: Option<Lang>,
}

impl LangArg {
    /// The language that is asked for, or the terminal's.
    pub(crate) fn get(&self) -> Lang {
        self.lang
            .unwrap_or_else(|| of_terminal(|name| std::env::var(name).ok()))
    }
}

/// The first variable that is set decides, as POSIX has it.
fn of_terminal(variable: impl Fn(&str) -> Option<String>) -> Lang {
    let locale = ["LC_ALL", "LC_MESSAGES", "LANG"]
        .into_iter()
        .filter_map(variable)
        .find(|locale| !locale.is_empty())
        .unwrap_or_default();
    if locale.to_ascii_lowercase().starts_with("zh") {
        Lang::Zh
    } else {
        Lang::En
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_variable_that_is_set_decides() {
        for (set, lang) in [
            (&[("LANG", "zh_CN.UTF-8")][..], Lang::Zh),
            (&[("LANG", "zh_CN.UTF-8"), ("LC_ALL", "C")], Lang::En),
            (
                &[
                    ("LANG", "en_US.UTF-8"),
                    ("LC_ALL", ""),
                    ("LC_MESSAGES", "zh_TW"),
                ],
                Lang::Zh,
            ),
            (&[("LC_CTYPE", "zh_CN.UTF-8")], Lang::En),
            (&[], Lang::En),
        ] {
            let of = of_terminal(|name| {
                set.iter()
                    .find(|(known, _)| *known == name)
                    .map(|(_, value)| (*value).to_owned())
            });
            assert_eq!(of, lang, "{set:?}");
        }
    }
}
