//! What leaves, what does not, and how hostile answers end.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::time::Instant;

use super::testing::{Reply, Server, answer};
use super::*;

fn get(url: &str) -> Request<Vec<u8>> {
    Request::builder().uri(url).body(Vec::new()).unwrap()
}

fn way_to(url: &Url) -> Outbound {
    let outbound = Outbound::with_deadline(None, Duration::from_millis(400), Arc::default());
    outbound.permit([url]);
    outbound
}

fn lines<'a>(request: &'a str, name: &str) -> Vec<&'a str> {
    let named = |line: &&str| line.split(':').next().is_some_and(|found| found.eq_ignore_ascii_case(name));
    request.lines().filter(named).collect()
}

#[tokio::test]
async fn a_request_has_one_host_and_the_usual_headers() {
    let server = Server::start(|_| answer(201, "text/plain", "hello")).await;
    let outbound = way_to(&server.url);
    let request = Request::builder()
        .method("POST")
        .uri(server.at("/token?x=1").as_str())
        .header("host", "evil.test")
        .header("accept-encoding", "gzip")
        .body(b"a=b".to_vec())
        .unwrap();
    let answer = outbound.fetch(request).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.body().as_slice()), (201, b"hello".as_slice()));
    let seen = server.seen().pop().unwrap();
    assert!(seen.starts_with("POST /token?x=1 HTTP/1.1\r\n") && seen.ends_with("\r\n\r\na=b"), "{seen}");
    let host = format!("host: 127.0.0.1:{}", server.url.port().unwrap());
    assert_eq!(lines(&seen, "host"), [host.as_str()]);
    assert_eq!(lines(&seen, "user-agent"), [format!("user-agent: {AGENT}").as_str()]);
    assert_eq!(lines(&seen, "accept"), ["accept: application/json"]);
    for absent in ["accept-encoding", "x-forwarded-host", "x-forwarded-proto"] {
        assert_eq!(lines(&seen, absent), [""; 0]);
    }
}

#[tokio::test]
async fn hostile_answers_end_in_their_own_error() {
    let server = Server::start(|request| {
        let huge = || vec![b'x'; LIMIT_BYTES + 1];
        match request.split(' ').nth(1).unwrap() {
            "/hang" => Reply::Hang,
            "/stall" => Reply::Stall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf".to_vec()),
            "/half" => Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf".to_vec()),
            "/huge" => Reply::Raw([b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), huge()].concat()),
            "/said" => Reply::Stall(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n".to_vec()),
            "/head" => Reply::Raw([b"HTTP/1.1 200 OK\r\nX: ".to_vec(), huge()].concat()),
            "/garbage" => Reply::Raw(b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec()),
            "/nothing" => Reply::Raw(Vec::new()),
            "/gzip" => {
                Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 0\r\n\r\n".to_vec())
            }
            other => panic!("{other}"),
        }
    })
    .await;
    let outbound = way_to(&server.url);
    for (path, expected) in [
        ("/hang", "Timeout"),
        ("/stall", "Timeout"),
        ("/half", "Broken"),
        ("/huge", "TooLarge"),
        ("/said", "TooLarge"),
        ("/head", "Broken"),
        ("/garbage", "Broken"),
        ("/nothing", "Broken"),
        ("/gzip", "Compressed"),
    ] {
        let begun = Instant::now();
        let error = outbound.fetch(get(server.at(path).as_str())).await.unwrap_err();
        assert!(format!("{error:?}").starts_with(expected), "{path}: {error:?}");
        assert!(begun.elapsed() < Duration::from_secs(2), "{path}");
    }
}

#[tokio::test]
async fn an_answer_of_exactly_the_limit_passes() {
    let server = Server::start(|_| answer(200, "text/plain", &"x".repeat(LIMIT_BYTES))).await;
    let outbound = Outbound::new(None, Arc::default());
    outbound.permit([&server.url]);
    assert_eq!(outbound.fetch(get(server.url.as_str())).await.unwrap().body().len(), LIMIT_BYTES);
}

#[tokio::test]
async fn redirects_and_error_pages_are_answers_and_nothing_is_followed() {
    let server = Server::start(|request| match request.split(' ').nth(1).unwrap() {
        "/302" => Reply::Raw(
            b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n".to_vec(),
        ),
        _ => answer(500, "text/html", "<h1>Oops</h1>"),
    })
    .await;
    let outbound = way_to(&server.url);
    for (path, status) in [("/302", 302), ("/500", 500)] {
        assert_eq!(outbound.fetch(get(server.at(path).as_str())).await.unwrap().status(), status);
    }
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn what_nobody_named_is_refused_unsent() {
    let server = Server::start(|_| answer(200, "text/plain", "")).await;
    let other = Server::start(|_| answer(200, "text/plain", "")).await;
    let outbound = way_to(&server.url);
    let port = server.url.port().unwrap();
    outbound.permit(
        [server.url.as_str(), "http://id.test/", "https://id.test/"]
            .map(|text| Url::parse(text).unwrap())
            .iter(),
    );
    for (url, expected) in [
        (other.url.to_string(), "Origin"),
        (format!("http://localhost:{port}/"), "Origin"),
        (format!("https://127.0.0.1:{port}/"), "Origin"),
        ("https://id.test:444/".to_string(), "Origin"),
        ("http://169.254.169.254/".to_string(), "Origin"),
        ("http://id.test/".to_string(), "ClearText"),
        (format!("http://user@127.0.0.1:{port}/"), "Address"),
        (format!("http://:pass@127.0.0.1:{port}/"), "Address"),
        ("/relative".to_string(), "Address"),
        (format!("ftp://127.0.0.1:{port}/"), "Address"),
    ] {
        let error = outbound.fetch(get(&url)).await.unwrap_err();
        let OutboundError::Refused(refusal) = error else { panic!("{url}: {error:?}") };
        assert!(format!("{refusal:?}").starts_with(expected), "{url}: {refusal:?}");
    }
    assert!(server.seen().is_empty() && other.seen().is_empty());
    outbound.permit([&other.url]);
    assert!(outbound.fetch(get(server.url.as_str())).await.is_err(), "permit replaces");
}

#[tokio::test]
async fn a_closed_port_is_a_connect_error() {
    let server = Server::start(|_| Reply::Hang).await;
    let url = server.url.clone();
    drop(server);
    tokio::task::yield_now().await;
    let error = way_to(&url).fetch(get(url.as_str())).await.unwrap_err();
    assert!(matches!(&error, OutboundError::Connect(told) if told.contains("refused")), "{error:?}");
}

#[tokio::test]
async fn the_public_origin_is_dialled_inside_under_its_public_name() {
    let server = Server::start(|_| answer(200, "text/plain", "in")).await;
    for (public, authority, proto) in [
        ("https://id.example.com/", "id.example.com", "https"),
        ("https://id.example.com:8443/x/y", "id.example.com:8443", "https"),
        ("http://id.example.com/", "id.example.com", "http"),
    ] {
        let public = Url::parse(public).unwrap();
        let map = DialMap { public_origin: public.clone(), internal: server.url.clone() };
        let outbound = Outbound::with_deadline(Some(map), Duration::from_millis(400), Arc::default());
        outbound.permit([&public]);
        let request = Request::builder()
            .uri(public.join("/jwks").unwrap().as_str())
            .header("x-forwarded-host", "evil.test")
            .header("host", "evil.test")
            .body(Vec::new())
            .unwrap();
        assert_eq!(outbound.fetch(request).await.unwrap().body(), b"in");
        let seen = server.seen().pop().unwrap();
        assert!(seen.starts_with("GET /jwks HTTP/1.1\r\n"), "{seen}");
        assert_eq!(lines(&seen, "host"), [format!("host: {authority}")]);
        assert_eq!(lines(&seen, "x-forwarded-host"), [format!("x-forwarded-host: {authority}")]);
        assert_eq!(lines(&seen, "x-forwarded-proto"), [format!("x-forwarded-proto: {proto}")]);
        outbound.fetch(get(server.at("/direct").as_str())).await.unwrap();
        let seen = server.seen().pop().unwrap();
        assert_eq!(lines(&seen, "x-forwarded-host"), [""; 0], "the internal address itself is direct");
    }
}

#[tokio::test]
async fn tls_to_the_internal_address_is_for_the_internal_name() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let internal = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
    let hello = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut bytes = vec![0; 4096];
        let length = stream.read(&mut bytes).await.unwrap();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    });
    let public = Url::parse("https://id.example.com/").unwrap();
    let map = DialMap { public_origin: public.clone(), internal: Url::parse(&internal).unwrap() };
    let outbound = Outbound::with_deadline(Some(map), Duration::from_secs(2), Arc::default());
    outbound.permit([&public]);
    let error = outbound.fetch(get(public.as_str())).await.unwrap_err();
    if matches!(error, OutboundError::Refused(Refusal::NoTls(_))) {
        return; // a machine without root certificates
    }
    assert!(matches!(error, OutboundError::Connect(_)), "{error:?}");
    let hello = tokio::time::timeout(Duration::from_secs(2), hello).await.expect("nobody called").unwrap();
    assert!(hello.contains("localhost") && !hello.contains("id.example.com"));
}

#[test]
fn loopback_is_this_machine_only() {
    for (url, expected) in [
        ("http://localhost/", true),
        ("http://LOCALHOST.:80/", true),
        ("http://id.localhost/", true),
        ("http://127.8.9.1/", true),
        ("http://[::1]/", true),
        ("http://[::ffff:127.0.0.1]/", true),
        ("http://localhost.evil.test/", false),
        ("http://notlocalhost/", false),
        ("http://127.0.0.1.evil.test/", false),
        ("http://10.0.0.1/", false),
        ("http://0.0.0.0/", false),
        ("data:text/plain,localhost", false),
    ] {
        assert_eq!(is_loopback(&Url::parse(url).unwrap()), expected, "{url}");
    }
}
