//! `hufu man`: manual pages.

use anyhow::Context as _;
use clap::{Args, CommandFactory as _};
use clap_mangen::Man;

use super::{CommandLine, UsageError};

/// Print the manual page of hufu or of one of its commands
///
/// `hufu man > /usr/local/share/man/man1/hufu.1`, and `hufu man serve > …/hufu-serve.1` and so on.
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// A command, such as serve
    #[arg(value_name = "COMMAND")]
    of: Option<String>,
}

pub(crate) fn run(args: &ManArgs) -> anyhow::Result<()> {
    let mut whole = CommandLine::command();
    // Gives the commands their full names and the options that all have.
    whole.build();
    let page = match &args.of {
        None => whole,
        Some(name) => {
            let found = whole.find_subcommand(name).ok_or_else(|| {
                UsageError(format!(
                    "there is no command {name:?}; `hufu --help` lists them"
                ))
            })?;
            found.clone().display_name(format!("hufu-{name}"))
        }
    };
    let mut text = Vec::new();
    Man::new(page)
        .render(&mut text)
        .context("the page cannot be written")?;
    super::print(&String::from_utf8(text)?)
}
