//! Whether the identity headers of the person with the most of them fit through front proxies and into backends as these
//! are by default.

use std::sync::Arc;

use http::HeaderMap;

use super::Sheet;
use crate::browser::{Purpose, Sealer};
use crate::config::Config;
use crate::headers::{HeaderSet, Person, Signer};
use crate::http::unix_now;
use crate::identity::{Identity, Profile};

/// What has room for headers, and how to give it more.
struct Room {
    name: &'static str,
    bytes: usize,
    of: Of,
    fix: &'static str,
}

/// What has to fit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    /// The head of foregate's answer to a check.
    Answer,
    /// The head of a request to the backend.
    Request,
    /// Any single line of it.
    Line,
}

/// Measures the headers of the largest person known, or of one made up.
pub(super) fn examine(
    config: &Config,
    largest: Option<Profile>,
    sealer: Option<&Sealer>,
    sheet: &mut Sheet<'_>,
) {
    let (who, profile) = match largest {
        Some(profile) => (format!("of {}, who has the most", profile.username), profile),
        None => ("of somebody made up with 40 groups, as nobody has a session".to_owned(), made_up()),
    };
    let person = Identity::pack(&profile, profile.issuer.as_str().into(), &config.wanted_claims());
    let person = Arc::new(Person::new(person));
    let issuer = config.public_url.origin().ascii_serialization();
    let signer =
        sealer.and_then(|sealer| Signer::new(issuer.clone(), &sealer.seeds(Purpose::Assertion)).ok());
    let apps = config.apps.iter().map(|app| (&app.headers, app.assertion));
    let sets = apps.chain([(&config.default_headers, config.assertion)]);
    let measured = sets.map(|(set, asserts)| {
        let signer = signer.as_ref().filter(|_| asserts);
        let assertion = signer.map(|signer| signer.assert(&person, set, issuer.clone(), unix_now()).len());
        measure(set, &person, assertion)
    });
    let Some((whole, line)) = measured.max() else { return };
    judge((whole, line), &who, sheet);
}

/// Bytes of all lines, and of the longest.
fn measure(set: &HeaderSet, person: &Person, assertion: Option<usize>) -> (usize, usize) {
    let lines: HeaderMap = set.lines(Some(person));
    let bytes = lines.iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    let more = assertion.unwrap_or_default();
    let (whole, line) = bytes.fold((0, 0), |(whole, line), bytes| (whole + bytes, bytes.max(line)));
    (whole + more, line.max(more))
}

fn judge((whole, line): (usize, usize), who: &str, sheet: &mut Sheet<'_>) {
    let needed = |of: Of| match of {
        Of::Answer => whole + AROUND_ANSWER_BYTES,
        Of::Request => whole + AROUND_REQUEST_BYTES,
        Of::Line => line,
    };
    let tight: Vec<&Room> = ROOMS.iter().filter(|room| needed(room.of) > room.bytes).collect();
    if tight.is_empty() {
        let seen = format!("{whole} bytes {who}: they fit {} as they are", names(&ROOMS.each_ref()));
        return sheet.ok("size", seen);
    }
    for room in tight {
        let seen = format!("{whole} bytes {who}: too much for {} as it is, {} bytes", room.name, room.bytes);
        let fix = format!("if you use it, set {}; or tell fewer groups with groups = \"matching\"", room.fix);
        sheet.warn("size", seen, fix);
    }
}

fn names(rooms: &[&Room]) -> String {
    rooms.iter().map(|room| room.name).collect::<Vec<_>>().join(", ")
}

fn made_up() -> Profile {
    Profile {
        subject: "0".repeat(64),
        username: "somebody".to_owned(),
        name: "Somebody Example".to_owned(),
        email: "somebody@example.com".to_owned(),
        groups: (0..40).map(|number| format!("a group of usual length {number:02}")).collect(),
        ..Profile::default()
    }
}

/// The status line and what else an answer to a check carries, a cookie among it.
const AROUND_ANSWER_BYTES: usize = 400;
/// What browsers send of their own, cookies among it.
const AROUND_REQUEST_BYTES: usize = 4096;

/// What they have by default, the smallest first.
const ROOMS: [Room; 8] = [
    Room {
        name: "nginx",
        bytes: 4096,
        of: Of::Answer,
        fix: "proxy_buffer_size 32k and proxy_buffers 8 32k, as `foregate snippet nginx` does",
    },
    Room { name: "gunicorn", bytes: 8190, of: Of::Line, fix: "limit_request_field_size" },
    Room { name: "HAProxy", bytes: 15_360, of: Of::Answer, fix: "tune.bufsize 65536" },
    Room { name: "Node.js", bytes: 16_384, of: Of::Request, fix: "--max-http-header-size" },
    Room { name: "Envoy", bytes: 61_440, of: Of::Answer, fix: "max_request_headers_kb" },
    Room { name: "uvicorn", bytes: 65_536, of: Of::Request, fix: "--h11-max-incomplete-event-size" },
    Room { name: "Traefik", bytes: 1 << 20, of: Of::Answer, fix: "nothing: it cannot be enlarged" },
    Room { name: "Caddy", bytes: 1 << 20, of: Of::Answer, fix: "servers.max_header_size" },
];
