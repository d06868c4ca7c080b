//! Emergency access: a provider that is really killed and comes back, passwords in every dialect and through foregate as the proxy,
//! and all the times at which none of them counts.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::support::backend::Backend;
use crate::support::foregate::{Foregate, PROGRAM, free_port};
use crate::support::http::{Browser, NAVIGATES, Reply, raw, request};
use crate::support::provider::Provider;
use crate::support::scene::{DIALECTS, ask};
use crate::support::watch::watched;

const REALM: &str = "Basic realm=\"Emergency Access\", charset=\"UTF-8\"";
const INSIDE: &str = "203.0.113.7";

/// What `foregate hash-password` prints for a password that is piped in.
fn hash(password: &str) -> (Option<i32>, String, String) {
    watched();
    let mut child = Command::new(PROGRAM)
        .arg("hash-password")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("foregate starts");
    child.stdin.take().expect("stdin").write_all(password.as_bytes()).expect("a password");
    let told = child.wait_with_output().expect("an end");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (told.status.code(), text(told.stdout), text(told.stderr))
}

/// A foregate before an app that allows emergency access and one that does not.
struct House {
    provider: Provider,
    backend: Backend,
    foregate: Foregate,
    config: String,
    port: u16,
    provider_port: u16,
}

impl House {
    fn new(more: &str) -> Self {
        let (port, provider_port) = (free_port(), free_port());
        let provider = provider(port, provider_port);
        let backend = Backend::start();
        let (code, hash, err) = hash("correct horse\n");
        assert_eq!((code, hash.lines().count()), (Some(0), 1), "{err}");
        let (hash, upstream) = (hash.trim(), backend.url());
        let config = format!(
            r#"
public_url = "http://auth.foregate.localhost:{port}"
[server]
listen = "LISTEN"
admin_listen = "ADMIN"
[server.limits]
emergency_per_minute = 4
[session]
store = "sqlite:DIR/foregate.db"
{}
[apps."app.foregate.localhost"]
upstream = "{upstream}"
emergency = true
allow = ["group:family", "group:ops"]
rules = [
  {{ path = "/open/**", allow = "public" }},
  {{ path = "/admins/**", allow = "group:Home Server Admins" }},
  {{ path = "/strong/**", allow = "group:ops", max_auth_age = "5m" }},
]
[apps."other.foregate.localhost"]
upstream = "{upstream}"
allow = "signed-in"
[emergency]
users = ["alice:{hash}:ops", "bob:{hash}"]
after = "10s"
networks = ["203.0.113.0/24"]
{more}
"#,
            provider.config()
        );
        let foregate = Foregate::start_at(&config, port);
        Self { provider, backend, foregate, config, port, provider_port }
    }

    /// A check for a page in a dialect, of a visitor at this address.
    fn asked(&self, dialect: &str, (host, page): (&str, &str), from: &str, lines: &[&str]) -> Reply {
        let from = format!("X-Forwarded-For: {from}");
        let url = format!("http://{host}.foregate.localhost:{}{page}", self.port);
        raw(self.foregate.public, &ask(dialect, "GET", &url, &[&[from.as_str()], lines].concat()))
    }

    /// A request to foregate as the proxy.
    fn proxied(&self, page: &str, lines: &[&str]) -> Reply {
        let host = format!("Host: app.foregate.localhost:{}", self.port);
        let from = format!("X-Forwarded-For: {INSIDE}");
        let lines = [&[host.as_str(), &from, "Connection: close"], lines].concat();
        raw(self.foregate.public, request("GET", page, &lines, "").as_bytes())
    }

    fn kill_provider(&mut self) {
        self.provider.kill();
        self.wait_for("opened", 1);
    }

    fn bring_provider_back(&mut self) {
        self.provider = provider(self.port, self.provider_port);
    }

    /// Waits for so many lines of the audit log that say this.
    fn wait_for(&self, what: &str, count: usize) {
        let end = Instant::now() + Duration::from_secs(60);
        let part = format!("\"what\":\"{what}\"");
        while self.foregate.logged(&part) < count {
            assert!(Instant::now() < end, "no {count} {what}:\n{}", self.foregate.log_lines().join("\n"));
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl House {
    /// Waits for a line of the audit log with all of these parts.
    fn wait_for_audit(&self, parts: &[&str]) {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let text = std::fs::read_to_string(self.foregate.dir().join("audit.log")).unwrap_or_default();
            if text.lines().any(|line| parts.iter().all(|part| line.contains(part))) {
                return;
            }
            assert!(Instant::now() < end, "no line with {parts:?}:\n{text}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn provider(port: u16, provider_port: u16) -> Provider {
    Provider::for_foregate(
        &format!("http://auth.foregate.localhost:{port}"),
        json!({ "port": provider_port }),
    )
}

fn basic(user: &str, password: &str) -> String {
    format!("Authorization: Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

#[track_caller]
fn assert_shut(reply: &Reply, why: &str) {
    assert_ne!(reply.status, 200, "{why}: {reply:?}");
    assert!(!reply.all("www-authenticate").contains(&REALM), "{why}: {reply:?}");
}

const AUDIT: &str = "[audit]\noutput = \"DIR/audit.log\"\n";
const APP: (&str, &str) = ("app", "/page");

/// Traefik of the chart has one check for all routes, which puts foregate's `Authorization` in the place of the client's.
#[test]
fn apps_without_emergency_access_keep_their_authorization_where_one_check_serves_all() {
    let house = House::new("");
    let mut browser = Browser::default();
    browser.sign_in(&format!("http://app.foregate.localhost:{}/", house.port), "alice");
    let cookie = format!("Cookie: foregate={}", browser.cookie("foregate").expect("a session").value);
    let (theirs, known) = (basic("carol", "an affair of the app's"), basic("alice", "wrong"));
    for (app, line, comes_back) in
        [("app", &theirs, true), ("app", &known, false), ("other", &theirs, true), ("other", &known, true)]
    {
        let asked = |lines: &[&str]| {
            let reply = house.asked("traefik", (app, "/open/x"), INSIDE, lines);
            assert_eq!(reply.status, 200, "{app} {lines:?}: {reply:?}");
            reply.header("authorization").map(str::to_owned)
        };
        let sent = line.strip_prefix("Authorization: ").filter(|_| comes_back);
        assert_eq!(asked(&[&cookie, line]).as_deref(), sent, "{app} {line}");
        assert_eq!(asked(&[&cookie]), None, "{app}");
    }
}

#[test]
fn a_password_counts_while_the_provider_is_gone_and_at_no_other_time() {
    let mut house = House::new("");
    let good = basic("alice", "correct horse");
    let mut browser = Browser::default();
    assert_eq!(
        browser.sign_in(&format!("http://app.foregate.localhost:{}/", house.port), "alice").status,
        200
    );
    let cookie = format!("Cookie: foregate={}", browser.cookie("foregate").expect("a session").value);
    for dialect in DIALECTS {
        assert_shut(&house.asked(dialect, APP, INSIDE, &[&good]), dialect);
        assert_shut(&house.asked(dialect, APP, INSIDE, &[NAVIGATES]), dialect);
    }
    assert_shut(&house.proxied("/page", &[&good]), "proxy");

    house.kill_provider();
    for (number, dialect) in DIALECTS.into_iter().enumerate() {
        // Another one for each, as one client tries four wrong passwords and no more.
        let from = format!("203.0.113.{}", 10 + number);
        for lines in [&[][..], &[NAVIGATES], &[basic("alice", "x").as_str(), NAVIGATES]] {
            let reply = house.asked(dialect, APP, &from, lines);
            assert_eq!(
                (reply.status, reply.header("www-authenticate")),
                (401, Some(REALM)),
                "{dialect} {reply:?}"
            );
            assert_eq!((reply.header("location"), reply.header("cache-control")), (None, Some("no-store")));
        }
        let reply = house.asked(dialect, APP, INSIDE, &[&good, "X-Foregate-Emergency: no"]);
        assert_eq!((reply.status, reply.body.as_str()), (200, ""), "{dialect} {reply:?}");
        assert_eq!(reply.header("x-foregate-emergency"), Some("true"), "{dialect}");
        assert_eq!(
            (reply.header("remote-user"), reply.header("remote-groups")),
            (Some("alice"), Some("ops"))
        );
        assert_eq!(reply.header("set-cookie"), None, "no session is made");
        if dialect == "envoy" {
            let removed = reply.header("x-envoy-auth-headers-to-remove").expect("names");
            assert!(removed.split(',').any(|name| name == "authorization"), "{removed}");
            assert!(removed.split(',').any(|name| name == "x_foregate_emergency"), "{removed}");
        }
        // Elsewhere nothing of this is there.
        assert_shut(&house.asked(dialect, ("other", "/"), INSIDE, &[&good]), "another app");
        assert_shut(&house.asked(dialect, APP, "198.51.100.1", &[&good]), "another network");
        // What the rules say holds for these people, too.
        let refused = house.asked(dialect, ("app", "/admins/"), INSIDE, &[&good]);
        assert_eq!(refused.status, 403, "{dialect}: {refused:?}");
        assert_eq!(house.asked(dialect, ("app", "/strong/"), INSIDE, &[&good]).status, 403, "{dialect}");
        let bob = house.asked(dialect, APP, INSIDE, &[&basic("bob", "correct horse")]);
        assert_eq!(bob.status, 403, "{dialect}: a member of nothing");
        let session = house.asked(dialect, APP, INSIDE, &[&cookie, &good]);
        assert_eq!((session.status, session.header("x-foregate-emergency")), (200, Some("")), "{dialect}");
        assert_eq!(
            house.asked(dialect, ("app", "/open/x"), INSIDE, &[&good]).header("remote-user"),
            Some("")
        );
    }
    let seen = house.proxied(
        "/page",
        &[
            &good,
            "X-Foregate-Emergency: forged",
            "X_Foregate_Emergency: forged",
            "X.Foregate.Emergency: forged",
        ],
    );
    let told = seen.body.to_ascii_lowercase();
    assert_eq!(seen.status, 200, "{seen:?}");
    assert!(told.contains("x-foregate-emergency: true") && told.contains("remote-user: alice"), "{told}");
    assert!(
        !told.contains("forged") && !told.contains("authorization"),
        "the password is foregate's: {told}"
    );
    let open = house.proxied("/open/x", &["X_Foregate_Emergency: forged"]).body;
    assert!(!open.contains("forged"), "{open}");
    assert_eq!(house.foregate.metric("foregate_emergency_providers_silent"), 1.0);
    let ready = crate::support::http::get(house.foregate.admin, "/readyz", &[]).json();
    assert_eq!(ready["emergency"]["open"], true, "{ready}");
    assert!(house.foregate.metric("foregate_emergency_passwords_total{outcome=\"accepted\"}") >= 2.0);
    assert!(house.foregate.metric("foregate_emergency_requests_total") >= 6.0);
    let line = house.foregate.wait_for_log("\"what\":\"accepted\"");
    for part in ["\"level\":\"WARN\"", "foregate::emergency", "\"event\":\"emergency\"", "alice", INSIDE] {
        assert!(line.contains(part), "{part}: {line}");
    }
    let all = house.foregate.log_lines().join("\n");
    assert!(!all.contains("correct horse") && !all.contains(good.split(' ').next_back().expect("a text")));

    house.bring_provider_back();
    house.wait_for("shut", 1);
    for dialect in DIALECTS {
        assert_shut(&house.asked(dialect, APP, INSIDE, &[&good]), dialect);
        assert_eq!(
            house.asked(dialect, APP, INSIDE, &[NAVIGATES]).header("www-authenticate"),
            None,
            "{dialect}"
        );
    }
    assert_eq!(house.foregate.metric("foregate_emergency_providers_silent"), 0.0);
    assert!(!house.backend.seen().is_empty());
}

#[test]
fn a_provider_that_answers_again_shuts_the_door_before_the_next_password() {
    let mut house = House::new(AUDIT);
    house.kill_provider();
    house.bring_provider_back();
    // Whether or not its next turn to be asked has come.
    assert_shut(&house.asked("traefik", APP, INSIDE, &[&basic("alice", "correct horse")]), "it is back");
    house.wait_for("shut", 1);
    // Answers that are no good are answers: only 5xx is as silence.
    house.provider.control("pause?mode=429", &json!({}));
    house.provider.control("pause?mode=404", &json!({}));
    assert_eq!(house.foregate.logged("\"what\":\"opened\""), 1);
    for reason in ["opened", "shut"] {
        let issuer = format!("\"issuer\":\"{}\"", house.provider.issuer);
        let reason = format!("\"reason\":\"{reason}\"");
        house.wait_for_audit(&["\"event\":\"emergency\"", "\"by\":\"provider\"", &issuer, &reason]);
    }
}

/// Browsers show a password that they know to an app whatever page has them ask it.
#[test]
fn another_site_cannot_use_the_password_that_a_browser_knows() {
    let house = House::new("declared = true");
    let good = basic("alice", "correct horse");
    let url = format!("http://app.foregate.localhost:{}/page", house.port);
    let own = format!("Origin: http://app.foregate.localhost:{}", house.port);
    let (cross, navigate) = ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate");
    let from = "X-Forwarded-For: 203.0.113.7";
    for (method, lines, opens) in [
        ("POST", &[] as &[&str], true),
        ("POST", &[own.as_str()], true),
        ("POST", &["Sec-Fetch-Site: same-origin", "Origin: null"], true),
        ("GET", &[cross, navigate], true),
        ("POST", &[cross, navigate, &own], false),
        ("POST", &["Origin: http://evil.test"], false),
        ("POST", &["Origin: null"], false),
        ("DELETE", &[&own, "Origin: http://evil.test"], false),
        ("GET", &[cross, "Sec-Fetch-Mode: no-cors"], false),
        ("GET", &[cross, navigate, "Sec-Fetch-Dest: document"], true),
        ("GET", &[cross, navigate, "Sec-Fetch-Dest: iframe"], false),
        ("GET", &[cross, navigate, "Sec-Fetch-Dest: embed"], false),
        ("GET", &["Sec-Fetch-Site: none", cross], false),
    ] {
        for dialect in DIALECTS {
            let lines = [&[from, &good], lines].concat();
            let reply = raw(house.foregate.public, &ask(dialect, method, &url, &lines));
            assert_eq!(reply.status == 200, opens, "{dialect} {method} {lines:?}: {reply:?}");
            assert!(opens || !reply.all("www-authenticate").contains(&REALM), "{dialect}: {reply:?}");
        }
    }
    assert_shut(&house.proxied("/page", &[&good, cross, "Sec-Fetch-Mode: cors"]), "proxy");
    assert_eq!(house.proxied("/page", &[&good, cross, navigate]).status, 200);
}

/// As a page with many parts asks at once, with fewer tries than parts.
#[test]
fn many_requests_with_one_password_are_one_try() {
    let house = House::new("declared = true");
    let good = basic("alice", "correct horse");
    let replies: Vec<Reply> = std::thread::scope(|scope| {
        let ask = || house.asked("traefik", APP, INSIDE, &[&good]);
        let asked: Vec<_> = (0..30).map(|_| scope.spawn(ask)).collect();
        asked.into_iter().map(|one| one.join().expect("an answer")).collect()
    });
    assert!(replies.iter().all(|reply| reply.status == 200), "{replies:?}");
    assert_eq!(house.foregate.metric("foregate_emergency_passwords_total{outcome=\"accepted\"}"), 1.0);
    assert_eq!(house.foregate.metric("foregate_emergency_requests_total"), 30.0);
}

#[test]
fn no_provider_sees_a_password_for_emergencies_and_none_counts_in_clear_text() {
    let house = House::new("[bearer]\naudiences = [\"api\"]\napp_passwords = \"default\"");
    for password in ["correct horse", "wrong"] {
        for dialect in DIALECTS {
            assert_shut(&house.asked(dialect, APP, INSIDE, &[&basic("alice", password)]), "it answers");
        }
    }
    let asked =
        || house.provider.log().iter().filter(|one| one["path"].to_string().contains("/token")).count();
    assert_eq!(asked(), 0, "{:?}", house.provider.log());
    house.asked("traefik", APP, INSIDE, &[&basic("carol", "x")]);
    assert_eq!(asked(), 1, "an app password: {:?}", house.provider.log());

    let declared = house.config.replace("networks = [", "declared = true\nnetworks = [");
    let secure = declared.replace("public_url = \"http:", "public_url = \"https:");
    house.foregate.rewrite(&secure);
    house.foregate.wait_for_log("a new configuration is in force");
    let good = basic("alice", "correct horse");
    for (scheme, opens) in [("https", true), ("http", false)] {
        let url = format!("{scheme}://app.foregate.localhost:{}/page", house.port);
        let lines = ["X-Forwarded-For: 203.0.113.7", &good];
        let reply = raw(house.foregate.public, &ask("traefik", "GET", &url, &lines));
        assert_eq!(reply.status == 200, opens, "{scheme}: {reply:?}");
    }
}

#[test]
fn guesses_are_limited_and_an_operator_can_declare_an_emergency() {
    let house = House::new("");
    let good = basic("alice", "correct horse");
    assert_shut(&house.asked("traefik", APP, INSIDE, &[&good]), "the provider is there");
    let declared = house.config.replace("after = \"10s\"", "after = \"10s\"\ndeclared = true");
    house.foregate.rewrite(&format!("{declared}\n{AUDIT}"));
    house.foregate.wait_for_log("EMERGENCY ACCESS IS DECLARED");
    house.foregate.wait_for_log("a new configuration is in force");
    assert_eq!(house.asked("traefik", APP, INSIDE, &[&good]).status, 200);
    let mut tried = 0;
    let limited = loop {
        let reply = house.asked("traefik", APP, INSIDE, &[&basic(&format!("user-{tried}"), "wrong")]);
        if reply.status == 429 {
            break reply;
        }
        assert_eq!((reply.status, reply.header("www-authenticate")), (401, Some(REALM)), "{reply:?}");
        tried += 1;
        assert!(tried < 10, "no limit");
    };
    assert!(tried >= 4 && limited.header("retry-after").is_some(), "{tried} {limited:?}");
    assert_eq!(house.asked("traefik", APP, INSIDE, &[&good]).status, 200, "known a moment ago");
    let other = house.asked("traefik", APP, "203.0.113.8", &[&good]);
    assert_eq!(other.status, 200, "another client");
    assert!(house.foregate.metric("foregate_limited_total{kind=\"emergency\",by=\"client\"}") >= 1.0);
    assert_is_written_down(&house);
    let declared = ["\"event\":\"emergency\"", "\"by\":\"file\"", "\"detail\":\"emergency.declared\""];
    house.wait_for_audit(&[&declared[..], &["\"reason\":\"opened\""]].concat());
    house.foregate.rewrite(&format!("{}\n{AUDIT}", house.config));
    house.foregate.wait_for_logs("a new configuration is in force", 2);
    assert_shut(&house.asked("traefik", APP, INSIDE, &[&good]), "it is over");
    house.wait_for_audit(&[&declared[..], &["\"reason\":\"shut\""]].concat());
}

/// Who got in and who did not is in the audit log; what may be a password in the wrong place is not.
fn assert_is_written_down(house: &House) {
    let accepted = "\"event\":\"emergency\",\"user\":\"alice\"";
    let refused = "\"reason\":\"refused\"";
    let end = Instant::now() + Duration::from_secs(20);
    let text = loop {
        let text = std::fs::read_to_string(house.foregate.dir().join("audit.log")).unwrap_or_default();
        if text.contains(accepted) && text.contains(refused) {
            break text;
        }
        assert!(Instant::now() < end, "{text}");
        std::thread::sleep(Duration::from_millis(10));
    };
    for secret in ["correct horse", "wrong", "user-0"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
}

#[test]
fn a_password_is_hashed_from_what_is_piped_in_and_an_empty_one_is_refused() {
    for (typed, fits) in [("long enough password\n", true), ("no line end", true), ("", false), ("\n", false)]
    {
        let (code, out, err) = hash(typed);
        assert_eq!(code == Some(0), fits, "{typed:?}: {out}{err}");
        assert_eq!(out.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), fits, "{out}");
        assert!(typed.trim().is_empty() || !format!("{out}{err}").contains(typed.trim()));
    }
    assert!(hash("short").2.contains("short"));
}
