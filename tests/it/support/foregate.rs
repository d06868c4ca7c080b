//! foregate itself as users run it: the program, a config file, a directory of its own.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::net::TcpSocket;

use super::http::{Reply, get};
use super::watch::watched;

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_foregate");

/// A key for sealing, as `foregate session new-key` prints one.
pub const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// A port that nobody uses, from below the range that systems give to outgoing connections, and another one at each call.
///
/// It stays bound here for a while, so that no connection can get it before the program that is started for it
/// listens: as Linux has it, two sockets that both allow it share an address while at most one of them listens.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    static HELD: Mutex<VecDeque<TcpSocket>> = Mutex::new(VecDeque::new());
    watched();
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 20_000 + std::process::id().wrapping_mul(97).wrapping_add(step) % 12_000;
        let port = u16::try_from(port).expect("a port");
        let socket = TcpSocket::new_v4().expect("a socket");
        if socket.bind(SocketAddr::from(([127, 0, 0, 1], port))).is_ok() {
            socket.set_reuseaddr(true).expect("a shared port");
            let mut held = HELD.lock().expect("the ports");
            held.push_back(socket);
            // Each is a file that is open; whoever asked for one of the first listens by now.
            if held.len() > 100 {
                held.pop_front();
            }
            return port;
        }
    }
}

/// A running foregate, ended when dropped.
pub struct Foregate {
    child: Child,
    pub public: SocketAddr,
    pub admin: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
    dir: Arc<tempfile::TempDir>,
    _guard: Guard,
}

impl Foregate {
    /// Starts it with this configuration; `[server]` listen addresses are filled in where the text has
    /// `LISTEN` and `ADMIN`, and a directory of its own where it has `DIR`.
    pub fn start(config: &str) -> Self {
        Self::start_at(config, free_port())
    }

    /// The same on a given port.
    pub fn start_at(config: &str, port: u16) -> Self {
        Self::start_logging(config, port, "foregate=debug")
    }

    /// The same with this filter for its log.
    pub fn start_logging(config: &str, port: u16, filter: &str) -> Self {
        Self::start_in(config, port, (Arc::new(tempfile::tempdir().expect("a directory")), filter))
    }

    fn start_in(config: &str, port: u16, (dir, filter): (Arc<tempfile::TempDir>, &str)) -> Self {
        let admin = free_port();
        let config = config
            .replace("LISTEN", &format!("127.0.0.1:{port}"))
            .replace("ADMIN", &format!("127.0.0.1:{admin}"))
            .replace("DIR", dir.path().to_str().expect("a path"));
        let file: PathBuf = dir.path().join("foregate.toml");
        std::fs::write(&file, config).expect("a config file");
        let mut child = Command::new(PROGRAM)
            .args(["serve", "--config"])
            .arg(&file)
            .env("FOREGATE_LOG", filter)
            .stderr(Stdio::piped())
            .stdin(Stdio::null())
            .spawn()
            .expect("foregate starts");
        let guard = end_with_us(child.id());
        let log = Arc::new(Mutex::new(Vec::new()));
        let lines = BufReader::new(child.stderr.take().expect("stderr"));
        let kept = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                kept.lock().expect("the log").push(line);
            }
        });
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let foregate = Self { child, public: address(port), admin: address(admin), log, dir, _guard: guard };
        foregate.wait_for_log("\"listener\":\"admin\"");
        foregate
    }

    /// Stops it and starts it again on what it left behind.
    pub fn restart(self, config: &str) -> Self {
        self.restart_after(config, || ())
    }

    /// The same, with something done while it is down.
    pub fn restart_after(mut self, config: &str, meanwhile: impl FnOnce()) -> Self {
        self.stop();
        meanwhile();
        Self::start_in(config, self.public.port(), (Arc::clone(&self.dir), "foregate=debug"))
    }

    /// Runs it to its end, which must come by itself: exit code and what it wrote.
    pub fn refuses(config: &str) -> (Option<i32>, String) {
        let dir = tempfile::tempdir().expect("a directory");
        let config = config
            .replace("LISTEN", &format!("127.0.0.1:{}", free_port()))
            .replace("ADMIN", &format!("127.0.0.1:{}", free_port()))
            .replace("DIR", dir.path().to_str().expect("a path"));
        let file = dir.path().join("foregate.toml");
        std::fs::write(&file, config).expect("a config file");
        let (code, _, err) = run(&["serve", "--config", file.to_str().expect("a path")], dir.path());
        (code, err)
    }

    /// Waits for a line of the log, or fails with all of it.
    pub fn wait_for_log(&self, part: &str) -> String {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(line) = self.log_lines().iter().find(|line| line.contains(part)) {
                return line.clone();
            }
            assert!(Instant::now() < end, "no log line with {part}:\n{}", self.log_lines().join("\n"));
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn log_lines(&self) -> Vec<String> {
        self.log.lock().expect("the log").clone()
    }

    /// How often a line of the log has this in it.
    pub fn logged(&self, part: &str) -> usize {
        self.log_lines().iter().filter(|line| line.contains(part)).count()
    }

    pub fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// A check in Traefik's dialect.
    pub fn check(&self, url: &str, lines: &[&str]) -> Reply {
        get(
            self.public,
            "/.foregate/auth/traefik",
            &[&traefik("GET", url), lines].concat().iter().map(AsRef::as_ref).collect::<Vec<&str>>(),
        )
    }

    /// The most memory it ever had, in KiB.
    pub fn peak_kib(&self) -> usize {
        self.status("VmHWM:")
    }

    /// The memory it has now, in KiB.
    pub fn resident_kib(&self) -> usize {
        self.status("VmRSS:")
    }

    fn status(&self, name: &str) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a status");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// How many files it has open.
    pub fn files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("its files").count()
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        self.signal("-TERM");
    }

    /// SIGHUP.
    pub fn hang_up(&self) {
        self.signal("-HUP");
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.child.id().to_string()]).status().expect("kill");
        assert!(status.success());
    }

    /// A configuration as it is written for this one.
    pub fn filled(&self, config: &str) -> String {
        config
            .replace("LISTEN", &self.public.to_string())
            .replace("ADMIN", &self.admin.to_string())
            .replace("DIR", self.dir.path().to_str().expect("a path"))
    }

    /// Puts another configuration in the place of its own, in one step.
    pub fn rewrite(&self, config: &str) {
        let draft = self.dir.path().join("draft.toml");
        std::fs::write(&draft, self.filled(config)).expect("a draft");
        std::fs::rename(&draft, self.dir.path().join("foregate.toml")).expect("a config file");
    }

    /// Waits for so many lines of the log.
    pub fn wait_for_logs(&self, part: &str, count: usize) {
        let end = Instant::now() + Duration::from_secs(20);
        while self.logged(part) < count {
            assert!(Instant::now() < end, "no {count} lines with {part}:\n{}", self.log_lines().join("\n"));
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it gracefully and returns its exit code.
    pub fn stop(&mut self) -> Option<i32> {
        self.terminate();
        self.child.wait().expect("an end").code()
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a state").is_none()
    }

    /// Waits until this many connections are open on both listeners, this question's own not counted.
    pub fn wait_for_connections(&self, count: usize) {
        let end = Instant::now() + Duration::from_secs(20);
        while (self.metric("foregate_connections") as usize) < count + 1 {
            assert!(Instant::now() < end, "{} connections", self.metric("foregate_connections"));
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits for its end and returns its exit code.
    pub fn wait(&mut self) -> Option<i32> {
        self.child.wait().expect("an end").code()
    }

    /// One value of `/metrics`.
    pub fn metric(&self, name: &str) -> f64 {
        let text = get(self.admin, "/metrics", &[]).body;
        let line = text
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_else(|| panic!("no {name} in\n{text}"));
        line.rsplit(' ').next().and_then(|value| value.parse().ok()).expect("a number")
    }
}

impl Drop for Foregate {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ends a process when this one ends, also where nobody drops anything: the shell's input closes then.
pub struct Guard(Child);

/// Watches over a process of ours.
pub fn end_with_us(pid: u32) -> Guard {
    let script = format!("cat > /dev/null; kill -KILL {pid} 2> /dev/null");
    Guard(Command::new("sh").args(["-c", &script]).stdin(Stdio::piped()).spawn().expect("a shell"))
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The header lines Traefik sends for a request.
pub fn traefik(method: &str, url: &str) -> Vec<&'static str> {
    let url = url::Url::parse(url).expect("a URL");
    let uri = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    let host = url.port().map_or_else(
        || url.host_str().unwrap().to_owned(),
        |port| format!("{}:{port}", url.host_str().unwrap()),
    );
    let lines = [
        format!("X-Forwarded-Method: {method}"),
        format!("X-Forwarded-Proto: {}", url.scheme()),
        format!("X-Forwarded-Host: {host}"),
        format!("X-Forwarded-Uri: {uri}"),
        "X-Forwarded-For: 203.0.113.7".to_owned(),
    ];
    lines.into_iter().map(|line| &*line.leak()).collect()
}

/// Runs a command of foregate to its end: exit code, stdout, stderr.
pub fn run(args: &[&str], dir: &std::path::Path) -> (Option<i32>, String, String) {
    watched();
    let mut child = Command::new(PROGRAM)
        .args(args)
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("foregate starts");
    let read = |from: &mut dyn std::io::Read| {
        let mut text = String::new();
        from.read_to_string(&mut text).expect("text");
        text
    };
    let out = read(&mut child.stdout.take().expect("stdout"));
    let mut err = String::new();
    child.stderr.take().expect("stderr").read_to_string(&mut err).expect("text");
    (child.wait().expect("an end").code(), out, err)
}
