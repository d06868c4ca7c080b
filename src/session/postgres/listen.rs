//! A connection of its own that hears what other replicas announce. Knows not what changed, only that something did.

use std::future::poll_fn;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_postgres::{AsyncMessage, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::statements::LISTEN;

/// How to connect for listening. A pooler in between may swallow what is announced; then nothing is heard.
pub(super) struct Listener {
    config: Config,
    connector: MakeRustlsConnect,
}

impl Listener {
    pub(super) fn new(config: Config, connector: MakeRustlsConnect) -> Self {
        Self { config, connector }
    }

    /// Listens, again and again, and wakes `heard` at each word and each beginning.
    pub(super) async fn run(&self, heard: &Notify) {
        loop {
            if let Err(error) = self.hear(heard).await {
                tracing::debug!(%error, "listening for changes broke off");
            }
            sleep(PAUSE).await;
        }
    }

    async fn hear(&self, heard: &Notify) -> Result<(), tokio_postgres::Error> {
        let connected = timeout(CONNECT_TIME, self.config.connect(self.connector.clone())).await;
        let Ok(connected) = connected else { return Ok(()) };
        let (client, mut connection) = connected?;
        let words = async {
            loop {
                match poll_fn(|context| connection.poll_message(context)).await {
                    Some(Ok(AsyncMessage::Notification(_))) => heard.notify_one(),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(error),
                    None => return Ok(()),
                }
            }
        };
        let listening = async {
            client.batch_execute(LISTEN).await?;
            heard.notify_one();
            std::future::pending().await
        };
        tokio::select! { ended = words => ended, failed = listening => failed }
    }
}

/// Between two attempts to listen.
const PAUSE: Duration = Duration::from_secs(1);
const CONNECT_TIME: Duration = Duration::from_secs(2);
