//! The head of a request on its way to the backend: what must not travel on is removed first, then ours is set. Knows no
//! connections.

use http::header::{AUTHORIZATION, HOST, HeaderValue};
use http::uri::PathAndQuery;
use http::{Uri, Version, request};

use super::super::Site;
use super::Told;
use super::upgrade::Socket;
use super::way::{Asked, forget};
use crate::policy::Grant;

/// Makes of the visitor's request the backend's.
pub(super) fn prepare(
    site: &Site,
    grant: &Grant<'_>,
    told: Told,
    socket: Option<&Socket>,
    parts: &mut request::Parts,
) {
    let host = parts.headers.get(HOST).cloned().or_else(|| authority_of(&parts.uri));
    let headers = &mut parts.headers;
    told.hop.remove_from(headers);
    forget(headers);
    site.own_names.strip(headers);
    site.cookies.hide(headers);
    headers.extend(told.identity);
    if grant.by_token() {
        // As with our cookies: an app that had it could use it at all others.
        headers.remove(AUTHORIZATION);
    }
    told.shown.set_in(headers);
    if let Some(host) = host {
        let prefix = grant.app().route.as_ref().filter(|route| route.strip_prefix);
        let prefix = prefix.and_then(|_| grant.app().prefix.as_deref());
        let asked = Asked { scheme: site.scheme(), host: &host, port: told.port, prefix };
        told.way.tell(&asked, headers);
        headers.insert(HOST, host);
    }
    if let Some(socket) = socket {
        socket.ask(headers);
    }
    parts.uri = path_of(grant, &parts.uri);
    parts.version = Version::HTTP_11;
    parts.extensions.clear();
}

/// The path that was judged, without the authority that an absolute address has.
fn path_of(grant: &Grant<'_>, asked: &Uri) -> Uri {
    let rewritten = grant.path().map(|path| {
        let query = asked.query().map_or_else(String::new, |query| format!("?{query}"));
        PathAndQuery::from_maybe_shared(format!("{path}{query}"))
    });
    match rewritten {
        Some(path) => path.map_or_else(|_| Uri::default(), Uri::from),
        None => asked.path_and_query().cloned().map_or_else(Uri::default, Uri::from),
    }
}

fn authority_of(uri: &Uri) -> Option<HeaderValue> {
    HeaderValue::from_str(uri.authority()?.as_str()).ok()
}
