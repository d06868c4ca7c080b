//! The addresses of a target's name: asked for one at a time, and good for a moment. Knows no connections.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// What is known of one name. Everybody who asks at a time shares one look-up, as each holds a thread for as long as the
/// name server is silent.
#[derive(Debug, Default)]
pub(super) struct Names(Mutex<Option<watch::Receiver<Option<Found>>>>);

type Addresses = Arc<[SocketAddr]>;

/// What came of a look-up, and when.
#[derive(Clone, Debug)]
struct Found(Instant, Result<Addresses, (io::ErrorKind, String)>);

impl Names {
    /// The addresses by a look-up that is under way or has just ended, or else by this one. It goes on if nobody waits
    /// for it any more.
    ///
    /// # Errors
    /// What the look-up says.
    pub(super) async fn find<L, A>(&self, look_up: impl FnOnce() -> L) -> io::Result<Addresses>
    where
        L: Future<Output = io::Result<A>> + Send + 'static,
        A: IntoIterator<Item = SocketAddr> + Send,
    {
        let mut told = self.told(look_up);
        let found = told.wait_for(Option::is_some).await.map_err(io::Error::other)?.clone();
        match found {
            Some(Found(_, Ok(addresses))) => Ok(addresses),
            Some(Found(_, Err((kind, why)))) => Err(io::Error::new(kind, why)),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn told<L, A>(&self, look_up: impl FnOnce() -> L) -> watch::Receiver<Option<Found>>
    where
        L: Future<Output = io::Result<A>> + Send + 'static,
        A: IntoIterator<Item = SocketAddr> + Send,
    {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(told) = &*last
            && is_good(told, Instant::now())
        {
            return told.clone();
        }
        let (tell, told) = watch::channel(None);
        let look_up = look_up();
        // It ends by itself: resolvers give up.
        tokio::spawn(async move {
            let found = look_up.await.map(|addresses| addresses.into_iter().collect());
            tell.send_replace(Some(Found(
                Instant::now(),
                found.map_err(|error| (error.kind(), error.to_string())),
            )));
        });
        *last = Some(told.clone());
        told
    }
}

/// Whether it is still under way, or has found something of late.
fn is_good(told: &watch::Receiver<Option<Found>>, now: Instant) -> bool {
    match &*told.borrow() {
        Some(Found(when, found)) => found.is_ok() && now.saturating_duration_since(*when) < GOOD_FOR,
        None => told.has_changed().is_ok(),
    }
}

/// Addresses change.
const GOOD_FOR: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn one_look_up_serves_all_who_wait_even_if_its_first_has_left() {
        let (names, asked) = (Arc::new(Names::default()), Arc::new(AtomicUsize::new(0)));
        let address = SocketAddr::from(([127, 0, 0, 1], 80));
        let (answer, answered) = oneshot::channel::<()>();
        let mut answered = Some(answered);
        let mut find = || {
            let (names, asked, answered) = (Arc::clone(&names), Arc::clone(&asked), answered.take());
            tokio::spawn(async move {
                let look_up = || async move {
                    asked.fetch_add(1, Ordering::SeqCst);
                    if let Some(answered) = answered {
                        let _ = answered.await;
                    }
                    Ok([address])
                };
                names.find(look_up).await
            })
        };
        let first = find();
        while asked.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        let others = [find(), find()];
        tokio::task::yield_now().await;
        answer.send(()).unwrap();
        for other in others {
            assert_eq!(*other.await.unwrap().unwrap(), [address]);
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn what_was_found_is_good_for_a_moment() {
        let now = Instant::now();
        let moment = GOOD_FOR - Duration::from_millis(1);
        let failed = || Err((io::ErrorKind::Other, String::new()));
        for (found, age, good) in [
            (Ok(Arc::default()), moment, true),
            (Ok(Arc::default()), GOOD_FOR, false),
            (failed(), Duration::ZERO, false),
        ] {
            let (_tell, told) = watch::channel(Some(Found(now, found)));
            assert_eq!(is_good(&told, now + age), good, "{age:?}");
        }
        let (tell, told) = watch::channel(None);
        assert!(is_good(&told, now), "under way");
        drop(tell);
        assert!(!is_good(&told, now), "broken off");
    }

    #[tokio::test]
    async fn what_failed_is_asked_for_again() {
        let names = Names::default();
        let address = SocketAddr::from(([127, 0, 0, 1], 80));
        let failed: io::Result<[SocketAddr; 1]> = Err(io::Error::other("no such name"));
        let error = names.find(|| async { failed }).await.unwrap_err();
        assert_eq!(error.to_string(), "no such name");
        assert_eq!(*names.find(|| async move { Ok([address]) }).await.unwrap(), [address]);
    }
}
