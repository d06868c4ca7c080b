//! `foregate health`: asks the foregate of this machine how it is. For images that hold no other program.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::Context as _;

use super::{FromFile, load, on_loopback};
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
    let address = on_loopback(load(&args.file)?.config.listeners.admin_listen);
    let path = if args.ready { "/readyz" } else { "/livez" };
    let answer = ask(address, path)
        .with_context(|| format!("no answer at http://{address}{path}: foregate serve must be running"))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let well = head.starts_with("HTTP/1.1 200 ");
    anyhow::ensure!(well, "not well: {}", printable(body.trim()));
    Ok(format!("{}\n", printable(body.trim())))
}

/// The whole answer to a GET of the admin listener.
fn ask(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(LONGEST_ANSWER_BYTES).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// How long each step may take; readiness itself is told within this.
const PATIENCE: Duration = Duration::from_secs(8);
const LONGEST_ANSWER_BYTES: u64 = 64 * 1024;
