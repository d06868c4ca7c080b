//! Whether a client takes the answers it asked for, stream by stream, on HTTP/2: there a client can leave one lying and
//! take the others. Knows no frames.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use hyper::rt::Executor;
use tokio_util::task::TaskTracker;

use super::phase::{Phase, Since};

tokio::task_local! {
    /// The flow of the stream whose task this is.
    static OWN: Arc<Flow>;
}

/// The answer on one stream.
pub(super) struct Flow {
    phase: Arc<Phase>,
    /// The tick since which a piece has been waiting for the client to take it.
    waits: Since,
}

impl Flow {
    /// That of the stream in whose task this is called, which is where hyper answers its request.
    pub(super) fn own() -> Option<Arc<Self>> {
        OWN.try_with(Arc::clone).ok()
    }

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
}

impl Streams {
    pub(super) fn new(phase: Arc<Phase>, tasks: TaskTracker, send_timeout: Duration) -> Self {
        Self { phase, tasks, send_timeout }
    }
}

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        let open = self.phase.open();
        // Also for what hyper runs for a tunnel, which nobody can tell from a stream here: it hands over no pieces, and
        // is quiet as long as both ends like.
        let flow = Arc::new(Flow { phase: Arc::clone(&self.phase), waits: Since::default() });
        let most = self.send_timeout;
        self.tasks.spawn(async move {
            let _open = open;
            tokio::select! {
                _ = OWN.scope(Arc::clone(&flow), stream) => {}
                () = flow.lies(most) => tracing::debug!("a client does not take what it asked for: its stream is reset"),
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_stream_has_its_own_flow_whatever_is_run_in_between() {
        let tasks = TaskTracker::new();
        let streams =
            Streams::new(Arc::new(Phase::new(Arc::default())), tasks.clone(), Duration::from_secs(60));
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        for _ in 0..3 {
            let tell = tell.clone();
            // As a stream that answers and opens a tunnel, in turns with others.
            let tunnels = streams.clone();
            streams.execute(async move {
                let (first, again) = (Flow::own(), async { Flow::own() });
                tunnels.execute(async { tokio::task::yield_now().await });
                tokio::task::yield_now().await;
                let _ = tell.send((first, again.await));
            });
        }
        tasks.close();
        tasks.wait().await;
        drop(tell);
        let mut flows = Vec::new();
        while let Some((Some(first), Some(again))) = told.recv().await {
            assert!(Arc::ptr_eq(&first, &again));
            assert!(flows.iter().all(|other| !Arc::ptr_eq(other, &first)));
            flows.push(first);
        }
        assert_eq!(flows.len(), 3);
        assert!(Flow::own().is_none(), "no other task has one");
    }
}
