//! Every setting there is, once: what reads, suggests, names variables, shows and describes settings reads this.
//! Knows no values.

use std::borrow::Cow;

use Unset::{Needed, Value, Words};

/// One setting.
#[derive(Debug)]
pub(crate) struct Key {
    /// Its tables and its name, with dots between them.
    pub path: &'static str,
    /// What may be written.
    pub kind: Kind,
    /// What holds when it is not written.
    pub unset: Unset,
    /// What it does, in a sentence.
    pub doc: &'static str,
    /// Whether its value must never be shown; it has a twin named `…_file` then.
    pub secret: bool,
}

/// What may be written for a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Text that is not empty.
    Text,
    /// An absolute URL.
    Url,
    /// `127.0.0.1:4180` or `[::1]:4180`.
    Address,
    /// One of these or several, or `unix:/run/foregate.sock`.
    Addresses,
    /// An array of tables with `cert_file` and `key_file`.
    Certificates,
    /// A length of time such as `30s` or `1h30m`.
    Duration,
    /// A whole number, at least 1.
    Count,
    /// A number from 0 to 1.
    Ratio,
    /// `true` or `false`.
    Flag,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// An array of texts.
    Texts,
    /// Who is let in.
    Allow,
    /// A preset of identity headers, or names with templates.
    Headers,
    /// One text or several.
    TextOrTexts,
    /// The roles by name.
    Roles,
    /// What a backend is shown as `Authorization`.
    Authorization,
    /// The apps by host.
    Apps,
    /// Issuers of tokens by name.
    Issuers,
    /// What the rules are to decide.
    Tests,
}

/// What holds for a setting that is not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unset {
    /// This value, as a variable would hold it.
    Value(&'static str),
    /// Something that depends, in words.
    Words(&'static str),
    /// Nothing does: it must be written, for example so.
    Needed(&'static str),
}

impl Key {
    /// The name without its tables.
    pub(crate) fn leaf(&self) -> &'static str {
        split(self.path).1
    }

    /// The table it stands in, empty for the top level.
    pub(crate) fn table(&self) -> &'static str {
        split(self.path).0
    }

    /// The path of the setting that names a file with the secret.
    pub(crate) fn twin(&self) -> Option<String> {
        self.secret.then(|| format!("{}{TWIN}", self.path))
    }
}

/// A path without its last name, and that name.
pub(crate) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('.').unwrap_or(("", path))
}

/// The setting at a path.
pub(crate) fn find(path: &str) -> Option<&'static Key> {
    let told = told_as(path);
    KEYS.iter().find(|key| key.path == told)
}

/// How [`KEYS`] tells a path: what each table `providers.NAME` may hold is told once, as that of `provider`.
pub(crate) fn told_as(path: &str) -> Cow<'_, str> {
    let Some(named) = path.strip_prefix(PROVIDERS).and_then(|rest| rest.strip_prefix('.')) else {
        return Cow::Borrowed(path);
    };
    match named.split_once('.') {
        Some((name, rest)) if is_provider_name(name) => Cow::Owned(format!("{PROVIDER}.{rest}")),
        None if is_provider_name(named) => Cow::Borrowed(PROVIDER),
        Some(_) | None => Cow::Borrowed(path),
    }
}

/// Whether a provider can have this name: letters and digits with single dashes between them, so that in variables,
/// where `_` stands for a dash and `__` for a dot, each name reads as itself.
pub(crate) fn is_provider_name(text: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    text.len() <= LONGEST_PROVIDER_NAME && text.split('-').all(plain)
}

/// The name of the provider whose table a path is or lies in, if it has one of its own.
pub(crate) fn provider_name(path: &str) -> Option<&str> {
    path.strip_prefix(PROVIDERS)?.strip_prefix('.')?.split('.').next()
}

/// All settings with their paths, those of a provider once for each of these tables.
pub(crate) fn of_tables(providers: &[String]) -> Vec<(String, &'static Key)> {
    let of_provider = |key: &&Key| key.path.split('.').next() == Some(PROVIDER);
    let before = KEYS.iter().take_while(|key| !of_provider(key));
    let behind = KEYS.iter().skip_while(|key| !of_provider(key)).skip_while(of_provider);
    let named = providers.iter().flat_map(|table| {
        let keys = KEYS.iter().filter(of_provider);
        keys.map(move |key| (format!("{table}{}", &key.path[PROVIDER.len()..]), key))
    });
    let as_told = |key: &'static Key| (key.path.to_owned(), key);
    before.map(as_told).chain(named).chain(behind.map(as_told)).collect()
}

/// The secret whose file the setting at this path would name.
pub(crate) fn secret_of(twin: &str) -> Option<&'static Key> {
    twin.strip_suffix(TWIN).and_then(find).filter(|key| key.secret)
}

/// Whether settings stand below this path.
pub(crate) fn is_table(path: &str) -> bool {
    let told = told_as(path);
    let holds =
        |table: &str| table.strip_prefix(&*told).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    path == PROVIDERS || KEYS.iter().any(|key| holds(key.table()))
}

/// Whether only a start can change the setting, or the table it stands in.
pub(crate) fn is_for_start(path: &str) -> bool {
    AT_START
        .iter()
        .any(|fixed| path.strip_prefix(fixed).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}

/// The environment variable that sets this path.
pub(crate) fn variable(path: &str) -> String {
    format!("{PREFIX}{}", path.replace('.', "__").replace('-', "_").to_ascii_uppercase())
}

/// The paths among which a variable's own is, if it has one: all, or those of the provider it names.
pub(crate) fn paths_near(variable: &str) -> Vec<String> {
    let name = variable.strip_prefix(&self::variable(PROVIDERS)).and_then(|rest| rest.strip_prefix("__"));
    let name = name.and_then(|rest| rest.split("__").next()).map(|name| name.replace('_', "-"));
    let Some(name) = name.map(|name| name.to_ascii_lowercase()).filter(|name| is_provider_name(name)) else {
        return paths().collect();
    };
    let of_provider = paths().filter_map(|path| Some(path.strip_prefix(PROVIDER)?.to_owned()));
    of_provider.map(|rest| format!("{PROVIDERS}.{name}{rest}")).collect()
}

/// All paths that may be written: the settings, and the twins of those that are secret.
pub(crate) fn paths() -> impl Iterator<Item = String> {
    KEYS.iter().flat_map(|key| std::iter::once(key.path.to_owned()).chain(key.twin()))
}

/// The table of the provider that needs no name.
pub(crate) const PROVIDER: &str = "provider";
/// The table whose tables are providers with names.
pub(crate) const PROVIDERS: &str = "providers";
/// What every variable of ours begins with.
pub(crate) const PREFIX: &str = "FOREGATE_";
/// What the setting that names a secret's file ends in.
pub(crate) const TWIN: &str = "_file";

const fn key(path: &'static str, kind: Kind, unset: Unset, doc: &'static str) -> Key {
    Key { path, kind, unset, doc, secret: false }
}

const fn secret(path: &'static str, kind: Kind, unset: Unset, doc: &'static str) -> Key {
    Key { path, kind, unset, doc, secret: true }
}

/// The table of settings, in the order in which they are shown.
pub(crate) const KEYS: &[Key] = &[
    key("public_url", Kind::Url, Needed("https://auth.example.com"), "Where browsers reach foregate itself."),
    key("allow", Kind::Allow, Value("nobody"), "Who may use hosts that no line of [apps] names."),
    key(
        "compat",
        Kind::Texts,
        Value("[]"),
        "Products whose addresses are answered, too: authentik, oauth2-proxy, oauth2-proxy-nginx.",
    ),
    key(
        "headers",
        Kind::Headers,
        Value("remote"),
        "The identity headers of apps that do not name their own.",
    ),
    key(
        "assertion",
        Kind::Flag,
        Value("false"),
        "Whether backends get a signed assertion of who was let in, in the header Foregate-Assertion.",
    ),
    key(
        "server.listen",
        Kind::Addresses,
        Value("127.0.0.1:4180"),
        "Where front proxies and browsers connect: an address, or an array of them; unix:/path for a Unix socket.",
    ),
    key("server.socket_mode", Kind::Text, Value("0660"), "The permissions of Unix sockets, as octal digits."),
    key(
        "server.proxy_protocol",
        Kind::Flag,
        Value("false"),
        "Whether connections from trusted proxies begin with a PROXY protocol header, of version 1 or 2.",
    ),
    key(
        "server.tls.listen",
        Kind::Addresses,
        Words("the addresses of server.listen, where there is a certificate"),
        "Where TLS is spoken, beside plain HTTP at server.listen.",
    ),
    key(
        "server.tls.cert_file",
        Kind::Text,
        Words("none"),
        "The certificate with its chain, in PEM; shown to whoever asks for no name that another is for.",
    ),
    key("server.tls.key_file", Kind::Text, Words("none"), "The private key of that certificate, in PEM."),
    key(
        "server.tls.certificates",
        Kind::Certificates,
        Value("[]"),
        "Further certificates, chosen by the name a client asks for: { cert_file = \"…\", key_file = \"…\" }.",
    ),
    key("server.admin_listen", Kind::Address, Value("127.0.0.1:4181"), "Where the operator's tools connect."),
    secret(
        "server.admin_token",
        Kind::Text,
        Words("none, which will do on loopback only"),
        "What the operator's tools show to use /api, as a bearer token.",
    ),
    key(
        "server.admin_app",
        Kind::Text,
        Words("none"),
        "The app that leads to the operator's page: whom its rules let in may use that page without the token.",
    ),
    key(
        "server.trusted_proxies",
        Kind::Texts,
        Words("loopback when listening on loopback, else nobody"),
        "Addresses and networks whose forwarded headers are believed; unix for peers on Unix sockets.",
    ),
    key(
        "server.watch",
        Kind::Flag,
        Value("true"),
        "Whether the configuration is read anew when its file changes, or one that it names.",
    ),
    key(
        "server.drain",
        Kind::Duration,
        Value("30s"),
        "How long requests in flight may take to finish at the end.",
    ),
    key(
        "server.limits.head_timeout",
        Kind::Duration,
        Value("10s"),
        "How long the head of a request may take to arrive.",
    ),
    key(
        "server.limits.idle_timeout",
        Kind::Duration,
        Value("65m"),
        "How long a front proxy's connection may stay unused.",
    ),
    key(
        "server.limits.send_timeout",
        Kind::Duration,
        Value("60s"),
        "How long a client may take none of an answer that is there for it.",
    ),
    key(
        "server.limits.tunnel_idle_timeout",
        Kind::Duration,
        Value("1h"),
        "How long a WebSocket through foregate's own reverse proxy may stay without a byte.",
    ),
    key(
        "server.limits.connections",
        Kind::Count,
        Value("20000"),
        "How many connections there may be at a time.",
    ),
    key(
        "server.limits.sign_ins_per_minute",
        Kind::Count,
        Value("1200"),
        "How often a minute sign-ins may be begun, of one client.",
    ),
    key(
        "server.limits.sign_ins_per_minute_total",
        Kind::Count,
        Value("120000"),
        "The same of all clients together.",
    ),
    key(
        "server.limits.callbacks_per_minute",
        Kind::Count,
        Value("1200"),
        "How often a minute browsers may come back from the provider without being signed in by it, of one client.",
    ),
    key(
        "server.limits.callbacks_per_minute_total",
        Kind::Count,
        Value("30000"),
        "The same of all clients together.",
    ),
    key(
        "server.limits.codes_per_minute",
        Kind::Count,
        Value("120"),
        "How often a minute a provider may be asked for a code that it does not redeem, of one client.",
    ),
    key(
        "server.limits.codes_per_minute_total",
        Kind::Count,
        Value("2400"),
        "The same of all clients together.",
    ),
    key(
        "server.limits.tokens_per_minute",
        Kind::Count,
        Value("1200"),
        "How often a minute tokens may be shown that count for nothing, and devices ask, of one client.",
    ),
    key(
        "server.limits.tokens_per_minute_total",
        Kind::Count,
        Value("120000"),
        "The same of all clients together.",
    ),
    key(
        "server.limits.emergency_per_minute",
        Kind::Count,
        Value("10"),
        "How often a minute a wrong password for emergency access may be tried, of one client.",
    ),
    key(
        "server.limits.emergency_per_minute_total",
        Kind::Count,
        Value("120"),
        "The same of all clients together.",
    ),
    secret(
        "session.store",
        Kind::Text,
        STORE,
        "Where sessions are kept: sqlite:relative.db, sqlite:/absolute/path.db or postgres://….",
    ),
    secret(
        "session.keys",
        Kind::Texts,
        Words("with SQLite made at the first start, beside the database"),
        "The sealing keys, newest first, each 32 bytes in base64.",
    ),
    key("session.idle", Kind::Duration, Value("7d"), "A session that is not used for this long ends."),
    key("session.lifetime", Kind::Duration, Value("28d"), "A session this old ends."),
    key(
        "session.outage_grace",
        Kind::Duration,
        Value("5m"),
        "How long sessions in memory count while the store cannot be reached.",
    ),
    key(
        "session.poll",
        Kind::Duration,
        Value("5s"),
        "How often to look for sessions that ended on other replicas, where the database does not tell.",
    ),
    key(
        "session.cookie_domain",
        Kind::Text,
        Words("one host, or the domain above that of public_url where apps need it"),
        "The domain whose hosts share a session cookie.",
    ),
    key(
        "session.cors_origins",
        Kind::Texts,
        Value("[]"),
        "Origins whose scripts may ask /.foregate/session, such as https://app.example.com.",
    ),
    key("session.cache_sessions", Kind::Count, Value("200000"), "How many sessions are kept in memory."),
    key(
        "provider.title",
        Kind::Text,
        Words("the name of the provider's table, or the host of its issuer"),
        "What people read where they choose a provider.",
    ),
    key(
        "provider.issuer",
        Kind::Url,
        Needed("https://id.example.com/application/o/foregate/"),
        "The OpenID Provider, letter by letter as it names itself.",
    ),
    key("provider.client_id", Kind::Text, Needed("foregate"), "The name the provider knows foregate by."),
    secret(
        "provider.client_secret",
        Kind::Text,
        Words("none"),
        "What foregate proves to the provider who it is with.",
    ),
    key(
        "provider.client_auth",
        Kind::Choice(&["basic", "basic-raw", "post", "none"]),
        Words("what the provider offers"),
        "How the client secret is sent; none for a public client, which has no secret.",
    ),
    key(
        "provider.scopes",
        Kind::Texts,
        Words("openid, profile, email, and offline_access where the provider lists it"),
        "The scopes that are asked for; openid is one of them.",
    ),
    key(
        "provider.prompt",
        Kind::Text,
        Words("none"),
        "Passed on to the provider's sign-in, for example consent.",
    ),
    key(
        "provider.internal_url",
        Kind::Url,
        Words("the issuer's own"),
        "The provider's address for foregate's own calls, scheme, host and port only.",
    ),
    key(
        "provider.require_verified_email",
        Kind::Flag,
        Value("false"),
        "Whether people are refused whose e-mail address the provider does not vouch for.",
    ),
    key(
        "provider.claims.username",
        Kind::Text,
        Value("preferred_username"),
        "The claim with the name people sign in by.",
    ),
    key("provider.claims.name", Kind::Text, Value("name"), "The claim with the name to show."),
    key("provider.claims.email", Kind::Text, Value("email"), "The claim with the e-mail address."),
    key(
        "provider.claims.groups",
        Kind::Text,
        Value("groups"),
        "The claim with the groups; dots lead into nested claims.",
    ),
    key(
        "bearer.audiences",
        Kind::Texts,
        Words("none, so that no token counts"),
        "Whom the tokens of API clients must be for: one of these stands in their aud.",
    ),
    key(
        "bearer.introspection",
        Kind::Text,
        Words("none, so that tokens which are no JWTs count for nothing"),
        "The provider that is asked about tokens which are no JWTs, by its name.",
    ),
    key(
        "bearer.app_passwords",
        Kind::Text,
        Words("none, so that Basic is an affair of the apps"),
        "The provider that is asked about names and app passwords sent as Basic, by its name.",
    ),
    key(
        "bearer.cache_tokens",
        Kind::Count,
        Value("10000"),
        "How many verified tokens are remembered, for a minute each.",
    ),
    key(
        "bearer.issuers",
        Kind::Issuers,
        Value("{}"),
        "Further issuers whose tokens count, for apps that name them in provider.",
    ),
    key(
        "tokens.self_service",
        Kind::Flag,
        Value("false"),
        "Whether people may make app tokens for themselves, on their account page.",
    ),
    key(
        "tokens.max_lifetime",
        Kind::Duration,
        Value("90d"),
        "How long the app tokens may last that people make for themselves.",
    ),
    key(
        "tokens.owner_absence",
        Kind::Duration,
        Words("session.lifetime"),
        "How long app tokens count after their owner signed in, or had a session renewed.",
    ),
    secret(
        "emergency.users",
        Kind::Texts,
        Words("none, so that there is no emergency access"),
        "Who gets in by password while nobody can sign in: name:hash or name:hash:group,group each.",
    ),
    key(
        "emergency.networks",
        Kind::Texts,
        Words("none, so that they may be anywhere"),
        "Networks that they must be in, such as 10.0.0.0/8.",
    ),
    key(
        "emergency.declared",
        Kind::Flag,
        Value("false"),
        "Whether it is an emergency now, whatever the providers do.",
    ),
    key(
        "emergency.after",
        Kind::Duration,
        Value("1m"),
        "How long a provider must have been silent before it is an emergency.",
    ),
    key(
        "canary.interval",
        Kind::Duration,
        Words("none, so that nothing is asked"),
        "How often foregate asks each protected app through the front proxy whether a stranger is let in.",
    ),
    key(
        "canary.hosts",
        Kind::Texts,
        Value("[]"),
        "Hosts to ask that are named only by `*.` in [apps] or by `allow`.",
    ),
    key("canary.except", Kind::Texts, Value("[]"), "Apps not to ask, as [apps] names them."),
    key(
        "canary.address",
        Kind::Text,
        Words("the address of each app's host"),
        "Where the front proxy is reached from here, such as traefik:443; names and certificates stay those of the apps.",
    ),
    key(
        "canary.ca_file",
        Kind::Text,
        Words("those that the system trusts"),
        "The PEM file of those whose certificates are good for the front proxy.",
    ),
    key(
        "roles",
        Kind::Roles,
        Value("{}"),
        "What members of groups may do: [roles.editor] with groups, inherits and permissions.",
    ),
    key(
        "tenants.claim",
        Kind::Text,
        Words("none"),
        "The claim with the tenants that somebody belongs to; dots lead into nested claims.",
    ),
    key(
        "tenants.groups",
        Kind::TextOrTexts,
        Words("none"),
        "How groups name tenants instead, and roles in them, such as tenant:{tenant}:{role}.",
    ),
    key(
        "tenants.header",
        Kind::Text,
        Value("X-Tenant-ID"),
        "The header in which a client names one of its tenants and a backend is told of it.",
    ),
    key(
        "audit.output",
        Kind::Text,
        Value("off"),
        "Where the audit log goes, one JSON object on each line: the path of a file, stdout, stderr or off.",
    ),
    key(
        "access_log.output",
        Kind::Text,
        Value("off"),
        "Where a line for each request goes, one JSON object each: the path of a file, stdout, stderr or off.",
    ),
    key(
        "traces.endpoint",
        Kind::Url,
        Words("none, so that there are no traces"),
        "The collector of traces: where it takes OTLP over HTTP, such as http://collector:4318.",
    ),
    secret(
        "traces.headers",
        Kind::Texts,
        Words("none"),
        "Headers that the collector wants, such as \"Authorization: Bearer TOKEN\"; one on each line of the file.",
    ),
    key(
        "traces.ratio",
        Kind::Ratio,
        Value("1"),
        "The part of the traces that begin here which is recorded, from 0 to 1.",
    ),
    key("traces.service_name", Kind::Text, Value("foregate"), "How foregate is called in traces."),
    key(
        "apps",
        Kind::Apps,
        Value("{}"),
        "Who may use which app, by host: \"wiki.example.com\" = \"group:family\".",
    ),
    key(
        "tests",
        Kind::Tests,
        Value("[]"),
        "What the rules are to decide, tried at each start: [[tests]] with url, as and expect.",
    ),
];

/// Where sessions are kept by default; a build without SQLite has no default.
const STORE: Unset = if cfg!(feature = "sqlite") {
    Value("sqlite:foregate.db")
} else {
    Needed("postgres://foregate@db.example.com/foregate")
};

/// Letters of the longest name of a provider: it travels in every sign-in.
const LONGEST_PROVIDER_NAME: usize = 40;

/// What a reload cannot change: sockets that are open, and what all sessions hang on. Whatever is not named here changes
/// with a reload.
const AT_START: &[&str] = &[
    "server.listen",
    "server.socket_mode",
    "server.proxy_protocol",
    "server.tls",
    "server.admin_listen",
    "server.trusted_proxies",
    "server.drain",
    "server.limits.head_timeout",
    "server.limits.idle_timeout",
    "server.limits.send_timeout",
    "server.limits.connections",
    "session.store",
    "session.keys",
    "session.poll",
    "session.cache_sessions",
];

/// What an app's table may hold, with what it means.
pub(crate) const APP_KEYS: &[(&str, &str)] = &[
    ("allow", "Who may use what no rule speaks of; without it nobody but by the rules."),
    ("rules", "Tried in order before allow."),
    ("mode", "report, if `allow` is to tell whom it would keep out before it bites."),
    ("meanwhile", "Who is let in as long as `allow` is in report mode."),
    ("headers", "The identity headers this app gets."),
    (
        "groups",
        "Which groups it is told: all, matching (those its rules name), or names with * for any text.",
    ),
    (
        "header_limit",
        "Bytes that its identity headers may take; groups are left out where they would take more.",
    ),
    ("assertion", "Whether its backend gets a signed assertion of who was let in."),
    ("emergency", "Whether [emergency] users get in while nobody can sign in."),
    ("idle", "A session not used for this long has to sign in anew for this app; shorter than session.idle."),
    (
        "lifetime",
        "A sign-in older than this has to be done anew for this app; shorter than session.lifetime.",
    ),
    ("provider", "Whose people may use it, by the names of providers; of any provider without it."),
];

/// What an app's table may hold beside `upstream`, with what it is and means.
pub(crate) const UPSTREAM_KEYS: &[(&str, Kind, &str)] = &[
    ("preserve_host", Kind::Flag, "Whether the app is told the host that was asked for, not its own; true."),
    (
        "strip_prefix",
        Kind::Flag,
        "Whether the prefix in the app's key is taken off the paths it gets; false.",
    ),
    (
        "authorization",
        Kind::Authorization,
        "What the app is shown as Authorization: keep, remove, access-token, id-token, or a basic_file; keep.",
    ),
    ("sticky", Kind::Flag, "Whether each person stays at one of several upstreams; false."),
    ("health_path", Kind::Text, "What each upstream is asked for to see whether it is well; nothing."),
    ("health_interval", Kind::Duration, "How often; 10s."),
    ("health_timeout", Kind::Duration, "How long the answer may take; 5s."),
    ("health_fails", Kind::Count, "Bad answers in a row after which it gets no requests; 2."),
    ("health_passes", Kind::Count, "Good answers in a row after which it gets them again; 2."),
    ("http2", Kind::Flag, "Whether an https:// upstream is offered HTTP/2; true."),
    ("insecure", Kind::Flag, "Whether anybody's certificate will do; false."),
    ("ca_file", Kind::Text, "The PEM file of those whose certificates are good, instead of the system's."),
    ("client_cert_file", Kind::Text, "The PEM file with the certificate that foregate shows to the app."),
    ("client_key_file", Kind::Text, "The PEM file with its key."),
    (
        "server_name",
        Kind::Text,
        "The name in the app's certificate, where it is not the host of the upstream.",
    ),
    ("connect_timeout", Kind::Duration, "How long connecting may take, TLS included; 5s."),
    (
        "response_header_timeout",
        Kind::Duration,
        "How long the head of the answer may take after the request was sent; 5m.",
    ),
    ("stream_idle_timeout", Kind::Duration, "How long bodies may stand still, whoever is to blame; 5m."),
    ("queue_timeout", Kind::Duration, "How long a request may wait for a connection; 10s."),
    ("keepalive_timeout", Kind::Duration, "How long an unused connection is kept; 4s."),
    ("max_connection_age", Kind::Duration, "How long a connection is used; 1h."),
    ("max_connections", Kind::Count, "How many connections there may be to each upstream; 1000."),
    ("max_pending_requests", Kind::Count, "How many requests may wait for one; 1000."),
    ("max_body_size", Kind::Text, "How long the body of a request may be, such as 10M; any length."),
];

/// What the table of an issuer of tokens may hold, with what it means.
pub(crate) const ISSUER_KEYS: &[(&str, &str)] = &[
    ("issuer", "What its tokens name in iss, letter by letter."),
    ("jwks_url", "Where its keys are."),
    ("audiences", "Whom its tokens must be for, instead of bearer.audiences."),
    ("claims", "The claims with username, name, email and groups, as in [provider.claims]."),
];

/// What the claims of an issuer of tokens may hold, with what it means.
pub(crate) const ISSUER_CLAIM_KEYS: &[(&str, &str)] = &[
    ("username", "The claim with the name people sign in by."),
    ("name", "The claim with the name to show."),
    ("email", "The claim with the e-mail address."),
    ("groups", "The claim with the groups; dots lead into nested claims."),
];

/// What a rule's table may hold, with what it means.
pub(crate) const RULE_KEYS: &[(&str, &str)] = &[
    ("path", "The path: exact, or with /** at the end, or with * or {name} for a segment."),
    ("methods", "The methods; all where there is no such line."),
    (
        "query",
        "The parameters of the query, each with the value or values it may have; any where there is no such line.",
    ),
    ("allow", "Who is let in."),
    ("mode", "report, for a rule that is to tell whom it would keep out before it bites."),
    ("meanwhile", "Who is let in as long as the rule is in report mode."),
    (
        "max_auth_age",
        "How long ago they may have proved to the provider who they are; they are sent there again else.",
    ),
    ("acr", "What kind of sign-in the provider must vouch for; any one of these."),
    ("amr", "By what the provider must say they signed in; any one of these."),
];

/// The names of what an app's table may hold.
pub(crate) fn app_keys() -> impl Iterator<Item = &'static str> + Clone {
    let beside = UPSTREAM_KEYS.iter().map(|(name, ..)| *name);
    APP_KEYS.iter().map(|(name, _)| *name).chain(["upstream"]).chain(beside)
}

/// The names of what a rule's table may hold.
pub(crate) fn rule_keys() -> impl Iterator<Item = &'static str> + Clone {
    RULE_KEYS.iter().map(|(name, _)| *name)
}

/// What an app's `upstream` means.
pub(crate) const UPSTREAM: &str =
    "Where the app itself is, if foregate is its reverse proxy: http://host:port, or several in an array.";

/// What a role's table may hold, with what it means.
pub(crate) const ROLE_KEYS: &[(&str, &str)] = &[
    ("groups", "Whose members have the role; any one of them is enough."),
    ("tenant_roles", "Who has it within a tenant, by what they are there; any one of these is enough."),
    ("inherits", "The roles whose permissions it has too."),
    ("permissions", "What those who have the role may do."),
];

/// The names of what a role's table may hold.
pub(crate) fn role_keys() -> impl Iterator<Item = &'static str> + Clone {
    ROLE_KEYS.iter().map(|(name, _)| *name)
}

/// What a test's table may hold, with what it means.
pub(crate) const TEST_KEYS: &[(&str, &str)] = &[
    ("url", "The whole address that is asked for."),
    ("method", "The method; GET where there is no such line."),
    ("as", "Who asks: nobody, or such as user=alice,groups=a;b; nobody where there is no such line."),
    ("from", "The address of the visitor, for rules that look at networks."),
    ("expect", "What is decided: allow, sign-in, step-up, forbid or malformed."),
];

/// The names of what a test's table may hold.
pub(crate) fn test_keys() -> impl Iterator<Item = &'static str> + Clone {
    TEST_KEYS.iter().map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_path_is_there_once_and_is_said_in_a_sentence() {
        let mut seen = HashSet::new();
        for key in KEYS {
            assert!(seen.insert(key.path), "{}", key.path);
            assert!(key.doc.ends_with('.') && !key.doc.contains('\n'), "{}", key.path);
        }
    }

    #[test]
    fn names_follow_from_the_path() {
        let limit = find("server.limits.head_timeout").unwrap();
        assert_eq!((limit.table(), limit.leaf()), ("server.limits", "head_timeout"));
        assert_eq!(variable(limit.path), "FOREGATE_SERVER__LIMITS__HEAD_TIMEOUT");
        assert_eq!(secret_of("provider.client_secret_file").unwrap().path, "provider.client_secret");
        assert!(secret_of("provider.issuer_file").is_none());
        assert!(is_table("server") && is_table("server.limits") && !is_table("serve") && !is_table("apps"));
        assert!(is_table("providers") && is_table("providers.a") && is_table("providers.a.claims"));
        assert!(!is_table("providers.a.b") && !is_table("providers.A"));
    }

    #[test]
    fn a_provider_with_a_name_has_the_settings_of_the_one_without() {
        for (path, told) in [
            ("providers.a", "provider"),
            ("providers.my-idp.issuer", "provider.issuer"),
            ("providers.a.claims.groups", "provider.claims.groups"),
            ("providers", "providers"),
            ("providers.A.issuer", "providers.A.issuer"),
            ("provider.issuer", "provider.issuer"),
            ("server.listen", "server.listen"),
        ] {
            assert_eq!(told_as(path), told, "{path}");
        }
        assert_eq!(find("providers.a.issuer").unwrap().path, "provider.issuer");
        assert_eq!(secret_of("providers.a.client_secret_file").unwrap().path, "provider.client_secret");
        assert_eq!(variable("providers.my-idp.claims.name"), "FOREGATE_PROVIDERS__MY_IDP__CLAIMS__NAME");
        let near = paths_near("FOREGATE_PROVIDERS__MY_IDP__CLAIMS__NAME");
        assert!(near.contains(&"providers.my-idp.claims.name".to_owned()), "{near:?}");
        assert!(near.contains(&"providers.my-idp.client_secret_file".to_owned()), "{near:?}");
        let spread = of_tables(&["provider".into(), "providers.a".into()]);
        let count = KEYS.iter().filter(|key| key.path.starts_with("provider.")).count();
        assert_eq!(spread.len(), KEYS.len() + count);
        assert_eq!(spread.last().map(|(path, _)| path.as_str()), Some("tests"));
    }

    #[test]
    fn a_name_of_a_provider_is_one_word_in_small_letters() {
        for (name, usable) in [
            ("a", true),
            ("my-idp", true),
            ("2", true),
            ("", false),
            ("-a", false),
            ("a-", false),
            ("a--b", false),
            ("My", false),
            ("a_b", false),
            ("a.b", false),
            ("ä", false),
            ("a23456789-a23456789-a23456789-a23456789-", false),
            ("a23456789-a23456789-a23456789-a23456789x", true),
            ("a23456789-a23456789-a23456789-a23456789xy", false),
        ] {
            assert_eq!(is_provider_name(name), usable, "{name}");
        }
    }
}
