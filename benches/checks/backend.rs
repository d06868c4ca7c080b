//! The backend behind the proxies: answers made beforehand, sockets that echo, and a long download, without any HTTP
//! library, so that it costs little beside a proxy.

use std::collections::HashMap;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::servers::serve_each;

/// Answers `/1k` and `/100k` with so many bytes, `/download` with [`DOWNLOAD`], and echoes whatever comes on a socket
/// that was opened at `/socket`. Prints its address and ends when its input does.
pub(crate) fn serve() -> anyhow::Result<()> {
    let answers: &'static HashMap<&str, Vec<u8>> =
        Box::leak(Box::new(HashMap::from([("/1k", answer(1 << 10)), ("/100k", answer(100 << 10))])));
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        // Whoever hangs up is done.
        serve_each(|stream| async move { drop(answer_all(stream, answers).await) }).await
    })
}

async fn answer_all(mut stream: TcpStream, answers: &HashMap<&str, Vec<u8>>) -> anyhow::Result<()> {
    let mut head = Vec::with_capacity(16 << 10);
    loop {
        head.clear();
        while !head.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut head).await? == 0 {
                return Ok(());
            }
        }
        let line = String::from_utf8_lossy(&head);
        let path = line.split(' ').nth(1).unwrap_or_default();
        match answers.get(path) {
            Some(answer) => stream.write_all(answer).await?,
            None if path == "/download" => download(&mut stream).await?,
            None => return echo(stream).await,
        }
    }
}

async fn download(stream: &mut TcpStream) -> anyhow::Result<()> {
    stream.write_all(&head_of(DOWNLOAD)).await?;
    let piece = vec![b'x'; 256 << 10];
    for _ in 0..DOWNLOAD / piece.len() {
        stream.write_all(&piece).await?;
    }
    Ok(())
}

async fn echo(mut stream: TcpStream) -> anyhow::Result<()> {
    stream.write_all(SWITCHING).await?;
    let mut bytes = vec![0; 16 << 10];
    loop {
        let count = stream.read(&mut bytes).await?;
        if count == 0 {
            return Ok(());
        }
        stream.write_all(&bytes[..count]).await?;
    }
}

fn answer(length: usize) -> Vec<u8> {
    let mut answer = head_of(length);
    answer.resize(answer.len() + length, b'x');
    answer
}

fn head_of(length: usize) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\nDate: Thu, 26 Nov 2026 03:00:00 GMT\r\nContent-Type: application/octet-stream\r\n\
         Cache-Control: no-cache\r\nContent-Length: {length}\r\n\r\n"
    )
    .into_bytes()
}

/// Bytes of the long download.
pub(crate) const DOWNLOAD: usize = 512 << 20;
/// The answer to the one key that the load sends (RFC 6455 1.3).
const SWITCHING: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
