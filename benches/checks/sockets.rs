//! The loads that are no requests: messages on open sockets, each sent when the last one is back, and one download.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::backend::DOWNLOAD;
use crate::load::{Report, Request, loopback, read_cookies};

/// Opens sockets and sends messages of [`MESSAGE`] bytes on each, one at a time.
pub(crate) fn run(address: &str, cookies: &str, seconds: usize, sockets: usize) -> anyhow::Result<Report> {
    let address = loopback(address)?;
    let request = Request::page("/socket", 0, &read_cookies(cookies)?[0], UPGRADE);
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let mut open = Vec::new();
        for _ in 0..sockets {
            open.push(connect(address, &request).await?);
        }
        let started = Instant::now();
        let end = Duration::from_secs(seconds as u64);
        let tasks: Vec<_> = open.into_iter().map(|socket| tokio::spawn(talk(socket, end))).collect();
        let mut times = Vec::new();
        for task in tasks {
            times.extend(task.await??);
        }
        Ok(Report::of(times, started.elapsed().as_secs_f64()))
    })
}

async fn connect(address: SocketAddr, request: &Request) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    stream.write_all(request.bytes()).await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await?);
    }
    ensure!(answer.starts_with(b"HTTP/1.1 101 "), "not a 101: {}", String::from_utf8_lossy(&answer));
    Ok(stream)
}

/// The times of messages in nanoseconds, there and back.
async fn talk(mut stream: TcpStream, end: Duration) -> anyhow::Result<Vec<u32>> {
    // A whole frame of binary data as a browser masks it (RFC 6455 5.2).
    let mut message = vec![0x5a; 6 + MESSAGE];
    message[..2].copy_from_slice(&[0x82, 0x80 | MESSAGE as u8]);
    let mut echo = vec![0; message.len()];
    let mut times = Vec::with_capacity(1 << 16);
    let began = Instant::now();
    while began.elapsed() < end {
        let sent = Instant::now();
        stream.write_all(&message).await?;
        stream.read_exact(&mut echo).await?;
        times.push(u32::try_from(sent.elapsed().as_nanos()).unwrap_or(u32::MAX));
        ensure!(echo == message, "another message came back");
    }
    Ok(times)
}

/// One download; what is told is MiB a second.
pub(crate) fn download(address: &str, cookies: &str) -> anyhow::Result<Report> {
    let request = Request::page("/download", 0, &read_cookies(cookies)?[0], "Connection: close\r\n");
    let mut stream = std::net::TcpStream::connect(loopback(address)?)?;
    stream.write_all(request.bytes())?;
    let started = Instant::now();
    let mut bytes = vec![0; 256 << 10];
    let first = stream.read(&mut bytes)?;
    ensure!(bytes.starts_with(b"HTTP/1.1 200 "), "not a 200");
    let head =
        bytes[..first].windows(4).position(|part| part == b"\r\n\r\n").context("a head in one piece")?;
    let mut count = first - head - 4;
    while count < DOWNLOAD {
        let read = stream.read(&mut bytes)?;
        ensure!(read > 0, "the download ended after {count} bytes");
        count += read;
    }
    let per_second = (count >> 20) as f64 / started.elapsed().as_secs_f64();
    Ok(Report { per_second, p50_us: 1.0, p99_us: 1.0 })
}

/// Bytes of a message, which one byte of its frame can tell.
const MESSAGE: usize = 120;
/// What makes a request the wish for a socket, with the key of RFC 6455 1.3.
const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
