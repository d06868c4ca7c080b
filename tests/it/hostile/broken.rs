//! Connections that break: at every byte of a request, of a handshake and of an answer, in every way there is.

use std::net::{Shutdown, SocketAddr, TcpStream};

use super::{Fort, Rude, reset};
use crate::support::http::Wire;
use crate::support::upstream::until;

/// How a connection ends.
#[derive(Clone, Copy, Debug)]
enum End {
    /// By both sides.
    Close,
    /// Nothing more comes, and an answer is waited for.
    Half,
    /// By a reset.
    Reset,
}

const ENDS: [End; 3] = [End::Close, End::Half, End::Reset];

/// Sends the beginning of something and ends.
fn break_off(address: SocketAddr, bytes: &[u8], end: End) {
    let mut stream = Rude::connect(address);
    stream.push(bytes);
    match end {
        End::Close => {}
        End::Half => {
            stream.0.shutdown(Shutdown::Write).expect("an end");
            // Whatever is said to it, it is said to the end.
            stream.until_the_end();
        }
        End::Reset => stream.reset(),
    }
}

#[test]
fn a_request_that_breaks_off_anywhere_leaves_nothing_behind() {
    let fort = Fort::new("", "");
    let upgrade = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"];
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    let post = fort.request("POST /open/x HTTP/1.1", &["Content-Length: 10"]);
    let long = fort.request("POST /open/x HTTP/1.1", &["Content-Length: 100000"]);
    let chunked = fort.request("POST /open/x HTTP/1.1", &["Transfer-Encoding: chunked"]);
    let scripts = [
        fort.request("GET /open/x HTTP/1.1", &[&fort.alice]),
        fort.request(
            "GET /.foregate/auth/traefik HTTP/1.1",
            &["X-Forwarded-Uri: /", "X-Forwarded-Proto: http"],
        ),
        post + "0123456789",
        format!("{long}{}", "x".repeat(200)),
        chunked + "5\r\n01234\r\n5;x=y\r\n56789\r\n0\r\nX-Trailer: x\r\n\r\n",
        fort.request("GET /open/x HTTP/1.1", &[&upgrade[..], &[key]].concat()),
        fort.request("POST /.foregate/sign-out HTTP/1.1", &["Content-Length: 30"]) + "scope=",
        "\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
    ];
    for (number, script) in scripts.iter().enumerate() {
        // Every third byte, another third for each kind.
        for at in (number % 3..=script.len()).step_by(3).chain([script.len()]) {
            break_off(fort.foregate().public, &script.as_bytes()[..at], ENDS[at % 3]);
        }
        ENDS.iter().for_each(|end| break_off(fort.foregate().public, script.as_bytes(), *end));
        fort.others_are_served();
    }
    fort.recovers(64);
}

#[test]
fn a_handshake_that_breaks_off_anywhere_leaves_nothing_behind() {
    let fort = Fort::new("", "");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    // A hello of a real client, to be cut.
    let hello = std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a client");
        let mut hello = vec![0; 16 * 1024];
        let length = std::io::Read::read(&mut &stream, &mut hello).expect("a hello");
        hello.truncate(length);
        hello
    });
    assert!(fort.authority.connect(address, super::HOST, &["h2"]).is_err(), "nobody answers");
    let hello = hello.join().expect("a hello");
    for at in (0..=hello.len()).step_by(17).chain([hello.len()]) {
        ENDS.iter().for_each(|end| break_off(fort.tls, &hello[..at], *end));
    }
    // Behind the handshake, within frames.
    for end in [End::Close, End::Reset] {
        for at in 0..9 {
            let mut frames = fort.frames();
            frames.0.write(&[0, 0, 7, 1, 4, 0, 0, 0, 1][..at]);
            if matches!(end, End::Reset) {
                reset(&frames.0.0.sock);
            }
        }
    }
    fort.recovers(64);
}

#[test]
fn an_answer_that_breaks_off_is_broken_off_at_the_app() {
    let fort = Fort::new("", "");
    let app = &fort.house.backend;
    for (number, end) in [End::Close, End::Reset].into_iter().cycle().take(100).enumerate() {
        let mut wire = Wire::open(fort.foregate().public);
        wire.write(
            fort.request("GET /half HTTP/1.1", &[&fort.alice, &format!("X-Number: {number}")]).as_bytes(),
        );
        assert!(wire.head().starts_with("HTTP/1.1 200 "));
        if matches!(end, End::Reset) {
            wire.reset();
        }
    }
    fort.others_are_served();
    // The app itself waits for a word before it goes on.
    let finish = TcpStream::connect(app.address).expect("the app");
    std::io::Write::write_all(&mut &finish, b"GET /finish HTTP/1.1\r\n\r\n").expect("a word");
    app.wait_for("/finish");
    fort.recovers(64);
}

#[test]
fn a_tunnel_that_breaks_off_ends_at_both_ends() {
    let fort = Fort::new("", "");
    let lines = [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        &fort.alice,
    ];
    for end in ENDS.into_iter().cycle().take(30) {
        let mut wire = Wire::open(fort.foregate().public);
        wire.write(fort.request("GET /socket HTTP/1.1", &lines).as_bytes());
        let head = wire.head();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert_eq!(wire.bytes(5), b"hello");
        match end {
            End::Close => {}
            End::Half => {
                wire.finish();
                wire.until_the_end();
            }
            End::Reset => wire.reset(),
        }
    }
    until("no tunnel is left", || fort.foregate().metric("foregate_upstream_connections ") == 0.0);
    fort.recovers(64);
}
