//! The operator's page: who may use it, what it tells, and what it does.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use url::Url;

use crate::browser::{browse, sign_in_as, text};
use crate::support::backend::Backend;
use crate::support::foregate::{Foregate, free_port};
use crate::support::http::{Browser, Reply, raw, request};
use crate::support::provider::Provider;

const TOKEN: &str = "0123456789abcdef-token";

/// A foregate with an app that leads to its page, one whose assertions are seen, and these further lines of `[server]`.
struct Site {
    provider: Provider,
    backend: Backend,
    foregate: Foregate,
    config: String,
    port: u16,
}

impl Site {
    fn with(server: &str) -> Self {
        let port = free_port();
        let provider = Provider::for_foregate(&format!("http://auth.foregate.localhost:{port}"), Value::Null);
        let backend = Backend::start();
        let admin = if server.contains("admin_app") { "http://ADMIN".to_owned() } else { backend.url() };
        let config = Self::config(port, (server, &admin), &provider.config(), &backend);
        Self { foregate: Foregate::start_at(&config, port), provider, backend, config, port }
    }

    /// With these lines of `[server]`, and this upstream of the app that is to lead to the page.
    fn config(port: u16, (server, admin): (&str, &str), provider: &str, backend: &Backend) -> String {
        format!(
            "public_url = \"http://auth.foregate.localhost:{port}\"\nassertion = true\n[server]\nlisten = \"LISTEN\"\n\
             admin_listen = \"ADMIN\"\n{server}\n[session]\nstore = \"sqlite:DIR/f.db\"\n[audit]\noutput = \"DIR/audit.log\"\n{}\n\
             [apps.\"app.foregate.localhost\"]\nupstream = \"{}\"\nallow = \"signed-in\"\n\
             [apps.\"ops.foregate.localhost\"]\nupstream = \"{admin}\"\nallow = \"nobody\"\n\
             rules = [{{ path = \"/operator/**\", allow = \"group:Home Server Admins\" }}]\n\
             [apps.\"gone.foregate.localhost\"]\nupstream = \"http://127.0.0.1:{}\"\nallow = \"signed-in\"\n",
            provider,
            backend.url(),
            free_port(),
        )
    }

    fn url(&self, host: &str, page: &str) -> String {
        format!("http://{host}.foregate.localhost:{}{page}", self.port)
    }

    /// The lines of the audit log by so somebody, waited for.
    fn audited(&self, by: &str, count: usize) -> Vec<Value> {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let text = std::fs::read_to_string(self.foregate.dir().join("audit.log")).unwrap_or_default();
            let whole = &text[..text.rfind('\n').map_or(0, |at| at + 1)];
            let lines = whole.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
            let found: Vec<Value> = lines.filter(|line| line["by"] == by).collect();
            if found.len() >= count {
                return found;
            }
            assert!(Instant::now() < end, "not {count} lines by {by} in {text}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn signed_in(&self, user: &str) -> Browser {
        let mut browser = Browser::default();
        assert_eq!(browser.sign_in(&self.url("app", "/"), user).status, 200);
        browser
    }

    fn is_in(&self, browser: &Browser) -> bool {
        browser.clone().step("GET", &Url::parse(&self.url("app", "/")).expect("a URL"), "").status == 200
    }

    /// A request to the admin listener itself, by the name of this machine.
    fn ask(&self, method: &str, target: &str, lines: &[&str], body: &str) -> Reply {
        let host = format!("Host: localhost:{}", self.foregate.admin.port());
        let form =
            if body.is_empty() { "X-None: 1" } else { "Content-Type: application/x-www-form-urlencoded" };
        let own =
            if lines.iter().any(|line| line.starts_with("Host:")) { vec![] } else { vec![host.as_str()] };
        let lines = [&own[..], &["Connection: close", form], lines].concat();
        raw(self.foregate.admin, request(method, target, &lines, body).as_bytes())
    }
}

fn proof(page: &str) -> String {
    let rest = page.split("name=\"csrf\" value=\"").nth(1).unwrap_or_else(|| panic!("no proof: {page}"));
    rest.split('"').next().expect("a proof").to_owned()
}

fn field(page: &str, name: &str) -> String {
    let rest = page.split(&format!("name=\"{name}\" value=\"")).nth(1).expect("a field");
    rest.split('"').next().expect("a value").to_owned()
}

#[test]
fn with_a_token_the_page_is_for_whoever_shows_it() {
    let site = Site::with(&format!("admin_token = \"{TOKEN}\""));
    let bob = site.signed_in("bob");
    for (method, target) in [
        ("GET", "/operator"),
        ("GET", "/operator/sessions"),
        ("POST", "/operator/sessions"),
        ("GET", "/operator/people"),
    ] {
        let closed = site.ask(method, target, &[], if method == "POST" { "act=end" } else { "" });
        assert!(closed.status == 401 && closed.body.contains("name=\"token\""), "{closed:?}");
        assert!(!closed.body.contains("bob"), "{closed:?}");
    }
    for (body, lines) in [
        ("token=wrong", vec![]),
        ("token=", vec![]),
        (&*format!("token={TOKEN}"), vec!["Origin: http://evil.test"]),
        (&*format!("token={TOKEN}"), vec!["Sec-Fetch-Site: cross-site"]),
    ] {
        let refused = site.ask("POST", "/operator/sign-in", &lines, body);
        assert_eq!((refused.status, refused.header("set-cookie")), (401, None), "{body} {lines:?}");
    }
    let entered = site.ask("POST", "/operator/sign-in", &[], &format!("token={TOKEN}"));
    assert_eq!((entered.status, entered.header("location")), (303, Some("/operator")), "{entered:?}");
    let line = entered.header("set-cookie").expect("a cookie");
    for part in ["Path=/operator", "HttpOnly", "SameSite=Strict", "Max-Age=28800"] {
        assert!(line.contains(part) && !line.contains(TOKEN), "{line}");
    }
    let cookie = format!("Cookie: {}", line.split(';').next().expect("a pair"));
    let shown = site.ask("GET", "/operator/sessions", &[&cookie], "");
    assert!(shown.status == 200 && shown.body.contains("bob"), "{shown:?}");
    let policy = shown.header("content-security-policy").expect("a policy");
    assert!(
        policy.contains("default-src 'none'")
            && policy.contains("form-action 'self'")
            && !policy.contains("script")
    );
    assert_eq!(
        site.ask("GET", "/api/v1/sessions", &[&cookie], "").status,
        401,
        "the page's cookie is not for the API"
    );

    let (csrf, session) = (proof(&shown.body), field(&shown.body, "session"));
    let form = format!("csrf={csrf}&session={session}&act=end&user=");
    for (lines, body) in [
        (vec![cookie.as_str()], format!("session={session}&act=end")),
        (vec![cookie.as_str()], form.replace(&csrf, "AAAA")),
        (vec![cookie.as_str(), "Origin: http://evil.test"], form.clone()),
        (vec![cookie.as_str(), "Sec-Fetch-Site: same-site"], form.clone()),
    ] {
        assert_eq!(site.ask("POST", "/operator/sessions", &lines, &body).status, 403, "{lines:?} {body}");
        assert!(site.is_in(&bob), "{lines:?} {body}");
    }
    let ended = site.ask("POST", "/operator/sessions", &[&cookie], &form);
    assert_eq!(
        (ended.status, ended.header("location")),
        (303, Some("/operator/sessions?user=&done=1")),
        "{ended:?}"
    );
    assert!(!site.is_in(&bob), "bob is signed out at once");
    let tampered = format!("{cookie}x");
    assert_eq!(site.ask("GET", "/operator", &[&tampered], "").status, 401);
    assert!(!site.foregate.log_lines().iter().any(|line| line.contains(TOKEN)));

    let other = site.config.replace(TOKEN, "another-token-0123456789");
    site.foregate.rewrite(&other);
    site.foregate.hang_up();
    site.foregate.wait_for_log("a new configuration is in force");
    assert_eq!(site.ask("GET", "/operator", &[&cookie], "").status, 401, "a cookie of the token before");
}

#[test]
fn without_a_token_it_is_for_this_machine_and_its_own_pages() {
    let site = Site::with("");
    let browsers = [site.signed_in("bob"), site.signed_in("bob"), site.signed_in("alice")];
    for lines in [
        vec!["Host: evil.test"],
        vec!["Host: ops.foregate.localhost.evil.test"],
        vec!["X-Forwarded-For: 127.0.0.1"],
        vec!["Forwarded: for=127.0.0.1"],
        vec!["Sec-Fetch-Site: cross-site"],
        vec!["Sec-Fetch-Site: same-site"],
    ] {
        assert_eq!(site.ask("GET", "/operator", &lines, "").status, 403, "{lines:?}");
    }
    let people = site.ask("GET", "/operator/people?user=bob", &[], "");
    assert!(
        people.status == 200 && people.body.contains("2 sessions") && !people.body.contains("alice"),
        "{people:?}"
    );
    let person = format!(
        "csrf={}&issuer={}&subject={}&user=bob",
        proof(&people.body),
        field(&people.body, "issuer"),
        field(&people.body, "subject")
    );
    assert_eq!(site.ask("POST", "/operator/people", &[], &person.replace("csrf=", "x=")).status, 403);
    assert_eq!(site.ask("POST", "/operator/people", &[], &format!("{person}&act=other")).status, 400);
    let ended = site.ask("POST", "/operator/people", &[], &format!("{person}&act=end"));
    assert_eq!(ended.header("location"), Some("/operator/people?user=bob&done=2"), "{ended:?}");
    assert_eq!(browsers.each_ref().map(|browser| site.is_in(browser)), [false, false, true]);
    let disabled = site.ask("POST", "/operator/people", &[], &format!("{person}&act=disable"));
    assert_eq!(disabled.status, 303, "{disabled:?}");
    assert_eq!(Browser::default().sign_in(&site.url("app", "/"), "bob").status, 403, "bob is kept out");
    assert!(site.ask("GET", "/operator/people?user=bob", &[], "").body.contains("disabled"));
    assert_eq!(site.ask("POST", "/operator/people", &[], &format!("{person}&act=enable")).status, 303);
    assert_eq!(Browser::default().sign_in(&site.url("app", "/"), "bob").status, 200, "bob is back");
    for (method, target, status) in [
        ("PUT", "/operator", 405),
        ("GET", "/operator/other", 404),
        ("GET", "/operators", 404),
        ("HEAD", "/operator", 200),
    ] {
        assert_eq!(site.ask(method, target, &[], "").status, status, "{method} {target}");
    }
}

#[test]
fn as_an_app_its_own_rules_decide() {
    for server in ["", &format!("admin_token = \"{TOKEN}\"\n")] {
        let site = Site::with(&format!("{server}admin_app = \"ops.foregate.localhost\""));
        let (mut alice, bob) = (site.signed_in("alice"), site.signed_in("bob"));
        let opened = alice.open(&site.url("ops", "/operator/sessions"));
        assert!(opened.status == 200 && opened.body.contains("Opened by <bdi>alice</bdi>"), "{opened:?}");
        assert_eq!(bob.clone().open(&site.url("ops", "/operator")).status, 403, "not in the group");
        for page in ["/metrics", "/api/v1/sessions", "/readyz"] {
            assert_eq!(alice.open(&site.url("ops", page)).status, 403, "{page} is nobody's by the rules");
        }
        let people = alice.open(&site.url("ops", "/operator/people?user=bob"));
        let form = format!(
            "csrf={}&issuer={}&subject={}&user=bob&act=end",
            proof(&people.body),
            field(&people.body, "issuer"),
            field(&people.body, "subject")
        );
        let to = Url::parse(&site.url("ops", "/operator/people")).expect("a URL");
        let own = format!("Origin: {}", site.url("ops", ""));
        for (line, status) in
            [("Origin: http://evil.test", 403), ("Sec-Fetch-Site: cross-site", 403), (own.as_str(), 303)]
        {
            assert!(site.is_in(&bob), "{line}");
            let mut browser = Browser { lines: vec![line.to_owned()], ..alice.clone() };
            assert_eq!(browser.step("POST", &to, &form).status, status, "{line}");
        }
        assert!(!site.is_in(&bob), "bob is signed out");
        site.foregate.wait_for_log("\"by\":\"alice\"");

        // What proves somebody to another app proves nothing here, and what a client makes up neither.
        let told = alice.open(&site.url("app", "/")).body;
        let assertion = told.split("foregate-assertion: ").nth(1).and_then(|rest| rest.split("\r\n").next());
        let assertion = assertion.filter(|text| text.split('.').count() == 3).expect("an assertion");
        for made_up in [assertion, "a.b.c", ""] {
            let line = format!("Foregate-Assertion: {made_up}");
            let reply = site.ask("GET", "/operator", &[&line, "Host: ops.example.com"], "");
            assert!([401, 403].contains(&reply.status), "{reply:?}");
        }
        let line = "Foregate-Assertion: a.b.c".to_owned();
        let mut liar = Browser { lines: vec![line], ..site.signed_in("bob") };
        assert_eq!(liar.open(&site.url("ops", "/operator")).status, 403);
    }
}

#[test]
fn what_is_done_there_is_in_the_audit_log_with_whom_it_is_about_and_who_did_it_from_where() {
    let site = Site::with("admin_app = \"ops.foregate.localhost\"");
    let (mut alice, _bob) = (site.signed_in("alice"), site.signed_in("bob"));
    let operator = alice.clone();
    let done = |page: &str, form: &str| {
        let to = Url::parse(&site.url("ops", page)).expect("a URL");
        let own = format!("Origin: {}", site.url("ops", ""));
        let mut browser = Browser { lines: vec![own], ..operator.clone() };
        assert_eq!(browser.step("POST", &to, form).status, 303, "{form}");
    };
    let people = alice.open(&site.url("ops", "/operator/people?user=bob")).body;
    let person = |name: &str| {
        let fields = ["issuer", "subject"].map(|name| format!("&{name}={}", field(&people, name)));
        format!("csrf={}&name={name}{}&user=bob", proof(&people), fields.concat())
    };
    assert_eq!(field(&people, "name"), "bob");
    let sessions = alice.open(&site.url("ops", "/operator/sessions?user=bob")).body;
    let session = field(&sessions, "session");
    done("/operator/sessions", &format!("csrf={}&session={session}&act=end&user=", proof(&sessions)));
    site.signed_in("bob");
    done("/operator/people", &format!("{}&act=end", person("bob")));
    done("/operator/people", &format!("{}&act=disable", person("bob")));
    // Somebody else's name in a form is nobody's.
    done("/operator/people", &format!("{}&act=enable", person("alice")));
    let lines = site.audited("operator", 4);
    let subject = field(&people, "subject");
    for (line, (event, path, user)) in lines.iter().zip([
        ("revoked", "/operator/sessions", json!("bob")),
        ("revoked", "/operator/people", json!("bob")),
        ("disabled", "/operator/people", json!("bob")),
        ("enabled", "/operator/people", Value::Null),
    ]) {
        assert_eq!(
            (&line["event"], &line["path"], &line["user"]),
            (&json!(event), &json!(path), &user),
            "{line}"
        );
        assert_eq!((&line["subject"], &line["detail"]), (&json!(subject), &json!("alice")), "{line}");
        assert_eq!((&line["method"], &line["client"]), (&json!("POST"), &json!("127.0.0.1")), "{line}");
        assert_eq!(line["issuer"], site.provider.issuer.as_str(), "{line}");
    }
    assert_eq!((&lines[0]["session"], &lines[0]["sessions"]), (&json!(session), &json!(1)));
    assert_eq!((&lines[1]["sessions"], &lines[2]["sessions"]), (&json!(1), &json!(0)));

    site.signed_in("bob");
    let all = site.ask("GET", "/api/v1/sessions?user=bob", &["X-Requested-With: test"], "").json();
    let id = all["sessions"][0]["id"].as_str().expect("a session").to_owned();
    let ended = site.ask("DELETE", &format!("/api/v1/sessions/{id}"), &["X-Requested-With: test"], "");
    assert_eq!(ended.status, 200, "{ended:?}");
    let line = &site.audited("api", 1)[0];
    assert_eq!((&line["user"], &line["session"]), (&json!("bob"), &json!(id)), "{line}");
}

/// A page of whatever has got onto the same host would be read by a script as whoever opens it.
#[test]
fn no_script_and_no_app_beside_it_gets_at_the_page() {
    for server in ["", &format!("admin_token = \"{TOKEN}\""), "admin_app = \"ops.foregate.localhost\""] {
        let site = Site::with(server);
        let mut alice = site.signed_in("alice");
        let mut ask = |method: &str, page: &str, lines: &[&str]| {
            if server.contains("admin_app") {
                let lines = lines.iter().map(ToString::to_string).collect();
                let to = Url::parse(&site.url("ops", page)).expect("a URL");
                alice.step("GET", &Url::parse(&site.url("ops", "/")).expect("a URL"), "");
                Browser { lines, ..alice.clone() }.step(method, &to, "")
            } else {
                site.ask(method, page, lines, "")
            }
        };
        for lines in [
            ["Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"],
            ["Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"],
            ["Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"],
        ] {
            for (method, page) in
                [("GET", "/operator"), ("GET", "/operator/people"), ("POST", "/operator/people")]
            {
                let reply = ask(method, page, &lines);
                assert!(
                    reply.status == 403 && !reply.body.contains("csrf"),
                    "{server} {method} {page} {lines:?} {reply:?}"
                );
            }
        }
        let window = ["Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"];
        let status = ask("GET", "/operator", &window).status;
        assert_eq!(status, if server.contains("token") { 401 } else { 200 }, "{server}");
    }
    let (backend, provider) =
        (Backend::start(), "[provider]\nissuer = \"http://127.0.0.1:1/\"\nclient_id = \"f\"\n");
    let server = "admin_app = \"ops.foregate.localhost\"";
    let config = Site::config(free_port(), (server, "http://ADMIN"), provider, &backend)
        + &format!(
            "[apps.\"ops.foregate.localhost/wiki\"]\nupstream = \"{}\"\nallow = \"signed-in\"\n",
            backend.url()
        );
    let (code, told) = Foregate::refuses(&config);
    assert!(code == Some(1) && told.contains("ops.foregate.localhost/wiki` is on the same host"), "{told}");
}

#[test]
fn what_is_asked_about_nobody_is_done_to_nobody() {
    let site = Site::with("");
    site.signed_in("bob");
    let page = site.ask("GET", "/operator/people", &[], "");
    for act in ["disable", "enable"] {
        let form = format!("csrf={}&issuer=x&subject=nobody&name=bob&user=&act={act}", proof(&page.body));
        let done = site.ask("POST", "/operator/people", &[], &form);
        let to = done.header("location").expect("a Location");
        assert_eq!((done.status, to), (303, "/operator/people?user=&done=nobody"), "{act}");
        let told = site.ask("GET", to, &[], "").body;
        assert!(told.contains("Nothing was done") && !told.contains("They "), "{told}");
    }
    let bob = format!(
        "csrf={}&issuer={}&subject={}&user=&act=disable",
        proof(&page.body),
        field(&page.body, "issuer"),
        field(&page.body, "subject")
    );
    assert_eq!(site.ask("POST", "/operator/people", &[], &bob).status, 303);
    assert_eq!(site.audited("operator", 1).len(), 1, "of bob alone");
}

#[test]
fn without_the_setting_no_app_leads_there() {
    let (backend, provider) =
        (Backend::start(), "[provider]\nissuer = \"http://127.0.0.1:1/\"\nclient_id = \"f\"\n");
    let config = Site::config(free_port(), ("", "http://ADMIN"), provider, &backend);
    let (code, told) = Foregate::refuses(&config);
    assert!(code == Some(1) && told.contains("is `server.admin_listen`"), "{told}");
    // By a name that may lead anywhere, it is the admin listener that says no.
    let site = Site::with("");
    for lines in [["X-Forwarded-Host: ops.foregate.localhost"], ["Via: 1.1 proxy"], ["X-Real-IP: 127.0.0.1"]]
    {
        for target in ["/operator", "/api/v1/sessions"] {
            assert_eq!(site.ask("GET", target, &lines, "").status, 403, "{target} {lines:?}");
        }
    }
}

#[test]
fn it_tells_what_is_down_and_what_is_decided() {
    let mut site = Site::with("");
    let page = |site: &Site| site.ask("GET", "/operator", &[], "").body;
    let alice = site.signed_in("alice");
    let first = page(&site);
    assert!(first.contains("All is well") && first.contains("None since you began to look"), "{first}");
    assert!(site.is_in(&alice));
    let refused = Browser::default().open(&site.url("none", "/x?q=secret"));
    let reference = refused.header("foregate-ref").expect("a reference").to_owned();
    let seen = page(&site);
    for part in ["GET http://app.foregate.localhost/", "alice", "app.foregate.localhost allow", &reference] {
        assert!(seen.contains(part), "no {part}: {seen}");
    }
    assert!(!seen.contains("secret"), "{seen}");
    let known = site.ask("GET", &format!("/operator/refs?ref={reference}"), &[], "");
    assert!(known.status == 200 && known.body.contains("no app of its own"), "{known:?}");
    assert!(site.ask("GET", "/operator/refs?ref=zz", &[], "").body.contains("begin with"));
    let live = site.ask("GET", "/operator?live=1", &[], "");
    assert_eq!((live.status, live.header("refresh")), (200, Some("5")), "{live:?}");

    let mut gone = site.signed_in("alice");
    assert_eq!(gone.open(&site.url("gone", "/")).status, 502);
    assert!(page(&site).contains("did not answer the last request"));

    site.foregate.rewrite(&format!("{}\nnonsense = 1\n", site.config));
    site.foregate.wait_for_log("the new configuration is refused");
    site.provider.kill();
    let down = page(&site);
    assert!(down.contains("was refused") && down.contains("nonsense"), "{down}");
    site.foregate.rewrite(&site.config);
    site.foregate.hang_up();
    site.foregate.wait_for_logs("the configuration was read anew, and says the same", 1);
    assert!(!page(&site).contains("nonsense"));
    assert!(site.backend.seen().iter().all(|request| !request.contains("/operator")));
}

#[test]
fn a_browser_shows_it_and_ends_a_session() {
    let site = Site::with(&format!("admin_token = \"{TOKEN}\"\nadmin_app = \"ops.foregate.localhost\""));
    let bob = site.signed_in("bob");
    Browser::default().open(&site.url("none", "/x"));
    let [fill, click] = sign_in_as("alice");
    let to = |name: &str| json!({ "screenshot": format!("{}/{name}.png", site.foregate.dir().display()), "fullPage": true });
    let seen = browse(&json!([
        { "javaScript": false },
        { "open": site.url("ops", "/operator") },
        fill,
        click,
        { "open": site.url("ops", "/operator") },
        to("status"),
        { "open": site.url("ops", "/operator/people?user=bob") },
        to("people"),
        { "click": "button[value=end]" },
        { "open": format!("http://localhost:{}/operator", site.foregate.admin.port()) },
        to("sign-in"),
        { "fill": { "[name=token]": TOKEN } },
        { "click": "main form button" },
        { "open": format!("http://localhost:{}/operator/sessions", site.foregate.admin.port()) },
        to("sessions"),
        { "click": "form[action='/operator/sessions'] button[value=end]" },
    ]));
    let texts: Vec<&str> = seen.iter().map(text).collect();
    assert!(texts[3].contains("All is well") && texts[3].contains("alice"), "{texts:#?}");
    assert!(texts.iter().any(|text| text.contains("One session has ended.")), "{texts:#?}");
    assert!(!site.is_in(&bob), "bob is signed out");
    let last = texts.last().expect("a page");
    assert!(last.contains("One session has ended.") && last.contains("Opened by the token"), "{last}");
}
