//! A real PostgreSQL server for tests, from installed binaries. Knows nothing of foregate.

#![cfg(feature = "postgres")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, mpsc};
use std::time::Duration;

use tempfile::TempDir;
use tokio_postgres::NoTls;

use super::watch::tell;

/// A server with its own data, on a port of 127.0.0.1. It ends with this value, or else with the test process.
pub(crate) struct Postgres {
    home: TempDir,
    port: u16,
    run: Option<Child>,
}

/// The server for every test that does not harm it.
pub(crate) fn shared() -> &'static Postgres {
    static SHARED: LazyLock<Postgres> = LazyLock::new(Postgres::start);
    &SHARED
}

/// The URL of a new, empty database on the shared server, for tests that are not async.
pub(crate) fn fresh_url() -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(shared().fresh())
}

impl Postgres {
    /// Makes a new cluster and starts a server on it; it answers when this returns.
    pub(crate) fn start() -> Self {
        let home = tempfile::Builder::new().prefix("foregate-pg-").tempdir().unwrap();
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(home.path()));
        }
        let data = home.path().join("data");
        run(as_postgres(&binary("initdb"))
            .args(["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync", "-D"])
            .arg(&data));
        let mut server = Self { home, port: 0, run: None };
        for _ in 0..ATTEMPTS {
            server.port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            if server.launch() {
                return server;
            }
        }
        panic!("PostgreSQL does not start");
    }

    /// A URL of the database that every cluster has.
    pub(crate) fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// The URL of a new, empty database.
    pub(crate) async fn fresh(&self) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        self.run_sql(&format!("CREATE DATABASE {name}")).await;
        self.url_of(&name)
    }

    /// Runs SQL in the database of [`Self::url`], as the superuser.
    pub(crate) async fn run_sql(&self, sql: &str) {
        run_sql(&self.url(), sql).await;
    }

    /// Kills the server and all its workers at once, as a power cut would.
    pub(crate) fn kill_hard(&mut self) {
        let Some(mut guard) = self.run.take() else { return };
        let pid = self.pid();
        let workers = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        let workers: Vec<&str> = workers.split_whitespace().collect();
        // A worker may end by itself as soon as the server is gone.
        let _ = Command::new("kill").arg("-9").arg(&pid).args(workers).stderr(Stdio::null()).status();
        let _ = guard.stdin.take().unwrap().write_all(b"keep\n");
        guard.wait().unwrap();
    }

    /// Starts the server again on its data and another port.
    pub(crate) fn restart_at(&mut self, port: u16) {
        self.port = port;
        self.restart();
    }

    /// Starts the server again on its data and port.
    pub(crate) fn restart(&mut self) {
        self.kill_hard();
        assert!((0..ATTEMPTS).any(|_| self.launch()), "PostgreSQL does not start again");
    }

    /// Stops (`"STOP"`) or continues (`"CONT"`) the server and its workers, which then take no notice of anything.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.pid();
        let workers = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        run(Command::new("kill").arg(format!("-{signal}")).arg(&pid).args(workers.split_whitespace()));
    }

    fn url_of(&self, database: &str) -> String {
        format!("postgresql://postgres@127.0.0.1:{}/{database}", self.port)
    }

    fn pid(&self) -> String {
        let file = fs::read_to_string(self.home.path().join("data/postmaster.pid")).unwrap();
        file.lines().next().unwrap().to_owned()
    }

    /// Starts the server under a shell that ends it when this process is gone, whatever ended it.
    fn launch(&mut self) -> bool {
        let mut guard = as_postgres(Path::new("/bin/sh"))
            .args(["-c", GUARD, "guard"])
            .args([self.home.path(), &binary("postgres")])
            .arg(self.port.to_string())
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(guard.stderr.take().unwrap());
        self.run = Some(guard);
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            // Reads on to the end, so that the server never waits for room in its log.
            for line in log.lines().map_while(Result::ok) {
                if line.contains("ready to accept connections") {
                    let _ = tell.send(());
                }
            }
        });
        // Without a listener the server ends, and with it the channel.
        let is_ready = told.recv_timeout(START_TIME).is_ok();
        if !is_ready {
            self.end(b"keep\n");
        }
        is_ready
    }

    fn end(&mut self, word: &[u8]) {
        if let Some(mut guard) = self.run.take() {
            let _ = guard.stdin.take().unwrap().write_all(word);
            let _ = guard.wait();
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.end(b"");
    }
}

/// Runs SQL in the database at `url`.
pub(crate) async fn run_sql(url: &str, sql: &str) {
    in_time(url, sql, async |client| client.batch_execute(sql).await).await;
}

/// The one number that `sql` yields in the database at `url`.
pub(crate) async fn number(url: &str, sql: &str) -> i64 {
    in_time(url, sql, async |client| client.query_typed_one(sql, &[]).await).await.get(0)
}

/// What one question on a connection of its own yields. One that takes too long is asked once more, as this may have been the machine's
/// fault; it tells what the server does meanwhile.
async fn in_time<T>(
    url: &str,
    sql: &str,
    question: impl AsyncFn(&tokio_postgres::Client) -> Result<T, tokio_postgres::Error>,
) -> T {
    for _ in 0..2 {
        if let Ok(answer) = tokio::time::timeout(ANSWER_TIME, asked(url, &question)).await {
            return answer;
        }
        let activity = asked(url, async |client| client.query_typed_one(ACTIVITY, &[]).await);
        let told = match tokio::time::timeout(ANSWER_TIME, activity).await {
            Ok(row) => row.get(0),
            Err(_) => "nobody gets one".to_owned(),
        };
        tell(format_args!("{sql}: no answer; {told}"));
    }
    panic!("{sql}: no answer");
}

async fn asked<T>(
    url: &str,
    question: impl AsyncFn(&tokio_postgres::Client) -> Result<T, tokio_postgres::Error>,
) -> T {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    let answer = question(&client).await.unwrap();
    drop(client);
    connection.await.unwrap().unwrap();
    answer
}

pub(super) fn binary(name: &str) -> PathBuf {
    let mut places: Vec<PathBuf> =
        std::env::var_os("FOREGATE_TEST_BIN").map(PathBuf::from).into_iter().collect();
    places.push(Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/bin"));
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .collect();
    versions.sort();
    places.extend(versions.into_iter().rev());
    let found = places.into_iter().map(|place| place.join(name)).find(|file| file.exists());
    // Resolved, as the user that it runs as may not see the way to it.
    found
        .and_then(|file| file.canonicalize().ok())
        .unwrap_or_else(|| panic!("no {name}: install PostgreSQL, or name its folder in FOREGATE_TEST_BIN"))
}

/// A command that runs as a user PostgreSQL accepts: it refuses to run as root.
fn as_postgres(program: &Path) -> Command {
    let mut command = if is_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.current_dir("/").env("LC_ALL", "C").stdout(Stdio::null());
    command
}

pub(super) fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

const ATTEMPTS: usize = 5;
const START_TIME: Duration = Duration::from_secs(30);
const ANSWER_TIME: Duration = Duration::from_secs(30);
const ACTIVITY: &str = "SELECT json_agg(a)::text FROM (SELECT pid, datname, state, wait_event_type, wait_event, query_start, \
                        pg_blocking_pids(pid), left(query, 100) FROM pg_stat_activity) a";
/// Waits for a word or the end of the test process. Without the word `keep` the data goes too.
const GUARD: &str = r#"
    "$2" -D "$1/data" -p "$3" -c listen_addresses=127.0.0.1 -c unix_socket_directories="$1" -c fsync=off \
        -c full_page_writes=off -c max_connections=200 -c logging_collector=off </dev/null &
    exec 2>/dev/null
    word=
    read -r word
    kill -QUIT $!; kill -CONT $!
    wait $!
    [ "$word" = keep ] || rm -rf "$1"
"#;
