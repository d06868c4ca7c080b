//! Somebody new, who types what the page of the first five minutes says, and nothing else.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use url::Url;

use super::{page, root};
use crate::support::foregate::{Guard, PROGRAM, end_with_us, free_port};
use crate::support::http::Browser;
use crate::support::provider::Provider;

/// A shell into which the blocks of a page are typed, one after the other. It ends, with all that it started, when its
/// input does.
pub struct Typist {
    shell: Child,
    input: Option<ChildStdin>,
    said: BufReader<std::process::ChildStdout>,
    _guard: Guard,
}

impl Typist {
    pub fn new(dir: &Path) -> Self {
        let own = Path::new(PROGRAM).parent().expect("a directory").display();
        let path = format!(
            "{own}:{}:{}",
            root().join(".tools/bin").display(),
            std::env::var("PATH").expect("a path")
        );
        let mut shell = Command::new("bash")
            .args(["-c", LOOP])
            .current_dir(dir)
            .env("PATH", path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let guard = end_with_us(shell.id());
        let said = BufReader::new(shell.stdout.take().expect("stdout"));
        Self { input: shell.stdin.take(), shell, said, _guard: guard }
    }

    /// Types a block and returns what it said, and how it ended.
    pub fn type_in(&mut self, block: &str) -> (String, i32) {
        let input = self.input.as_mut().expect("an open shell");
        write!(input, "{block}\n{END}\n").expect("a shell that reads");
        let mut all = String::new();
        loop {
            let mut line = String::new();
            assert!(self.said.read_line(&mut line).expect("text") > 0, "the shell ended in {block}: {all}");
            if let Some(code) = line.strip_prefix(END) {
                // What was said last may have no end of its own.
                all.pop();
                return (all, code.trim().parse().expect("a code"));
            }
            all.push_str(&line);
        }
    }
}

impl Drop for Typist {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.shell.wait();
    }
}

/// Reads blocks up to the mark and runs each in this very shell, so that variables and directories stay.
const LOOP: &str = r#"
trap 'kill $(jobs -p) 2> /dev/null; wait' EXIT
block=
while IFS= read -r line; do
  if [ "$line" = "--- end of the block ---" ]; then
    eval "$block" 2>&1 < /dev/null
    printf '\n%s%s\n' "$line" $?
    block=
  else
    block="$block$line
"
  fi
done
"#;
const END: &str = "--- end of the block ---";

/// The blocks of a page that are to be typed.
pub fn blocks(text: &str) -> Vec<String> {
    let fenced = text.split("```sh\n").skip(1);
    fenced.map(|rest| rest.split("\n```").next().expect("an end").to_owned()).collect()
}

#[test]
fn the_first_five_minutes_end_in_a_protected_page() {
    let began = Instant::now();
    let [front, app, public, admin] = [(); 4].map(|()| free_port());
    let origin = format!("http://auth.home.localhost:{front}");
    let provider = Provider::for_foregate(&origin, Value::Null);
    let dir = tempfile::tempdir().expect("a directory");
    let mut typist = Typist::new(dir.path());
    // Nothing but what differs from person to person, and ports, as others run here too.
    let told = page("start.md")
        .replace("https://id.example.com/application/o/foregate/", &provider.issuer)
        .replace("what-the-provider-shows", &provider.secret)
        .replace(":8000", &format!(":{front}"))
        .replace("8001", &app.to_string());
    let ours = format!(
        "export FOREGATE_SERVER__LISTEN=127.0.0.1:{public} FOREGATE_SERVER__ADMIN_LISTEN=127.0.0.1:{admin}"
    );
    assert_eq!(typist.type_in(&ours), (String::new(), 0));
    let wiki = Url::parse(&format!("http://wiki.home.localhost:{front}/")).expect("a URL");
    let mut asked = 0;
    for block in blocks(&told) {
        let (said, code) = typist.type_in(&block);
        assert_eq!(code, 0, "{block}\n{said}");
        if block.contains("foregate serve &") {
            wait_for(&wiki);
        }
        if block.starts_with("curl") {
            asked += 1;
            assert!(said.contains("HTTP/1.1 401 ") && said.contains("/.foregate/sign-in"), "{said}");
        }
        if block.starts_with("foregate check") {
            asked += 1;
            assert!(said.contains(wiki.as_str()) && !said.contains("failed "), "{said}");
        }
    }
    assert_eq!(asked, 2, "the page has these two");
    let reply = Browser::default().sign_in(wiki.as_str(), "alice");
    assert_eq!((reply.status, reply.body.as_str()), (200, "Hello alice\n"));
    println!("from nothing to a protected page in {:.1} s", began.elapsed().as_secs_f32());
}

/// Waits until Traefik asks foregate: it listens before it has read its routes.
fn wait_for(page: &Url) {
    let late = Instant::now() + Duration::from_secs(30);
    let listens = || std::net::TcpStream::connect(("127.0.0.1", page.port().expect("a port"))).is_ok();
    while !listens() || Browser::default().step("GET", page, "").status != 302 {
        assert!(Instant::now() < late, "{page} leads nowhere");
        std::thread::sleep(Duration::from_millis(50));
    }
}
