//! Many listeners, Unix sockets, and clients that a front proxy names by the PROXY protocol.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use crate::support::backend::Backend;
use crate::support::foregate::{Foregate, free_port};
use crate::support::http::{Wire, get};
use crate::support::scene::ask;
use crate::support::tls::Authority;
use crate::tls::config;

const OPEN: &str = "http://open.foregate.localhost/";
const PAGE: &[u8] = b"GET /x HTTP/1.1\r\nHost: open.foregate.localhost\r\nConnection: close\r\n\r\n";

/// All that comes back for some bytes, until the other side closes.
fn answer(mut stream: impl std::io::Read + std::io::Write, bytes: &[u8]) -> String {
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn unix(path: &std::path::Path) -> UnixStream {
    let stream = UnixStream::connect(path).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

fn tcp(port: u16) -> std::net::TcpStream {
    let stream = std::net::TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// A header of version 2 for these addresses.
fn version_2(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
    let length = u16::try_from(addresses.len()).unwrap().to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[command, family][..], &length, addresses].concat()
}

#[test]
fn every_listener_serves_and_is_told_of() {
    let (backend, port) = (Backend::start(), free_port());
    let server =
        format!("listen = [\"LISTEN\", \"127.0.0.1:{port}\", \"unix:DIR/s.sock\"]\nsocket_mode = \"0640\"");
    let mut foregate = Foregate::start(&config(&server, &backend));
    assert_eq!(foregate.logged("\"listener\":\"public\""), 3, "{:?}", foregate.log_lines());
    let socket = foregate.dir().join("s.sock");
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o640);
    for answer in
        [answer(tcp(foregate.public.port()), PAGE), answer(tcp(port), PAGE), answer(unix(&socket), PAGE)]
    {
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(answer.contains("x-forwarded-for: 127.0.0.1\r\n"), "{answer}");
    }
    // A front proxy on the socket is one of this machine.
    let named = [&ask("traefik", "GET", OPEN, &["Connection: close"])[..]].concat();
    assert!(answer(unix(&socket), &named).starts_with("HTTP/1.1 200 "));
    assert_eq!(foregate.stop(), Some(0));
    assert!(!socket.exists(), "the socket goes with its listener");
}

#[test]
fn a_place_that_waits_for_somebody_is_no_idle_connection() {
    let backend = Backend::start();
    let server = "listen = \"LISTEN\"\n[server.limits]\nidle_timeout = \"1s\"";
    let foregate = Foregate::start(&config(server, &backend));
    let page = b"GET /x HTTP/1.1\r\nHost: open.foregate.localhost\r\n\r\n";
    let mut before = Wire::open(foregate.public);
    before.write(page);
    assert_eq!(before.read(false).expect("an answer").status, 200);
    // The place for the next one is older than this idleness.
    assert!(before.ends(), "idle for too long");
    let mut next = Wire::open(foregate.public);
    next.write(page);
    let reply = next.read(false).expect("an answer");
    assert_eq!((reply.status, reply.header("connection")), (200, None), "{reply:?}");
}

#[test]
fn a_socket_left_behind_is_replaced_and_one_in_use_is_not() {
    let backend = Backend::start();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.sock");
    drop(UnixListener::bind(&path).unwrap());
    let server = format!("listen = [\"LISTEN\", \"unix:{}\"]", path.display());
    let foregate = Foregate::start(&config(&server, &backend));
    assert!(answer(unix(&path), PAGE).starts_with("HTTP/1.1 200 "));
    let (code, told) = Foregate::refuses(&config(&server, &backend));
    assert!(code == Some(1) && told.contains(&format!("cannot listen on unix:{}", path.display())), "{told}");
    assert!(answer(unix(&path), PAGE).starts_with("HTTP/1.1 200 "), "the one in use stays");
    drop(foregate);
    assert!(path.exists(), "killed, it could not tidy up");
    let foregate = Foregate::start(&config(&server, &backend));
    assert!(answer(unix(&path), PAGE).starts_with("HTTP/1.1 200 "));
    drop(foregate);
}

#[test]
fn peers_on_a_socket_are_trusted_as_the_configuration_says() {
    let backend = Backend::start();
    let check = ask("traefik", "GET", OPEN, &["Connection: close"]);
    for (trusted, status) in [("[\"127.0.0.0/8\"]", "403"), ("[\"unix\"]", "200"), ("[]", "403")] {
        let server = format!("listen = [\"LISTEN\", \"unix:DIR/s.sock\"]\ntrusted_proxies = {trusted}");
        let foregate = Foregate::start(&config(&server, &backend));
        let found = answer(unix(&foregate.dir().join("s.sock")), &check);
        assert!(found.starts_with(&format!("HTTP/1.1 {status} ")), "{trusted}: {found}");
        if status == "403" {
            foregate.wait_for_log("trusted_proxies = [\\\"unix\\\"]");
        }
    }
}

#[test]
fn listeners_that_cannot_be_are_findings() {
    let backend = Backend::start();
    for (server, told) in [
        ("listen = []", "`server.listen` is empty"),
        ("listen = [\"127.0.0.1:1\", \"0.0.0.0:1\"]", "0.0.0.0:1 is there twice"),
        ("listen = \"ADMIN\"", "are the same address"),
        ("listen = \"unix:s.sock\"", "a Unix socket needs an absolute path"),
        ("listen = \"LISTEN\"\nsocket_mode = \"0660\"", "`server.socket_mode` has no effect"),
        ("listen = \"unix:/run/x\"\nsocket_mode = \"rw\"", "`server.socket_mode` is no set of permissions"),
        ("listen = \"LISTEN\"\ntrusted_proxies = [\"unix\"]", "`unix` has no effect"),
        ("listen = \"LISTEN\"\n[server.tls]\nlisten = \"127.0.0.1:1\"", "has no certificate to show"),
        ("listen = \"LISTEN\"\n[server.tls]\ncert_file = \"/x\"", "needs both `cert_file` and `key_file`"),
        (
            "listen = \"LISTEN\"\n[server.tls]\ncertificates = [{ cert_file = \"/x\" }]",
            "needs both `cert_file` and",
        ),
        (
            "listen = \"LISTEN\"\n[server.tls]\ncertificates = [{ cert = \"/x\" }]",
            "`cert` is not a setting of",
        ),
    ] {
        let (code, found) = Foregate::refuses(&config(server, &backend));
        assert!(code == Some(1) && found.contains(told), "{server}: {found}");
        assert_eq!(found.matches("fix: ").count(), 1, "{server}: {found}");
    }
}

#[test]
fn the_client_that_a_trusted_proxy_names_is_the_peer() {
    let (backend, authority) = (Backend::start(), Authority::new());
    authority.write("a", &["open.foregate.localhost"]);
    let port = free_port();
    let server = format!(
        "listen = [\"LISTEN\", \"unix:DIR/s.sock\"]\nproxy_protocol = true\ntrusted_proxies = [\"127.0.0.1\", \"unix\", \"10.0.0.0/8\"]\n\
         [server.tls]\nlisten = \"127.0.0.1:{port}\"\ncert_file = \"{}\"\nkey_file = \"{}\"",
        authority.file("a.crt"),
        authority.file("a.key")
    );
    let foregate = Foregate::start(&config(&server, &backend));
    let public = foregate.public.port();
    let four = [203, 0, 113, 7, 127, 0, 0, 1, 1, 2, 3, 4];
    let six = [&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7][..], &[0; 20]].concat();
    for (header, client) in [
        (b"PROXY TCP4 203.0.113.7 127.0.0.1 1 2\r\n".to_vec(), "203.0.113.7"),
        (b"PROXY TCP6 2001:db8::7 ::1 1 2\r\n".to_vec(), "2001:db8::7"),
        (version_2(0x21, 0x11, &four), "203.0.113.7"),
        (
            version_2(0x21, 0x11, &[&four[..], &[3, 0, 4, 0, 0, 0, 0, 0xea, 3, 232], &[0; 1000]].concat()),
            "203.0.113.7",
        ),
        (version_2(0x21, 0x21, &six), "2001:db8::7"),
        (version_2(0x20, 0, &[]), "127.0.0.1"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
    ] {
        let bytes = [&header[..], PAGE].concat();
        for found in [answer(tcp(public), &bytes), answer(unix(&foregate.dir().join("s.sock")), &bytes)] {
            assert!(found.contains(&format!("x-forwarded-for: {client}\r\n")), "{header:?}: {found}");
        }
        let mut slow = tcp(public);
        slow.set_nodelay(true).unwrap();
        for byte in &bytes[..header.len() + 5] {
            slow.write_all(&[*byte]).unwrap();
        }
        let found = answer(slow, &bytes[header.len() + 5..]);
        assert!(
            found.contains(&format!("x-forwarded-for: {client}\r\n")),
            "byte by byte {header:?}: {found}"
        );
    }
    // Ahead of TLS.
    let (status, _, body) =
        authority.curl(port, &["--haproxy-protocol", "--http2", "https://open.foregate.localhost/"]);
    assert!(status == 200 && body.contains("x-forwarded-for: 127.0.0.1\r\n"), "{status} {body}");
}

#[test]
fn trust_is_decided_anew_for_the_client_that_is_named() {
    let backend = Backend::start();
    let server =
        "listen = \"LISTEN\"\nproxy_protocol = true\ntrusted_proxies = [\"127.0.0.1\", \"10.0.0.0/8\"]";
    let foregate = Foregate::start(&config(server, &backend));
    let check = ask("traefik", "GET", OPEN, &["Connection: close"]);
    for header in [b"PROXY UNKNOWN\r\n".to_vec(), version_2(0x21, 0, &[]), version_2(0x21, 0x31, &[0; 216])] {
        let found = answer(tcp(foregate.public.port()), &[&header, &check[..]].concat());
        assert!(found.starts_with("HTTP/1.1 403 "), "a client that is not named: {found}");
    }
    let found = answer(tcp(foregate.public.port()), &[&version_2(0x20, 0, &[]), &check[..]].concat());
    assert!(found.starts_with("HTTP/1.1 200 "), "the front proxy itself: {found}");
    for (client, status) in [("10.0.0.9", "200"), ("203.0.113.7", "403")] {
        let header = format!("PROXY TCP4 {client} 127.0.0.1 1 2\r\n");
        let found = answer(tcp(foregate.public.port()), &[header.as_bytes(), &check].concat());
        assert!(found.starts_with(&format!("HTTP/1.1 {status} ")), "{client}: {found}");
        let forged = b"GET /x HTTP/1.1\r\nHost: open.foregate.localhost\r\nX-Forwarded-For: 192.0.2.99\r\nConnection: close\r\n\r\n";
        let found = answer(tcp(foregate.public.port()), &[header.as_bytes(), forged].concat());
        let believed = if status == "200" { format!("192.0.2.99, {client}") } else { client.to_owned() };
        assert!(found.contains(&format!("x-forwarded-for: {believed}\r\n")), "{client}: {found}");
    }
}

#[test]
fn a_header_is_wanted_from_trusted_proxies_and_from_nobody_else() {
    let backend = Backend::start();
    let trusting = |trusted: &str| {
        let limits = "[server.limits]\nhead_timeout = \"1s\"";
        let server =
            format!("listen = \"LISTEN\"\nproxy_protocol = true\ntrusted_proxies = {trusted}\n{limits}");
        Foregate::start(&config(&server, &backend))
    };
    let header = &b"PROXY TCP4 203.0.113.7 127.0.0.1 1 2\r\n"[..];
    let foregate = trusting("[\"127.0.0.1\"]");
    for bytes in [PAGE, b"PROXY TCP4 nobody\r\n", &version_2(0x21, 0x11, &[0; 5000])[..], b"\x16\x03\x01"] {
        assert_eq!(answer(tcp(foregate.public.port()), bytes), "", "closed without a word");
    }
    let mut half = Wire::open(foregate.public);
    half.write(&header[..20]);
    assert!(half.ends(), "a header has its time");
    assert_eq!(foregate.logged("server.proxy_protocol is on"), 1, "{:?}", foregate.log_lines());
    assert_eq!(get(foregate.admin, "/livez", &[]).status, 200, "the admin listener knows nothing of it");
    let foregate = trusting("[\"10.0.0.0/8\"]");
    assert!(answer(tcp(foregate.public.port()), PAGE).starts_with("HTTP/1.1 200 "));
    for header in [header.to_vec(), version_2(0x21, 0x11, &[1; 12])] {
        let found = answer(tcp(foregate.public.port()), &[&header[..], PAGE].concat());
        assert!(found.starts_with("HTTP/1.1 400 ") && found.matches("HTTP/1.1 ").count() == 1, "{found}");
    }
}

#[test]
fn a_client_that_takes_nothing_of_an_answer_loses_its_connection() {
    let backend = Backend::start();
    let server = "listen = [\"LISTEN\", \"unix:DIR/s.sock\"]\n[server.limits]\nsend_timeout = \"1s\"";
    let foregate = Foregate::start(&config(server, &backend));
    // The backend sends back what it gets: more than the buffers of Unix sockets and of foregate hold.
    let length = 8 << 20;
    let head =
        format!("POST /x HTTP/1.1\r\nHost: open.foregate.localhost\r\nContent-Length: {length}\r\n\r\n");
    let mut client = unix(&foregate.dir().join("s.sock"));
    client.write_all(&[head.as_bytes(), &vec![b'x'; length]].concat()).expect("all of it is taken");
    let end = std::time::Instant::now() + Duration::from_secs(20);
    while foregate.metric("foregate_connections") > 1.0 {
        assert!(std::time::Instant::now() < end, "the connection stays");
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut taken = Vec::new();
    let _ = std::io::Read::read_to_end(&mut client, &mut taken);
    assert!(taken.starts_with(b"HTTP/1.1 200 ") && taken.len() < length, "{} bytes", taken.len());
}
