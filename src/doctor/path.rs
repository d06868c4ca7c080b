//! The way from outside: whether what the configuration protects is protected where browsers reach it, and what of a
//! request arrives at foregate. Signs nobody in.

mod answers;
mod seen;

use http::Method;
use url::{Origin, Url};

use super::Sheet;
use crate::browser::{NONCE_BYTES, Sealer};
use crate::config::Config;
use crate::http::question::Question;
use crate::http::unix_now;
use crate::outside::{self, Answer, PROBE, PROGRAM, SignIns, Way, Wire};
use crate::policy::Verdict;
use answers::{Asker, judge};

/// Looks at every address.
pub(super) async fn examine(
    config: &Config,
    (urls, sign_in): (&[Url], &[Origin]),
    sealer: Option<&Sealer>,
    sheet: &mut Sheet<'_>,
) {
    if urls.is_empty() {
        return;
    }
    let way = &Way::of_browsers(AGENT);
    own_pages(config, way, sheet).await;
    let sign_ins = &config.sign_ins(sign_in);
    for url in urls {
        let word = sealer.and_then(word);
        let walk = Walk { config, url, way, sign_ins, word, sealer, refused: false };
        walk.go(sheet).await;
    }
}

fn word(sealer: &Sealer) -> Option<String> {
    let mut nonce = [0; NONCE_BYTES];
    aws_lc_rs::rand::fill(&mut nonce).ok()?;
    Some(outside::seal(sealer, unix_now(), nonce))
}

/// Whether foregate's own pages are where browsers are sent.
async fn own_pages(config: &Config, way: &Way, sheet: &mut Sheet<'_>) {
    let Ok(url) = config.public_url.join("/.foregate/session") else { return };
    let asked = match Wire::open(&url, way).await {
        Ok(wire) => wire.ask(&[PROGRAM]).await,
        Err(error) => Err(error),
    };
    let fix = format!(
        "send all of {} to foregate, past every check",
        config.public_url.host_str().unwrap_or_default()
    );
    match asked {
        Ok(answer) if answer.body.contains("sign_in_url") => {
            sheet.ok("own pages", format!("{url} is foregate's"))
        }
        Ok(answer) => {
            sheet.fail("own pages", format!("{url} answers {}, and is not foregate's", answer.status), fix)
        }
        Err(error) => sheet.fail("own pages", format!("{url}: {error}"), fix),
    }
}

/// One address, and what is known of it.
struct Walk<'w> {
    config: &'w Config,
    url: &'w Url,
    way: &'w Way,
    sign_ins: &'w SignIns,
    /// For whoever answers: tell what you see.
    word: Option<String>,
    /// What opens that.
    sealer: Option<&'w Sealer>,
    /// Whether the rules refuse everybody there.
    refused: bool,
}

impl Walk<'_> {
    async fn go(&self, sheet: &mut Sheet<'_>) {
        let Some(wire) = self.reach(sheet).await else {
            let why = "the address cannot be reached";
            for name in ["sign-in", "programs", "forged headers", "WebSocket"] {
                sheet.skip(self.named(name), why);
            }
            return;
        };
        let policy = self.config.policy();
        let url = self.url.to_string();
        let question = Question { url, method: Method::GET, persona: None, from: None };
        let expected = question.answer(&policy, &self.config.vouching(), unix_now());
        if expected.verdict == Verdict::Allow {
            let seen = format!("public by `{}`, so that nothing is asked of anybody", expected.rule);
            return sheet.ok(self.named("sign-in"), seen);
        }
        let walk = Self { refused: expected.verdict == Verdict::Forbid, word: self.word.clone(), ..*self };
        walk.ask_all(&wire, sheet).await;
    }

    async fn ask_all(&self, wire: &Wire, sheet: &mut Sheet<'_>) {
        let person = self.ask(wire, &PERSON, &[]).await;
        self.write("sign-in", judge(self, &person, Asker::Person), sheet);
        let program = self.ask(wire, &[PROGRAM], &[]).await;
        self.write("programs", judge(self, &program, Asker::Program), sheet);
        if program.as_ref().is_ok_and(|answer| answer.status.is_success()) {
            for name in ["received", "forged headers", "WebSocket"] {
                sheet.skip(self.named(name), "the address is not protected");
            }
            return;
        }
        seen::compare(self, &program, sheet);
        let forged = self.ask(wire, &[PROGRAM], &FORGED).await;
        seen::compare_forged(self, (&program, &forged), sheet);
        let socket = self.ask(wire, &[PROGRAM], &SOCKET).await;
        self.write("WebSocket", judge(self, &socket, Asker::Socket), sheet);
    }

    async fn reach(&self, sheet: &mut Sheet<'_>) -> Option<Wire> {
        let wire = match Wire::open(self.url, self.way).await {
            Ok(wire) => wire,
            Err(error) => {
                sheet.fail(self.named("DNS"), error, "let the name lead to the front proxy");
                return None;
            }
        };
        sheet.ok(self.named("DNS"), wire.addresses());
        match wire.days(unix_now()).await {
            Ok(None) => sheet.ok(self.named("connection"), "plain http"),
            Ok(Some(days)) if days < FEW_DAYS => {
                let seen = format!("the certificate is good for {days} more days");
                sheet.warn(self.named("TLS"), seen, "see why it is not renewed");
            }
            Ok(Some(days)) => {
                sheet.ok(
                    self.named("TLS"),
                    format!("the certificate is good for this name, and for {days} more days"),
                );
            }
            Err(error) if self.url.scheme() == "https" => {
                let fix = "show a certificate for this name with its whole chain, by an authority that this machine trusts";
                sheet.fail(self.named("TLS"), error, fix);
                return None;
            }
            Err(error) => {
                sheet.fail(
                    self.named("connection"),
                    error,
                    "let the front proxy listen there, and firewalls pass",
                );
                return None;
            }
        }
        Some(wire)
    }

    /// Asks with all of these lines, and the word.
    async fn ask(
        &self,
        wire: &Wire,
        lines: &[(&'static str, &str)],
        more: &[(&'static str, &str)],
    ) -> Result<Answer, String> {
        let probe = PROBE;
        let word = self.word.as_deref().map(|word| (probe.as_str(), word));
        let lines: Vec<(&str, &str)> = lines.iter().chain(more).copied().chain(word).collect();
        wire.ask(&lines).await
    }

    fn named(&self, name: &str) -> String {
        format!("{}: {name}", self.url)
    }

    fn write(&self, name: &str, judged: Result<String, (String, String)>, sheet: &mut Sheet<'_>) {
        match judged {
            Ok(seen) => sheet.ok(self.named(name), seen),
            Err((seen, fix)) => sheet.fail(self.named(name), seen, fix),
        }
    }
}

/// As a browser asks for a page.
const PERSON: [(&str, &str); 5] = [
    ("accept", "text/html,application/xhtml+xml,*/*;q=0.8"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-dest", "document"),
    ("sec-fetch-site", "none"),
    ("sec-fetch-user", "?1"),
];
/// What a client must not be able to say: who it is, and what it asks for.
const FORGED: [(&str, &str); 13] = [
    ("remote-user", seen::NOBODY),
    ("remote-groups", "admins"),
    ("x-authentik-username", seen::NOBODY),
    ("x-forwarded-user", seen::NOBODY),
    ("x-auth-request-user", seen::NOBODY),
    ("x-forwarded-host", seen::HOST),
    ("x-forwarded-proto", "gopher"),
    ("x-forwarded-uri", seen::PATH),
    ("x-forwarded-method", "OPTIONS"),
    ("x-forwarded-for", seen::CLIENT),
    ("x-original-url", "http://foregate-check.invalid/foregate-check"),
    ("x-original-method", "OPTIONS"),
    ("forwarded", "for=192.0.2.99;host=foregate-check.invalid;proto=http"),
];
/// As a browser opens a WebSocket.
const SOCKET: [(&str, &str); 4] = [
    ("connection", "Upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "Zm9yZWdhdGUtY2hlY2stMQ=="),
];
/// Who asks.
const AGENT: &str = concat!("foregate-check/", env!("CARGO_PKG_VERSION"));
/// From here on a certificate should have been renewed.
const FEW_DAYS: u64 = 14;
