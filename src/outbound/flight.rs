//! One piece of work at a time, its outcome shared by all who wait. Knows not what the work is.

use std::future::Future;

use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::trace;

/// The owner of at most one task; dropping it ends the task.
///
/// The task runs on its own, so a visitor who leaves neither stops it nor harms the others who wait.
pub(crate) struct Flight<T> {
    flying: Option<(watch::Receiver<Option<T>>, AbortHandle)>,
}

/// A seat on a flight: the outcome to come.
pub(crate) struct Landing<T>(watch::Receiver<Option<T>>);

impl<T: Clone + Send + Sync + 'static> Flight<T> {
    /// Starts `work`, ending what may still be under way.
    pub(crate) fn start(&mut self, work: impl Future<Output = T> + Send + 'static) -> Landing<T> {
        self.end();
        let (sender, receiver) = watch::channel(None);
        // Of the trace of whoever asked first.
        let task = tokio::spawn(trace::carry(async move {
            let outcome = work.await;
            sender.send_replace(Some(outcome));
        }));
        self.flying = Some((receiver.clone(), task.abort_handle()));
        Landing(receiver)
    }

    /// A seat on the flight under way, if there is one.
    pub(crate) fn current(&self) -> Option<Landing<T>> {
        let (receiver, task) = self.flying.as_ref()?;
        (!task.is_finished() && receiver.borrow().is_none()).then(|| Landing(receiver.clone()))
    }
}

impl<T> Flight<T> {
    fn end(&mut self) {
        if let Some((_, task)) = self.flying.take() {
            task.abort();
        }
    }
}

impl<T> Default for Flight<T> {
    fn default() -> Self {
        Self { flying: None }
    }
}

impl<T> Drop for Flight<T> {
    fn drop(&mut self) {
        self.end();
    }
}

impl<T: Clone> Landing<T> {
    /// Waits for the outcome; none if the work was ended or panicked.
    pub(crate) async fn outcome(mut self) -> Option<T> {
        self.0.wait_for(Option::is_some).await.ok()?.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn all_who_wait_share_one_outcome_and_one_leaving_harms_nobody() {
        let gate = Arc::new(tokio::sync::Notify::new());
        let runs = Arc::new(AtomicUsize::new(0));
        let mut flight = Flight::default();
        assert!(flight.current().is_none());
        let (open, count) = (Arc::clone(&gate), Arc::clone(&runs));
        let first = flight.start(async move {
            open.notified().await;
            count.fetch_add(1, Ordering::SeqCst) + 1
        });
        drop(first);
        let second = flight.current().unwrap();
        let third = flight.current().unwrap();
        gate.notify_one();
        assert_eq!((second.outcome().await, third.outcome().await), (Some(1), Some(1)));
        assert!(flight.current().is_none(), "landed");
        assert_eq!(runs.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn an_ended_flight_has_no_outcome_and_does_not_block_the_next() {
        let mut flight = Flight::default();
        let lost = flight.start(std::future::pending::<u8>());
        let next = flight.start(async { 7 });
        assert_eq!((lost.outcome().await, next.outcome().await), (None, Some(7)));
        let orphan = flight.start(std::future::pending());
        drop(flight);
        assert_eq!(orphan.outcome().await, None);
        let mut flight = Flight::default();
        let panicked = flight.start(async { if true { panic!("a test's panic") } else { 1 } });
        assert_eq!(panicked.outcome().await, None);
        assert!(flight.current().is_none());
    }
}
