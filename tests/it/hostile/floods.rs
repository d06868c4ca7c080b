//! Heads and bodies without an end, on many connections at once.

use super::{Fort, Rude};
use crate::support::upstream::until;

const CONNECTIONS: usize = 100;
/// What each of them would send if it were let.
const BYTES: usize = 8 << 20;

/// Sends `first` and then `again` until nobody takes it any more, or all has been sent; what was answered.
fn flood(address: std::net::SocketAddr, first: &[u8], again: &[u8]) -> (usize, Vec<u8>) {
    let mut stream = Rude::connect(address);
    stream.0.set_write_timeout(Some(std::time::Duration::from_secs(20))).expect("a time");
    let mut sent = 0;
    let _ = std::io::Write::write_all(&mut stream.0, first);
    while sent < BYTES && std::io::Write::write_all(&mut stream.0, again).is_ok() {
        sent += again.len();
    }
    (sent, stream.until_the_end())
}

#[test]
fn a_head_without_an_end_is_refused_after_its_first_64_kib() {
    let fort = Fort::new("", "");
    let lines = "X-Flood: 0123456789\r\n".repeat(512);
    let name = "x".repeat(16 * 1024);
    let cookies = "Cookie: foregate=AAAA; foregate=BBBB; a=b\r\n".repeat(256);
    let request = "GET /open/x HTTP/1.1\r\nHost: app.foregate.localhost\r\n";
    for (what, first, again) in [
        ("lines", request.to_owned(), lines.as_str()),
        ("one line", format!("{request}X: "), &name),
        ("one name", request.to_owned(), &name),
        ("a target", "GET /".to_owned(), &name),
        ("a method", String::new(), &name),
        ("cookies", request.to_owned(), &cookies),
        ("empty lines", String::new(), &"\r\n".repeat(8192)),
    ] {
        std::thread::scope(|scope| {
            for _ in 0..CONNECTIONS / 4 {
                scope.spawn(|| {
                    let (sent, answer) = flood(fort.foregate().public, first.as_bytes(), again.as_bytes());
                    let answer = String::from_utf8_lossy(&answer).into_owned();
                    assert!(sent < BYTES, "{what}: all was taken");
                    let status = answer.get(..13).unwrap_or_default();
                    let refused = ["", "HTTP/1.1 400 ", "HTTP/1.1 414 ", "HTTP/1.1 431 "];
                    assert!(refused.contains(&status), "{what}: {answer}");
                });
            }
        });
        fort.others_are_served();
    }
    fort.recovers(64);
}

#[test]
fn a_body_that_nobody_wants_is_not_read_to_its_end() {
    let fort = Fort::new("", "");
    let host = format!("Host: app.foregate.localhost:{}", fort.house.port);
    let own = format!("Host: auth.foregate.localhost:{}", fort.house.port);
    let piece = "x".repeat(64 * 1024);
    let chunk = format!("10000\r\n{piece}\r\n");
    let long = "Content-Length: 100000000";
    let chunked = "Transfer-Encoding: chunked";
    let kind = "Content-Type: application/x-www-form-urlencoded";
    let extension = format!("1;{}", "x".repeat(64 * 1024));
    for (what, head, again) in [
        ("a check", format!("POST /.foregate/auth/traefik HTTP/1.1\r\n{host}\r\n{long}\r\n\r\n"), &piece),
        ("a refusal", format!("POST /x HTTP/1.1\r\n{host}\r\n{long}\r\n\r\n"), &piece),
        ("a form", format!("POST /.foregate/sign-out HTTP/1.1\r\n{own}\r\n{kind}\r\n{long}\r\n\r\n"), &piece),
        (
            "a logout",
            format!("POST /.foregate/backchannel-logout HTTP/1.1\r\n{own}\r\n{kind}\r\n{chunked}\r\n\r\n"),
            &chunk,
        ),
        (
            "a device",
            format!("POST /.foregate/device HTTP/1.1\r\n{own}\r\n{kind}\r\n{chunked}\r\n\r\n"),
            &chunk,
        ),
        ("extensions", format!("POST /open/x HTTP/1.1\r\n{host}\r\n{chunked}\r\n\r\n"), &extension),
        (
            "trailers",
            format!("POST /open/x HTTP/1.1\r\n{host}\r\n{chunked}\r\n\r\n0\r\n"),
            &"X-Trailer: 0123456789\r\n".repeat(3000),
        ),
    ] {
        std::thread::scope(|scope| {
            for _ in 0..CONNECTIONS / 4 {
                scope.spawn(|| {
                    let (sent, answer) = flood(fort.foregate().public, head.as_bytes(), again.as_bytes());
                    assert!(sent < BYTES, "{what}: all was taken: {:?}", String::from_utf8_lossy(&answer));
                });
            }
        });
        fort.others_are_served();
    }
    fort.recovers(64);
}

#[test]
fn requests_sent_in_a_row_without_reading_wait_for_their_turn() {
    let fort = Fort::new("send_timeout = \"2s\"", "");
    let asked = fort.request("GET /.foregate/session.js HTTP/1.1", &[]);
    let asked = asked.replace("app.foregate.localhost", "auth.foregate.localhost").repeat(100);
    let mut crowd: Vec<Rude> = (0..CONNECTIONS / 10)
        .map(|_| {
            let one = Rude::connect(fort.foregate().public);
            socket2::SockRef::from(&one.0).set_recv_buffer_size(1).expect("a small window");
            one
        })
        .collect();
    // More answers than all buffers on the way hold.
    for round in 0..60 {
        for one in &mut crowd {
            one.push(asked.as_bytes());
        }
        if round % 10 == 0 {
            fort.others_are_served();
        }
    }
    until("they are ended", || fort.foregate().metric("foregate_connections") <= fort.calm.connections);
    drop(crowd);
    fort.recovers(64);
}
