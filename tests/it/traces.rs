//! Traces at a collector that reads what it gets: whole from a front proxy to the backend, with no secret in them, and at nobody's cost
//! while the collector is slow, unwilling or gone.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use serde_json::Value;
use url::Url;

use crate::support::backend::Backend;
use crate::support::collector::{Collector, Mind, Told};
use crate::support::foregate::{Foregate, free_port, run, traefik};
use crate::support::house::{House, callback_for};
use crate::support::http::{Browser, Reply, Wire, get, request};
use crate::support::proxies::{FrontProxy, printed};
use crate::support::stage::Stage;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

fn line(flags: &str) -> String {
    format!("traceparent: 00-{TRACE}-{PARENT}-{flags}")
}

/// A house with these lines of `[traces]` behind those that lead to the collector.
fn house(collector: &Collector, more: &str) -> House {
    let tables = format!(
        "store = \"sqlite:DIR/foregate.db\"\n[audit]\noutput = \"DIR/audit.log\"\n[access_log]\noutput = \"DIR/access.log\"\n{}{more}",
        collector.config()
    );
    House::with(&tables, Value::Null)
}

/// A header that a backend was sent, which answers with all of them.
fn received<'r>(body: &'r str, name: &str) -> Vec<&'r str> {
    body.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).collect()
}

fn open(house: &House, page: &str, lines: &[&str]) -> Reply {
    let host = format!("Host: app.foregate.localhost:{}", house.port);
    get(house.foregate.public, page, &[&[host.as_str()], lines].concat())
}

/// The lines of a journal that belong to the trace.
fn journal(house: &House, name: &str, trace: &str, count: usize) -> Vec<Value> {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let text = std::fs::read_to_string(house.foregate.dir().join(name)).unwrap_or_default();
        let whole = &text[..text.rfind('\n').map_or(0, |at| at + 1)];
        let lines = whole.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let found: Vec<Value> = lines.filter(|line| line["trace_id"] == trace).collect();
        if found.len() >= count {
            return found;
        }
        assert!(Instant::now() < end, "not {count} lines of {trace} in {text}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_trace_goes_on_to_the_backend_and_holds_what_was_asked_of_the_store_and_the_provider() {
    let collector = Collector::start();
    let house = house(&collector, "service_name = \"gate\"\n");
    let reply = open(&house, "/open/a?token=hunter2", &[&line("01"), "tracestate: a=1", "tracestate: b=2"]);
    let (request, upstream) = (collector.span(TRACE, "GET"), collector.span(TRACE, "upstream"));
    assert_eq!((&*request.service, &*request.parent), ("gate", PARENT));
    assert_eq!(upstream.parent, request.id);
    let told = format!("00-{TRACE}-{}-01", upstream.id);
    assert_eq!(received(&reply.body, "traceparent"), [told.as_str()], "{reply:?}");
    assert_eq!(received(&reply.body, "tracestate"), ["a=1,b=2"], "{reply:?}");
    assert_eq!((request.kind, upstream.kind, request.failed, upstream.failed), (2, 3, false, false));
    for (name, value) in [
        ("url.path", "/open/a"),
        ("http.request.method", "GET"),
        ("http.response.status_code", "200"),
        ("server.address", "app.foregate.localhost"),
        ("foregate.outcome", "allowed"),
        ("foregate.app", "app.foregate.localhost"),
    ] {
        assert_eq!(request.about.get(name).map(String::as_str), Some(value), "{request:?}");
    }
    let ((began, ended), (sent, answered)) = (request.times, upstream.times);
    assert!(began <= sent && sent <= answered && answered <= ended, "{request:?} {upstream:?}");
    assert_eq!(journal(&house, "access.log", TRACE, 1)[0]["path"], "/open/a");

    // A session that nobody knows is asked of the store; a program is refused, and told why by a reference.
    let (trace, unknown) = ("1".repeat(32), format!("Cookie: foregate={}", "A".repeat(64)));
    let refused = open(&house, "/b", &[&unknown, &line("01").replace(TRACE, &trace)]);
    assert_eq!(refused.status, 401, "{refused:?}");
    let reference = refused.header("foregate-ref").expect("a reference");
    let (request, store) = (collector.span(&trace, "GET"), collector.span(&trace, "store"));
    assert_eq!((&store.parent, store.about["db.system.name"].as_str()), (&request.id, "sqlite"));
    assert_eq!(request.about["foregate.ref"], reference);
    assert_eq!(request.about["foregate.outcome"], "sign_in");
    let file = house.foregate.dir().join("foregate.toml");
    let args = ["explain", "--ref", reference, "--config", file.to_str().expect("a path")];
    let (code, explained, err) = run(&args, house.foregate.dir());
    assert!(code == Some(0) && explained.contains(&format!("trace: {trace}")), "{explained} {err}");
    let known = get(
        house.foregate.admin,
        &format!("/api/v1/refs/{reference}"),
        &["Host: localhost", "X-Requested-With: test"],
    );
    assert_eq!(known.json()["trace_id"], trace.as_str(), "{known:?}");

    let trace = "2".repeat(32);
    let mut browser = Browser::default();
    let callback = callback_for(&mut browser, &house.url("app", "/"), "bob");
    browser.lines.push(line("01").replace(TRACE, &trace));
    assert_eq!(browser.step("GET", &callback, "").status, 303);
    let request = collector.span(&trace, "GET /.foregate/callback");
    let asked = collector.wait_for(2, |told| told.trace == trace && told.name == "provider");
    assert!(asked.iter().all(|span| span.parent == request.id && span.kind == 3), "{asked:?}");
    assert!(asked.iter().any(|span| span.about["http.request.method"] == "POST"), "{asked:?}");
    assert_eq!(journal(&house, "audit.log", &trace, 1)[0]["event"], "sign-in");
    let malformed = "5".repeat(32);
    let told = line("01").replace(TRACE, &malformed);
    assert_eq!(get(house.foregate.public, "/.foregate/auth/traefik", &[&told]).status, 400);
    let logged = house.foregate.wait_for_log(&format!("\"trace_id\":\"{malformed}\""));
    let logged: Value = serde_json::from_str(&logged).expect("JSON");
    assert_eq!(logged["message"], "a check is malformed", "{logged}");

    let session = browser.cookie("foregate").expect("a session").value.clone();
    let code = callback.query_pairs().find(|(name, _)| name == "code").expect("a code").1.into_owned();
    let state = callback.query_pairs().find(|(name, _)| name == "state").expect("a state").1.into_owned();
    for secret in ["hunter2", "code=", "state=", "access_token", &session, &code, &state, &"A".repeat(64)] {
        assert!(!collector.was_sent(secret), "{secret} is in a trace");
    }
    assert!(house.foregate.metric("foregate_spans_exported_total") >= 8.0);
    assert_eq!(house.foregate.metric("foregate_spans_lost_total"), 0.0);
}

#[test]
fn who_asks_decides_what_is_recorded_unless_they_are_strangers_or_say_nothing_valid() {
    let collector = Collector::start();
    let house = house(&collector, "");
    let told = |reply: &Reply| {
        assert_eq!(reply.status, 200, "{reply:?}");
        let [line] = received(&reply.body, "traceparent")[..] else { panic!("{reply:?}") };
        let parts: Vec<&str> = line.split('-').collect();
        assert_eq!((parts.len(), parts[1].len(), parts[2].len()), (4, 32, 16), "{line}");
        (parts[1].to_owned(), parts[3].to_owned())
    };
    let (trace, flags) = told(&open(&house, "/open/unsampled", &[&line("00")]));
    assert_eq!((&*trace, &*flags), (TRACE, "00"), "it goes on, and is not recorded");
    for malformed in [
        line("1"),
        line("0A"),
        line("01").replace("00-0af", "ff-0af"),
        line("01-more"),
        line("01").replace(PARENT, "0000000000000000"),
    ] {
        let reply = open(&house, "/open/malformed", &[&malformed, "tracestate: a=1"]);
        let (trace, flags) = told(&reply);
        assert!(trace != TRACE && flags == "01", "{malformed} begins anew: {reply:?}");
        assert!(received(&reply.body, "tracestate").is_empty(), "{reply:?}");
        assert_eq!(collector.span(&trace, "GET").parent, "");
    }
    let twice = open(&house, "/open/twice", &[&line("01"), &line("01")]);
    assert_ne!(told(&twice).0, TRACE);

    let distrusting = house.config.replacen("[server]\n", "[server]\ntrusted_proxies = [\"10.0.0.1\"]\n", 1);
    let distrusting = Foregate::start(&distrusting);
    let host = format!("Host: app.foregate.localhost:{}", house.port);
    let reply = get(distrusting.public, "/open/stranger", &[&host, &line("00"), "tracestate: a=1"]);
    let (trace, flags) = told(&reply);
    assert!(trace != TRACE && flags == "01" && received(&reply.body, "tracestate").is_empty(), "{reply:?}");
    let request = collector.span(&trace, "GET");
    assert_eq!((request.parent.as_str(), &request.links[..]), ("", &[TRACE.to_owned()][..]));
    assert!(collector.all().iter().all(|span| span.trace != TRACE), "{:#?}", collector.all());
    // Words of strangers are no names.
    let odd = format!("BREW-{} /open/x HTTP/1.1\r\n{host}\r\nConnection: close\r\n\r\n", "X".repeat(20));
    Wire::open(house.foregate.public).write(odd.as_bytes());
    for page in ["/.foregate/nothing", "/.foregate/sign-in/x"] {
        get(house.foregate.public, page, &[&host]);
    }
    collector
        .wait_for(2, |told| told.about.get("url.path").is_some_and(|path| path.starts_with("/.foregate/")));
    let names: HashSet<String> = collector.all().into_iter().map(|told| told.name).collect();
    let known = ["GET", "HTTP", "upstream", "store", "provider"];
    assert!(names.iter().all(|name| known.contains(&name.as_str())), "{names:?}");
}

#[test]
fn a_ratio_of_nothing_records_nothing_but_what_others_want() {
    let collector = Collector::start();
    let house = house(&collector, "ratio = 0\n");
    for _ in 0..20 {
        let reply = open(&house, "/open/own", &[]);
        assert!(received(&reply.body, "traceparent")[0].ends_with("-00"), "{reply:?}");
    }
    open(&house, "/open/theirs", &[&line("01")]);
    collector.span(TRACE, "GET");
    assert!(collector.all().iter().all(|told| told.trace == TRACE), "{:#?}", collector.all());
}

/// A foregate and a front proxy beside it, with an app, as the snippet has it.
fn street(name: &'static str, collector: &Collector) -> (FrontProxy, Foregate, Backend) {
    let (port, backend, host) = (free_port(), Backend::start(), "app.foregate.localhost");
    let config = format!(
        "public_url = \"http://auth.foregate.localhost:{port}\"\n[server]\nlisten = \"LISTEN\"\nadmin_listen = \"ADMIN\"\n\
         [session]\nstore = \"sqlite:DIR/f.db\"\n[provider]\nissuer = \"http://127.0.0.1:9/\"\nclient_id = \"foregate\"\nclient_auth = \"none\"\n\
         {}[apps]\n\"{host}\" = \"public\"\n",
        collector.config(),
    );
    let foregate = Foregate::start(&config);
    let text = printed(name, port, host, (&foregate, &backend));
    let traces = format!(
        "tracing:\n  serviceName: traefik\n  sampleRate: 1.0\n  otlp:\n    http:\n      endpoint: http://127.0.0.1:{}/v1/traces\n",
        collector.port
    );
    let dir = tempfile::tempdir().expect("a directory");
    let proxy = FrontProxy::start_with(name, port, (&text, &traces), dir);
    proxy.wait_for(&format!("http://{host}:{port}/ready"), |reply| reply.status == 200);
    (proxy, foregate, backend)
}

#[test]
fn behind_traefik_one_trace_holds_its_spans_and_ours_and_the_backend_is_told_of_it() {
    let collector = Collector::start();
    let (proxy, _foregate, _backend) = street("traefik", &collector);
    let url = Url::parse(&format!("http://app.foregate.localhost:{}/page?token=hunter2", proxy.port))
        .expect("a URL");
    let reply = Browser::default().step("GET", &url, "");
    let [told] = received(&reply.body, "Traceparent")[..] else { panic!("{reply:?}") };
    let trace = told.split('-').nth(1).expect("a trace");
    let ours = collector.span(trace, "GET /.foregate/auth/traefik");
    assert_eq!(
        (&*ours.service, ours.about["foregate.host"].as_str()),
        ("foregate", "app.foregate.localhost")
    );
    let theirs = collector.wait_for(1, |told| told.service == "traefik" && told.id == ours.parent);
    assert_eq!(theirs[0].trace, trace, "{theirs:?}");
    let last = told.split('-').nth(2).expect("a span");
    collector.wait_for(1, |told| told.service == "traefik" && told.trace == trace && told.id == last);
    let ours: Vec<Told> = collector.all().into_iter().filter(|told| told.service == "foregate").collect();
    assert!(ours.iter().all(|told| !told.about.values().any(|value| value.contains("hunter2"))), "{ours:#?}");
}

#[test]
fn behind_nginx_a_trace_that_a_visitor_brings_goes_on() {
    let collector = Collector::start();
    let (proxy, _foregate, _backend) = street("nginx", &collector);
    let mut browser = Browser { lines: vec![line("01")], ..Browser::default() };
    let url = Url::parse(&format!("http://app.foregate.localhost:{}/page", proxy.port)).expect("a URL");
    let reply = browser.step("GET", &url, "");
    assert_eq!(received(&reply.body, "traceparent"), [&line("01")["traceparent: ".len()..]], "{reply:?}");
    let ours = collector.span(TRACE, "GET /.foregate/auth/nginx");
    assert_eq!((ours.parent.as_str(), ours.about["foregate.path"].as_str()), (PARENT, "/page"));
}

#[test]
fn a_collector_that_is_gone_or_silent_costs_nobody_but_its_spans() {
    let gone =
        format!("store = \"sqlite:DIR/f.db\"\n[traces]\nendpoint = \"http://127.0.0.1:{}\"", free_port());
    let gone = House::with(&gone, Value::Null);
    assert_eq!(open(&gone, "/open/a", &[&line("01")]).status, 200);
    gone.foregate.wait_for_log("the collector takes no traces: they are lost as long as it does not");
    assert_eq!(gone.foregate.metric("foregate_spans_lost_total"), 2.0);
    assert_eq!(gone.foregate.metric("foregate_spans_exported_total"), 0.0);

    let collector = Collector::start();
    collector.is_of(Mind::Silent);
    let mut silent = house(&collector, "");
    open(&silent, "/open/first", &[&line("01")]);
    let end = Instant::now() + Duration::from_secs(20);
    while collector.heads().is_empty() {
        assert!(Instant::now() < end, "nothing is sent");
        std::thread::sleep(Duration::from_millis(10));
    }
    // One export hangs: requests go on, and what finds no room behind it is counted.
    flood(&silent.foregate, 10_000);
    assert_eq!(open(&silent, "/open/last", &[]).status, 200);
    silent.foregate.wait_for_log("the collector takes no traces");
    assert!(silent.foregate.metric("foregate_spans_lost_total") >= 1_000.0);
    assert_eq!(silent.foregate.stop(), Some(0), "the end does not wait for it");
}

/// So many checks, one behind the other on one connection.
fn flood(foregate: &Foregate, count: usize) {
    let url = "http://app.foregate.localhost/open/x";
    let check = request("GET", "/.foregate/auth/traefik", &traefik("GET", url), "");
    let mut wire = Wire::open(foregate.public);
    for _ in 0..count / 100 {
        wire.write(check.repeat(100).as_bytes());
        for _ in 0..100 {
            assert_eq!(wire.read(false).expect("an answer").status, 200);
        }
    }
}

#[test]
fn ten_thousand_spans_arrive_once_each_or_are_counted() {
    let collector = Collector::start();
    let house = house(&collector, "");
    flood(&house.foregate, 10_000);
    let metric = |name: &str| house.foregate.metric(name) as usize;
    let end = Instant::now() + Duration::from_secs(60);
    while metric("foregate_spans_exported_total") + metric("foregate_spans_lost_total") < 10_000 {
        assert!(Instant::now() < end, "{} came", collector.all().len());
        std::thread::sleep(Duration::from_millis(20));
    }
    let (exported, lost) = (metric("foregate_spans_exported_total"), metric("foregate_spans_lost_total"));
    let ids: HashSet<(String, String)> =
        collector.all().into_iter().map(|told| (told.trace, told.id)).collect();
    assert_eq!((exported + lost, ids.len(), collector.all().len()), (10_000, exported, exported));
    assert!(exported >= 5_000, "{exported} came, {lost} were lost");
}

#[test]
fn a_busy_collector_is_asked_again_and_what_is_left_is_sent_at_the_end() {
    let collector = Collector::start();
    collector.is_of(Mind::Busy(1));
    let mut house = house(&collector, "");
    open(&house, "/open/a", &[&line("01")]);
    collector.span(TRACE, "GET");
    assert!(collector.heads().len() >= 2, "it was asked twice");
    assert_eq!(house.foregate.metric("foregate_spans_lost_total"), 0.0);
    let trace = "3".repeat(32);
    open(&house, "/open/b", &[&line("01").replace(TRACE, &trace)]);
    assert_eq!(house.foregate.stop(), Some(0));
    collector.span(&trace, "GET");
}

#[test]
fn a_reload_changes_where_they_go_and_a_header_is_a_secret() {
    let (first, second) = (Collector::start(), Collector::start());
    let house = house(&first, "");
    open(&house, "/open/a", &[&line("01")]);
    first.span(TRACE, "GET");
    let file = house.foregate.dir().join("headers");
    std::fs::write(&file, "# whose\nAuthorization: Bearer hunter2\nX-Scope: all\n").expect("a file");
    let config = house.config.replace(&first.port.to_string(), &second.port.to_string());
    let config = config.replace("[traces]\n", &format!("[traces]\nheaders_file = \"{}\"\n", file.display()));
    house.foregate.rewrite(&config);
    house.foregate.hang_up();
    house.foregate.wait_for_log("a new configuration is in force");
    let trace = "4".repeat(32);
    open(&house, "/open/b", &[&line("01").replace(TRACE, &trace)]);
    second.span(&trace, "GET");
    let head = second.heads().remove(0);
    assert!(head.contains("authorization: bearer hunter2\n") && head.contains("x-scope: all\n"), "{head}");
    assert!(first.all().iter().all(|told| told.trace != trace));
    let written = house.foregate.dir().join("foregate.toml");
    let (code, shown, _) =
        run(&["config", "show", "--config", written.to_str().expect("a path")], house.foregate.dir());
    assert!(code == Some(0) && shown.contains("traces.headers") && !shown.contains("hunter2"), "{shown}");
    assert!(!house.foregate.log_lines().iter().any(|line| line.contains("hunter2")));

    house.foregate.rewrite(&house.config.replace(&first.config(), ""));
    house.foregate.hang_up();
    house.foregate.wait_for_logs("a new configuration is in force", 2);
    let reply = open(&house, "/open/c", &[&line("01")]);
    assert_eq!(
        received(&reply.body, "traceparent"),
        [&line("01")["traceparent: ".len()..]],
        "it is the app's own affair"
    );
}

#[test]
fn a_websocket_is_opened_within_the_trace() {
    let collector = Collector::start();
    let stage = Stage::with(&collector.config(), "allow = \"public\"");
    let mut visitor = stage.ask(
        "GET /socket",
        &[
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            &line("01"),
        ],
    );
    let mut backend = stage.accept();
    let head = backend.head();
    backend.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
    assert!(visitor.head().starts_with("HTTP/1.1 101"));
    let upstream = collector.span(TRACE, "upstream");
    assert!(head.contains(&format!("traceparent: 00-{TRACE}-{}-01", upstream.id)), "{head}");
    assert_eq!(upstream.about["http.response.status_code"], "101");
}
