//! The command line: one file per command. Messages go to stderr, what a script would read goes to
//! stdout.

mod admin;
mod check;
mod completions;
mod demo;
mod doctor;
mod echo;
mod init;
mod keygen;
mod lang;
mod man;
mod sandbox;
mod schema;
mod serve;
mod sessions;
mod users;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{ConfigError, Problem};

/// Nothing to do again: the arguments or the configuration are wrong.
const USAGE: u8 = 2;

/// The whole command line, for the program and for tests that read its help.
#[derive(Debug, Parser)]
#[command(
    name = "hufu",
    version,
    about = "Session gateway for WeChat mini programs",
    long_about = "Session gateway for WeChat mini programs.\n\n\
                  It exchanges the code of wx.login at WeChat, keeps the session in Redis and gives the mini program a token. \
                  It forwards requests with the token to your backend and adds the user's openid in the header X-WX-OPENID.",
    after_help = "New here? `hufu demo` runs everything in one process with nothing to install.\n\
                  For your own app: `hufu init`, fill in .env, `hufu check`, `hufu doctor`, `hufu serve`.\n\n\
                  Exit codes: 0 success, 1 failed at run time, 2 wrong arguments or configuration."
)]
pub struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::DemoArgs),
    Init(init::InitArgs),
    Check(check::CheckArgs),
    Doctor(doctor::DoctorArgs),
    Serve(serve::ServeArgs),
    Sessions(sessions::SessionsArgs),
    Users(users::UsersArgs),
    Keygen(keygen::KeygenArgs),
    Sandbox(sandbox::SandboxArgs),
    Echo(echo::EchoArgs),
    Schema(schema::SchemaArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

/// The file that several commands read.
#[derive(Debug, Args)]
pub(crate) struct ConfigArg {
    /// The configuration file. A .env beside it is also read
    #[arg(
        long = "config",
        short = 'c',
        value_name = "FILE",
        default_value = "hufu.toml"
    )]
    pub(crate) path: PathBuf,
}

/// A command that was called in a way that cannot work: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UsageError(pub(crate) String);

/// Runs the command that the process was called with.
pub fn run() -> ExitCode {
    let command = match CommandLine::try_parse() {
        Ok(line) => line.command,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() {
                ExitCode::from(USAGE)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    let result = match command {
        Command::Demo(args) => demo::run(&args),
        Command::Init(args) => init::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Sessions(args) => sessions::run(&args),
        Command::Users(args) => users::run(&args),
        Command::Keygen(args) => keygen::run(&args),
        Command::Sandbox(args) => sandbox::run(&args),
        Command::Echo(args) => echo::run(&args),
        Command::Schema(args) => schema::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
    };
    result.map_or_else(|error| report(&error), |()| ExitCode::SUCCESS)
}

/// Says what went wrong, and how bad it is for a script.
fn report(error: &anyhow::Error) -> ExitCode {
    if let Some(config) = error.downcast_ref::<ConfigError>() {
        let (count, s) = counted(config.problems.len());
        say(&format!("{config}\nhufu: {count} problem{s}"));
        return ExitCode::from(USAGE);
    }
    say(&format!("hufu: {error:#}"));
    if error.is::<UsageError>() {
        ExitCode::from(USAGE)
    } else {
        ExitCode::FAILURE
    }
}

/// A message for people. That nobody listens is no reason to fail.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// What is odd about a configuration, for people.
pub(crate) fn warn(warnings: &[Problem]) {
    for warning in warnings {
        say(&format!("warning: {warning}"));
    }
}

/// What a script would read. A reader that has seen enough (`| head`) is no failure.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// A number with the plural's "s" where it takes one.
pub(crate) const fn counted(count: usize) -> (usize, &'static str) {
    (count, if count == 1 { "" } else { "s" })
}
