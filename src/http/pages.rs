//! The pages people see, and the policy that keeps anything else off them. Knows no decisions.

use askama::Template;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::HeaderValue;

/// A page that is ready to be sent.
#[derive(Debug)]
pub struct Page {
    /// The document.
    pub html: String,
    /// Its `Content-Security-Policy`: one style, forms only to where they must lead, and no script but the one that a
    /// page may have of ours.
    pub policy: HeaderValue,
}

impl Page {
    /// Renders a template whose forms, if it has any, lead to `form_targets`: origins, redirects included, as
    /// browsers check each step.
    pub fn new(template: &impl Template, form_targets: &str) -> Self {
        Self::scripted(template, form_targets, "")
    }

    /// The same for a template with one script, which may be empty.
    pub(super) fn scripted(template: &impl Template, form_targets: &str, script: &str) -> Self {
        let html = template.render().unwrap_or_else(|_| "This page cannot be shown.".to_owned());
        let hash = |text: &str| STANDARD.encode(digest(&SHA256, text.as_bytes()));
        let style = hash(CSS);
        let script =
            if script.is_empty() { String::new() } else { format!("script-src 'sha256-{}'; ", hash(script)) };
        let targets = if form_targets.is_empty() { "'none'" } else { form_targets };
        let policy = format!(
            "default-src 'none'; {script}style-src 'sha256-{style}'; img-src data:; form-action {targets}; \
             base-uri 'none'; frame-ancestors 'none'"
        );
        Self {
            html,
            policy: HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'")),
        }
    }
}

/// Signed in, but not let in.
#[derive(Debug, Template)]
#[template(path = "http/pages/forbidden.html")]
pub(super) struct Forbidden<'a> {
    pub(super) css: &'static str,
    pub(super) name: &'a str,
    pub(super) username: &'a str,
    pub(super) email: &'a str,
    pub(super) host: &'a str,
    pub(super) missing: &'a [String],
    pub(super) other_account: &'a str,
    pub(super) account: &'a str,
    pub(super) sign_out: &'a str,
    pub(super) reference: &'a str,
}

/// A choice of providers.
#[derive(Debug, Template)]
#[template(path = "http/pages/choose.html")]
pub(super) struct Choose<'a> {
    pub(super) css: &'static str,
    pub(super) host: &'a str,
    pub(super) username: &'a str,
    pub(super) choices: &'a [(String, &'a str)],
}

/// A host that no line of the configuration names.
#[derive(Debug, Template)]
#[template(path = "http/pages/unknown_host.html")]
pub(super) struct UnknownHost<'a> {
    pub(super) css: &'static str,
    pub(super) host: &'a str,
    pub(super) config: &'a str,
    pub(super) note: &'a str,
    pub(super) reference: &'a str,
}

/// The choices of a sign-out.
#[derive(Debug, Template)]
#[template(path = "http/pages/sign_out.html")]
pub(super) struct SignOut<'a> {
    pub(super) css: &'static str,
    pub(super) name: &'a str,
    pub(super) username: &'a str,
    pub(super) email: &'a str,
    pub(super) action: &'a str,
    pub(super) csrf: &'a str,
    pub(super) rd: &'a str,
    pub(super) provider: &'a str,
    pub(super) stay: &'a str,
}

/// Nothing to do but to know that all is well.
#[derive(Debug, Template)]
#[template(path = "http/pages/signed_in.html")]
pub(super) struct SignedIn<'a> {
    pub(super) css: &'static str,
    pub(super) name: &'a str,
    pub(super) username: &'a str,
    pub(super) email: &'a str,
    pub(super) account: &'a str,
    pub(super) sign_out: &'a str,
}

/// Who a person is here, and where they are signed in.
#[derive(Debug, Template)]
#[template(path = "http/pages/account.html")]
pub(super) struct Account<'a> {
    pub(super) css: &'static str,
    pub(super) name: &'a str,
    pub(super) username: &'a str,
    pub(super) email: &'a str,
    pub(super) groups: &'a [&'a str],
    pub(super) sessions: &'a [SignedInAt<'a>],
    /// How many are shown at most, if there are more; else 0.
    pub(super) shown: u32,
    pub(super) tokens: &'a [OwnToken],
    /// For which apps there can be more.
    pub(super) apps: &'a [&'a str],
    /// How long those can last, in seconds and in words.
    pub(super) choices: &'a [(u64, String)],
    /// The code of a device, as far as it is known.
    pub(super) code: &'a str,
    /// What is wrong with it, else empty.
    pub(super) note: &'a str,
    pub(super) action: &'a str,
    pub(super) csrf: &'a str,
    pub(super) sign_out: &'a str,
}

/// One place where a person is signed in. Times are in words, for programs, and exact.
#[derive(Debug)]
pub(super) struct SignedInAt<'a> {
    pub(super) id: String,
    pub(super) here: bool,
    pub(super) device: String,
    /// What an unknown browser calls itself, else empty.
    pub(super) user_agent: &'a str,
    pub(super) client: &'a str,
    pub(super) since: [String; 3],
    pub(super) seen: [String; 3],
}

/// An app token of a person. Times are in words, for programs, and exact.
#[derive(Debug)]
pub(super) struct OwnToken {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) app: String,
    /// From where it counts; empty for everywhere.
    pub(super) networks: String,
    pub(super) used: Option<[String; 3]>,
    pub(super) ends: Option<[String; 3]>,
    pub(super) is_over: bool,
}

/// A new app token.
#[derive(Debug, Template)]
#[template(path = "http/pages/token_made.html")]
pub(super) struct TokenMade<'a> {
    pub(super) css: &'static str,
    pub(super) token: &'a str,
    pub(super) app: &'a str,
    pub(super) ends: &'a str,
    pub(super) username: &'a str,
    pub(super) account: &'a str,
}

/// A device that wants to be paired.
#[derive(Debug, Template)]
#[template(path = "http/pages/pairing.html")]
pub(super) struct Pairing<'a> {
    pub(super) css: &'static str,
    pub(super) username: &'a str,
    pub(super) device: &'a str,
    pub(super) app: &'a str,
    pub(super) client: &'a str,
    /// When it asked: in words, for programs, and exact.
    pub(super) asked: [String; 3],
    pub(super) code: &'a str,
    /// How long the token lasts, in words.
    pub(super) lasts: &'a str,
    pub(super) action: &'a str,
    pub(super) csrf: &'a str,
    pub(super) account: &'a str,
}

/// A device that somebody decided on.
#[derive(Debug, Template)]
#[template(path = "http/pages/pairing_done.html")]
pub(super) struct PairingDone<'a> {
    pub(super) css: &'static str,
    pub(super) approved: bool,
    pub(super) device: &'a str,
    pub(super) app: &'a str,
    pub(super) account: &'a str,
}

/// After a sign-out.
#[derive(Debug, Template)]
#[template(path = "http/pages/signed_out.html")]
pub(super) struct SignedOut<'a> {
    pub(super) css: &'static str,
    pub(super) again: &'a str,
    pub(super) detail: &'a str,
}

/// A way to sign in, where a redirect would be lost.
#[derive(Debug, Template)]
#[template(path = "http/pages/sign_in.html")]
pub(super) struct SignIn<'a> {
    pub(super) css: &'static str,
    pub(super) onward: &'a str,
}

/// Something did not work.
#[derive(Debug, Template)]
#[template(path = "http/pages/error.html")]
pub(super) struct Trouble<'a> {
    pub(super) css: &'static str,
    pub(super) title: &'a str,
    pub(super) happened: &'a str,
    pub(super) advice: &'a str,
    pub(super) causes: &'a [(&'a str, &'a str)],
    pub(super) again: &'a str,
    pub(super) label: &'a str,
    pub(super) reference: &'a str,
}

/// A form was sent without a session, or cannot be sent on yet.
#[derive(Debug, Template)]
#[template(path = "http/pages/form_kept.html")]
pub(super) struct FormKept<'a> {
    pub(super) css: &'static str,
    pub(super) script: &'static str,
    pub(super) title: &'a str,
    pub(super) happened: &'a str,
    pub(super) host: &'a str,
    pub(super) name: &'a str,
    pub(super) username: &'a str,
    pub(super) email: &'a str,
    pub(super) sign_in: &'a str,
    pub(super) label: &'a str,
    pub(super) action: &'a str,
    pub(super) kept: &'a str,
    pub(super) reference: &'a str,
}

/// Back from the sign-in: takes a form out of the browser, if this tab has one.
#[derive(Debug, Template)]
#[template(path = "http/pages/form_wanted.html")]
pub(super) struct FormWanted<'a> {
    pub(super) css: &'static str,
    pub(super) script: &'static str,
    pub(super) host: &'a str,
    pub(super) action: &'a str,
    pub(super) start: &'a str,
}

/// A form that can be sent on.
#[derive(Debug, Template)]
#[template(path = "http/pages/form_resumed.html")]
pub(super) struct FormResumed<'a> {
    pub(super) css: &'static str,
    pub(super) script: &'static str,
    pub(super) shown_before: bool,
    pub(super) host: &'a str,
    pub(super) name: &'a str,
    pub(super) username: &'a str,
    pub(super) email: &'a str,
    pub(super) action: &'a str,
    pub(super) fields: &'a [(String, String)],
    pub(super) start: &'a str,
}

/// The form for the operator's token.
#[derive(Debug, Template)]
#[template(path = "http/pages/operator_sign_in.html")]
pub(super) struct OperatorSignIn<'a> {
    pub(super) css: &'static str,
    /// What was wrong with it, else empty.
    pub(super) wrong: &'a str,
    pub(super) action: &'a str,
}

/// Some lines for the operator.
#[derive(Debug, Template)]
#[template(path = "http/pages/operator_told.html")]
pub(super) struct OperatorTold<'a> {
    pub(super) css: &'static str,
    pub(super) who: &'a str,
    pub(super) leaves: bool,
    pub(super) csrf: &'a str,
    pub(super) lines: &'a [String],
}

/// What is down, and what is decided.
#[derive(Debug, Template)]
#[template(path = "http/pages/operator_status.html")]
pub(super) struct OperatorStatus<'a> {
    pub(super) css: &'static str,
    pub(super) who: &'a str,
    pub(super) leaves: bool,
    pub(super) csrf: &'a str,
    /// How many parts are not well.
    pub(super) down: usize,
    pub(super) parts: &'a [ShownPart],
    /// Whether the page loads itself anew.
    pub(super) live: bool,
    pub(super) decisions: &'a [ShownDecision],
    pub(super) references: &'a [ShownReference],
}

/// A part of the house, and how it is.
#[derive(Debug)]
pub(super) struct ShownPart {
    pub(super) name: String,
    pub(super) is_well: bool,
    pub(super) trouble: String,
}

/// A decision. Times are in words, for programs, and exact.
#[derive(Debug)]
pub(super) struct ShownDecision {
    pub(super) outcome: String,
    pub(super) is_yes: bool,
    pub(super) request: String,
    pub(super) rule: String,
    pub(super) user: String,
    pub(super) client: String,
    pub(super) at: [String; 3],
}

/// A reference, with what it is about in short.
#[derive(Debug)]
pub(super) struct ShownReference {
    pub(super) reference: String,
    pub(super) status: u16,
    pub(super) request: String,
    pub(super) why: String,
    pub(super) user: String,
    pub(super) at: [String; 3],
}

/// Who is signed in.
#[derive(Debug, Template)]
#[template(path = "http/pages/operator_sessions.html")]
pub(super) struct OperatorSessions<'a> {
    pub(super) css: &'static str,
    pub(super) who: &'a str,
    pub(super) leaves: bool,
    pub(super) csrf: &'a str,
    /// The name that was looked for, else empty.
    pub(super) user: &'a str,
    /// What was done, in a sentence, else empty.
    pub(super) done: &'a str,
    pub(super) sessions: &'a [OperatorSession<'a>],
    /// Where there are more, else empty.
    pub(super) next: &'a str,
}

/// A session of anybody's. Times are in words, for programs, and exact.
#[derive(Debug)]
pub(super) struct OperatorSession<'a> {
    pub(super) id: String,
    pub(super) username: &'a str,
    pub(super) device: String,
    pub(super) client: &'a str,
    pub(super) since: [String; 3],
    pub(super) seen: [String; 3],
}

/// Everybody who was ever seen.
#[derive(Debug, Template)]
#[template(path = "http/pages/operator_people.html")]
pub(super) struct OperatorPeople<'a> {
    pub(super) css: &'static str,
    pub(super) who: &'a str,
    pub(super) leaves: bool,
    pub(super) csrf: &'a str,
    /// The name that was looked for, else empty.
    pub(super) user: &'a str,
    /// What was done, in a sentence, else empty.
    pub(super) done: &'a str,
    pub(super) people: &'a [OperatorPerson<'a>],
    /// Where there are more, else empty.
    pub(super) next: &'a str,
}

/// Somebody who was ever seen.
#[derive(Debug)]
pub(super) struct OperatorPerson<'a> {
    pub(super) issuer: &'a str,
    pub(super) subject: &'a str,
    pub(super) username: &'a str,
    pub(super) name: &'a str,
    pub(super) email: &'a str,
    pub(super) sessions: u64,
    pub(super) seen: [String; 3],
    pub(super) is_disabled: bool,
}

/// Puts a kept form where the way back from the sign-in finds it, and goes there.
pub(super) const KEEP: &str = include_str!("pages/form_kept.js");
/// Takes it out again.
pub(super) const PICK_UP: &str = include_str!("pages/form_wanted.js");
/// Sends it.
pub(super) const SEND: &str = include_str!("pages/form_resumed.js");
/// The one style of all pages.
pub const CSS: &str = include_str!("pages/style.css");
