//! The doctor: looks at everything foregate needs, stage by stage, and says what is wrong and what helps. Changes
//! nothing, asks nobody a question and prints nothing.

mod config;
mod headers;
mod path;
mod provider;
mod store;

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};
use url::Url;

use crate::config::Config;

/// How one check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Ok,
    /// It works, but should be known.
    Warning,
    /// It does not work, or is not safe.
    Failed,
    /// Not looked at, as something before it failed.
    Skipped,
}

/// What is looked at, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The configuration and its `[[tests]]`.
    Config,
    /// Where sessions are kept.
    Store,
    /// Who signs people in.
    Provider,
    /// Where the session's cookie goes.
    Cookies,
    /// Whether the identity fits through front proxies.
    Headers,
    /// The way from outside.
    Path,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What it is a part of.
    pub stage: Stage,
    /// What was looked at.
    pub name: String,
    /// How it ended.
    pub state: State,
    /// What was seen.
    pub seen: String,
    /// What to do; empty where nothing is to be done.
    pub fix: String,
}

/// Everything that was looked at.
#[derive(Clone, Debug, Default)]
pub struct Report(Vec<Check>);

/// A report that is being written: each line is told as soon as it stands.
struct Sheet<'t> {
    report: Report,
    stage: Stage,
    tell: &'t mut dyn FnMut(&Check),
}

/// Looks at the configuration in `file`, at everything it names, and at the way to `urls` from outside; calls `tell`
/// with each line as it comes. Takes less than a minute.
pub async fn examine(file: Option<&Path>, urls: &[Url], tell: &mut dyn FnMut(&Check)) -> Report {
    let mut sheet = Sheet { report: Report::default(), stage: Stage::Config, tell };
    let end = Instant::now() + LONGEST;
    match config::examine(file, &mut sheet) {
        Some(config) => {
            let looked = timeout_at(end, look(&config, urls, &mut sheet)).await;
            if looked.is_err() {
                let seen = format!("not done after {} seconds", LONGEST.as_secs());
                sheet.fail("time", seen, "look at what is slow above, then run this again");
            }
        }
        None => {
            for stage in [Stage::Store, Stage::Provider, Stage::Cookies, Stage::Headers] {
                sheet.stage = stage;
                sheet.skip(stage.as_str(), "the configuration cannot be used");
            }
            if !urls.is_empty() {
                sheet.stage = Stage::Path;
                sheet.skip("path", "the configuration cannot be used");
            }
        }
    }
    sheet.report
}

async fn look(config: &Config, urls: &[Url], sheet: &mut Sheet<'_>) {
    sheet.stage = Stage::Store;
    let (sealer, largest) = store::examine(config, sheet).await;
    sheet.stage = Stage::Provider;
    let sign_in_origins = provider::examine(config, sheet).await;
    sheet.stage = Stage::Cookies;
    config::cookies(config, sheet);
    sheet.stage = Stage::Headers;
    headers::examine(config, largest, sealer.as_ref(), sheet);
    sheet.stage = Stage::Path;
    path::examine(config, (urls, &sign_in_origins), sealer.as_ref(), sheet).await;
}

impl Sheet<'_> {
    fn ok(&mut self, name: impl Into<String>, seen: impl Into<String>) {
        self.write(State::Ok, name, seen, "");
    }

    fn warn(&mut self, name: impl Into<String>, seen: impl Into<String>, fix: impl Into<String>) {
        self.write(State::Warning, name, seen, fix);
    }

    fn fail(&mut self, name: impl Into<String>, seen: impl Into<String>, fix: impl Into<String>) {
        self.write(State::Failed, name, seen, fix);
    }

    fn skip(&mut self, name: impl Into<String>, why: impl Into<String>) {
        self.write(State::Skipped, name, why, "");
    }

    fn write(
        &mut self,
        state: State,
        name: impl Into<String>,
        seen: impl Into<String>,
        fix: impl Into<String>,
    ) {
        let check = Check { stage: self.stage, name: name.into(), state, seen: seen.into(), fix: fix.into() };
        (self.tell)(&check);
        self.report.0.push(check);
    }
}

impl Report {
    /// How many checks ended so.
    pub fn count(&self, state: State) -> usize {
        self.0.iter().filter(|check| check.state == state).count()
    }

    /// Whether nothing failed.
    pub fn passed(&self) -> bool {
        self.count(State::Failed) == 0
    }

    /// What programs are told: `{"ok", "checks": [{"stage", "name", "state", "seen", "fix"}]}`.
    pub fn to_json(&self) -> Value {
        let check = |check: &Check| {
            json!({
                "stage": check.stage.as_str(),
                "name": check.name,
                "state": check.state.as_str(),
                "seen": check.seen,
                "fix": if check.fix.is_empty() { Value::Null } else { check.fix.as_str().into() },
            })
        };
        json!({ "ok": self.passed(), "checks": self.0.iter().map(check).collect::<Vec<_>>() })
    }
}

impl State {
    /// How people and programs are told.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

impl Stage {
    /// How people and programs are told.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Store => "store",
            Self::Provider => "provider",
            Self::Cookies => "cookies",
            Self::Headers => "headers",
            Self::Path => "path",
        }
    }
}

/// How long all of it may take.
const LONGEST: Duration = Duration::from_secs(55);
