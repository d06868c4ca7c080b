//! Each fault really made, in front of a foregate that runs: what `check` says of it in one line, and what the person sees.

use serde_json::{Value, json};

use super::Told;
use crate::support::backend::Backend;
use crate::support::foregate::{Foregate, KEY, free_port};
use crate::support::http::{Browser, Reply};
use crate::support::postgres::{fresh_url, run_sql};
use crate::support::provider::Provider;
use crate::support::proxies::FrontProxy;
use crate::support::watch::tell;

/// A foregate that is the proxy itself, with a fault somewhere.
struct Faulty {
    port: u16,
    foregate: Foregate,
    _backend: Backend,
}

impl Faulty {
    fn new(port: u16, store: &str, provider: &str) -> Self {
        let backend = Backend::start();
        let config = format!(
            "public_url = \"http://auth.foregate.localhost:{port}\"\n[server]\nlisten = \"LISTEN\"\nadmin_listen = \"ADMIN\"\n\
             [session]\n{store}\n{provider}\n[apps.\"app.foregate.localhost\"]\nallow = \"signed-in\"\nupstream = \"{}\"\n",
            backend.url()
        );
        Self { port, foregate: Foregate::start_at(&config, port), _backend: backend }
    }

    fn check(&self) -> Told {
        Told::of_file(&self.foregate.dir().join("foregate.toml"), &[])
    }

    fn open(&self) -> Reply {
        Browser::default().open(&self.page())
    }

    fn sign_in(&self) -> Reply {
        Browser::default().sign_in(&self.page(), "alice")
    }

    fn page(&self) -> String {
        format!("http://app.foregate.localhost:{}/", self.port)
    }
}

const SQLITE: &str = "store = \"sqlite:DIR/f.db\"";

fn provider(port: u16, more: Value) -> Provider {
    Provider::for_foregate(&format!("http://auth.foregate.localhost:{port}"), more)
}

/// Asserts that a page names one cause, and no other one, and where to look further.
#[track_caller]
fn names(reply: &Reply, status: u16, cause: &str) {
    assert!(reply.status == status && reply.body.contains(cause), "{reply:?}");
    assert!(reply.header("foregate-ref").is_some_and(|told| reply.body.contains(told)), "{reply:?}");
    for other in
        ["The issuer differs", "The client id or secret is wrong", "Clocks differ", "The keys do not fit"]
    {
        assert!(other == cause || !reply.body.contains(other), "{other}: {reply:?}");
    }
}

#[test]
fn a_clock_that_is_wrong_is_named() {
    let port = free_port();
    // Its tokens have ended by the time they are made.
    let provider = provider(port, json!({ "clockSkewSeconds": -7200 }));
    let faulty = Faulty::new(port, SQLITE, &provider.config());
    faulty.check().fails(&["clock", "seconds"]);
    names(&faulty.sign_in(), 502, "Clocks differ");
}

#[test]
fn a_wrong_secret_is_named() {
    let port = free_port();
    let provider = provider(port, Value::Null);
    let faulty = Faulty::new(port, SQLITE, &provider.config().replace(&provider.secret, "wrong"));
    faulty.check().fails(&["client credentials"]);
    names(&faulty.sign_in(), 502, "The client id or secret is wrong");
}

#[test]
fn an_issuer_of_another_name_is_named() {
    let port = free_port();
    let provider = provider(port, Value::Null);
    let elsewhere = provider.issuer.replace("127.0.0.1", "localhost");
    let faulty = Faulty::new(port, SQLITE, &provider.config().replace(&provider.issuer, &elsewhere));
    faulty.check().fails(&["issuer: configured", &elsewhere, &provider.issuer]);
    names(&faulty.open(), 502, "The issuer differs");
}

#[test]
fn a_proxy_that_changes_the_host_before_the_provider_is_named() {
    let port = free_port();
    let provider = provider(port, json!({ "issuerFollowsHost": true }));
    let (between, dir) = (free_port(), tempfile::tempdir().expect("a directory"));
    let text = format!(
        "pid nginx.pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\nclient_body_temp_path b;\nproxy_temp_path p;\n\
         fastcgi_temp_path f;\nuwsgi_temp_path u;\nscgi_temp_path s;\nserver {{ listen 127.0.0.1:{between};\n\
         location / {{ proxy_pass http://127.0.0.1:{}; proxy_set_header Host id.internal; }} }} }}\n",
        provider.port
    );
    let _proxy = FrontProxy::start("nginx", between, &text, dir);
    let issuer = provider.issuer.replace(&format!(":{}", provider.port), &format!(":{between}"));
    let faulty = Faulty::new(port, SQLITE, &provider.config().replace(&provider.issuer, &issuer));
    faulty.check().fails(&["issuer: configured", &issuer, "id.internal"]);
    names(&faulty.open(), 502, "The issuer differs");
}

#[test]
fn a_redirect_address_that_is_not_registered_is_named() {
    let port = free_port();
    let provider = provider(port, Value::Null);
    let faulty = Faulty::new(port, SQLITE, &provider.config());
    provider.control("client", &json!({ "redirectUris": ["http://other.localhost/callback"] }));
    faulty.check().fails(&["redirect URI", "400", "register http://auth.foregate.localhost"]);
    // Nobody comes back to foregate: it is the provider that says so.
    let told = faulty.open();
    assert!(told.status == 400 && told.body.contains("redirect_uri"), "{told:?}");
}

#[test]
fn a_provider_that_is_down_is_named() {
    let port = free_port();
    let provider =
        "[provider]\nissuer = \"http://127.0.0.1:1/\"\nclient_id = \"f\"\nclient_auth = \"none\"\n";
    let faulty = Faulty::new(port, SQLITE, provider);
    faulty.check().fails(&["discovery", "127.0.0.1:1"]);
    let told = faulty.open();
    names(&told, 503, "The sign-in service does not answer");
    assert!(told.header("retry-after").is_some(), "{told:?}");
}

#[test]
fn a_database_that_takes_no_changes_is_named() {
    let (port, url) = (free_port(), fresh_url());
    let provider = provider(port, Value::Null);
    let store = format!("store = \"{url}\"\nkeys = [\"{}\"]", KEY);
    let faulty = Faulty::new(port, &store, &provider.config());
    faulty.check().passes();
    let database = url.rsplit('/').next().expect("a name");
    super::block_on(run_sql(
        &url,
        &format!("ALTER DATABASE {database} SET default_transaction_read_only = on"),
    ));
    // As after a failover: the connections that are open know nothing of it.
    super::block_on(run_sql(
        &url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
    ));
    faulty.check().fails(&["writable", "read-only"]);
    names(&faulty.sign_in(), 503, "You could not be signed in just now");
}

#[test]
fn a_disk_that_is_full_is_named() {
    let Some(disk) = SmallDisk::new() else {
        return tell("a full disk is not looked at: no small one can be mounted");
    };
    let port = free_port();
    let provider = provider(port, Value::Null);
    let store = format!("store = \"sqlite:{}/f.db\"", disk.0.path().display());
    let faulty = Faulty::new(port, &store, &provider.config());
    faulty.check().passes();
    disk.fill();
    faulty.check().fails(&["writable", "No space left", "make room"]);
    names(&faulty.sign_in(), 503, "You could not be signed in just now");
}

/// A file system of its own, where one can be mounted.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn new() -> Option<Self> {
        let dir = tempfile::tempdir().expect("a directory");
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m", "foregate-test"])
            .arg(dir.path())
            .status();
        mounted.is_ok_and(|status| status.success()).then(|| Self(dir))
    }

    fn fill(&self) {
        use std::io::Write as _;
        let mut ballast = std::fs::File::create(self.0.path().join("ballast")).expect("a file");
        for piece in [vec![0; 4096], vec![0; 1]] {
            while ballast.write_all(&piece).is_ok() {}
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, as the foregate that writes there may be about to end.
        let _ = std::process::Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}
