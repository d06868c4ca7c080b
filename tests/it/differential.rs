//! Two servers, one request: what foregate has judged, and what a backend behind a real front proxy makes of what it gets. Never is a
//! page public here and closed there. The requests are made up (`requests`), and a backend is every server at once (`readings`).

mod requests;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;

use proptest::prelude::*;
use serde_json::Value;

use crate::security::world::{self, ENTRANCES, Entrance};
use crate::support::backend::Backend;
use crate::support::foregate::{Foregate, free_port};
use crate::support::http::{Browser, Reply, Wire, request};
use crate::support::provider::Provider;
use crate::support::proxies::FrontProxy;
use crate::support::readings::{Received, in_ascii, paths};
use foregate::visit::{Path, parse_host};
use requests::{Made, hold, requests, uri};

/// Mostly closed, mostly open, and open altogether.
const HOSTS: &[&str] = &["app.foregate.localhost", "wide.foregate.localhost", "open.foregate.localhost"];

const APPS: &str = r#"
[apps."app.foregate.localhost"]
UPSTREAM
allow = "group:family"
rules = [
  { path = "/public/**", allow = "public" },
  { path = "/foo/*/bar", allow = "public" },
  { path = "/health", methods = ["GET"], allow = "public" },
  { path = "/admin/**", allow = "group:Home Server Admins" },
]
[apps."wide.foregate.localhost"]
UPSTREAM
allow = "public"
rules = [
  { path = "/admin/**", allow = "group:Home Server Admins" },
  { path = "/family/**", allow = "group:family" },
  { path = "/kb/*/edit", methods = ["POST"], allow = "group:family" },
]
[apps."open.foregate.localhost"]
UPSTREAM
allow = "public"
"#;

/// Whom a page is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum For {
    Everybody,
    Family,
    Admins,
}

/// The rules above once more, for a path as a server has read it.
fn page(host: &str, path: &str, method: &str) -> For {
    let below =
        |prefix: &str| path == prefix || path.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/'));
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let is = |first: &str, last: &str| segments.len() == 3 && segments[0] == first && segments[2] == last;
    match host {
        "wide.foregate.localhost" if below("/admin") => For::Admins,
        "wide.foregate.localhost" if below("/family") || (is("kb", "edit") && method == "POST") => {
            For::Family
        }
        "open.foregate.localhost" | "wide.foregate.localhost" => For::Everybody,
        "app.foregate.localhost" if below("/public") || is("foo", "bar") => For::Everybody,
        "app.foregate.localhost" if path == "/health" && method == "GET" => For::Everybody,
        "app.foregate.localhost" if !below("/admin") => For::Family,
        _ => For::Admins,
    }
}

/// Headers by which some software serves another page, or by another method.
const OTHER_WAYS: [&str; 11] = [
    "X-Original-URL",
    "X-Rewrite-URL",
    "X-Forwarded-Uri",
    "X-Forwarded-Method",
    "X-Original-Method",
    "X-HTTP-Method-Override",
    "X-Method-Override",
    "X-Script-Name",
    "Script-Name",
    "Path-Info",
    "Daphne-Root-Path",
];

/// A front proxy before an app, and foregate beside it; or foregate alone.
struct Street {
    address: SocketAddr,
    backend: Backend,
    bob: String,
    wire: RefCell<Option<Wire>>,
    _parts: (Foregate, Provider, Option<FrontProxy>),
}

/// How the configuration that users are given is changed.
type Change = fn(&str) -> String;

impl Street {
    fn with(name: &'static str, change: Change) -> Self {
        let port = free_port();
        let public_url = format!("http://auth.foregate.localhost:{port}");
        let provider = Provider::for_foregate(&public_url, Value::Null);
        let backend = Backend::start();
        let upstream =
            if name == ALONE { format!("upstream = \"{}\"", backend.url()) } else { String::new() };
        let config = format!(
            "public_url = \"{public_url}\"\n[server]\nlisten = \"LISTEN\"\nadmin_listen = \"ADMIN\"\n[session]\n\
             store = \"sqlite:DIR/f.db\"\n{}{}",
            provider.config(),
            APPS.replace("UPSTREAM", &upstream),
        );
        let foregate = Foregate::start_at(&config, if name == ALONE { port } else { free_port() });
        let proxy = (name != ALONE).then(|| front(name, port, (&foregate, &backend), change));
        let mut browser = Browser::default();
        browser.sign_in(&format!("{public_url}/.foregate/sign-in"), "bob");
        let bob = format!("Cookie: foregate={}", browser.cookie("foregate").expect("a session").value);
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        Self { address, backend, bob, wire: RefCell::new(None), _parts: (foregate, provider, proxy) }
    }

    /// Sends a request and waits for the answer, on one connection for as long as it is kept.
    fn ask(&self, made: &Made) -> Reply {
        let host = format!("Host: {}", made.host);
        let mut lines = vec![host.as_str()];
        lines.extend(&made.forged);
        lines.extend(made.as_bob.then_some(self.bob.as_str()));
        let bytes = request(made.method, &made.target(), &lines, "");
        let head_only = made.method == "HEAD";
        let mut kept = self.wire.borrow_mut();
        let mut answer = |wire: &mut Wire| {
            wire.write(bytes.as_bytes());
            wire.read(head_only)
        };
        // A kept connection may have been closed meanwhile.
        let first = kept.as_mut().and_then(&mut answer);
        let reply =
            first.unwrap_or_else(|| answer(kept.insert(Wire::open(self.address))).unwrap_or_default());
        if !matches!(reply.status, 200 | 302 | 401 | 403) || !reply.all("connection").is_empty() {
            *kept = None;
        }
        reply
    }
}

fn front(
    name: &'static str,
    port: u16,
    (foregate, backend): (&Foregate, &Backend),
    change: Change,
) -> FrontProxy {
    let change = |text: &str| change(&for_all_hosts(name, port, text));
    let proxy = FrontProxy::by_snippet(name, port, HOSTS[0], (foregate, backend), change);
    for host in HOSTS {
        let page = if *host == HOSTS[0] { "public/ready" } else { "ready" };
        proxy.wait_for(&format!("http://{host}:{port}/{page}"), |reply| reply.status == 200);
    }
    proxy
}

/// The snippet is for one host; the others are put beside it.
fn for_all_hosts(name: &str, port: u16, text: &str) -> String {
    let each = |around: &dyn Fn(&str) -> String, between: &str| {
        HOSTS.iter().map(|host| around(host)).collect::<Vec<_>>().join(between)
    };
    match name {
        "traefik" => {
            let rule = |host: &str| format!("Host(`{host}`)");
            replaced(text, &format!("rule: {}", rule(HOSTS[0])), &format!("rule: {}", each(&rule, " || ")))
        }
        "nginx" => replaced(
            text,
            &format!("server_name {};", HOSTS[0]),
            &format!("server_name {};", HOSTS.join(" ")),
        ),
        "caddy" => {
            let address = |host: &str| format!("http://{host}:{port}");
            replaced(text, &format!("{} {{", address(HOSTS[0])), &format!("{} {{", each(&address, ", ")))
        }
        "envoy" => {
            let domains = |host: &str| format!("\"{host}\", \"{host}:*\"");
            replaced(
                text,
                &format!("domains: [{}]", domains(HOSTS[0])),
                &format!("domains: [{}]", each(&domains, ", ")),
            )
        }
        _ => replaced(text, &format!("-m str {}", HOSTS[0]), &format!("-m str {}", HOSTS.join(" "))),
    }
}

fn replaced(text: &str, from: &str, to: &str) -> String {
    assert_eq!(text.matches(from).count(), 1, "{from} in {text}");
    text.replace(from, to)
}

/// What a backend got: nothing that some server takes for a page which the visitor may not see.
fn is_for(visitor: For, got: &str, made: &Made) -> Result<(), TestCaseError> {
    let received = Received::parse(got);
    let hosts = received.hosts();
    prop_assert_eq!(hosts.len(), 1, "{:?} is for {:?}: {}", made, hosts, got);
    for path in received.paths() {
        for host in &hosts {
            let page = page(host, &path, received.method);
            prop_assert!(page <= visitor, "{made:?} is {path} of {host}, which is for {page:?}: {got}");
        }
    }
    // Some software serves the page that one of these names.
    for name in OTHER_WAYS {
        let values = received.all(name);
        let forged = |value: &&str| value.to_ascii_lowercase().contains("forged");
        prop_assert!(!values.iter().any(forged), "{:?}: {} is {:?}: {}", made, name, values, got);
    }
    for value in received.all("X-Forwarded-Host") {
        let host = parse_host(value.as_bytes()).unwrap_or_default();
        prop_assert!(hosts.contains(&*host), "{made:?}: X-Forwarded-Host is {value}: {got}");
    }
    Ok(())
}

fn nothing_is_public_here_and_closed_there(name: &'static str, change: Change) {
    let street = Street::with(name, change);
    let seen = Cell::new(street.backend.seen().len());
    let counts = RefCell::new(BTreeMap::<&str, u32>::new());
    let cases = hold(1_000, &requests(HOSTS), |made| {
        let reply = street.ask(&made);
        let visitor = if made.as_bob { For::Family } else { For::Everybody };
        let came = street.backend.seen_after(seen.get());
        seen.set(seen.get() + came.len());
        let mut counts = counts.borrow_mut();
        let mut count = |what| *counts.entry(what).or_default() += 1;
        for got in &came {
            is_for(visitor, got, &made)?;
            count("came");
            if visitor == For::Everybody && got.contains("app.foregate.localhost") {
                count("came by a public rule");
            }
            if made.uri.contains(['%', '?', ';', '\\']) || made.uri.contains("//") {
                count("came in another spelling");
            }
        }
        count(match reply.status {
            401 | 302 | 403 => "was refused",
            400 => "was no request",
            _ => "other",
        });
        Ok(())
    });
    let counts = counts.into_inner();
    for (what, share) in
        [("came", 5), ("came by a public rule", 50), ("came in another spelling", 20), ("was refused", 30)]
    {
        let count = counts.get(what).copied().unwrap_or_default();
        assert!(count >= cases / share, "{name}: {counts:?} are too few: {what}");
    }
}

/// No front proxy at all.
const ALONE: &str = "foregate";

fn as_it_is(text: &str) -> String {
    text.to_owned()
}

/// A path in `proxy_pass` makes nginx send what it has normalised itself, which is not what was asked about.
fn nginx_with_a_path(text: &str) -> String {
    let start = text.find("proxy_pass http://127.0.0.1:").expect("the backend");
    let end = start + text[start..].find(';').expect("an end");
    format!("{}/{}", &text[..end], &text[end..])
}

/// All that Envoy can do to a path.
fn envoy_normalising(text: &str) -> String {
    let line = "                use_remote_address: true ";
    let more = "                normalize_path: true\n                merge_slashes: true\n                \
                path_with_escaped_slashes_action: UNESCAPE_AND_FORWARD\n";
    replaced(text, line, &format!("{more}{line}"))
}

/// What comes after the check, so that foregate has not seen its outcome.
fn haproxy_normalising(text: &str) -> String {
    let line = "    # For foregate alone.\n";
    let steps =
        ["path-strip-dot", "path-strip-dotdot full", "path-merge-slashes", "percent-decode-unreserved"];
    let more: String = steps.iter().map(|step| format!("    http-request normalize-uri {step}\n")).collect();
    replaced(
        &replaced(text, line, &(more + line)),
        "global\n",
        "global\n    expose-experimental-directives\n",
    )
}

fn caddy_merging(text: &str) -> String {
    let line = "\t\t# For foregate alone.\n";
    replaced(text, line, &format!("\t\turi path_regexp /+ /\n{line}"))
}

macro_rules! through {
    ($($test:ident: $proxy:literal, $change:expr;)+) => { $(
        #[test]
        fn $test() {
            nothing_is_public_here_and_closed_there($proxy, $change);
        }
    )+ };
}

through! {
    traefik: "traefik", as_it_is;
    nginx: "nginx", as_it_is;
    caddy: "caddy", as_it_is;
    envoy: "envoy", as_it_is;
    haproxy: "haproxy", as_it_is;
    alone: "foregate", as_it_is;
    nginx_that_sends_its_own_form: "nginx", nginx_with_a_path;
    envoy_that_normalises_before: "envoy", envoy_normalising;
    haproxy_that_normalises_behind: "haproxy", haproxy_normalising;
    caddy_that_merges_behind: "caddy", caddy_merging;
}

/// What an entrance makes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Yes,
    No,
    NoRequest,
}

fn verdict(reply: &Reply) -> Verdict {
    match reply.status {
        200..=299 => Verdict::Yes,
        302 | 401 | 403 => Verdict::No,
        // 404 is what hosts get that nobody named.
        400 | 404 | 405 => Verdict::NoRequest,
        status => panic!("{status}: {reply:?}"),
    }
}

/// Whether a request line can hold it (RFC 3986), nothing of it is for HTTP servers to refuse by themselves, and it is no page of
/// foregate's own, which only checks know on other hosts.
fn is_plain(made: &Made) -> bool {
    let sound = |text: &str, more: &[u8]| {
        text.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte))
    };
    let own = |path: &String| path.starts_with("/.foregate");
    made.uri.starts_with('/')
        && sound(&made.uri, b"-._~!$&'()*+,;=:@/?%")
        && sound(&made.host, b"-.:")
        && !paths(&made.uri).iter().any(own)
}

/// Addresses of other products.
const OTHERS: [Entrance; 5] = [
    Entrance::OutpostTraefik,
    Entrance::OutpostNginx,
    Entrance::OutpostCaddy,
    Entrance::OutpostEnvoy,
    Entrance::Oauth2Proxy,
];

#[test]
fn every_way_in_comes_to_the_same_decision() {
    const HOSTS: &[&str] = &[world::RULES, world::APP, world::OPEN, world::ADMINS];
    let counts = RefCell::new([0_u32; 3]);
    let cases = hold(400, &requests(HOSTS), |made| {
        let world = world::world();
        let bob = if made.as_bob { world.cookie("bob") } else { "X-Nobody: at-all".to_owned() };
        let told = |entrance: Entrance| {
            let reply = world.ask_by(entrance, made.method, ("http", &made.host, &made.uri), &[&bob]);
            (entrance, verdict(&reply), reply)
        };
        // authentik's address for nginx is told no method.
        let is_told = |entrance: &Entrance| *entrance != Entrance::OutpostNginx || made.method == "GET";
        let all: Vec<_> = ENTRANCES.into_iter().filter(is_told).map(told).collect();
        let verdicts: Vec<_> = all.iter().map(|(entrance, verdict, _)| (entrance, verdict)).collect();
        let any = |wanted: Verdict| all.iter().any(|(_, verdict, _)| *verdict == wanted);
        prop_assert!(!(any(Verdict::Yes) && any(Verdict::No)), "{made:?}: {verdicts:?}");
        prop_assert!(
            !(any(Verdict::Yes) && any(Verdict::NoRequest) && is_plain(&made)),
            "{made:?}: {verdicts:?}"
        );
        // Other products' addresses answer as those do, some of which know no 400.
        let first = all[0].1;
        let ours = all.iter().filter(|(entrance, ..)| !OTHERS.contains(entrance));
        let alike = ours.map(|(_, verdict, _)| *verdict).all(|verdict| verdict == first);
        prop_assert!(alike || !is_plain(&made), "{made:?}: {verdicts:?}");
        counts.borrow_mut()[first as usize] += 1;
        for (entrance, verdict, reply) in &all {
            let proxied = *entrance == Entrance::Proxy && *verdict == Verdict::Yes && made.method != "HEAD";
            let sent = format!("{} {} HTTP/1.1\r\n", made.method, made.uri);
            prop_assert!(!proxied || reply.body.starts_with(&sent), "{made:?}: {}", reply.body);
        }
        Ok(())
    });
    let counts = counts.into_inner();
    assert!(counts.iter().all(|count| *count > cases / 20), "{counts:?}");
}

#[test]
fn what_has_a_form_is_read_alike_by_all_servers() {
    let found = Cell::new(0);
    hold(20_000, &uri(), |uri| {
        let whole = uri.split('?').next().unwrap_or_default();
        let Ok(path) = Path::parse(whole.as_bytes()) else { return Ok(()) };
        let Some(canonical) = path.canonical() else { return Ok(()) };
        found.set(found.get() + 1);
        let decoded = in_ascii(canonical.as_bytes());
        for reading in paths(whole) {
            prop_assert_eq!(&reading, &decoded, "{}", uri);
        }
        Ok(())
    });
    assert!(found.get() > 1_000, "{}", found.get());
}
