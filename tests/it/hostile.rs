//! Clients and backends that want foregate to fall: crowds that dawdle, broken connections, floods, frames against the rules.
//! While they do, others get right answers and memory has a bound; then their connections end, and all is as it was before.

mod apps;
mod broken;
mod crowds;
mod floods;
mod frames;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::Value;

use crate::http2::Frames;
use crate::support::foregate::{Foregate, free_port};
use crate::support::house::House;
use crate::support::http::{Reply, raw};
use crate::support::tls::Authority;
use crate::support::upstream::until;

/// A house with a listener in clear text and one that speaks TLS, and people who use it whatever happens.
struct Fort {
    authority: Authority,
    house: House,
    tls: SocketAddr,
    alice: String,
    bob: String,
    /// What it holds while nothing happens.
    calm: Held,
}

/// An app of its own for what takes its connections, so that it may have none left.
fn slow_app(backend: &str, more: &str) -> String {
    format!("[apps.\"slow.foregate.localhost\"]\nallow = \"public\"\nupstream = {backend}\n{more}\n")
}

/// What foregate holds for those who are there, all of which must come back.
#[derive(Clone, Copy, Debug)]
struct Held {
    kib: usize,
    files: usize,
    tasks: f64,
    connections: f64,
}

/// The host that attacks go to, by its name in TLS.
const HOST: &str = "app.foregate.localhost";

impl Fort {
    /// With these lines of `[server.limits]` and further tables.
    fn new(limits: &str, tables: &str) -> Self {
        raise_files();
        let (authority, port) = (Authority::new(), free_port());
        authority.write("a", &["*.foregate.localhost"]);
        let session = format!(
            "store = \"sqlite:DIR/foregate.db\"\n[server.limits]\n{limits}\n[server.tls]\nlisten = \"127.0.0.1:{port}\"\n\
             cert_file = \"{}\"\nkey_file = \"{}\"\n{tables}",
            authority.file("a.crt"),
            authority.file("a.key")
        );
        let house = House::with(&session, Value::Null);
        let (alice, bob) = (house.cookie("alice"), house.cookie("bob"));
        let tls = SocketAddr::from(([127, 0, 0, 1], port));
        let calm = Held { kib: 0, files: 0, tasks: 0.0, connections: 0.0 };
        let mut fort = Self { authority, house, tls, alice, bob, calm };
        fort.others_are_served();
        until("the first requests are over", || {
            fort.foregate().metric("foregate_upstream_connections ") == 0.0
        });
        fort.calm = Held::by(fort.foregate());
        fort
    }

    fn foregate(&self) -> &Foregate {
        &self.house.foregate
    }

    /// Checks on other connections, and requests to apps, by either protocol: every answer must be the right one.
    #[track_caller]
    fn others_are_served(&self) {
        let (foregate, house) = (self.foregate(), &self.house);
        let known = foregate.check(&house.url("app", "/"), &[&self.alice]);
        assert_eq!((known.status, known.header("remote-user")), (200, Some("alice")));
        assert_eq!(foregate.check(&house.url("admins", "/"), &[&self.alice]).status, 200);
        assert_eq!(foregate.check(&house.url("admins", "/"), &[&self.bob]).status, 403);
        assert_eq!(foregate.check(&house.url("app", "/"), &[]).status, 401);
        assert_eq!(foregate.check(&house.url("app", "/open/x"), &[]).status, 200);
        let page = self.ask("GET /other HTTP/1.1", &[&self.bob]);
        assert!(page.status == 200 && page.body.contains("remote-user: bob"), "{page:?}");
        let mut frames = self.frames();
        let path = |path| [(":method", "GET"), (":scheme", "https"), (":authority", HOST), (":path", path)];
        assert_eq!((frames.ask(1, &path("/open/x")), frames.ask(3, &path("/x"))), (200, 401));
    }

    /// A request to the app in clear text, on a connection of its own.
    fn ask(&self, line: &str, lines: &[&str]) -> Reply {
        raw(self.foregate().public, self.request(line, lines).as_bytes())
    }

    /// Its bytes.
    fn request(&self, line: &str, lines: &[&str]) -> String {
        let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        format!("{line}\r\nHost: {HOST}:{}\r\n{lines}\r\n", self.house.port)
    }

    /// A connection that speaks HTTP/2.
    fn frames(&self) -> Frames {
        Frames::open(&self.authority, self.tls, HOST)
    }

    /// Memory grew by so many MiB at most at any time; and whatever was held for attackers is back.
    #[track_caller]
    fn recovers(&self, mib: usize) {
        let grown = self.foregate().peak_kib().saturating_sub(self.calm.kib) / 1024;
        self.others_are_served();
        until(&format!("as before: {:?} {:?}", self.calm, Held::by(self.foregate())), || {
            let now = Held::by(self.foregate());
            now.connections <= self.calm.connections
                && now.tasks <= self.calm.tasks
                && now.files <= self.calm.files
                && self.foregate().metric("foregate_upstream_connections ") == 0.0
                && self.foregate().metric("foregate_upstream_waiting") == 0.0
        });
        assert!(grown <= mib, "{grown} MiB more than before, not {mib}");
        assert_eq!(self.foregate().logged("panicked"), 0);
    }
}

impl Held {
    fn by(foregate: &Foregate) -> Self {
        Self {
            kib: foregate.resident_kib(),
            files: foregate.files(),
            tasks: foregate.metric("foregate_tasks"),
            connections: foregate.metric("foregate_connections"),
        }
    }
}

/// A client without manners.
struct Rude(TcpStream);

impl Rude {
    fn connect(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).expect("a connection"))
    }

    /// Sends as much as is taken at once; whether anybody is still there.
    fn push(&mut self, bytes: &[u8]) -> bool {
        self.0.set_nonblocking(true).expect("a socket");
        let pushed = self.0.write(bytes);
        !pushed.is_err_and(|error| error.kind() != std::io::ErrorKind::WouldBlock)
    }

    /// Whether the other side has ended it, whatever it said before.
    fn is_ended(&mut self) -> bool {
        self.0.set_nonblocking(true).expect("a socket");
        let mut piece = [0; 16 * 1024];
        loop {
            match self.0.read(&mut piece) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
            }
        }
    }

    /// Everything up to the end, which must come.
    #[track_caller]
    fn until_the_end(mut self) -> Vec<u8> {
        self.0.set_nonblocking(false).expect("a socket");
        self.0.set_read_timeout(Some(Duration::from_secs(30))).expect("a time");
        let (mut all, mut piece) = (Vec::new(), [0; 16 * 1024]);
        loop {
            match self.0.read(&mut piece) {
                Ok(0) => return all,
                Ok(length) => all.extend_from_slice(&piece[..length]),
                Err(error) => {
                    assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "it is not ended");
                    return all;
                }
            }
        }
    }

    /// Ends it with a reset (RST), as a machine does that has forgotten it.
    fn reset(self) {
        reset(&self.0);
    }
}

fn reset(stream: &TcpStream) {
    socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)).expect("a socket");
}

/// Crowds need as many files as may be had.
fn raise_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum.map_or(limit.current, |most| Some(most.min(65_536)));
    setrlimit(Resource::Nofile, limit).expect("more files");
}
