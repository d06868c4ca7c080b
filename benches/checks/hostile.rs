//! What checks cost on other connections while somebody attacks: p99 beside each attack over p99 without any, in one run.
//! The attackers share the load's core, where they get what the load leaves, and none goes faster than it says here, so
//! that foregate is what is measured.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use arc_swap::ArcSwap;
use foregate::http::Faces;
use foregate::server::tls::{Certificates, Files};
use foregate::server::{self, Address, Listener};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::compare::{Server, load, median, spread};
use crate::servers::until_input_ends;
use crate::{load::loopback, people, runtime};

/// Sessions that checks are about.
const SESSIONS: usize = 1000;
/// Connections that ask.
const ASKING: usize = 8;

/// Every attack, and whether it takes a crowd or a few that come again and again.
const ATTACKS: [(&str, Size); 12] = [
    ("nothing", Size::Nobody),
    ("idle", Size::Crowd),
    ("slow-lines", Size::Crowd),
    ("slow-headers", Size::Crowd),
    ("slow-handshakes", Size::Crowd),
    ("resets", Size::Few),
    ("header-floods", Size::Few),
    ("handshakes", Size::Few),
    ("h2-resets", Size::Few),
    ("h2-continuations", Size::Few),
    ("h2-settings", Size::Few),
    ("h2-pings", Size::Few),
];

/// How many connections an attack has.
#[derive(Clone, Copy)]
enum Size {
    Nobody,
    Few,
    Crowd,
}

impl Size {
    fn of(self, crowd: usize) -> usize {
        match self {
            Self::Nobody => 0,
            Self::Few => 20,
            Self::Crowd => crowd,
        }
    }
}

/// foregate with a listener in clear text and one that speaks TLS, which stands in the place of the cookies' file with it.
pub(crate) fn serve() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let (cookies, certificate, key) =
        (dir.path().join("cookies"), dir.path().join("a.crt"), dir.path().join("a.key"));
    let own = rcgen::generate_simple_self_signed([NAME.to_owned()])?;
    std::fs::write(&certificate, own.cert.pem())?;
    std::fs::write(&key, own.signing_key.serialize_pem())?;
    let certificates = Arc::new(Certificates::read(vec![Files { certificate: certificate.clone(), key }])?);
    let site = people::site(SESSIONS, None)?;
    runtime()?.block_on(async {
        people::sign_in_all(&site, SESSIONS, &cookies).await?;
        let anywhere = || Listener::bind(&Address::Tcp(SocketAddr::from(([127, 0, 0, 1], 0))), 0);
        let (clear, secure) = (anywhere()?, anywhere()?.with_tls(certificates.server_config()?));
        println!(
            "{} {} {}\t{}",
            clear.address()?,
            secure.address()?,
            cookies.display(),
            certificate.display()
        );
        let settings = server::Settings {
            trusted_sockets: false,
            trusted_proxies: vec!["127.0.0.0/8".parse().context("a network")?],
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(180),
            send_timeout: Duration::from_secs(60),
            connections: 30_000,
            drain: Duration::from_secs(1),
        };
        let metrics = Arc::clone(&site.metrics);
        let (faces, stop) = (Faces(Arc::new(ArcSwap::from_pointee(site))), until_input_ends());
        let other = server::run(secure, &settings, faces.clone(), Arc::clone(&metrics), stop.clone());
        tokio::join!(server::run(clear, &settings, faces, metrics, stop), other);
        Ok(())
    })
}

/// Rounds of so many seconds under each attack, or one of them, with a crowd of so many.
pub(crate) fn run(rounds: usize, seconds: usize, crowd: usize, only: Option<&str>) -> anyhow::Result<()> {
    println!(
        "p99 of checks beside an attack / without, {ASKING} connections, a crowd of {crowd}, {rounds} rounds of {seconds} s:"
    );
    let amount = format!("{seconds}s");
    for (attack, size) in ATTACKS.into_iter().filter(|(attack, _)| only.is_none_or(|only| only == *attack)) {
        let server = Server::start(&[], &["serve-foregate-hostile"])?;
        let (tls, files) = server.cookies.split_once(' ').context("two addresses")?;
        let (cookies, certificate) = files.split_once('\t').context("two files")?;
        let asked = || load(&["load", &server.address, cookies, &amount, &ASKING.to_string()]);
        // Warms it up.
        asked()?;
        let (mut ratios, mut rates, mut paces) = (Vec::new(), Vec::new(), Vec::new());
        let mut times = (Vec::new(), Vec::new());
        let before = resident(server.id())?;
        let mut most = 0;
        for _ in 0..rounds {
            let calm = asked()?;
            let attacker = Server::start_on(
                "1",
                &["chrt", "--idle", "0"],
                &["attack", attack, &server.address, tls, certificate, &size.of(crowd).to_string()],
            )?;
            let under = asked()?;
            most = most.max(resident(server.id())?);
            paces.push(attacker.last_words()?.trim().parse::<f64>().context("connections a second")?);
            ratios.push(under.p99 / calm.p99);
            times.0.push(calm.p99);
            times.1.push(under.p99);
            rates.push(under.per_second / calm.per_second);
        }
        let grown = most.saturating_sub(before) >> 20;
        println!(
            "  {attack}: p99 {}, {:.0} us without and {:.0} us with it, checks/s {}, {:.0} connections/s, {grown} MiB more",
            spread(&mut ratios),
            median(&mut times.0),
            median(&mut times.1),
            spread(&mut rates),
            median(&mut paces),
        );
        server.end()?;
    }
    Ok(())
}

/// Attacks until the input ends; prints a line as soon as it is in full swing, and at its end how many connections it
/// opened a second.
pub(crate) fn attack(
    kind: &str,
    [clear, tls, certificate]: [&str; 3],
    connections: usize,
) -> anyhow::Result<()> {
    let (clear, tls) = (loopback(clear)?, loopback(tls)?);
    let over = until_input_ends();
    let drops: Option<(SocketAddr, &[u8], &[u8])> = match kind {
        "nothing" => Some((clear, b"", b"")),
        "idle" => Some((clear, PING, b"")),
        "slow-lines" => Some((clear, b"GET /", b"x")),
        "slow-headers" => Some((clear, b"GET / HTTP/1.1\r\n", b"X: y\r\n")),
        "slow-handshakes" => Some((tls, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"x")),
        _ => None,
    };
    if let Some((address, first, again)) = drops {
        return crowd(connections, || over.is_cancelled(), (address, first, again));
    }
    let trust = Arc::new(trusting(certificate)?);
    println!("- -");
    let (begun, mut opened) = (Instant::now(), 0);
    while !over.is_cancelled() {
        for _ in 0..connections {
            opened += 1;
            // Whatever it is answered, or whether it is ended: the next one comes.
            let _ = match kind {
                "resets" => flood(TcpStream::connect(clear)?, b"GET / HTTP/1.1\r\nX: ", 1, true),
                "header-floods" => flood(TcpStream::connect(clear)?, b"GET / HTTP/1.1\r\n", 8, false),
                frames => flood_frames(&trust, tls, frames).map_err(std::io::Error::other),
            };
            std::thread::sleep(PACE);
            if over.is_cancelled() {
                break;
            }
        }
    }
    told(opened, begun);
    Ok(())
}

fn told(opened: u32, begun: Instant) {
    println!("{}", f64::from(opened) / begun.elapsed().as_secs_f64());
}

/// Holds so many connections, and sends a little on each of them in turn; whoever is ended comes again.
fn crowd(
    connections: usize,
    is_over: impl Fn() -> bool,
    (address, first, again): (SocketAddr, &[u8], &[u8]),
) -> anyhow::Result<()> {
    let open = || -> anyhow::Result<TcpStream> {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(first)?;
        stream.set_nonblocking(true)?;
        Ok(stream)
    };
    let mut all = (0..connections).map(|_| open()).collect::<anyhow::Result<Vec<_>>>()?;
    println!("- -");
    let (begun, mut opened) = (Instant::now(), 0);
    while !is_over() {
        let round = Instant::now();
        for one in &mut all {
            let ended = matches!(one.read(&mut [0; 4096]), Ok(0)) || one.write_all(again).is_err();
            if ended {
                opened += 1;
                *one = open()?;
            }
            if is_over() {
                break;
            }
        }
        std::thread::sleep(ROUND.saturating_sub(round.elapsed()));
    }
    told(opened, begun);
    Ok(())
}

/// Sends a beginning and then more, and ends it.
fn flood(mut stream: TcpStream, first: &[u8], times: usize, reset: bool) -> std::io::Result<()> {
    let socket = socket2::SockRef::from(&stream);
    socket.set_linger(reset.then_some(Duration::ZERO))?;
    stream.write_all(first)?;
    let lines = b"X-Flood: 0123456789\r\n".repeat(1000);
    (0..times).try_for_each(|_| stream.write_all(&lines))
}

/// A connection that speaks HTTP/2, and frames that make work.
fn flood_frames(trust: &Arc<ClientConfig>, address: SocketAddr, kind: &str) -> anyhow::Result<()> {
    let client = ClientConnection::new(Arc::clone(trust), ServerName::try_from(NAME)?)?;
    let mut stream = StreamOwned::new(client, TcpStream::connect(address)?);
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")?;
    stream.write_all(&frame(4, 0, 0, b""))?;
    // :method GET, :scheme https, :path / from the table (RFC 7541 A), and the authority.
    let head = [&[0x82, 0x87, 0x84, 0x41, NAME.len() as u8][..], NAME.as_bytes()].concat();
    let many: Vec<u8> = match kind {
        // What each of the others begins with; it asks for nothing and leaves.
        "handshakes" => frame(7, 0, 0, &[0; 8]),
        "h2-resets" => (0..1000)
            .flat_map(|number| {
                let stream = number * 2 + 1;
                [frame(1, 5, stream, &head), frame(3, 0, stream, &[0, 0, 0, 8])].concat()
            })
            .collect(),
        "h2-continuations" => {
            [frame(1, 1, 1, &head), frame(9, 0, 1, &b"\x00\x01x\x01y".repeat(200)).repeat(1000)].concat()
        }
        "h2-settings" => frame(4, 0, 0, b"").repeat(5000),
        "h2-pings" => frame(6, 0, 0, &[0; 8]).repeat(5000),
        other => bail!("no such attack: {other}"),
    };
    stream.write_all(&many)?;
    // Until it is ended.
    let mut piece = [0; 4096];
    while stream.read(&mut piece)? > 0 {}
    Ok(())
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn trusting(certificate: &str) -> anyhow::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate)?)?;
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// Resident memory of a process in bytes.
fn resident(process: u32) -> anyhow::Result<usize> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<usize>()? * 1024)
}

const NAME: &str = "app0000.example.com";
const PING: &[u8] = b"GET /.foregate/session.js HTTP/1.1\r\nHost: auth.example.com\r\n\r\n";
/// Between two connections of an attack that ends by itself.
const PACE: Duration = Duration::from_millis(10);
/// A crowd sends a little this often.
const ROUND: Duration = Duration::from_secs(4);
