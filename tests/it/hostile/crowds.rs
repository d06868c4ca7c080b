//! Very many connections that do next to nothing.

use std::io::Read as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::{Fort, Rude, slow_app};
use crate::support::upstream::{Act, Recorder, until};

/// Connections of each crowd, so that client and server fit into the files that most machines allow.
const CROWD: usize = 2000;

/// What a connection sends at first, and again and again.
struct Dawdler {
    stream: Rude,
    drop: &'static [u8],
}

/// Lets them go on until all are ended; others are served all the time.
fn dawdle(fort: &Fort, mut crowd: Vec<Dawdler>) {
    let end = Instant::now() + Duration::from_secs(90);
    while !crowd.is_empty() {
        assert!(Instant::now() < end, "{} are not ended", crowd.len());
        crowd.retain_mut(|one| (one.drop.is_empty() || one.stream.push(one.drop)) && !one.stream.is_ended());
        fort.others_are_served();
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_crowd_that_dawdles_with_its_requests_is_ended() {
    let fort = Fort::new("head_timeout = \"8s\"\nidle_timeout = \"8s\"", "");
    let (clear, tls) = (fort.foregate().public, fort.tls);
    let asked = fort.request("GET /open/x HTTP/1.1", &[]);
    let again = format!("{asked}GET /");
    let kinds: [(SocketAddr, &[u8], &[u8]); 10] = [
        (clear, b"", b""),
        (clear, b"GET /open/", b"x"),
        (clear, b"GET /open/x HTTP/1.1\r\nX: ", b"y"),
        (clear, b"GET /open/x HTTP/1.1\r\n", b"X: y\r\n"),
        (clear, b"", b"\r\n"),
        (clear, asked.as_bytes(), b""),
        (clear, again.as_bytes(), b"x"),
        (tls, b"", b""),
        // A record of a handshake, and a hello in it, neither of which gets anywhere.
        (tls, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"x"),
        (tls, b"\x16\x03\x01", b""),
    ];
    let dawdler = |number: usize| {
        let (address, first, drop) = kinds[number % kinds.len()];
        let mut stream = Rude::connect(address);
        stream.push(first);
        Dawdler { stream, drop }
    };
    dawdle(&fort, (0..CROWD).map(dawdler).collect());
    // A debug build, with its large futures: 64 KiB each.
    fort.recovers(CROWD * 64 / 1024);
}

#[test]
fn a_crowd_that_says_nothing_more_is_as_good_as_gone() {
    // Front proxies keep connections open: nobody ends those here but their clients.
    let fort = Fort::new("", "");
    let asked = fort.request("GET /open/x HTTP/1.1", &[]);
    let mut crowd: Vec<Rude> = (0..CROWD)
        .map(|_| {
            let mut one = Rude::connect(fort.foregate().public);
            one.push(asked.as_bytes());
            one
        })
        .collect();
    for one in &mut crowd {
        one.0.set_nonblocking(false).expect("a socket");
        let mut piece = [0; 1024];
        assert!(one.0.read(&mut piece).is_ok_and(|length| piece[..length].starts_with(b"HTTP/1.1 200 ")));
    }
    until("all are there", || fort.foregate().metric("foregate_connections") >= CROWD as f64);
    fort.others_are_served();
    drop(crowd);
    fort.recovers(CROWD * 64 / 1024);
}

#[test]
fn bodies_that_hardly_move_take_nothing_from_others() {
    let app = Recorder::start(|_, _| Act::Nothing);
    let bounds = "max_connections = 200\nmax_pending_requests = 200\nqueue_timeout = \"2s\"\nstream_idle_timeout = \"5s\"";
    let fort = Fort::new("", &slow_app(&app.url(), bounds));
    let host = format!("Host: slow.foregate.localhost:{}", fort.house.port);
    let head = |line: &str| format!("POST /x HTTP/1.1\r\n{host}\r\n{line}\r\n\r\n");
    // A long one, one of unknown length, and one that is read before the app hears of it.
    let kinds = [
        (head("Content-Length: 1000000") + "x", "x"),
        (head("Transfer-Encoding: chunked"), "1\r\nx\r\n"),
        (head("Content-Length: 1000") + "x", "x"),
    ];
    let mut crowd: Vec<(Rude, &[u8])> = Vec::new();
    let drop_by_drop = |crowd: &mut Vec<(Rude, &[u8])>| {
        for (one, drop) in crowd {
            one.push(drop);
        }
    };
    // More than the app may have connections, and then more than may wait for one.
    for number in 0..CROWD {
        let (head, drop) = &kinds[number % 3];
        let mut one = Rude::connect(fort.foregate().public);
        one.push(head.as_bytes());
        crowd.push((one, drop.as_bytes()));
        if number % 500 == 499 {
            drop_by_drop(&mut crowd);
            fort.others_are_served();
        }
    }
    let busy = std::cell::RefCell::new(&mut crowd);
    until("the app is busy with them", || {
        drop_by_drop(*busy.borrow_mut());
        fort.foregate().metric("foregate_upstream_connections ") >= 200.0
    });
    fort.others_are_served();
    // They stand still now, and hear of it: 408, or 503 where the app had no room for them.
    for (one, _) in crowd {
        let answer = String::from_utf8_lossy(&one.until_the_end()).into_owned();
        let status = answer.get(..13).unwrap_or_default();
        assert!(["HTTP/1.1 408 ", "HTTP/1.1 503 ", ""].contains(&status), "{answer}");
    }
    fort.recovers(CROWD * 96 / 1024);
}

#[test]
fn answers_that_nobody_reads_are_not_piled_up() {
    const READERS: usize = 300;
    const BYTES: usize = 64 << 20;
    let app = Recorder::start(|_, _| {
        Act::Last(format!("HTTP/1.1 200 OK\r\nContent-Length: {BYTES}\r\n\r\n{}", "x".repeat(1 << 20)))
    });
    let fort = Fort::new("send_timeout = \"3s\"", &slow_app(&app.url(), ""));
    let asked = format!("GET /x HTTP/1.1\r\nHost: slow.foregate.localhost:{}\r\n\r\n", fort.house.port);
    let crowd: Vec<Rude> = (0..READERS)
        .map(|_| {
            let mut one = Rude::connect(fort.foregate().public);
            // As little room as the system gives.
            socket2::SockRef::from(&one.0).set_recv_buffer_size(1).expect("a small window");
            one.push(asked.as_bytes());
            one
        })
        .collect();
    until("the app has answered all", || app.count("GET /x") >= READERS);
    fort.others_are_served();
    until("they are ended", || fort.foregate().metric("foregate_connections") <= fort.calm.connections);
    drop(crowd);
    // Two buffers of 128 KiB and what hyper collects, for each; never a whole answer.
    fort.recovers(READERS * 1024 / 1024);
}
