//! `foregate demo`: a provider, an app and foregate between them, on loopback and in memory. Knows foregate only by
//! its configuration.

mod answer;
mod backend;
mod banner;
mod loopback;
mod ports;
mod provider;

use std::future::Future;
use std::io::{self, Write as _};

use anyhow::Context as _;
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::House;
use crate::config::{Config, Environment};
use crate::secret::Secret;
use crate::session::store::Location;
use backend::Backend;
pub use banner::banner;
use loopback::Loopback;
pub use ports::Ports;
use provider::{Provider, Settings};

/// Runs the demo until Ctrl-C, SIGTERM or the end of its terminal, and prints what there is to try, in `colour` or
/// without. foregate is on `port`, or on a free one if that is taken.
///
/// # Errors
/// What kept a part from starting, and that foregate ended by itself.
pub async fn run(port: u16, colour: bool) -> anyhow::Result<()> {
    let ended = until_signal()?;
    let tell = |ports: &Ports| {
        let mut out = io::stdout().lock();
        // Whoever closed the output does not want to read it.
        let _ = out.write_all(banner(ports, colour).as_bytes()).and_then(|()| out.flush());
    };
    Demo::new(port)?.run(start, tell, ended).await
}

/// foregate by the demo's text alone, whatever the environment says, with sessions in memory. The future it yields
/// ends after `stop`, when foregate has ended.
async fn start(config: String, stop: CancellationToken) -> anyhow::Result<impl Future<Output = ()>> {
    let mut config = Config::from_text(Some(("the demo", &config)), &Environment::default())?.config;
    config.session.location = Location::Memory;
    Ok(House::build(config)?.run(stop))
}

/// Unlike a server, the demo also ends with its terminal: nobody would know of it any more.
fn until_signal() -> anyhow::Result<impl Future<Output = ()>> {
    let listen = |kind| signal(kind).context("listening for signals");
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut hang_up = listen(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
    })
}

/// Everything but foregate, ready to be served.
struct Demo {
    ports: Ports,
    provider: (Loopback, Provider),
    backend: (Loopback, Backend),
    config: String,
}

impl Demo {
    fn new(port: u16) -> anyhow::Result<Self> {
        // The usual ports are neighbours: 4180 and 4181 for foregate, 4182 for the provider.
        let beside = |distance| if port == 0 { 0 } else { port.checked_add(distance).unwrap_or_default() };
        let bind = |port| Loopback::bind(port).context("looking for a free port on 127.0.0.1");
        // All at once, so that none is found twice; the first two are let go for foregate to take.
        let (public, admin) = (bind(port)?, bind(beside(1))?);
        let (provider, backend) = (bind(beside(2))?, bind(0)?);
        let ports = Ports {
            public: public.port(),
            admin: admin.port(),
            provider: provider.port(),
            backend: backend.port(),
        };
        let mut secret = [0_u8; 32];
        rand::fill(&mut secret).context("making a client secret")?;
        let secret = URL_SAFE_NO_PAD.encode(secret);
        let config = ports.config(&secret)?;
        let settings = Settings {
            issuer: ports.issuer()?,
            client_id: ports::CLIENT.to_owned(),
            client_secret: Secret::new(secret),
            redirect_uri: ports.own_url(".foregate/callback")?,
            post_logout_redirect_uri: ports.own_url(".foregate/signed-out")?,
            form_targets: ports.form_targets(),
        };
        let answers = Provider::new(settings).context("making the provider's key")?;
        let app = Backend::new(ports.links(), ports.sign_out_url());
        Ok(Self { ports, provider: (provider, answers), backend: (backend, app), config })
    }

    /// Serves all parts until `ended`; foregate ends first, as it still has words for the other two.
    async fn run<F: Future<Output = ()>>(
        self,
        start: impl AsyncFnOnce(String, CancellationToken) -> anyhow::Result<F>,
        tell: impl FnOnce(&Ports),
        ended: impl Future<Output = ()>,
    ) -> anyhow::Result<()> {
        let (gate_stop, stop) = (CancellationToken::new(), CancellationToken::new());
        let _end_on_drop = (gate_stop.clone().drop_guard(), stop.clone().drop_guard());
        let parts = TaskTracker::new();
        parts.spawn(self.provider.1.run(self.provider.0, stop.clone()));
        parts.spawn(self.backend.0.run(self.backend.1, stop.clone()));
        let started = start(self.config, gate_stop.clone()).await.context("starting foregate for the demo");
        let outcome = match started {
            Ok(gate) => {
                tell(&self.ports);
                let mut gate = std::pin::pin!(gate);
                tokio::select! {
                    () = &mut gate => Err(anyhow::anyhow!("foregate has ended by itself")),
                    () = ended => {
                        gate_stop.cancel();
                        gate.await;
                        Ok(())
                    }
                }
            }
            Err(error) => Err(error),
        };
        stop.cancel();
        parts.close();
        parts.wait().await;
        outcome
    }
}

#[cfg(test)]
mod tests;
