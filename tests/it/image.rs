//! What the last stage of the Dockerfile makes, put together from its own lines and run without Docker: nothing but the
//! program, certificates and its state, read-only, by a user without a name.
//!
//! `IMAGE_PROGRAM=out/foregate cargo test --test it image` takes a static program in place of the one under test, which
//! gets the libraries that it names.

use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::foregate::{Guard, PROGRAM, end_with_us, free_port, traefik};
use crate::support::http::get;
use crate::support::provider::Provider;
use crate::support::proxies::FrontProxy;
use crate::support::tls::Authority;
use crate::support::watch::tell;

/// The instructions of the Dockerfile's last stage, each with what is behind it.
fn last_stage() -> Vec<(String, String)> {
    let text =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/docker/Dockerfile"));
    let text = text.expect("a Dockerfile").replace("\\\n", " ");
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let told: Vec<(String, String)> = lines
        .map(|line| line.split_once(' ').expect("an instruction"))
        .map(|(name, rest)| (name.to_owned(), rest.trim().to_owned()))
        .collect();
    let at = told.iter().rposition(|(name, _)| name == "FROM").expect("a stage");
    told[at..].to_vec()
}

fn said(stage: &[(String, String)], name: &str) -> String {
    let found: Vec<&String> = stage.iter().filter(|(one, _)| one == name).map(|(_, rest)| rest).collect();
    assert_eq!(found.len(), 1, "{name} stands there once: {stage:?}");
    found[0].clone()
}

/// What is in brackets, as Docker takes it.
fn words(text: &str) -> Vec<String> {
    let list = text.find('[').map(|at| &text[at..]).expect("the form without a shell");
    serde_json::from_str(list).expect("a list")
}

/// The file system of the image, and where its state is kept.
struct Image {
    dir: tempfile::TempDir,
    stage: Vec<(String, String)>,
    environment: Vec<(String, String)>,
}

impl Image {
    /// With these certificates in place of those of Alpine, or none.
    fn new(certificates: Option<&Path>, environment: Vec<(String, String)>) -> Self {
        let (dir, stage) = (tempfile::tempdir().expect("a directory"), last_stage());
        let image = Self { dir, stage, environment };
        assert_eq!(said(&image.stage, "FROM"), "scratch", "nothing lies beneath it");
        for (_, copied) in image.stage.iter().filter(|(name, _)| name == "COPY") {
            let paths: Vec<&str> = copied.split_whitespace().filter(|word| !word.starts_with("--")).collect();
            let to = image.root().join(paths[1].trim_start_matches('/'));
            std::fs::create_dir_all(to.parent().expect("a directory")).expect("a directory");
            match paths[0] {
                "/out/foregate" => {
                    std::fs::copy(program(), &to).expect("the program");
                }
                "/etc/ssl/certs/ca-certificates.crt" => {
                    if let Some(from) = certificates {
                        std::fs::copy(from, &to).expect("certificates");
                    }
                }
                "/out/state" => {
                    assert!(copied.contains(&format!("--chown={} ", said(&image.stage, "USER"))), "{copied}");
                    [&to, &image.state()]
                        .into_iter()
                        .for_each(|dir| std::fs::create_dir_all(dir).expect("a directory"));
                }
                other => panic!("say what {other} is in place of"),
            }
        }
        image.add_libraries();
        open(&image.root());
        let (user, group) = image.user();
        std::os::unix::fs::chown(image.state(), Some(user), Some(group)).expect("root");
        std::fs::set_permissions(image.state(), std::fs::Permissions::from_mode(0o700)).expect("a mode");
        image
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    /// What is mounted where the volume is.
    fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    fn user(&self) -> (u32, u32) {
        let told = said(&self.stage, "USER");
        let (user, group) = told.split_once(':').expect("a user and a group");
        (user.parse().expect("a number"), group.parse().expect("a number"))
    }

    /// A file as whoever runs a container puts it there.
    fn add(&self, path: &str, text: &str) {
        std::fs::write(self.root().join(path), text).expect("a file");
        open(&self.root());
    }

    /// A program that is not static finds its libraries where it looks for them.
    fn add_libraries(&self) {
        let told = Command::new("ldd").arg(program()).output().expect("ldd");
        let told = String::from_utf8(told.stdout).expect("text");
        for library in told.split_whitespace().filter(|word| word.starts_with('/')) {
            let to = self.root().join(library.trim_start_matches('/'));
            std::fs::create_dir_all(to.parent().expect("a directory")).expect("a directory");
            std::fs::copy(library, to).expect("a library");
        }
    }

    /// A command in a container of it: its own mounts, read-only but for the volume, without a right that root has.
    fn command(&self, args: &[String]) -> Command {
        let ((user, group), mut command) = (self.user(), Command::new("unshare"));
        command
            .args(["--mount", "setpriv", "--no-new-privs", "sh", "-euc", ENTER, "enter"])
            .arg(self.root())
            .arg(self.state())
            .args([said(&self.stage, "VOLUME"), said(&self.stage, "WORKDIR")])
            .args([user.to_string(), group.to_string()])
            .args(args)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null());
        command
    }

    /// What is run if nobody says what.
    fn start(&self) -> Running {
        let words = [words(&said(&self.stage, "ENTRYPOINT")), words(&said(&self.stage, "CMD"))].concat();
        let log = std::fs::File::create(self.dir.path().join("log")).expect("a log");
        let child = self.command(&words).stderr(log).spawn().expect("unshare");
        let guard = end_with_us(child.id());
        let running = Running { child, _guard: guard };
        let late = Instant::now() + Duration::from_secs(30);
        let log = || std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        while !log().contains("\"listener\":\"admin\"") {
            assert!(Instant::now() < late, "it does not start: {}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
        running
    }

    fn run(&self, args: &[&str]) -> Output {
        let entry = words(&said(&self.stage, "ENTRYPOINT"));
        let args: Vec<String> = entry.into_iter().chain(args.iter().map(ToString::to_string)).collect();
        self.command(&args).output().expect("unshare")
    }
}

/// Takes root, state, volume, working directory, user and group, and what is to run. The process stays the same one, so
/// that it can be ended.
const ENTER: &str = r#"
mount --bind "$1" "$1"
mount --bind "$2" "$1$3"
mount -o remount,bind,ro "$1"
root=$1 work=$4 user=$5 group=$6
shift 6
exec unshare --root="$root" --wd="$work" --setgid "$group" --setuid "$user" "$@"
"#;

/// Everybody may read what is there, whoever made it.
fn open(root: &Path) {
    for entry in std::fs::read_dir(root).expect("a directory").map_while(Result::ok) {
        if entry.file_type().expect("a kind").is_dir() {
            open(&entry.path());
        }
    }
    std::fs::set_permissions(root, std::fs::Permissions::from_mode(0o755)).expect("a mode");
}

fn program() -> PathBuf {
    std::env::var_os("IMAGE_PROGRAM").map_or_else(|| PROGRAM.into(), PathBuf::from)
}

/// A container that runs, ended when dropped.
struct Running {
    child: Child,
    _guard: Guard,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A name server at an address of loopback that knows one name; how often it was asked for it.
fn name_server(address: &str, name: &str) -> Arc<AtomicUsize> {
    let socket = UdpSocket::bind((address, 53)).expect("port 53, as root");
    let asked = Arc::new(AtomicUsize::new(0));
    let kept = Arc::clone(&asked);
    let labels: Vec<u8> =
        name.split('.').flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat()).collect();
    std::thread::spawn(move || {
        let mut question = [0; 512];
        while let Ok((size, from)) = socket.recv_from(&mut question) {
            // RFC 1035 4.1: a head of 12 bytes, the name, and two bytes of type and of class. What may follow is left out.
            let end = question[12..size].iter().position(|byte| *byte == 0).map_or(size, |at| 12 + at + 5);
            let known = question[12..end].starts_with(&labels);
            let is_address = known && question[end - 4..end] == [0, 1, 0, 1];
            kept.fetch_add(usize::from(known), Ordering::Relaxed);
            let flags = if known { [0x85, 0x80] } else { [0x85, 0x83] };
            let head = [&question[..2], &flags, &[0, 1, 0, u8::from(is_address), 0, 0, 0, 0]].concat();
            let answer: &[u8] =
                if is_address { &[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1] } else { &[] };
            let _ = socket.send_to(&[&head, &question[12..end], answer].concat(), from);
        }
    });
    asked
}

/// The least that a container is told.
fn environment(issuer: &str, [public, admin]: [u16; 2]) -> Vec<(String, String)> {
    [
        ("FOREGATE_PUBLIC_URL", "https://auth.image.test".to_owned()),
        ("FOREGATE_ALLOW", "signed-in".to_owned()),
        ("FOREGATE_PROVIDER__ISSUER", issuer.to_owned()),
        ("FOREGATE_PROVIDER__CLIENT_ID", "foregate".to_owned()),
        ("FOREGATE_PROVIDER__CLIENT_SECRET", "hush-hush".to_owned()),
        ("FOREGATE_SERVER__LISTEN", format!("127.0.0.1:{public}")),
        ("FOREGATE_SERVER__ADMIN_LISTEN", format!("127.0.0.1:{admin}")),
        ("FOREGATE_LOG", "debug".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

#[test]
fn the_image_needs_no_root_and_nothing_else_and_writes_into_its_volume_only() {
    if std::fs::metadata("/proc/self").expect("ourselves").uid() != 0 {
        return tell("the image is not looked at: only root can be somebody else, as a container is");
    }
    let [public, admin, secure] = [(); 3].map(|()| free_port());
    let authority = Authority::new();
    authority.write("id", &["id.image.test"]);
    let provider = Provider::start(&json!({ "publicOrigin": format!("https://id.image.test:{secure}") }));
    let caddy = format!(
        "{{\n  auto_https off\n}}\nhttps://id.image.test:{secure} {{\n  bind 127.0.0.1\n  tls {} {}\n  reverse_proxy 127.0.0.1:{}\n}}\n",
        authority.file("id.crt"),
        authority.file("id.key"),
        provider.port
    );
    let _caddy = FrontProxy::start("caddy", secure, &caddy, tempfile::tempdir().expect("a directory"));
    let asked = name_server("127.53.0.1", "id.image.test");
    let at = SocketAddr::from(([127, 0, 0, 1], public));
    let visit = || {
        let lines = [traefik("GET", "https://wiki.image.test/"), vec!["Accept: text/html"]].concat();
        get(at, "/.foregate/auth/traefik", &lines)
    };

    let image = Image::new(Some(&authority.path("ca.pem")), environment(&provider.issuer, [public, admin]));
    image.add("etc/resolv.conf", "nameserver 127.53.0.1\n");
    let running = image.start();
    let reply = visit();
    assert_eq!((reply.status, reply.location().host_str()), (302, Some("id.image.test")), "{reply:?}");
    assert!(asked.load(Ordering::Relaxed) > 0, "the name was looked up");

    let health = words(&said(&image.stage, "HEALTHCHECK"));
    let health: Vec<&str> = health.iter().skip(1).map(String::as_str).collect();
    for args in [&health[..], &["health", "--ready"]] {
        let told = image.run(args);
        assert!(told.status.success(), "{args:?} {}", String::from_utf8_lossy(&told.stderr));
    }

    let (user, group) = image.user();
    let status = std::fs::read_to_string(format!("/proc/{}/status", running.child.id())).expect("a process");
    let line = |name: &str| {
        status.lines().find_map(|line| line.strip_prefix(name)).expect("a line").trim().to_owned()
    };
    assert!(user > 0 && line("Uid:") == vec![user.to_string(); 4].join("\t"), "{status}");
    assert!(line("Gid:").starts_with(&format!("{group}\t")) && line("Groups:").is_empty(), "{status}");
    assert_eq!((line("CapEff:").trim_matches('0'), &*line("NoNewPrivs:")), ("", "1"));
    let inside = PathBuf::from(format!("/proc/{}/root", running.child.id()));
    let refused = std::fs::write(inside.join("x"), "").expect_err("it is read-only");
    assert_eq!(refused.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    let mut kept: Vec<String> = std::fs::read_dir(image.state())
        .expect("a directory")
        .map_while(Result::ok)
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    kept.sort();
    assert!(kept.iter().any(|file| file == "foregate.db"), "{kept:?}");
    let database = std::fs::metadata(image.state().join("foregate.db")).expect("a file");
    assert_eq!((database.uid(), database.gid()), (user, group));
    drop(running);

    // Without the certificates nobody is at the other end whom it would believe.
    let bare = Image::new(None, image.environment.clone());
    bare.add("etc/resolv.conf", "nameserver 127.53.0.1\n");
    let _running = bare.start();
    let reply = visit();
    assert_eq!(reply.status, 503, "{reply:?}");
}

#[test]
#[ignore = "takes a program made for the image, in IMAGE_PROGRAM"]
fn a_program_for_the_image_is_static_and_small() {
    let program = std::env::var_os("IMAGE_PROGRAM").expect("IMAGE_PROGRAM");
    let size = std::fs::metadata(&program).expect("a file").len();
    assert!(size < 20_000_000, "{size} bytes");
    let told = Command::new("readelf").args(["-d", "-l"]).arg(&program).output().expect("readelf");
    let told = String::from_utf8(told.stdout).expect("text");
    assert!(!told.contains("NEEDED") && !told.contains("INTERP"), "{told}");
}
