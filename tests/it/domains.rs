//! One sign-in over unrelated domains: host-bound cookies, tickets that count once, one session to end. Names are those
//! of https on a plain connection, as a front proxy that ends TLS would leave it.

use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use foregate::browser::{Sealer, Ticket};
use foregate::secret::Secret;
use serde_json::Value;
use url::Url;

use crate::support::backend::Backend;
use crate::support::foregate::{Foregate, KEY, free_port};
use crate::support::http::{Browser, NAVIGATES, Reply, get, raw};
use crate::support::postgres;
use crate::support::provider::Provider;
use crate::support::scene::{DIALECTS, ask};

/// A foregate at auth.example.com that is also the proxy for apps there and in other domains.
struct House {
    provider: Provider,
    backend: Backend,
    foregate: Foregate,
    config: String,
    port: u16,
}

const PHOTOS: &str = "photos.family.org";
const CLUB: &str = "club.test.co.uk";
const OTHERS: [&str; 4] = [PHOTOS, CLUB, "b.family.org", "x.wild.test"];

impl House {
    fn new() -> Self {
        Self::with("store = \"sqlite:DIR/foregate.db\"")
    }

    fn with(store: &str) -> Self {
        let port = free_port();
        let public_url = format!("https://auth.example.com:{port}");
        let provider = Provider::for_foregate(&public_url, Value::Null);
        let backend = Backend::start();
        let app = |host: &str, allow: &str| {
            format!(
                "[apps.\"{host}\"]\nupstream = \"{}\"\nallow = \"{allow}\"\nrules = [{{ path = \"/open/**\", allow = \"public\" }}]\n",
                backend.url()
            )
        };
        let apps = ["app.example.com", PHOTOS, CLUB, "b.family.org", "*.wild.test"]
            .map(|host| app(host, "signed-in"));
        let config = format!(
            "public_url = \"{public_url}\"\n[server]\nlisten = \"LISTEN\"\nadmin_listen = \"ADMIN\"\n[session]\n{store}\n\
             keys = [\"{KEY}\"]\n{}{}{}",
            provider.config(),
            apps.concat(),
            app("admins.family.org", "group:Home Server Admins")
                + &app("strict.family.org", "signed-in")
                + "lifetime = \"3s\"\n",
        );
        Self { foregate: Foregate::start_at(&config, port), provider, backend, config, port }
    }

    fn url(&self, host: &str, page: &str) -> String {
        format!("https://{host}:{}{page}", self.port)
    }

    fn sign_in(&self, host: &str, user: &str) -> Browser {
        let mut browser = Browser::default();
        let reply = browser.sign_in(&self.url(host, "/"), user);
        assert!(welcomes(&reply, user), "{reply:?} {:#?}", browser.visited);
        browser
    }

    /// A check of a host with one cookie, asked in a dialect.
    fn check(&self, dialect: &str, host: &str, cookie: &str) -> u16 {
        let cookie = format!("Cookie: {cookie}");
        raw(self.foregate.public, &ask(dialect, "GET", &self.url(host, "/x"), &[&cookie, NAVIGATES])).status
    }

    /// The address with the ticket that this browser is sent to for `page`, not yet opened.
    fn ticket_for(&self, browser: &mut Browser, page: &str) -> Url {
        let mut url = Url::parse(page).expect("a URL");
        for _ in 0..10 {
            let login = url.path().starts_with("/if/flow/login/");
            let reply = browser.step(
                if login { "POST" } else { "GET" },
                &url,
                if login { "login=alice" } else { "" },
            );
            url = url.join(reply.header("location").expect("a Location")).expect("a URL");
            if url.path() == "/.foregate/ticket" {
                return url;
            }
        }
        panic!("no ticket: {:#?}", browser.visited);
    }
}

fn welcomes(reply: &Reply, user: &str) -> bool {
    reply.status == 200 && reply.body.contains(&format!("remote-user: {user}\r\n"))
}

fn session_at<'b>(browser: &'b Browser, host: &str) -> Option<&'b str> {
    let kept = |name: &str, domain: &str| {
        browser.jar.iter().find(|cookie| cookie.name == name && cookie.domain == domain)
    };
    let found = if host.ends_with("example.com") {
        kept("__Secure-foregate", "example.com")
    } else {
        kept("__Host-foregate", host)
    };
    found.map(|cookie| cookie.value.as_str())
}

fn forget_session_at(browser: &mut Browser, host: &str) {
    browser.jar.retain(|cookie| !(cookie.name == "__Host-foregate" && cookie.domain == host));
}

fn pages(browser: &Browser) -> Vec<String> {
    browser
        .visited
        .iter()
        .map(|url| format!("{}{}", url.host_str().unwrap_or_default(), url.path()))
        .collect()
}

fn text_of(ticket: &Url) -> String {
    ticket.query_pairs().find(|(name, _)| name == "t").expect("a ticket").1.into_owned()
}

fn with_text(ticket: &Url, text: &str) -> Url {
    let mut url = ticket.clone();
    url.query_pairs_mut().clear().append_pair("t", text);
    url
}

fn sealer() -> Sealer {
    Sealer::new(&[Secret::new(KEY)]).expect("a key")
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a time").as_secs()
}

/// Opens an address that must give nobody a session there and leads to a sign-in from the start.
fn gives_nothing(browser: &mut Browser, url: &Url) -> Url {
    let reply = browser.step("GET", url, "");
    assert_eq!(reply.status, 302, "{url}: {reply:?}");
    let host = url.host_str().expect("a host");
    assert!(session_at(browser, host).is_none(), "{url}: {reply:?}");
    let next = reply.location();
    assert_eq!((next.host_str(), next.path()), (Some("auth.example.com"), "/.foregate/sign-in"), "{url}");
    next
}

#[test]
fn a_sign_in_on_another_domain_lands_on_exactly_the_page() {
    let house = House::new();
    let mut browser = Browser::default();
    let page = house.url(PHOTOS, "/deep/page?x=1&y=%20z&u=https://x.test/");
    let reply = browser.sign_in(&page, "alice");
    assert!(welcomes(&reply, "alice"), "{reply:?} {:#?}", browser.visited);
    assert!(
        reply.body.starts_with("GET /deep/page?x=1&y=%20z&u=https://x.test/ HTTP/1.1\r\n"),
        "{}",
        reply.body
    );
    assert_eq!(browser.visited.last().map(Url::as_str), Some(page.as_str()));
    assert!(!reply.body.contains("foregate"), "the backend sees no cookie of ours: {}", reply.body);
    let kept: Vec<(&str, &str, bool)> = browser
        .jar
        .iter()
        .filter(|cookie| cookie.name.contains("foregate"))
        .map(|cookie| (cookie.name.as_str(), cookie.domain.as_str(), cookie.host_only))
        .collect();
    for cookie in [("__Secure-foregate", "example.com", false), ("__Host-foregate", PHOTOS, true)] {
        assert!(kept.contains(&cookie), "{kept:?}");
    }
    // Known at the provider: five redirects in all.
    browser.jar.retain(|cookie| !cookie.name.contains("foregate"));
    browser.visited.clear();
    assert_eq!(browser.open(&house.url(PHOTOS, "/again")).status, 200);
    let own = |page: &str| format!("auth.example.com{page}");
    let wanted = [
        format!("{PHOTOS}/again"),
        own("/.foregate/sign-in"),
        "127.0.0.1/application/o/authorize/".to_owned(),
        own("/.foregate/callback"),
        format!("{PHOTOS}/.foregate/ticket"),
        format!("{PHOTOS}/again"),
    ];
    assert_eq!(pages(&browser), wanted);
    assert!(house.foregate.logged("outside the cookie domain") == 1, "told at the start");
}

#[test]
fn the_second_domain_asks_for_no_password() {
    let house = House::new();
    let mut browser = house.sign_in(PHOTOS, "alice");
    let asked = house.provider.log().len();
    for host in [CLUB, "b.family.org", "x.wild.test", "app.example.com"] {
        browser.visited.clear();
        let reply = browser.open(&house.url(host, "/p?q=1"));
        assert!(welcomes(&reply, "alice") && reply.body.starts_with("GET /p?q=1 "), "{host}: {reply:?}");
        let redirects = if host == "app.example.com" { 0 } else { 3 };
        assert_eq!(browser.visited.len(), redirects + 1, "{:#?}", browser.visited);
    }
    assert_eq!(house.provider.log().len(), asked, "the provider was not asked");
    let values: std::collections::HashSet<_> = OTHERS.iter().map(|host| session_at(&browser, host)).collect();
    assert_eq!(values.len(), OTHERS.len(), "a cookie of its own on each host, also below one parent");
    // And the other way round: from the domain of public_url to another one.
    let mut browser = house.sign_in("app.example.com", "bob");
    browser.visited.clear();
    assert!(welcomes(&browser.open(&house.url(PHOTOS, "/")), "bob"));
    assert_eq!(browser.visited.len(), 4, "{:#?}", browser.visited);
}

#[test]
fn one_sign_out_ends_it_everywhere() {
    let house = House::new();
    let mut browser = house.sign_in(PHOTOS, "alice");
    browser.open(&house.url(CLUB, "/"));
    let kept = browser.clone();
    let end = Url::parse(&house.url("auth.example.com", "/.foregate/sign-out?rd=/.foregate/signed-out"))
        .expect("a URL");
    assert_eq!(browser.step("GET", &end, "").status, 303);
    for host in [PHOTOS, CLUB, "app.example.com"] {
        let reply = kept.clone().step("GET", &Url::parse(&house.url(host, "/")).expect("a URL"), "");
        assert_eq!(reply.status, 302, "{host}: {reply:?}");
    }
}

#[test]
fn a_cookie_counts_on_its_own_host_alone() {
    let house = House::new();
    let mut browser = house.sign_in(PHOTOS, "alice");
    browser.open(&house.url(CLUB, "/"));
    let sealed = session_at(&browser, PHOTOS).expect("a session").to_owned();
    let plain = session_at(&browser, "auth.example.com").expect("a session").to_owned();
    for dialect in DIALECTS {
        let no = if dialect == "nginx" { 401 } else { 302 };
        let own = format!("__Host-foregate={sealed}");
        assert_eq!(house.check(dialect, PHOTOS, &own), 200, "{dialect}");
        assert_eq!(house.check(dialect, PHOTOS, &format!("__Host-foregate=x; {own}; a=b")), 200, "{dialect}");
        for host in [CLUB, "b.family.org", "x.wild.test", "app.example.com"] {
            assert_eq!(house.check(dialect, host, &own), no, "{dialect} {host}");
            let renamed = format!("__Secure-foregate={sealed}; foregate={sealed}");
            assert_eq!(house.check(dialect, host, &renamed), no, "{dialect} {host}");
        }
        for (host, cookie) in [
            (PHOTOS, format!("__Host-foregate={plain}")),
            (PHOTOS, format!("__Secure-foregate={plain}")),
            (PHOTOS, format!("__Secure-foregate={sealed}")),
            ("app.example.com", format!("__Host-foregate={plain}")),
        ] {
            assert_eq!(house.check(dialect, host, &cookie), no, "{dialect} {host}");
        }
    }
    let bytes = URL_SAFE_NO_PAD.decode(&sealed).expect("base64url");
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let cookie = format!("__Host-foregate={}", URL_SAFE_NO_PAD.encode(changed));
        assert_eq!(house.check("traefik", PHOTOS, &cookie), 302, "bit {bit}");
    }
}

#[test]
fn every_dialect_carries_the_whole_way() {
    let house = House::new();
    let signed_in = house.sign_in("app.example.com", "alice");
    let page = house.url(PHOTOS, "/deep?a=1&b=%20");
    for dialect in DIALECTS {
        let bare = dialect == "nginx";
        let redirect = if bare { 401 } else { 302 };
        let question =
            |url: &str, lines: &[&str]| raw(house.foregate.public, &ask(dialect, "GET", url, lines));
        let ours = |reply: &Reply| reply.header("set-cookie").expect("one cookie").to_owned();
        let pair = |line: &str| format!("Cookie: {}", line.split(';').next().unwrap_or_default());
        let first = question(&page, &[NAVIGATES]);
        assert_eq!(first.status, redirect, "{dialect}: {first:?}");
        assert_eq!(first.header("cache-control"), Some("no-store"), "{dialect}");
        let binding = ours(&first);
        assert!(
            binding.starts_with("__Host-foregate-login=")
                && binding.contains("; Secure; Path=/; Max-Age=86400"),
            "{dialect}: {binding}"
        );
        let central = first.location();
        assert!(
            central.as_str().starts_with(&house.url("auth.example.com", "/.foregate/sign-in?rd=")),
            "{central}"
        );
        let ticket = signed_in.clone().step("GET", &central, "").location();
        let beside = [NAVIGATES, &pair(&binding)];
        let second = question(ticket.as_str(), &beside);
        assert_eq!(
            (second.status, second.location().as_str()),
            (redirect, page.as_str()),
            "{dialect}: {second:?}"
        );
        assert!(second.body.is_empty() && second.header("cache-control") == Some("no-store"), "{dialect}");
        let session = ours(&second);
        assert!(
            session.starts_with("__Host-foregate=")
                && !session.contains("Domain")
                && session.contains("HttpOnly; SameSite=Lax; Secure; Path=/"),
            "{dialect}: {session}"
        );
        let third = question(&page, &[NAVIGATES, &pair(&session)]);
        assert_eq!((third.status, third.header("remote-user")), (200, Some("alice")), "{dialect}: {third:?}");
        assert!(third.header("set-cookie").is_none(), "{dialect}");
        // Once more, and by what is no page.
        let again = question(ticket.as_str(), &beside);
        assert!(
            again.status == redirect && ours(&again).starts_with("__Host-foregate-login="),
            "{dialect}: {again:?}"
        );
        for lines in [["Accept: application/json"], ["Sec-Fetch-Mode: cors"]] {
            let call = question(ticket.as_str(), &lines);
            assert!(call.status == 401 && call.header("location").is_none(), "{dialect}: {call:?}");
            assert!(call.header("set-cookie").is_none(), "{dialect}: {call:?}");
            assert!(call.body.is_empty() || call.json()["sign_in_url"].is_string(), "{dialect}: {call:?}");
        }
    }
    assert!(house.backend.seen().iter().all(|request| !request.contains("ticket")), "no app sees a ticket");
}

#[test]
fn a_ticket_counts_once() {
    let house = House::new();
    let mut browser = Browser::default();
    let page = house.url(PHOTOS, "/page");
    let ticket = house.ticket_for(&mut browser, &page);
    assert!(browser.cookie("__Host-foregate").is_none(), "nothing yet");
    let (mut first, mut second) = (browser.clone(), browser.clone());
    assert_eq!(first.step("GET", &ticket, "").location().as_str(), page);
    assert!(welcomes(&first.open(&page), "alice"));
    gives_nothing(&mut second, &ticket);
    // With a session it only leads on: a page reloaded, a step back.
    let value = session_at(&first, PHOTOS).expect("a session").to_owned();
    let reply = first.step("GET", &ticket, "");
    assert!(reply.location().as_str() == page && reply.header("set-cookie").is_none(), "{reply:?}");
    assert_eq!(session_at(&first, PHOTOS), Some(value.as_str()));
    // And who asks anew gets a new one.
    assert!(welcomes(&second.open(&page), "alice"));
}

#[test]
fn a_ticket_is_worth_nothing_late_changed_elsewhere_or_to_another() {
    let house = House::new();
    let mut browser = Browser::default();
    let page = house.url(PHOTOS, "/page?x=1");
    let fresh = |browser: &mut Browser| {
        forget_session_at(browser, PHOTOS);
        house.ticket_for(browser, &page)
    };
    let good = fresh(&mut browser);
    let keys = sealer();
    let opened = Ticket::open(&keys, PHOTOS, &text_of(&good)).expect("a ticket");
    assert_eq!(opened.page, page);
    for seconds in [-31_i64, 31 + 5] {
        let mut late = opened.clone();
        (late.id, late.ask.at) = ([seconds.to_be_bytes()[7]; 16], now().saturating_add_signed(seconds));
        let next = gives_nothing(&mut browser, &with_text(&good, &late.seal(&keys, PHOTOS, [1; 12])));
        assert!(next.query_pairs().any(|(name, value)| name == "rd" && value == page), "{next}");
    }
    for mutation in [String::new(), "x".into(), text_of(&good)[1..].into(), format!("{}A", text_of(&good))] {
        gives_nothing(&mut browser, &with_text(&good, &mutation));
    }
    let mut changed = text_of(&good).into_bytes();
    for index in (0..changed.len()).step_by(7) {
        let kept = changed[index];
        changed[index] = if kept == b'A' { b'B' } else { b'A' };
        gives_nothing(&mut browser, &with_text(&good, std::str::from_utf8(&changed).expect("text")));
        changed[index] = kept;
    }
    // For another host, beside a binding of that host.
    browser.step("GET", &Url::parse(&house.url("b.family.org", "/")).expect("a URL"), "");
    let mut other = good.clone();
    other.set_host(Some("b.family.org")).expect("a host");
    gives_nothing(&mut browser, &other);
    // A page of another host inside a true ticket, which foregate never makes.
    for page in ["https://evil.test/", "https://auth.example.com/", "//evil.test", "javascript:alert(1)"] {
        let evil = Ticket { page: page.to_owned(), id: [77; 16], ..opened.clone() };
        let reply = browser.clone().step("GET", &with_text(&good, &evil.seal(&keys, PHOTOS, [1; 12])), "");
        assert!(
            !reply.location().as_str().contains("evil") && reply.location().scheme() == "https",
            "{reply:?}"
        );
    }
    // Another browser, with no binding and with its own.
    let mut stranger = Browser::default();
    gives_nothing(&mut stranger, &fresh(&mut browser));
    gives_nothing(&mut stranger, &fresh(&mut browser));
    // Shown by somebody else it is used up.
    let shown = fresh(&mut browser);
    gives_nothing(&mut stranger, &shown);
    gives_nothing(&mut browser, &shown);
    // Its session has ended meanwhile.
    let last = fresh(&mut browser);
    let mut elsewhere = browser.clone();
    elsewhere.open(&house.url("auth.example.com", "/.foregate/sign-out?rd=/.foregate/signed-out"));
    gives_nothing(&mut browser, &last);
}

#[test]
fn nobody_is_signed_in_as_somebody_else() {
    let house = House::new();
    let page = house.url(PHOTOS, "/page");
    // The attacker's ticket in the victim's browser: not signed in as the attacker.
    let mut attacker = Browser::default();
    let theirs = house.ticket_for(&mut attacker, &page);
    let mut victim = Browser::default();
    let next = gives_nothing(&mut victim, &theirs);
    victim.open(next.as_str());
    let here = victim.visited.last().expect("a page").clone();
    assert!(here.path().starts_with("/if/flow/login/"), "asked to sign in themselves: {here}");
    // The attacker's wish in the browser of a victim who is signed in: a ticket that the victim's browser uses up.
    let victim = house.sign_in("app.example.com", "bob");
    let mut attacker = Browser::default();
    let wish = attacker.step("GET", &Url::parse(&page).expect("a URL"), "").location();
    let mut lured = victim.clone();
    let reply = lured.open(wish.as_str());
    assert!(welcomes(&reply, "bob"), "the victim arrives as themselves: {reply:?} {:#?}", lured.visited);
    let leaked = lured.visited.iter().find(|url| url.path() == "/.foregate/ticket").expect("a ticket");
    gives_nothing(&mut attacker, leaked);
    // A wish for one host gets no ticket for another.
    let mut crossed = wish.clone();
    let ask = wish.query_pairs().find(|(name, _)| name == "ask").expect("a wish").1.into_owned();
    crossed
        .query_pairs_mut()
        .clear()
        .append_pair("rd", &house.url("b.family.org", "/"))
        .append_pair("ask", &ask);
    let to = victim.clone().step("GET", &crossed, "").location();
    assert_eq!(
        (to.host_str(), to.path()),
        (Some("b.family.org"), "/"),
        "only the page, which asks by itself"
    );
    for rd in [
        "https://evil.test/",
        "//evil.test",
        "https://photos.family.org.evil.test/",
        "https://photos.family.org/",
    ] {
        crossed.query_pairs_mut().clear().append_pair("rd", rd).append_pair("ask", &ask);
        let to = victim.clone().step("GET", &crossed, "").location();
        assert_eq!((to.host_str(), to.path()), (Some("auth.example.com"), "/"), "{rd}");
    }
}

#[test]
fn a_script_is_told_where_to_sign_in_and_that_address_works() {
    let house = House::new();
    let host = format!("Host: {PHOTOS}:{}", house.port);
    let referer = format!("Referer: {}", house.url(PHOTOS, "/spa?tab=2"));
    let call = get(house.foregate.public, "/api", &[&host, "Accept: application/json", &referer]);
    assert!(call.status == 401 && call.header("set-cookie").is_none(), "{call:?}");
    let url = call.json()["sign_in_url"].as_str().expect("an address").to_owned();
    assert_eq!(call.header("foregate-sign-in"), Some(url.as_str()));
    assert!(url.starts_with(&house.url("auth.example.com", "/.foregate/sign-in?rd=")), "{url}");
    let mut stranger = Browser::default();
    let reply = stranger.sign_in(&url, "alice");
    assert!(welcomes(&reply, "alice") && reply.body.starts_with("GET /spa?tab=2 "), "{reply:?}");
    let mut known = house.sign_in("app.example.com", "bob");
    let reply = known.open(&url);
    assert!(welcomes(&reply, "bob") && reply.body.starts_with("GET /spa?tab=2 "), "{reply:?}");
}

#[test]
fn a_browser_that_keeps_no_cookie_there_is_told_so() {
    let house = House::new();
    let browser = house.sign_in("app.example.com", "alice");
    // Nothing kept there at all; and the session alone lost, which no answer can see.
    for lost in ["__Host-foregate", "__Host-foregate="] {
        let mut browser = browser.clone();
        let mut url = Url::parse(&house.url(PHOTOS, "/loop")).expect("a URL");
        let mut steps = 0;
        let end = loop {
            let reply = browser.step("GET", &url, "");
            browser.jar.retain(|cookie| !format!("{}=", cookie.name).starts_with(lost));
            if !(300..400).contains(&reply.status) {
                break reply;
            }
            steps += 1;
            assert!(steps < 20, "it never ends: {:#?}", pages(&browser));
            url = reply.location();
        };
        assert!(
            end.status == 403 && end.body.contains("circle") && end.body.contains("cookie of the page"),
            "{end:?}"
        );
        let again = end.body.split("href=\"").find(|part| part.contains("account=retry"));
        let again = again.and_then(|part| part.split('"').next()).expect("a way out");
        let again = again.replace("&amp;", "&").replace("&#38;", "&");
        assert!(welcomes(&browser.open(&again), "alice"), "whoever keeps cookies gets in");
    }
    assert_eq!(house.foregate.metric("foregate_sign_in_loops_total"), 2.0);
}

#[test]
fn tabs_without_any_cookie_all_arrive() {
    let house = House::new();
    let mut browser = house.sign_in("app.example.com", "alice");
    let pages: Vec<Url> = (0..5)
        .map(|tab| Url::parse(&house.url(PHOTOS, &format!("/tab/{tab}?q={tab}"))).expect("a URL"))
        .collect();
    let mut cold = Vec::new();
    for page in &pages {
        let mut alone = Browser::default();
        cold.push(alone.step("GET", page, "").location());
        for cookie in alone.jar {
            browser.jar.retain(|other| !(other.name == cookie.name && other.domain == cookie.domain));
            browser.jar.push(cookie);
        }
    }
    for (page, start) in pages.iter().zip(&cold) {
        let reply = browser.open(start.as_str());
        assert!(welcomes(&reply, "alice"), "{reply:?}");
        assert_eq!(browser.visited.last(), Some(page));
    }
}

#[test]
fn an_app_there_may_want_a_newer_sign_in_than_others() {
    let house = House::new();
    let mut browser = house.sign_in(PHOTOS, "alice");
    let page = Url::parse(&house.url("strict.family.org", "/page?x=1")).expect("a URL");
    assert!(welcomes(&browser.open(page.as_str()), "alice"), "just signed in: {:#?}", browser.visited);
    grows_too_old(&mut browser, &page);
    browser.visited.clear();
    let reply = browser.open(page.as_str());
    assert!(welcomes(&reply, "alice") && reply.body.starts_with("GET /page?x=1 "), "{reply:?}");
    assert!(pages(&browser).iter().any(|page| page.ends_with("/authorize/")), "{:#?}", browser.visited);
    assert!(welcomes(&browser.open(&house.url(PHOTOS, "/")), "alice"), "and the others go on");
}

#[test]
fn a_form_there_is_kept_until_the_sign_in_is_new_enough() {
    let house = House::new();
    let mut browser = house.sign_in("strict.family.org", "alice");
    let page = Url::parse(&house.url("strict.family.org", "/save?x=1")).expect("a URL");
    grows_too_old(&mut browser, &page);
    browser.visited.clear();
    browser.lines = vec![format!("Origin: {}", page.origin().ascii_serialization())];
    let kept = browser.step("POST", &page, "a=1&b=%26");
    assert_eq!(kept.status, 401, "{kept:?}");
    let within = |reply: &Reply, start: &str| {
        let rest = reply.body.split(start).nth(1).unwrap_or_else(|| panic!("no {start} in {reply:?}"));
        rest.split('"').next().expect("an end").replace("&#38;", "&")
    };
    let back = browser.open(&within(&kept, "class=\"button first\" href=\""));
    assert!(back.status == 200 && back.body.contains("Go back to your form"), "{back:?}");
    assert!(pages(&browser).iter().any(|page| page.ends_with("/authorize/")), "{:#?}", browser.visited);
    let form = format!("kept={}", within(&kept, "name=\"kept\" value=\""));
    let resume = Url::parse(&house.url("strict.family.org", "/.foregate/resume")).expect("a URL");
    let shown = browser.step("POST", &resume, &form);
    assert_eq!(within(&shown, "method=\"post\" action=\""), page.as_str());
    assert!(welcomes(&browser.step("POST", &page, "a=1&b=%26"), "alice"));
}

fn grows_too_old(browser: &mut Browser, page: &Url) {
    let end = Instant::now() + Duration::from_secs(20);
    while browser.step("GET", page, "").status == 200 {
        assert!(Instant::now() < end, "it never gets too old");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn another_account_can_be_chosen_there() {
    let house = House::new();
    let mut browser = house.sign_in(PHOTOS, "bob");
    let refused = browser.open(&house.url("admins.family.org", "/panel?x=1"));
    assert!(refused.status == 403 && refused.body.contains("Home Server Admins"), "{refused:?}");
    let other = refused.body.split("href=\"").find(|part| part.contains("account=other"));
    let other = other
        .and_then(|part| part.split('"').next())
        .expect("a link")
        .replace("&amp;", "&")
        .replace("&#38;", "&");
    browser.open(&other);
    let here = browser.visited.last().expect("a page").clone();
    assert!(here.path().starts_with("/if/flow/login/"), "{here}");
    let reply = browser.submit(&here, "login=alice");
    assert!(welcomes(&reply, "alice") && reply.body.starts_with("GET /panel?x=1 "), "{reply:?}");
    assert!(welcomes(&browser.open(&house.url(PHOTOS, "/")), "alice"), "and on the others");
}

#[test]
fn a_sign_out_asked_for_there_ends_the_one_session() {
    let house = House::new();
    let mut browser = house.sign_in(PHOTOS, "alice");
    browser.open(&house.url(CLUB, "/"));
    // By way of another domain the browser calls it cross-site; asked for on a page of that host it is wanted.
    let begin = |rd: &str| {
        Url::parse_with_params(&house.url(PHOTOS, "/.foregate/sign-out"), [("rd", rd)]).expect("a URL")
    };
    let leave = |browser: &mut Browser, url: &Url, from: &str| {
        browser.lines = vec![
            format!("Sec-Fetch-Site: {from}"),
            "Sec-Fetch-Dest: document".into(),
            "Sec-Fetch-Mode: navigate".into(),
        ];
        let central = browser.step("GET", url, "").location();
        browser.lines[0] = "Sec-Fetch-Site: cross-site".into();
        let reply = browser.step("GET", &central, "");
        browser.lines.clear();
        (central, reply)
    };
    let (central, choices) = leave(&mut browser, &begin("/bye"), "cross-site");
    assert!(
        central.as_str().starts_with(&house.url("auth.example.com", "/.foregate/sign-out?rd=")),
        "{central}"
    );
    assert!(
        choices.status == 200 && choices.body.contains("everywhere"),
        "a link on another site: {choices:?}"
    );
    let mut gone = browser.clone();
    let (proven, reply) = leave(&mut gone, &begin("/bye?x=1"), "same-origin");
    assert_eq!(reply.location().as_str(), house.url(PHOTOS, "/bye?x=1"), "back, at once");
    for host in [PHOTOS, CLUB] {
        assert_eq!(
            gone.step("GET", &Url::parse(&house.url(host, "/")).expect("a URL"), "").status,
            302,
            "{host}"
        );
    }
    let mut other = house.sign_in(PHOTOS, "alice");
    other.lines = vec!["Sec-Fetch-Site: cross-site".into()];
    assert_eq!(other.step("GET", &proven, "").status, 200, "the proof is of one session");
    for rd in ["https://evil.test/", "//evil.test/", "https://club.test.co.uk.evil.test/"] {
        let mut browser = house.sign_in(PHOTOS, "bob");
        let (_, reply) = leave(&mut browser, &begin(rd), "same-origin");
        assert!(reply.location().path().ends_with("/end-session/"), "as without one: {rd} {reply:?}");
    }
    // Through a check.
    let mut browser = house.sign_in(PHOTOS, "bob");
    let cookie = format!("Cookie: __Host-foregate={}", session_at(&browser, PHOTOS).expect("a session"));
    for dialect in DIALECTS {
        let reply =
            raw(house.foregate.public, &ask(dialect, "GET", begin("/bye").as_str(), &[&cookie, NAVIGATES]));
        assert_eq!(reply.status, if dialect == "nginx" { 401 } else { 302 }, "{dialect}: {reply:?}");
        assert_eq!(reply.location().path(), "/.foregate/sign-out", "{dialect}");
    }
    assert_eq!(browser.open(&house.url(PHOTOS, "/")).status, 200, "asking ends nothing");
}

/// A browser may lose the cookie of one domain and keep that of another.
#[test]
fn a_session_left_alone_on_one_domain_can_be_changed_and_ended() {
    let house = House::new();
    let mut browser = house.sign_in(PHOTOS, "bob");
    browser.jar.retain(|cookie| cookie.name != "__Secure-foregate");
    let mut other = browser.clone();
    let switch = house.url(PHOTOS, "/.foregate/sign-in?account=other&rd=/panel");
    other.open(&switch);
    let here = other.visited.last().expect("a page").clone();
    assert!(here.path().starts_with("/if/flow/login/"), "{here}");
    let reply = other.submit(&here, "login=alice");
    assert!(welcomes(&reply, "alice") && reply.body.starts_with("GET /panel "), "{reply:?}");
    // A sign-out on that host ends the session there, and not somebody else's in the domain of public_url.
    let mut mixed = house.sign_in("app.example.com", "carol");
    mixed.jar.retain(|cookie| cookie.domain != PHOTOS);
    mixed.jar.extend(other.jar.iter().filter(|cookie| cookie.domain == PHOTOS).cloned());
    for mut browser in [browser, mixed] {
        let page = Url::parse(&house.url(PHOTOS, "/")).expect("a URL");
        assert_eq!(browser.clone().step("GET", &page, "").status, 200);
        browser.lines = vec!["Sec-Fetch-Site: same-origin".into()];
        let leave = Url::parse(&house.url(PHOTOS, "/.foregate/sign-out?rd=/bye")).expect("a URL");
        let central = browser.step("GET", &leave, "").location();
        browser.lines = vec!["Sec-Fetch-Site: cross-site".into()];
        let carol = session_at(&browser, "auth.example.com").is_some();
        let reply = browser.step("GET", &central, "");
        browser.lines.clear();
        // Somebody else may have made the link: it ends what it names, and touches nothing of this browser.
        assert!(reply.status == 200 && reply.header("set-cookie").is_none(), "{reply:?}");
        assert_eq!(browser.step("GET", &page, "").status, 302, "ended");
        let app = browser.step("GET", &Url::parse(&house.url("app.example.com", "/")).expect("a URL"), "");
        assert_eq!(app.status, if carol { 200 } else { 302 }, "{app:?}");
    }
}

/// The cookie of one host, stolen or not, is no right to what the provider said of its person.
#[test]
fn the_provider_is_told_whose_session_ends_only_by_the_browser_that_has_its_own_cookie() {
    let house = House::new();
    for has_its_own in [true, false] {
        let mut browser = house.sign_in(PHOTOS, "bob");
        if !has_its_own {
            browser.jar.retain(|cookie| cookie.name != "__Secure-foregate");
        }
        let leave = Url::parse(&house.url(PHOTOS, "/.foregate/sign-out")).expect("a URL");
        let central = browser.step("GET", &leave, "").location();
        let end = browser.step("GET", &central, "").location();
        assert!(end.path().ends_with("/end-session/"), "{end}");
        let names: Vec<String> = end.query_pairs().map(|(name, _)| name.into_owned()).collect();
        assert_eq!(names.iter().any(|name| name == "id_token_hint"), has_its_own, "{end}");
        for name in ["client_id", "post_logout_redirect_uri"] {
            assert!(names.iter().any(|found| found == name), "{name}: {end}");
        }
        let page = Url::parse(&house.url(PHOTOS, "/")).expect("a URL");
        assert_eq!(browser.step("GET", &page, "").status, 302, "the session has ended");
    }
}

#[test]
fn foregates_own_pages_there_are_few_and_set_no_cookie_of_the_domain() {
    let house = House::new();
    let mut browser = Browser::default();
    let mut callback =
        browser.step("GET", &Url::parse(&house.url("app.example.com", "/")).expect("a URL"), "").location();
    while callback.path() != "/.foregate/callback" {
        let login = callback.path().starts_with("/if/flow/login/");
        let reply = browser.step(
            if login { "POST" } else { "GET" },
            &callback,
            if login { "login=alice" } else { "" },
        );
        callback = callback.join(reply.header("location").expect("a Location")).expect("a URL");
    }
    let cookies: Vec<String> =
        browser.jar.iter().map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
    let target = format!("{}?{}", callback.path(), callback.query().unwrap_or_default());
    for host in OTHERS {
        let lines = [
            format!("Host: {host}:{}", house.port),
            format!("Cookie: {}", cookies.join("; ")),
            NAVIGATES.to_owned(),
        ];
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        for page in [target.as_str(), "/.foregate/signed-out", "/.foregate/other", "/.foregate/"] {
            let reply = get(house.foregate.public, page, &lines);
            assert!(reply.status == 404 && reply.all("set-cookie").is_empty(), "{host}{page}: {reply:?}");
        }
        for page in [
            "/.foregate/sign-in",
            "/.foregate/sign-in?rd=/p",
            "/.foregate/ticket",
            "/.foregate/%74icket?t=x",
            "/p",
        ] {
            let reply = get(house.foregate.public, page, &lines);
            assert_eq!(reply.status, 302, "{host}{page}: {reply:?}");
            let cookie = reply.header("set-cookie").expect("the binding");
            assert!(
                cookie.starts_with("__Host-foregate-login=") && !cookie.contains("Domain"),
                "{host}{page}: {cookie}"
            );
        }
    }
    assert_eq!(browser.open(callback.as_str()).status, 200, "at its own host the callback still counts");
}

/// Whatever is asked for, however: a session is set for the domain of `public_url` by its own host, and for another
/// host by that host alone, sealed for it.
#[test]
fn no_session_is_set_for_another_host_than_the_one_judged() {
    let house = House::new();
    let keys = sealer();
    let mut browser = house.sign_in("app.example.com", "alice");
    let ticket_text = |page: String, browser: &mut Browser| text_of(&house.ticket_for(browser, &page));
    let mut sessions = 0;
    for round in 0..2 {
        for host in OTHERS {
            for ticket_of in OTHERS {
                let page = house.url(ticket_of, &format!("/{round}/{host}"));
                let text = ticket_text(page, &mut browser);
                let bindings: Vec<String> = browser
                    .jar
                    .iter()
                    .filter(|cookie| cookie.name.ends_with("-login") || round == 1)
                    .map(|cookie| format!("{}={}", cookie.name, cookie.value))
                    .collect();
                let cookies = format!("Cookie: {}", bindings.join("; "));
                let dialect = DIALECTS[(round + sessions) % DIALECTS.len()];
                let url = house.url(host, &format!("/.foregate/ticket?t={text}"));
                let reply = raw(house.foregate.public, &ask(dialect, "GET", &url, &[&cookies, NAVIGATES]));
                let set: Vec<&str> =
                    reply.all("set-cookie").into_iter().filter(|line| !line.contains("-login=")).collect();
                assert_eq!(
                    set.len(),
                    usize::from(host == ticket_of),
                    "{dialect} {host} {ticket_of}: {reply:?}"
                );
                for line in set {
                    sessions += 1;
                    let value = line
                        .strip_prefix("__Host-foregate=")
                        .and_then(|rest| rest.split(';').next())
                        .expect("a session");
                    let sealed = URL_SAFE_NO_PAD.decode(value).expect("base64url");
                    for other in OTHERS {
                        let opened =
                            keys.open(foregate::browser::Purpose::HostSession, other.as_bytes(), &sealed);
                        assert_eq!(opened.is_some(), other == host, "{host} {other}");
                    }
                    assert!(!line.contains("Domain"), "{line}");
                }
            }
        }
    }
    assert_eq!(sessions, 2 * OTHERS.len());
}

#[test]
fn replicas_share_tickets_and_sessions_through_postgresql() {
    let house = House::with(&format!("store = \"{}\"", postgres::fresh_url()));
    let other = Foregate::start(&house.config);
    let mut browser = Browser::default();
    let page = house.url(PHOTOS, "/page");
    let ticket = house.ticket_for(&mut browser, &page);
    let binding = browser.cookie("__Host-foregate-login").expect("a binding").value.clone();
    let beside = format!("Cookie: __Host-foregate-login={binding}");
    let reply = other.check(ticket.as_str(), &[&beside, NAVIGATES]);
    let session = reply.header("set-cookie").expect("a cookie").split(';').next().expect("a pair").to_owned();
    assert!(session.starts_with("__Host-foregate="), "the other one redeems it: {reply:?}");
    for foregate in [&house.foregate, &other, &house.foregate] {
        let reply = foregate.check(ticket.as_str(), &[&beside, NAVIGATES]);
        let cookie = reply.header("set-cookie").expect("a cookie");
        assert!(cookie.starts_with("__Host-foregate-login="), "used up for both: {reply:?}");
    }
    let cookie = format!("Cookie: {session}");
    for foregate in [&house.foregate, &other] {
        assert_eq!(foregate.check(&page, &[&cookie]).header("remote-user"), Some("alice"));
    }
    browser.open(&house.url("auth.example.com", "/.foregate/sign-out?rd=/.foregate/signed-out"));
    let end = Instant::now() + Duration::from_secs(20);
    while other.check(&page, &[&cookie]).status == 200 {
        assert!(Instant::now() < end, "the other replica never hears of it");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn without_the_store_no_ticket_is_redeemed() {
    let mut server = postgres::Postgres::start();
    let house = House::with(&format!("store = \"{}\"", server.url()));
    let mut browser = Browser::default();
    let page = house.url(PHOTOS, "/page");
    let ticket = house.ticket_for(&mut browser, &page);
    server.kill_hard();
    let reply = browser.step("GET", &ticket, "");
    assert!(reply.status == 503 && reply.header("retry-after").is_some(), "{reply:?}");
    assert!(reply.all("set-cookie").is_empty(), "{reply:?}");
    server.restart();
    let end = Instant::now() + Duration::from_secs(20);
    while !welcomes(&browser.open(&page), "alice") {
        assert!(Instant::now() < end, "it never recovers");
        std::thread::sleep(Duration::from_millis(100));
    }
}
