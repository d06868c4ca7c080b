//! Where people are sent: by sign-in, callback and sign-out, ours and those of other products' addresses.

use url::Url;
use url::form_urlencoded::byte_serialize;

use super::world::{World, stranger, world};
use crate::support::http::{Browser, NAVIGATES, Reply};

/// The addresses that take a target, each with the name of the parameter.
const TAKERS: [&str; 9] = [
    "/.foregate/sign-in?rd=",
    "/.foregate/sign-out?rd=",
    "/oauth2/start?rd=",
    "/oauth2/sign_in?rd=",
    "/oauth2/sign_out?rd=",
    "/outpost.goauthentik.io/start?rd=",
    "/outpost.goauthentik.io/start?redirect=",
    "/outpost.goauthentik.io/sign_out?rd=",
    "/.foregate/sign-in?account=retry&rd=",
];

/// Follows a redirect chain of ours for as long as it stays here, and holds that it leads to nobody else.
#[track_caller]
fn stays_with_us(world: &World, browser: &Browser, taker: &str, target: &str) {
    let escaped: String = byte_serialize(target.as_bytes()).collect();
    // As a careful page writes it, and as a careless one does.
    let plain = target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    for written in [Some(escaped), plain.then(|| target.to_owned())].into_iter().flatten() {
        let mut browser = browser.clone();
        let mut url = Url::parse(&format!("{}{written}", world.url("auth", taker))).expect("a URL");
        for _ in 0..6 {
            let reply = browser.step("GET", &url, "");
            let Some(location) = reply.header("location") else {
                assert!(!reply.body.contains("href=\"//") && !reply.body.contains("http-equiv"), "{reply:?}");
                let away = reply
                    .body
                    .split("href=\"")
                    .skip(1)
                    .map(|rest| rest.split('"').next().unwrap_or_default())
                    // The icon is in the page itself.
                    .any(|href| !href.starts_with("data:image/svg+xml,") && leads_away(world, href));
                assert!(!away, "{taker}{written}: {reply:?}");
                break;
            };
            assert!(!leads_away(world, location), "{taker}{written} led to {location}");
            url = Url::parse(location).expect("an absolute address");
            if !url.path().starts_with("/.foregate/") && !url.path().starts_with("/authorize") {
                break;
            }
        }
    }
}

/// Whether an address is neither ours nor the provider's.
fn leads_away(world: &World, location: &str) -> bool {
    let Ok(to) = Url::parse(&location.replace("&amp;", "&").replace("&#38;", "&")) else { return true };
    let ours = to.scheme() == "http"
        && to.port() == Some(world.port)
        && to.username().is_empty()
        && to.password().is_none()
        && to
            .host_str()
            .is_some_and(|host| host == "foregate.localhost" || host.ends_with(".foregate.localhost"));
    !ours && !location.starts_with(&world.provider.issuer())
}

fn everywhere(targets: &[String]) {
    let world = World::new();
    let (alice, nobody) = (world.sign_in("alice"), stranger("alice"));
    for target in targets {
        for taker in TAKERS {
            // A sign-out needs a session only once; whoever has none is led on all the same.
            let browser = if taker.contains("out?") { &nobody } else { &alice };
            stays_with_us(&world, browser, taker, target);
        }
    }
    // Signed in and signed out for real, with the first of them.
    for target in targets.iter().take(3) {
        let mut leaving = world.sign_in("bob");
        let escaped: String = byte_serialize(target.as_bytes()).collect();
        let url =
            Url::parse(&world.url("auth", &format!("/.foregate/sign-out?rd={escaped}"))).expect("a URL");
        let reply = leaving.step("GET", &url, "");
        assert!(!leads_away(&world, reply.header("location").unwrap_or("x:")), "{target}: {reply:?}");
        let mut arriving = stranger("bob");
        let url = world.url("auth", &format!("/.foregate/sign-in?rd={escaped}"));
        arriving.open(&url);
        assert!(
            arriving.visited.iter().all(|url| !leads_away(&world, url.as_str())),
            "{:?}",
            arriving.visited
        );
        assert!(arriving.cookie("foregate").is_some(), "{target}");
    }
}

/// Found by an attack on foregate itself: a page to come back to that is a deed, such as the sign-out.
#[test]
fn nobody_is_sent_to_an_address_of_ours_that_acts() {
    let world = World::new();
    let home = world.url("auth", "/");
    for act in [
        "/.foregate/sign-out",
        "/%2eforegate/sign-out",
        "/.foregate/callback?code=x&state=y",
        "/.foregate/auth/traefik",
        "/.foregate/session",
        "/.foregate/device",
        "/oauth2/sign_out",
        "/outpost.goauthentik.io/sign_out",
    ] {
        for host in ["auth", "app"] {
            let escaped: String = byte_serialize(world.url(host, act).as_bytes()).collect();
            let nested: String =
                byte_serialize(format!("/.foregate/sign-in?rd={escaped}").as_bytes()).collect();
            let mut alice = world.sign_in("alice");
            for rd in [&escaped, &nested] {
                let sign_in = world.url("auth", &format!("/.foregate/sign-in?rd={rd}"));
                let reply = alice.step("GET", &Url::parse(&sign_in).expect("a URL"), "");
                assert_eq!(reply.location().as_str(), home, "{act} with a session");
                // The same by way of the provider.
                let mut arriving = stranger("alice");
                arriving.open(&sign_in);
                assert!(arriving.cookie("foregate").is_some(), "{act}: {:?}", arriving.visited);
                assert_eq!(arriving.visited.last().map(Url::as_str), Some(home.as_str()), "{act}");
            }
        }
    }
    let mut alice = world.sign_in("alice");
    let account = world.url("auth", "/.foregate/account?code=BCDF-GHJK");
    let sign_in = world.url("auth", &format!("/.foregate/sign-in?rd={account}"));
    let reply = alice.step("GET", &Url::parse(&sign_in).expect("a URL"), "");
    assert_eq!(reply.location().as_str(), account, "the account page is one");
}

fn owned(targets: &[&str]) -> Vec<String> {
    targets.iter().map(|target| (*target).to_owned()).collect()
}

/// `CVE-2020-5233 / GHSA-qqxw-m5fj-f7gv` oauth2-proxy: a target that begins as a path and goes to another host.
///
/// Tried: every address that takes a target, ours and those of other products, with a session and without, escaped and
/// not.
#[test]
fn cve_2020_5233_what_begins_as_a_path_ends_as_one() {
    everywhere(&owned(&[
        "/\\evil.test",
        "\\\\evil.test",
        "//evil.test",
        "///evil.test",
        "https:/evil.test",
        "https:evil.test",
        "http:evil.test",
        "/\\/evil.test",
        "\\/evil.test",
        "/////evil.test",
        "http:///evil.test",
        "http:\\\\evil.test",
        "evil.test",
        "@evil.test",
        ".evil.test",
        ":80//evil.test",
        "?//evil.test",
        "#//evil.test",
        "",
    ]));
}

/// `CVE-2020-4037 / GHSA-5m6c-jp6f-2vcv` oauth2-proxy: a target with white space, dots and backslashes between its slashes.
///
/// Tried: over 600 targets made of their parts, at sign-in and sign-out; a hundred of them at every address that takes one.
#[test]
fn cve_2020_4037_no_mixture_of_slashes_leads_away() {
    let starts = [
        "/",
        "//",
        "/\\",
        "\\",
        "/./",
        "/a/../",
        "/a/..//",
        "/%09/",
        "/\t/",
        "/.//",
        "/;/",
        "http:",
        "https:/",
        "%2f",
        "\r\n/",
        " /",
        "\u{a0}/",
        "/\u{2028}/",
    ];
    let middles = ["", "/", "\\", "\t", "%09", "%5c", "%2f", "/./", "/../", "\\.\\", "\n", "%0d%0a"];
    let hosts = ["/evil.test", "\\evil.test", "/evil.test/%2e%2e", "/evil.test@app.foregate.localhost"];
    let mut targets = Vec::new();
    for start in starts {
        for middle in middles {
            targets.extend(hosts.iter().map(|host| format!("{start}{middle}{host}")));
        }
    }
    assert!(targets.len() > 600);
    let some: Vec<String> = targets.iter().step_by(8).cloned().collect();
    everywhere(&some);
    let (alice, nobody) = (world().sign_in("alice"), stranger("alice"));
    for target in &targets {
        stays_with_us(world(), &alice, TAKERS[0], target);
        stays_with_us(world(), &nobody, TAKERS[1], target);
    }
}

/// `CVE-2024-52289; CVE-2026-41569` authentik: a host that is a pattern's, or a prefix of another one.
///
/// Tried: every address that takes a target; neighbours of our names in every direction, hosts below wildcards.
#[test]
fn cve_2024_52289_hosts_are_compared_whole() {
    let port = world().port;
    let hosts = [
        "appxforegate.localhost",
        "app.foregate.localhost.evil.test",
        "evilapp.foregate.localhost.test",
        "xforegate.localhost",
        "app.foregateXlocalhost",
        "foregate.localhost.evil",
        "app.foregate.localhost%2eevil.test",
        "a.b.wild.foregate.localhost.evil.test",
        "evil.test/app.foregate.localhost",
        "evil.test?app.foregate.localhost",
        "evil.test#app.foregate.localhost",
        "app.foregate.localhos",
        "app.foregate.localhostx",
        "127.0.0.1",
        "[::1]",
        "localhost",
    ];
    let mut targets: Vec<String> = Vec::new();
    for host in hosts {
        targets.push(format!("http://{host}:{port}/"));
        targets.push(format!("http://{host}/"));
        targets.push(format!("https://{host}/"));
    }
    everywhere(&targets);
    // A known domain is not enough: only hosts of apps.
    let mut alice = world().sign_in("alice");
    for (host, is_ours) in
        [("app", true), ("any.wild", true), ("a.b.wild", false), ("unknown", false), ("wild", false)]
    {
        let page = world().url(host, "/page");
        let url = Url::parse(&world().url("auth", &format!("/.foregate/sign-in?rd={page}"))).expect("a URL");
        let to = alice.step("GET", &url, "").location();
        assert_eq!(to.as_str() == page, is_ours, "{host}: {to}");
    }
}

/// `CVE-2022-23527 / GHSA-q6f2-285m-gr53; mod_auth_openidc#449, #453, #565` mod_auth_openidc: the same at the sign-out.
///
/// Tried: every sign-out, ours and those of other products, with a live session each time; by GET, and by POST with the proof
/// of a form.
#[test]
fn cve_2022_23527_a_sign_out_leads_where_a_sign_in_would() {
    let world = World::new();
    for target in [
        "/\\evil.test",
        "%2f%5cevil.test%2fa%3fhttps%3a%2f%2fapp.foregate.localhost",
        "\t//evil.test",
        "/\t/evil.test",
        "HTTPS://evil.test/",
        "hTtP://evil.test",
        "//evil.test@app.foregate.localhost",
        "https:\\evil.test",
        "javascript:alert(1)",
        "data:text/html,x",
    ] {
        for out in ["/.foregate/sign-out?rd=", "/oauth2/sign_out?rd=", "/outpost.goauthentik.io/sign_out?rd="]
        {
            let leaving = world.sign_in("alice");
            stays_with_us(&world, &leaving, out, target);
        }
        let (mut leaving, csrf) = at_the_choices(&world);
        let escaped: String = byte_serialize(target.as_bytes()).collect();
        let url = Url::parse(&world.url("auth", "/.foregate/sign-out")).expect("a URL");
        let reply = leaving.step("POST", &url, &format!("scope=browser&csrf={csrf}&rd={escaped}"));
        assert!(
            reply.status == 303 && !leads_away(&world, reply.header("location").unwrap_or("x:")),
            "{reply:?}"
        );
    }
}

/// Somebody who looks at the choices of a sign-out, and the proof in that form.
fn at_the_choices(world: &World) -> (Browser, String) {
    let mut browser = world.sign_in("alice");
    browser.lines.push("Sec-Fetch-Site: cross-site".into());
    let url = Url::parse(&world.url("auth", "/.foregate/sign-out")).expect("a URL");
    let page = browser.step("GET", &url, "");
    browser.lines.pop();
    let csrf = page.body.split("name=\"csrf\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
    let csrf: String = byte_serialize(csrf.unwrap_or_else(|| panic!("{page:?}")).as_bytes()).collect();
    (browser, csrf)
}

/// `CVE-2021-29456 / GHSA-36f2-fcrx-fp4j; pomerium#6358; vouch@6112609; CVE-2024-21497` Authelia, Pomerium, vouch-proxy,
/// caddy-security: a sign-out that leads to whoever is named.
///
/// Tried: every sign-out with each name that a product has for its target, several at once.
#[test]
fn cve_2021_29456_a_sign_out_leads_nobody_away() {
    let world = World::new();
    let names = [
        "rd",
        "redirect",
        "redirect_url",
        "redirect_uri",
        "post_logout_redirect_uri",
        "url",
        "next",
        "logout",
        "return_to",
        "ReturnTo",
        "state",
        "rd[]",
    ];
    for out in [
        "/.foregate/sign-out",
        "/.foregate/signed-out",
        "/oauth2/sign_out",
        "/outpost.goauthentik.io/sign_out",
        "/.foregate/frontchannel-logout",
    ] {
        for name in names {
            for target in
                ["https://evil.test/", "//evil.test/", "https://evil.test/?http://app.foregate.localhost"]
            {
                let leaving = world.sign_in("alice");
                stays_with_us(&world, &leaving, &format!("{out}?{name}="), target);
                let own: String = byte_serialize(world.url("app", "/").as_bytes()).collect();
                stays_with_us(&world, &leaving, &format!("{out}?{name}={own}&{name}="), target);
                stays_with_us(&world, &leaving, &format!("{out}?rd={own}&{name}="), target);
            }
        }
    }
}

/// `CVE-2021-29652 / GHSA-fv82-r8qv-ch4v` Pomerium: a signed address of which one part was changed, or left out.
///
/// Tried: the callback with each letter of its state changed, each parameter left out, doubled and taken from another
/// sign-in: 400 or 502, no session, no code redeemed. Sign-in addresses carry no authority at all.
#[test]
fn cve_2021_29652_every_part_of_a_sign_in_is_sealed() {
    let world = World::new();
    let callback = |browser: &mut Browser, page: &str| {
        let start = browser.step("GET", &Url::parse(&world.url("app", page)).expect("a URL"), "").location();
        browser.step("GET", &start, "").location()
    };
    let mut browser = stranger("alice");
    let good = callback(&mut browser, "/good");
    let pairs: Vec<(String, String)> = good.query_pairs().into_owned().collect();
    let with = |pairs: &[(String, String)]| {
        let mut url = good.clone();
        url.query_pairs_mut().clear().extend_pairs(pairs);
        url
    };
    let refused = |browser: &mut Browser, url: &Url| {
        let reply = browser.step("GET", url, "");
        assert!(matches!(reply.status, 400 | 502) && reply.all("set-cookie").is_empty(), "{url}: {reply:?}");
    };
    let at = pairs.iter().position(|(name, _)| name == "state").expect("a state");
    let state = pairs[at].1.clone();
    for index in 0..state.len() {
        let mut bytes = state.clone().into_bytes();
        bytes[index] = if bytes[index] == b'A' { b'B' } else { b'A' };
        let mut changed = pairs.clone();
        changed[at].1 = String::from_utf8(bytes).expect("text");
        // The last letter of base64 may have bits that nobody reads; then it is no letter of ours.
        refused(&mut browser, &with(&changed));
    }
    for (index, (name, value)) in pairs.iter().enumerate() {
        let mut less = pairs.clone();
        less.remove(index);
        let reply = browser.step("GET", &with(&less), "");
        assert!(
            matches!(reply.status, 400 | 403 | 502) && reply.all("set-cookie").is_empty(),
            "no {name}: {reply:?}"
        );
        let mut twice = pairs.clone();
        twice.push((name.clone(), value.clone()));
        refused(&mut browser, &with(&twice));
    }
    assert_eq!(world.provider.asked("/token"), 0, "no code was shown to anybody");
    // Another sign-in's state with this one's code: another verifier.
    let other = callback(&mut browser, "/other");
    let mut mixed = pairs.clone();
    mixed[at].1 = other.query_pairs().find(|(name, _)| name == "state").expect("a state").1.into_owned();
    browser.step("GET", &with(&mixed), "");
    assert!(browser.cookie("foregate").is_none(), "a code of another sign-in");
    let reply = browser.open(good.as_str());
    assert!(reply.status == 200 && reply.body.starts_with("GET /good "), "the true one counts: {reply:?}");
}

/// `oauth2-proxy#1673` oauth2-proxy: another scheme, another port, or a name before the host.
///
/// Tried: every address that takes a target.
#[test]
fn oauth2_proxy_1673_scheme_and_port_are_part_of_an_origin() {
    let port = world().port;
    everywhere(&[
        format!("https://app.foregate.localhost:{port}/"),
        "http://app.foregate.localhost:1337/".to_owned(),
        "http://app.foregate.localhost/".to_owned(),
        "https://app.foregate.localhost/".to_owned(),
        "ftp://app.foregate.localhost/".to_owned(),
        format!("http://app.foregate.localhost:{port}@evil.test/"),
        format!("http://app.foregate.localhost@evil.test:{port}/"),
        format!("http://x@app.foregate.localhost:{port}/"),
        format!("http://x:y@app.foregate.localhost:{port}/"),
        format!("http://app.foregate.localhost:443@evil.test:{port}/"),
        format!("http://app.foregate.localhost:{port}1/"),
        format!("http://app.foregate.localhost:0{port}@evil.test/"),
        format!("http://app.foregate.localhost:{port}\\@evil.test/"),
        format!("ws://app.foregate.localhost:{port}/"),
    ]);
}

/// `CVE-2024-21496, CVE-2023-52430; CVE-2024-21637, CVE-2026-42849` caddy-security (adjacent), authentik: markup and scripts in
/// whatever a page may repeat.
///
/// Tried: every page that foregate makes, with markup in target, error, state, referrer, host, path, and in the names that the
/// provider tells.
#[test]
fn cve_2024_21496_pages_repeat_text_as_text() {
    let world = World::new();
    let evil = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>{{7*7}}";
    let escaped: String = byte_serialize(evil.as_bytes()).collect();
    let claims =
        serde_json::json!({ "name": evil, "preferred_username": evil, "email": evil, "groups": [evil] });
    let mind = crate::support::hostile_provider::Mind { claims, ..Default::default() };
    world.provider.is_of(mind);
    let mut browser = stranger("alice");
    browser.open(&world.url("app", "/"));
    let cookie = super::world::cookie_of(&browser);
    let referer = format!("Referer: http://auth.foregate.localhost:{}/{evil}", world.port);
    for cookie in [cookie.as_str(), "X: y"] {
        for page in [
            format!("/.foregate/sign-in?rd={escaped}"),
            format!("/.foregate/sign-in?rd=javascript:alert(1)&account=other&provider={escaped}"),
            format!(
                "/.foregate/callback?error={escaped}&error_description={escaped}&state={escaped}&iss={escaped}"
            ),
            format!("/.foregate/callback?code={escaped}&state={escaped}"),
            format!("/.foregate/sign-out?rd={escaped}"),
            format!("/.foregate/signed-out?state={escaped}"),
            format!("/.foregate/account?x={escaped}"),
            format!("/.foregate/session?rd={escaped}"),
            format!("/.foregate/{escaped}"),
            format!("/oauth2/sign_in?rd={escaped}"),
            format!("/outpost.goauthentik.io/start?rd={escaped}"),
            "/".to_owned(),
        ] {
            let lines = [NAVIGATES, &referer, "Sec-Fetch-Site: cross-site", cookie];
            is_harmless(&world.own("GET", &page, &lines, ""), &page);
        }
        for host in [
            "admins.foregate.localhost",
            "nobody.foregate.localhost",
            "x.evil.test",
            "app.foregate.localhost",
        ] {
            for entrance in super::world::ENTRANCES.into_iter().filter(|entrance| entrance.is_check()) {
                let uri = format!("/{escaped}?{escaped}");
                is_harmless(&world.ask(entrance, host, &uri, &[NAVIGATES, &referer, cookie]), host);
                is_harmless(
                    &world.ask(
                        entrance,
                        &format!("{host}\"><script>alert(1)</script>"),
                        "/",
                        &[NAVIGATES, cookie],
                    ),
                    host,
                );
            }
        }
        let denied =
            world.ask(super::world::Entrance::Proxy, "admins.foregate.localhost", "/", &[NAVIGATES, cookie]);
        is_harmless(&denied, "denied by the proxy");
    }
}

#[track_caller]
fn is_harmless(reply: &Reply, what: &str) {
    let is_html = reply.header("content-type").is_some_and(|kind| kind.starts_with("text/html"));
    for part in ["<script>alert", "<img src=x", "onerror=alert(1)>", "href=\"javascript:", "49"] {
        let found = is_html && reply.body.contains(part) && (part != "49" || reply.body.contains("}}"));
        assert!(!found, "{part} {what}: {reply:?}");
    }
    if is_html {
        let policy = reply.header("content-security-policy").unwrap_or_else(|| panic!("{what}: {reply:?}"));
        assert!(
            policy.contains("default-src 'none'") && policy.contains("frame-ancestors"),
            "{what}: {policy}"
        );
        assert!(!policy.contains("unsafe"), "{what}: {policy}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{what}");
    }
    for (name, value) in &reply.headers {
        assert!(!value.contains("<script>"), "{what} {name}: {value}");
    }
}
