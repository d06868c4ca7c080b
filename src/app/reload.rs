//! The configuration, read anew while foregate runs: whole or not at all. Decides nothing; what a configuration means and
//! what is wrong with it is said by `config` and by whoever builds a site.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::site_after;
use super::traces::Exports;
use super::watch::Watch;
use crate::config::{self, Config, Loaded};
use crate::http::{Reloaded, Site, Wish, unix_now};
use crate::journal::{By, Event, Record};

/// Where the configuration comes from, and what it is now.
#[derive(Debug)]
pub struct Source {
    file: Option<PathBuf>,
    loaded: Loaded,
    asked: Arc<Notify>,
}

impl Source {
    /// What was loaded from `file`, as [`config::load`] takes it; to be read anew whenever `asked` is told of it.
    pub fn new(file: Option<&Path>, loaded: Loaded, asked: Arc<Notify>) -> Self {
        Self { file: file.map(Path::to_owned), loaded, asked }
    }
}

/// Why the configuration is read anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trigger {
    Signal,
    Api,
    File,
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Signal => "SIGHUP",
            Self::Api => "POST /api/v1/reload",
            Self::File => "a file has changed",
        })
    }
}

impl Trigger {
    fn by(self) -> By {
        match self {
            Self::Signal => By::Signal,
            Self::Api => By::Api,
            Self::File => By::File,
        }
    }
}

/// What is in force, and who is to know when that is something else.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    pub site: Arc<ArcSwap<Site>>,
    pub replaced: Arc<Notify>,
    pub exports: Exports,
}

/// The one who reads the configuration anew.
pub(super) struct Reloader {
    source: Source,
    standing: Standing,
    watch: Watch,
    /// Those who find out what a change means for people.
    telling: JoinSet<()>,
}

impl Reloader {
    pub(super) fn new(source: Source, standing: Standing) -> Self {
        standing.site.load().metrics.config_reloaded.set(seconds());
        let watch = Watch::over(files(&source.file, source.loaded.files()));
        Self { source, standing, watch, telling: JoinSet::new() }
    }

    /// Reads it anew whenever somebody asks for it, and when a file of it changes, until `stop`.
    pub(super) async fn run(mut self, wishes: mpsc::Receiver<Wish>, stop: CancellationToken) {
        // What is under way is given up: nothing has changed as long as the site has not been replaced, at once.
        tokio::select! { () = stop.cancelled() => {}, () = self.work(wishes) => {} }
    }

    async fn work(&mut self, mut wishes: mpsc::Receiver<Wish>) {
        loop {
            let watches = self.source.loaded.config.watch;
            let (trigger, wish) = tokio::select! {
                () = self.source.asked.notified() => (Trigger::Signal, None),
                Some(wish) = wishes.recv() => (Trigger::Api, Some(wish)),
                () = self.watch.news(), if watches => (Trigger::File, None),
            };
            let reloaded = self.reload(trigger).await;
            if let Some(wish) = wish {
                wish.tell(reloaded);
            }
        }
    }

    async fn reload(&mut self, trigger: Trigger) -> Reloaded {
        if trigger != Trigger::File {
            // Whoever moves log files away says so by the same signal.
            let site = self.standing.site.load();
            site.audit.reopen();
            site.access.reopen();
        }
        let outcome = match self.read().await {
            Ok(loaded) => self.take(loaded, trigger).await,
            Err(findings) => Err(findings),
        };
        let site = self.standing.site.load_full();
        let metrics = &site.metrics;
        if let Ok(mut last) = site.last_reload.lock() {
            *last = outcome.as_ref().err().map(|findings| (unix_now(), findings.clone()));
        }
        match outcome {
            Ok(changed) => {
                // That a file has moved is nobody's wish, and may be no change.
                if trigger != Trigger::File || !changed.is_empty() {
                    metrics.reloads_done.inc();
                }
                Reloaded::Done(changed)
            }
            Err(findings) => {
                metrics.reloads_refused.inc();
                let told = findings.join("\n");
                tracing::error!(%trigger, findings = told, "{REFUSED}");
                Reloaded::Refused(findings)
            }
        }
    }

    /// The configuration as it is written now. Whatever is wrong with it, the files that it names are followed from now on.
    async fn read(&mut self) -> Result<Loaded, Vec<String>> {
        let file = self.source.file.clone();
        let read = tokio::task::spawn_blocking(move || config::load(file.as_deref()));
        let Ok(Ok(loaded)) = tokio::time::timeout(READ_TIME, read).await else {
            return Err(vec![UNREADABLE.to_owned()]);
        };
        let of_faulty = loaded.as_ref().err().map(|findings| findings.files());
        let of_good = loaded.as_ref().ok().map(Loaded::files);
        let named = of_faulty.into_iter().flatten().chain(of_good.into_iter().flatten());
        let named = named.chain(self.source.loaded.files());
        self.watch.follow(files(&self.source.file, named));
        loaded.map_err(|findings| findings.iter().map(ToString::to_string).collect())
    }

    /// Puts a configuration in the place of the one in force, in one step; says what changed.
    async fn take(&mut self, loaded: Loaded, trigger: Trigger) -> Result<Vec<String>, Vec<String>> {
        let changed = loaded
            .changes_since(&self.source.loaded)
            .map_err(|findings| findings.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        if changed.is_empty() {
            match trigger {
                Trigger::File => tracing::debug!(%trigger, "{SAME}"),
                Trigger::Signal | Trigger::Api => tracing::info!(%trigger, "{SAME}"),
            }
            self.source.loaded = loaded;
            return Ok(changed);
        }
        let (config, standing) = (loaded.config.clone(), self.standing.site.load_full());
        let built = tokio::task::spawn_blocking(move || site_after(config, Some(&standing)));
        let site = match built.await {
            Ok(site) => site.map_err(|error| vec![format!("{error:#}")])?,
            Err(_) => return Err(vec![UNREADABLE.to_owned()]),
        };
        let site = Arc::new(site);
        self.standing.exports.begin(&site);
        self.standing.site.store(Arc::clone(&site));
        let before = std::mem::replace(&mut self.source.loaded, loaded).config;
        self.standing.replaced.notify_one();
        site.sessions.have_all_look();
        site.metrics.config_reloaded.set(seconds());
        tracing::info!(%trigger, changed = changed.join(", "), "a new configuration is in force");
        site.note(|| Record {
            by: Some(trigger.by()),
            changed: changed.clone(),
            ..Record::of(Event::ConfigChanged)
        });
        while self.telling.try_join_next().is_some() {}
        self.telling.spawn(tell_of_access(site, before, self.source.loaded.config.clone()));
        Ok(changed)
    }
}

/// Logs who is let in where they were not before, and the other way round, of those who have a session.
async fn tell_of_access(site: Arc<Site>, before: Config, after: Config) {
    let people = match site.sessions.present(MOST_PEOPLE, unix_now()).await {
        Ok(people) => people,
        Err(error) => {
            tracing::warn!(%error, "it cannot be told whose access the new configuration changes");
            return;
        }
    };
    drop(site);
    let compared = move || config::access_changes(&before, &after, &people, unix_now());
    if let Ok(changes) = tokio::task::spawn_blocking(compared).await {
        changes.iter().for_each(|change| tracing::info!("{change}"));
    }
}

/// The files of a configuration: its own, if there is one, and those that it names.
fn files<'f>(own: &Option<PathBuf>, named: impl Iterator<Item = &'f Path>) -> Vec<PathBuf> {
    let own = config::file(own.as_deref());
    let mut files: Vec<PathBuf> = std::iter::once(own).chain(named.map(Path::to_owned)).collect();
    files.sort_unstable();
    files.dedup();
    files
}

fn seconds() -> i64 {
    i64::try_from(unix_now()).unwrap_or(i64::MAX)
}

const SAME: &str = "the configuration was read anew, and says the same";
const REFUSED: &str = "the new configuration is refused: the one before stays in force";
const UNREADABLE: &str =
    "the configuration could not be read to its end; fix: name plain files that can be read at once";
/// Sessions whose people are looked at to tell what a change means for them.
const MOST_PEOPLE: u32 = 1000;
/// How long the files may take, which are on disks.
const READ_TIME: Duration = Duration::from_secs(10);
