//! Those who ask all the time, politely and otherwise, and know which answers are right.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::Soak;
use super::book::Known;
use crate::support::http::{Reply, Wire, get, request};

/// What came of it all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counted {
    /// Answers that were right.
    pub right: usize,
    /// Those of them that let somebody in.
    pub yes: usize,
    /// Answers of 502 and 503, while something is down.
    pub down: usize,
    /// Connections that were broken off.
    pub broken: usize,
}

pub struct Load(Vec<JoinHandle<Counted>>);

/// Where to ask, and about whom.
#[derive(Clone)]
struct Asker {
    public: SocketAddr,
    port: u16,
    all: Arc<Mutex<Vec<Known>>>,
    over: Arc<AtomicBool>,
}

/// Begins to ask, from several sides, until it is over.
pub fn begin(soak: &Soak, over: &Arc<AtomicBool>) -> Load {
    let asker = Asker {
        public: soak.foregate.public,
        port: soak.port,
        all: Arc::clone(&soak.book.all),
        over: Arc::clone(over),
    };
    let turns: [fn(&Asker, usize, &mut Counted); 4] =
        [Asker::check, Asker::check, Asker::page, Asker::break_off];
    let begun = turns.into_iter().map(|turn| {
        let asker = asker.clone();
        thread::spawn(move || {
            let (mut counted, mut number) = (Counted::default(), 0);
            while !asker.over.load(Ordering::Relaxed) {
                turn(&asker, number, &mut counted);
                number += 1;
                thread::sleep(PACE);
            }
            counted
        })
    });
    Load(begun.collect())
}

impl Load {
    pub fn end(self) -> Counted {
        self.0.into_iter().map(|one| one.join().expect("right answers")).fold(
            Counted::default(),
            |all, one| Counted {
                right: all.right + one.right,
                yes: all.yes + one.yes,
                down: all.down + one.down,
                broken: all.broken + one.broken,
            },
        )
    }
}

impl Asker {
    /// One of the last sessions, mostly, as others have expired.
    fn pick(&self, number: usize) -> Option<Known> {
        let all = self.all.lock().expect("the book");
        let back = if number.is_multiple_of(10) { number } else { number % 40 } % all.len().max(1);
        all.get(all.len().checked_sub(back + 1)?).cloned()
    }

    /// A check with somebody's cookie: a yes says who it is, and none comes once the session has been ended.
    fn check(&self, number: usize, counted: &mut Counted) {
        let page = format!("http://app.foregate.localhost:{}/x{number}", self.port);
        let lines = lines(number, &page);
        let Some(known) = self.pick(number) else { return };
        let lines: Vec<&str> = lines.iter().map(String::as_str).chain([known.cookie.as_str()]).collect();
        counted.note(&get(self.public, "/.foregate/auth/traefik", &lines), &known, "remote-user");
    }

    /// A page of an app, or of one that may be down.
    fn page(&self, number: usize, counted: &mut Counted) {
        let Some(known) = self.pick(number) else { return };
        let name = if number.is_multiple_of(2) { "app" } else { "flaky" };
        let host = format!("Host: {name}.foregate.localhost:{}", self.port);
        let reply = get(self.public, "/page", &[&host, &known.cookie, "Connection: close"]);
        if reply.status == 200 && name == "app" {
            let told = format!("remote-user: {}", known.user);
            assert!(reply.body.contains(&told), "not {told}: {reply:?}");
        }
        counted.note(&reply, &known, "");
        // Apps are asked less often, as they remember everything.
        thread::sleep(PACE * 5);
    }

    /// A request that breaks off somewhere.
    fn break_off(&self, number: usize, counted: &mut Counted) {
        let host = format!("Host: app.foregate.localhost:{}", self.port);
        let whole = request("POST", "/open/x", &[&host, "Content-Length: 5"], "") + "12345";
        let mut wire = Wire::open(self.public);
        wire.write(&whole.as_bytes()[..number % whole.len()]);
        if number.is_multiple_of(2) {
            wire.reset();
        }
        counted.broken += 1;
        thread::sleep(PACE * 3);
    }
}

impl Counted {
    /// The answer to somebody whose session was `known` before it was asked for.
    fn note(&mut self, reply: &Reply, known: &Known, header: &str) {
        match reply.status {
            200 => {
                assert!(!known.ended, "a session that was ended is let in: {reply:?}");
                if !header.is_empty() {
                    assert_eq!(reply.header(header), Some(known.user));
                }
                self.yes += 1;
            }
            401 => {}
            502 | 503 => self.down += 1,
            other => panic!("{other}: {reply:?}"),
        }
        self.right += 1;
    }
}

/// A check's header lines; those of other tests' checks are kept for ever.
fn lines(number: usize, page: &str) -> Vec<String> {
    let path = format!("/x{number}");
    let host = page.trim_start_matches("http://").trim_end_matches(&path);
    [("Method", "GET"), ("Proto", "http"), ("Host", host), ("Uri", &path), ("For", "203.0.113.7")]
        .map(|(name, value)| format!("X-Forwarded-{name}: {value}"))
        .into_iter()
        .chain(["Connection: close".to_owned()])
        .collect()
}

/// Between two requests of one asker.
const PACE: Duration = Duration::from_millis(10);
