//! `hufu completions`: what a shell needs to complete commands and options.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::CommandLine;

/// Print a shell's completions for commands and options
///
/// bash: `hufu completions bash > /etc/bash_completion.d/hufu`. zsh: into `_hufu` in a folder of
/// $fpath. fish: `~/.config/fish/completions/hufu.fish`. PowerShell: `hufu completions powershell
/// >> $PROFILE`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(args: &CompletionsArgs) -> anyhow::Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut CommandLine::command(), "hufu", &mut text);
    super::print(&String::from_utf8(text)?)
}
