//! What a backend gets and where it is: `headers` and `upstream`. Knows no apps.

use url::Url;

use super::findings::Notebook;
use super::written::{Node, Value};
use crate::headers::HeaderSet;
use crate::upstream::{Place, Settings, Target};

/// What an app says of its upstream.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub settings: Settings,
    pub preserve_host: bool,
}

/// Reads a preset's name, or a table of names and templates.
pub(crate) fn read_headers(node: &Node, book: &mut Notebook) -> Option<HeaderSet> {
    let entries = match &node.value {
        Value::Text(name) => {
            let set = HeaderSet::preset(name);
            if set.is_none() {
                let problem = format!("`{}` is not a set of headers", name.escape_debug());
                book.note(&node.place, problem, HEADERS_FIX);
            }
            return set;
        }
        Value::Table(entries) if !entries.is_empty() => entries,
        Value::Table(_) => {
            book.note(&node.place, "`headers` is empty", HEADERS_FIX);
            return None;
        }
        value @ (Value::Count(_) | Value::Flag(_) | Value::List(_) | Value::Odd(_)) => {
            book.note(&node.place, format!("`headers` is {}", value.kind()), HEADERS_FIX);
            return None;
        }
    };
    let before = book.count();
    let mut lines = Vec::new();
    for entry in entries {
        let Value::Text(template) = &entry.node.value else {
            let problem = format!("the template of `{}` is {}", entry.key, entry.node.value.kind());
            book.note(&entry.node.place, problem, "write text such as \"{username}\"");
            continue;
        };
        let line = (entry.key.clone(), template.clone());
        match HeaderSet::templates(std::slice::from_ref(&line)) {
            Ok(_) => lines.push(line),
            Err(error) => book.note_error(&entry.key_place, &error),
        }
    }
    if book.count() > before {
        return None;
    }
    HeaderSet::templates(&lines).map_err(|error| book.note_error(&node.place, &error)).ok()
}

/// Reads `http://host[:port]`.
pub(crate) fn read_upstream(node: &Node, book: &mut Notebook) -> Option<Upstream> {
    let Value::Text(text) = &node.value else {
        book.note(&node.place, format!("`upstream` is {}", node.value.kind()), UPSTREAM_FIX);
        return None;
    };
    if text.contains('@') {
        book.hide(&node.place);
    }
    match parse_upstream(text) {
        Ok(target) => Some(Upstream { settings: Settings { targets: vec![target] }, preserve_host: true }),
        Err(problem) => {
            book.note(&node.place, format!("`upstream` {problem}"), UPSTREAM_FIX);
            None
        }
    }
}

fn parse_upstream(text: &str) -> Result<Target, &'static str> {
    let (scheme, _) = text.split_once(':').unwrap_or(("", text));
    if ["https", "h2c", "unix", "fcgi"].contains(&scheme.to_ascii_lowercase().as_str()) {
        return Err("can only be http:// in this version, and is not yet anything else");
    }
    let url = Url::parse(text).map_err(|_| "is not a URL")?;
    if !text.starts_with("http://") || text.contains(|c: char| c.is_whitespace() || c == '\\') {
        return Err("is not an http:// URL");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds a user name or password, which would be sent nowhere");
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err("has a path, which this version does not know yet");
    }
    let authority = url[url::Position::BeforeHost..url::Position::AfterPort].parse();
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let place = Place::Tcp(host, url.port_or_known_default().unwrap_or(80));
    Ok(Target { place, authority: authority.map_err(|_| "is not a URL")? })
}

const HEADERS_FIX: &str =
    "write \"remote\", \"authentik\", \"oauth2-proxy\", or such as { \"X-User\" = \"{username}\" }";
const UPSTREAM_FIX: &str = "write such as http://wiki:8080";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_is_an_http_host() {
        for (text, authority) in [
            ("http://kb:8000", Some("kb:8000")),
            ("http://kb:8000/", Some("kb:8000")),
            ("http://KB", Some("kb")),
            ("http://[::1]:80", Some("[::1]")),
            ("https://kb", None),
            ("unix:/run/kb.sock", None),
            ("http://kb/path", None),
            ("http://kb?q", None),
            ("http://u:p@kb", None),
            ("kb:8000", None),
            ("http://", None),
            ("http:kb", None),
            ("", None),
        ] {
            let parsed = parse_upstream(text).ok().map(|target| target.authority.to_string());
            assert_eq!(parsed.as_deref(), authority, "{text}");
        }
    }
}
