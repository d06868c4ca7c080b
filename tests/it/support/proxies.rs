//! The five real front proxies, each with the configuration that `foregate snippet` prints for it.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::backend::Backend;
use super::foregate::{Foregate, Guard, end_with_us, run};
use super::http::{Browser, Reply};
use super::watch::end;
use foregate::snippet::{REMOTE_HEADERS, Snippet, render_traefik_static};

/// Every front proxy there is a snippet for.
pub const PROXIES: [&str; 5] = ["traefik", "nginx", "caddy", "envoy", "haproxy"];

/// The configuration of a front proxy on `port` that foregate prints for an app on `host`.
pub fn printed(name: &str, port: u16, host: &str, (foregate, backend): (&Foregate, &Backend)) -> String {
    let file = foregate.dir().join("foregate.toml");
    let (listen, upstream) = (format!("127.0.0.1:{port}"), backend.url());
    let file = file.to_str().expect("a path");
    let args =
        ["snippet", name, "--config", file, "--host", host, "--upstream", &upstream, "--listen", &listen];
    let (code, text, err) = run(&args, foregate.dir());
    assert_eq!(code, Some(0), "{err}");
    text
}

/// A running front proxy.
pub struct FrontProxy {
    pub name: &'static str,
    pub port: u16,
    child: Child,
    _guard: Guard,
    dir: tempfile::TempDir,
}

impl FrontProxy {
    /// Starts `name` on `port` with this text, in `dir`.
    pub fn start(name: &'static str, port: u16, text: &str, dir: tempfile::TempDir) -> Self {
        Self::start_with(name, port, (text, ""), dir)
    }

    /// Starts it before an app on `host`, with the configuration that foregate prints for it and `change` alters.
    pub fn by_snippet(
        name: &'static str,
        port: u16,
        host: &str,
        (foregate, backend): (&Foregate, &Backend),
        change: impl Fn(&str) -> String,
    ) -> Self {
        let text = change(&printed(name, port, host, (foregate, backend)));
        Self::start(name, port, &text, tempfile::tempdir().expect("a directory"))
    }

    /// The same with more lines for Traefik's fixed configuration.
    pub fn start_with(
        name: &'static str,
        port: u16,
        (text, more): (&str, &str),
        dir: tempfile::TempDir,
    ) -> Self {
        let at = |file: &str| dir.path().join(file);
        let file = at(if name == "traefik" || name == "envoy" { "config.yaml" } else { "config" });
        if name == "traefik" {
            let dynamic = at("dynamic.yaml");
            std::fs::write(&dynamic, text).expect("a file");
            let fixed = traefik_static(port, dynamic.to_str().expect("a path"));
            std::fs::write(&file, format!("{fixed}\n{more}")).expect("a file");
        } else {
            std::fs::write(&file, text).expect("a file");
        }
        let log = std::fs::File::create(at("log")).expect("a log");
        let mut command = command(name, &file, dir.path());
        let child = command.stdin(Stdio::null()).stdout(log.try_clone().expect("a log")).stderr(log).spawn();
        let child =
            child.unwrap_or_else(|error| panic!("{name} does not start: {error}; run tests/setup.sh first"));
        let guard = end_with_us(child.id());
        let proxy = Self { name, port, child, _guard: guard, dir };
        proxy.wait();
        proxy
    }

    fn wait(&self) {
        let end = Instant::now() + Duration::from_secs(30);
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < end, "{} does not listen:\n{}", self.name, self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Asks until the configuration has been loaded: Traefik listens before it has read it.
    pub fn wait_for(&self, url: &str, ready: impl Fn(&Reply) -> bool) {
        let end = Instant::now() + Duration::from_secs(30);
        let url = url::Url::parse(url).expect("a URL");
        loop {
            let reply = Browser::default().step("GET", &url, "");
            if ready(&reply) {
                return;
            }
            assert!(Instant::now() < end, "{} is not ready: {reply:?}\n{}", self.name, self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

/// What the comment at the top of Traefik's dynamic file asks for.
fn traefik_static(port: u16, dynamic: &str) -> String {
    let listen = format!("127.0.0.1:{port}");
    let (host, upstream, foregate, public_host, lua) = ("", "", "", "", "");
    let headers = &REMOTE_HEADERS;
    render_traefik_static(
        &Snippet { host, upstream, foregate, listen: &listen, public_host, headers, asked: &[], lua },
        dynamic,
    )
}

fn command(name: &str, file: &Path, dir: &Path) -> Command {
    let program: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/bin").join(name);
    let mut command = Command::new(program);
    let file = file.to_str().expect("a path");
    match name {
        "traefik" => command.arg(format!("--configfile={file}")),
        // Its workers must read a directory that is only ours.
        "nginx" if is_root() => {
            command.arg("-p").arg(dir).args(["-e", "stderr", "-c", file, "-g", "daemon off; user root;"])
        }
        "nginx" => command.arg("-p").arg(dir).args(["-e", "stderr", "-c", file, "-g", "daemon off;"]),
        "caddy" => command
            .args(["run", "--config", file, "--adapter", "caddyfile"])
            .env("HOME", dir)
            .env("XDG_DATA_HOME", dir)
            .env("XDG_CONFIG_HOME", dir)
            .env("CADDY_ADMIN", format!("unix/{}/admin.sock", dir.display())),
        "envoy" => command.args(["-c", file, "--disable-hot-restart", "--concurrency", "1", "-l", "warning"]),
        _ => command.args(["-db", "-f", file]),
    };
    command.current_dir(dir);
    command
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

impl Drop for FrontProxy {
    fn drop(&mut self) {
        // Not killed: nginx would leave its workers behind.
        end(&mut self.child, self.name);
    }
}
