//! The addresses in `upstream`: one, or several that are all alike. Knows nothing of what stands beside it.

use http::uri::Authority;
use url::{Position, Url};

use crate::config::apps::is_plain_path;
use crate::config::findings::Notebook;
use crate::config::written::{Node, Value};
use crate::upstream::{Place, Protocol, Target};

/// The targets, and the path before all paths of requests.
pub(super) type Targets = (Vec<Target>, Option<String>);

/// Reads a text or an array of texts.
pub(super) fn read_targets(node: &Node, book: &mut Notebook) -> Option<Targets> {
    let nodes = match &node.value {
        Value::Text(_) => std::slice::from_ref(node),
        Value::List(nodes) if !nodes.is_empty() => nodes,
        value @ (Value::List(_)
        | Value::Count(_)
        | Value::Flag(_)
        | Value::Table(_)
        | Value::Fraction(_)
        | Value::Odd(_)) => {
            let found = if matches!(value, Value::List(_)) { "empty" } else { value.kind() };
            book.note(&node.place, format!("`upstream` is {found}"), FIX);
            return None;
        }
    };
    let before = book.count();
    let mut targets: Vec<Target> = Vec::new();
    let mut base: Option<Option<String>> = None;
    for node in nodes {
        let Some((target, path)) = read_target(node, book) else { continue };
        if targets.contains(&target) {
            book.note(&node.place, "`upstream` names the same address twice", "keep one of the two");
        } else if base.as_ref().is_some_and(|base| *base != path) {
            let problem = "`upstream` has another path than the address before it";
            book.note(&node.place, problem, "write the same path behind all of them");
        }
        targets.push(target);
        base = Some(path);
    }
    (book.count() == before).then_some((targets, base.flatten()))
}

fn read_target(node: &Node, book: &mut Notebook) -> Option<(Target, Option<String>)> {
    let Value::Text(text) = &node.value else {
        book.note(&node.place, format!("`upstream` is {}", node.value.kind()), FIX);
        return None;
    };
    if text.contains('@') {
        book.hide(&node.place);
    }
    parse(text).map_err(|problem| book.note(&node.place, format!("`upstream` {problem}"), FIX)).ok()
}

fn parse(text: &str) -> Result<(Target, Option<String>), &'static str> {
    if let Some(path) = text.strip_prefix("unix:") {
        return Ok((socket(path)?, None));
    }
    let (protocol, port, rest) = SCHEMES
        .iter()
        .find_map(|(scheme, protocol, port)| Some((*protocol, *port, text.strip_prefix(scheme)?)))
        .ok_or("begins with none of http://, https://, h2c:// and unix:/")?;
    if text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\') {
        return Err("is not a URL");
    }
    // Read as one of the schemes whose rules are known; only https would lose the port 443.
    let scheme = if protocol == Protocol::Https { "https" } else { "http" };
    let url = Url::parse(&format!("{scheme}://{rest}")).map_err(|_| "is not a URL")?;
    if rest.starts_with('/') {
        return Err("names no host");
    }
    if !url.username().is_empty() || url.password().is_some() || rest.contains('@') {
        return Err("holds a user name or password, which would be sent nowhere");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("has a query or fragment, which would be sent nowhere");
    }
    let written = rest.find('/').map_or("", |at| &rest[at..]);
    let base = written.strip_suffix('/').unwrap_or(written);
    if !is_plain_path(base) || url.path().trim_end_matches('/') != base {
        return Err("has a path that is not whole plain segments");
    }
    let authority: Authority =
        url[Position::BeforeHost..Position::AfterPort].parse().map_err(|_| "is not a URL")?;
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let place = Place::Tcp(host, url.port().unwrap_or(port));
    Ok((Target { place, protocol, authority }, (!base.is_empty()).then(|| base.to_owned())))
}

/// A socket in the file system, where HTTP/1.1 is spoken; it has no name that a request could be for.
fn socket(path: &str) -> Result<Target, &'static str> {
    let path = path.strip_prefix("//").unwrap_or(path);
    if !path.starts_with('/') || path.contains(char::is_control) {
        return Err("names a socket without the whole path to it");
    }
    if path.len() > LONGEST_SOCKET_BYTES {
        return Err("names a socket whose path is longer than the system takes");
    }
    let authority = Authority::from_static("localhost");
    Ok(Target { place: Place::Unix(path.into()), protocol: Protocol::Http, authority })
}

const SCHEMES: [(&str, Protocol, u16); 3] =
    [("http://", Protocol::Http, 80), ("https://", Protocol::Https, 443), ("h2c://", Protocol::H2c, 80)];
const FIX: &str = "write such as http://wiki:8080, https://wiki, h2c://wiki:8080 or unix:/run/wiki.sock";
/// What fits into the address of a socket, less the byte at its end.
const LONGEST_SOCKET_BYTES: usize = 107;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_is_a_place_and_what_is_spoken_there() {
        let tcp = |host: &str, port| Place::Tcp(host.to_owned(), port);
        for (text, place, protocol, authority, base) in [
            ("http://kb:8000", tcp("kb", 8000), Protocol::Http, "kb:8000", None),
            ("http://kb:8000/", tcp("kb", 8000), Protocol::Http, "kb:8000", None),
            ("http://KB", tcp("kb", 80), Protocol::Http, "kb", None),
            ("http://[::1]:80", tcp("::1", 80), Protocol::Http, "[::1]", None),
            ("https://kb", tcp("kb", 443), Protocol::Https, "kb", None),
            ("https://kb:8443/a/b/", tcp("kb", 8443), Protocol::Https, "kb:8443", Some("/a/b")),
            ("h2c://kb:50051", tcp("kb", 50051), Protocol::H2c, "kb:50051", None),
            ("http://kb/base", tcp("kb", 80), Protocol::Http, "kb", Some("/base")),
            ("unix:/run/kb.sock", Place::Unix("/run/kb.sock".into()), Protocol::Http, "localhost", None),
            ("unix:///run/kb.sock", Place::Unix("/run/kb.sock".into()), Protocol::Http, "localhost", None),
        ] {
            let target = Target { place, protocol, authority: authority.parse().unwrap() };
            assert_eq!(parse(text), Ok((target, base.map(str::to_owned))), "{text}");
        }
    }

    #[test]
    fn whatever_would_be_lost_is_refused() {
        for text in [
            "http://kb?q",
            "http://kb/a?q",
            "http://kb#f",
            "http://u:p@kb",
            "http://@kb",
            "http://kb/a/../b",
            "http://kb/a//b",
            "http://kb/%61",
            "http://kb//",
            "http:///kb",
            "http://kb\\a",
            "http://k b",
            "HTTP://kb",
            "ftp://kb",
            "kb:8000",
            "http://",
            "http:kb",
            "unix:run/kb.sock",
            "unix:",
            "",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
