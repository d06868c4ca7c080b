//! `foregate health`: asks the foregate of this machine how it is. For images that hold no other program.

use super::admin::{self, Told};
use super::{FromFile, load};
use crate::wording::printable;

/// What to ask.
#[derive(Debug, clap::Args)]
pub(super) struct Health {
    #[command(flatten)]
    file: FromFile,
    /// Ask whether it is ready, with its store, and not only whether it is alive
    #[arg(long)]
    ready: bool,
}

/// What it said of itself; a foregate that is not well is an error.
pub(super) fn health(args: &Health) -> anyhow::Result<String> {
    let path = if args.ready { "/readyz" } else { "/livez" };
    let Told { status, body } = admin::ask(&load(&args.file)?.config, path)?;
    anyhow::ensure!(status == 200, "not well: {}", printable(body.trim()));
    Ok(format!("{}\n", printable(body.trim())))
}
