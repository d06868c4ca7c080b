//! The house: puts the doors together, runs them, and ends them in order. Decides nothing.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::bearer::{self, Clients};
use crate::browser::{Cookies, Purpose, Sealer};
use crate::config::{self, Config};
use crate::gate::Gate;
use crate::headers::{OwnNames, Signer};
use crate::http::{Admin, Faces, FormsAtOnce, Meddlers, Once, Site, Strangers, Tunnels, unix_now};
use crate::login::{Login, Providers};
use crate::metrics::Metrics;
use crate::server::tls::Certificates;
use crate::server::{self, Address, Listen, Listener, Listeners};
use crate::session::store::StoreError;
use crate::session::{self, Sessions};
use crate::upstream::Upstreams;

/// A foregate that listens and is ready to run.
#[derive(Debug)]
pub struct House {
    site: Arc<ArcSwap<Site>>,
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
        Ok(Self { site, settings: Arc::new(settings), public, admin, certificates })
    }

    /// Makes sure that the store, if it is there already, is one for this foregate. One that is not there yet is no
    /// reason to wait.
    ///
    /// # Errors
    /// If a newer foregate made its tables, or if it is sealed with other keys.
    pub async fn meet_store(&self) -> anyhow::Result<()> {
        match self.site.load().sessions.probe(unix_now()).await {
            Err(error @ (StoreError::TooNew { .. } | StoreError::OtherKeys)) => Err(error.into()),
            Ok(()) | Err(StoreError::Unavailable(_) | StoreError::Damaged(_)) => Ok(()),
        }
    }

    /// Serves until `stop`, then lets requests in flight finish.
    pub async fn run(self, stop: CancellationToken) {
        let site = self.site.load_full();
        let metrics = Arc::clone(&site.metrics);
        let (closing, drained) = (CancellationToken::new(), CancellationToken::new());
        let mut upkeep = tokio::spawn(upkeep(Arc::clone(&site), closing.clone(), drained.clone()));
        let listeners =
            self.public.iter().map(|one| ("public", one)).chain(std::iter::once(("admin", &self.admin)));
        for (name, listener) in listeners {
            if let Ok(address) = listener.address() {
                tracing::info!(listener = name, %address, protocol = listener.protocol(), "listening");
            }
        }
        let mut serving = JoinSet::new();
        for listener in self.public {
            let (faces, metrics) = (Faces(self.site.clone()), Arc::clone(&metrics));
            let (settings, stop) = (Arc::clone(&self.settings), stop.clone());
            serving.spawn(async move { server::run(listener, &settings, faces, metrics, stop).await });
        }
        if let Some(certificates) = self.certificates {
            serving.spawn(certificates.follow(stop.clone()));
        }
        let admin = server::run(self.admin, &self.settings, Admin(self.site.clone()), metrics, stop.clone());
        let served = async {
            admin.await;
            while serving.join_next().await.is_some() {}
        };
        let tunnels = async {
            stop.cancelled().await;
            site.tunnels.end().await;
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
        site.farewells.close();
        if tokio::time::timeout(FAREWELL_TIME, site.farewells.wait()).await.is_err() {
            tracing::warn!("the provider could not be told in time of all who signed out");
        }
        drained.cancel();
        // What was used last is told to the store before the end.
        if !ended_early {
            let _ = upkeep.await;
        }
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

/// A token that is cancelled by SIGTERM or SIGINT.
///
/// # Errors
/// If the system hands out no signals.
pub fn until_signal() -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut hang_up = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
    let told = stop.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = hang_up.recv() => tracing::warn!("this version does not reload: restart it to use a new configuration"),
            }
        }
        told.cancel();
    });
    Ok(stop)
}

/// Everything that answering takes, built from a configuration; opens the store and listens nowhere.
///
/// # Errors
/// What cannot ever work: a store address or a key that is none.
pub fn site(mut config: Config) -> anyhow::Result<Site> {
    config::ensure_keys(&mut config.session)?;
    let (domain, elsewhere) = (config.session_domain().to_owned(), config.apps_elsewhere().join(" "));
    let wanted_claims = config.wanted_claims();
    let policy = config.policy();
    tell_of_reports(&config);
    for app in config.apps_trusting_anybody() {
        tracing::warn!(
            app,
            "insecure: the certificate of this app's upstream is NOT verified, so that anybody in between can read and change everything"
        );
    }
    let metrics = Arc::new(Metrics::default());
    let sealer = Arc::new(Sealer::new(&config.session.keys)?);
    let sets = config.apps.iter().map(|app| &app.headers).chain([&config.default_headers]);
    let own_names = Arc::new(OwnNames::of(sets.map(Arc::as_ref)));
    let sessions =
        Sessions::open(config.session, Arc::clone(&sealer), wanted_claims.clone(), Arc::clone(&metrics))?;
    let sessions = Arc::new(sessions);
    let login = Login::new(
        Providers::new(config.providers, &metrics),
        Arc::clone(&sessions),
        Arc::clone(&sealer),
        Arc::clone(&metrics),
    );
    let issuer = config.public_url.origin().ascii_serialization();
    let signer = Signer::new(issuer, &sealer.seeds(Purpose::Assertion))?;
    let clients =
        config.bearer.map(|settings| clients(settings, &login, &sessions, (wanted_claims, &metrics)));
    let mut cookies = Cookies::new(config.cookies);
    if !elsewhere.is_empty() {
        tracing::info!(
            apps = elsewhere,
            "apps outside the cookie domain {domain}: each of their hosts gets a cookie of its own"
        );
        let home = config.public_url.host_str().unwrap_or_default();
        cookies = cookies.with_hosts_elsewhere(home, Arc::clone(&sealer));
    }
    Ok(Site {
        gate: Gate::new(policy, Arc::clone(&sessions), clients),
        login,
        sessions,
        cookies,
        sealer,
        signer,
        public_url: config.public_url,
        admin_token: config.admin_token,
        own_names,
        speaks_tls: config.listeners.listen.iter().any(|listen| listen.tls),
        trusted_proxies: config.server.trusted_proxies,
        upstreams: Upstreams::new(&config.backends, &metrics)?,
        tunnels: Tunnels::new(config.tunnel_idle),
        meddlers: Meddlers::default(),
        metrics,
        strangers: Strangers::default(),
        cors_origins: config.cors_origins,
        self_service: config.self_service,
        kept_forms: FormsAtOnce::default(),
        told_heavy: Once::default(),
        farewells: TaskTracker::new(),
    })
}

/// Everybody who comes with a token: of the providers, with the keys that sign-ins use, and of further issuers.
fn clients(
    settings: bearer::Settings,
    login: &Login,
    sessions: &Arc<Sessions>,
    (wanted_claims, metrics): (Vec<String>, &Arc<Metrics>),
) -> Clients {
    let shared = login.providers().iter().map(|named| (named.provider().clone(), Arc::clone(named.keys())));
    Clients::new(settings, shared, Arc::clone(sessions), wanted_claims, Arc::clone(metrics))
}

/// Rules in report mode keep nobody out that their `meanwhile` lets in: said at each start, so that nobody forgets one.
fn tell_of_reports(config: &Config) {
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
async fn upkeep(site: Arc<Site>, closing: CancellationToken, stop: CancellationToken) {
    let sessions = &site.sessions;
    let synced = every(session::SYNC_EVERY, || sessions.sync(unix_now()));
    let swept = every(SWEEP_EVERY, || async { sessions.sweep(unix_now()).await.map(drop) });
    // No renewal begins that could not be waited for.
    let renewed = async {
        tokio::select! { () = renew(&site) => {}, () = closing.cancelled() => {} }
    };
    let upstreams = site.upstreams.watch();
    let work = async { tokio::join!(synced, swept, renewed, sessions.follow(unix_now), upstreams) };
    tokio::select! { _ = work => {}, () = stop.cancelled() => {} }
    if let Err(error) = sessions.sync(unix_now()).await {
        tracing::warn!(%error, "the store could not be told which sessions were used last");
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
async fn renew(site: &Arc<Site>) {
    let Some(mut due) = site.sessions.due() else { return };
    let places = Arc::new(Semaphore::new(RENEWALS));
    while let Some(due) = due.recv().await {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let house = Arc::clone(site);
        // At the end it is waited for, so that no tokens are lost.
        site.farewells.spawn(async move {
            house.login.renew(due, unix_now()).await;
            drop(place);
        });
    }
}

/// How long sign-outs under way may take at the end.
const FAREWELL_TIME: Duration = Duration::from_secs(10);
/// Open files that are not connections of visitors.
const SPARE_FILES: usize = 128;
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// Renewals of tokens at a time.
const RENEWALS: usize = 64;
