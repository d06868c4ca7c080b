//! Apps that turn on the proxy before them: answers without an end, broken ones, and interim answers (1xx) for ever.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::{Fort, reset};
use crate::http2::{CONTINUATION, DATA, END_HEADERS, GOAWAY, HEADERS, PING, SETTINGS, frame};
use crate::support::http::{Reply, raw};
use crate::support::upstream::until;

/// What an app does with a connection on which a request has arrived.
type Act = fn(&mut TcpStream);

/// An app that says the same to everybody, and how much of it was taken at most.
struct Hostile {
    port: u16,
    sent: Arc<AtomicUsize>,
}

impl Hostile {
    /// Says `first` to every request and then `again` as often as it is taken, `most` bytes of it at most. An app of HTTP/2
    /// is one whose request begins with the preface.
    fn start(first: Vec<u8>, again: Vec<u8>, most: usize) -> Self {
        let sent = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&sent);
        let port = listen(move |stream| {
            let mut own = 0;
            let mut taken = stream.write_all(&first).is_ok();
            while taken && own < most {
                taken = stream.write_all(&again).is_ok();
                own += again.len();
                counted.fetch_max(own, Ordering::Relaxed);
            }
            // What is closed with words unread is reset, and takes with it what was said.
            let _ = stream.shutdown(Shutdown::Write);
            let _ = std::io::copy(stream, &mut std::io::sink());
        });
        Self { port, sent }
    }
}

/// An app that acts so once a request has arrived.
fn listen(act: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let act = Arc::new(act);
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let act = Arc::clone(&act);
            thread::spawn(move || {
                if has_asked(&mut stream) {
                    act(&mut stream);
                }
            });
        }
    });
    port
}

/// Reads up to a request, and says hello to a client that speaks HTTP/2.
fn has_asked(stream: &mut TcpStream) -> bool {
    let (mut bytes, mut piece, mut greeted) = (Vec::new(), [0; 16 * 1024], false);
    loop {
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return false,
            Ok(length) => bytes.extend_from_slice(&piece[..length]),
        }
        if !bytes.starts_with(PREFACE) {
            return true;
        }
        if !greeted && stream.write_all(&frame(SETTINGS, 0, 0, b"")).is_err() {
            return false;
        }
        greeted = true;
        // The frames behind the preface, up to a head.
        let mut rest = &bytes[PREFACE.len()..];
        while let [high, middle, low, kind, ..] = *rest {
            if kind == HEADERS {
                return true;
            }
            let length = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
            rest = rest.get(9 + length..).unwrap_or_default();
        }
    }
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Such apps, each on a host with its number.
fn tables(upstreams: &[String], more: &str) -> String {
    let table = |(number, upstream): (usize, &String)| {
        format!(
            "[apps.\"hostile-{number}.foregate.localhost\"]\nallow = \"public\"\nupstream = \"{upstream}\"\n{more}\n"
        )
    };
    upstreams.iter().enumerate().map(table).collect()
}

impl Fort {
    fn ask_hostile(&self, number: usize) -> Reply {
        let host = format!("Host: hostile-{number}.foregate.localhost:{}", self.house.port);
        raw(
            self.foregate().public,
            format!("GET /x HTTP/1.1\r\n{host}\r\nConnection: close\r\n\r\n").as_bytes(),
        )
    }
}

/// As much as no answer's head may be, interim ones and what systems keep in between included.
const MOST: usize = 64 << 20;

/// `:status` spelled out (RFC 7541 6.2.2), with a name from the table.
fn status(code: &str) -> Vec<u8> {
    [&[0x08, 3], code.as_bytes()].concat()
}

#[test]
fn heads_without_an_end_and_interim_answers_without_an_end_are_cut_off() {
    let small = b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(1000);
    let large = format!("HTTP/1.1 103 Early Hints\r\nLink: {}\r\n\r\n", "x".repeat(30_000)).into_bytes();
    let early = frame(HEADERS, END_HEADERS, 1, &status("103")).repeat(1000);
    // One entry of the table that is named many times in each.
    let entry = [&[0x40, 1, b'x', 0x7f, 0x81, 0x1e][..], &[b'y'; 4000]].concat();
    let first = frame(HEADERS, END_HEADERS, 1, &[status("103"), entry].concat());
    let swollen = frame(HEADERS, END_HEADERS, 1, &[status("103"), vec![0xbe; 12]].concat()).repeat(100);
    let unended = frame(HEADERS, 0, 1, &status("200"));
    let line = [&[0, 1, b'x', 100][..], &[b'y'; 100]].concat().repeat(100);
    let lines = "X-Flood: 0123456789\r\n".repeat(100).into_bytes();
    let attacks = [
        ("interim answers", "http", Vec::new(), small),
        ("long interim answers", "http", Vec::new(), large),
        ("a head", "http", b"HTTP/1.1 200 OK\r\n".to_vec(), lines),
        ("interim answers by HTTP/2", "h2c", Vec::new(), early),
        ("swollen interim answers by HTTP/2", "h2c", first, swollen),
        ("continuations", "h2c", unended, frame(CONTINUATION, 0, 1, &line)),
    ];
    let apps: Vec<(&str, &str, Hostile)> = attacks
        .into_iter()
        .map(|(what, scheme, first, again)| (what, scheme, Hostile::start(first, again, MOST)))
        .collect();
    let upstreams: Vec<String> =
        apps.iter().map(|(_, scheme, app)| format!("{scheme}://127.0.0.1:{}", app.port)).collect();
    let fort = Fort::new("", &tables(&upstreams, "response_header_timeout = \"60s\""));
    for (number, (what, _, app)) in apps.iter().enumerate() {
        thread::scope(|scope| {
            let asking: Vec<_> = (0..10).map(|_| scope.spawn(|| fort.ask_hostile(number))).collect();
            fort.others_are_served();
            for asked in asking {
                let reply = asked.join().expect("an answer");
                assert_eq!(reply.status, 502, "{what}: {reply:?}");
            }
        });
        let sent = app.sent.load(Ordering::Relaxed);
        assert!(0 < sent && sent < MOST, "{what}: {sent} bytes were heard");
    }
    fort.recovers(64);
}

#[test]
fn a_few_interim_answers_are_read_over() {
    let early = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n".repeat(10);
    let whole = format!("HTTP/1.1 100 Continue\r\n\r\n{early}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let early = frame(HEADERS, END_HEADERS, 1, &status("103")).repeat(10);
    let body = [frame(HEADERS, END_HEADERS, 1, &[0x88]), frame(0, 1, 1, b"ok")].concat();
    let apps = [("http", whole.into_bytes()), ("h2c", [early, body].concat())]
        .map(|(scheme, bytes)| (scheme, Hostile::start(bytes, Vec::new(), 0)));
    let upstreams = apps.each_ref().map(|(scheme, app)| format!("{scheme}://127.0.0.1:{}", app.port));
    let fort = Fort::new("", &tables(&upstreams, ""));
    for (number, upstream) in upstreams.iter().enumerate() {
        let reply = fort.ask_hostile(number);
        assert_eq!((reply.status, reply.body.as_str()), (200, "ok"), "{upstream}");
    }
}

#[test]
fn floods_beside_an_answer_and_answers_in_single_bytes_fill_no_memory() {
    let begun = frame(HEADERS, END_HEADERS, 1, &[0x88]);
    let drops = frame(DATA, 0, 1, b"x").repeat(1000);
    let attacks = [
        ("pings", Vec::new(), frame(PING, 0, 0, &[0; 8]).repeat(1000)),
        ("settings", Vec::new(), frame(SETTINGS, 0, 0, b"").repeat(1000)),
        ("unknown frames", Vec::new(), frame(99, 0, 0, &[0; 100]).repeat(1000)),
        ("empty pieces", begun.clone(), frame(DATA, 0, 1, b"").repeat(1000)),
        ("single bytes", begun, drops),
    ];
    let apps = attacks.map(|(what, first, again)| (what, Hostile::start(first, again, MOST)));
    let upstreams = apps.each_ref().map(|(_, app)| format!("h2c://127.0.0.1:{}", app.port));
    let fort = Fort::new("send_timeout = \"2s\"", &tables(&upstreams, "response_header_timeout = \"2s\""));
    for (number, (what, app)) in apps.iter().enumerate() {
        // Nobody reads the answers.
        let host = format!("Host: hostile-{number}.foregate.localhost:{}", fort.house.port);
        let asking: Vec<TcpStream> = (0..10)
            .map(|_| {
                let mut stream = TcpStream::connect(fort.foregate().public).expect("a connection");
                stream
                    .write_all(format!("GET /x HTTP/1.1\r\n{host}\r\n\r\n").as_bytes())
                    .expect("it is sent");
                stream
            })
            .collect();
        until("the app is asked", || app.sent.load(Ordering::Relaxed) > 0);
        for _ in 0..5 {
            fort.others_are_served();
        }
        drop(asking);
        until(&format!("{what} are heard no more"), || {
            fort.foregate().metric("foregate_upstream_connections ") == 0.0
        });
    }
    fort.recovers(64);
}

#[test]
fn an_answer_goes_on_behind_a_goaway() {
    let (pieces, asked) = (14, Arc::new(AtomicUsize::new(0)));
    let heard = Arc::clone(&asked);
    let port = listen(move |stream| {
        heard.fetch_add(1, Ordering::Relaxed);
        let begun = [frame(HEADERS, END_HEADERS, 1, &[0x88]), frame(GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0])];
        let _ = stream.write_all(&begun.concat());
        // Longer than anybody's leave takes.
        for number in 1..=pieces {
            thread::sleep(std::time::Duration::from_millis(500));
            let _ = stream.write_all(&frame(DATA, u8::from(number == pieces), 1, b"piece "));
        }
        let _ = stream.shutdown(Shutdown::Write);
        let _ = std::io::copy(stream, &mut std::io::sink());
    });
    let fort = Fort::new("", &tables(&[format!("h2c://127.0.0.1:{port}")], ""));
    thread::scope(|scope| {
        let asking: Vec<_> = (1..=2)
            .map(|number| {
                let asking = scope.spawn(|| fort.ask_hostile(0));
                until("the app is asked", || asked.load(Ordering::Relaxed) == number);
                asking
            })
            .collect();
        for one in asking {
            let reply = one.join().expect("an answer");
            assert_eq!((reply.status, reply.body.matches("piece ").count()), (200, pieces), "{reply:?}");
        }
    });
    fort.recovers(64);
}

#[test]
fn an_answer_that_breaks_anywhere_is_never_taken_for_whole() {
    let acts: [(&str, Act, u16); 8] = [
        ("nothing, reset", |stream| reset(stream), 502),
        ("nothing, closed", |_| {}, 502),
        ("half a head, reset", |stream| said(stream, b"HTTP/1.1 200 OK\r\nX: "), 502),
        ("half an interim answer", |stream| said(stream, b"HTTP/1.1 103 Early"), 502),
        ("an interim answer and no other", |stream| said(stream, b"HTTP/1.1 103 Early Hints\r\n\r\n"), 502),
        ("not HTTP", |stream| said(stream, b"220 smtp.example.com ESMTP\r\n"), 502),
        ("half a body", |stream| said(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\nhalf"), 200),
        (
            "half a chunk",
            |stream| said(stream, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nhalf"),
            200,
        ),
    ];
    let upstreams = acts.map(|(_, act, _)| format!("http://127.0.0.1:{}", listen(act)));
    let fort = Fort::new("", &tables(&upstreams, ""));
    for (number, (what, _, status)) in acts.into_iter().enumerate() {
        for _ in 0..10 {
            let reply = fort.ask_hostile(number);
            // Where the head was sent on already, the end is missing: no last chunk, or less than the length that was told.
            assert!([status, 502, 0].contains(&reply.status), "{what}: {reply:?}");
            if reply.status == 200 {
                let length =
                    reply.header("content-length").map(|length| length.parse::<usize>().expect("a length"));
                assert!(length.is_none_or(|length| reply.body.len() < length), "{what}: {reply:?}");
            }
        }
        fort.others_are_served();
    }
    fort.recovers(64);
}

/// Says something, and resets the connection as soon as it has been heard.
fn said(stream: &mut TcpStream, bytes: &[u8]) {
    let _ = stream.write_all(bytes);
    thread::sleep(std::time::Duration::from_millis(20));
    reset(stream);
}

#[test]
fn bodies_that_are_all_frame_and_no_content_are_cut_off_with_their_reader() {
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let apps = [
        ("chunk extensions", [&chunked[..], b"1;"].concat(), vec![b'x'; 64 * 1024]),
        ("trailers", [&chunked[..], b"0\r\n"].concat(), b"X-Trailer: 0123456789\r\n".repeat(1000)),
    ]
    .map(|(what, first, again)| (what, Hostile::start(first, again, MOST)));
    let upstreams = apps.each_ref().map(|(_, app)| format!("http://127.0.0.1:{}", app.port));
    let fort = Fort::new("", &tables(&upstreams, ""));
    for (number, (what, app)) in apps.iter().enumerate() {
        thread::scope(|scope| {
            for _ in 0..10 {
                scope.spawn(|| fort.ask_hostile(number));
            }
            fort.others_are_served();
        });
        until("it is heard no more", || fort.foregate().metric("foregate_upstream_connections ") == 0.0);
        let sent = app.sent.load(Ordering::Relaxed);
        assert!(0 < sent && sent < MOST, "{what}: {sent} bytes were heard");
    }
    fort.recovers(64);
}
