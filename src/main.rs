//! The `hufu` command: parses its arguments, does what they say, and leaves with a code that
//! scripts can read.

use std::process::ExitCode;

/// See docs/performance.md.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    hufu::cli::run()
}
