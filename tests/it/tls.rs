//! TLS listeners: who gets which certificate, what is spoken, and certificates that are replaced.

use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::support::backend::Backend;
use crate::support::foregate::{Foregate, free_port};
use crate::support::http::{Wire, get};
use crate::support::tls::Authority;

/// A configuration with a public app; the provider is never asked.
pub fn config(server: &str, backend: &Backend) -> String {
    format!(
        "public_url = \"https://auth.foregate.localhost\"\n[server]\nadmin_listen = \"ADMIN\"\n{server}\n\
         [session]\nstore = \"sqlite:DIR/f.db\"\n[provider]\nissuer = \"http://127.0.0.1:1/\"\nclient_id = \"f\"\n\
         client_auth = \"none\"\n[apps.\"open.foregate.localhost\"]\nallow = \"public\"\nupstream = \"{}\"\n\
         [apps.\"closed.foregate.localhost\"]\nallow = \"signed-in\"\nupstream = \"{}\"\n",
        backend.url(),
        backend.url()
    )
}

fn tls(authority: &Authority, name: &str) -> String {
    format!(
        "cert_file = \"{}\"\nkey_file = \"{}\"\n",
        authority.file(&format!("{name}.crt")),
        authority.file(&format!("{name}.key"))
    )
}

/// The certificate that is shown for a name.
fn shown(authority: &Authority, address: SocketAddr, host: &str) -> Vec<u8> {
    authority.connect(address, host, &[]).expect("a handshake").certificate()
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn browsers_are_served_over_tls_in_both_versions_of_http() {
    let (authority, backend) = (Authority::new(), Backend::start());
    authority.write("a", &["*.foregate.localhost"]);
    let server = format!("listen = \"LISTEN\"\n[server.tls]\n{}", tls(&authority, "a"));
    let foregate = Foregate::start(&config(&server, &backend));
    foregate.wait_for_log("\"protocol\":\"https\"");
    let port = foregate.public.port();
    let page = "https://open.foregate.localhost/page";
    for (args, version) in [
        (&["--http1.1", page][..], "1.1"),
        (&["--http2", page], "2"),
        (&["--tls-max", "1.2", "--http2", page], "2"),
        (&["--http1.1", "--tls-max", "1.2", page], "1.1"),
    ] {
        let (status, spoken, body) = authority.curl(port, args);
        assert_eq!((status, &*spoken), (200, version), "{args:?} {body}");
        assert!(body.starts_with("GET /page HTTP/1.1\r\n"), "{body}");
        assert!(body.to_ascii_lowercase().contains("host: open.foregate.localhost\r\n"), "{body}");
        assert!(body.contains("x-forwarded-proto: https"), "{body}");
        assert!(body.contains("x-forwarded-for: 127.0.0.1"), "{body}");
    }
    let (status, ..) = authority.curl(port, &["--http2", "https://closed.foregate.localhost/"]);
    assert_eq!(status, 401);
    assert_eq!(get(foregate.admin, "/livez", &[]).status, 200, "the admin listener is plain");
    let mut plain = Wire::open(foregate.public);
    plain.write(b"GET / HTTP/1.1\r\nHost: open.foregate.localhost\r\n\r\n");
    assert!(plain.read(false).is_none(), "no clear text where TLS is spoken");
}

#[test]
fn apps_are_not_served_in_clear_text_beside_tls() {
    let (authority, backend, port) = (Authority::new(), Backend::start(), free_port());
    authority.write("a", &["*.foregate.localhost"]);
    let tls = format!("[server.tls]\nlisten = \"127.0.0.1:{port}\"\n{}", tls(&authority, "a"));
    let proxied = "x-forwarded-proto: https\r\n";
    for (trusted, tls, is_led) in
        [("[]", &tls[..], true), ("[\"127.0.0.1\"]", &tls, false), ("[]", "", false)]
    {
        let server = format!("listen = \"LISTEN\"\ntrusted_proxies = {trusted}\n{tls}");
        let foregate = Foregate::start(&config(&server, &backend));
        for (method, host, status) in [
            ("GET", "open", 308),
            ("HEAD", "open", 308),
            ("POST", "open", 403),
            ("GET", "closed", 308),
            ("GET", "none", 404),
        ] {
            let mut wire = Wire::open(foregate.public);
            let lines =
                format!("Host: {host}.foregate.localhost:80\r\nContent-Length: 0\r\nConnection: close");
            wire.write(format!("{method} /x%20y?z=/ HTTP/1.1\r\n{lines}\r\n\r\n").as_bytes());
            let reply = wire.read(method == "HEAD").expect("an answer");
            if is_led {
                let page = format!("https://{host}.foregate.localhost/x%20y?z=/");
                assert_eq!(reply.status, status, "{method} {host}: {reply:?}");
                let led = (status == 308).then_some(page.as_str());
                assert_eq!(reply.header("location"), led, "{method} {host}: {reply:?}");
            } else if host == "open" && method != "HEAD" {
                assert!(reply.status == 200 && reply.body.contains(proxied), "{trusted}: {reply:?}");
            }
        }
        if !tls.is_empty() {
            let (status, _, body) = authority.curl(port, &["https://open.foregate.localhost/"]);
            assert!(status == 200 && body.contains(proxied), "{status} {body}");
        }
    }
}

#[test]
fn each_name_gets_its_certificate_and_every_other_the_first() {
    let (authority, backend) = (Authority::new(), Backend::start());
    let first = authority.write("first", &["first.test"]).der();
    let wild = authority.write("wild", &["*.wild.test"]).der();
    let exact = authority.write("exact", &["one.wild.test", "Other.test"]).der();
    let listed = |name: &str| {
        format!(
            "{{ cert_file = \"{}\", key_file = \"{}\" }}",
            authority.file(&format!("{name}.crt")),
            authority.file(&format!("{name}.key"))
        )
    };
    let port = free_port();
    let server = format!(
        "listen = \"LISTEN\"\n[server.tls]\nlisten = [\"127.0.0.1:{port}\"]\n{}certificates = [{}, {}]\n",
        tls(&authority, "first"),
        listed("wild"),
        listed("exact")
    );
    let foregate = Foregate::start(&config(&server, &backend));
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    for (host, wanted) in
        [("first.test", &first), ("one.wild.test", &exact), ("two.wild.test", &wild), ("other.test", &exact)]
    {
        assert_eq!(&shown(&authority, address, host), wanted, "{host}");
    }
    for host in ["unknown.test", "a.two.wild.test", "wild.test"] {
        let refused = authority.connect(address, host, &[]).err().expect("another certificate").to_string();
        assert!(refused.contains("first.test"), "{host} is shown the first: {refused}");
    }
    assert_eq!(
        get(foregate.public, "/", &["Host: open.foregate.localhost"]).status,
        200,
        "listen stays plain"
    );
}

#[test]
fn a_certificate_that_is_replaced_is_used_as_a_whole_or_not_at_all() {
    let (authority, backend) = (Authority::new(), Backend::start());
    let host = "open.foregate.localhost";
    let old = authority.write("a", &[host]).der();
    let server = format!("listen = \"LISTEN\"\n[server.tls]\n{}", tls(&authority, "a"));
    let foregate = Foregate::start(&config(&server, &backend));
    assert_eq!(shown(&authority, foregate.public, host), old);
    let kept = authority.connect(foregate.public, host, &["http/1.1"]).expect("a handshake");
    // The certificate without its key, then the key, as certbot writes them.
    let new = authority.issue(&[host]);
    std::fs::write(authority.path("a.crt"), &new.certificate).unwrap();
    foregate.wait_for_log("is not that of the certificate");
    assert_eq!(shown(&authority, foregate.public, host), old);
    std::fs::write(authority.path("a.key"), &new.key).unwrap();
    wait_until("the new certificate", || shown(&authority, foregate.public, host) == new.der());
    foregate.wait_for_log("was read anew");
    // Rubbish, and a file that is gone.
    std::fs::write(authority.path("a.crt"), "rubbish").unwrap();
    foregate.wait_for_log("holds no certificate in PEM");
    std::fs::remove_file(authority.path("a.crt")).unwrap();
    foregate.wait_for_log("cannot be read");
    assert_eq!(shown(&authority, foregate.public, host), new.der());
    let mut kept = kept;
    kept.write(b"GET / HTTP/1.1\r\nHost: open.foregate.localhost\r\nConnection: close\r\n\r\n");
    let mut answer = String::new();
    kept.0.read_to_string(&mut answer).expect("an answer on the connection of before");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // What keeps everybody waiting who opens it.
    let made = std::process::Command::new("mkfifo").arg(authority.path("a.crt")).status().expect("mkfifo");
    assert!(made.success());
    foregate.wait_for_log("it is no plain file");
    std::fs::remove_file(authority.path("a.crt")).unwrap();
    let newest = authority.write("a", &[host]).der();
    wait_until("the certificate behind it", || shown(&authority, foregate.public, host) == newest);
}

#[test]
fn a_directory_that_is_swapped_is_followed() {
    let (authority, backend) = (Authority::new(), Backend::start());
    let host = "open.foregate.localhost";
    // As Kubernetes mounts a secret: files are links through one link to a directory, which is renamed over.
    let version = |name: &str| {
        let dir = authority.path(name);
        std::fs::create_dir(&dir).unwrap();
        let pair = authority.issue(&[host]);
        pair.write(&dir.join("tls.crt"), &dir.join("tls.key"));
        let link = authority.path(&format!("{name}.link"));
        std::os::unix::fs::symlink(name, &link).unwrap();
        std::fs::rename(link, authority.path("..data")).unwrap();
        pair.der()
    };
    let old = version("one");
    std::os::unix::fs::symlink("..data/tls.crt", authority.path("tls.crt")).unwrap();
    std::os::unix::fs::symlink("..data/tls.key", authority.path("tls.key")).unwrap();
    let server = format!("listen = \"LISTEN\"\n[server.tls]\n{}", tls(&authority, "tls"));
    let foregate = Foregate::start(&config(&server, &backend));
    assert_eq!(shown(&authority, foregate.public, host), old);
    let new = version("two");
    std::fs::remove_dir_all(authority.path("one")).unwrap();
    wait_until("the new certificate", || shown(&authority, foregate.public, host) == new);
    assert_eq!(foregate.logged("cannot be used"), 0);
}

#[test]
fn a_certificate_that_cannot_be_used_stops_the_start() {
    let (authority, backend) = (Authority::new(), Backend::start());
    authority.write("a", &["a.test"]);
    authority.write("b", &["b.test"]);
    std::fs::write(authority.path("empty"), "").unwrap();
    for (certificate, key, told) in [
        ("a.crt", "b.key", "b.key is not that of the certificate in"),
        ("a.crt", "empty", "empty holds no private key"),
        ("empty", "a.key", "empty holds no certificate"),
        ("missing", "a.key", "missing cannot be read"),
        ("a.key", "a.key", "a.key holds no certificate"),
    ] {
        let server = format!(
            "listen = \"LISTEN\"\n[server.tls]\ncert_file = \"{}\"\nkey_file = \"{}\"\n",
            authority.file(certificate),
            authority.file(key)
        );
        let (code, told_by) = Foregate::refuses(&config(&server, &backend));
        assert_eq!(code, Some(1), "{told_by}");
        assert!(told_by.contains("foregate.toml:6:13") && told_by.contains(told), "{told_by}");
    }
}

#[test]
fn a_handshake_has_its_time_and_stands_in_nobodys_way() {
    let (authority, backend) = (Authority::new(), Backend::start());
    authority.write("a", &["*.foregate.localhost"]);
    let server = format!(
        "listen = \"LISTEN\"\n[server.tls]\n{}[server.limits]\nhead_timeout = \"1s\"\n",
        tls(&authority, "a")
    );
    let mut foregate = Foregate::start(&config(&server, &backend));
    let mut silent: Vec<Wire> = (0..50).map(|_| Wire::open(foregate.public)).collect();
    // The first bytes of a ClientHello.
    silent.iter_mut().for_each(|wire| wire.write(&[22, 3, 1, 2, 0, 1, 0]));
    let page = "https://open.foregate.localhost/";
    assert_eq!(authority.curl(foregate.public.port(), &[page]).0, 200);
    assert!(silent.iter_mut().all(Wire::ends));
    // A connection that is ready and asks nothing ends as well, and so does everything that is not ready at the end.
    let mut ready =
        authority.connect(foregate.public, "open.foregate.localhost", &["h2"]).expect("a handshake");
    assert!(ready.ends());
    let mut late = TcpStream::connect(foregate.public).expect("a connection");
    foregate.wait_for_connections(1);
    foregate.terminate();
    assert_eq!(late.read(&mut [0]).ok(), Some(0));
    assert_eq!(foregate.wait(), Some(0));
}
