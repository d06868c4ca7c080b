//! A scripted HTTP server on loopback, for tests: raw bytes in, raw bytes out.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use url::Url;

/// What the server does with one request.
pub(crate) enum Reply {
    /// Writes these bytes and closes.
    Raw(Vec<u8>),
    /// Reads and never answers.
    Hang,
    /// Writes these bytes, then keeps the connection open in silence.
    Stall(Vec<u8>),
}

/// A server that records every request it reads.
pub(crate) struct Server {
    pub(crate) url: Url,
    seen: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    /// Starts a server that answers by `script`, which sees the whole request as text.
    pub(crate) async fn start(script: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (script, record) = (Arc::new(script), Arc::clone(&seen));
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (script, record) = (Arc::clone(&script), Arc::clone(&record));
                tokio::spawn(async move {
                    let Some(request) = read(&mut stream).await else { return };
                    record.lock().unwrap().push(request.clone());
                    match script(&request) {
                        Reply::Raw(bytes) => {
                            let _ = stream.write_all(&bytes).await;
                            let _ = stream.shutdown().await;
                        }
                        Reply::Hang => std::future::pending().await,
                        Reply::Stall(bytes) => {
                            let _ = stream.write_all(&bytes).await;
                            std::future::pending().await
                        }
                    }
                });
            }
        });
        Self { url, seen, task }
    }

    /// All requests so far, as text.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    /// How many requests so far began with `start`.
    pub(crate) fn count(&self, start: &str) -> usize {
        self.seen().iter().filter(|request| request.starts_with(start)).count()
    }

    /// An address on this server.
    pub(crate) fn at(&self, path: &str) -> Url {
        self.url.join(path).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A whole answer with a length.
pub(crate) fn answer(status: u16, kind: &str, body: &str) -> Reply {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    Reply::Raw((head + body).into_bytes())
}

/// An answer in JSON.
pub(crate) fn json(status: u16, body: &serde_json::Value) -> Reply {
    answer(status, "application/json", &body.to_string())
}

async fn read(stream: &mut tokio::net::TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap())
            });
            if body.len() >= length.unwrap_or(0_usize) {
                return Some(text);
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}
