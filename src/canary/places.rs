//! Which page of each app is asked: one that the rules let nobody unknown see. Asks nobody.

use std::collections::HashSet;

use http::Method;
use url::Url;

use crate::policy::{App, HostPattern, Policy, Ruling};
use crate::visit::{Destination, Overrides, Path, Scheme, Target};

/// What is asked about one app of one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The app, as it is named.
    pub app: String,
    /// A page that nobody may see without a session.
    pub url: Url,
    /// The path of a page of the app that everybody may see, if there is one.
    pub open: Option<String>,
    /// A host of which everybody may see all, if there is one.
    pub open_host: Option<String>,
    /// The names of the headers in which the app is told who somebody is.
    pub names: Vec<String>,
}

/// Why an app is not asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// It is meant for more hosts than are named.
    Wildcard,
    /// There is no page that a stranger may not see, or none that can be asked for without doing anything.
    Open,
}

/// What is asked, and what is not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// What is asked, in the order of the configuration.
    pub places: Vec<Place>,
    /// The apps that are not, as they are named.
    pub left: Vec<(String, Left)>,
}

impl Left {
    /// Why, in words.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Wildcard => "it stands for hosts that are not named: write one of them in canary.hosts",
            Self::Open => {
                "its rules leave no page that a stranger may not ask for by GET: all of it is public, or open to networks"
            }
        }
    }
}

/// Chooses for each of `apps`, and for each of `hosts`, a page to ask for. `except` names apps that are not asked on purpose.
pub fn choose(
    policy: &Policy,
    (apps, hosts): (&[App], &[String]),
    except: &[String],
    public_url: &Url,
) -> Choice {
    let mut choice = Choice::default();
    let exact = |app: &App| match &app.host {
        HostPattern::Exact(host) => Some(host.clone()),
        HostPattern::Wildcard(_) => None,
    };
    let mut known = HashSet::new();
    let all: Vec<String> = apps.iter().filter_map(exact).chain(hosts.iter().cloned()).collect();
    let all: Vec<&String> = all.iter().filter(|host| known.insert(host.as_str())).collect();
    let open_host = all.iter().find(|host| is_open(policy, host)).map(|host| (**host).clone());
    let mut named = HashSet::new();
    for host in all {
        for app in policy.apps_of(host).filter(|app| !except.contains(&app.name)) {
            named.insert(app.name.as_str());
            match place(policy, app, host, public_url) {
                Some(place) => {
                    let open_host = open_host.clone().filter(|open| *open != *host);
                    choice.places.push(Place { open_host, ..place });
                }
                None => choice.left.push((app.name.clone(), Left::Open)),
            }
        }
    }
    let wild = apps.iter().filter(|app| !named.contains(app.name.as_str()) && !except.contains(&app.name));
    choice.left.extend(wild.map(|app| (app.name.clone(), Left::Wildcard)));
    choice
}

/// A page of the app that nobody unknown may see, and one that everybody may.
fn place(policy: &Policy, app: &App, host: &str, public_url: &Url) -> Option<Place> {
    let mut origin = public_url.clone();
    origin.set_host(Some(host)).ok()?;
    origin.set_port(app.port.or_else(|| public_url.port())).ok()?;
    let prefix = app.prefix.as_deref().unwrap_or_default();
    let below = |page: &str| format!("{prefix}{page}");
    let of_rules = app.rules.iter().filter_map(|rule| {
        let (method, path) = rule.example()?;
        path.filter(|_| method == Method::GET)
    });
    let candidates: Vec<String> =
        [below("/"), below("/foregate-canary")].into_iter().chain(of_rules).collect();
    let guarded = |path: &&String| matches!(ruling(policy, host, path), Some(Ruling::Rule(by, rule)) if by.name == app.name && rule.is_guarded());
    let path = candidates.iter().find(|path| guarded(path) && url_of(&origin, path).is_some())?;
    let open = candidates.iter().find(|path| {
        let of_app = matches!(ruling(policy, host, path), Some(Ruling::Rule(by, rule)) if by.name == app.name && rule.is_public());
        of_app && url_of(&origin, path).is_some()
    });
    Some(Place {
        app: app.name.clone(),
        url: url_of(&origin, path)?,
        open: open.cloned(),
        open_host: None,
        names: app.headers.names().map(|name| name.as_str().to_owned()).collect(),
    })
}

/// Whether everybody may see the first page of a host.
fn is_open(policy: &Policy, host: &str) -> bool {
    matches!(ruling(policy, host, "/"), Some(Ruling::Rule(_, rule)) if rule.is_public())
}

fn ruling<'p>(policy: &'p Policy, host: &str, path: &str) -> Option<Ruling<'p>> {
    let target = Target {
        // No rule looks at it.
        scheme: Scheme::Https,
        host: host.into(),
        path: Path::parse(path.as_bytes()).ok()?,
        query: None,
        method: Method::GET,
        overrides: Overrides::Nowhere,
        destination: Destination::Nowhere,
    };
    Some(policy.rule_for(&target))
}

/// The page of an app; nothing for a path that would be another one in an address.
fn url_of(origin: &Url, path: &str) -> Option<Url> {
    let mut url = origin.clone();
    url.set_path(path);
    (url.path() == path).then_some(url)
}
