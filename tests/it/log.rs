//! A log that nobody reads, or that cannot be written: decisions go on.

use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::foregate::{Guard, PROGRAM, end_with_us, free_port};
use crate::support::http::{get, raw};
use crate::support::upstream::config;
use crate::support::watch::end;

/// A foregate whose log goes there.
struct Logging {
    child: Child,
    public: SocketAddr,
    _guard: Guard,
    _dir: tempfile::TempDir,
}

impl Logging {
    fn start(log: Stdio) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let (public, admin) = (free_port(), free_port());
        let config = config("[apps.\"app.localhost\"]\nallow = \"public\"\n")
            .replace("LISTEN", &format!("127.0.0.1:{public}"))
            .replace("ADMIN", &format!("127.0.0.1:{admin}"))
            .replace("DIR", dir.path().to_str().expect("a path"));
        let file = dir.path().join("foregate.toml");
        std::fs::write(&file, config).expect("a file");
        let mut command = Command::new(PROGRAM);
        command.args(["serve", "--config"]).arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().expect("foregate starts");
        let guard = end_with_us(child.id());
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let late = Instant::now() + Duration::from_secs(20);
        while std::net::TcpStream::connect(address(admin)).is_err() {
            assert!(Instant::now() < late, "it does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { child, public: address(public), _guard: guard, _dir: dir }
    }

    /// Sign-ins that never were, each of which is a line of the log.
    fn fill(&self, count: usize) {
        for number in 0..count {
            let page = format!("/.foregate/callback?error=x&state=a{number}");
            let reply = get(self.public, &page, &["Host: auth.localhost", "Connection: close"]);
            assert!(matches!(reply.status, 400 | 429), "{number}: {reply:?}");
        }
        let check = "GET /.foregate/auth/traefik HTTP/1.1\r\nHost: x\r\nX-Forwarded-Method: GET\r\nX-Forwarded-Proto: http\r\n\
                     X-Forwarded-Host: app.localhost\r\nX-Forwarded-Uri: /\r\nConnection: close\r\n\r\n";
        assert_eq!(raw(self.public, check.as_bytes()).status, 200);
    }
}

#[test]
fn a_log_that_nobody_reads_keeps_nobody_waiting() {
    let mut logging = Logging::start(Stdio::piped());
    // Far more than a pipe holds.
    logging.fill(900);
    drop(logging.child.stderr.take());
    logging.fill(20);
    end(&mut logging.child, "foregate");
    assert_eq!(logging.child.wait().expect("an end").code(), Some(0));
}

#[test]
fn a_log_that_cannot_be_written_ends_no_request() {
    let full = OpenOptions::new().write(true).open("/dev/full").expect("a full disk");
    let mut logging = Logging::start(full.into());
    logging.fill(20);
    end(&mut logging.child, "foregate");
    assert_eq!(logging.child.wait().expect("an end").code(), Some(0));
}
