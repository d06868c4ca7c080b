//! Who asks, and for what: a configuration of a thousand hosts, and people with fifty groups whose answers are
//! all of one length.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context as _;
use foregate::config::{Config, Environment};
use foregate::headers::Person;
use foregate::http::{Site, unix_now};
use foregate::identity::{Identity, Profile};
use foregate::secret::Secret;
use foregate::session::store::Location;
use foregate::session::{Created, NewSession};
use foregate::visit::SessionHandle;
use http::HeaderMap;
use http::header::{CACHE_CONTROL, HeaderValue};

pub(crate) const HOSTS: usize = 1000;
pub(crate) const GROUPS: usize = 50;
/// How many of the groups rules ask for.
const RULED: usize = 5;

pub(crate) fn host(number: usize) -> String {
    format!("app{:04}.example.com", number % HOSTS)
}

/// A site with room for `sessions`, whose rows are in the file `store`, or in memory without one.
pub(crate) fn site(sessions: usize, store: Option<&Path>) -> anyhow::Result<Site> {
    site_at(sessions, store.map_or(Location::Memory, |path| Location::Sqlite(path.to_owned())))
}

/// A site with room for `sessions`, whose rows are somewhere.
pub(crate) fn site_at(sessions: usize, location: Location) -> anyhow::Result<Site> {
    site_before(sessions, location, "", "")
}

/// The same as the proxy in front of a backend.
pub(crate) fn proxy_site(sessions: usize, backend: SocketAddr) -> anyhow::Result<Site> {
    site_before(sessions, Location::Memory, &format!("upstream = \"http://{backend}\", "), "")
}

/// A site with these settings of each app, and these tables.
pub(crate) fn site_before(
    sessions: usize,
    location: Location,
    upstream: &str,
    tables: &str,
) -> anyhow::Result<Site> {
    let mut text = "public_url = \"https://auth.example.com\"\n[provider]\n\
                    issuer = \"https://id.example.com/application/o/foregate/\"\n\
                    client_id = \"foregate\"\nclient_secret = \"not-a-secret\"\n[apps]\n"
        .to_owned();
    for number in 0..HOSTS {
        let (host, group) = (host(number), number % RULED);
        writeln!(text, "\"{host}\" = {{ {upstream}allow = \"group:group-{group:03}\" }}")?;
    }
    text.push_str(tables);
    let mut config = Config::from_text(Some(("bench.toml", &text)), &Environment::default())?.config;
    // Ids are spread over the parts of the cache by chance, so some parts need a little more than their share.
    config.session.cache_sessions = sessions + sessions / 8 + 1000;
    config.session.location = location;
    config.session.keys = vec![Secret::new("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")];
    foregate::app::site(config)
}

/// Keeps a session for somebody who has signed in.
pub(crate) async fn signed_in(site: &Site, new: NewSession, now: u64) -> anyhow::Result<SessionHandle> {
    match site.sessions.create(new, now).await? {
        Created::Kept(handle) => Ok(handle),
        Created::Disabled => anyhow::bail!("nobody is disabled"),
    }
}

/// Somebody whose groups everybody else has as well.
pub(crate) fn person(number: usize, groups: usize) -> NewSession {
    member(number, groups, 0)
}

/// Somebody in one of many teams; every team has its own list of groups.
pub(crate) fn member(number: usize, groups: usize, team: usize) -> NewSession {
    NewSession {
        profile: profile(number, groups, team),
        sid: None,
        renew_at: None,
        tokens: Vec::new().into(),
        client: "192.0.2.1".to_owned(),
        user_agent: "bench".to_owned(),
    }
}

fn profile(number: usize, groups: usize, team: usize) -> Profile {
    Profile {
        issuer: "https://id.example.com/application/o/foregate/".to_owned(),
        subject: format!("{number:064x}"),
        username: format!("user-{number:07}"),
        name: format!("Some Person {number:07}"),
        email: format!("user-{number:07}@example.com"),
        groups: (0..groups).map(|group| group_name(group, team)).collect(),
        ..Profile::default()
    }
}

/// The first groups, which the rules name, are everybody's; the others are a team's own, with names as long.
fn group_name(group: usize, team: usize) -> String {
    if team == 0 || group < RULED { format!("group-{group:03}") } else { format!("g{team:05x}{group:03}") }
}

/// `name=value`, as a browser sends it.
pub(crate) fn cookie(site: &Site, handle: &SessionHandle) -> String {
    let line = site.cookies.keep_session(handle, site.sessions.lifetime());
    line.to_str().unwrap_or_default().split(';').next().unwrap_or_default().to_owned()
}

/// The headers that a check of one of these people is answered with.
pub(crate) fn answer_of(site: &Site) -> HeaderMap {
    let set = site.gate.policy.app_of(&host(0)).map(|app| &app.headers);
    let person = Person::new(Identity::pack(&profile(0, GROUPS, 0), "".into(), &[]));
    let mut headers = set.map(|set| set.lines(Some(&person))).unwrap_or_default();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers
}

/// Signs people in and keeps a file of their cookies for the load.
pub(crate) async fn sign_in_all(site: &Site, sessions: usize, file: &Path) -> anyhow::Result<()> {
    let mut cookies = Vec::with_capacity(sessions);
    for number in 0..sessions {
        let handle = signed_in(site, person(number, GROUPS), unix_now()).await?;
        cookies.push(cookie(site, &handle));
    }
    write_cookies(file, &cookies)
}

/// Keeps a file of cookies for the load.
pub(crate) fn write_cookies(path: &Path, cookies: &[String]) -> anyhow::Result<()> {
    std::fs::write(path, cookies.join("\n")).with_context(|| format!("cannot write {}", path.display()))
}
