//! What the soak itself knows of sessions, and how it is compared with what foregate and its store know.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use url::Url;

use super::Soak;
use crate::support::http::{Browser, Reply};
use crate::support::upstream::until;

/// A session that somebody was given.
#[derive(Clone)]
pub struct Known {
    pub user: &'static str,
    /// The Cookie line.
    pub cookie: String,
    pub browser: Browser,
    pub made: Instant,
    /// Whether it was surely ended by us: no yes may come from then on.
    pub ended: bool,
}

/// Every session that was ever made, shared with those who load.
#[derive(Default)]
pub struct Book {
    pub all: Arc<Mutex<Vec<Known>>>,
    /// Those that a store or provider that was gone did not let come about, for all that we know.
    pub failed: usize,
    /// Ends that foregate told of.
    pub ended: u64,
    /// Whether a change that is refused now may be made all the same.
    pub is_doubtful: bool,
    /// How many such changes there were.
    pub uncertain: u64,
    /// Sign-outs of sessions that had ended already, whose row may still have been there.
    pub late: u64,
    /// Sign-outs that were refused, as the store was gone.
    pub refused: usize,
    turns: usize,
}

/// Resident memory over time.
#[derive(Default)]
pub struct Samples(Vec<(Duration, usize)>);

const USERS: [&str; 3] = ["alice", "bob", "carol"];

impl Book {
    /// All of a user's are ended.
    pub fn revoked(&mut self, user: &str, ended: u64) {
        self.ended += ended;
        for known in self.all.lock().expect("the book").iter_mut().filter(|known| known.user == user) {
            known.ended = true;
        }
    }
}

impl fmt::Display for Book {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.all.lock().expect("the book");
        write!(
            f,
            "book: {} sessions, {} ended by us; {} sign-ins and {} sign-outs refused, {} of them uncertain",
            all.len(),
            self.ended,
            self.failed,
            self.refused,
            self.uncertain
        )
    }
}

impl Soak {
    /// Signs somebody in as a browser does; who cannot be is told so, and has no session.
    pub fn sign_in(&mut self) {
        let user = USERS[self.book.turns % USERS.len()];
        self.book.turns += 1;
        let (mut browser, made) = (Browser::default(), Instant::now());
        let page = format!("http://app.foregate.localhost:{}/", self.port);
        let reply = follow(&mut browser, &page, user);
        if reply.status == 200 {
            assert!(reply.body.contains(&format!("remote-user: {user}")), "{reply:?}");
        }
        if let Some(cookie) = browser.cookie("foregate") {
            let cookie = format!("Cookie: foregate={}", cookie.value);
            let known = Known { user, cookie, browser, made, ended: false };
            self.book.all.lock().expect("the book").push(known);
        } else {
            assert!(reply.status >= 500, "{reply:?}");
            self.book.failed += 1;
            self.book.uncertain += u64::from(self.book.is_doubtful);
        }
    }

    /// Signs out whoever was signed in longest ago and still may be.
    pub fn sign_out(&mut self) {
        let at = self.book.all.lock().expect("the book").iter().position(|known| !known.ended);
        let Some(at) = at else { return };
        let known = self.book.all.lock().expect("the book")[at].clone();
        let page = format!("http://app.foregate.localhost:{}/", self.port);
        // It may have expired, or been ended by the provider, long ago: then there is nothing to end.
        let was_alive = self.foregate.check(&page, &[&known.cookie]).status == 200;
        let url = format!("http://auth.foregate.localhost:{}/.foregate/sign-out?rd=/", self.port);
        let mut browser = known.browser;
        let reply = browser.step("GET", &Url::parse(&url).expect("a URL"), "");
        if reply.status == 303 && browser.cookie("foregate").is_none() {
            self.book.ended += u64::from(was_alive);
            self.book.late += u64::from(!was_alive);
            self.book.all.lock().expect("the book")[at].ended = true;
        } else {
            self.book.refused += 1;
            self.book.uncertain += u64::from(self.book.is_doubtful);
        }
    }

    /// Every session that was made is alive, has expired, or was ended; and store, metrics and book say the same.
    pub fn balances(&self) {
        let mut alive = 0;
        let mut lost = 0;
        let mut expired = 0;
        let all = self.book.all.lock().expect("the book").clone();
        let (page, lifetime) =
            (format!("http://app.foregate.localhost:{}/", self.port), Duration::from_secs(60));
        let rows_before = self.rows();
        for known in &all {
            // Asked before the clock is looked at, so that none is taken for expired too early.
            let status = self.foregate.check(&page, &[&known.cookie]).status;
            let age = known.made.elapsed();
            match status {
                200 => {
                    assert!(!known.ended, "a session that was ended is alive");
                    assert!(age <= lifetime + SLACK, "a session of {age:?} is alive");
                    alive += 1;
                }
                401 if known.ended => {}
                401 if age >= lifetime.saturating_sub(SLACK) => expired += 1,
                401 => lost += 1,
                other => panic!("neither yes nor no: {other}"),
            }
        }
        let refused = self.foregate.logged("a session ends, as the provider does not go on with it") as u64;
        let metric = |name: &str| self.foregate.metric(name) as u64;
        let (made, ended) =
            (metric("foregate_sessions_created_total"), metric("foregate_sessions_ended_total"));
        super::tell(format_args!(
            "balance: {made} made; {ended} ended, {refused} of them by the provider; {alive} alive, {expired} expired, {lost} refused young"
        ));
        let (uncertain, late) = (self.book.uncertain, self.book.late);
        let rows = self.rows();
        assert!(
            rows <= alive + uncertain && alive <= rows_before + uncertain,
            "{rows_before} rows, {alive} alive, {rows} rows; {uncertain} uncertain"
        );
        assert!(made.abs_diff(all.len() as u64) <= uncertain, "{made} made, {} known", all.len());
        assert!(
            lost <= refused + uncertain,
            "{lost} young sessions are gone, and the provider refused {refused}"
        );
        let by_all = self.book.ended + refused;
        assert!(
            by_all <= ended + uncertain && ended <= by_all + late + uncertain,
            "{ended} ended, {by_all} by us and the provider, {late} late; {uncertain} uncertain"
        );
        // Whatever was neither ended nor is alive has expired.
        let gone = made - ended.min(made);
        assert!(gone + uncertain >= alive, "{gone} are left, and {alive} alive");
        assert!(gone <= alive + expired + uncertain, "{gone} are left, {alive} alive, {expired} expired");
        self.nothing_is_left_behind();
    }

    /// The rows of sessions that live.
    fn rows(&self) -> u64 {
        let lives = "SELECT count(*) FROM foregate_session WHERE expires_at > extract(epoch FROM now())";
        self.number(lives) as u64
    }

    /// Rows go when they are of no use any more.
    fn nothing_is_left_behind(&self) {
        for (what, sql) in [
            (
                "sessions",
                "SELECT count(*) FROM foregate_session WHERE expires_at < extract(epoch FROM now()) - 90",
            ),
            (
                "changes",
                "SELECT count(*) FROM foregate_change WHERE at < (extract(epoch FROM now()) - 1080) * 1000000",
            ),
            ("tickets", "SELECT count(*) FROM foregate_spent WHERE until < extract(epoch FROM now()) - 3800"),
            ("pairings", "SELECT count(*) FROM foregate_pairing"),
        ] {
            until(&format!("no {what} are left behind"), || self.number(sql) == 0);
        }
    }
}

/// Opens a page and follows wherever it leads, with a name where one is asked for.
fn follow(browser: &mut Browser, page: &str, user: &str) -> Reply {
    let mut url = Url::parse(page).expect("a URL");
    let mut reply = Reply::default();
    for _ in 0..12 {
        let asks = url.path().starts_with("/if/flow/login/");
        let (method, form) = if asks { ("POST", format!("login={user}")) } else { ("GET", String::new()) };
        reply = browser.step(method, &url, &form);
        let Some(next) = reply.header("location").filter(|_| (300..400).contains(&reply.status)) else {
            break;
        };
        url = url.join(next).expect("a URL");
    }
    reply
}

impl Samples {
    pub fn note(&mut self, at: Duration, kib: usize) {
        self.0.push((at, kib));
    }

    /// Memory in the last third is that of the second. A short run is warming up all the time.
    pub fn are_flat(&self, length: Duration) {
        let most = |from: u32, to: u32| {
            let within = |at: Duration| at * 3 >= length * from && at * 3 < length * to;
            self.0.iter().filter(|(at, _)| within(*at)).map(|(_, kib)| *kib).max().unwrap_or(0)
        };
        let (middle, last) = (most(1, 2), most(2, 9));
        let more = if length < WARM { 64 * 1024 } else { middle / 20 + 4 * 1024 };
        assert!(last <= middle + more, "{last} KiB after {middle} KiB: memory grows");
    }
}

impl fmt::Display for Samples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each = self.0.len().div_ceil(20).max(1);
        write!(f, "KiB:")?;
        self.0.iter().step_by(each).try_for_each(|(at, kib)| write!(f, " {}s {kib}", at.as_secs()))
    }
}

/// Whole seconds, and those that a request takes.
const SLACK: Duration = Duration::from_secs(5);
/// From this length on a run has warmed up in its first third.
const WARM: Duration = Duration::from_secs(500);
