//! Sessions over their life: on several replicas, renewed at a real provider, ended from elsewhere, in bad rows.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use foregate::browser::{Purpose, Sealer};
use foregate::identity::Profile;
use foregate::secret::Secret;
use foregate::session::store::{Location, PersonKey, Selection};
use foregate::session::{Created, Made, NewSession, NewToken, Sessions, Settings};
use foregate::visit::{Credential, SessionHandle};
use serde_json::{Value, json};
use url::Url;

use crate::support::foregate::{Foregate, KEY, free_port};
use crate::support::house::House;
use crate::support::http::Browser;
use crate::support::pgbouncer::PgBouncer;
use crate::support::postgres::{self, Postgres};

/// A house on a database of its own.
struct Shared {
    house: House,
    url: String,
}

impl Shared {
    fn new(provider: Value) -> Self {
        Self::with("", provider)
    }

    fn with(session: &str, provider: Value) -> Self {
        let url = postgres::fresh_url();
        let session = format!("store = \"{url}\"\nkeys = [\"{KEY}\"]\n{session}");
        Self { house: House::with(&session, provider), url }
    }

    /// Another replica, which answers on another port, so that only checks are asked of it.
    fn replica(&self) -> Foregate {
        Foregate::start(&self.house.config)
    }

    fn sql(&self, sql: &str) {
        block_on(postgres::run_sql(&self.url, sql));
    }

    fn number(&self, sql: &str) -> i64 {
        block_on(postgres::number(&self.url, sql))
    }

    /// How many refresh tokens the provider has been shown, and how many of them it did not take.
    fn renewals(&self) -> (usize, usize) {
        let log = self.house.provider.log();
        let asked: Vec<_> = log.iter().filter(|entry| entry["grantType"] == "refresh_token").collect();
        (asked.len(), asked.iter().filter(|entry| entry["status"] != 200).count())
    }

    /// Makes every session overdue, for replicas that start from now on.
    fn make_due(&self) {
        self.sql("UPDATE foregate_session SET renew_at = 1");
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}

fn cookie(browser: &Browser) -> String {
    format!("Cookie: foregate={}", browser.cookie("foregate").expect("a session").value)
}

fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < end, "{what}: never");
        thread::sleep(Duration::from_millis(20));
    }
}

fn sign_out(browser: &mut Browser, house: &House) {
    let url = Url::parse(&house.url("auth", "/.foregate/sign-out?rd=/")).expect("a URL");
    assert_eq!(browser.step("GET", &url, "").status, 303);
}

#[test]
fn a_sign_out_reaches_a_replica_that_only_listens() {
    let shared = Shared::with("poll = \"1h\"", Value::Null);
    let other = shared.replica();
    let (mut alice, bob) = (shared.house.sign_in("alice"), shared.house.sign_in("bob"));
    let url = shared.house.url("app", "/");
    for browser in [&alice, &bob] {
        assert_eq!(other.check(&url, &[&cookie(browser)]).status, 200);
    }
    let gone = cookie(&alice);
    sign_out(&mut alice, &shared.house);
    // Counted is only what it was told of: not what it finds out by itself when a session is used.
    eventually("the other replica hears of it", || other.metric("foregate_sessions_forgotten_total") >= 1.0);
    assert_eq!(other.check(&url, &[&gone]).status, 401);
    assert_eq!(other.check(&url, &[&cookie(&bob)]).status, 200);
}

#[test]
fn a_replica_that_hears_nothing_looks_by_itself() {
    let shared = Shared::with("poll = \"1s\"", Value::Null);
    let other = Foregate::start(&shared.house.config.replace(&shared.url, &deaf_way_to(&shared.url)));
    let mut alice = shared.house.sign_in("alice");
    let url = shared.house.url("app", "/");
    let gone = cookie(&alice);
    assert_eq!(other.check(&url, &[&gone]).status, 200);
    sign_out(&mut alice, &shared.house);
    // Not used in between: the use is not what makes it look.
    eventually("a look by the timer", || other.metric("foregate_sessions_forgotten_total") >= 1.0);
    assert_eq!(other.check(&url, &[&gone]).status, 401);
}

#[test]
fn everything_works_through_a_pooler_in_transaction_mode() {
    let url = postgres::fresh_url();
    let pooler = PgBouncer::before(&url);
    let session = format!("store = \"{}\"\nkeys = [\"{KEY}\"]\npoll = \"1s\"", pooler.url(&url));
    let house = House::with(&session, json!({ "accessTokenTtl": 2 }));
    let other = Foregate::start(&house.config);
    let page = house.url("app", "/");
    let (mut alice, bob) = (house.sign_in("alice"), house.sign_in("bob"));
    let gone = cookie(&alice);
    thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| assert_eq!(other.check(&page, &[&gone]).status, 200));
        }
    });
    eventually("a renewal", || {
        other.check(&page, &[&cookie(&bob)]);
        block_on(postgres::number(&url, "SELECT count(*) FROM foregate_session WHERE version > 0")) > 0
    });
    sign_out(&mut alice, &house);
    eventually("the sign-out is seen", || other.check(&page, &[&gone]).status == 401);
}

/// The address of the same database by a way on which nobody can listen: connections that want to are ended.
fn deaf_way_to(url: &str) -> String {
    let address = Url::parse(url).expect("a URL");
    let server = SocketAddr::from(([127, 0, 0, 1], address.port().expect("a port")));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut deaf = address.clone();
    deaf.set_port(Some(listener.local_addr().expect("an address").port())).expect("a port");
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || pass_unless_listening(client, server));
        }
    });
    deaf.into()
}

fn pass_unless_listening(mut client: TcpStream, server: SocketAddr) -> std::io::Result<()> {
    let mut upstream = TcpStream::connect(server)?;
    let (mut answers, mut asker) = (upstream.try_clone()?, client.try_clone()?);
    thread::spawn(move || {
        let _ = std::io::copy(&mut answers, &mut asker);
        asker.shutdown(Shutdown::Both)
    });
    let mut bytes = [0; 16 * 1024];
    loop {
        let count = client.read(&mut bytes)?;
        if count == 0 || bytes[..count].windows(6).any(|word| word == b"LISTEN") {
            return upstream.shutdown(Shutdown::Both);
        }
        upstream.write_all(&bytes[..count])?;
    }
}

#[test]
fn groups_are_taken_anew_at_a_renewal() {
    let shared = Shared::new(json!({ "accessTokenTtl": 2 }));
    let browser = shared.house.sign_in("bob");
    let (admins, shown) = (shared.house.url("admins", "/"), cookie(&browser));
    let check = || shared.house.foregate.check(&admins, &[&shown]);
    assert_eq!(check().status, 403);
    let claims =
        json!({ "login": "bob", "claims": { "groups": ["Home Server Admins"], "email": "new@example.com" } });
    shared.house.provider.control("user", &claims);
    eventually("the new group counts", || check().status == 200);
    assert_eq!(check().header("remote-email"), Some("new@example.com"));
    shared.house.provider.control("user", &json!({ "login": "bob", "claims": { "groups": [] } }));
    eventually("the lost group counts", || check().status == 403);
    assert_eq!(shared.renewals().1, 0, "each token was shown once");
}

#[test]
fn one_redemption_serves_all_requests_on_all_replicas() {
    let shared = Shared::new(Value::Null);
    let browser = shared.house.sign_in("alice");
    let (url, shown) = (shared.house.url("app", "/"), cookie(&browser));
    shared.make_due();
    let replicas = [shared.replica(), shared.replica()];
    shared.house.provider.control("pause?mode=delay&ms=300&path=/token/", &Value::Null);
    thread::scope(|scope| {
        for number in 0..40 {
            let (replica, url, shown) = (&replicas[number % 2], &url, &shown);
            scope.spawn(move || assert_eq!(replica.check(url, &[shown]).status, 200));
        }
    });
    assert_eq!(shared.renewals(), (1, 0));
    assert_eq!(shared.number("SELECT version FROM foregate_session"), 1);
    for replica in &replicas {
        assert_eq!(replica.check(&url, &[&shown]).status, 200);
    }
    assert_eq!(shared.renewals(), (1, 0), "nobody needs another one");
}

#[test]
fn a_session_ends_when_the_provider_does_not_go_on_with_it() {
    for (what, lever) in [
        ("the account is disabled", ("user", json!({ "login": "alice", "disabled": true }))),
        ("its session has ended, so that the ID token lost its sid", ("logout", json!({ "login": "alice" }))),
    ] {
        let shared = Shared::new(Value::Null);
        let (alice, bob) = (shared.house.sign_in("alice"), shared.house.sign_in("bob"));
        shared.house.provider.control(lever.0, &lever.1);
        shared.make_due();
        let replica = shared.replica();
        let url = shared.house.url("app", "/");
        assert_eq!(replica.check(&url, &[&cookie(&alice)]).status, 401, "{what}");
        assert_eq!(replica.check(&url, &[&cookie(&bob)]).status, 200, "{what}");
        assert_eq!(shared.number("SELECT count(*) FROM foregate_session"), 1, "{what}");
        eventually("the first replica hears of it", || {
            shared.house.foregate.check(&url, &[&cookie(&alice)]).status == 401
        });
    }
}

#[test]
fn a_session_goes_on_while_the_provider_is_not_well() {
    for mode in ["503", "429", "hang", "500&path=/userinfo/"] {
        let shared = Shared::new(Value::Null);
        let browser = shared.house.sign_in("alice");
        let (url, shown) = (shared.house.url("app", "/"), cookie(&browser));
        shared.make_due();
        shared.house.provider.control(&format!("pause?mode={mode}"), &Value::Null);
        let replica = shared.replica();
        // A neighbour's cookie beside ours changes nothing.
        let both = format!("Cookie: foregate={}; {}", "A".repeat(64), &shown["Cookie: ".len()..]);
        let reply = replica.check(&url, &[&both]);
        assert_eq!((reply.status, reply.header("remote-user")), (200, Some("alice")), "{mode}");
        eventually("it is put off", || replica.metric("foregate_renewal_failures_total") >= 1.0);
        shared.house.provider.control("resume", &Value::Null);
        drop(replica);
        // What was redeemed in the middle of it all is not lost.
        shared.make_due();
        let replica = shared.replica();
        assert_eq!(replica.check(&url, &[&shown]).status, 200, "{mode}");
        eventually("it is renewed", || replica.metric("foregate_sessions_renewed_total") >= 1.0);
        assert_eq!(
            replica.check(&url, &[&shown]).header("remote-groups"),
            Some("Home Server Admins,a|b,family")
        );
    }
}

/// So many letters, which nothing makes shorter.
fn letters(count: usize) -> String {
    let mut seed: u32 = 1;
    let next = |_| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'a' + (seed >> 24) as u8 % 26)
    };
    (0..count).map(next).collect()
}

#[test]
fn nobody_keeps_their_groups_by_claims_that_cannot_be_used() {
    for store in [postgres::fresh_url(), "sqlite:DIR/foregate.db".to_owned()] {
        let session = format!("store = \"{store}\"\nkeys = [\"{KEY}\"]");
        let house = House::with(&session, json!({ "accessTokenTtl": 2 }));
        let [alice, bob, carol] = ["alice", "bob", "carol"].map(|user| house.cookie(user));
        let url = house.url("app", "/");
        let status = |shown: &str| house.foregate.check(&url, &[shown]).status;
        for (user, claims) in [
            ("alice", json!({ "groups": [], "preferred_username": letters(8000) })),
            ("bob", json!({ "groups": [], "nickname": letters(3_000_000) })),
        ] {
            house.provider.control("user", &json!({ "login": user, "claims": claims }));
        }
        eventually("a name that no index holds ends a session", || status(&alice) == 401);
        eventually("more than is read ends one", || status(&bob) == 401);
        assert_eq!(status(&carol), 200);
        assert_eq!(house.foregate.metric("foregate_store_errors_total"), 0.0, "nobody else hears of it");
    }
}

#[test]
fn a_nul_in_the_name_of_a_group_keeps_nobody_out_and_no_group() {
    let groups = json!({ "a\0b": {}, "family": {} });
    let shared = Shared::new(json!({ "accessTokenTtl": 2, "users": { "alice": { "groups": groups } } }));
    let (url, shown) = (shared.house.url("app", "/"), shared.house.cookie("alice"));
    let told = || shared.house.foregate.check(&url, &[&shown]).header("remote-groups").map(str::to_owned);
    assert_eq!(told().as_deref(), Some("a\u{fffd}b,family"));
    let fewer = json!({ "login": "alice", "claims": { "groups": { "a\0b": {} } } });
    shared.house.provider.control("user", &fewer);
    eventually("the lost group counts", || told().as_deref() == Some("a\u{fffd}b"));
}

#[test]
fn what_the_store_cannot_hold_ends_the_session_and_is_told_at_a_sign_in() {
    let shared = Shared::new(Value::Null);
    let [alice, bob] = ["alice", "bob"].map(|user| shared.house.cookie(user));
    shared.sql(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.username = 'alix' THEN \
        RAISE 'too large for an index' USING ERRCODE = '54000'; END IF; RETURN NEW; END $$; \
        CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON foregate_person FOR EACH ROW EXECUTE FUNCTION refuse()",
    );
    let claims = json!({ "login": "alice", "claims": { "groups": [], "preferred_username": "alix" } });
    shared.house.provider.control("user", &claims);
    shared.make_due();
    let (replica, url) = (shared.replica(), shared.house.url("app", "/"));
    eventually("her session ends", || replica.check(&url, &[&alice]).status == 401);
    assert_eq!(replica.check(&url, &[&bob]).status, 200);
    assert_eq!(replica.metric("foregate_store_errors_total"), 0.0);
    let reply = Browser::default().sign_in(&url, "alice");
    assert!(reply.status == 403 && reply.body.contains("did not say"), "{reply:?}");
}

#[test]
fn new_tokens_are_kept_although_the_database_is_silent_for_a_while() {
    let server = Postgres::start();
    let url = server.url();
    let house = House::with(&format!("store = \"{url}\"\nkeys = [\"{KEY}\"]"), Value::Null);
    let (page, shown) = (house.url("app", "/"), cookie(&house.sign_in("alice")));
    block_on(postgres::run_sql(&url, "UPDATE foregate_session SET renew_at = 1"));
    let replica = Foregate::start(&house.config);
    house.provider.control("pause?mode=delay&ms=700&path=/token/", &Value::Null);
    let redeemed =
        || house.provider.log().iter().filter(|entry| entry["grantType"] == "refresh_token").count();
    thread::scope(|scope| {
        scope.spawn(|| replica.check(&page, &[&shown]));
        eventually("the token is shown", || redeemed() == 1);
        server.signal("STOP");
        let before = replica.metric("foregate_store_errors_total");
        eventually("the database is missed", || replica.metric("foregate_store_errors_total") > before + 1.0);
        server.signal("CONT");
    });
    eventually("what came is kept", || {
        block_on(postgres::number(&url, "SELECT version FROM foregate_session")) == 1
    });
    assert_eq!(redeemed(), 1);
    assert_eq!(replica.check(&page, &[&shown]).status, 200);
}

#[test]
fn a_client_the_provider_does_not_know_any_more_goes_on_with_nobody() {
    let shared = Shared::new(Value::Null);
    let shown = cookie(&shared.house.sign_in("alice"));
    shared.make_due();
    let secret = &shared.house.provider.secret;
    let replica = Foregate::start(&shared.house.config.replace(secret, "another-secret"));
    assert_eq!(replica.check(&shared.house.url("app", "/"), &[&shown]).status, 401);
}

#[tokio::test]
async fn what_cannot_be_ended_in_an_outage_harms_nobody_else() {
    let mut server = Postgres::start();
    let location = Location::Postgres(Secret::new(server.url()));
    let (settings, sealer) = settings_at(location);
    let sessions = Sessions::open(settings, sealer, vec![], Default::default()).expect("a store");
    let now = 1_800_000_000;
    let Created::Kept(alice) = sessions.create(new_session("alice"), now).await.expect("an answer") else {
        panic!()
    };
    let Created::Kept(bob) = sessions.create(new_session("bob"), now).await.expect("an answer") else {
        panic!()
    };
    server.kill_hard();
    let person = PersonKey { issuer: "i".into(), subject: "alice".into() };
    assert!(sessions.end_selected(&Selection::Person(&person), now).await.is_err());
    assert!(sessions.end(&alice, now).await.is_err());
    for handle in [&alice, &bob] {
        assert!(sessions.find(handle, now).await.expect("an answer").is_some());
    }
}

#[test]
fn what_is_kept_of_a_renewal_opens_for_its_cookie_alone() {
    let shared = Shared::new(json!({ "accessTokenTtl": 2 }));
    let browser = shared.house.sign_in("alice");
    let (url, shown) = (shared.house.url("app", "/"), cookie(&browser));
    eventually("two renewals", || {
        shared.house.foregate.check(&url, &[&shown]);
        shared.number("SELECT version FROM foregate_session") >= 2
    });
    assert_eq!(
        shared.number("SELECT count(*) FROM foregate_session WHERE position('eyJ'::bytea IN tokens) > 0"),
        0
    );
    assert_eq!(shared.renewals().1, 0);
}

#[test]
fn other_keys_and_newer_tables_are_refused_at_the_start() {
    let shared = Shared::new(Value::Null);
    let other = shared.house.config.replace(KEY, "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=");
    let (code, told) = Foregate::refuses(&other);
    assert!(code == Some(1) && told.contains("session.keys"), "{code:?} {told}");
    let rotated = shared.house.config.replace(
        &format!("[\"{KEY}\"]"),
        &format!("[\"ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=\", \"{KEY}\"]"),
    );
    let browser = shared.house.sign_in("alice");
    let replica = Foregate::start(&rotated);
    assert_eq!(
        replica.check(&shared.house.url("app", "/"), &[&cookie(&browser)]).status,
        200,
        "both keys open"
    );
    shared.sql("INSERT INTO foregate_migration (version) VALUES (999)");
    let (code, told) = Foregate::refuses(&rotated);
    assert!(code == Some(1) && told.contains("version 999"), "{code:?} {told}");
}

#[test]
fn a_session_whose_tokens_no_key_opens_ends_when_they_are_due() {
    let shared = Shared::new(Value::Null);
    let shown = cookie(&shared.house.sign_in("alice"));
    let page = shared.house.url("app", "/");
    let other = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";
    shared.sql("DELETE FROM foregate_fact");
    let replica = Foregate::start(&shared.house.config.replace(KEY, other));
    assert_eq!(replica.check(&page, &[&shown]).status, 200, "its cookie is still good");
    drop(replica);
    shared.make_due();
    let replica = Foregate::start(&shared.house.config.replace(KEY, other));
    assert_eq!(replica.check(&page, &[&shown]).status, 401);
    assert_eq!(shared.number("SELECT count(*) FROM foregate_session"), 0);
    assert_eq!(shared.renewals(), (0, 0));
}

#[test]
fn people_of_a_provider_that_was_replaced_count_for_nobody() {
    let shared = Shared::new(Value::Null);
    let shown = cookie(&shared.house.sign_in("alice"));
    let other = "http://127.0.0.1:1/other/";
    let replica = Foregate::start(&shared.house.config.replace(&shared.house.provider.issuer, other));
    assert_eq!(replica.check(&shared.house.url("app", "/"), &[&shown]).status, 401);
    assert_eq!(shared.house.foregate.check(&shared.house.url("app", "/"), &[&shown]).status, 200);
}

#[test]
fn a_damaged_row_is_no_session_and_no_harm() {
    let shared = Shared::new(Value::Null);
    let (alice, bob) = (shared.house.sign_in("alice"), shared.house.sign_in("bob"));
    shared.sql("UPDATE foregate_session SET profile = '[]' WHERE profile ->> 'username' = 'alice'");
    let replica = shared.replica();
    let url = shared.house.url("app", "/");
    assert_eq!(replica.check(&url, &[&cookie(&alice)]).status, 401);
    replica.wait_for_log("a session row cannot be read");
    assert_eq!(replica.check(&url, &[&cookie(&bob)]).status, 200);
}

#[test]
fn a_row_removed_by_hand_is_no_session_any_more() {
    let shared = Shared::new(Value::Null);
    let browser = shared.house.sign_in("alice");
    shared.sql("DELETE FROM foregate_session");
    let (url, shown) = (shared.house.url("app", "/"), cookie(&browser));
    eventually("it is noticed", || shared.house.foregate.check(&url, &[&shown]).status == 401);
}

#[test]
fn the_grace_ends_when_one_of_the_tables_that_vouch_for_sessions_cannot_be_read() {
    for table in ["foregate_session", "foregate_change", "foregate_person"] {
        let shared = Shared::with("poll = \"1s\"\noutage_grace = \"1s\"", Value::Null);
        let (foregate, url) = (&shared.house.foregate, shared.house.url("app", "/"));
        let shown = shared.house.cookie("alice");
        let status = || foregate.check(&url, &[&shown]).status;
        assert_eq!(status(), 200, "{table}");
        shared.sql(&format!("ALTER TABLE {table} RENAME TO hidden"));
        eventually("the grace ends", || status() == 503);
        let errors = || foregate.metric("foregate_store_errors_total");
        let before = errors();
        eventually("it is asked again", || errors() > before + 1.0);
        assert_eq!(status(), 503, "{table}: no other answer vouches for a session");
        shared.sql(&format!("ALTER TABLE hidden RENAME TO {table}"));
        eventually("sessions count again", || status() == 200);
        foregate.wait_for_log("the session store answers again");
        for word in ["the session store does not answer", "the session store answers again"] {
            assert_eq!(foregate.logged(word), 1, "{table}: {word}");
        }
    }
}

#[test]
fn changes_that_could_not_be_read_are_soon_looked_for_again() {
    let shared = Shared::with("poll = \"1h\"\noutage_grace = \"0s\"", Value::Null);
    let (foregate, url) = (&shared.house.foregate, shared.house.url("app", "/"));
    let shown = shared.house.cookie("alice");
    shared.sql("ALTER TABLE foregate_change RENAME TO hidden; NOTIFY foregate_change");
    eventually("a look fails", || foregate.check(&url, &[&shown]).status == 503);
    shared.sql("ALTER TABLE hidden RENAME TO foregate_change");
    eventually("the next one does not", || foregate.check(&url, &[&shown]).status == 200);
}

#[tokio::test]
async fn a_row_removed_by_hand_is_noticed_although_uses_of_app_tokens_cannot_be_told() {
    let now = 1_800_000_000;
    let (url, sessions, alice) = with_alice(now).await;
    let person = PersonKey { issuer: "i".into(), subject: "alice".into() };
    let new = NewToken { person, app: "app".into(), name: "t".into(), networks: vec![], expires_at: None };
    let Made::Token(token) = sessions.make_token(new, now).await.expect("an answer") else { panic!() };
    let known = sessions.token(&token, now).await.expect("an answer").expect("the token");
    sessions.note_token_use(&known, now);
    sessions.note_use(&sessions.find(&alice, now).await.expect("an answer").expect("a session"), now);
    postgres::run_sql(&url, "ALTER TABLE foregate_token RENAME TO hidden; DELETE FROM foregate_session")
        .await;
    assert!(sessions.sync(now).await.is_err());
    assert!(sessions.find(&alice, now).await.expect("an answer").is_none());
}

#[tokio::test]
async fn whoever_only_watches_learns_of_a_row_that_is_gone_without_a_word() {
    let now = 1_800_000_000;
    let (url, sessions, alice) = with_alice(now).await;
    assert!(sessions.find(&alice, now).await.expect("an answer").is_some());
    let eye = sessions.watch(&Credential::Session(alice, vec![]), None);
    sessions.sync(now).await.expect("an answer");
    postgres::run_sql(&url, "DELETE FROM foregate_session").await;
    sessions.sync(now).await.expect("an answer");
    tokio::time::timeout(Duration::from_secs(10), eye.news()).await.expect("news");
}

#[test]
fn an_app_may_want_a_newer_sign_in_than_others() {
    let limits = |house: &House| {
        format!(
            "{}\n[apps.\"idle.foregate.localhost\"]\nallow = \"signed-in\"\nidle = \"1h\"\n\
             [apps.\"fresh.foregate.localhost\"]\nallow = \"signed-in\"\nlifetime = \"1h\"\n",
            house.config
        )
    };
    let shared = Shared::new(Value::Null);
    let browser = shared.house.sign_in("alice");
    let shown = cookie(&browser);
    let statuses = |foregate: &Foregate| {
        ["idle", "fresh", "app"].map(|app| foregate.check(&shared.house.url(app, "/"), &[&shown]).status)
    };
    let replica = Foregate::start(&limits(&shared.house));
    assert_eq!(statuses(&replica), [200, 200, 200]);
    drop(replica);
    shared.sql("UPDATE foregate_session SET last_seen = last_seen - 7200");
    // A renewal is no use either.
    shared.make_due();
    let mut replica = Foregate::start(&limits(&shared.house));
    let idle = shared.house.url("idle", "/");
    for _ in 0..2 {
        assert_eq!(replica.check(&idle, &[&shown]).status, 401, "being refused is no use");
    }
    assert_eq!(statuses(&replica), [401, 200, 200]);
    assert_eq!(statuses(&replica), [200, 200, 200], "the others have used it");
    assert_eq!(replica.stop(), Some(0), "what was used is told to the store before the end");
    shared.sql("UPDATE foregate_session SET created_at = created_at - 7200");
    let replica = Foregate::start(&limits(&shared.house));
    assert_eq!(statuses(&replica), [200, 401, 200]);
    let fresh = shared.house.url("fresh", "/");
    let reply = replica.check(&fresh, &[&shown, crate::support::http::NAVIGATES]);
    let to = reply.location().to_string();
    assert!(
        reply.status == 302 && to.starts_with(&shared.house.provider.issuer[..20]),
        "not to ourselves: {to}"
    );
}

/// Asks all the time, from several sides, while something happens; every answer must be a yes.
fn under_load(foregate: &Foregate, url: &str, cookies: &[String], happens: impl FnOnce()) {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let asking: Vec<_> = cookies
            .iter()
            .map(|shown| {
                scope.spawn(|| {
                    let mut asked = 0;
                    while !over.load(Ordering::Relaxed) {
                        assert_eq!(foregate.check(url, &[shown]).status, 200);
                        asked += 1;
                    }
                    asked
                })
            })
            .collect();
        happens();
        over.store(true, Ordering::Relaxed);
        for asked in asking {
            assert!(asked.join().expect("only yes") > 0);
        }
    });
}

#[test]
fn a_database_killed_under_load_costs_nobody_a_session() {
    let mut server = Postgres::start();
    let session = format!("store = \"{}\"\nkeys = [\"{KEY}\"]", server.url());
    let house = House::with(&session, Value::Null);
    let url = house.url("app", "/");
    let cookies: Vec<_> = ["alice", "bob", "carol"].map(|user| cookie(&house.sign_in(user))).into();
    let is_ready = || crate::support::http::get(house.foregate.admin, "/readyz", &[]).status == 200;
    under_load(&house.foregate, &url, &cookies, || {
        for _ in 0..2 {
            server.kill_hard();
            eventually("it is noticed", || !is_ready());
            server.restart();
            eventually("it is back", is_ready);
        }
    });
    let replica = Foregate::start(&house.config);
    for shown in &cookies {
        assert_eq!(replica.check(&url, &[shown]).status, 200, "the rows are still there");
    }
}

#[test]
fn a_database_that_moves_is_found_by_its_other_address() {
    let mut server = Postgres::start();
    let other = free_port();
    let here = server.url();
    let port = Url::parse(&here).expect("a URL").port().expect("a port");
    let both = here.replace(&format!("127.0.0.1:{port}"), &format!("127.0.0.1:{port},127.0.0.1:{other}"));
    let house = House::with(&format!("store = \"{both}\"\nkeys = [\"{KEY}\"]"), Value::Null);
    let (url, alice) = (house.url("app", "/"), cookie(&house.sign_in("alice")));
    under_load(&house.foregate, &url, &[alice], || {
        server.kill_hard();
        server.restart_at(other);
        eventually("it is found", || {
            let mut browser = Browser::default();
            browser.sign_in(&house.url("app", "/"), "bob").status == 200
        });
    });
    let mut bob = house.sign_in("bob");
    let gone = cookie(&bob);
    sign_out(&mut bob, &house);
    assert_eq!(house.foregate.check(&url, &[&gone]).status, 401);
}

#[test]
fn a_replica_killed_under_load_leaves_everything_to_the_other() {
    let shared = Shared::new(Value::Null);
    let url = shared.house.url("app", "/");
    let (mut alice, bob) = (shared.house.sign_in("alice"), shared.house.sign_in("bob"));
    let other = shared.replica();
    let doomed = shared.replica();
    let (gone, shown) = (cookie(&alice), cookie(&bob));
    for foregate in [&other, &doomed] {
        for cookie in [&gone, &shown] {
            assert_eq!(foregate.check(&url, &[cookie]).status, 200);
        }
    }
    sign_out(&mut alice, &shared.house);
    eventually("both hear of it", || {
        [&other, &doomed].iter().all(|foregate| foregate.check(&url, &[&gone]).status == 401)
    });
    under_load(&other, &url, &[shown], || {
        drop(doomed);
        let late = cookie(&shared.house.sign_in("carol"));
        eventually("a sign-in after it", || other.check(&url, &[&late]).status == 200);
    });
    assert_eq!(other.check(&url, &[&gone]).status, 401, "nothing signed out comes back");
}

#[test]
fn a_store_that_never_answered_keeps_nobody_waiting_in_line() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("postgres://u@{}/f", silent.local_addr().expect("an address"));
    let house = House::with(&format!("store = \"{url}\"\nkeys = [\"{KEY}\"]"), Value::Null);
    let page = house.url("app", "/");
    let began = Instant::now();
    thread::scope(|scope| {
        for number in 0..30_u8 {
            let shown = format!("Cookie: foregate={}", char::from(b'A' + number % 26).to_string().repeat(64));
            let (house, page) = (&house, &page);
            scope.spawn(move || assert_eq!(house.foregate.check(page, &[&shown]).status, 503));
        }
    });
    // In line they would take a minute.
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn a_frozen_database_delays_and_ends_nobody() {
    let server = Postgres::start();
    let session = format!("store = \"{}\"\nkeys = [\"{KEY}\"]\npoll = \"1s\"", server.url());
    let house = House::with(&session, Value::Null);
    let (alice, bob) = (house.sign_in("alice"), house.sign_in("bob"));
    let other = Foregate::start(&house.config);
    let url = house.url("app", "/");
    for browser in [&alice, &bob] {
        assert_eq!(other.check(&url, &[&cookie(browser)]).status, 200);
    }
    server.signal("STOP");
    for _ in 0..20 {
        assert_eq!(other.check(&url, &[&cookie(&bob)]).status, 200, "who is in memory goes on");
    }
    let sign_out_url = Url::parse(&house.url("auth", "/.foregate/sign-out?rd=/")).expect("a URL");
    assert_eq!(alice.clone().step("GET", &sign_out_url, "").status, 503, "it is not called a sign-out");
    server.signal("CONT");
    let gone = cookie(&alice);
    eventually("a sign-out succeeds again", || alice.clone().step("GET", &sign_out_url, "").status == 303);
    eventually("and reaches the other replica", || other.check(&url, &[&gone]).status == 401);
    assert_eq!(other.check(&url, &[&cookie(&bob)]).status, 200);
}

#[test]
fn a_dump_with_the_key_file_gives_neither_tokens_nor_a_cookie() {
    let house = House::new();
    let alice = house.sign_in("alice");
    let dir = house.foregate.dir();
    let keys = std::fs::read_to_string(dir.join("foregate.db.keys")).expect("the key file");
    let keys: Vec<_> = keys.lines().filter(|line| !line.starts_with('#')).map(Secret::new).collect();
    let sealer = Sealer::new(&keys).expect("the keys");
    let database = rusqlite::Connection::open(dir.join("foregate.db")).expect("the dump");
    let row = "SELECT id, proof, tokens FROM foregate_session";
    let (id, proof, tokens): (Vec<u8>, Vec<u8>, Vec<u8>) =
        database.query_row(row, (), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).expect("a row");
    let handle =
        foregate::browser::parse_handle(alice.cookie("foregate").expect("a session").value.as_bytes());
    let handle = handle.expect("a handle");
    let opened = sealer.open(Purpose::Tokens, handle.secret(), &tokens).expect("with the cookie it opens");
    assert!(String::from_utf8_lossy(&opened).contains("eyJ"), "and these are the tokens");
    for guess in [&[][..], &id, &proof, &proof[16..], &[id.as_slice(), &proof].concat()] {
        assert!(sealer.open(Purpose::Tokens, guess, &tokens).is_none());
    }
    let url = house.url("app", "/");
    for guess in [[id.as_slice(), &proof].concat(), [proof.as_slice(), &id].concat()] {
        let cookie = foregate::browser::write_handle(&SessionHandle(guess.try_into().expect("48 bytes")));
        assert_eq!(house.foregate.check(&url, &[&format!("Cookie: foregate={cookie}")]).status, 401);
    }
}

#[tokio::test]
async fn a_clock_that_steps_ends_no_session_and_revives_none() {
    let home = tempfile::tempdir().expect("a directory");
    let (settings, sealer) = settings_at(Location::Sqlite(home.path().join("f.db")));
    let open =
        || Sessions::open(settings.clone(), sealer.clone(), vec![], Default::default()).expect("a store");
    let sessions = open();
    let now = 1_800_000_000;
    let Created::Kept(handle) = sessions.create(new_session("alice"), now).await.expect("a session") else {
        panic!()
    };
    let Created::Kept(gone) = sessions.create(new_session("alice"), now).await.expect("a session") else {
        panic!()
    };
    sessions.end(&gone, now).await.expect("an end");
    for step in [now - 300, now + 300, now - 300, now] {
        for sessions in [&sessions, &open()] {
            let found = sessions.find(&handle, step).await.expect("an answer");
            sessions.note_use(&found.expect("it lives"), step);
            sessions.sync(step).await.expect("a sync");
            sessions.sweep(step).await.expect("a sweep");
            assert!(sessions.find(&gone, step).await.expect("an answer").is_none(), "at {step}");
        }
    }
    assert!(
        sessions.find(&handle, now + 3600).await.expect("an answer").is_none(),
        "it ends in its own time"
    );
}

fn settings_at(location: Location) -> (Settings, Arc<Sealer>) {
    let settings = Settings {
        location,
        keys: vec![Secret::new(KEY)],
        idle: Duration::from_secs(600),
        lifetime: Duration::from_secs(3600),
        outage_grace: Duration::from_secs(60),
        poll: Duration::from_secs(5),
        cache_sessions: 100,
        owner_absence: Duration::from_secs(3600),
        issuers: vec!["i".into()],
    };
    let sealer = Arc::new(Sealer::new(&settings.keys).expect("a key"));
    (settings, sealer)
}

/// A database of PostgreSQL's with one session.
async fn with_alice(now: u64) -> (String, Sessions, SessionHandle) {
    let url = postgres::shared().fresh().await;
    let (settings, sealer) = settings_at(Location::Postgres(Secret::new(&url)));
    let sessions = Sessions::open(settings, sealer, vec![], Default::default()).expect("a store");
    let Created::Kept(alice) = sessions.create(new_session("alice"), now).await.expect("an answer") else {
        panic!()
    };
    (url, sessions, alice)
}

fn new_session(subject: &str) -> NewSession {
    NewSession {
        profile: Profile { issuer: "i".into(), subject: subject.into(), ..Profile::default() },
        sid: None,
        tokens: Vec::new().into(),
        renew_at: None,
        client: String::new(),
        user_agent: String::new(),
    }
}
