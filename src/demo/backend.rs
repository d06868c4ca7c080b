//! The demo's app: a plain web server without a word of sign-in. Knows no sessions, no provider, no rules.

use std::sync::Arc;

use askama::Template;
use http::header::{HOST, HeaderName};
use http::request::Parts;
use http::{Request, StatusCode};
use hyper::body::Incoming;
use serde_json::{Map, Value, json};

use super::answer::{self, Answer};
use crate::http::pages::CSS;
use crate::server::{Peer, Serve};

/// A place to go from the app's page.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    /// Where it leads.
    pub(crate) address: String,
    /// What it is called.
    pub(crate) label: String,
    /// What is to be seen there.
    pub(crate) note: String,
}

/// A web server that shows what it was sent.
#[derive(Clone, Debug)]
pub(crate) struct Backend {
    links: Arc<[Link]>,
    sign_out: Arc<str>,
}

#[derive(Debug, Template)]
#[template(path = "http/pages/demo_app.html")]
struct Page<'a> {
    css: &'static str,
    host: &'a str,
    path: &'a str,
    query: &'a str,
    sign_out: &'a str,
    headers: Vec<(&'a str, &'a str)>,
    links: Vec<(&'a str, &'a str, &'a str)>,
}

impl Backend {
    /// A server whose page has these links.
    pub(crate) fn new(links: Vec<Link>, sign_out: String) -> Self {
        Self { links: links.into(), sign_out: sign_out.into() }
    }

    fn answer(&self, parts: &Parts) -> Answer {
        let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or_default());
        let told = told(parts);
        match path {
            "/health" => answer::text(StatusCode::OK, "ok\n"),
            "/favicon.ico" => answer::text(StatusCode::NO_CONTENT, ""),
            "/api/whoami" => {
                let headers: Map<String, Value> =
                    told.into_iter().map(|(name, value)| (name, value.into())).collect();
                let seen = json!({ "host": host, "path": path, "query": query, "headers": headers });
                answer::json(StatusCode::OK, &seen)
            }
            _ => {
                let page = Page {
                    css: CSS,
                    host,
                    path,
                    query,
                    sign_out: &self.sign_out,
                    headers: told.iter().map(|(name, value)| (name.as_str(), shown(value))).collect(),
                    links: self.links.iter().map(Link::parts).collect(),
                };
                answer::page(StatusCode::OK, &page, "")
            }
        }
    }
}

impl Serve for Backend {
    type Body = http_body_util::Full<bytes::Bytes>;

    async fn serve(&self, request: Request<Incoming>, _: Peer) -> Answer {
        self.answer(&request.into_parts().0)
    }
}

impl Link {
    fn parts(&self) -> (&str, &str, &str) {
        (&self.address, &self.label, &self.note)
    }
}

/// The headers that speak of a person, by the names apps know, with lines of one name joined (RFC 9110 5.3).
fn told(parts: &Parts) -> Vec<(String, String)> {
    let names =
        parts.headers.keys().filter(|name| PREFIXES.iter().any(|prefix| name.as_str().starts_with(prefix)));
    let value = |name: &HeaderName| {
        let lines = parts.headers.get_all(name).iter();
        lines.map(|line| String::from_utf8_lossy(line.as_bytes()).into_owned()).collect::<Vec<_>>().join(", ")
    };
    let mut told: Vec<(String, String)> = names.map(|name| (titled(name), value(name))).collect();
    told.sort();
    told
}

/// A name as documentation writes it: `Remote-User`.
fn titled(name: &HeaderName) -> String {
    let word = |word: &str| {
        let (first, rest) = word.split_at(usize::from(!word.is_empty()));
        format!("{}{rest}", first.to_ascii_uppercase())
    };
    name.as_str().split('-').map(word).collect::<Vec<_>>().join("-")
}

fn shown(value: &str) -> &str {
    if value.is_empty() { "(empty)" } else { value }
}

/// What the names of such headers begin with.
const PREFIXES: [&str; 3] = ["remote-", "x-authentik-", "x-auth-request-"];

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http_body_util::BodyExt as _;

    use super::*;

    async fn asked(target: &str, headers: &[(&str, &str)]) -> (HeaderMap, String) {
        let link = Link { address: "http://x.test/?a=1&b".into(), label: "X".into(), note: "see <x>".into() };
        let backend = Backend::new(vec![link], "/bye".into());
        let mut request = Request::builder().uri(target).header("host", "app.test");
        for (name, value) in headers {
            request = request.header(*name, value.as_bytes());
        }
        let (parts, body) = backend.answer(&request.body(()).unwrap().into_parts().0).into_parts();
        assert_eq!(parts.status, 200);
        (parts.headers, String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap())
    }

    #[tokio::test]
    async fn the_page_shows_what_came_and_runs_none_of_it() {
        let sent = [
            ("remote-user", "<b>alice"),
            ("remote-groups", ""),
            ("remote-name", "Çelik"),
            ("cookie", "secret=1"),
        ];
        let (headers, page) = asked("/p?a=1&b='x'", &sent).await;
        for part in [
            "Remote-User",
            "&#60;b&#62;alice",
            "Çelik",
            "(empty)",
            "app.test",
            "a=1&#38;b=&#39;x&#39;",
            "href=\"/bye\"",
        ] {
            assert!(page.contains(part), "{part}: {page}");
        }
        assert!(!page.contains("<b>") && !page.contains("<x>") && !page.contains("secret"));
        assert!(headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
        let (_, page) = asked("/", &[]).await;
        assert!(page.contains("carries no identity headers"));
    }

    #[tokio::test]
    async fn programs_get_json() {
        let sent =
            [("x-authentik-username", "bob"), ("remote-user", "a"), ("remote-user", "b"), ("x-other", "c")];
        let (headers, body) = asked("/api/whoami?x=1", &sent).await;
        assert_eq!(headers["content-type"], "application/json");
        let seen: Value = serde_json::from_str(&body).unwrap();
        let told = json!({ "Remote-User": "a, b", "X-Authentik-Username": "bob" });
        assert_eq!(
            seen,
            json!({ "host": "app.test", "path": "/api/whoami", "query": "x=1", "headers": told })
        );
        assert_eq!(asked("/health", &[]).await.1, "ok\n");
    }
}
