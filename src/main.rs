//! The program: reads the command, sets up the log, turns the result into an exit code. Knows no more than that.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser as _;
use foregate::commands::Cli;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[expect(clippy::print_stderr, reason = "this is where the program speaks to whoever called it")]
fn main() -> ExitCode {
    // clap ends the process itself with 2 on wrong usage and 0 on --help.
    let cli = Cli::parse();
    match cli.run(std::io::stderr().is_terminal()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
