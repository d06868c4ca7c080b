//! What holds for all rules that can be written: who is refused by them is not let in by stricter ones, and no spelling of an address
//! changes what is decided about it.

use http::Method;
use proptest::prelude::*;

use super::{Config, Environment};
use crate::http::question::Question;
use crate::policy::{Persona, Verdict};

/// A requirement as it is written.
#[derive(Clone, Debug)]
enum Wanted {
    Term(&'static str),
    Any(Vec<Self>),
    All(Vec<Self>),
}

#[derive(Clone, Debug)]
struct Line {
    path: &'static str,
    methods: &'static str,
    allow: Wanted,
}

#[derive(Clone, Debug)]
struct App {
    name: &'static str,
    allow: Wanted,
    rules: Vec<Line>,
}

/// How a requirement is made stricter, or at least not wider.
#[derive(Clone, Copy, Debug)]
enum Stricter {
    /// Only with this as well.
    With(&'static str),
    /// Nobody any more.
    Nobody,
    /// One alternative less.
    WithoutOne(usize),
    /// Every alternative at once.
    AllOfThem,
}

impl Wanted {
    fn written(&self) -> String {
        let (word, of) = match self {
            Self::Term(term) => return format!("\"{term}\""),
            Self::Any(of) => ("any", self.flat(of)),
            Self::All(of) => ("all", self.flat(of)),
        };
        if let [one] = &of[..] { one.clone() } else { format!("{{ {word} = [{}] }}", of.join(", ")) }
    }

    /// The entries, and those of entries of the same kind, as one that stands there twice is refused.
    fn flat(&self, of: &[Self]) -> Vec<String> {
        let mut words = Vec::new();
        for one in of {
            let inner = match (self, one) {
                (_, Self::Any(of) | Self::All(of)) if of.len() == 1 => self.flat(of),
                (Self::Any(_), Self::Any(of)) | (Self::All(_), Self::All(of)) => self.flat(of),
                _ => vec![one.written()],
            };
            words.extend(inner);
        }
        let mut seen = std::collections::HashSet::new();
        words.retain(|word| seen.insert(word.clone()));
        words
    }

    fn stricter(&self, how: Stricter) -> Self {
        match (how, self) {
            (Stricter::Nobody, _) => Self::Term("nobody"),
            (Stricter::With(term), _) => Self::All(vec![self.clone(), Self::Term(term)]),
            (Stricter::WithoutOne(at), Self::Any(of)) if of.len() > 1 => {
                let mut of = of.clone();
                of.remove(at % of.len());
                Self::Any(of)
            }
            (Stricter::AllOfThem, Self::Any(of)) => Self::All(of.clone()),
            (Stricter::WithoutOne(_) | Stricter::AllOfThem, _) => self.clone(),
        }
    }
}

impl App {
    fn written(&self) -> String {
        let rules = self.rules.iter().map(|line| {
            format!("  {{ path = \"{}\"{}, allow = {} }},\n", line.path, line.methods, line.allow.written())
        });
        let (name, allow, rules) = (self.name, self.allow.written(), rules.collect::<String>());
        let rules = if rules.is_empty() { rules } else { format!("rules = [\n{rules}]\n") };
        format!("[apps.\"{name}\"]\nallow = {allow}\n{rules}")
    }

    /// The same app, with one requirement of it made stricter, or a rule before all others that lets nobody in.
    fn stricter(&self, at: usize, how: Stricter, shut: Option<&'static str>) -> Self {
        let mut app = self.clone();
        match app.rules.len().checked_add(1).map(|count| at % count) {
            Some(at) if at < app.rules.len() => app.rules[at].allow = app.rules[at].allow.stricter(how),
            _ => app.allow = app.allow.stricter(how),
        }
        if let Some(path) = shut {
            app.rules.insert(0, Line { path, methods: "", allow: Wanted::Term("nobody") });
        }
        app
    }
}

const TERMS: [&str; 12] = [
    "public",
    "signed-in",
    "nobody",
    "group:a",
    "group:b",
    "group:kb:{id}",
    "user:anna",
    "email:*@a.test",
    "network:10.0.0.0/8",
    "claim:plan=pro",
    "role:editor",
    "permission:write",
];
/// Without `{id}`, which only a rule that has it may name.
const PLAIN: [&str; 6] =
    ["group:a", "group:b", "user:anna", "email:*@a.test", "network:10.0.0.0/8", "role:editor"];
const PATHS: [&str; 8] =
    ["/{id}/**", "/kb/{id}", "/public/**", "/public/*/x", "/a", "/a/**", "/kb/*/edit", "/**"];
const SHUT: [&str; 3] = ["/a/**", "/kb/**", "/public/**"];
const URLS: [&str; 9] = [
    "https://one.a.test/",
    "https://one.a.test/a",
    "https://one.a.test/a/b/c",
    "https://one.a.test/public/1/x",
    "https://one.a.test/kb/7",
    "https://one.a.test/kb/7/edit",
    "https://two.a.test/sub/a/x",
    "https://x.wild.a.test/kb/7",
    "https://unknown.a.test/",
];
const PERSONS: [&str; 6] = [
    "nobody",
    "user=bob",
    "user=bob,groups=a",
    "user=bob,groups=a;b;kb:7",
    "user=anna,email=anna@a.test",
    "user=anna,email=anna@a.test,groups=a;kb:7,claim:plan=pro",
];

fn wanted(terms: &'static [&'static str]) -> impl Strategy<Value = Wanted> {
    let leaf = prop::sample::select(terms).prop_map(Wanted::Term);
    leaf.prop_recursive(2, 8, 3, |inner| {
        let some = || prop::collection::vec(inner.clone(), 1..4);
        prop_oneof![some().prop_map(Wanted::Any), some().prop_map(Wanted::All)]
    })
}

fn line() -> impl Strategy<Value = Line> {
    let methods = prop::sample::select(vec!["", ", methods = [\"GET\"]", ", methods = [\"POST\", \"PUT\"]"]);
    prop::sample::select(&PATHS[..]).prop_flat_map(move |path| {
        let allow = if path.contains('{') { wanted(&TERMS).boxed() } else { wanted(&PLAIN).boxed() };
        (methods.clone(), allow).prop_map(move |(methods, allow)| Line { path, methods, allow })
    })
}

fn apps() -> impl Strategy<Value = Vec<App>> {
    let named = |name| {
        (wanted(&PLAIN), prop::collection::vec(line(), 0..5)).prop_map(move |(allow, rules)| App {
            name,
            allow,
            rules,
        })
    };
    (named("one.a.test"), named("two.a.test/sub"), named("*.wild.a.test"))
        .prop_map(|(one, two, three)| vec![one, two, three])
}

fn stricter() -> impl Strategy<Value = Stricter> {
    prop_oneof![
        prop::sample::select(&PLAIN[..]).prop_map(Stricter::With),
        Just(Stricter::Nobody),
        any::<usize>().prop_map(Stricter::WithoutOne),
        Just(Stricter::AllOfThem),
    ]
}

fn load(apps: &[App]) -> Option<Config> {
    let text = format!(
        "public_url = \"https://auth.a.test\"\n[session]\ncookie_domain = \"a.test\"\n[provider]\nissuer = \"https://id.a.test/\"\n\
         client_id = \"f\"\nclient_secret = \"s\"\n[roles.editor]\ngroups = [\"b\"]\npermissions = [\"write\"]\n{}",
        apps.iter().map(App::written).collect::<String>()
    );
    match Config::from_text(Some(("foregate.toml", &text)), &Environment::default()) {
        Ok(loaded) => Some(loaded.config),
        // What can never apply, or makes something else pointless, or lets everybody into what speaks of people, is refused.
        Err(findings) => {
            let known = ["never", "no effect", "public", "nobody", "{id}"];
            let told = findings.to_string();
            assert!(known.iter().any(|word| told.contains(word)), "{told}\n{text}");
            None
        }
    }
}

/// What these rules say to everybody, everywhere.
fn verdicts(config: &Config, urls: &[String]) -> Vec<(String, Verdict)> {
    let (policy, vouching) = (config.policy(), config.vouching());
    let mut all = Vec::new();
    for url in urls {
        for method in [Method::GET, Method::POST, Method::DELETE] {
            for text in PERSONS {
                for from in [None, Some("10.1.2.3"), Some("192.0.2.1")] {
                    let question = Question {
                        url: url.clone(),
                        method: method.clone(),
                        persona: Persona::parse(text).expect("a person"),
                        from: from.map(|from| from.parse().expect("an address")),
                    };
                    let verdict = question.answer(&policy, &vouching, 1_800_000_000).verdict;
                    all.push((format!("{method} {url} as {text} from {from:?}"), verdict));
                }
            }
        }
    }
    all
}

fn urls() -> Vec<String> {
    URLS.map(str::to_owned).to_vec()
}

/// The same address as somebody else may write it.
fn spelt(url: &str, style: u8) -> String {
    let rest = url.strip_prefix("https://").expect("https");
    let (host, path) = rest.split_at(rest.find('/').expect("a path"));
    let host = match style % 4 {
        0 => host.to_ascii_uppercase(),
        1 => format!("{host}."),
        2 => format!("{host}:443"),
        _ => host.to_owned(),
    };
    let path = match style / 4 % 3 {
        0 => path.replace('a', "%61").replace('k', "%6B"),
        1 => path
            .bytes()
            .map(|byte| if byte == b'/' { "/".to_owned() } else { format!("%{byte:02X}") })
            .collect(),
        _ => format!("{path}?allow=public&x=/public/1/x"),
    };
    format!("https://{host}{path}")
}

/// What servers may take for the same address, or for another one.
fn doubtful(url: &str, style: u8) -> String {
    let slash = 8 + url[8..].find('/').expect("a path");
    let (start, path) = url.split_at(slash);
    let path = match style % 8 {
        0 => format!("/public/..{path}"),
        1 => format!("/public/1/x/..%2f..%2f..{path}"),
        2 => format!("/public/1/x;{path}"),
        3 => format!("//{path}"),
        4 => format!("/public%2f1%2fx/..{path}"),
        5 => format!("/public\\..{path}"),
        6 => path.replacen('/', "/%2e/", 1),
        _ => format!("{path}%00/public/1/x"),
    };
    format!("{start}{path}")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, max_global_rejects: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn who_is_refused_is_not_let_in_by_stricter_rules(
        apps in apps(),
        (which, at) in (0..3_usize, any::<usize>()),
        how in stricter(),
        shut in prop::option::of(prop::sample::select(&SHUT[..])),
    ) {
        let mut strict = apps.clone();
        strict[which] = strict[which].stricter(at, how, shut);
        let (Some(wide), Some(narrow)) = (load(&apps), load(&strict)) else { return Err(TestCaseError::reject("refused")) };
        for ((case, wide), (_, narrow)) in verdicts(&wide, &urls()).into_iter().zip(verdicts(&narrow, &urls())) {
            prop_assert!(
                narrow != Verdict::Allow || wide == Verdict::Allow,
                "{case}: {wide:?}, and by stricter rules {narrow:?}\n{apps:?}\n{how:?} {shut:?} of {which}, {at}"
            );
        }
    }

    #[test]
    fn no_spelling_changes_a_decision(apps in apps(), style: u8) {
        let Some(config) = load(&apps) else { return Err(TestCaseError::reject("refused")) };
        let spelt: Vec<String> = URLS.iter().map(|url| spelt(url, style)).collect();
        for ((case, plain), (other, same)) in verdicts(&config, &urls()).into_iter().zip(verdicts(&config, &spelt)) {
            // A name that is taken from the path counts in one spelling only.
            let named = apps.iter().flat_map(|app| &app.rules).any(|line| line.path.contains('{'));
            prop_assert!(plain == same || (named && same == Verdict::Forbid), "{case}: {plain:?}, {other}: {same:?}\n{apps:?}");
        }
    }

    #[test]
    fn what_servers_read_differently_opens_nothing(apps in apps(), style: u8) {
        let Some(config) = load(&apps) else { return Err(TestCaseError::reject("refused")) };
        let other: Vec<String> = URLS.iter().map(|url| doubtful(url, style)).collect();
        for ((case, plain), (other, doubtful)) in verdicts(&config, &urls()).into_iter().zip(verdicts(&config, &other)) {
            prop_assert!(
                doubtful != Verdict::Allow || plain == Verdict::Allow,
                "{case} is {plain:?}, and {other} is {doubtful:?}\n{apps:?}"
            );
        }
    }

    #[test]
    fn who_is_nobody_has_least(apps in apps()) {
        let Some(config) = load(&apps) else { return Err(TestCaseError::reject("refused")) };
        let all = verdicts(&config, &urls());
        // Everybody's verdicts follow those of nobody, for one address, method and network.
        let nobody = |case: &str| {
            let (start, _) = case.split_once(" as ").expect("who");
            let from = case.split_once(" from ").expect("where").1;
            let same = format!("{start} as nobody from {from}");
            all.iter().find(|(case, _)| *case == same).expect("nobody").1
        };
        for (case, verdict) in &all {
            prop_assert!(nobody(case) != Verdict::Allow || *verdict == Verdict::Allow, "{case}\n{apps:?}");
        }
    }
}
