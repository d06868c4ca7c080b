//! foregate as the proxy against others: one backend, one load, one proxy under it at a time, in random order, each on
//! a core of its own. Told are medians of foregate's figures over the other's within each round.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::compare::{Figures, Server, load, spread};

/// What runs on the first core.
enum Proxy {
    Ours(Server),
    Real(Real),
}

/// Somebody else's proxy.
struct Real {
    child: Child,
    address: String,
    _dir: tempfile::TempDir,
}

impl Proxy {
    fn address(&self) -> &str {
        match self {
            Self::Ours(server) => &server.address,
            Self::Real(real) => &real.address,
        }
    }
}

impl Real {
    /// Starts a proxy that the tests' parts have.
    fn start(name: &str, backend: &str) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let address = format!("127.0.0.1:{port}");
        let file = dir.path().join(if name == "traefik" { "dynamic.yaml" } else { "config" });
        std::fs::write(&file, config(name, port, backend))?;
        let log = std::fs::File::create(dir.path().join("log"))?;
        let mut command = Command::new("taskset");
        command.args(["-c", "0"]).arg(program(name)).args(arguments(name, &file, dir.path(), &address));
        command.current_dir(dir.path()).env("GOMAXPROCS", "1").env("HOME", dir.path());
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let real = Self { child: command.spawn()?, address, _dir: dir };
        real.wait()?;
        Ok(real)
    }

    /// Until it listens and has read its configuration.
    fn wait(&self) -> anyhow::Result<()> {
        let end = Instant::now() + Duration::from_secs(20);
        let address: SocketAddr = self.address.parse()?;
        while TcpStream::connect(address).is_err() {
            if Instant::now() > end {
                bail!("{} does not listen", self.address);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        std::thread::sleep(Duration::from_secs(2));
        Ok(())
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        // Not killed: nginx would leave its workers behind.
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}

/// The loads, each with what its first figure is.
const LOADS: [(&str, &str); 4] =
    [("1 KiB", "requests/s"), ("100 KiB", "requests/s"), ("sockets", "messages/s"), ("download", "MiB/s")];

pub(crate) fn run(rounds: usize, seconds: usize, connections: usize) -> anyhow::Result<()> {
    let backend = Server::start_on("1", &[], &["serve-backend"])?;
    let foregate = Server::start_on("0", &[], &["serve-foregate-proxy", &backend.address])?;
    let cookies = foregate.cookies.clone();
    let bare = Server::start_on("0", &[], &["serve-bare-proxy", &backend.address])?;
    let mut proxies = vec![("foregate", Proxy::Ours(foregate)), ("hyper-util", Proxy::Ours(bare))];
    for name in ["nginx", "caddy", "traefik"] {
        if program(name).exists() {
            proxies.push((name, Proxy::Real(Real::start(name, &backend.address)?)));
        } else {
            println!("{name}: not there, tests/setup.sh installs it");
        }
    }
    for (kind, what) in LOADS {
        let put = |proxy: &Proxy| put(kind, proxy.address(), &cookies, seconds, connections);
        let mut ratios = vec![(Vec::new(), Vec::new()); proxies.len()];
        for round in 0..=rounds {
            let mut figures: Vec<Option<Figures>> = proxies.iter().map(|_| None).collect();
            for index in shuffled(proxies.len())? {
                figures[index] = Some(put(&proxies[index].1)?);
            }
            let figures: Vec<Figures> = figures.into_iter().flatten().collect();
            // The first round warms all of them up.
            for (ratios, other) in ratios.iter_mut().zip(&figures).filter(|_| round > 0) {
                ratios.0.push(figures[0].per_second / other.per_second);
                ratios.1.push(figures[0].p99 / other.p99);
            }
        }
        println!("foregate / others, {kind}, {connections} connections, {rounds} rounds of {seconds} s:");
        for ((name, _), (speed, late)) in proxies.iter().zip(&mut ratios).skip(1) {
            println!("  {name}: {what} {}, p99 {}", spread(speed), spread(late));
        }
    }
    for (_, proxy) in proxies {
        if let Proxy::Ours(server) = proxy {
            server.end()?;
        }
    }
    backend.end()
}

fn put(
    kind: &str,
    address: &str,
    cookies: &str,
    seconds: usize,
    connections: usize,
) -> anyhow::Result<Figures> {
    let (seconds, connections) = (seconds.to_string(), connections.to_string());
    let amount = format!("{seconds}s");
    match kind {
        "1 KiB" => load(&["load-page", address, cookies, &amount, &connections, "/1k"]),
        "100 KiB" => load(&["load-page", address, cookies, &amount, &connections, "/100k"]),
        "sockets" => load(&["load-socket", address, cookies, &seconds, &connections]),
        _ => load(&["load-download", address, cookies]),
    }
    .with_context(|| format!("{kind} at {address}"))
}

fn program(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/bin").join(name)
}

fn arguments(name: &str, file: &Path, dir: &Path, address: &str) -> Vec<String> {
    let (file, dir) = (file.display(), dir.display());
    let words: &[String] = match name {
        "nginx" => {
            &["-p".into(), dir.to_string(), "-e".into(), "stderr".into(), "-c".into(), file.to_string()]
        }
        "caddy" => {
            &["run".into(), "--config".into(), file.to_string(), "--adapter".into(), "caddyfile".into()]
        }
        _ => &[
            format!("--entrypoints.web.address={address}"),
            format!("--providers.file.filename={file}"),
            "--log.level=ERROR".into(),
            "--global.checknewversion=false".into(),
        ],
    };
    words.to_vec()
}

/// The shortest configuration that keeps connections on both sides and passes sockets on.
fn config(name: &str, port: u16, backend: &str) -> String {
    match name {
        "nginx" => format!(
            "daemon off; worker_processes 1; pid nginx.pid;
             events {{ worker_connections 4096; }}
             http {{
               access_log off;
               map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
               upstream app {{ server {backend}; keepalive 128; keepalive_requests 10000000; }}
               server {{
                 listen 127.0.0.1:{port}; keepalive_requests 10000000;
                 location / {{
                   proxy_pass http://app; proxy_http_version 1.1;
                   proxy_set_header Host $host; proxy_set_header Upgrade $http_upgrade;
                   proxy_set_header Connection $connection_upgrade;
                   proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;
                 }}
               }}
             }}"
        ),
        "caddy" => format!(
            "{{\n admin off\n auto_https off\n}}\nhttp://:{port} {{\n bind 127.0.0.1\n reverse_proxy {backend}\n}}\n"
        ),
        _ => format!(
            "http:\n  routers: {{ app: {{ rule: 'PathPrefix(`/`)', service: app }} }}\n  services: {{ app: {{ loadBalancer: {{ \
             servers: [ {{ url: 'http://{backend}' }} ] }} }} }}\n"
        ),
    }
}

/// The numbers below `count` in random order.
fn shuffled(count: usize) -> anyhow::Result<Vec<usize>> {
    let mut bytes = vec![0_u8; count];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| anyhow::anyhow!("no random bytes"))?;
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_key(|index| bytes[*index]);
    Ok(order)
}
