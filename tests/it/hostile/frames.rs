//! HTTP/2 against its own rules and within them: whatever a client makes a server do for little.

use std::io::Write as _;
use std::net::TcpStream;

use super::{Fort, HOST, slow_app};
use crate::http2::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, HEADERS, PING, PRIORITY, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, frame, list,
};
use crate::support::upstream::{Act, Recorder, until};

/// Streams that an attacker opens on one connection.
const STREAMS: u32 = 2000;
/// Requests of one connection that may reach the app: a hundred at a time, and those that were taken back before.
const MOST_ASKED: usize = 250;

/// A request on a stream that anybody may send.
fn get(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &head("GET", path, &[]))
}

fn head(method: &str, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let own = [(":method", method), (":scheme", "https"), (":authority", HOST), (":path", path)];
    list(&[&own[..], more].concat())
}

/// The same for each of so many streams.
fn on_each(streams: u32, of: impl Fn(u32) -> Vec<u8>) -> Vec<u8> {
    (0..streams).flat_map(|number| of(number * 2 + 1)).collect()
}

/// What follows a request in its stream, by the number of the stream.
type Then = fn(u32) -> Vec<u8>;

#[test]
fn streams_that_are_opened_to_be_reset_end_the_connection() {
    let fort = Fort::new("", "");
    let attacks: [(&str, Then); 8] = [
        // CVE-2023-44487.
        ("rapid reset", |stream| frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())),
        // CVE-2025-8671 (MadeYouReset): the server is made to reset them itself.
        ("a window of nothing", |stream| frame(WINDOW_UPDATE, 0, stream, &[0; 4])),
        ("a window that overflows", |stream| frame(WINDOW_UPDATE, 0, stream, &[0x7f, 0xff, 0xff, 0xff])),
        ("a short priority", |stream| frame(PRIORITY, 0, stream, &[0; 4])),
        ("a stream below itself", |stream| {
            frame(PRIORITY, 0, stream, &[&stream.to_be_bytes()[..], &[1]].concat())
        }),
        ("a body behind the end", |stream| frame(DATA, 0, stream, b"x")),
        ("a head behind the end", |stream| get(stream, "/open/again")),
        ("trailers that are none", |stream| {
            frame(HEADERS, END_HEADERS | END_STREAM, stream, &list(&[(":path", "/")]))
        }),
    ];
    for (number, (what, then)) in attacks.into_iter().enumerate() {
        let mut frames = fort.frames();
        let path = format!("/open/attack-{number}-");
        frames.0.write(&on_each(STREAMS, |stream| [get(stream, &path), then(stream)].concat()));
        frames.end();
        fort.others_are_served();
        let asked = fort.house.backend.seen().iter().filter(|request| request.contains(&path)).count();
        assert!(asked <= MOST_ASKED, "{what}: {asked} requests reached the app");
    }
    fort.recovers(64);
}

#[test]
fn a_body_that_does_not_fit_its_length_resets_its_stream_and_many_the_connection() {
    let fort = Fort::new("", "");
    let mut frames = fort.frames();
    let body = |stream| {
        let head = head("POST", "/open/length", &[("content-length", "5")]);
        [frame(HEADERS, END_HEADERS, stream, &head), frame(DATA, END_STREAM, stream, b"123")].concat()
    };
    frames.0.write(&on_each(STREAMS, body));
    frames.end();
    fort.others_are_served();
    assert!(!fort.house.backend.seen().iter().any(|request| request.contains("/open/length")));
    fort.recovers(64);
}

#[test]
fn floods_that_ask_for_nothing_end_the_connection() {
    let fort = Fort::new("", "");
    let opened = frame(HEADERS, END_HEADERS, 1, &head("POST", "/open/x", &[]));
    let table = |size: u32| frame(SETTINGS, 0, 0, &[&[0, 1][..], &size.to_be_bytes()].concat());
    let window = |size: u32| frame(SETTINGS, 0, 0, &[&[0, 4][..], &size.to_be_bytes()].concat());
    let many = |one: Vec<u8>| one.repeat(5000);
    let attacks: [(&str, Vec<u8>); 10] = [
        ("pings", many(frame(PING, 0, 0, &[0; 8]))),
        ("settings", many(frame(SETTINGS, 0, 0, &[]))),
        ("tables that grow and shrink", many([table(4096), table(0)].concat())),
        ("windows that grow and shrink", many([window(0), window(0x7fff_ffff)].concat())),
        ("answers to settings", many(frame(SETTINGS, 1, 0, &[]))),
        ("priorities", many(frame(PRIORITY, 0, 3, &[0, 0, 0, 0, 1]))),
        ("unknown frames", many(frame(99, 0, 0, &[0; 100]))),
        ("empty bodies", [opened.clone(), many(frame(DATA, 0, 1, &[]))].concat()),
        // Nothing but padding (RFC 9113 6.1).
        ("bodies of padding", [opened.clone(), many(frame(DATA, 8, 1, &[0]))].concat()),
        ("resets of one stream", [opened, many(frame(RST_STREAM, 0, 1, &8_u32.to_be_bytes()))].concat()),
    ];
    for (_, bytes) in attacks {
        let mut frames = fort.frames();
        frames.0.write(&bytes);
        frames.end();
        fort.others_are_served();
    }
    fort.recovers(64);
}

#[test]
fn a_body_in_single_bytes_that_nobody_reads_ends_the_connection() {
    // The app has one connection, which is taken, so that all others wait with their bodies.
    let app = Recorder::start(|_, _| Act::Nothing);
    let bounds = "max_connections = 1\nmax_pending_requests = 200\nqueue_timeout = \"60s\"";
    let fort = Fort::new("", &slow_app(&app.url(), bounds));
    let mut first = TcpStream::connect(fort.foregate().public).expect("a connection");
    first.write_all(b"GET /first HTTP/1.1\r\nHost: slow.foregate.localhost\r\n\r\n").expect("it is sent");
    until("the app is asked", || app.count("/first") == 1);
    let upload = [
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", "slow.foregate.localhost"),
        (":path", "/x"),
    ];
    let begun = on_each(4, |stream| frame(HEADERS, END_HEADERS, stream, &list(&upload)));
    let bytes = on_each(4, |stream| frame(DATA, 0, stream, b"x").repeat(20_000));
    let mut crowd: Vec<Frames> = (0..20).map(|_| fort.frames()).collect();
    for frames in &mut crowd {
        frames.0.write(&begun);
        frames.0.write(&bytes);
    }
    fort.others_are_served();
    for frames in &mut crowd {
        frames.end();
    }
    drop(first);
    fort.recovers(64);
}

#[test]
fn a_body_in_single_bytes_arrives_where_it_is_read() {
    let fort = Fort::new("", "");
    let mut frames = fort.frames();
    for stream in [1, 3, 5] {
        let begun =
            frame(HEADERS, END_HEADERS, stream, &head("POST", "/open/bytes", &[("content-length", "6001")]));
        let bytes = frame(DATA, 0, stream, b"x").repeat(6000);
        frames.0.write(&[begun, bytes, frame(DATA, END_STREAM, stream, b"x")].concat());
        assert_eq!(frames.status(stream), 200);
    }
    let seen = fort.house.backend.seen();
    let body = "x".repeat(6001);
    assert_eq!(
        seen.iter().filter(|request| request.contains("/open/bytes") && request.contains(&body)).count(),
        3
    );
    drop(frames);
    fort.recovers(64);
}

#[test]
fn heads_in_pieces_and_heads_that_swell_are_cut_off() {
    let fort = Fort::new("head_timeout = \"3s\"", "");
    let first = frame(HEADERS, END_STREAM, 1, &head("GET", "/open/x", &[]));
    let line = list(&[("x", &"y".repeat(120))]);
    // One entry of 4,000 bytes in the table, and then its number, again and again (RFC 7541 6.1): 64 MiB in 16 KiB.
    let entry = [&[0x40, 1, b'x', 0x7f, 0x81, 0x1e][..], &[b'y'; 4000]].concat();
    let bomb = [head("GET", "/open/x", &[]), entry, vec![0xbe; 8000]].concat();
    let attacks: [(&str, Vec<u8>); 6] = [
        // CVE-2024-27316 and its like.
        (
            "continuations without end",
            [first.clone(), frame(CONTINUATION, 0, 1, &line.repeat(100)).repeat(500)].concat(),
        ),
        ("empty continuations", [first.clone(), frame(CONTINUATION, 0, 1, b"").repeat(50_000)].concat()),
        ("continuations of one byte", [first, frame(CONTINUATION, 0, 1, &[0x82]).repeat(50_000)].concat()),
        ("a bomb", on_each(STREAMS, |stream| frame(HEADERS, END_HEADERS | END_STREAM, stream, &bomb))),
        (
            "a table beyond its size",
            on_each(STREAMS, |stream| {
                frame(
                    HEADERS,
                    END_HEADERS | END_STREAM,
                    stream,
                    &[&[0x3f, 0xff, 0xff, 0xff, 0x07][..], &head("GET", "/open/x", &[])].concat(),
                )
            }),
        ),
        (
            "an index that is none",
            on_each(STREAMS, |stream| {
                frame(HEADERS, END_HEADERS | END_STREAM, stream, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff])
            }),
        ),
    ];
    for (_, bytes) in attacks {
        let mut crowd: Vec<Frames> = (0..5).map(|_| fort.frames()).collect();
        crowd.iter_mut().for_each(|frames| frames.0.write(&bytes));
        for frames in &mut crowd {
            frames.end();
        }
        fort.others_are_served();
    }
    fort.recovers(96);
}

#[test]
fn frames_against_the_rules_end_the_connection_and_tell_why() {
    let fort = Fort::new("", "");
    let overflow = frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff]);
    for (what, bytes) in [
        ("a window that overflows", overflow),
        ("a window of nothing", frame(WINDOW_UPDATE, 0, 0, &[0; 4])),
        ("a body on no stream", frame(DATA, 0, 0, b"x")),
        ("a body on a stream that is not open", frame(DATA, 0, 7, b"x")),
        ("a stream of even number", get(2, "/open/x")),
        ("a stream below the last", [get(5, "/open/x"), get(3, "/open/x")].concat()),
        ("a promise", frame(5, END_HEADERS, 1, &[0, 0, 0, 2])),
        ("a frame too long", frame(DATA, 0, 1, &vec![0; 16_385])),
        ("a ping of another size", frame(PING, 0, 0, &[0; 7])),
        ("settings of another size", frame(SETTINGS, 0, 0, &[0; 5])),
        ("a window too large", frame(SETTINGS, 0, 0, &[0, 4, 0xff, 0xff, 0xff, 0xff])),
        ("a continuation of nothing", frame(CONTINUATION, END_HEADERS, 1, b"")),
        ("a table that cannot be read", frame(HEADERS, 5, 1, &[0xff; 20])),
        (
            "something else within a head",
            [frame(HEADERS, END_STREAM, 1, b""), frame(PING, 0, 0, &[0; 8])].concat(),
        ),
    ] {
        let mut frames = fort.frames();
        frames.0.write(&bytes);
        let reason = frames.end();
        assert!(reason.is_some_and(|reason| reason != NO_ERROR), "{what}: {reason:?}");
    }
    fort.recovers(64);
}

#[test]
fn streams_beyond_what_is_allowed_are_refused_and_the_others_go_on() {
    let fort = Fort::new("", "");
    let mut frames = fort.frames();
    frames
        .0
        .write(&on_each(110, |stream| frame(HEADERS, END_HEADERS, stream, &head("POST", "/open/x", &[]))));
    for stream in (201..219).step_by(2) {
        assert_eq!(frames.status(stream), 0, "{stream} is refused");
    }
    frames.write(DATA, END_STREAM, 1, b"body");
    assert_eq!(frames.status(1), 200);
    fort.others_are_served();
    drop(frames);
    fort.recovers(64);
}

#[test]
fn answers_that_nobody_makes_room_for_are_given_up() {
    let fort = Fort::new("send_timeout = \"2s\"", "");
    let mut crowd: Vec<Frames> = (0..20).map(|_| fort.frames()).collect();
    for frames in &mut crowd {
        // No room at all, on 90 streams each.
        frames.write(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
        frames.0.write(&on_each(90, |stream| get(stream, "/open/x")));
    }
    for frames in &mut crowd {
        let mut resets = 0;
        while resets < 90 {
            let (kind, ..) = frames.read().expect("the connection goes on");
            resets += usize::from(kind == RST_STREAM);
        }
        assert_eq!(
            frames.ask(
                1001,
                &[(":method", "GET"), (":scheme", "https"), (":authority", HOST), (":path", "/x")]
            ),
            401
        );
    }
    fort.others_are_served();
    drop(crowd);
    fort.recovers(96);
}

/// The reason of a connection that ends for none (RFC 9113 7).
const NO_ERROR: u32 = 0;
