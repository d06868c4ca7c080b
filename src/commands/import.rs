//! `foregate import`: what another product is configured to do, as a foregate.toml on standard output.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::table::write;
use super::tell;
use crate::import::{self, Given, Product, Wish};
use crate::wording::printable;

/// What to read, and what its files do not say.
#[derive(Debug, clap::Args)]
pub(super) struct Import {
    /// The product
    product: Product,
    /// Its files; `-` is standard input
    files: Vec<PathBuf>,
    /// A file of its variables, NAME=VALUE on each line; may be given more than once
    #[arg(long = "env", value_name = "FILE")]
    variables: Vec<PathBuf>,
    /// A host that it protects and its files do not name; may be given more than once
    #[arg(long = "host", value_name = "HOST")]
    hosts: Vec<String>,
    /// Who may use what its files only call protected, such as signed-in or group:family
    #[arg(long, value_name = "TERM")]
    allow: Option<String>,
    /// Where browsers will reach foregate
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// The OpenID Provider
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// The name the provider knows foregate by
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// Where foregate will find the client secret
    #[arg(long, value_name = "FILE")]
    client_secret_file: Option<String>,
    /// Print secrets that stand in its files
    #[arg(long)]
    with_secrets: bool,
    /// Its flags, behind --
    #[arg(last = true)]
    flags: Vec<String>,
}

/// Prints the configuration, then what to know on standard error; an error if a restriction is not in it as it was.
pub(super) fn import(args: Import) -> anyhow::Result<()> {
    let given =
        Given { files: read_all(&args.files)?, variables: read_all(&args.variables)?, flags: args.flags };
    let wish = Wish {
        public_url: args.public_url,
        issuer: args.issuer,
        client_id: args.client_id,
        client_secret_file: args.client_secret_file,
        hosts: args.hosts,
        allow: args.allow,
        with_secrets: args.with_secrets,
    };
    let imported = import::import(args.product, &given, &wish)?;
    write(&imported.text)?;
    imported.notes.iter().for_each(|note| tell(&printable(note)));
    if let Some(findings) = &imported.findings {
        anyhow::bail!("foregate does not take this as it is:\n{findings}");
    }
    let closed = imported.closed;
    anyhow::ensure!(
        closed == 0,
        "restrictions that are not carried over as they were, and closed instead: {closed}"
    );
    Ok(())
}

fn read_all(files: &[PathBuf]) -> anyhow::Result<Vec<(String, String)>> {
    files.iter().map(|file| read(file)).collect()
}

fn read(file: &Path) -> anyhow::Result<(String, String)> {
    let name = file.display().to_string();
    let mut text = String::new();
    let mut most = |from: &mut dyn std::io::Read| from.take(LARGEST + 1).read_to_string(&mut text);
    if name == "-" {
        most(&mut std::io::stdin().lock()).context("cannot read standard input as text")?;
    } else {
        let mut open = std::fs::File::open(file).with_context(|| format!("cannot open {name}"))?;
        most(&mut open).with_context(|| format!("cannot read {name} as text"))?;
    }
    anyhow::ensure!(text.len() as u64 <= LARGEST, "{name} is larger than 8 MiB");
    Ok((name, text))
}

const LARGEST: u64 = 8 << 20;
