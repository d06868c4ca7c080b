//! The head of a request on its way to the backend: what must not travel on is removed first, then ours is set. Knows no
//! connections.

use std::sync::Arc;

use http::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName};
use http::uri::PathAndQuery;
use http::{Uri, Version, request};

use super::super::Site;
use super::hop::HOP_BY_HOP;
use super::shown::Shown;
use super::upgrade::Socket;
use super::way::{Asked, leads_astray};
use super::{Told, circle};
use crate::headers::{OwnNames, fold, remove_folded, trim_values};
use crate::policy::Grant;
use crate::upstream::Strainer;
use crate::visit::{APP_TOKEN, Authorization, holds_app_token};

/// Makes of the visitor's request the backend's.
pub(super) fn prepare(
    site: &Site,
    grant: &Grant<'_>,
    (told, shown): (Told, Shown),
    socket: Option<&Socket>,
    parts: &mut request::Parts,
) {
    let headers = &mut parts.headers;
    let is_theirs = authorizes_elsewhere(grant, headers)
        && !site.gate.keeps_password(grant.app(), Authorization::of(headers));
    told.hop.remove_from(headers);
    remove_folded(headers, |folded| leads_astray(folded) || site.own_names.holds(folded));
    drop_twins(headers);
    site.cookies.hide(headers);
    headers.extend(told.identity);
    if !is_theirs {
        // As with our cookies: an app that had it could use it at all others.
        headers.remove(AUTHORIZATION);
    }
    shown.set_in(headers);
    let prefix = grant.app().route.as_ref().filter(|route| route.strip_prefix);
    let prefix = prefix.and_then(|_| grant.app().prefix.as_deref());
    let asked = Asked { scheme: site.scheme(), host: &told.host, port: told.port, prefix };
    told.way.tell(&asked, headers);
    headers.insert(HOST, told.host);
    circle::mark(headers);
    if let Some(socket) = socket {
        socket.ask(headers);
    }
    parts.uri = path_of(grant, &parts.uri);
    parts.version = Version::HTTP_11;
    parts.extensions.clear();
}

/// Whether `Authorization` is an affair between the visitor and the app. It is not if it let somebody in, nor if it is an app
/// token, good or bad, whoever let them in. Where an app token came in its own header, that alone has let them in.
fn authorizes_elsewhere(grant: &Grant<'_>, headers: &HeaderMap) -> bool {
    let let_in = grant.by_token() && !headers.contains_key(APP_TOKEN);
    !let_in && !headers.get_all(AUTHORIZATION).iter().any(|line| holds_app_token(line.as_bytes()))
}

/// What holds trailers to the rules of heads, as some backends read the two as one.
pub(super) fn strainer(site: &Site) -> Strainer {
    Strainer { own_names: Arc::clone(&site.own_names), strip: strip_trailers }
}

fn strip_trailers(own_names: &OwnNames, trailers: &mut HeaderMap) {
    trim_values(trailers);
    let of_hop = |folded: &str| HOP_BY_HOP.iter().any(|name| fold(name.as_str()) == folded);
    remove_folded(trailers, |folded| {
        leads_astray(folded) || own_names.holds(folded) || IN_HEADS_ALONE.contains(&folded) || of_hop(folded)
    });
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

/// Removes names that are no others to servers which read `_` as `-`, such as `Content_Length`: what frames and routes a request
/// is there once.
fn drop_twins(headers: &mut HeaderMap) {
    let is_odd =
        |name: &HeaderName| name.as_str().bytes().any(|byte| !byte.is_ascii_alphanumeric() && byte != b'-');
    let is_twin = |name: &&HeaderName| is_odd(name) && SINGULAR.contains(&fold(name.as_str()).as_str());
    let twins: Vec<HeaderName> = headers.keys().filter(is_twin).cloned().collect();
    for name in twins {
        headers.remove(name);
    }
}

/// Folded names that no backend may read in another spelling.
const SINGULAR: [&str; 11] = [
    "authorization",
    "connection",
    "contentlength",
    "contenttype",
    "cookie",
    "expect",
    "host",
    "te",
    "trailer",
    "transferencoding",
    "upgrade",
];

/// What frames, routes, authenticates or says how a body is to be read has no place in trailers (RFC 9110 6.5.1): folded
/// names.
const IN_HEADS_ALONE: [&str; 13] = [
    "authorization",
    "contentencoding",
    "contentlength",
    "contentlocation",
    "contentrange",
    "contenttype",
    "cookie",
    "expect",
    "host",
    "maxforwards",
    "origin",
    "referer",
    "trailer",
];

#[cfg(test)]
mod tests {
    use http::header::HeaderValue;

    use super::*;
    use crate::headers::HeaderSet;

    #[test]
    fn trailers_say_nothing_that_a_head_may_not() {
        let own_names = OwnNames::of([&HeaderSet::preset("remote").unwrap()]);
        for (name, stays) in [
            ("x-sum", true),
            ("grpc-status", true),
            ("digest", true),
            ("authorization", false),
            ("cookie", false),
            ("host", false),
            ("content_length", false),
            ("transfer-encoding", false),
            ("te", false),
            ("proxy-authorization", false),
            ("x_forwarded_for", false),
            ("forwarded", false),
            ("x-original-url", false),
            ("remote_user", false),
        ] {
            let mut trailers = HeaderMap::new();
            trailers.insert(HeaderName::from_static(name), HeaderValue::from_static("trailers"));
            strip_trailers(&own_names, &mut trailers);
            assert_eq!(!trailers.is_empty(), stays, "{name}");
        }
    }
}
