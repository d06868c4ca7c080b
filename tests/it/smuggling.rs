//! Requests that servers could take in two ways: refused, or passed on as the one request that they are. The backend
//! keeps every byte it gets.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::support::backend::Backend;
use crate::support::foregate::Foregate;
use crate::tls::config;

/// A backend that answers every head and keeps the bytes of each connection as they came.
struct Recorder {
    address: SocketAddr,
    wires: Arc<Mutex<Vec<Vec<u8>>>>,
    readers: mpsc::Receiver<JoinHandle<()>>,
}

impl Recorder {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let wires = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&wires);
        let (started, readers) = mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let kept = Arc::clone(&kept);
                let _ = started.send(std::thread::spawn(move || record(stream, &kept)));
            }
        });
        Self { address, wires, readers }
    }

    /// The bytes of each connection there was, once foregate has closed them all.
    fn ended(self) -> Vec<String> {
        // Connections are accepted in their order: where the last one has its answer, all others have their reader.
        let mut last = TcpStream::connect(self.address).expect("a connection");
        last.write_all(b"END").expect("a request");
        last.read_exact(&mut [0]).expect("an answer");
        drop(last);
        self.readers.try_iter().for_each(|reader| reader.join().expect("an end"));
        let wires = self.wires.lock().expect("the bytes");
        wires
            .iter()
            .map(|wire| String::from_utf8_lossy(wire).into_owned())
            .filter(|wire| wire != "END")
            .collect()
    }

    /// All bytes of all connections since this was last asked.
    fn take(&self) -> String {
        let mut wires = self.wires.lock().expect("the bytes");
        let all = wires.iter_mut().map(std::mem::take).collect::<Vec<_>>().concat();
        String::from_utf8_lossy(&all).into_owned()
    }
}

fn record(mut stream: TcpStream, wires: &Mutex<Vec<Vec<u8>>>) {
    let index = {
        let mut wires = wires.lock().expect("the bytes");
        wires.push(Vec::new());
        wires.len() - 1
    };
    let mut piece = [0; 64 * 1024];
    while let Ok(length @ 1..) = stream.read(&mut piece) {
        wires.lock().expect("the bytes")[index].extend_from_slice(&piece[..length]);
        // Whatever it is, it ends with one of these, or else there is no answer.
        if [&b"\r\n\r\n"[..], b"END"].iter().any(|end| piece[..length].ends_with(end)) {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    }
}

struct Scene {
    foregate: Foregate,
    recorder: Recorder,
}

impl Scene {
    fn new() -> Self {
        let recorder = Recorder::start();
        let backend = Backend::start();
        let config = config("listen = \"LISTEN\"", &backend)
            .replace(&backend.url(), &format!("http://{}", recorder.address));
        Self { foregate: Foregate::start(&config), recorder }
    }

    /// Sends bytes as [`Self::answers`] does: the status of each answer, and what the backend got by then.
    fn send(&self, bytes: &[u8]) -> (Vec<String>, String) {
        (self.answers(bytes), self.recorder.take())
    }

    /// Sends bytes in one piece and one more request behind them: the status of each answer. The connection must end.
    fn answers(&self, bytes: &[u8]) -> Vec<String> {
        let mut stream = TcpStream::connect(self.foregate.public).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let _ = stream.write_all(&[bytes, NEXT.as_bytes()].concat());
        let mut answers = Vec::new();
        let ended = stream.read_to_end(&mut answers);
        assert!(ended.is_ok() || !answers.is_empty(), "{ended:?} {}", String::from_utf8_lossy(bytes));
        let answers = String::from_utf8_lossy(&answers).into_owned();
        answers.match_indices("HTTP/1.").map(|(at, _)| answers[at + 9..at + 12].to_owned()).collect()
    }
}

/// A request that only a server sees which takes what came before it as complete.
const NEXT: &str = "GET /next HTTP/1.1\r\nHost: open.foregate.localhost\r\nConnection: close\r\n\r\n";

/// A head with these lines.
fn post(lines: &str) -> String {
    format!("POST /one HTTP/1.1\r\nHost: open.foregate.localhost\r\n{lines}\r\n")
}

#[test]
fn a_length_told_in_two_ways_is_refused_and_ends_the_connection() {
    let scene = Scene::new();
    let hidden = "0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: open.foregate.localhost\r\n\r\n";
    for lines in [
        // CL.TE and TE.CL, in every order and spelling.
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        "transfer-encoding: chunked\r\nX: y\r\ncontent-length: 0\r\n",
        "TRANSFER-ENCODING: chunked\r\nCONTENT-LENGTH: 60\r\n",
        "Content-Length:4\r\nTransfer-Encoding:\tchunked\r\n",
        "Content-Length: 4\nTransfer-Encoding: chunked\n",
        // TE.TE.
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: identity, chunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding: chunked;q=1\r\n",
        "Transfer-Encoding:\r\n",
        "Transfer-Encoding: \u{b}chunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        " Transfer-Encoding: chunked\r\n",
        "X: y\r\n Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding:\r\n chunked\r\n",
        // Two lengths, or one that is none.
        "Content-Length: 4\r\nContent-Length: 5\r\n",
        "Content-Length: 4, 4\r\n",
        "Content-Length: 4, 5\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -5\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: 5 5\r\n",
        "Content-Length: 5.\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Content-Length:\r\n",
        "Content-Length : 5\r\n",
        "Content-Length\r\n",
        // Bytes that no head has.
        "X: a\0b\r\n",
        "X\0: a\r\n",
        "X: a\rb\r\n",
        "X: a\r\r\n",
        "X: a\r\n b\r\n",
        ": a\r\n",
        "X y: a\r\n",
    ] {
        let (answers, got) = scene.send(format!("{}{hidden}", post(lines)).as_bytes());
        assert_eq!(answers, ["400"], "{lines:?}");
        assert_eq!(got, "", "{lines:?}");
    }
    let http_1_0 = "POST /one HTTP/1.0\r\nHost: open.foregate.localhost\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n";
    assert_eq!(scene.send(format!("{http_1_0}{hidden}").as_bytes()), (vec!["400".to_owned()], String::new()));
    // Also behind others on its connection, in as many pieces as it has bytes.
    let mut stream = TcpStream::connect(scene.foregate.public).expect("a connection");
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let sound = post("Transfer-Encoding: chunked\r\n") + "5\r\nhello\r\n3\r\nEND\r\n0\r\n\r\n";
    let two = post("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n") + hidden;
    for (bytes, status) in [(sound, "200"), (two, "400")] {
        bytes.bytes().for_each(|byte| drop(stream.write_all(&[byte])));
        let mut answer = [0; 1024];
        let length = stream.read(&mut answer).expect("an answer");
        let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
    let got = scene.recorder.take();
    assert!(got.matches(" HTTP/1.1\r\n").count() == 1 && !got.contains("hidden"), "{got}");
}

#[test]
fn what_can_be_taken_in_one_way_only_is_one_request() {
    let scene = Scene::new();
    let hello = "5\r\nhello\r\n3\r\nEND\r\n0\r\n\r\n";
    for (request, body) in [
        (post("Content-Length: 8\r\n") + "helloEND", "helloEND"),
        (post("Content-Length: 8\r\nContent-Length: 8\r\n") + "helloEND", "helloEND"),
        (post("Content-Length: 008\r\n") + "helloEND", "helloEND"),
        (post("Transfer-Encoding: chunked\r\n") + hello, "hello"),
        (post("Transfer-Encoding: CHUNKED\r\n") + hello, "hello"),
        (post("Transfer-Encoding: chunked\r\n") + "5;a=b\r\nhello\r\n3\r\nEND\r\n0\r\nX: y\r\n\r\n", "hello"),
        // A line feed alone ends a line (RFC 9112 2.2).
        (
            "POST /one HTTP/1.1\nHost: open.foregate.localhost\nContent-Length: 8\n\nhelloEND".to_owned(),
            "helloEND",
        ),
        // A body that looks like a head is a body.
        (
            post("Content-Length: 59\r\n")
                + "\r\n\r\nTransfer-Encoding: chunked\r\ncontent-length: 7\r\n\r\nENDEND",
            "ENDEND",
        ),
    ] {
        let (answers, got) = scene.send(request.as_bytes());
        assert_eq!(answers, ["200", "200"], "{request:?}");
        assert_eq!(got.matches("POST /one HTTP/1.1\r\n").count(), 1, "{got}");
        assert_eq!(got.matches("GET /next HTTP/1.1\r\n").count(), 1, "{got}");
        assert_eq!(got.matches(" HTTP/1.1\r\n").count(), 2, "{got}");
        assert!(got.contains(body), "{got}");
        let lengths = got.to_ascii_lowercase().matches("content-length:").count();
        let codings = got.to_ascii_lowercase().matches("transfer-encoding:").count();
        assert!(lengths + codings <= 3, "{got}");
    }
    // No length is no body, also on HTTP/1.0: what follows is the next request, or nobody's.
    let (answers, got) = scene.send(post("").as_bytes());
    assert_eq!((answers.len(), got.matches(" HTTP/1.1\r\n").count()), (2, 2), "{got}");
    let old = "POST /one HTTP/1.0\r\nHost: open.foregate.localhost\r\n\r\n";
    let (answers, got) = scene.send(old.as_bytes());
    assert_eq!((answers.len(), got.matches("POST /one HTTP/1.1\r\n").count()), (1, 1), "{answers:?} {got}");
    assert!(!got.contains("/next"), "{got}");
}

#[test]
fn a_body_that_breaks_off_ends_the_connection_and_is_never_complete() {
    let mut scene = Scene::new();
    let broken = [
        "x\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "5 5\r\nhello\r\n0\r\n\r\n",
    ];
    for (index, chunks) in broken.iter().enumerate() {
        let head = post("Transfer-Encoding: chunked\r\n").replace("/one", &format!("/{index}"));
        let answers = scene.answers(format!("{head}{chunks}").as_bytes());
        assert!(answers.len() <= 1 && answers.iter().all(|status| status != "200"), "{chunks:?} {answers:?}");
    }
    // What of a body came before its fault may arrive later than the answer that it gets.
    scene.foregate.stop();
    let wires = scene.recorder.ended();
    for (index, chunks) in broken.iter().enumerate() {
        let line = format!("POST /{index} HTTP/1.1\r\n");
        let got: Vec<&String> = wires.iter().filter(|wire| wire.contains(&line)).collect();
        assert!(got.len() <= 1, "{chunks:?} {got:?}");
        assert!(got.iter().all(|wire| wire.starts_with(&line)), "{chunks:?} {got:?}");
    }
    for got in wires {
        assert!(got.matches(" HTTP/1.1\r\n").count() <= 1, "{got}");
        assert!(!got.ends_with("0\r\n\r\n") && !got.contains("/next"), "{got}");
    }
}

/// For [`crate::security`]: the case is a published one.
pub fn an_expectation_ends_no_body() {
    let mut scene = Scene::new();
    let hidden = "GET /hidden HTTP/1.1\r\nHost: open.foregate.localhost\r\n\r\n";
    let chunked = format!("{:x}\r\n{hidden}\r\n3\r\nEND\r\n0\r\n\r\n", hidden.len());
    let bodies = [
        (format!("Content-Length: {}\r\n", hidden.len() + 3), format!("{hidden}END")),
        ("Transfer-Encoding: chunked\r\n".to_owned(), chunked),
        (String::new(), String::new()),
        ("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n".to_owned(), format!("0\r\n\r\n{hidden}")),
    ];
    let mut passed = Vec::new();
    for (number, lines) in [
        "Expect: 100-continue\r\n",
        "Expect: 100-Continue\r\n",
        "Expect: y 100-continue\r\n",
        "Expect: 100-continue y\r\n",
        "Expect: 100-continue, 100-continue\r\n",
        "Expect: 100-continue\r\nExpect: 100-continue\r\n",
        "Expect: x\r\nExpect: 100-continue\r\n",
        "Expect: \t100-continue\r\n",
        "Expect:\r\n 100-continue\r\n",
        "Expect : 100-continue\r\n",
        "Expect:\r\n",
        "Expect: 417\r\n",
        "expect: 100-continue\r\nConnection: Expect\r\n",
    ]
    .iter()
    .enumerate()
    {
        let is_broken = lines.contains("\n ") || lines.contains("Expect :");
        for method in ["POST", "GET", "HEAD", "OPTIONS", "PUT"] {
            for (index, (length, body)) in bodies.iter().enumerate() {
                let page = format!("/{number}-{method}-{index}");
                let head =
                    post(&format!("{lines}{length}")).replacen("POST /one", &format!("{method} {page}"), 1);
                let answers = scene.answers(format!("{head}{body}").as_bytes());
                let last: Vec<&str> =
                    answers.iter().map(String::as_str).filter(|status| *status != "100").collect();
                if is_broken || index == 3 {
                    assert_eq!(last, ["400"], "{page} {lines:?}");
                } else {
                    assert!(!last.is_empty() && last.len() <= 2, "{page} {lines:?}: {answers:?}");
                    passed.extend((last[0] == "200").then_some(page));
                }
            }
        }
    }
    scene.foregate.stop();
    let wires = scene.recorder.ended();
    let seen: Vec<String> = wires.iter().flat_map(|wire| targets(wire)).collect();
    for page in &passed {
        assert_eq!(seen.iter().filter(|target| *target == page).count(), 1, "{page}");
    }
    let strays = seen.iter().filter(|target| *target != "/next" && !passed.contains(target));
    assert_eq!(strays.collect::<Vec<_>>(), Vec::<&String>::new(), "{wires:#?}");
    assert!(passed.len() > 100, "{passed:?}");
}

/// The targets of all requests on one connection, taken apart as RFC 9112 6.3 says. The last one may be cut off.
fn targets(wire: &str) -> Vec<String> {
    let (mut rest, mut targets) = (wire, Vec::new());
    while let Some((head, behind)) = rest.split_once("\r\n\r\n") {
        targets.push(head.split(' ').nth(1).unwrap_or_default().to_owned());
        let head = head.to_ascii_lowercase();
        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
        let body = if head.contains("transfer-encoding: chunked") {
            chunked_length(behind)
        } else {
            length.or(Some(0))
        };
        let Some(next) = body.and_then(|length: usize| behind.get(length..)) else { break };
        rest = next;
    }
    targets
}

/// How long a body in chunks is; `None` if it is cut off.
fn chunked_length(body: &str) -> Option<usize> {
    let mut at = 0;
    loop {
        let line = body[at..].find("\r\n")?;
        let size = usize::from_str_radix(&body[at..at + line], 16).expect("the size of a chunk");
        at += line + 2 + size + 2;
        body.get(..at)?;
        if size == 0 {
            return Some(at);
        }
    }
}

/// For [`crate::security`]: the case is a published one.
pub fn an_extension_ends_no_chunk() {
    let mut scene = Scene::new();
    let hidden = "GET /hidden HTTP/1.1\r\nHost: open.foregate.localhost\r\n\r\n";
    let broken = [
        "5;\nhello\r\n0\r\n\r\n",
        "5;a\nhello\r\n0\r\n\r\n",
        "5\n;a\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5;\rhello\r\n0\r\n\r\n",
        "5;a\rhello\r\n0\r\n\r\n",
        "5\r\rhello\r\n0\r\n\r\n",
        "5\rX\nhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\r0\r\n\r\n",
        "5\r\nhelloXX0\r\n\r\n",
        "5\r\nhello\r\n0\n\r\n",
        "5\r\nhello\r\n0;\n\r\n",
        "5\r\nhello\r\n0\r\r\n",
    ];
    for (index, chunks) in broken.iter().enumerate() {
        let head = post("Transfer-Encoding: chunked\r\n").replace("/one", &format!("/{index}"));
        let answers = scene.answers(format!("{head}{chunks}{hidden}").as_bytes());
        assert!(answers.len() <= 1 && answers.iter().all(|status| status != "200"), "{chunks:?} {answers:?}");
    }
    scene.foregate.stop();
    for got in scene.recorder.ended() {
        assert!(got.matches(" HTTP/1.1\r\n").count() <= 1, "{got}");
        assert!(!got.ends_with("0\r\n\r\n") && !got.contains("/next") && !got.contains("/hidden"), "{got}");
    }
}

#[test]
fn a_request_has_one_host() {
    let scene = Scene::new();
    let host = "Host: open.foregate.localhost";
    for (head, status) in [
        (format!("GET /one HTTP/1.1\r\n{host}\r\n"), "200"),
        (format!("GET http://open.foregate.localhost/one HTTP/1.1\r\n{host}\r\n"), "200"),
        (format!("GET http://OPEN.foregate.localhost/one HTTP/1.1\r\n{host}\r\n"), "200"),
        ("GET /one HTTP/1.1\r\n".to_owned(), "400"),
        ("GET /one HTTP/1.0\r\n".to_owned(), "400"),
        ("GET /one HTTP/1.1\r\nHost:\r\n".to_owned(), "400"),
        (format!("GET /one HTTP/1.1\r\n{host}\r\n{host}\r\n"), "400"),
        (format!("GET /one HTTP/1.1\r\n{host}\r\nHost: closed.foregate.localhost\r\n"), "400"),
        ("GET http://open.foregate.localhost/one HTTP/1.1\r\n".to_owned(), "400"),
        (format!("GET http://closed.foregate.localhost/one HTTP/1.1\r\n{host}\r\n"), "400"),
        (
            "GET http://open.foregate.localhost/one HTTP/1.1\r\nHost: closed.foregate.localhost\r\n"
                .to_owned(),
            "400",
        ),
        (format!("GET http://x@open.foregate.localhost/one HTTP/1.1\r\n{host}\r\n"), "400"),
        (
            "GET /one HTTP/1.1\r\nHost: open.foregate.localhost, closed.foregate.localhost\r\n".to_owned(),
            "400",
        ),
        ("GET /one HTTP/1.1\r\nHost: open.foregate.localhost/x\r\n".to_owned(), "400"),
        ("GET /one HTTP/1.1\r\nHost: x@open.foregate.localhost\r\n".to_owned(), "400"),
        // No target has a fragment (RFC 9112 3.2), and who cuts it off reads another one.
        (format!("GET /one#x HTTP/1.1\r\n{host}\r\n"), "400"),
        (format!("GET /one?y# HTTP/1.1\r\n{host}\r\n"), "400"),
        (format!("GET one HTTP/1.1\r\n{host}\r\n"), "400"),
        (format!("GET  /one HTTP/1.1\r\n{host}\r\n"), "400"),
        (format!("GET /o ne HTTP/1.1\r\n{host}\r\n"), "400"),
        (format!("GET /one HTTP/1.2\r\n{host}\r\n"), "400"),
        (format!("GET /one HTTP/2.0\r\n{host}\r\n"), "400"),
        (format!("GET /one\r\n{host}\r\n"), "400"),
        (format!("CONNECT open.foregate.localhost:80 HTTP/1.1\r\n{host}\r\n"), "405"),
        (format!("TRACE /one HTTP/1.1\r\n{host}\r\n"), "405"),
        (format!("OPTIONS * HTTP/1.1\r\n{host}\r\n"), "400"),
    ] {
        let (answers, got) = scene.send(format!("{head}\r\n").as_bytes());
        assert_eq!(answers.first().map(String::as_str), Some(status), "{head:?} {answers:?}");
        assert_eq!(got.contains("GET /one HTTP/1.1\r\n"), status == "200", "{head:?} {got}");
        let expected = answers.iter().filter(|status| *status == "200").count();
        assert_eq!(got.matches(" HTTP/1.1\r\n").count(), expected, "{head:?} {got}");
    }
}
