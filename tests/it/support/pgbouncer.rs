//! A real PgBouncer before a database, in transaction mode: servers go from one transaction to the next.

#![cfg(feature = "postgres")]

use std::net::TcpStream;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use url::Url;

use super::foregate::{Guard, end_with_us, free_port};
use super::postgres::{binary, is_root};

/// A running PgBouncer, ended when dropped.
pub(crate) struct PgBouncer {
    child: Child,
    port: u16,
    _home: TempDir,
    _guard: Guard,
}

impl PgBouncer {
    /// Starts one before the database at `url`.
    pub(crate) fn before(url: &str) -> Self {
        let url = Url::parse(url).expect("a URL");
        let (server, port) = (url.port().expect("a port"), free_port());
        let home = tempfile::Builder::new().prefix("foregate-pgb-").tempdir().expect("a directory");
        let (config, users) = (home.path().join("pgbouncer.ini"), home.path().join("users.txt"));
        let text = format!(
            "[databases]\n* = host=127.0.0.1 port={server}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nauth_type = trust\nauth_file = {}\npool_mode = transaction\n\
             default_pool_size = 3\nserver_reset_query_always = 0\n",
            users.display()
        );
        std::fs::write(&config, text).expect("a config file");
        std::fs::write(users, "\"postgres\" \"\"\n").expect("a user list");
        if is_root() {
            let owned = Command::new("chown").args(["-R", "postgres"]).arg(home.path()).status();
            assert!(owned.expect("chown").success());
        }
        // It refuses to run as root.
        let owner = std::fs::metadata(home.path()).expect("a directory");
        let child = Command::new(binary("pgbouncer"))
            .args(["-q".as_ref(), config.as_os_str()])
            .uid(owner.uid())
            .gid(owner.gid())
            .current_dir("/")
            .stdout(Stdio::null())
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("pgbouncer starts");
        let guard = end_with_us(child.id());
        let end = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < end, "pgbouncer does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { child, port, _home: home, _guard: guard }
    }

    /// The address of the same database by way of it.
    pub(crate) fn url(&self, url: &str) -> String {
        let mut url = Url::parse(url).expect("a URL");
        url.set_port(Some(self.port)).expect("a port");
        url.into()
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
