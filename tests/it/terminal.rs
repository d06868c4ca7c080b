//! What people see at a terminal, and nobody else: progress of long work, and colours unless they want none. The terminal is a real one,
//! made by script(1).

use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::foregate::{Foregate, Guard, PROGRAM, end_with_us, free_port, run};
use crate::support::watch::{end, watched};

/// Back to the beginning of the line, and nothing on it.
const CLEAR: &str = "\r\u{1b}[2K";

/// A command at a terminal of its own.
struct Terminal {
    child: Child,
    shown: Arc<Mutex<String>>,
    _guard: Guard,
}

impl Terminal {
    fn run(line: &str, dir: &Path, variables: &[(&str, &str)]) -> Self {
        watched();
        let mut child = Command::new("script")
            .args(["--quiet", "--return", "--command", &format!("{PROGRAM} {line}"), "/dev/null"])
            .current_dir(dir)
            .env_remove("NO_COLOR")
            .env_remove("CLICOLOR_FORCE")
            // Which has colours of its own accord, at any terminal.
            .env_remove("CI")
            .env("TERM", "xterm")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script starts");
        let guard = end_with_us(child.id());
        let shown = Arc::<Mutex<String>>::default();
        let (kept, mut out) = (Arc::clone(&shown), child.stdout.take().expect("the terminal"));
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = out.read(&mut bytes) {
                kept.lock().expect("what is shown").push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        });
        Self { child, shown, _guard: guard }
    }

    /// Waits until this is shown; all that is by then.
    fn wait_for(&self, part: &str) -> String {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            let shown = self.shown.lock().expect("what is shown").clone();
            if shown.contains(part) {
                return shown;
            }
            assert!(Instant::now() < end, "no {part:?} in {shown:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn end(mut self) -> Option<i32> {
        self.child.wait().expect("an end").code()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        end(&mut self.child, "script");
    }
}

/// A store with so many sessions, and a configuration that names it.
fn crowded(sessions: usize) -> tempfile::TempDir {
    let config = "public_url = \"http://auth.foregate.localhost:1\"\nallow = \"signed-in\"\n[server]\nlisten = \"LISTEN\"\nadmin_listen = \"ADMIN\"\n\
                  [session]\nstore = \"sqlite:DIR/f.db\"\n[provider]\nissuer = \"http://127.0.0.1:9/\"\nclient_id = \"foregate\"\nclient_auth = \"none\"\n";
    let dir = tempfile::tempdir().expect("a directory");
    let config = config.replace("LISTEN", &format!("127.0.0.1:{}", free_port()));
    let config = config.replace("ADMIN", &format!("127.0.0.1:{}", free_port()));
    let config = config.replace("DIR", dir.path().to_str().expect("a path"));
    std::fs::write(dir.path().join("foregate.toml"), &config).expect("a file");
    let mut foregate = Foregate::start(&config);
    assert_eq!(foregate.stop(), Some(0));
    let database = rusqlite::Connection::open(dir.path().join("f.db")).expect("the store");
    let insert = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {sessions}) \
         INSERT INTO foregate_session (id, proof, issuer, subject, profile, created_at, last_seen, expires_at, tokens, client, user_agent) \
         SELECT randomblob(16), zeroblob(32), 'i', 's', '{{}}', unixepoch(), unixepoch(), unixepoch() + 1000, x'', '', '' FROM n"
    );
    database.execute_batch(&insert).expect("sessions");
    dir
}

#[test]
fn the_end_of_many_sessions_is_told_as_it_goes_on_but_only_at_a_terminal() {
    let dir = crowded(5000);
    let (code, out, err) = run(&["session", "revoke", "--all"], dir.path());
    assert_eq!((code, out.as_str(), err.as_str()), (Some(0), "5000 sessions ended\n", ""));
    let dir = crowded(5000);
    let terminal = Terminal::run("session revoke --all", dir.path(), &[]);
    let shown = terminal.wait_for("5000 sessions ended");
    for part in ["2000", "4000"] {
        assert!(shown.contains(&format!("{CLEAR}{part} sessions ended so far")), "{shown:?}");
    }
    assert!(shown.contains(&format!("so far{CLEAR}5000 sessions ended")), "nothing is left of it: {shown:?}");
    assert_eq!(terminal.end(), Some(0));
}

#[test]
fn whoever_waits_for_the_store_is_told_so_at_a_terminal() {
    let dir = crowded(1);
    let database = rusqlite::Connection::open(dir.path().join("f.db")).expect("the store");
    database.execute_batch("BEGIN IMMEDIATE").expect("a lock");
    let terminal = Terminal::run("session list", dir.path(), &[]);
    let shown = terminal.wait_for("waiting for the session store: ");
    assert!(shown.starts_with(CLEAR), "{shown:?}");
    database.execute_batch("ROLLBACK").expect("no lock");
    // It may have been too late for a busy machine; the line goes away in either case.
    let end = Instant::now() + Duration::from_secs(30);
    while !terminal
        .shown
        .lock()
        .expect("what is shown")
        .trim_end_matches(char::is_whitespace)
        .contains("s\r\u{1b}[2K")
    {
        assert!(Instant::now() < end, "the line stays");
        std::thread::sleep(Duration::from_millis(5));
    }
    terminal.end();
}

#[test]
fn tables_of_an_older_foregate_are_brought_up_to_date_and_the_log_says_so() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("f.db");
    let database = rusqlite::Connection::open(&file).expect("a store");
    for script in [
        include_str!("../../src/session/migrations/sqlite/0001_sessions.sql"),
        include_str!("../../src/session/migrations/sqlite/0002_changes_and_people.sql"),
        "INSERT INTO foregate_migration (version) VALUES (1), (2)",
    ] {
        database.execute_batch(script).expect("tables");
    }
    drop(database);
    let config = |file: &Path| {
        format!(
            "public_url = \"http://auth.foregate.localhost:1\"\nallow = \"signed-in\"\n[server]\nlisten = \"LISTEN\"\nadmin_listen = \"ADMIN\"\n\
             [session]\nstore = \"sqlite:{}\"\n[provider]\nissuer = \"http://127.0.0.1:9/\"\nclient_id = \"foregate\"\nclient_auth = \"none\"\n",
            file.display()
        )
    };
    let old = Foregate::start(&config(&file));
    let line = old.wait_for_log("the tables of the session store are brought up to date");
    assert!(line.contains("\"from\":2"), "{line}");
    let new = Foregate::start(&config(&dir.path().join("new.db")));
    assert_eq!(new.logged("brought up to date"), 0, "there was nothing before");
}

#[test]
fn the_demo_has_colours_at_a_terminal_unless_somebody_wants_none() {
    let dir = tempfile::tempdir().expect("a directory");
    let shown = |variables: &[(&str, &str)]| {
        let line = format!("demo --port {}", free_port());
        Terminal::run(&line, dir.path(), variables).wait_for("Ctrl-C")
    };
    assert!(shown(&[]).contains("\u{1b}[1m"));
    for variables in [[("NO_COLOR", "1")], [("TERM", "dumb")]] {
        let plain = shown(&variables);
        assert!(plain.contains("foregate demo") && !plain.contains('\u{1b}'), "{plain:?}");
    }
}
