//! What goes on after it was let in ends with its session: tunnels, uploads and long answers, on every replica. What is
//! waited for comes long before foregate would look by itself.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::support::foregate::{Foregate, KEY, free_port};
use crate::support::http::{Browser, Reply, Wire, raw, request};
use crate::support::issuer::now;
use crate::support::provider::Provider;
use crate::support::stage::Stage;

/// A stage with people.
struct House {
    stage: Stage,
    provider: Provider,
}

impl House {
    fn new() -> Self {
        Self::with("store = \"sqlite:DIR/f.db\"", Value::Null, RULES)
    }

    fn with(session: &str, provider: Value, app: &str) -> Self {
        let port = free_port();
        let provider = Provider::for_foregate(&format!("http://auth.foregate.localhost:{port}"), provider);
        let tables = format!("[session]\n{session}\n{}", provider.config());
        Self { stage: Stage::at(port, &tables, app), provider }
    }

    fn signed_in(&self, user: &str) -> Browser {
        let mut browser = Browser::default();
        browser.sign_in(&self.own("/.foregate/sign-in"), user);
        assert!(browser.cookie("foregate").is_some(), "{user}: {:?}", browser.visited);
        browser
    }

    fn own(&self, page: &str) -> String {
        format!("http://auth.foregate.localhost:{}{page}", self.stage.port)
    }

    fn begin(&self, kind: Kind, path: &str, browser: &Browser) -> Ongoing {
        self.begin_at(self.stage.foregate.public, kind, path, browser)
    }

    fn begin_at(&self, at: SocketAddr, kind: Kind, path: &str, browser: &Browser) -> Ongoing {
        let cookie = browser.cookie("foregate").map(|cookie| format!("Cookie: foregate={}", cookie.value));
        self.begin_with(at, kind, path, cookie.as_deref())
    }

    fn begin_with(&self, at: SocketAddr, kind: Kind, path: &str, line: Option<&str>) -> Ongoing {
        let mut lines: Vec<&str> = line.into_iter().collect();
        let mut visitor = Wire::open(at);
        let method = match kind {
            Kind::Socket => {
                lines.extend(["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x"]);
                "GET"
            }
            Kind::Upload => {
                lines.push("Transfer-Encoding: chunked");
                "POST"
            }
            Kind::BigUpload => {
                lines.push("Content-Length: 100000");
                "POST"
            }
            Kind::Stream | Kind::Big => "GET",
        };
        visitor.write(self.stage.request(&format!("{method} {path}"), &lines).as_bytes());
        let mut backend = self.stage.accept();
        match kind {
            Kind::Socket => {
                backend.head();
                backend.write(
                    b"HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n",
                );
                assert_eq!(visitor.read(true).expect("an answer").status, 101);
            }
            Kind::Upload => {
                visitor.write(b"5\r\nfirst\r\n");
                backend.head();
                assert_eq!(backend.bytes(10), b"5\r\nfirst\r\n");
            }
            Kind::BigUpload => {
                visitor.write(b"first");
                backend.head();
                assert_eq!(backend.bytes(5), b"first");
            }
            Kind::Stream => {
                backend.head();
                backend.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
                assert!(visitor.head().starts_with("HTTP/1.1 200 OK\r\n"));
                assert_eq!(visitor.bytes(10), b"5\r\nfirst\r\n");
            }
            Kind::Big => {
                backend.head();
                backend.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nfirst");
                assert!(visitor.head().contains("\r\ncontent-length: 100000\r\n"));
                assert_eq!(visitor.bytes(5), b"first");
            }
        }
        Ongoing { kind, visitor, backend }
    }
}

/// What goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Socket,
    Upload,
    BigUpload,
    Stream,
    Big,
}

const KINDS: [Kind; 5] = [Kind::Socket, Kind::Upload, Kind::BigUpload, Kind::Stream, Kind::Big];
const RULES: &str = "allow = \"signed-in\"\nrules = [{ path = \"/open/**\", allow = \"public\" }, { path = \"/family/**\", allow = \"group:family\" }]";

struct Ongoing {
    kind: Kind,
    visitor: Wire,
    backend: Wire,
}

impl Ongoing {
    /// Both sides see it end, and neither takes it for whole.
    fn ends_for_both(mut self) {
        let (told, got) = (self.visitor.until_the_end(), self.backend.until_the_end());
        let told = String::from_utf8_lossy(&told).into_owned();
        match self.kind {
            Kind::Socket | Kind::Stream | Kind::Big => assert_eq!(told, "", "{:?}", self.kind),
            Kind::Upload | Kind::BigUpload => assert!(told.starts_with("HTTP/1.1 403 "), "{told}"),
        }
        assert!(got.is_empty(), "{:?}: {:?}", self.kind, String::from_utf8_lossy(&got));
    }

    /// Bytes still pass.
    fn goes_on(&mut self) {
        match self.kind {
            Kind::Socket | Kind::Upload | Kind::BigUpload => {
                let piece: &[u8] = if self.kind == Kind::Upload { b"4\r\nmore\r\n" } else { b"more" };
                self.visitor.write(piece);
                assert_eq!(self.backend.bytes(piece.len()), piece, "{:?}", self.kind);
            }
            Kind::Stream | Kind::Big => {
                let piece: &[u8] = if self.kind == Kind::Stream { b"4\r\nmore\r\n" } else { b"more" };
                self.backend.write(piece);
                assert_eq!(self.visitor.bytes(piece.len()), piece, "{:?}", self.kind);
            }
        }
    }
}

fn api(foregate: &Foregate, method: &str, target: &str, body: &Value) -> Reply {
    let lines = ["Host: localhost", "Content-Type: application/json", "Connection: close"];
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let reply = raw(foregate.admin, request(method, target, &lines, &body).as_bytes());
    assert_eq!(reply.status, 200, "{target}: {reply:?}");
    reply
}

#[test]
fn a_sign_out_ends_everything_of_its_session_and_nothing_of_others() {
    let house = House::new();
    let (mut alice, bob) = (house.signed_in("alice"), house.signed_in("bob"));
    let theirs: Vec<Ongoing> = KINDS.map(|kind| house.begin(kind, "/x", &alice)).into();
    let in_the_open = house.begin(Kind::Socket, "/open/x", &alice);
    let mut others: Vec<Ongoing> = KINDS.map(|kind| house.begin(kind, "/x", &bob)).into();
    others.push(house.begin(Kind::Socket, "/open/x", &Browser::default()));
    assert_eq!(alice.open(&house.own("/.foregate/sign-out")).status, 200);
    theirs.into_iter().for_each(Ongoing::ends_for_both);
    // The backend was told who she is, which is not so any more.
    in_the_open.ends_for_both();
    others.iter_mut().for_each(Ongoing::goes_on);
}

#[test]
fn a_long_poll_ends_with_its_session() {
    let house = House::new();
    let mut alice = house.signed_in("alice");
    let cookie = format!("Cookie: foregate={}", alice.cookie("foregate").expect("a session").value);
    let mut visitor = house.stage.ask("GET /poll", &[&cookie]);
    let mut backend = house.stage.accept();
    backend.head();
    assert_eq!(alice.open(&house.own("/.foregate/sign-out")).status, 200);
    // The backend has nothing to say for as long as this takes.
    let reply = visitor.read(false).expect("an answer");
    assert_eq!((reply.status, reply.json()["reason"].as_str()), (403, Some("session-ended")), "{reply:?}");
    assert!(backend.ends());
}

#[test]
fn whoever_is_revoked_or_disabled_is_cut_off() {
    let house = House::new();
    for (method, target, body) in [
        ("DELETE", "/api/v1/sessions?user=alice", Value::Null),
        ("DELETE", "/api/v1/sessions?all=true", Value::Null),
        ("POST", "/api/v1/users/disable", json!({ "user": "alice" })),
    ] {
        let alice = house.signed_in("alice");
        let theirs = KINDS.map(|kind| house.begin(kind, "/x", &alice));
        api(&house.stage.foregate, method, target, &body);
        theirs.into_iter().for_each(Ongoing::ends_for_both);
    }
}

#[cfg(feature = "postgres")]
#[test]
fn replicas_end_what_goes_on_there() {
    let url = crate::support::postgres::fresh_url();
    let session = format!("store = \"{url}\"\nkeys = [\"{KEY}\"]\npoll = \"1h\"");
    let house = House::with(&session, Value::Null, RULES);
    let replica = Foregate::start(&house.stage.config);
    let (mut alice, bob) = (house.signed_in("alice"), house.signed_in("bob"));
    let theirs = KINDS.map(|kind| house.begin_at(replica.public, kind, "/x", &alice));
    let mut others = KINDS.map(|kind| house.begin_at(replica.public, kind, "/x", &bob));
    assert_eq!(alice.open(&house.own("/.foregate/sign-out")).status, 200);
    theirs.into_iter().for_each(Ongoing::ends_for_both);
    others.iter_mut().for_each(Ongoing::goes_on);
    api(&house.stage.foregate, "POST", "/api/v1/users/disable", &json!({ "user": "bob" }));
    others.into_iter().for_each(Ongoing::ends_for_both);
}

#[test]
fn who_lost_a_group_keeps_only_what_needs_none() {
    let house = House::with("store = \"sqlite:DIR/f.db\"", json!({ "accessTokenTtl": 3 }), RULES);
    let bob = house.signed_in("bob");
    let family = house.begin(Kind::Socket, "/family/x", &bob);
    let mut other = house.begin(Kind::Socket, "/x", &bob);
    house.provider.control("user", &json!({ "login": "bob", "claims": { "groups": [] } }));
    // Any use of the session has it renewed, once it is due.
    let cookie = format!("Cookie: foregate={}", bob.cookie("foregate").expect("a session").value);
    let url = format!("http://app.foregate.localhost:{}/family/y", house.stage.port);
    let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while house.stage.foregate.check(&url, &[&cookie]).status == 200 {
        assert!(std::time::Instant::now() < end, "the session is not renewed");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    family.ends_for_both();
    other.goes_on();
}

#[test]
fn time_ends_what_goes_on_too() {
    let house =
        House::with("store = \"sqlite:DIR/f.db\"", Value::Null, &format!("lifetime = \"5s\"\n{RULES}"));
    let alice = house.signed_in("alice");
    let mut socket = house.begin(Kind::Socket, "/x", &alice);
    socket.visitor.wait_up_to(60);
    socket.backend.wait_up_to(60);
    socket.goes_on();
    socket.ends_for_both();
}

#[test]
fn what_a_token_let_in_is_judged_by_it_again_and_ends_with_it() {
    let bearer = "store = \"sqlite:DIR/f.db\"\n[bearer]\naudiences = [\"api\"]";
    let house = House::with(bearer, Value::Null, RULES);
    let begin = |kind: Kind, seconds: i64| {
        let claims = json!({ "iss": house.provider.issuer, "sub": "s-1", "aud": "api", "exp": now().saturating_add_signed(seconds) });
        let wanted = json!({ "header": { "typ": "at+jwt" }, "claims": claims });
        let token = house.provider.control("sign", &wanted)["token"].as_str().expect("a token").to_owned();
        let line = format!("Authorization: Bearer {token}");
        let ongoing = house.begin_with(house.stage.foregate.public, kind, "/x", Some(&line));
        ongoing.visitor.wait_up_to(60);
        ongoing.backend.wait_up_to(60);
        ongoing
    };
    let mut lasting = KINDS.map(|kind| begin(kind, 300));
    // Clocks may differ by a minute.
    let mut short = begin(Kind::Socket, -50);
    short.goes_on();
    short.ends_for_both();
    // All were judged anew meanwhile.
    lasting.iter_mut().for_each(Ongoing::goes_on);
}

#[test]
fn the_end_of_the_program_waits_for_no_tunnel() {
    let mut house = House::new();
    let alice = house.signed_in("alice");
    let socket = house.begin(Kind::Socket, "/x", &alice);
    house.stage.foregate.terminate();
    socket.ends_for_both();
    assert_eq!(house.stage.foregate.wait(), Some(0));
    assert_eq!(house.stage.foregate.logged("requests were still in flight"), 0);
}
