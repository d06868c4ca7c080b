//! `foregate completions` and `foregate man`, from the same definitions as the parser.

use std::io;

use anyhow::Context as _;
use clap::CommandFactory as _;
use clap_complete::Shell;

use super::Cli;
use super::table::write;

/// For which shell.
#[derive(Debug, clap::Args)]
pub(super) struct Completions {
    shell: Shell,
}

/// About which command.
#[derive(Debug, clap::Args)]
pub(super) struct Manual {
    /// The command, such as `session revoke`; without one, foregate itself
    command: Vec<String>,
}

/// Prints what the shell is to read.
pub(super) fn completions(args: &Completions) -> anyhow::Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "foregate", &mut text);
    print(&text)
}

/// Prints a page for man.
pub(super) fn manual(args: &Manual) -> anyhow::Result<()> {
    let mut whole = Cli::command();
    whole.build();
    let mut command = &whole;
    for name in &args.command {
        command =
            command.find_subcommand(name).with_context(|| format!("there is no command `{name}` here"))?;
    }
    let mut text = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut text)?;
    print(&text)
}

fn print(text: &[u8]) -> anyhow::Result<()> {
    let text = std::str::from_utf8(text).map_err(io::Error::other)?;
    write(text).map(drop)
}
