//! The configuration as meant: read from a file and the environment, checked as a whole. Knows everyone's
//! settings; nobody below knows of it.

mod access;
mod apps;
mod backend;
mod budget;
mod canary;
mod changes;
mod compat;
mod conditions;
mod cookies;
mod emergency;
mod environment;
mod findings;
mod followed;
mod headers;
mod keys;
mod listeners;
mod ourselves;
mod policy;
mod provider;
mod roles;
mod rules;
mod schema;
mod secrets;
mod sections;
mod show;
mod tenants;
mod tokens;
mod traces;
mod trials;
mod values;
mod written;

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use url::Url;

use crate::browser::CookieScope;
use crate::headers::HeaderSet;
use crate::http::{Compat, unix_now};
use crate::identity::{Roles, Tenants};
use crate::policy::{App, HostPattern, Requirement, Rule};
use crate::secret::Secret;
use crate::{bearer, journal, limits, login, server, session, trace, upstream};
pub use access::{AccessChange, access_changes};
use apps::Apps;
pub use environment::Environment;
use findings::Notebook;
pub use findings::{Finding, Findings};
use followed::Followed;
pub use schema::schema;
pub use secrets::{KeysError, ensure_keys, keys_at_hand, new_key};
use values::{Http, Reader};
use written::Written;

/// Everything foregate needs to know to run. All of it has been checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where browsers reach foregate itself; without a path.
    pub public_url: Url,
    /// Where connections are accepted.
    pub listeners: server::Listeners,
    /// How they are served and ended.
    pub server: server::Settings,
    /// What opens the operator's API; `None` only where the admin listener is on loopback.
    pub admin_token: Option<Secret>,
    /// The host of the app whose people may use the operator's page.
    pub admin_app: Option<String>,
    /// How sessions are kept. Without keys if they are to be made: [`ensure_keys`].
    pub session: session::Settings,
    /// Who signs people in, in the order of the file; at least one.
    pub providers: Vec<login::Registration>,
    /// Whose tokens count; nobody's without.
    pub bearer: Option<bearer::Settings>,
    /// Whose people count where no app says more; `None` is everybody's.
    pub issuers: Option<Arc<[Box<str>]>>,
    /// Origins whose scripts may ask who is signed in.
    pub cors_origins: Vec<String>,
    /// The products whose addresses are answered.
    pub compat: Compat,
    /// How long the app tokens may last that people make for themselves; `None` where they may not.
    pub self_service: Option<Duration>,
    /// Where cookies are sent.
    pub cookies: CookieScope,
    /// The apps, in the order of the file.
    pub apps: Vec<App>,
    /// The backends of apps, each once: [`crate::policy::Backend`] is a place in this list.
    pub backends: Vec<upstream::Settings>,
    /// Whether the configuration is read anew when its file changes, or one that it names.
    pub watch: bool,
    /// Who gets in while nobody can sign in; nobody without.
    pub emergency: Option<crate::emergency::Settings>,
    /// How foregate asks its own apps from outside; not at all without.
    pub canary: Option<crate::canary::Settings>,
    /// How often anybody may try what costs something.
    pub rates: limits::Settings,
    /// How long a tunnel to a backend may stay without a byte.
    pub tunnel_idle: Duration,
    /// Where the audit log and the access log go.
    pub journals: journal::Settings,
    /// Where traces go, and which; nowhere without.
    pub traces: Option<trace::Settings>,
    /// Who may use hosts that no app names; only such as lie within [`Config::session_domain`].
    pub fallback: Requirement,
    /// The headers of apps that do not name their own.
    pub default_headers: Arc<HeaderSet>,
    /// Whether backends of hosts that no app names get a signed assertion.
    pub assertion: bool,
    /// What groups make of people.
    pub roles: Arc<Roles>,
    /// Which tenants they belong to, where there are tenants.
    pub tenants: Option<Arc<Tenants>>,
}

/// A configuration in force, with where each part of it came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// How many `[[tests]]` it passed.
    pub tests: usize,
    lines: Vec<show::Line>,
    files: Vec<Followed>,
}

impl Loaded {
    /// The files beside the configuration's own that it was made of.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(Followed::path)
    }
}

/// Loads the configuration of this process: [`Config::load`] with its environment.
///
/// # Errors
/// [`Findings`] with everything that is wrong, all at once.
pub fn load(path: Option<&Path>) -> Result<Loaded, Findings> {
    Config::load(path, &Environment::of_process())
}

/// The file that [`load`] reads, whether it is there or not.
pub fn file(path: Option<&Path>) -> PathBuf {
    let named = path.map(Path::to_owned);
    let of_process = || Environment::of_process().value("FOREGATE_CONFIG").map(PathBuf::from);
    named.or_else(of_process).unwrap_or_else(|| PathBuf::from(DEFAULT_FILE))
}

/// What is logged: the filter in `FOREGATE_LOG`, or else `info`, less what the database pool says twice.
pub fn log_filter() -> String {
    Environment::of_process().value("FOREGATE_LOG").unwrap_or(DEFAULT_LOG).to_owned()
}

/// Every setting in force, its value and where it came from, as aligned text; secrets as `***`.
pub fn show(loaded: &Loaded) -> String {
    show::table(&loaded.lines)
}

impl Config {
    /// Loads the file at `path`, or else the one `FOREGATE_CONFIG` names, or else `./foregate.toml` if it is there;
    /// the environment overrides it.
    ///
    /// # Errors
    /// [`Findings`] with everything that is wrong, all at once.
    pub fn load(path: Option<&Path>, environment: &Environment) -> Result<Loaded, Findings> {
        let named = path.or_else(|| environment.value("FOREGATE_CONFIG").map(Path::new));
        let file = named.unwrap_or_else(|| Path::new(DEFAULT_FILE));
        let text = match read_file(file) {
            Ok(text) => Some(text),
            Err(FileError::Io(error)) if named.is_none() && error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(unreadable(file, &error)),
        };
        let name = file.display().to_string();
        Self::from_text(text.as_deref().map(|text| (name.as_str(), text)), environment)
    }

    /// Reads the text of a file, named for findings, if there is a file; the environment overrides it.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn from_text(file: Option<(&str, &str)>, environment: &Environment) -> Result<Loaded, Findings> {
        if file.is_none() && !environment.is_in_use() {
            return Err(nothing_at_all());
        }
        let mut book = Notebook::default();
        let written = match file {
            Some((name, text)) => Written::read(name, text, &mut book),
            None => Some(Written::default()),
        };
        // What is missing from a file that cannot be read is not known, so that only its syntax is told then.
        let broken = written.is_none();
        let mut written = written.unwrap_or_default();
        environment.override_in(&mut written, &mut book);
        let mut reader = Reader::new(written, book);
        let config = if broken { None } else { reader.config() };
        reader.finish(config)
    }

    /// The domain within which a session counts: the cookie domain, or the one host of `public_url`.
    pub fn session_domain(&self) -> &str {
        self.cookies.domain.as_deref().or_else(|| self.public_url.host_str()).unwrap_or_default()
    }

    /// The apps outside that domain, as they are named: their hosts have cookies of their own.
    pub fn apps_elsewhere(&self) -> Vec<&str> {
        let home = self.public_url.host_str().unwrap_or_default();
        let outside = |app: &&App| cookies::is_elsewhere(&self.cookies, home, app);
        self.apps.iter().filter(outside).map(|app| app.name.as_str()).collect()
    }

    /// The apps, as they are named, whose pages have the origin of the account page where that makes app tokens: they can make some for
    /// other apps, as whoever opens them. The operator's page is no such app.
    pub fn apps_at_home(&self) -> Vec<&str> {
        if self.self_service.is_none() {
            return Vec::new();
        }
        let (home, port) = (self.public_url.host_str(), self.public_url.port_or_known_default());
        let Some(home) = home.filter(|home| self.admin_app.as_deref() != Some(home)) else {
            return Vec::new();
        };
        let is_here = |app: &&App| match &app.host {
            HostPattern::Exact(host) => host == home && (app.port.is_none() || app.port == port),
            // Without foregate as its proxy, such a line most likely speaks of other hosts only.
            HostPattern::Wildcard(parent) => {
                app.route.is_some() && home.split_once('.').is_some_and(|(_, rest)| rest == parent)
            }
        };
        self.apps.iter().filter(is_here).map(|app| app.name.as_str()).collect()
    }

    /// The apps, as they are named, whose backend may show anybody's certificate.
    pub fn apps_trusting_anybody(&self) -> Vec<&str> {
        let trusts = |app: &&App| {
            let backend = app.route.as_ref().and_then(|route| self.backends.get(route.backend.0));
            backend.is_some_and(|backend| backend.tls.roots == upstream::tls::Roots::Anybody)
        };
        self.apps.iter().filter(trusts).map(|app| app.name.as_str()).collect()
    }

    /// Whether every peer there is counts as a front proxy, of IPv4 or of IPv6.
    pub fn trusts_everybody(&self) -> bool {
        IpNet::aggregate(&self.server.trusted_proxies).iter().any(|network| network.prefix_len() == 0)
    }

    /// The claims that header templates and rules of any app read, sorted.
    pub fn wanted_claims(&self) -> Vec<String> {
        let sets = self.apps.iter().map(|app| &app.headers).chain([&self.default_headers]);
        let rules = self.apps.iter().flat_map(|app| app.rules.iter().chain([&app.last]));
        let mut claims: Vec<String> = sets.flat_map(|set| set.wanted_claims()).collect();
        claims.extend(rules.flat_map(Rule::wanted_claims));
        claims.extend(self.fallback.claims().into_iter().map(str::to_owned));
        claims.extend(self.tenants.iter().filter_map(|tenants| tenants.claim.clone()));
        claims.sort_unstable();
        claims.dedup();
        claims
    }
}

impl Reader {
    /// Everything, after as many findings as there are.
    fn config(&mut self) -> Option<Config> {
        let public_url = self.public_url();
        let mut providers = self.providers(public_url.as_ref());
        let bearer = self.bearer(&mut providers);
        let apps = self.apps(public_url.as_ref(), &providers);
        let listeners = self.listeners();
        let server = self.server(listeners.as_ref().map(|all| &*all.listen));
        let admin_token = self.admin_token(listeners.as_ref().map(|all| all.admin_listen));
        let admin_app = self.admin_app(apps.as_ref(), listeners.as_ref());
        let watch = self.flag("server.watch");
        let (journals, traces) = (self.journals(), self.traces());
        let emergency = self.emergency(apps.as_ref().map(|apps| &*apps.list));
        let (canary, rates, tunnel_idle) = (self.canary(), self.rates(), self.tunnel_idle());
        let session = self.session_for(apps.as_ref(), provider::issuers_of_people(&providers));
        let cors_origins = self.cors_origins();
        let compat = self.compat();
        let self_service = self.self_service();
        let cookies = match (&public_url, &apps) {
            (Some(url), Some(apps)) => self.cookies(url, &apps.list, apps.fallback.as_ref()),
            (Some(_) | None, Some(_) | None) => None,
        };
        let trials = self.trials();
        let apps = apps?;
        let config = Config {
            public_url: public_url?,
            listeners: listeners?,
            server: server?,
            admin_token: admin_token?,
            admin_app: admin_app?,
            session: session?,
            bearer: bearer?,
            issuers: provider::any_issuers(&providers),
            providers: provider::registrations(providers)?,
            cors_origins: cors_origins?,
            compat: compat?,
            self_service: self_service?,
            cookies: cookies?,
            apps: apps.list.into_iter().map(|(app, _)| app).collect(),
            backends: apps.backends,
            watch: watch?,
            emergency: emergency?,
            canary: canary?,
            rates: rates?,
            tunnel_idle: tunnel_idle?,
            journals: journals?,
            traces: traces?,
            fallback: apps.fallback?,
            default_headers: Arc::clone(apps.defaults.headers(apps.defaults.assertion)),
            assertion: apps.defaults.assertion,
            roles: apps.roles,
            tenants: apps.tenants,
        };
        if self.book.count() == 0 {
            self.note_idle_canary(&config);
            self.try_out(&config, &trials, unix_now());
        }
        Some(config)
    }

    /// `[session]`, for people of these issuers, and held against what apps say of it.
    fn session_for(&mut self, apps: Option<&Apps>, issuers: Vec<String>) -> Option<session::Settings> {
        let session = self.session()?;
        if let Some(apps) = apps {
            self.note_long_limits(&apps.list, &session);
        }
        Some(session::Settings { issuers, ..session })
    }

    fn public_url(&mut self) -> Option<Url> {
        let url = self.url("public_url", Http::OnLoopback)?;
        if url.value.path() == "/" {
            return Some(url.value);
        }
        let fix = format!("write {}", url.value.origin().ascii_serialization());
        self.book.note(&url.place, "`public_url` has a path, and foregate needs a host of its own", fix);
        None
    }

    /// The configuration if there is no finding. A configuration without both would be a slip in this module, and is
    /// refused too.
    fn finish(self, config: Option<Config>) -> Result<Loaded, Findings> {
        let lines = show::lines(&self);
        let tests = self.written("tests").map_or(0, |node| node.value.length());
        let (book, _, _) = self.into_parts();
        let files = book.files().to_vec();
        match (book.findings(), config) {
            (Some(findings), _) => Err(findings),
            (None, Some(config)) => Ok(Loaded { config, tests, lines, files }),
            (None, None) => {
                let fix = "report this, with the names of the settings you use".to_owned();
                Err(Findings::one("foregate", "the configuration cannot be read".to_owned(), fix))
            }
        }
    }
}

/// Why a configuration file cannot be read.
#[derive(Debug, thiserror::Error)]
enum FileError {
    #[error("cannot be read ({0})")]
    Io(io::Error),
    #[error("is longer than 1 MiB")]
    TooLong,
    #[error("is not UTF-8 text")]
    NotText,
}

fn read_file(path: &Path) -> Result<String, FileError> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(FileError::Io)?;
    file.take(LONGEST_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(FileError::Io)?;
    if bytes.len() as u64 > LONGEST_FILE_BYTES {
        return Err(FileError::TooLong);
    }
    String::from_utf8(bytes).map_err(|_| FileError::NotText)
}

fn unreadable(file: &Path, error: &FileError) -> Findings {
    let fix = "name a file that is there with --config or FOREGATE_CONFIG".to_owned();
    Findings::one(&file.display().to_string(), format!("the configuration file {error}"), fix)
}

fn nothing_at_all() -> Findings {
    let problem = "there is no configuration: no such file here, and no FOREGATE_… variable".to_owned();
    Findings::one(DEFAULT_FILE, problem, format!("write a file {DEFAULT_FILE} such as this:\n\n{SMALLEST}"))
}

/// The file that is read when nobody names one.
const DEFAULT_LOG: &str = "info,deadpool.postgres=error";
const DEFAULT_FILE: &str = "foregate.toml";
/// A configuration is written by hand: a longer file is another one.
const LONGEST_FILE_BYTES: u64 = 1 << 20;
/// The smallest useful file.
const SMALLEST: &str = r#"    public_url = "https://auth.example.com"
    allow      = "signed-in"

    [provider]
    issuer     = "https://id.example.com/application/o/foregate/"
    client_id  = "foregate"
    client_secret_file = "/run/secrets/client_secret"
"#;

// These speak of both stores; the tests of each part are at its end and run in every build.
#[cfg(all(test, feature = "sqlite", feature = "postgres"))]
mod tests;

#[cfg(all(test, feature = "sqlite"))]
#[expect(clippy::expect_used, reason = "a test that cannot have it ends")]
mod narrowing;
