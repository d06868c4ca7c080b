//! The demo as a whole, with a foregate that only waits for its end.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::{Demo, Ports};

async fn answer(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn all_parts_run_until_asked_to_end_and_leave_no_port_behind() {
    let demo = Demo::new(0).unwrap();
    let (ports, backend) = (demo.ports, demo.ports.backend);
    let (end, ended) = oneshot::channel::<()>();
    let (tell, told) = oneshot::channel::<Ports>();
    let start = async |toml: String, stop: CancellationToken| {
        let config: toml::Table = toml.parse()?;
        let address = config["server"]["listen"].as_str().unwrap().to_owned();
        let listener = TcpListener::bind(address).await?;
        Ok(async move {
            stop.cancelled().await;
            // The others outlive foregate.
            assert!(answer(backend, "/health").await.ends_with("ok\n"));
            drop(listener);
        })
    };
    let running = demo.run(start, |ports| tell.send(*ports).unwrap(), async { ended.await.unwrap() });
    let visitor = async {
        assert_eq!(told.await.unwrap(), ports);
        let document = answer(ports.provider, "/.well-known/openid-configuration").await;
        assert!(
            document.contains(&format!("\"issuer\":\"http://id.foregate.localhost:{}/\"", ports.provider))
        );
        assert!(
            answer(ports.backend, "/")
                .await
                .contains(&format!("http://admin.foregate.localhost:{}/", ports.public))
        );
        end.send(()).unwrap();
    };
    let (outcome, ()) = tokio::join!(running, visitor);
    outcome.unwrap();
    for port in [ports.public, ports.admin, ports.provider, ports.backend] {
        assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err(), "{port} is still open");
    }
}

#[tokio::test]
async fn a_foregate_that_does_not_start_ends_the_demo() {
    let demo = Demo::new(0).unwrap();
    let start = async |_: String, _: CancellationToken| {
        if true { Err(anyhow::anyhow!("no")) } else { Ok(std::future::ready(())) }
    };
    let outcome = demo.run(start, |_| panic!("nothing to tell"), std::future::pending()).await;
    assert!(format!("{:#}", outcome.unwrap_err()).contains("no"));
}

#[tokio::test]
async fn a_foregate_that_ends_by_itself_ends_the_demo() {
    let demo = Demo::new(0).unwrap();
    let start = async |_: String, _: CancellationToken| Ok(tokio::time::sleep(Duration::ZERO));
    assert!(demo.run(start, |_| (), std::future::pending()).await.is_err());
}

#[tokio::test]
async fn taken_ports_are_left_to_their_owners() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port();
    let ports = Demo::new(port).unwrap().ports;
    assert_ne!(ports.public, port);
    let all = [ports.public, ports.admin, ports.provider, ports.backend];
    assert!(all.iter().all(|port| all.iter().filter(|other| *other == port).count() == 1), "{ports:?}");
}
