//! The configuration: everything that is wrong with it, and what is allowed but should be known.

use std::path::Path;

use super::Sheet;
use crate::config::{self, Config, Finding};

/// Reads the configuration, if it can be used.
pub(super) fn examine(file: Option<&Path>, sheet: &mut Sheet<'_>) -> Option<Config> {
    let loaded = match config::load(file) {
        Ok(loaded) => loaded,
        Err(findings) => {
            for Finding { place, problem, fix, .. } in findings.iter() {
                sheet.fail(place.as_str(), problem.as_str(), fix.as_str());
            }
            return None;
        }
    };
    let config = loaded.config;
    let (apps, providers) = (config.apps.len(), config.providers.len());
    sheet.ok("settings", format!("usable; apps: {apps}, providers: {providers}"));
    match loaded.tests {
        0 => sheet.ok("[[tests]]", "none are written"),
        count => sheet.ok("[[tests]]", format!("{count} passed")),
    }
    what_should_be_known(&config, sheet);
    Some(config)
}

fn what_should_be_known(config: &Config, sheet: &mut Sheet<'_>) {
    let rules = config.apps.iter().flat_map(|app| app.rules.iter().chain([&app.last]));
    for rule in rules.filter(|rule| rule.meanwhile().is_some()) {
        let seen = format!("`{}` only reports, and keeps nobody out", rule.name);
        sheet.warn("report mode", seen, "take `meanwhile` away once the log tells of nobody");
    }
    for app in config.apps_trusting_anybody() {
        let seen = format!("the certificate of the upstream of {app} is not verified");
        sheet.warn("upstream", seen, "name the authority that signed it in place of switching this off");
    }
    if config.trusts_everybody() {
        let seen = "server.trusted_proxies holds every address there is: whoever reaches this listener may forge who asks and from where";
        sheet.warn("front proxies", seen, "name the addresses of the front proxies alone");
    }
    for app in config.apps_at_home() {
        let seen = format!(
            "{app} is on the host of public_url: its pages can make app tokens for other apps, as whoever opens them"
        );
        sheet.warn(
            "account page",
            seen,
            "give the app a host of its own, or set tokens.self_service = false",
        );
    }
    what_the_canary_asks(config, sheet);
    let proxied = config.apps.iter().any(|app| app.route.is_some());
    let trusts = !config.server.trusted_proxies.is_empty() || config.server.trusted_sockets;
    if !trusts && !proxied {
        let fix = "name the front proxy's address in server.trusted_proxies";
        sheet.fail(
            "front proxies",
            "nobody is trusted, so that every check of a front proxy is refused",
            fix,
        );
    }
}

/// Whether foregate asks its own apps from outside, and which of them it cannot.
fn what_the_canary_asks(config: &Config, sheet: &mut Sheet<'_>) {
    let Some(canary) = &config.canary else { return };
    let choice = config.canary_choice();
    let seen = format!("{} pages are asked for every {:?}", choice.places.len(), canary.interval);
    sheet.ok("canary", seen);
    for (app, why) in &choice.left {
        let seen = format!("{app} is not asked: {}", why.in_words());
        sheet.warn("canary", seen, "see to that, or name the app in canary.except");
    }
}

/// Where the session's cookie goes. That a domain is no public suffix is seen to when the configuration is read.
pub(super) fn cookies(config: &Config, sheet: &mut Sheet<'_>) {
    let domain = config.session_domain();
    let seen = match &config.cookies.domain {
        Some(_) => format!("{domain} and all hosts below it share one session; it is no public suffix"),
        None => format!("{domain} alone has the session's cookie"),
    };
    sheet.ok("cookie domain", seen);
    for app in config.apps_elsewhere() {
        sheet.ok("cookie domain", format!("{app} lies outside: its hosts get a cookie of their own"));
    }
    if !config.cookies.secure {
        let fix = "reach public_url and all apps by https, other than for trying out on one machine";
        sheet.warn("https", "public_url is http, so that cookies cross the network in the clear", fix);
    }
}
