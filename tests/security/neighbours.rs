//! Pages of other sites and of neighbours below the same domain, in a real browser and as one: cookies that they toss, frames,
//! forms that they send for somebody, and what they learn from addresses and caches.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use url::Url;

use super::world::{APP, ENTRANCES, OPEN, World, assert_open, cookie_of, lines, stranger, world};
use crate::browser::{browse, browse_with_complaints, sign_in_as, text};
use crate::support::house::House;
use crate::support::http::{NAVIGATES, Reply};

/// A neighbour's web server: one page for all addresses, and every request that it gets.
struct Neighbour {
    port: u16,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Neighbour {
    fn start(html: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&seen);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let (kept, html) = (Arc::clone(&kept), html.clone());
                std::thread::spawn(move || {
                    let mut bytes = [0; 32 * 1024];
                    let Ok(length @ 1..) = stream.read(&mut bytes) else { return };
                    kept.lock()
                        .expect("the requests")
                        .push(String::from_utf8_lossy(&bytes[..length]).into_owned());
                    let _ = write!(
                        stream,
                        "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{html}",
                        html.len()
                    );
                });
            }
        });
        Self { port, seen }
    }

    fn at(&self, host: &str, page: &str) -> String {
        format!("http://{host}:{}{page}", self.port)
    }

    fn seen(&self) -> String {
        self.seen.lock().expect("the requests").join("\n")
    }
}

/// Steps that sign alice in at the app.
fn signed_in(house: &House) -> Vec<Value> {
    let [fill, click] = sign_in_as("alice");
    vec![json!({ "open": house.url("app", "/") }), fill, click]
}

fn cookies_named<'s>(seen: &'s Value, name: &str) -> Vec<&'s Value> {
    let all = seen["cookies"].as_array().expect("cookies");
    all.iter().filter(|cookie| cookie["name"] == name).collect()
}

#[test]
fn a_neighbour_that_tosses_cookies_locks_nobody_out() {
    let house = House::new();
    let toss = |name: &str, value: &str, path: &str| {
        format!("document.cookie = '{name}={value}; Domain=foregate.localhost; Path={path}'")
    };
    let neighbour = Neighbour::start("<title>neighbour</title>".to_owned());
    let there = neighbour.at("evil.foregate.localhost", "/");
    // Rubbish under our names, for longer paths too, as browsers send those first.
    let tossed: String = [
        ("foregate", "/"),
        ("foregate", "/.foregate"),
        ("foregate-login", "/"),
        ("foregate-login", "/.foregate"),
        ("foregate", "/page"),
    ]
    .iter()
    .map(|(name, path)| toss(name, "junk", path) + ";")
    .collect();
    let mut steps = vec![json!({ "open": there }), json!({ "eval": tossed })];
    steps.extend(signed_in(&house));
    steps.extend([
        json!({ "open": house.url("app", "/page") }),
        json!({ "open": house.url("auth", "/.foregate/account") }),
    ]);
    let seen = browse(&json!(steps));
    assert!(text(&seen[4]).contains("remote-user: alice"), "{}", seen[4]);
    assert!(text(&seen[5]).contains("remote-user: alice"), "{}", seen[5]);
    assert!(text(&seen[6]).contains("alice"), "{}", seen[6]);
}

#[test]
fn a_neighbour_that_overflows_the_jar_costs_a_sign_in_and_nothing_else() {
    let house = House::new();
    let neighbour = Neighbour::start("<title>neighbour</title>".to_owned());
    let there = neighbour.at("evil.foregate.localhost", "/");
    // More than a browser keeps for one site: ours are pushed out.
    let flood =
        "for (let n = 0; n < 400; n++) document.cookie = `n${n}=x; Domain=foregate.localhost; Path=/`";
    let mut steps = signed_in(&house);
    steps.extend([json!({ "open": there }), json!({ "eval": flood }), json!({ "cookies": true })]);
    steps.push(json!({ "open": house.url("app", "/after") }));
    let seen = browse(&json!(steps));
    let last = seen.last().expect("a step");
    // Known at the provider still, so that the way back needs no password; and a jar that is full is no open door.
    assert!(text(last).contains("GET /after ") && text(last).contains("remote-user: alice"), "{last}");
    let big = "for (let n = 0; n < 60; n++) document.cookie = `b${n}=${'x'.repeat(3000)}; Domain=foregate.localhost; Path=/`";
    let seen = browse(
        &json!([{ "open": there }, { "eval": big }, { "open": house.url("app", "/big"), "optional": true }]),
    );
    let last = seen.last().expect("a step");
    assert_eq!(last["status"].as_u64(), Some(431), "a head that is too large is told so: {last}");
}

#[test]
fn a_neighbour_cannot_have_a_person_finish_the_neighbours_sign_in() {
    // The attacker tosses the login cookie of a sign-in of their own, and sends the victim to its callback.
    let world = World::new();
    let mut attacker = stranger("bob");
    let start = attacker.step("GET", &Url::parse(&world.url("app", "/")).expect("a URL"), "").location();
    let callback = attacker.step("GET", &start, "").location();
    let mut victim = stranger("alice");
    let reply = victim.open(callback.as_str());
    assert!(!reply.body.contains("remote-user: bob"), "{reply:?}");
    assert!(victim.cookie("foregate").is_none_or(|_| reply.body.contains("remote-user: alice")), "{reply:?}");
    // Whoever is signed in stays so, whatever callback they are sent to.
    let mut signed_in = world.sign_in("alice");
    let before = cookie_of(&signed_in);
    signed_in.step("GET", &callback, "");
    let reply = signed_in.step("GET", &Url::parse(&world.url("app", "/")).expect("a URL"), "");
    assert!(reply.body.contains("remote-user: alice"), "{reply:?}");
    for entrance in ENTRANCES {
        assert_open(&world.ask(entrance, APP, "/", &[&before]), entrance, "her session goes on");
    }
}

#[test]
fn a_session_is_new_at_each_sign_in_whatever_cookie_was_there() {
    let world = World::new();
    // Fixation: the attacker's own live session in the victim's browser.
    let fixed = world.sign_in("bob");
    let mut victim = stranger("alice");
    victim.jar = fixed.jar.clone();
    victim.open(&world.url("auth", "/.foregate/sign-in?account=other"));
    let own = cookie_of(&victim);
    assert_ne!(own, cookie_of(&fixed));
    let mut attacker = fixed.clone();
    let reply = attacker.open(&world.url("app", "/"));
    assert!(!reply.body.contains("remote-user: alice"), "{reply:?}");
    let reply = world.ask(super::world::Entrance::Proxy, APP, "/", &[&own]);
    assert!(reply.body.contains("remote-user: alice\r\n"), "{reply:?}");
    // A value that the browser brings is never taken for a new session.
    let wish = "A".repeat(64);
    let mut chosen = stranger("alice");
    chosen.lines.push(format!("Cookie: foregate={wish}"));
    chosen.open(&world.url("auth", "/.foregate/sign-in"));
    assert_ne!(chosen.cookie("foregate").expect("a session").value, wish);
}

#[test]
fn a_page_that_frames_ours_shows_nothing() {
    let house = House::new();
    let pages = ["sign-in", "sign-out", "signed-out", "account", "callback?code=x&state=y"];
    let frames: String = pages
        .iter()
        .map(|page| format!("<iframe src=\"{}\"></iframe>", house.url("auth", &format!("/.foregate/{page}"))))
        .chain([format!("<iframe src=\"{}\"></iframe>", house.url("admins", "/"))])
        .collect();
    let neighbour = Neighbour::start(format!("<title>frames</title>{frames}"));
    for host in ["evil.foregate.localhost", "evil.localhost"] {
        let mut steps = signed_in(&house);
        steps.push(json!({ "open": neighbour.at(host, "/") }));
        // What is refused becomes a page of the browser's own, which nobody can look into.
        let look = "Promise.all([...document.querySelectorAll('iframe')].map(async (frame) => { \
            try { return frame.contentDocument === null ? 'closed' : frame.contentDocument.body.innerText } \
            catch { return 'closed' } }))";
        steps.push(json!({ "eval": look }));
        let seen = browse_with_complaints(&json!(steps));
        let opened = &seen[4]["value"];
        let texts: Vec<&str> = opened.as_array().expect("texts").iter().filter_map(Value::as_str).collect();
        assert!(texts.iter().all(|text| *text == "closed" || text.is_empty()), "{host}: {opened}");
        let told = seen[3]["console"].to_string() + &seen[4]["console"].to_string();
        assert!(told.contains("frame-ancestors") || told.contains("X-Frame-Options"), "{host}: {told}");
    }
    for page in pages {
        for cookie in [world().cookie("alice"), "X: y".to_owned()] {
            let reply = world().own(
                "GET",
                &format!("/.foregate/{page}"),
                &[&cookie, NAVIGATES, "Sec-Fetch-Site: cross-site"],
                "",
            );
            let is_page = reply.header("content-type").is_some_and(|kind| kind.starts_with("text/html"));
            let policy = reply.header("content-security-policy").unwrap_or_default();
            assert!(!is_page || policy.contains("frame-ancestors 'none'"), "{page}: {reply:?}");
        }
    }
}

#[test]
fn forms_of_other_sites_sign_nobody_out_and_end_nothing() {
    let house = House::new();
    let form = |path: &str, fields: &[(&str, &str)], id: &str| {
        let fields: String =
            fields.iter().map(|(name, value)| format!("<input name={name} value={value}>")).collect();
        format!(
            "<form id={id} method=post action=\"{}\">{fields}<button>go</button></form>",
            house.url("auth", path)
        )
    };
    let html = form("/.foregate/sign-out", &[("scope", "everywhere")], "out")
        + &form("/.foregate/account", &[("others", "all"), ("csrf", "x")], "account")
        + &format!("<img src=\"{}\">", house.url("auth", "/.foregate/sign-out"))
        + &format!("<link rel=prefetch href=\"{}\">", house.url("auth", "/.foregate/sign-out"));
    let neighbour = Neighbour::start(format!("<title>forms</title>{html}"));
    for host in ["evil.localhost", "evil.foregate.localhost"] {
        let there = neighbour.at(host, "/");
        let mut steps = signed_in(&house);
        for id in ["#out", "#account"] {
            steps.extend([json!({ "open": there }), json!({ "click": format!("{id} button") })]);
        }
        let fetches = format!(
            "Promise.allSettled(['/.foregate/sign-out', '/.foregate/account', '/.foregate/sign-out?scope=everywhere'].flatMap((path) => \
             ['GET', 'POST'].map((method) => fetch('{}' + path, {{ method, mode: 'no-cors', credentials: 'include' }})))).then(() => true)",
            house.url("auth", "")
        );
        steps.extend([
            json!({ "open": there }),
            json!({ "eval": fetches }),
            json!({ "open": house.url("app", "/after") }),
        ]);
        let seen = browse_with_complaints(&json!(steps));
        for step in [4, 6] {
            assert_eq!(seen[step]["status"].as_u64(), Some(403), "{host}: {}", seen[step]);
        }
        let last = seen.last().expect("a step");
        assert!(text(last).contains("remote-user: alice"), "{host}: {last}");
        assert_eq!(last["redirects"].as_u64(), Some(0), "{host}: the same session: {last}");
    }
}

#[test]
fn another_site_makes_nobody_sign_in_as_somebody_else() {
    // Login CSRF: a page opens our sign-in. Whoever is signed in stays who they are, and nobody else becomes anybody.
    let house = House::new();
    let neighbour = Neighbour::start(format!(
        "<title>links</title><a id=in href=\"{}\">in</a><img src=\"{}\">",
        house.url("auth", "/.foregate/sign-in"),
        house.url("auth", "/.foregate/callback?code=theirs&state=theirs"),
    ));
    let mut steps = signed_in(&house);
    steps.extend([
        json!({ "cookies": true }),
        json!({ "open": neighbour.at("evil.localhost", "/") }),
        json!({ "click": "#in" }),
        json!({ "open": house.url("app", "/after") }),
        json!({ "cookies": true }),
    ]);
    let seen = browse(&json!(steps));
    assert!(text(&seen[6]).contains("remote-user: alice"), "{}", seen[6]);
    let value =
        |step: usize| cookies_named(&seen[step], "foregate").first().map(|cookie| cookie["value"].clone());
    assert_eq!(value(3), value(7), "the very same session");
    assert!(value(3).is_some());
}

#[test]
fn no_code_and_no_state_is_in_a_referrer() {
    let house = House::new();
    let neighbour = Neighbour::start("<title>elsewhere</title>".to_owned());
    // The app's own page, reached by a callback, has links and images that lead elsewhere.
    let away = neighbour.at("evil.localhost", "/from-the-app");
    let leave = format!("(location.href = '{away}', true)");
    let mut steps = signed_in(&house);
    steps.extend([json!({ "eval": leave }), json!({ "waitUrl": "from-the-app" })]);
    // And from a page of ours that a broken callback shows.
    let broken = house.url("auth", "/.foregate/callback?code=SECRETCODE&state=SECRETSTATE");
    let leave = format!("(location.href = '{}', true)", neighbour.at("evil.localhost", "/from-us"));
    steps.extend([json!({ "open": broken }), json!({ "eval": leave }), json!({ "waitUrl": "from-us" })]);
    browse_with_complaints(&json!(steps));
    let seen = neighbour.seen();
    assert!(seen.contains("GET /from-the-app ") && seen.contains("GET /from-us "), "{seen}");
    for part in ["code=", "state=", "SECRET", "callback", "nonce"] {
        assert!(!seen.contains(part), "{part}: {seen}");
    }
    // What the app itself gets of the way back.
    for request in house.backend.seen() {
        assert!(!request.contains("code=") && !request.contains("state="), "{request}");
    }
}

#[test]
fn nobody_in_between_keeps_an_answer_of_ours() {
    let world = World::new();
    let alice = world.cookie("alice");
    let bob = world.cookie("bob");
    let kept = |reply: &Reply, what: &str| {
        let said = reply.header("cache-control").unwrap_or_else(|| panic!("{what}: {reply:?}"));
        assert!(said.contains("no-store"), "{what}: {said}");
        for name in ["etag", "last-modified", "expires", "age"] {
            assert_eq!(reply.header(name), None, "{what}");
        }
    };
    let shown: [Vec<String>; 4] = [
        vec![],
        vec![alice.clone()],
        vec![alice.clone(), NAVIGATES.into()],
        vec!["Cookie: foregate=x".into(), NAVIGATES.into()],
    ];
    for shown in &shown {
        for method in ["GET", "POST", "HEAD", "DELETE", "OPTIONS"] {
            for page in [
                "/",
                "/.foregate/sign-in",
                "/.foregate/callback",
                "/.foregate/callback?state=x",
                "/.foregate/sign-out?x",
                "/.foregate/signed-out",
                "/.foregate/backchannel-logout",
                "/.foregate/frontchannel-logout",
                "/.foregate/account",
                "/.foregate/session",
                "/.foregate/device",
                "/.foregate/device/token",
                "/.foregate/other",
                "/.foregate/",
                "/.foregate/auth/traefik",
                "/.foregate/auth/other",
                "/oauth2/start",
                "/oauth2/sign_in",
                "/oauth2/userinfo",
                "/oauth2/other",
                "/outpost.goauthentik.io/start",
                "/outpost.goauthentik.io/ping",
                "/outpost.goauthentik.io/other",
                "/other",
                "/%zz",
            ] {
                // A sign-out would end what the next row shows.
                let lines: Vec<&str> =
                    lines(shown).into_iter().chain(["Sec-Fetch-Site: cross-site"]).collect();
                kept(&world.own(method, page, &lines, ""), &format!("{method} {page} {shown:?}"));
            }
        }
    }
    // What everybody may know may be kept: the keys, and the script without anybody's name in it.
    for (page, part) in [("/.foregate/jwks.json", "max-age"), ("/.foregate/session.js", "")] {
        let reply = world.own("GET", page, &[&alice], "");
        assert!(reply.header("cache-control").is_some_and(|said| said.contains(part)), "{page}: {reply:?}");
        assert!(!reply.body.contains("alice") && reply.all("set-cookie").is_empty(), "{page}: {reply:?}");
    }
    // Denials of the reverse proxy are ours, answers of the app are its own.
    for (host, cookie) in [
        (APP, "X: y"),
        ("admins.foregate.localhost", &*bob),
        ("nobody.foregate.localhost", &*bob),
        ("unknown.test", "X: y"),
    ] {
        for accept in [NAVIGATES, "Accept: application/json"] {
            kept(&world.ask(super::world::Entrance::Proxy, host, "/", &[cookie, accept]), host);
        }
    }
    let own = world.ask(super::world::Entrance::Proxy, OPEN, "/", &[]);
    assert_eq!(own.header("cache-control"), None, "{own:?}");
    let admin = |path: &str| {
        crate::support::http::get(world.foregate.admin, path, &[&format!("Host: {}", world.foregate.admin)])
    };
    for path in
        ["/livez", "/readyz", "/metrics", "/api/v1/sessions", "/api/v1/users", "/api/v1/other", "/other"]
    {
        kept(&admin(path), path);
    }
}
