//! `[[tests]]`: what the rules are to decide, tried when they are read. Knows no rules but by asking them.

use std::net::IpAddr;

use http::Method;

use super::Config;
use super::findings::{Notebook, Place};
use super::keys::test_keys;
use super::rules::note_unknown_entry;
use super::values::Reader;
use super::written::{Entry, Node, Value};
use crate::http::question::Question;
use crate::policy::{Persona, Verdict};

/// One test, and where what it expects stands.
pub(crate) struct Trial {
    question: Question,
    expect: Verdict,
    place: Place,
}

impl Reader {
    /// Reads `tests`.
    pub(crate) fn trials(&mut self) -> Vec<Trial> {
        let Some(node) = self.node("tests") else { return Vec::new() };
        let Value::List(list) = &node.value else {
            self.book.note(&node.place, format!("`tests` is {}", node.value.kind()), FIX);
            return Vec::new();
        };
        list.iter().filter_map(|node| read_trial(node, &mut self.book)).collect()
    }

    /// Asks what the rules would decide at `now`, in Unix seconds, and notes each test that they do not pass.
    pub(crate) fn try_out(&mut self, config: &Config, trials: &[Trial], now: u64) {
        if trials.is_empty() {
            return;
        }
        let (policy, vouching) = (config.policy(), config.vouching());
        for Trial { question, expect, place } in trials {
            let found = question.answer(&policy, &vouching, now);
            if found.verdict == *expect {
                continue;
            }
            let by = if found.rule.is_empty() { String::new() } else { format!(", by `{}`", found.rule) };
            let problem = format!(
                "this test fails: {} {} is `{}`{by}, not `{}`",
                question.method,
                question.url,
                found.verdict.as_str(),
                expect.as_str()
            );
            self.book.note(place, problem, "correct the rules or the test; `foregate explain` tells more");
        }
    }
}

fn read_trial(node: &Node, book: &mut Notebook) -> Option<Trial> {
    let Value::Table(entries) = &node.value else {
        book.note(&node.place, format!("a test is a table, and this is {}", node.value.kind()), FIX);
        return None;
    };
    let before = book.count();
    let (mut url, mut method, mut persona, mut from, mut expect) = (None, Method::GET, None, None, None);
    for entry in entries {
        let text = match (entry.key.as_str(), &entry.node.value) {
            ("url" | "method" | "as" | "from" | "expect", Value::Text(text)) => text.as_str(),
            ("url" | "method" | "as" | "from" | "expect", value) => {
                book.note(&entry.node.place, format!("`{}` is {}", entry.key, value.kind()), FIX);
                continue;
            }
            (_, _) => {
                note_unknown_entry(entry, "a test", test_keys(), book);
                continue;
            }
        };
        match entry.key.as_str() {
            "url" => url = Some(text.to_owned()),
            "method" => method = noted(read_method(text), entry, book).unwrap_or_default(),
            "as" => persona = noted(Persona::parse(text), entry, book).flatten(),
            "from" => from = noted(read_address(text), entry, book),
            _ => {
                expect =
                    noted(read_verdict(text), entry, book).map(|verdict| (verdict, entry.node.place.clone()))
            }
        }
    }
    for (name, is_there) in [("url", url.is_some()), ("expect", expect.is_some())] {
        if !is_there && book.count() == before {
            book.note(&node.place, format!("this test has no `{name}`"), FIX);
        }
    }
    let (expect, place) = expect?;
    let question = Question { url: url?, method, persona, from };
    (book.count() == before).then_some(Trial { question, expect, place })
}

/// The value, or nothing and a finding.
fn noted<T>(read: Result<T, (String, &'static str)>, entry: &Entry, book: &mut Notebook) -> Option<T> {
    read.map_err(|(problem, fix)| book.note(&entry.node.place, problem, fix)).ok()
}

fn read_method(text: &str) -> Result<Method, (String, &'static str)> {
    let method = Method::from_bytes(text.as_bytes()).ok();
    let method = method.filter(|_| text.bytes().all(|byte| byte.is_ascii_uppercase()));
    method.ok_or_else(|| (format!("`{text}` is not a method"), "write such as \"POST\""))
}

fn read_address(text: &str) -> Result<IpAddr, (String, &'static str)> {
    let address = text.parse::<IpAddr>().map(|address| address.to_canonical());
    address.map_err(|_| (format!("`{text}` is not an address"), "write such as \"192.0.2.7\""))
}

fn read_verdict(text: &str) -> Result<Verdict, (String, &'static str)> {
    let verdict = Verdict::ALL.into_iter().find(|verdict| verdict.as_str() == text);
    verdict.ok_or_else(|| {
        (format!("`{text}` is nothing to expect"), "write allow, sign-in, step-up, forbid or malformed")
    })
}

const FIX: &str = "write [[tests]], and below it such as url = \"https://wiki.example.com/\", as = \"user=bob\", expect = \"allow\"";
