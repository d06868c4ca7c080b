//! Where an app's backend is and how to speak with it: `upstream` and the keys beside it. Knows no apps.

mod files;
mod target;

use std::sync::Arc;
use std::time::Duration;

use http::uri::PathAndQuery;
use rustls::pki_types::ServerName;

use super::findings::Notebook;
use super::keys::UPSTREAM_KEYS;
use super::written::{Entry, Value};
use crate::policy::{Authorization, Token};
use crate::upstream::tls::{Roots, Tls};
use crate::upstream::{Bounds, Check, Protocol, Settings, Target, Times};
use crate::wording::parse_duration;
pub(super) use files::read_certificates;
use files::{read_basic, read_key};
use target::read_targets;

/// What an app says of its upstream.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub settings: Settings,
    pub preserve_host: bool,
    pub base: Option<String>,
    pub strip_prefix: bool,
    pub authorization: Authorization,
}

/// Reads `upstream` and what stands beside it in an app's table. Without `upstream` nothing of it has an effect.
pub(crate) fn read_upstream(app: &[Entry], book: &mut Notebook) -> Option<Upstream> {
    let mut keys = Keys { app, book };
    let Some(upstream) = keys.entry("upstream") else {
        for entry in app.iter().filter(|entry| is_beside_upstream(&entry.key)) {
            let problem = format!("`{}` has no effect without `upstream`", entry.key);
            keys.book.note(&entry.key_place, problem, "name the app's address in `upstream`, or remove it");
        }
        return None;
    };
    let targets = read_targets(&upstream.node, keys.book);
    let tls = keys.tls(targets.as_ref().map_or(&[], |(targets, _)| targets.as_slice()));
    let (times, bounds) = (keys.times(), keys.bounds());
    let preserve_host = keys.flag("preserve_host").unwrap_or(true);
    let strip_prefix = keys.flag("strip_prefix").unwrap_or(false);
    let check = keys.check();
    let sticky = keys.flag("sticky").unwrap_or(false);
    let (targets, base) = targets?;
    if let (Some(entry), [_]) = (keys.entry("sticky"), targets.as_slice()) {
        keys.book.note(&entry.key_place, "`sticky` has no effect: there is one upstream", "remove it");
    }
    let authorization = keys.authorization().unwrap_or_default();
    let settings = Settings { targets, tls: Arc::new(tls?), times, bounds, sticky, check };
    Some(Upstream { settings, preserve_host, base, strip_prefix, authorization })
}

fn authorization_called(name: &str) -> Option<Authorization> {
    Some(match name {
        "keep" => Authorization::Keep,
        "remove" => Authorization::Remove,
        "access-token" => Authorization::Token(Token::Access),
        "id-token" => Authorization::Token(Token::Id),
        _ => return None,
    })
}

/// Whether a key of an app says something about its upstream.
pub(crate) fn is_beside_upstream(key: &str) -> bool {
    UPSTREAM_KEYS.iter().any(|(known, ..)| *known == key)
}

struct Keys<'a, 'b> {
    app: &'a [Entry],
    book: &'b mut Notebook,
}

impl<'a> Keys<'a, '_> {
    fn entry(&self, name: &str) -> Option<&'a Entry> {
        self.app.iter().find(|entry| entry.key == name)
    }

    /// The value of a key in the form that `read` knows, or a finding.
    fn read<T>(&mut self, name: &str, wanted: &str, read: impl FnOnce(&Value) -> Option<T>) -> Option<T> {
        let entry = self.entry(name)?;
        let value = read(&entry.node.value);
        if value.is_none() {
            let problem = match &entry.node.value {
                Value::Text(text) => format!("`{name}` cannot be `{}`", text.escape_debug()),
                other @ (Value::Count(_)
                | Value::Flag(_)
                | Value::List(_)
                | Value::Table(_)
                | Value::Fraction(_)
                | Value::Odd(_)) => {
                    format!("`{name}` is {}", other.kind())
                }
            };
            self.book.note(&entry.node.place, problem, format!("write {wanted}"));
        }
        value
    }

    fn authorization(&mut self) -> Option<Authorization> {
        let name = "authorization";
        let Value::Table(entries) = &self.entry(name)?.node.value else {
            return self.read(name, AUTHORIZATIONS, |value| match value {
                Value::Text(text) => authorization_called(text),
                Value::Flag(_)
                | Value::Count(_)
                | Value::List(_)
                | Value::Table(_)
                | Value::Fraction(_)
                | Value::Odd(_) => None,
            });
        };
        let [Entry { key, node, .. }] = entries.as_slice() else {
            return self.read(name, AUTHORIZATIONS, |_| None);
        };
        let (Value::Text(file), "basic_file") = (&node.value, key.as_str()) else {
            return self.read(name, AUTHORIZATIONS, |_| None);
        };
        self.book.follow(format!("basic_file {}", file.escape_debug()), file);
        let note = |problem: String| {
            let problem = format!("`basic_file` names {}, {problem}", file.escape_debug());
            self.book.note(&node.place, problem, "name a file with one line, user:password");
        };
        read_basic(file).map(Authorization::Fixed).map_err(note).ok()
    }

    fn flag(&mut self, name: &str) -> Option<bool> {
        self.read(name, "true or false", |value| match value {
            Value::Flag(flag) => Some(*flag),
            Value::Text(_)
            | Value::Count(_)
            | Value::List(_)
            | Value::Table(_)
            | Value::Fraction(_)
            | Value::Odd(_) => None,
        })
    }

    fn text(&mut self, name: &str, wanted: &str) -> Option<&'a str> {
        let entry = self.entry(name)?;
        match &entry.node.value {
            Value::Text(text) if !text.trim().is_empty() && !text.contains(char::is_control) => {
                return Some(text);
            }
            Value::Text(_)
            | Value::Flag(_)
            | Value::Count(_)
            | Value::List(_)
            | Value::Table(_)
            | Value::Fraction(_)
            | Value::Odd(_) => {}
        }
        self.read::<()>(name, wanted, |_| None);
        None
    }

    fn time(&mut self, name: &str, unset: Duration) -> Duration {
        let wanted = "a length of time such as 30s or 5m, at least 1s";
        let time = self.text(name, wanted).map(|text| parse_duration(text).filter(|time| !time.is_zero()));
        match time {
            Some(Some(time)) => return time,
            Some(None) => drop(self.read::<()>(name, wanted, |_| None)),
            None => {}
        }
        unset
    }

    fn count(&mut self, name: &str, unset: usize) -> usize {
        let count = self.read(name, "a whole number, at least 1", |value| match value {
            Value::Count(count) => usize::try_from(*count).ok().filter(|count| *count > 0),
            Value::Text(_)
            | Value::Flag(_)
            | Value::List(_)
            | Value::Table(_)
            | Value::Fraction(_)
            | Value::Odd(_) => None,
        });
        count.unwrap_or(unset)
    }

    fn times(&mut self) -> Times {
        let unset = Times::default();
        Times {
            connect: self.time("connect_timeout", unset.connect),
            response_header: self.time("response_header_timeout", unset.response_header),
            stream_idle: self.time("stream_idle_timeout", unset.stream_idle),
            queue: self.time("queue_timeout", unset.queue),
            keepalive: self.time("keepalive_timeout", unset.keepalive),
            connection_age: self.time("max_connection_age", unset.connection_age),
        }
    }

    fn bounds(&mut self) -> Bounds {
        let unset = Bounds::default();
        let wanted = "a number with K, M or G behind it, such as \"10M\"";
        let body_bytes = self.read("max_body_size", wanted, |value| match value {
            Value::Text(text) => parse_size(text),
            Value::Count(_)
            | Value::Flag(_)
            | Value::List(_)
            | Value::Table(_)
            | Value::Fraction(_)
            | Value::Odd(_) => None,
        });
        Bounds {
            connections: self.count("max_connections", unset.connections),
            pending: self.count("max_pending_requests", unset.pending),
            body_bytes,
        }
    }

    /// How targets are asked whether they are well.
    fn check(&mut self) -> Option<Check> {
        let wanted = "a path such as /health";
        let path = self.text("health_path", wanted).map(|text| {
            Some(text)
                .filter(|text| text.starts_with('/') && !text.contains('#'))?
                .parse::<PathAndQuery>()
                .ok()
        });
        if self.entry("health_path").is_none() {
            for entry in self.app.iter().filter(|entry| entry.key.starts_with("health_")) {
                let problem = format!("`{}` has no effect without `health_path`", entry.key);
                self.book.note(&entry.key_place, problem, "write health_path = \"/health\", or remove it");
            }
        }
        if path == Some(None) {
            self.read::<()>("health_path", wanted, |_| None);
        }
        let count = |number| u32::try_from(number).unwrap_or(u32::MAX);
        Some(Check {
            path: path??,
            interval: self.time("health_interval", CHECK_EVERY),
            timeout: self.time("health_timeout", CHECK_TIME),
            fails: count(self.count("health_fails", CHECKS)),
            passes: count(self.count("health_passes", CHECKS)),
        })
    }

    /// The TLS facts; they have no effect where no target speaks TLS.
    fn tls(&mut self, targets: &[Target]) -> Option<Tls> {
        if !targets.is_empty() && targets.iter().all(|target| target.protocol != Protocol::Https) {
            for entry in self.app.iter().filter(|entry| TLS_KEYS.contains(&entry.key.as_str())) {
                let problem = format!("`{}` has no effect: no upstream is https://", entry.key);
                self.book.note(&entry.key_place, problem, "write https:// in `upstream`, or remove it");
            }
        }
        let before = self.book.count();
        let roots = self.roots();
        let (chain, key) =
            (self.file("client_cert_file", read_certificates), self.file("client_key_file", read_key));
        for (one, other) in [("client_cert_file", "client_key_file"), ("client_key_file", "client_cert_file")]
        {
            if let (Some(entry), None) = (self.entry(one), self.entry(other)) {
                self.book.note(
                    &entry.key_place,
                    format!("`{one}` is nothing without `{other}`"),
                    "name both files",
                );
            }
        }
        let client =
            chain.zip(key).map(|(chain, key)| crate::upstream::tls::ClientCertificate { chain, key });
        let wanted = "the host its certificate is for";
        let name = self.text("server_name", wanted).map(|name| ServerName::try_from(name.to_owned()));
        if let Some(Err(_)) = name {
            self.read::<()>("server_name", wanted, |_| None);
        }
        let http2 = self.flag("http2").unwrap_or(true);
        let tls = Tls { roots, client, server_name: name.and_then(Result::ok), http2 };
        let named = ["ca_file", "client_cert_file"].iter().find_map(|name| self.entry(name));
        // Only where files are named: what the system trusts takes a while to read.
        if let Some(entry) = named
            && self.book.count() == before
            && let Err(error) = tls.check()
        {
            self.book.note_error(&entry.node.place, &error);
        }
        (self.book.count() == before).then_some(tls)
    }

    fn roots(&mut self) -> Roots {
        let own = self.file("ca_file", read_certificates);
        if self.flag("insecure") != Some(true) {
            return own.map_or(Roots::System, Roots::Own);
        }
        if let Some(entry) = self.entry("ca_file") {
            self.book.note(
                &entry.key_place,
                "`ca_file` has no effect beside `insecure`",
                "keep one of the two",
            );
        }
        Roots::Anybody
    }

    fn file<T>(&mut self, name: &str, read: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let file = self.text(name, "the path of a PEM file")?;
        let entry = self.entry(name)?;
        self.book.follow(format!("{name} {}", file.escape_debug()), file);
        let note = |problem| {
            let problem = format!("`{name}` names {}, {problem}", file.escape_debug());
            self.book.note(&entry.node.place, problem, "name a PEM file that foregate may read");
        };
        read(file).map_err(note).ok()
    }
}

/// Reads `10M`: bytes, or with K, M or G so many times 1024.
fn parse_size(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let factor = match unit.trim_end_matches("iB") {
        "" if unit.is_empty() => 1,
        "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor).filter(|size| *size > 0)
}

const AUTHORIZATIONS: &str = "\"keep\", \"remove\", \"access-token\", \"id-token\" or { basic_file = \"…\" }";
const CHECK_EVERY: Duration = Duration::from_secs(10);
const CHECK_TIME: Duration = Duration::from_secs(5);
/// Answers in a row that change what is thought of a target.
const CHECKS: usize = 2;
const TLS_KEYS: [&str; 6] =
    ["insecure", "ca_file", "client_cert_file", "client_key_file", "server_name", "http2"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_number_with_a_unit() {
        for (text, size) in [
            ("1", Some(1)),
            ("10K", Some(10_240)),
            ("10KiB", Some(10_240)),
            ("1M", Some(1 << 20)),
            ("2G", Some(2 << 30)),
            ("0", None),
            ("", None),
            ("M", None),
            ("1iB", None),
            ("1KB", None),
            ("1.5M", None),
            ("-1", None),
            ("1 M", None),
            ("99999999999G", None),
        ] {
            assert_eq!(parse_size(text), size, "{text}");
        }
    }

    #[test]
    fn a_password_is_one_line_of_a_file() {
        let dir = tempfile::tempdir().unwrap();
        for (text, value) in [
            ("user:pass", Some("Basic dXNlcjpwYXNz")),
            ("user:pass\n", Some("Basic dXNlcjpwYXNz")),
            ("user:pass\r\n", Some("Basic dXNlcjpwYXNz")),
            ("üser:a:b", Some("Basic w7xzZXI6YTpi")),
            ("user", None),
            ("", None),
            ("a:b\nc:d", None),
            ("a:b\u{0}", None),
        ] {
            let file = dir.path().join("basic");
            std::fs::write(&file, text).unwrap();
            let read = read_basic(file.to_str().unwrap()).ok();
            assert_eq!(read.as_ref().map(crate::secret::Secret::expose), value, "{text:?}");
        }
        assert!(read_basic("/nowhere/basic").is_err());
    }
}
