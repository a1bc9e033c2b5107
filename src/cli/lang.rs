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
        self.lang.unwrap_or_else(of_terminal)
    }
}

/// The first variable that is set decides, as POSIX has it.
fn of_terminal() -> Lang {
    let locale = ["LC_ALL", "LC_MESSAGES", "LANG"]
        .into_iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|locale| !locale.is_empty())
        .unwrap_or_default();
    if locale.to_ascii_lowercase().starts_with("zh") {
        Lang::Zh
    } else {
        Lang::En
    }
}
