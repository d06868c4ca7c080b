//! The admin listener of the foregate that runs on this machine, asked by commands. Knows no commands.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;

use super::on_loopback;
use crate::config::Config;

/// What it answered.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) status: u16,
    pub(super) body: String,
}

/// The answer to a GET of a path, asked with the token if there is one.
pub(super) fn ask(config: &Config, path: &str) -> anyhow::Result<Told> {
    let address = on_loopback(config.listeners.admin_listen);
    let token = config.admin_token.as_ref();
    let token = token.map(|token| format!("Authorization: Bearer {}\r\n", token.expose()));
    let answer = exchange(address, path, &token.unwrap_or_default())
        .with_context(|| format!("no answer at http://{address}{path}: foregate serve must be running"))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
    Ok(Told { status: status.context("the admin listener speaks no HTTP")?, body: body.to_owned() })
}

/// Asks in a thread of its own, which nobody waits for any longer than [`PATIENCE`]: an answer may come byte by byte.
fn exchange(address: SocketAddr, path: &str, lines: &str) -> io::Result<String> {
    let (tell, told) = mpsc::channel();
    let (path, lines) = (path.to_owned(), lines.to_owned());
    thread::spawn(move || tell.send(talk(address, &path, &lines)));
    told.recv_timeout(PATIENCE)
        .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "not in time")))
}

fn talk(address: SocketAddr, path: &str, lines: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\n{lines}Connection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(LONGEST_ANSWER_BYTES).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// How long all of it may take; readiness itself is told within this.
const PATIENCE: Duration = Duration::from_secs(8);
const LONGEST_ANSWER_BYTES: u64 = 64 * 1024;
