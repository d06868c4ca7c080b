//! Mixed load for as long as one likes, with everything that goes wrong in a house: memory stays flat, nothing is leaked, and the
//! book balances: every session that was made is alive, has expired, or was ended by somebody.
//!
//! `make soak` runs it for half an hour; a short one is among the tests, so that it keeps working.

mod book;
mod load;

use std::fmt;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::backend::Backend;
use crate::support::foregate::{Foregate, KEY};
use crate::support::house::House;
use crate::support::http::{get, raw, request};
use crate::support::postgres::{self, Postgres};
use crate::support::provider::Provider;
use crate::support::upstream::{Act, Recorder, ok, until};
use crate::support::watch;
use book::{Book, Samples};

/// A house where everything can be taken away and brought back.
struct Soak {
    foregate: Foregate,
    backend: Backend,
    provider: Provider,
    postgres: Postgres,
    config: String,
    port: u16,
    /// Whether the flaky app answers.
    flaky: Arc<AtomicBool>,
    book: Book,
    reloads: usize,
}

/// What goes wrong, one after the other.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Nothing,
    Reload,
    StoreKilled,
    StoreFrozen,
    ProviderSilent,
    ProviderRestarted,
    KeysRotated,
    AppDown,
}

const FAULTS: [Fault; 8] = [
    Fault::Nothing,
    Fault::Reload,
    Fault::StoreKilled,
    Fault::ProviderSilent,
    Fault::AppDown,
    Fault::StoreFrozen,
    Fault::KeysRotated,
    Fault::ProviderRestarted,
];

#[test]
fn a_short_soak_leaks_nothing_and_its_book_balances() {
    Soak::new().run(Duration::from_secs(30));
}

#[test]
#[ignore = "takes as long as it is told to: make soak"]
fn soak() {
    let seconds = std::env::var("SOAK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1800);
    watch::takes_longer_by(Duration::from_secs(seconds));
    Soak::new().run(Duration::from_secs(seconds));
}

impl Soak {
    fn new() -> Self {
        let postgres = Postgres::start();
        let flaky = Arc::new(AtomicBool::new(true));
        let answers = Arc::clone(&flaky);
        let app = Recorder::start(move |_, _| match answers.load(Ordering::Relaxed) {
            true => Act::Say(ok("here")),
            false => Act::Last(String::new()),
        });
        let tables = format!(
            "store = \"{}\"\nkeys = [\"{KEY}\"]\nidle = \"1m\"\nlifetime = \"1m\"\n\
             [apps.\"flaky.foregate.localhost\"]\nallow = \"signed-in\"\nupstream = {}\n",
            postgres.url(),
            app.url()
        );
        let House { provider, backend, foregate, config, port } =
            House::with(&tables, json!({ "accessTokenTtl": TOKEN_SECONDS }));
        Self { foregate, backend, provider, postgres, config, port, flaky, book: Book::default(), reloads: 0 }
    }

    /// Goes on for so long, and then looks whether all is as it should be.
    fn run(mut self, length: Duration) {
        self.turn(Fault::Nothing);
        let calm = self.held();
        let (begun, over) = (Instant::now(), Arc::new(AtomicBool::new(false)));
        let mut samples = Samples::default();
        let load = load::begin(&self, &over);
        for fault in FAULTS.into_iter().cycle() {
            if begun.elapsed() >= length {
                break;
            }
            self.turn(fault);
            samples.note(begun.elapsed(), self.foregate.resident_kib());
        }
        over.store(true, Ordering::Relaxed);
        let counted = load.end();
        tell(format_args!("{counted:?}\n{}\n{samples}", self.book));
        until("the store is there", || get(self.foregate.admin, "/readyz", &[]).status == 200);
        self.balances();
        self.holds_nothing_more_than(calm);
        samples.are_flat(length);
        assert!(counted.right > 100, "{counted:?}");
        assert_eq!(self.foregate.logged("panicked"), 0);
    }

    /// A few sign-ins and ends of sessions, while something is wrong.
    fn turn(&mut self, fault: Fault) {
        for _ in 0..2 {
            self.sign_in();
        }
        self.begin(fault);
        // What a frozen store was asked for it may do when it goes on, long after it was given up.
        self.book.is_doubtful = matches!(fault, Fault::StoreFrozen);
        std::thread::sleep(FAULT_TIME);
        // A browser would wait for the provider itself.
        if !matches!(fault, Fault::ProviderSilent) {
            self.sign_in();
        }
        self.sign_out();
        if matches!(fault, Fault::KeysRotated | Fault::Nothing) {
            self.revoke("carol");
        }
        self.end(fault);
        self.book.is_doubtful = false;
    }

    fn begin(&mut self, fault: Fault) {
        match fault {
            Fault::Nothing => {}
            Fault::Reload => self.reload(),
            Fault::StoreKilled => self.postgres.kill_hard(),
            Fault::StoreFrozen => self.postgres.signal("STOP"),
            Fault::ProviderSilent => drop(self.provider.control("pause?mode=hang", &Value::Null)),
            Fault::ProviderRestarted => {
                let port = self.provider.port;
                self.provider.kill();
                let more = json!({ "port": port, "accessTokenTtl": TOKEN_SECONDS });
                let public_url = format!("http://auth.foregate.localhost:{}", self.port);
                self.provider = Provider::for_foregate(&public_url, more);
            }
            Fault::KeysRotated => drop(self.provider.control("rotate-keys", &Value::Null)),
            Fault::AppDown => self.flaky.store(false, Ordering::Relaxed),
        }
    }

    fn end(&mut self, fault: Fault) {
        match fault {
            Fault::StoreKilled => self.postgres.restart(),
            Fault::StoreFrozen => self.postgres.signal("CONT"),
            Fault::ProviderSilent => drop(self.provider.control("resume", &Value::Null)),
            Fault::AppDown => self.flaky.store(true, Ordering::Relaxed),
            Fault::Nothing | Fault::Reload | Fault::ProviderRestarted | Fault::KeysRotated => {}
        }
        let what = format!("well again after {fault:?}");
        until(&what, || get(self.foregate.admin, "/readyz", &[]).status == 200);
    }

    /// Another configuration each time, by turns.
    fn reload(&mut self) {
        let open = "{ path = \"/open/**\", allow = \"public\" }";
        let other = self.config.replace(open, &format!("{open}, {}", open.replace("open", "also-open")));
        self.foregate.rewrite(if self.reloads.is_multiple_of(2) { &other } else { &self.config });
        self.foregate.hang_up();
        self.reloads += 1;
        let done = "foregate_reloads_total{outcome=\"done\"}";
        until("a reload", || self.foregate.metric(done) as usize >= self.reloads);
    }

    /// Ends all sessions of somebody, as an operator does.
    fn revoke(&mut self, user: &str) {
        let target = format!("/api/v1/sessions?user={user}");
        let lines = ["Host: localhost", "X-Requested-With: soak", "Connection: close"];
        let reply = raw(self.foregate.admin, request("DELETE", &target, &lines, "").as_bytes());
        match reply.status {
            200 => self.book.revoked(user, reply.json()["ended"].as_u64().expect("a number")),
            // Nobody of that name has ever signed in.
            404 => {}
            other => panic!("{other}: {reply:?}"),
        }
    }

    fn number(&self, sql: &str) -> i64 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(postgres::number(&self.postgres.url(), sql))
    }

    /// What it has open, beside connections of visitors: files, tasks.
    fn held(&self) -> [usize; 3] {
        let metric = |name| self.foregate.metric(name) as usize;
        [self.foregate.files(), metric("foregate_tasks"), metric("foregate_connections ")]
    }

    /// Everything that load and faults needed comes back; connections to the store may be as many as its pool allows.
    fn holds_nothing_more_than(&self, calm: [usize; 3]) {
        until(&format!("{:?} is as {calm:?}", self.held()), || {
            let now = self.held();
            now[0] <= calm[0] + STORE_CONNECTIONS
                && now[1] <= calm[1] + STORE_CONNECTIONS
                && now[2] <= calm[2]
        });
        until("no connection to an app is left", || {
            self.foregate.metric("foregate_upstream_connections ") == 0.0
        });
        assert_eq!(self.foregate.metric("foregate_upstream_waiting"), 0.0);
    }
}

/// Says something at once, as nobody waits half an hour for the end.
fn tell(what: fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "{what}");
}

/// Short, so that sessions are renewed again and again.
const TOKEN_SECONDS: u64 = 10;
const FAULT_TIME: Duration = Duration::from_millis(1500);
/// Connections to the store that may be kept, each a file and a task.
const STORE_CONNECTIONS: usize = 16;
