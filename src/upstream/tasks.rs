//! The tasks that run one HTTP/2 connection, and their end. Knows no requests.

use std::future::Future;
use std::time::Duration;

use hyper::rt::Executor;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What hyper runs for a connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Tasks {
    running: TaskTracker,
    over: CancellationToken,
}

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Tasks {
    fn execute(&self, task: F) {
        let over = self.over.clone();
        self.running.spawn(async move { over.run_until_cancelled(task).await.is_some() });
    }
}

impl Tasks {
    /// Waits until there are none.
    pub(super) async fn done(&self) {
        self.running.close();
        self.running.wait().await;
    }

    /// Waits until they have taken their leave, as nobody needs them any more; and ends them if the other side does not let
    /// them: it sends without an end and takes nothing.
    pub(super) async fn end(&self) {
        if timeout(LEAVE, self.done()).await.is_err() {
            tracing::debug!("a backend does not let a connection end: it is closed");
            self.over.cancel();
            self.running.wait().await;
        }
    }
}

/// Time for a leave.
const LEAVE: Duration = Duration::from_secs(5);
