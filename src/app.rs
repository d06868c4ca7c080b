//! The house: puts the doors together, runs them, and ends them in order. Decides nothing.

mod canary;
mod reload;
mod traces;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::bearer::{self, Clients};
use crate::browser::{Cookies, Purpose, Sealer};
use crate::config::{self, Config};
use crate::emergency::{self, Emergency};
use crate::gate::Gate;
use crate::headers::{OwnNames, Signer};
use crate::http::{Admin, Faces, Meddlers, Once, Reloads, Site, Strangers, Tunnels, unix_millis, unix_now};
use crate::journal::{Access, Audit, By, Event, Record};
use crate::limits::{self, Limiter};
use crate::login::{Login, Providers, Registration};
use crate::metrics::Metrics;
use crate::server::tls::Certificates;
use crate::server::{self, Address, Listen, Listener, Listeners};
use crate::session::store::StoreError;
use crate::session::{self, Session, Sessions};
use crate::upstream::Upstreams;
pub use reload::Source;
use reload::{Reloader, Standing};
use traces::Exports;

/// A foregate that listens and is ready to run.
#[derive(Debug)]
pub struct House {
    standing: Standing,
    source: Option<Source>,
    settings: Arc<server::Settings>,
    public: Vec<Listener>,
    admin: Listener,
    certificates: Option<Arc<Certificates>>,
}

impl House {
    /// Builds everything the configuration asks for and opens all listeners. Neither the provider nor the store
    /// need to be there yet.
    ///
    /// # Errors
    /// What cannot ever work: an address in use, a store address or a key that is none.
    pub fn build(config: Config) -> anyhow::Result<Self> {
        let mut settings = config.server.clone();
        let listeners = &config.listeners;
        settings.connections = room_for(settings.connections, listeners.listen.len() + 1);
        let certificates = match &listeners.certificates[..] {
            [] => None,
            files => Some(Arc::new(Certificates::read(files.to_vec())?)),
        };
        let public = listen(listeners, certificates.as_ref())?;
        let admin = bind(&Address::Tcp(listeners.admin_listen), 0)?;
        let site = Arc::new(ArcSwap::from_pointee(site(config)?));
        let standing = Standing { site, replaced: Arc::default(), exports: Exports::default() };
        Ok(Self { standing, source: None, settings: Arc::new(settings), public, admin, certificates })
    }

    /// The same, with a configuration that is read anew when that is asked for or its files change.
    #[must_use]
    pub fn following(self, source: Source) -> Self {
        Self { source: Some(source), ..self }
    }

    /// Makes sure that the store, if it is there already, is one for this foregate. One that is not there yet is no
    /// reason to wait.
    ///
    /// # Errors
    /// If a newer foregate made its tables, or if it is sealed with other keys.
    pub async fn meet_store(&self) -> anyhow::Result<()> {
        match self.standing.site.load().sessions.probe(unix_now()).await {
            Err(error @ (StoreError::TooNew { .. } | StoreError::OtherKeys)) => Err(error.into()),
            Ok(()) | Err(StoreError::Unavailable(_) | StoreError::Damaged(_)) => Ok(()),
        }
    }

    /// Serves until `stop`, then lets requests in flight finish.
    pub async fn run(self, stop: CancellationToken) {
        let site = Arc::clone(&self.standing.site);
        let (metrics, farewells) = (Arc::clone(&site.load().metrics), site.load().farewells.clone());
        let exports = self.standing.exports.clone();
        exports.begin(&site.load());
        let (closing, drained) = (CancellationToken::new(), CancellationToken::new());
        let mut upkeep = tokio::spawn(upkeep(self.standing.clone(), closing.clone(), drained.clone()));
        let listeners =
            self.public.iter().map(|one| ("public", one)).chain(std::iter::once(("admin", &self.admin)));
        for (name, listener) in listeners {
            if let Ok(address) = listener.address() {
                tracing::info!(listener = name, %address, protocol = listener.protocol(), "listening");
            }
        }
        let begin_with = site.load().references.replica().to_owned();
        tracing::info!(begin_with, "references of this foregate begin with these letters");
        let mut serving = JoinSet::new();
        for listener in self.public {
            let (faces, metrics) = (Faces(Arc::clone(&site)), Arc::clone(&metrics));
            let (settings, stop) = (Arc::clone(&self.settings), stop.clone());
            serving.spawn(async move { server::run(listener, &settings, faces, metrics, stop).await });
        }
        if let Some(certificates) = self.certificates {
            serving.spawn(certificates.follow(stop.clone()));
        }
        let reloads = self.source.map(|source| {
            let (reloads, wishes) = Reloads::new();
            serving.spawn(Reloader::new(source, self.standing).run(wishes, stop.clone()));
            reloads
        });
        let admin = Admin { site: Arc::clone(&site), reloads };
        let admin = server::run(self.admin, &self.settings, admin, metrics, stop.clone());
        let served = async {
            admin.await;
            while serving.join_next().await.is_some() {}
        };
        let tunnels = async {
            stop.cancelled().await;
            site.load_full().tunnels.end().await;
        };
        let ended_early = tokio::select! {
            _ = async { tokio::join!(served, tunnels) } => false,
            _ = &mut upkeep => true,
        };
        if ended_early {
            tracing::error!("the upkeep of sessions broke off: foregate ends, to be started anew");
            stop.cancel();
        }
        closing.cancel();
        farewells.close();
        if tokio::time::timeout(FAREWELL_TIME, farewells.wait()).await.is_err() {
            tracing::warn!("the provider could not be told in time of all who signed out");
        }
        drained.cancel();
        // What was used last is told to the store before the end.
        if !ended_early {
            let _ = upkeep.await;
        }
        tokio::join!(exports.end(), flush(site.load_full()));
        tracing::info!("stopped");
    }
}

/// Opens the listeners for front proxies and browsers.
fn listen(listeners: &Listeners, certificates: Option<&Arc<Certificates>>) -> anyhow::Result<Vec<Listener>> {
    let tls = certificates.map(Certificates::server_config).transpose().context("TLS cannot be set up")?;
    let mut open = Vec::new();
    for Listen { address, tls: secure } in &listeners.listen {
        let mut listener = bind(address, listeners.socket_mode)?;
        if *secure {
            listener = listener.with_tls(tls.clone().context("a TLS listener has no certificate")?);
        }
        open.push(if listeners.proxy_protocol { listener.with_proxy_protocol() } else { listener });
    }
    Ok(open)
}

fn bind(address: &Address, mode: u32) -> anyhow::Result<Listener> {
    Listener::bind(address, mode).with_context(|| format!("cannot listen on {address}"))
}

/// How many connections there can be on each of so many listeners: each is an open file, and some are left for the
/// store, the provider and backends. The soft limit, which most systems set low, is raised as far as it may be.
fn room_for(wanted: usize, listeners: usize) -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current < limit.maximum || limit.maximum.is_none() {
        limit.current = limit.maximum.or(limit.current);
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::debug!(%error, "the limit of open files could not be raised");
            limit = getrlimit(Resource::Nofile);
        }
    }
    let files = limit.current.and_then(|files| usize::try_from(files).ok()).unwrap_or(usize::MAX);
    let room = (files.saturating_sub(SPARE_FILES) / listeners).max(1);
    if room < wanted {
        tracing::warn!(
            files,
            connections = room,
            "the limit of open files allows fewer connections than configured"
        );
    }
    room.min(wanted)
}

/// What the system and the operator want of the program.
#[derive(Debug)]
pub struct Signals {
    /// That it ends: SIGTERM or SIGINT.
    pub stop: CancellationToken,
    /// That it reads its configuration anew: SIGHUP.
    pub reload: Arc<Notify>,
}

/// Listens for signals from now on.
///
/// # Errors
/// If the system hands out none.
pub fn signals() -> anyhow::Result<Signals> {
    let (stop, reload) = (CancellationToken::new(), Arc::new(Notify::new()));
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut hang_up = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
    let (told, asked) = (stop.clone(), Arc::clone(&reload));
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = hang_up.recv() => asked.notify_one(),
            }
        }
        told.cancel();
    });
    Ok(Signals { stop, reload })
}

/// Everything that answering takes, built from a configuration; opens the store and listens nowhere.
///
/// # Errors
/// What cannot ever work: a store address or a key that is none.
pub fn site(config: Config) -> anyhow::Result<Site> {
    site_after(config, None)
}

/// The same behind another one, by another configuration: what both say alike is taken over with all that it knows.
fn site_after(mut config: Config, before: Option<&Site>) -> anyhow::Result<Site> {
    let metrics = before.map(|site| Arc::clone(&site.metrics)).unwrap_or_default();
    let upstreams = Upstreams::new(&config.backends, before.map(|site| &site.upstreams), &metrics)?;
    let wanted_claims = config.wanted_claims();
    let (policy, vouching, asked) = (config.policy(), config.vouching(), canary::asked(&config));
    tell_of_risks(&config);
    let (audit, access) = journals(&config, before, &metrics)?;
    let sealer = sealer(&mut config, before)?;
    let (own_names, cookies) = (own_names(&config), cookies(&config, &sealer));
    let sessions = Arc::new(match before {
        Some(site) => site.sessions.anew(config.session, wanted_claims.clone()),
        None => {
            Sessions::open(config.session, Arc::clone(&sealer), wanted_claims.clone(), Arc::clone(&metrics))?
        }
    });
    let limiter = limiter(config.rates, before, &metrics);
    let login = sign_ins(config.providers, before, (&sessions, &sealer), (&metrics, &limiter));
    let signer = signer(&config.public_url, &sealer)?;
    let emergency =
        emergency(config.emergency, before, (&login, &wanted_claims), (&limiter, &metrics, &audit))?;
    let clients = config.bearer.map(|settings| {
        let before = before.and_then(|site| Some((&site.login, site.gate.clients()?)));
        clients(settings, before, &login, (&sessions, wanted_claims, &metrics))
    });
    Ok(Site {
        gate: Gate::new(policy, Arc::clone(&sessions), clients, Arc::clone(&limiter))
            .with_emergency(emergency, config.public_url.scheme() == "https"),
        canary: asked.map(|asked| canary::new(asked, before, &login, (&sealer, &metrics, &audit))),
        limiter,
        login,
        sessions,
        cookies,
        sealer,
        signer,
        public_url: config.public_url,
        admin_token: config.admin_token,
        admin_app: config.admin_app,
        last_reload: before.map(|site| Arc::clone(&site.last_reload)).unwrap_or_default(),
        recent: before.map(|site| Arc::clone(&site.recent)).unwrap_or_default(),
        own_names,
        speaks_tls: config.listeners.listen.iter().any(|listen| listen.tls),
        trusted_proxies: config.server.trusted_proxies,
        upstreams,
        tunnels: tunnels(before, config.tunnel_idle),
        meddlers: Meddlers::default(),
        tracer: traces::tracer(config.traces, before, &metrics),
        metrics,
        audit,
        access,
        strangers: Strangers::default(),
        vouching,
        cors_origins: config.cors_origins,
        self_service: config.self_service,
        compat: config.compat,
        kept_forms: before.map(|site| site.kept_forms.clone()).unwrap_or_default(),
        told_heavy: Once::default(),
        references: before.map(|site| Arc::clone(&site.references)).unwrap_or_default(),
        farewells: before.map(|site| site.farewells.clone()).unwrap_or_default(),
    })
}

/// The code flows with each provider; what is known of one that is as it was stays known.
fn sign_ins(
    providers: Vec<Registration>,
    before: Option<&Site>,
    (sessions, sealer): (&Arc<Sessions>, &Arc<Sealer>),
    (metrics, limiter): (&Arc<Metrics>, &Arc<Limiter>),
) -> Login {
    let providers = Providers::new(providers, before.map(|site| site.login.providers()), metrics);
    let (sessions, sealer) = (Arc::clone(sessions), Arc::clone(sealer));
    let login = Login::new(providers, sessions, sealer, Arc::clone(metrics), Arc::clone(limiter));
    before.into_iter().fold(login, |login, site| login.after(&site.login))
}

fn signer(public_url: &Url, sealer: &Sealer) -> anyhow::Result<Signer> {
    let issuer = public_url.origin().ascii_serialization();
    Ok(Signer::new(issuer, &sealer.seeds(Purpose::Assertion))?)
}

fn limiter(rates: limits::Settings, before: Option<&Site>, metrics: &Arc<Metrics>) -> Arc<Limiter> {
    let counted = before.map(|site| &*site.limiter);
    Arc::new(Limiter::new(rates, counted, Arc::clone(metrics)))
}

/// The cookies, also for hosts outside the cookie domain if there are apps on such.
fn cookies(config: &Config, sealer: &Arc<Sealer>) -> Cookies {
    let cookies = Cookies::new(config.cookies.clone());
    match config.public_url.host_str() {
        Some(home) if !config.apps_elsewhere().is_empty() => {
            cookies.with_hosts_elsewhere(home, Arc::clone(sealer))
        }
        Some(_) | None => cookies,
    }
}

/// What is written down beside the log.
fn journals(config: &Config, before: Option<&Site>, metrics: &Metrics) -> anyhow::Result<(Audit, Access)> {
    let audit = Audit::after(before.map(|site| &site.audit), config.journals.audit.as_ref(), metrics);
    let access = Access::after(before.map(|site| &site.access), config.journals.access.as_ref(), metrics);
    Ok((
        audit.context("the audit log cannot be opened (audit.output)")?,
        access.context("the access log cannot be opened (access_log.output)")?,
    ))
}

/// What seals sessions and sign-ins, which are to open later too.
fn sealer(config: &mut Config, before: Option<&Site>) -> anyhow::Result<Arc<Sealer>> {
    if let Some(site) = before {
        return Ok(Arc::clone(&site.sealer));
    }
    config::ensure_keys(&mut config.session)?;
    Ok(Arc::new(Sealer::new(&config.session.keys)?))
}

fn tunnels(before: Option<&Site>, idle: Duration) -> Tunnels {
    before.map_or_else(|| Tunnels::new(idle), |site| site.tunnels.with_idle(idle))
}

fn own_names(config: &Config) -> Arc<OwnNames> {
    let sets = config.apps.iter().map(|app| &app.headers).chain([&config.default_headers]);
    Arc::new(OwnNames::of(sets.map(Arc::as_ref)))
}

/// Everybody who comes with a token: of the providers, with the keys that sign-ins use, and of further issuers. Where
/// nothing of that is new, what is known of tokens stays known.
fn clients(
    settings: bearer::Settings,
    before: Option<(&Login, &Arc<Clients>)>,
    login: &Login,
    (sessions, wanted_claims, metrics): (&Arc<Sessions>, Vec<String>, &Arc<Metrics>),
) -> Arc<Clients> {
    let same = before.filter(|(old, clients)| {
        login.providers().are(old.providers()) && clients.are_by(&settings, &wanted_claims)
    });
    if let Some((_, clients)) = same {
        return Arc::clone(clients);
    }
    let shared = login.providers().iter().map(|named| (named.provider().clone(), Arc::clone(named.keys())));
    let before = before.map(|(_, clients)| &**clients);
    let with = (Arc::clone(sessions), wanted_claims, Arc::clone(metrics));
    Arc::new(Clients::after(before, settings, shared, with))
}

/// The door for emergencies, where the configuration has one.
fn emergency(
    settings: Option<emergency::Settings>,
    before: Option<&Site>,
    (login, wanted_claims): (&Login, &[String]),
    (limiter, metrics, audit): (&Arc<Limiter>, &Arc<Metrics>, &Audit),
) -> anyhow::Result<Option<Arc<Emergency>>> {
    let before = before.and_then(|site| site.gate.emergency()).map(Arc::as_ref);
    let Some(settings) = settings else {
        if before.is_some_and(Emergency::is_declared) {
            emergency::note_declared(audit, "shut", unix_millis());
        }
        return Ok(None);
    };
    if settings.declared {
        tracing::warn!(
            "EMERGENCY ACCESS IS DECLARED: it is open although providers may answer; set emergency.declared = false when it is over"
        );
    }
    let providers = login.providers().iter().map(|named| named.provider().clone()).collect();
    let (limiter, metrics, audit) = (Arc::clone(limiter), Arc::clone(metrics), audit.clone());
    let means = emergency::Means { limiter, metrics, audit, clock: unix_millis };
    let emergency = Emergency::new(settings, providers, before, wanted_claims, means);
    Ok(Some(Arc::new(emergency.context("no random numbers can be had")?)))
}

/// What an operator is to know of a configuration beside that it is in force: said each time, so that nobody forgets it.
/// Rules in report mode keep nobody out that their `meanwhile` lets in.
fn tell_of_risks(config: &Config) {
    let elsewhere = config.apps_elsewhere().join(" ");
    if !elsewhere.is_empty() {
        let domain = config.session_domain();
        tracing::info!(
            apps = elsewhere,
            "apps outside the cookie domain {domain}: each of their hosts gets a cookie of its own"
        );
    }
    if config.trusts_everybody() {
        tracing::warn!(
            "insecure: server.trusted_proxies holds every address there is, so that anybody who reaches this listener may say who they \
             are and where they come from"
        );
    }
    for app in config.apps_trusting_anybody() {
        tracing::warn!(
            app,
            "insecure: the certificate of this app's upstream is NOT verified, so that anybody in between can read and change everything"
        );
    }
    for app in config.apps_at_home() {
        tracing::warn!(
            app,
            "insecure: this app is on the host of public_url, so that its pages can make app tokens for other apps, as whoever opens \
             them; give it a host of its own, or set tokens.self_service = false"
        );
    }
    let rules = config.apps.iter().flat_map(|app| app.rules.iter().chain([&app.last]));
    for (rule, meanwhile) in rules.filter_map(|rule| Some((rule, rule.meanwhile()?))) {
        tracing::warn!(
            rule = rule.name,
            meanwhile,
            "THIS RULE IS IN REPORT MODE: its `allow` keeps nobody out, and `meanwhile` decides who is let in"
        );
    }
}

/// Everything that is done for sessions without a request: each kind of work goes on while another waits.
async fn upkeep(standing: Standing, closing: CancellationToken, stop: CancellationToken) {
    let sessions = || Arc::clone(&standing.site.load().sessions);
    let synced = every(session::SYNC_EVERY, || async { sessions().sync(unix_now()).await });
    let swept = every(SWEEP_EVERY, || async { sessions().sweep(unix_now()).await.map(drop) });
    // No renewal begins that could not be waited for.
    let renewed = async {
        tokio::select! { () = renew(&standing.site) => {}, () = closing.cancelled() => {} }
    };
    // All configurations have the same store and the same memory.
    let first = sessions();
    let work = async { tokio::join!(synced, swept, renewed, first.follow(unix_now), watch(&standing)) };
    tokio::select! { _ = work => {}, () = stop.cancelled() => {} }
    if let Err(error) = sessions().sync(unix_now()).await {
        tracing::warn!(%error, "the store could not be told which sessions were used last");
    }
}

/// Sees to the connections to backends, whether providers are there, and whether apps are protected: those of the
/// configuration in force.
async fn watch(standing: &Standing) {
    loop {
        let site = standing.site.load_full();
        let emergency = async {
            if let Some(emergency) = site.gate.emergency() {
                emergency.watch().await;
            }
        };
        let canary = async {
            if let Some(canary) = &site.canary {
                canary.watch().await;
            }
        };
        let watched = async {
            tokio::join!(site.upstreams.watch(), emergency, canary);
        };
        tokio::select! { () = watched => {}, () = standing.replaced.notified() => {} }
    }
}

/// Does a piece of work again and again.
async fn every<W: Future<Output = Result<(), StoreError>>>(time: Duration, work: impl Fn() -> W) {
    let mut tick = interval(time);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if let Err(error) = work().await {
            tracing::debug!(%error, "the upkeep of sessions has to wait");
        }
    }
}

/// Renews the tokens of sessions that are due, many at a time, each in a task of its own.
async fn renew(site: &ArcSwap<Site>) {
    let Some(mut due) = site.load().sessions.due() else { return };
    let places = Arc::new(Semaphore::new(RENEWALS));
    while let Some(due) = due.recv().await {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let house = site.load_full();
        // At the end it is waited for, so that no tokens are lost.
        house.farewells.clone().spawn(async move {
            let session = Arc::clone(&due.session);
            if let Some(reason) = house.login.renew(due, unix_now()).await {
                house.note(|| over(&session, reason));
            }
            drop(place);
        });
    }
}

/// Has written what waits in the journals. A file can keep a thread waiting.
async fn flush(site: Arc<Site>) {
    let flushed = tokio::task::spawn_blocking(move || {
        site.audit.close(FLUSH_TIME);
        site.access.close(FLUSH_TIME);
    });
    let _ = flushed.await;
}

/// A session that the provider did not go on with, for the audit log.
fn over(session: &Session, reason: &'static str) -> Record {
    Record {
        by: Some(By::Provider),
        who: session.person.identity().into(),
        session: Some(session::name_of(&session.handle().id())),
        sessions: Some(1),
        reason: Some(reason),
        ..Record::of(Event::Revoked)
    }
}

/// How long sign-outs under way may take at the end.
const FAREWELL_TIME: Duration = Duration::from_secs(10);
/// How long lines that wait may take to be written at the end.
const FLUSH_TIME: Duration = Duration::from_secs(2);
/// Open files that are not connections of visitors.
const SPARE_FILES: usize = 128;
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// Renewals of tokens at a time.
const RENEWALS: usize = 64;
