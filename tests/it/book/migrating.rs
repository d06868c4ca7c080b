//! Somebody who moves from another product by the page about that, and types nothing else: front proxy and app stay as
//! they are, and do not even notice.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use super::start::{Typist, blocks};
use super::{page, root};
use crate::support::backend::Backend;
use crate::support::foregate::free_port;
use crate::support::http::{Browser, Reply};
use crate::support::provider::Provider;
use crate::support::proxies::FrontProxy;

/// A set-up of another product, which has been stopped, and somebody at its keyboard.
struct Home {
    front: FrontProxy,
    port: u16,
    behind: u16,
    provider: Provider,
    backend: Backend,
    typist: Typist,
    dir: tempfile::TempDir,
}

impl Home {
    /// With the files of `tests/data/migrating` as they are, but for ports, which others need, too.
    fn new(front: &'static str, config: &str, source: &str, was_at: &str) -> Self {
        let [port, behind, admin] = [(); 3].map(|()| free_port());
        let verified = json!({ "email_verified": true });
        let users = json!({ "users": { "alice": verified, "bob": verified } });
        let provider = Provider::for_foregate(&format!("http://auth.home.localhost:{port}"), users);
        let backend = Backend::start();
        let dir = tempfile::tempdir().expect("a directory");
        let mut typist = Typist::new(dir.path());
        let ours = format!("export FOREGATE_SERVER__ADMIN_LISTEN=127.0.0.1:{admin}");
        assert_eq!(typist.type_in(&ours), (String::new(), 0));
        let here = |file: &str| {
            let text =
                std::fs::read_to_string(root().join("tests/data/migrating").join(file)).expect("a file");
            ported(&text, port, was_at, behind)
                .replace("127.0.0.1:8001", &backend.address.to_string())
                .replace("https://id.example.com/application/o/foregate/", &provider.issuer)
                .replace("what-the-provider-shows", &provider.secret)
        };
        std::fs::write(dir.path().join(source), here(source)).expect("a file");
        let front = FrontProxy::start(front, port, &here(config), tempfile::tempdir().expect("a directory"));
        Self { front, port, behind, provider, backend, typist, dir }
    }

    /// Types what the page says under a title; what each block said.
    fn follow(&mut self, title: &str, was_at: &str) -> Vec<(String, String)> {
        let page = page("migrating.md");
        let part = page.split_once(title).expect("a part").1;
        let part = part.split("\n##").next().expect("its end");
        let told = ported(part, self.port, was_at, self.behind)
            .replace("https://id.example.com/application/o/foregate/", &self.provider.issuer)
            .replace("what-the-provider-shows", &self.provider.secret);
        let mut all = Vec::new();
        for block in blocks(&told) {
            let (said, code) = self.typist.type_in(&block);
            assert_eq!(code, 0, "{block}\n{said}");
            if block.contains("foregate serve &") {
                wait_for(self.behind);
            }
            all.push((block, said));
        }
        all
    }

    fn url(&self, path: &str) -> String {
        format!("http://wiki.home.localhost:{}{path}", self.port)
    }

    /// A visit of somebody who begins without a session: the app's answer, or foregate's.
    fn visit(&self, user: &str) -> Reply {
        let mut browser = Browser::default();
        let first = browser.open(&self.url("/page?x=1"));
        let onward = first.header("refresh").and_then(|refresh| refresh.strip_prefix("0; url="));
        // nginx shows the page of the sign-in, which leads on; Traefik hands on the redirect.
        let start = onward.map(str::to_owned).unwrap_or_else(|| {
            browser = Browser::default();
            self.url("/page?x=1")
        });
        let reply = browser.sign_in(&start, user);
        assert!([200, 403].contains(&reply.status), "{reply:?} {:#?} {}", browser.visited, self.front.log());
        reply
    }
}

/// A text with the ports of a test in place of 8000 and of the product's own.
fn ported(text: &str, front: u16, was_at: &str, behind: u16) -> String {
    text.replace(":8000", &format!(":{front}")).replace(was_at, &format!("127.0.0.1:{behind}"))
}

fn wait_for(port: u16) {
    let late = Instant::now() + Duration::from_secs(30);
    while TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).is_err() {
        assert!(Instant::now() < late, "nobody listens at {port}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What blocks that begin so have said.
fn said<'s>(all: &'s [(String, String)], begin: &str) -> &'s str {
    let found = all.iter().find(|(block, _)| block.starts_with(begin));
    found.map(|(_, said)| said.as_str()).unwrap_or_else(|| panic!("the page has no {begin}"))
}

fn decisions(said: &str) -> Vec<&str> {
    said.lines().filter_map(|line| line.strip_prefix("decision: ")).collect()
}

/// A secret that only its owner reads.
fn is_private(dir: &Path, file: &str) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(dir.join(file)).expect("a file").permissions().mode() & 0o077 == 0
}

#[test]
fn from_oauth2_proxy_behind_nginx_by_the_page_alone() {
    let began = Instant::now();
    let mut home = Home::new("nginx", "nginx.conf", "oauth2-proxy.cfg", "127.0.0.1:4180");
    assert_eq!(Browser::default().open(&home.url("/")).status, 500, "what nginx asks has been stopped");
    let all = home.follow("### oauth2-proxy behind nginx", "127.0.0.1:4180");
    assert_eq!(decisions(said(&all, "foregate explain")), ["allow", "forbid", "allow"]);
    let looked = said(&all, "curl");
    assert!(looked.contains("HTTP/1.1 403 ") && looked.contains("HTTP/1.1 200 "), "{looked}");
    assert!(is_private(home.dir.path(), "foregate.toml"), "it holds the secret");
    let reply = home.visit("alice");
    assert!(reply.status == 200 && reply.body.starts_with("GET /page?x=1 "), "{reply:?}");
    assert!(
        reply.body.contains("X-User: alice\r\n") && reply.body.contains("X-Email: alice@example.com\r\n")
    );
    assert_eq!(home.visit("bob").status, 403);
    let seen = home.backend.seen();
    assert!(!seen.iter().any(|request| request.contains("X-User: bob")), "{seen:?}");
    println!("from oauth2-proxy to a protected page in {:.1} s", began.elapsed().as_secs_f32());
}

#[test]
fn from_authentiks_outpost_behind_traefik_by_the_page_alone() {
    let began = Instant::now();
    let mut home = Home::new("traefik", "dynamic.yaml", "authentik-blueprint.yaml", "127.0.0.1:9000");
    home.front.wait_for(&home.url("/"), |reply| reply.status == 500);
    let all = home.follow("### authentik's outpost behind Traefik", "127.0.0.1:9000");
    assert_eq!(decisions(said(&all, "foregate explain")), ["allow", "forbid"]);
    let looked = said(&all, "curl");
    assert!(looked.contains("HTTP/1.1 401 "), "{looked}");
    assert!(is_private(home.dir.path(), "client_secret"), "it is a secret");
    let reply = home.visit("alice");
    let body = reply.body.to_ascii_lowercase();
    assert!(reply.status == 200 && body.starts_with("get /page?x=1 "), "{reply:?}");
    assert!(body.contains("x-authentik-username: alice\r\n"), "{body}");
    assert_eq!(home.visit("bob").status, 403);
    let seen = home.backend.seen();
    assert!(
        !seen.iter().any(|request| request.to_ascii_lowercase().contains("x-authentik-username: bob")),
        "{seen:?}"
    );
    println!("from authentik's outpost to a protected page in {:.1} s", began.elapsed().as_secs_f32());
}
