//! A foregate whose backend is the test itself: every byte that goes either way is seen and said by it.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use super::foregate::{Foregate, free_port};
use super::http::Wire;

/// A foregate that is the proxy before this test.
pub struct Stage {
    pub foregate: Foregate,
    pub config: String,
    listener: TcpListener,
    pub port: u16,
}

impl Stage {
    /// An app that everybody may use.
    pub fn new() -> Self {
        Self::with("", "allow = \"public\"")
    }

    /// With these further lines of `[server]`, other tables behind them, and these lines of the app's.
    pub fn with(tables: &str, app: &str) -> Self {
        Self::at(free_port(), tables, app)
    }

    /// The same on a given port. `BACKEND` is the address of the backend in all of it. Tables `[session]` and `[provider]` take the place of those that nobody asks.
    pub fn at(port: u16, tables: &str, app: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a listener");
        let backend = listener.local_addr().expect("an address");
        let or = |table: &str, other| if tables.contains(table) { "" } else { other };
        let config = format!(
            "public_url = \"http://auth.foregate.localhost:{port}\"\n[server]\nlisten = \"LISTEN\"\n\
             admin_listen = \"ADMIN\"\n{tables}\n{session}{provider}\
             [apps.\"app.foregate.localhost\"]\nupstream = \"http://{backend}\"\n{app}\n",
            session = or("[session]", "[session]\nstore = \"sqlite:DIR/f.db\"\n"),
            provider = or("[provider]", NOBODY),
        );
        let config = config.replace("BACKEND", &format!("http://{backend}"));
        Self { foregate: Foregate::start_at(&config, port), config, listener, port }
    }

    /// A visitor's connection.
    pub fn visit(&self) -> Wire {
        Wire::open(self.foregate.public)
    }

    /// The same, with a request to the app: the request line and further lines, without `Host`.
    pub fn ask(&self, line: &str, lines: &[&str]) -> Wire {
        let mut wire = self.visit();
        wire.write(self.request(line, lines).as_bytes());
        wire
    }

    pub fn request(&self, line: &str, lines: &[&str]) -> String {
        self.request_to("app", line, lines)
    }

    /// A request to another host below the same domain.
    pub fn request_to(&self, host: &str, line: &str, lines: &[&str]) -> String {
        let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        format!("{line} HTTP/1.1\r\nHost: {host}.foregate.localhost:{}\r\n{lines}\r\n", self.port)
    }

    /// Such a request on a connection of its own.
    pub fn ask_of(&self, host: &str, line: &str, lines: &[&str]) -> Wire {
        let mut wire = self.visit();
        wire.write(self.request_to(host, line, lines).as_bytes());
        wire
    }

    pub fn host(&self) -> String {
        format!("app.foregate.localhost:{}", self.port)
    }

    /// The next connection to the backend.
    pub fn accept(&self) -> Wire {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(wire) = self.accepted() {
                return wire;
            }
            assert!(Instant::now() < end, "no connection:\n{}", self.foregate.log_lines().join("\n"));
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// A connection to the backend, if there is one already.
    pub fn accepted(&self) -> Option<Wire> {
        let (stream, _) = self.listener.accept().ok()?;
        stream.set_nonblocking(false).expect("a stream");
        Some(Wire::over(stream))
    }
}

/// A provider that nobody asks.
const NOBODY: &str =
    "[provider]\nissuer = \"http://127.0.0.1:9/\"\nclient_id = \"foregate\"\nclient_auth = \"none\"\n";
