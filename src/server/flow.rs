//! Whether a client takes the answers it asked for, stream by stream, on HTTP/2: there a client can leave one lying and
//! take the others. Knows no frames.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::rt::Executor;
use tokio_util::task::TaskTracker;

use super::phase::{Phase, Since};

/// The answer on one stream.
pub(super) struct Flow {
    phase: Arc<Phase>,
    /// The tick since which a piece has been waiting for the client to take it.
    waits: Since,
}

impl Flow {
    /// The next piece was asked for, so that all before it have been taken; and it came, or did not yet.
    pub(super) fn asked(&self, came: bool) {
        if came { self.waits.begin(self.phase.tick()) } else { self.waits.end() }
    }

    /// Ends when a piece has been waiting for so long, or up to twice as long.
    async fn lies(&self, most: Duration) {
        loop {
            let before = self.waits.tick();
            tokio::time::sleep(most).await;
            if before.is_some() && before == self.waits.tick() {
                return;
            }
        }
    }
}

/// Runs the streams of one connection, each in a task of its own, which ends with its connection.
#[derive(Clone)]
pub(super) struct Streams {
    phase: Arc<Phase>,
    tasks: TaskTracker,
    send_timeout: Duration,
    /// The flow of the request that was handed out last: hyper runs its stream next, in the same poll.
    next: Arc<Mutex<Option<Arc<Flow>>>>,
}

impl Streams {
    pub(super) fn new(phase: Arc<Phase>, tasks: TaskTracker, send_timeout: Duration) -> Self {
        Self { phase, tasks, send_timeout, next: Arc::default() }
    }

    /// The flow of the next stream.
    pub(super) fn flow(&self) -> Arc<Flow> {
        let flow = Arc::new(Flow { phase: Arc::clone(&self.phase), waits: Since::default() });
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&flow));
        flow
    }
}

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        let open = self.phase.open();
        let flow = self.next.lock().unwrap_or_else(PoisonError::into_inner).take();
        let most = self.send_timeout;
        self.tasks.spawn(async move {
            let _open = open;
            match flow {
                Some(flow) => tokio::select! {
                    _ = stream => {}
                    () = flow.lies(most) => tracing::debug!("a client does not take what it asked for: its stream is reset"),
                },
                // Of a tunnel, which is quiet as long as both ends like.
                None => drop(stream.await),
            }
        });
    }
}
