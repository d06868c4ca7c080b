//! The load: kept connections to loopback, each asking again as soon as it is answered, every request for a
//! random session and a random host. Written without any HTTP library, so that it costs little beside a server.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use http::request::Parts;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::people;

/// When to end.
#[derive(Clone, Copy)]
pub(crate) enum Amount {
    /// After this many seconds.
    Seconds(f64),
    /// After this many requests on each connection.
    Requests(usize),
}

pub(crate) struct Report {
    pub(crate) per_second: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
}

impl Report {
    pub(crate) fn print(&self) -> anyhow::Result<()> {
        println!("{} {} {}", self.per_second, self.p50_us, self.p99_us);
        Ok(())
    }

    /// What times in nanoseconds, taken within so many seconds, come to.
    pub(crate) fn of(mut times: Vec<u32>, seconds: f64) -> Self {
        times.sort_unstable();
        let at = |part: usize| f64::from(times[(times.len() * part / 100).min(times.len() - 1)]) / 1000.0;
        Self { per_second: times.len() as f64 / seconds, p50_us: at(50), p99_us: at(99) }
    }
}

/// One check as Traefik sends it: seventeen headers, five cookies, the session's fourth.
pub(crate) struct Request(Vec<u8>);

impl Amount {
    /// Reads `2s` or `10000`.
    pub(crate) fn read(text: &str) -> anyhow::Result<Self> {
        Ok(match text.strip_suffix('s') {
            Some(seconds) => Self::Seconds(seconds.parse()?),
            None => Self::Requests(text.parse()?),
        })
    }
}

impl Request {
    pub(crate) fn new(host: usize, cookie: &str) -> Self {
        let forwarded = [
            "X-Forwarded-For: 192.0.2.17",
            &format!("X-Forwarded-Host: {}", people::host(host)),
            "X-Forwarded-Method: GET",
            "X-Forwarded-Proto: https",
            "X-Forwarded-Uri: /dashboard/list?page=2",
            "X-Real-Ip: 192.0.2.17\r\n",
        ];
        Self::of_browser("/.foregate/auth/traefik", "127.0.0.1:4180", cookie, &forwarded.join("\r\n"))
    }

    /// A page of an app as a browser asks for it.
    pub(crate) fn page(path: &str, host: usize, cookie: &str, more: &str) -> Self {
        Self::of_browser(path, &people::host(host), cookie, more)
    }

    /// What a browser sends, with `more` lines behind it.
    fn of_browser(path: &str, host: &str, cookie: &str, more: &str) -> Self {
        let lines = [
            &format!("GET {path} HTTP/1.1"),
            &format!("Host: {host}"),
            "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "Accept-Encoding: gzip, deflate, br, zstd",
            "Accept-Language: en-US,en;q=0.5",
            &format!(
                "Cookie: theme=dark; lang=en; _ga=GA1.2.1234567890.1700000000; {cookie}; csrftoken=abcdefgh"
            ),
            "Dnt: 1",
            "Sec-Fetch-Dest: document",
            "Sec-Fetch-Mode: navigate",
            "Sec-Fetch-Site: same-origin",
            "Upgrade-Insecure-Requests: 1",
            &format!("{more}\r\n"),
        ];
        Self(lines.join("\r\n").into_bytes())
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The same request as a server has read it.
    pub(crate) fn parts(&self) -> anyhow::Result<Parts> {
        let text = std::str::from_utf8(&self.0)?;
        let mut builder = http::Request::builder().uri("/.foregate/auth/traefik");
        for (name, value) in text.lines().skip(1).filter_map(|line| line.split_once(": ")) {
            builder = builder.header(name, value);
        }
        Ok(builder.body(())?.into_parts().0)
    }

    fn overwrite(&mut self, place: usize, with: &str) {
        self.0[place..place + with.len()].copy_from_slice(with.as_bytes());
    }
}

/// What requests differ in: all of one length each, and where they stand.
struct Choice {
    cookies: Vec<String>,
    hosts: Vec<String>,
    cookie_place: usize,
    host_place: usize,
    request: Vec<u8>,
}

impl Choice {
    fn pick(&self, request: &mut Request, random: &mut u64) {
        // xorshift64: chance enough to spread over sessions.
        *random ^= *random << 13;
        *random ^= *random >> 7;
        *random ^= *random << 17;
        let index = |length: usize, bits: u64| usize::try_from(bits).unwrap_or(0) % length;
        request.overwrite(self.cookie_place, &self.cookies[index(self.cookies.len(), *random >> 16)]);
        request.overwrite(self.host_place, &self.hosts[index(self.hosts.len(), *random & 0xffff)]);
    }
}

/// Asks the server at `address` with the cookies of a file, for a check or for a page. Every answer must be a 200 of
/// one length.
pub(crate) fn run(
    address: &str,
    cookies: &str,
    amount: Amount,
    connections: usize,
    page: Option<&str>,
) -> anyhow::Result<Report> {
    let address = loopback(address)?;
    let cookies = read_cookies(cookies)?;
    let make = |cookie: &str| match page {
        Some(path) => Request::page(path, 0, cookie, ""),
        None => Request::new(0, cookie),
    };
    let request = make(&cookies[0]);
    let place = |what: &str| {
        let found = request.0.windows(what.len()).position(|part| part == what.as_bytes());
        found.context("a place in the request")
    };
    let (cookie_place, host_place) = (place(&cookies[0])?, place(&people::host(0))?);
    let hosts = (0..people::HOSTS).map(people::host).collect();
    let length = answer_length(address, &request)?;
    let choice = Choice { cookies, hosts, cookie_place, host_place, request: request.0 };
    let choice: &'static Choice = Box::leak(Box::new(choice));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let started = Instant::now();
        let tasks: Vec<_> = (0..connections)
            .map(|number| tokio::spawn(ask(address, choice, length, amount, number as u64 + 1)))
            .collect();
        let mut times = Vec::new();
        for task in tasks {
            times.extend(task.await??);
        }
        Ok(Report::of(times, started.elapsed().as_secs_f64()))
    })
}

/// One connection's requests; returns their times in nanoseconds.
async fn ask(
    address: SocketAddr,
    choice: &Choice,
    length: usize,
    amount: Amount,
    seed: u64,
) -> anyhow::Result<Vec<u32>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut request = Request(choice.request.clone());
    let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut answer = vec![0; length];
    let mut times = Vec::with_capacity(1 << 16);
    let began = Instant::now();
    loop {
        let done = match amount {
            Amount::Seconds(seconds) => began.elapsed() >= Duration::from_secs_f64(seconds),
            Amount::Requests(requests) => times.len() >= requests,
        };
        if done {
            return Ok(times);
        }
        choice.pick(&mut request, &mut random);
        let asked = Instant::now();
        stream.write_all(&request.0).await?;
        stream.read_exact(&mut answer).await?;
        times.push(u32::try_from(asked.elapsed().as_nanos()).unwrap_or(u32::MAX));
        ensure!(answer.starts_with(OK), "not a 200, or not of one length");
    }
}

/// An address that load may be put on.
pub(crate) fn loopback(address: &str) -> anyhow::Result<SocketAddr> {
    let address: SocketAddr = address.parse()?;
    ensure!(address.ip().is_loopback(), "the load is for loopback only");
    Ok(address)
}

/// The cookies of a file, at least one; where one has tabs, more header lines follow it.
pub(crate) fn read_cookies(file: &str) -> anyhow::Result<Vec<String>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
    ensure!(!text.is_empty(), "no cookies in {file}");
    Ok(text.lines().map(|line| line.replace('\t', "\r\n")).collect())
}

/// The bytes of an answer, head and body.
fn answer_length(address: SocketAddr, request: &Request) -> anyhow::Result<usize> {
    let mut stream = std::net::TcpStream::connect(address)?;
    stream.write_all(&request.0)?;
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        answer.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&answer);
    ensure!(answer.starts_with(OK), "not a 200: {text}");
    let named =
        |line: &str| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok();
    Ok(answer.len() + text.lines().find_map(named).unwrap_or(0))
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\n";
