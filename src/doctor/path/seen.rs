//! What foregate really received, as it tells by itself, against what was sent; and whether a client can change it.

use super::super::{Sheet, State};
use super::Walk;
use crate::outside::{self, Answer, Request, Saw};

/// What foregate tells, and nobody else.
fn read(walk: &Walk<'_>, answer: &Answer) -> Option<Saw> {
    outside::read(walk.sealer?, &answer.headers)
}

/// Compares what was sent with what arrived.
pub(super) fn compare(walk: &Walk<'_>, answer: &Result<Answer, String>, sheet: &mut Sheet<'_>) {
    let Ok(answer) = answer else { return };
    let Some(saw) = read(walk, answer) else {
        let why = if walk.word.is_some() { NOTHING_CAME } else { NO_WORD };
        return sheet.warn(walk.named("received"), why, NOTHING_FIX);
    };
    if !saw.trusted && saw.dialect != "proxy" {
        let seen = format!(
            "the front proxy reaches foregate from {}, which is none of server.trusted_proxies",
            saw.peer
        );
        let fix =
            format!("write trusted_proxies = [\"{}\"] below [server], beside those that are there", saw.peer);
        return sheet.fail(walk.named("trusted proxy"), seen, fix);
    }
    if let Some(why) = &saw.malformed {
        return sheet.fail(walk.named("received"), why.as_str(), SNIPPET);
    }
    let Some(request) = &saw.request else { return };
    let wrong = differences(walk, request);
    if !wrong.is_empty() {
        return sheet.fail(
            walk.named("received"),
            format!("foregate received {}", wrong.join(", ")),
            SNIPPET,
        );
    }
    let (name, seen) = (walk.named("received"), told(&saw, request));
    match request.client {
        Some(_) => sheet.ok(name, seen),
        None if is_direct(&saw) => {
            sheet.ok(name, format!("{seen}; this machine is one of server.trusted_proxies"))
        }
        None => sheet.warn(name, seen, "let the front proxy set X-Forwarded-For to the visitor's address"),
    }
}

fn told(saw: &Saw, request: &Request) -> String {
    let Request { client, scheme, host, method, path, .. } = request;
    let client = client.map_or_else(|| "an unknown address".to_owned(), |address| address.to_string());
    format!("{method} {scheme}://{host}{path} from {client}, by {} at {}", saw.dialect, saw.peer)
}

/// What is not as it was sent.
fn differences(walk: &Walk<'_>, request: &Request) -> Vec<String> {
    let url = walk.url;
    let host = url.host_str().unwrap_or_default();
    [
        ("scheme", request.scheme.as_str(), url.scheme()),
        ("host", &request.host, host),
        ("method", &request.method, "GET"),
        ("path", &request.path, url.path()),
    ]
    .into_iter()
    .filter(|(_, found, sent)| found != sent)
    .map(|(what, found, sent)| format!("the {what} {found:?} in place of {sent:?}"))
    .collect()
}

/// Whether forged headers change anything, as far as answers tell.
pub(super) fn compare_forged(
    walk: &Walk<'_>,
    (plain, forged): (&Result<Answer, String>, &Result<Answer, String>),
    sheet: &mut Sheet<'_>,
) {
    let name = walk.named("forged headers");
    let (Ok(plain), Ok(forged)) = (plain, forged) else {
        return sheet.skip(name, "there was no answer to compare");
    };
    if forged.status.is_success() {
        let seen = format!("SOMEBODY FORGED IS LET IN: {} with made-up headers", forged.status.as_u16());
        return sheet.fail(name, seen, SNIPPET);
    }
    if let (Some(before), Some(after)) = (read(walk, plain), read(walk, forged)) {
        if is_direct(&before) {
            return sheet.skip(
                name,
                "this machine is one of server.trusted_proxies, and believed: try it from another",
            );
        }
        let (state, seen) = changes(&before, &after);
        let fix = if state == State::Ok { "" } else { SNIPPET };
        return sheet.write(state, name, seen, fix);
    }
    if plain.status != forged.status {
        let seen =
            format!("{} in place of {} with made-up headers", forged.status.as_u16(), plain.status.as_u16());
        return sheet.fail(name, seen, SNIPPET);
    }
    sheet.ok(name, "the answer is the same; what foregate received is not known");
}

/// Whether we reached foregate with no front proxy in between, and are believed as one.
fn is_direct(saw: &Saw) -> bool {
    let names_nobody = saw.request.as_ref().is_some_and(|request| request.client.is_none());
    saw.dialect == "proxy" && saw.trusted && names_nobody
}

fn changes(before: &Saw, after: &Saw) -> (State, String) {
    if let Some(why) = &after.malformed
        && before.malformed.is_none()
    {
        let seen = format!(
            "foregate refuses the request, as the front proxy passes a client's own headers on: {why}"
        );
        return (State::Failed, seen);
    }
    let (Some(plain), Some(forged)) = (&before.request, &after.request) else {
        return (State::Ok, "without effect".to_owned());
    };
    if plain == forged {
        return (State::Ok, "without effect: foregate received the same".to_owned());
    }
    (State::Failed, format!("a client changes what foregate receives: {}", told(after, forged)))
}

/// Who is forged, where and from where: names and addresses that are nobody's (RFC 2606, RFC 5737).
pub(super) const NOBODY: &str = "foregate-check";
pub(super) const HOST: &str = "foregate-check.invalid";
pub(super) const PATH: &str = "/foregate-check";
pub(super) const CLIENT: &str = "192.0.2.99";
const SNIPPET: &str =
    "let the front proxy overwrite these headers, as `foregate snippet` prints it for each of them";
const NOTHING_CAME: &str = "not known: foregate's own view did not come back";
const NO_WORD: &str = "not known: there is no sealing key yet to ask with";
const NOTHING_FIX: &str = "let the front proxy pass Foregate-Probe to foregate and Foregate-Saw back, as the snippets do; check with the configuration and keys of the foregate that runs";
