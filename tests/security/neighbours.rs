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
use crate::support::http::{NAVIGATES, Reply, raw, request};

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
        // Read once more, as a browser may write cookies down behind the script.
        &json!([{ "open": there }, { "eval": big }, { "eval": "document.cookie.length" }, { "open": house.url("app", "/big"), "optional": true }]),
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

/// `Web cache deception (Gil 2017, PortSwigger 2024)` Many servers: a page about somebody, under an address that a cache takes for a
/// file for everybody.
///
/// Tried: every own address and those of other products, on foregate's own host and on an app's, with what caches take for the end
/// of a file's name behind it, encoded and not, as somebody: no word about them, and nobody may keep it. Under its own name a page
/// is never kept either.
#[test]
fn web_cache_deception_no_page_about_somebody_is_a_file() {
    let world = World::new();
    let alice = world.cookie("alice");
    let private = |reply: &Reply| format!("{reply:?}").to_ascii_lowercase().contains("alice");
    let hosts = ["auth", "app"].map(|host| format!("Host: {host}.foregate.localhost:{}", world.port));
    let pages = [
        "/.foregate/account",
        "/.foregate/session",
        "/.foregate/sign-out",
        "/.foregate/signed-out",
        "/.foregate/device",
        "/.foregate/auth/traefik",
        "/oauth2/userinfo",
        "/oauth2/auth",
        "/oauth2/sign_in",
        "/outpost.goauthentik.io/start",
        "/outpost.goauthentik.io/auth/traefik",
    ];
    let ends = [
        "/x.css",
        ".css",
        ";x.css",
        ";.css",
        "%3bx.css",
        "%2fx.css",
        "%2Fx.css",
        "%252fx.css",
        "%00x.css",
        "%0ax.css",
        "%23x.css",
        "%3fx.css",
        "%5cx.css",
        "\\x.css",
        "$x.css",
        "!x.css",
        "~.css",
        "/..%2fx.css",
        "/../x.css",
        "/.css",
        "//x.css",
        "/",
        "/x.js?a=b",
        "%20.css",
        ".avif",
        "/favicon.ico",
        "/robots.txt",
        "/%2e%2e/static/x.css",
    ];
    for host in &hosts {
        for page in pages {
            for lines in [&[NAVIGATES][..], &["Accept: text/css,*/*;q=0.1", "Sec-Fetch-Dest: style"]] {
                let ask = |target: &str| {
                    let all = [&[&**host, "Connection: close", &alice, "Sec-Fetch-Site: cross-site"], lines]
                        .concat();
                    raw(world.foregate.public, request("GET", target, &all, "").as_bytes())
                };
                for end in ends {
                    let reply = ask(&format!("{page}{end}"));
                    // What is not ours is the app's, which is shown who asks, and says itself what may be kept.
                    let of_app = reply.body.starts_with("GET /")
                        && host == &hosts[1]
                        && !page.starts_with("/.foregate/");
                    assert!(of_app || !private(&reply), "{host} {page}{end}: {reply:?}");
                    let kept = reply.header("cache-control").unwrap_or_default();
                    assert!(of_app || kept.contains("no-store"), "{host} {page}{end}: {reply:?}");
                }
                for query in ["", "?x.css", "?/x.css", "?a=/static/x.css"] {
                    let kept = ask(&format!("{page}{query}"));
                    let kept = kept.header("cache-control").unwrap_or_default();
                    assert!(kept.contains("no-store"), "{host} {page}{query}: {kept}");
                }
            }
        }
    }
    for page in ["/.foregate/account", "/.foregate/session", "/oauth2/userinfo"] {
        let reply = world.own("GET", page, &[&alice, NAVIGATES], "");
        assert!(reply.status == 200 && private(&reply), "{page} is about her: {reply:?}");
    }
}

/// `CVE-2024-41657` Casdoor: an origin that resembles one that may read, or any at all.
///
/// Tried: every own address and those of other products by GET, OPTIONS and POST, and all entrances, with and without a session:
/// prefixes, suffixes, schemes, ports, `null`, lists and several lines of an origin that may read, which is told its own name at one
/// address and nowhere else.
#[test]
fn cve_2024_41657_an_origin_is_allowed_whole_and_in_one_place() {
    let world = World::with("", |config| {
        config.replace("[session]", "[session]\ncors_origins = [\"https://spa.example.com\"]")
    });
    let (alice, known) = (world.cookie("alice"), "Origin: https://spa.example.com");
    let names = ["access-control-allow-origin", "access-control-allow-credentials"];
    let app = format!("Origin: http://app.foregate.localhost:{}", world.port);
    let others: Vec<Vec<&str>> = [
        "Origin: https://evil.test",
        "Origin: https://spa.example.com.evil.test",
        "Origin: https://evil-spa.example.com",
        "Origin: https://xspa.example.com",
        "Origin: https://spaXexample.com",
        "Origin: https://evil.test/https://spa.example.com",
        "Origin: https://evil.test?https://spa.example.com",
        "Origin: https://spa.example.com@evil.test",
        "Origin: https://x@spa.example.com",
        "Origin: https://spa.example.co",
        "Origin: https://spa.example.com/",
        "Origin: https://spa.example.com.",
        "Origin: https://spa.example.com:443",
        "Origin: https://spa.example.com:8443",
        "Origin: http://spa.example.com",
        "Origin: HTTPS://spa.example.com",
        "Origin: https://SPA.example.com",
        "Origin: https://example.com",
        "Origin: https://spa.example.com, https://evil.test",
        "Origin: https://evil.test https://spa.example.com",
        "Origin: https://localhost",
        "Origin: null",
        "Origin: *",
        "Origin:",
        "Origin: file://",
        "Referer: https://spa.example.com/",
        "X-Origin: https://spa.example.com",
        &app,
    ]
    .map(|line| vec![line])
    .into_iter()
    .chain([
        vec![known, "Origin: https://evil.test"],
        vec!["Origin: https://evil.test", known],
        vec![known, known],
    ])
    .collect();
    let preflight = ["Access-Control-Request-Method: GET", "Access-Control-Request-Headers: x"];
    let asked = |line: &str, method: &str, page: &str, origins: &[&str]| {
        let more = if method == "OPTIONS" { &preflight[..] } else { &[] };
        world.own(method, page, &[&[line], origins, more].concat(), "")
    };
    for line in [&*alice, "X: y"] {
        for page in [
            "/.foregate/session",
            "/.foregate/account",
            "/.foregate/sign-in",
            "/.foregate/sign-out?x",
            "/.foregate/callback",
            "/.foregate/device",
            "/.foregate/device/token",
            "/.foregate/frontchannel-logout",
            "/.foregate/backchannel-logout",
            "/oauth2/userinfo",
            "/oauth2/auth",
            "/oauth2/start",
            "/outpost.goauthentik.io/start",
            "/outpost.goauthentik.io/auth/traefik",
        ] {
            for method in ["GET", "HEAD", "OPTIONS", "POST"] {
                for origins in &others {
                    let origins = [&origins[..], &["Sec-Fetch-Site: cross-site"]].concat();
                    let reply = asked(line, method, page, &origins);
                    assert_eq!(
                        names.map(|name| reply.all(name).len()),
                        [0, 0],
                        "{method} {page} {origins:?}: {reply:?}"
                    );
                }
                let reply = asked(line, method, page, &[known, "Sec-Fetch-Site: cross-site"]);
                let reads = page == "/.foregate/session";
                let told = names.map(|name| reply.header(name));
                let wanted =
                    if reads { [Some("https://spa.example.com"), Some("true")] } else { [None, None] };
                assert_eq!(told, wanted, "{method} {page}: {reply:?}");
            }
        }
        for entrance in ENTRANCES {
            for origins in others.iter().chain([&vec![known]]) {
                for host in [APP, OPEN, "admins.foregate.localhost"] {
                    let reply = world.ask(entrance, host, "/", &[&[line], &origins[..]].concat());
                    assert_eq!(
                        names.map(|name| reply.all(name).len()),
                        [0, 0],
                        "{entrance:?} {host} {origins:?}: {reply:?}"
                    );
                }
            }
        }
    }
}
