//! What goes on after it was let in, such as a tunnel or a long answer: it is judged again whenever its session may have
//! changed, and ends when it would not be let in any more. Knows no rules.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST, HeaderMap, HeaderValue};
use http::{Method, Uri, request};
use hyper::body::{Body, Frame, SizeHint};
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};

use super::super::body::BoxError;
use super::super::dialect::target;
use super::super::refs::Came;
use super::super::{Site, unix_now};
use crate::headers::Person;
use crate::policy::{Decision, Grant};
use crate::session::{Watch, token_id};
use crate::upstream::Until;
use crate::visit::{
    APP_TOKEN, AskedTenant, Authorization, Client, Credential, Malformed, Nearest, Scheme, ShownToken, Visit,
};

/// A visit that was let in, as it was judged, to be judged once more. Cheap to have, as nothing of it is copied before
/// [`Live::begin`].
#[derive(Debug)]
pub(super) struct Kept {
    scheme: Scheme,
    host: Option<HeaderValue>,
    uri: Uri,
    method: Method,
    credential: Credential,
    /// Where the visitor was, as far as that was sure.
    from: Option<IpAddr>,
    /// The token that let it in, if one did, as it was sent, and the tenant it named; no other lines.
    headers: HeaderMap,
    person: Option<Arc<Person>>,
}

impl Kept {
    /// Keeps what was judged of a request, and whom it was let in as.
    pub(super) fn of(parts: &request::Parts, visit: Visit<'_>, grant: &Grant<'_>) -> Self {
        Self {
            scheme: visit.target.scheme,
            from: visit.address(),
            host: parts.headers.get(HOST).cloned(),
            uri: parts.uri.clone(),
            method: parts.method.clone(),
            credential: visit.credential,
            headers: kept_lines(&parts.headers, grant),
            person: grant.shared_person().cloned(),
        }
    }

    /// The same, out of the buffer that its connection reads into, all of which a slice would keep.
    fn out_of_buffer(self) -> Self {
        Self {
            host: self.host.and_then(|host| HeaderValue::from_bytes(host.as_bytes()).ok()),
            uri: Uri::try_from(self.uri.to_string()).unwrap_or(self.uri),
            ..self
        }
    }

    /// What is told of it if it comes to no end.
    pub(super) fn came(&self) -> Came {
        let authority = self.uri.authority().map(|named| named.as_str().as_bytes());
        let host = self.host.as_ref().map(HeaderValue::as_bytes).or(authority).unwrap_or_default();
        Came::new(self.scheme, &self.method, host, &self.uri, self.from)
    }

    /// What was shown for it.
    pub(super) fn credential(&self) -> &Credential {
        &self.credential
    }

    /// An eye on whatever it was let in by.
    fn watch(&self, site: &Site) -> Watch {
        let token = match Authorization::of(&self.headers).app_token() {
            ShownToken::Token { token, .. } => Some(token_id(&token)),
            ShownToken::Nothing | ShownToken::Unclear => None,
        };
        site.sessions.watch(&self.credential, token)
    }

    /// Whether it would be let in now, and as the same person: what the backend was told of them is with it already. No
    /// answer is a no, as for any request.
    async fn is_let_in(&mut self, site: &Site, used: bool) -> bool {
        let credential = std::mem::take(&mut self.credential);
        let Ok(visit) = self.visit(credential) else { return false };
        let now = unix_now();
        let decision =
            if used { site.gate.judge(&visit, now).await } else { site.gate.look_again(&visit, now).await };
        let still = matches!(decision, Decision::Allow(grant) if grant.is_for(self.person.as_deref()));
        self.credential = visit.credential;
        still
    }

    fn visit(&self, credential: Credential) -> Result<Visit<'_>, Malformed> {
        let named = self.host.as_ref().map(HeaderValue::as_bytes);
        let host =
            named.or_else(|| Some(self.uri.authority()?.as_str().as_bytes())).ok_or(Malformed::Host)?;
        let uri = self.uri.path_and_query().map_or("/", |uri| uri.as_str());
        let target = target(self.scheme, host, uri.as_bytes(), self.method.clone())?;
        let client = self.from.map(|address| Client::new(Nearest::Visitor(address), &self.headers, &[]));
        let (authorization, tenant) = (Authorization::of(&self.headers), AskedTenant::In(&self.headers));
        Ok(Visit { target, credential, authorization, tenant, client })
    }
}

/// What else the decision rests on.
fn kept_lines(headers: &HeaderMap, grant: &Grant<'_>) -> HeaderMap {
    let mut kept = if grant.by_token() { token_of(headers) } else { HeaderMap::new() };
    if let Some(tenants) = &grant.app().tenants {
        // Copied, out of the buffer of the connection.
        let lines = headers.get_all(&tenants.header).iter();
        kept.extend(lines.filter_map(|line| {
            Some((tenants.header.clone(), HeaderValue::from_bytes(line.as_bytes()).ok()?))
        }));
    }
    kept
}

/// What says who a program is, in values that no log shows.
fn token_of(headers: &HeaderMap) -> HeaderMap {
    let mut kept = HeaderMap::new();
    for name in [AUTHORIZATION, APP_TOKEN] {
        for mut line in headers.get_all(&name).iter().cloned() {
            line.set_sensitive(true);
            kept.append(&name, line);
        }
    }
    kept
}

/// The hold that the house has on something that goes on. Each of its parts has a copy; with the last one it is over.
#[derive(Clone, Debug)]
pub(super) struct Live {
    over: CancellationToken,
    used: Arc<AtomicBool>,
    done: Arc<DropGuard>,
    came: Arc<Came>,
}

impl Live {
    /// Watches over a visit from now on.
    pub(super) fn begin(house: &Arc<ArcSwap<Site>>, kept: Kept) -> Self {
        let (kept, over, done) = (kept.out_of_buffer(), CancellationToken::new(), CancellationToken::new());
        let (came, held) = (Arc::new(kept.came()), Arc::new(done.clone().drop_guard()));
        let live = Self { over, used: Arc::default(), done: held, came };
        let (house, over, used) = (Arc::clone(house), live.over.clone(), Arc::clone(&live.used));
        tokio::spawn(async move {
            tokio::select! {
                () = until_refused(&house, kept, &used) => over.cancel(),
                () = done.cancelled() => {}
            }
        });
        live
    }

    /// What is told of it if it comes to no end.
    pub(super) fn came(&self) -> &Came {
        &self.came
    }

    /// Notes that the visitor sent something, which is a use of the session.
    pub(super) fn uses(&self) {
        self.used.store(true, Ordering::Relaxed);
    }

    /// The end of an upload; each of its pieces is a use of the session.
    pub(super) fn until(&self) -> Until {
        Until {
            over: Box::pin(self.over.clone().cancelled_owned()),
            moved: Arc::clone(&self.used),
            held: Arc::clone(&self.done),
        }
    }

    /// Ready when it would not be let in any more.
    pub(super) async fn refused(&self) {
        self.over.cancelled().await;
    }
}

/// Judges a visit again at all news of its sessions, and from time to time, as time ends sessions too. The first time is
/// at once: there may have been news since it was let in.
async fn until_refused(house: &Arc<ArcSwap<Site>>, mut kept: Kept, used: &AtomicBool) {
    let mut site = house.load_full();
    let mut watch = kept.watch(&site);
    loop {
        let turn = watch.turn().await;
        if !kept.is_let_in(&site, used.swap(false, Ordering::Relaxed)).await {
            tracing::info!("what went on after it was let in is ended, as it would not be let in any more");
            return;
        }
        drop(turn);
        tokio::select! { () = watch.news() => {}, () = tokio::time::sleep(LOOK_EVERY) => {} }
        let newest = house.load_full();
        if !Arc::ptr_eq(&newest, &site) {
            site = newest;
            watch = kept.watch(&site);
        }
    }
}

/// Whether a body may take so long that its session could end before it does.
pub(super) fn is_long(body: &impl Body) -> bool {
    !body.is_end_stream() && body.size_hint().exact().is_none_or(|length| length > LONG_BYTES)
}

/// A body that breaks off when it would not be let in any more: it must not seem whole.
#[derive(Debug)]
pub struct LiveBody<B> {
    body: B,
    refused: Pin<Box<WaitForCancellationFutureOwned>>,
    _live: Live,
}

impl<B> LiveBody<B> {
    pub(super) fn new(body: B, live: Live) -> Self {
        Self { body, refused: Box::pin(live.over.clone().cancelled_owned()), _live: live }
    }
}

impl<B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin> Body for LiveBody<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.refused.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Err("the session has ended".into())));
        }
        Pin::new(&mut self.body).poll_frame(cx).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// How often to look for what nobody tells: sessions that end by time.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// A body of known length up to this is not watched over: it is sent in one breath.
const LONG_BYTES: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_for_long_is_no_part_of_a_buffer() {
        let buffer = Bytes::from_static(b"app.test /a%20b?x=%2f http://app.test/y?z");
        let range = buffer.as_ptr_range();
        for (at, text) in [(9..21, "/a%20b?x=%2f"), (22..41, "http://app.test/y?z")] {
            let kept = Kept {
                scheme: Scheme::Https,
                host: HeaderValue::from_maybe_shared(buffer.slice(0..8)).ok(),
                uri: Uri::from_maybe_shared(buffer.slice(at)).unwrap(),
                method: Method::GET,
                credential: Credential::None,
                from: None,
                headers: HeaderMap::new(),
                person: None,
            };
            assert!(range.contains(&kept.uri.path().as_ptr()), "a slice");
            let kept = kept.out_of_buffer();
            assert_eq!(
                (kept.uri.to_string().as_str(), kept.host.as_ref().unwrap().as_bytes()),
                (text, &b"app.test"[..])
            );
            let authority = kept.uri.authority().map_or("", |authority| authority.as_str());
            for part in
                [kept.uri.path().as_bytes(), kept.host.as_ref().unwrap().as_bytes(), authority.as_bytes()]
            {
                assert!(!range.contains(&part.as_ptr()), "{part:?}");
            }
        }
    }
}
