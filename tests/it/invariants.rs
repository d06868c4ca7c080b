//! What holds for every request there can be, through every way in: requests are made up by the thousand, and a plain model says
//! whom the rules let in. What reaches a backend is what was judged.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::support::backend::Backend;
use crate::support::http::{Reply, raw, request};
use crate::support::issuer::{By, Issuer};
use crate::support::scene::{DIALECTS, Scene, ask_raw};

struct House {
    scene: Scene,
    backend: Backend,
    issuer: Issuer,
}

fn house() -> &'static House {
    static HOUSE: OnceLock<House> = OnceLock::new();
    HOUSE.get_or_init(|| {
        let (backend, issuer) = (Backend::start(), Issuer::start());
        let scene = Scene::with(Value::Null, |public_url, provider| {
            format!(
                r#"
public_url = "{public_url}"
[server]
listen = "LISTEN"
admin_listen = "ADMIN"
[session]
store = "sqlite:DIR/foregate.db"
{provider}
[bearer]
audiences = ["foregate"]
[bearer.issuers.ci]
issuer = "{issuer}"
jwks_url = "{jwks}"
audiences = ["https://ci.example.com"]
[apps."open.foregate.localhost"]
allow = "public"
upstream = "{upstream}"
[apps."plain.foregate.localhost"]
allow = "signed-in"
provider = ["default", "ci"]
upstream = "{upstream}"
[apps."app.foregate.localhost"]
allow = "group:Home Server Admins"
upstream = "{upstream}"
rules = [
  {{ path = "/public/**", allow = "public" }},
  {{ path = "/health", methods = ["GET"], allow = "public" }},
  {{ path = "/family/**", allow = "group:family" }},
  {{ path = "/internal/**", allow = "nobody" }},
  {{ path = "/kb/*/edit", methods = ["POST"], allow = "user:bob" }},
]
"#,
                provider = provider.config(),
                issuer = issuer.name(),
                jwks = issuer.jwks_url(),
                upstream = backend.url(),
            )
        });
        House { scene, backend, issuer }
    })
}

/// What a request shows for who sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Shows {
    Nothing,
    Alice,
    Bob,
    ForgedCookie,
    Program,
    BadToken,
    Password,
}

impl Shows {
    const ALL: [Self; 7] = [
        Self::Nothing,
        Self::Alice,
        Self::Bob,
        Self::ForgedCookie,
        Self::Program,
        Self::BadToken,
        Self::Password,
    ];

    fn line(self) -> String {
        let House { scene, issuer, .. } = house();
        match self {
            Self::Nothing => "X-Nothing: at-all".to_owned(),
            Self::Alice => scene.cookie("alice"),
            Self::Bob => scene.cookie("bob"),
            Self::ForgedCookie => {
                let mut line = scene.cookie("alice");
                let last = line.pop().expect("a cookie");
                line.push(if last == 'A' { 'Q' } else { 'A' });
                line
            }
            Self::Program => {
                format!(
                    "Authorization: Bearer {}",
                    issuer.token(By::Rsa, &json!({"alg": "RS256", "kid": "rs"}), json!({}))
                )
            }
            Self::BadToken => {
                let claims = json!({"aud": "https://other.example.com"});
                format!(
                    "Authorization: Bearer {}",
                    issuer.token(By::Rsa, &json!({"alg": "RS256", "kid": "rs"}), claims)
                )
            }
            Self::Password => "Authorization: Basic YWxpY2U6YWxpY2U=".to_owned(),
        }
    }
}

const HOSTS: [&str; 3] = ["open", "plain", "app"];
const PATHS: [&str; 9] = [
    "/",
    "/x",
    "/public/a",
    "/publicity",
    "/health",
    "/family/tree",
    "/internal/x",
    "/kb/7/edit",
    "/kb/7/8/edit",
];
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "DELETE", "OPTIONS"];

/// Whom the rules let in, and by which name; `None` is a no.
fn model(host: &str, path: &str, method: &str, shows: Shows) -> Option<&'static str> {
    let (name, groups): (&str, &[&str]) = match shows {
        Shows::Alice => ("alice", &["family", "Home Server Admins"]),
        Shows::Bob => ("bob", &["family"]),
        Shows::Program if host == "plain" => ("ci-1", &[]),
        Shows::Nothing | Shows::ForgedCookie | Shows::Program | Shows::BadToken | Shows::Password => {
            ("", &[])
        }
    };
    let signed_in = !name.is_empty();
    let yes = match host {
        "open" => true,
        "plain" => signed_in,
        _ if path.starts_with("/public/") || (path == "/health" && method == "GET") => true,
        _ if path.starts_with("/family/") => groups.contains(&"family"),
        _ if path.starts_with("/internal/") => false,
        _ if path == "/kb/7/edit" && method == "POST" => name == "bob",
        _ => groups.contains(&"Home Server Admins"),
    };
    yes.then_some(name)
}

/// A request, with all that strangers may write into one.
#[derive(Clone, Debug)]
struct Asked {
    /// A dialect, or none where foregate is the proxy.
    way: Option<&'static str>,
    host: &'static str,
    host_style: u8,
    path: &'static str,
    path_style: PathStyle,
    method: &'static str,
    shows: Shows,
    forged: Vec<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PathStyle {
    Plain,
    Escaped,
    WithQuery,
    /// One that servers read differently.
    Doubtful(u8),
}

/// Lines that name somebody or somewhere else. They say `forged` where they must not be believed.
const FORGED: [&str; 16] = [
    "Remote-User: forged",
    "remote_user: forged",
    "REMOTE.USER: forged",
    "Remote-Groups: Home Server Admins,forged",
    "Remote-Email: forged@example.com",
    "Remote-Name: forged",
    "X-Original-URI: /public/forged",
    "X-Rewrite-URL: /public/forged",
    "X-Forwarded-Prefix: /public/forged",
    "X_Forwarded_Uri: /public/forged",
    "Forwarded: host=open.foregate.localhost;for=forged",
    "Connection: Remote-User, X-Forwarded-For, X-Forwarded-Proto",
    "Cookie: foregate=forged",
    "Cookie: other=kept; foregate-login=forged",
    "X-Forwarded-Server: forged",
    "Proxy: http://forged",
];

impl Asked {
    fn host(&self) -> String {
        let name = format!("{}.foregate.localhost", self.host);
        match self.host_style % 4 {
            0 => name.to_ascii_uppercase(),
            1 => format!("{name}."),
            2 => format!("{name}:{}", house().scene.foregate.public.port()),
            _ => name,
        }
    }

    fn target(&self) -> String {
        let path = self.path;
        match self.path_style {
            PathStyle::Plain => path.to_owned(),
            PathStyle::Escaped => path.replace('a', "%61").replace('k', "%6B").replace('x', "%78"),
            PathStyle::WithQuery => format!("{path}?/public/&a=%2fb&a=c"),
            PathStyle::Doubtful(style) => match style % 9 {
                0 => format!("/public/..{path}"),
                1 => format!("/public/%2e%2e{path}"),
                2 => format!("/public/..%2f..{path}"),
                3 => format!("/public/a;{path}"),
                4 => format!("//{}", path.trim_start_matches('/')),
                5 => format!("/public\\..{path}"),
                6 => format!("/public%2f..{path}"),
                7 => format!("{path}%00"),
                _ => format!("{path}%23/public/a"),
            },
        }
    }

    fn send(&self) -> Reply {
        let House { scene, .. } = house();
        let shown = self.shows.line();
        let mut lines = vec![shown.as_str(), "Connection: close"];
        lines.extend(&self.forged);
        let (host, target) = (self.host(), self.target());
        let bytes = match self.way {
            Some(way) => ask_raw(way, self.method, ("http", &host, &target), &lines),
            None => {
                let host = format!("Host: {host}");
                request(self.method, &target, &[&[host.as_str()], &lines[..]].concat(), "").into_bytes()
            }
        };
        raw(scene.foregate.public, &bytes)
    }

    /// Who is let in, if anybody; for doubtful paths the most that may be.
    fn allowed(&self) -> Option<&'static str> {
        match self.path_style {
            PathStyle::Plain | PathStyle::Escaped | PathStyle::WithQuery => {
                model(self.host, self.path, self.method, self.shows)
            }
            // Nothing is decided on the paths of that host, and everybody there has a name.
            PathStyle::Doubtful(_) if self.host == "plain" => model("plain", "/", self.method, self.shows),
            PathStyle::Doubtful(_) => None,
        }
    }

    /// Whether a refusal would be right in any case: what is said twice, or under another name, is no check.
    fn may_be_malformed(&self) -> bool {
        let doubtful = matches!(self.path_style, PathStyle::Doubtful(_));
        let alias = |line: &&str| line.starts_with("X_Forwarded") || line.starts_with("Connection: Remote");
        doubtful || self.forged.iter().any(alias)
    }
}

fn asked() -> impl Strategy<Value = Asked> {
    let ways: Vec<Option<&'static str>> = DIALECTS.map(Some).into_iter().chain([None, None, None]).collect();
    let style = prop_oneof![
        3 => Just(PathStyle::Plain),
        1 => Just(PathStyle::Escaped),
        1 => Just(PathStyle::WithQuery),
        2 => any::<u8>().prop_map(PathStyle::Doubtful),
    ];
    (
        prop::sample::select(ways),
        (prop::sample::select(&HOSTS[..]), any::<u8>()),
        (prop::sample::select(&PATHS[..]), style),
        prop::sample::select(&METHODS[..]),
        prop::sample::select(&Shows::ALL[..]),
        prop::collection::vec(prop::sample::select(&FORGED[..]), 0..4),
    )
        .prop_map(|(way, (host, host_style), (path, path_style), method, shows, forged)| Asked {
            way,
            host,
            host_style,
            path,
            path_style,
            method,
            shows,
            forged,
        })
}

fn fold(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
}

/// What a backend may find in the lines of its request, or of the answer to a check.
fn speaks_truly(asked: &Asked, lines: &[(String, String)], user: &str) -> Result<(), TestCaseError> {
    for name in ["remoteuser", "remotegroups", "remoteemail", "remotename"] {
        let values: Vec<&str> =
            lines.iter().filter(|(found, _)| fold(found) == name).map(|(_, value)| value.as_str()).collect();
        prop_assert!(values.len() <= 1, "{asked:?}: {name} is {values:?}");
        let value = values.first().copied().unwrap_or_default();
        prop_assert!(!value.contains("forged"), "{asked:?}: {name} is {value}");
        if name == "remoteuser" {
            prop_assert_eq!(value, user, "{:?}", asked);
        }
    }
    Ok(())
}

/// What the backend of the proxy got: the very request that was judged, and nothing of ours or of a forger.
fn is_what_was_judged(asked: &Asked, got: &str, user: &str) -> Result<(), TestCaseError> {
    let mut lines = got.split("\r\n");
    let first = lines.next().unwrap_or_default();
    prop_assert_eq!(first, format!("{} {} HTTP/1.1", asked.method, asked.target()), "{:?}", asked);
    let lines: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    speaks_truly(asked, &lines, user)?;
    let hosts: Vec<&str> =
        lines.iter().filter(|(name, _)| name == "host").map(|(_, value)| value.as_str()).collect();
    let judged = asked.host().to_ascii_lowercase();
    prop_assert_eq!(hosts, [judged.trim_end_matches('.')], "{:?}", asked);
    for (name, value) in &lines {
        prop_assert!(!value.contains("forged"), "{asked:?}: {name}: {value}");
        prop_assert!(name != "cookie" || !value.contains("foregate"), "{asked:?}: {name}: {value}");
        let ours = name != "authorization" || !value.starts_with("Bearer") || user.is_empty();
        prop_assert!(ours, "{asked:?}: a token that let somebody in goes on");
    }
    Ok(())
}

#[test]
fn nobody_passes_whom_the_rules_do_not_let_in_and_backends_get_what_was_judged() {
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 3_000,
        failure_persistence: None,
        max_shrink_iters: 200,
        ..ProptestConfig::default()
    });
    let seen = std::cell::RefCell::new(BTreeMap::<(bool, bool, Shows), usize>::new());
    let run = runner.run(&asked(), |asked| {
        let reply = asked.send();
        let passed = (200..300).contains(&reply.status);
        let proxied = asked.way.is_none();
        *seen.borrow_mut().entry((proxied, passed, asked.shows)).or_default() += 1;
        match asked.allowed() {
            None => prop_assert!(!passed, "{asked:?}: {reply:?}"),
            Some(_) if asked.may_be_malformed() && reply.status == 400 => {}
            Some(user) => {
                prop_assert!(passed, "{asked:?}: {reply:?}");
                if proxied {
                    is_what_was_judged(&asked, &reply.body, user)?;
                } else {
                    speaks_truly(&asked, &reply.headers, user)?;
                }
            }
        }
        if !passed {
            prop_assert!((300..504).contains(&reply.status), "{asked:?}: {reply:?}");
            prop_assert!(
                reply.headers.iter().all(|(name, _)| fold(name) != "remoteuser"),
                "{asked:?}: {reply:?}"
            );
        }
        Ok(())
    });
    if let Err(error) = run {
        panic!("{error}");
    }
    // Everybody was let in and refused, in both ways, but for those who cannot be.
    let seen = seen.into_inner();
    for proxied in [true, false] {
        for shows in Shows::ALL {
            for passed in [true, false] {
                assert!(
                    seen.contains_key(&(proxied, passed, shows)),
                    "{proxied} {passed} {shows:?}: {seen:?}"
                );
            }
        }
    }
    let got = house().backend.seen();
    assert!(got.len() > 200, "{}", got.len());
}
