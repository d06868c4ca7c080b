//! Sending people back to the provider to prove more, and telling programs what is missing (RFC 9470). Knows no rules.

use http::header::HeaderValue;
use http::request::Parts;
use http::{Response, StatusCode};
use serde_json::json;

use super::elsewhere::Here;
use super::query::Query;
use crate::browser::ReturnTo;
use crate::http::audit;
use crate::http::body::Body;
use crate::http::denial::{forbidden, page_of, unsigned};
use crate::http::pages::{CSS, Page, Trouble};
use crate::http::refs::Mark;
use crate::http::{Site, answer};
use crate::identity::Proof;
use crate::journal::Record;
use crate::metrics::Outcome;
use crate::policy::Refusal;
use crate::visit::{Intent, Visit};

/// The proof that an address of a sign-in asks for. Whoever asks for more than a rule does gets a sign-in, and no more
/// by it.
pub(super) fn wanted(query: &Query) -> Option<Proof> {
    let words = |name: &str| {
        let text = query.one(name).ok().flatten().unwrap_or_default();
        let words = if text.len() > LONGEST { "" } else { text.as_str() };
        words.split_ascii_whitespace().map(str::to_owned).collect()
    };
    let max_age = query.one(MAX_AGE).ok().flatten().and_then(|text| text.parse().ok());
    let proof = Proof { max_age, acr: words(ACR_VALUES), amr: words(AMR) };
    (!proof.is_empty()).then_some(proof)
}

/// The answer to somebody who has not proved enough: back to the provider, at most once for each proof; a page where
/// that was no use; 401 for a program. With `bare` a redirect is a 401 with its `Location`.
pub(in crate::http) fn answer(
    site: &Site,
    (parts, visit): (&Parts, &Visit<'_>),
    (wanted, was_refused): (&Proof, bool),
    (intent, bare): (Intent, bool),
) -> (Outcome, Response<Body>) {
    if intent == Intent::Call {
        return (Outcome::SignIn, problem(site, parts, visit, wanted));
    }
    let Some(to) = site.with_origins(|origins| ReturnTo::of_target(&visit.target, origins)) else {
        return (Outcome::Forbidden, forbidden(site, visit, &Refusal::UnknownHost, Intent::Navigation));
    };
    if was_refused {
        return (Outcome::Forbidden, refused(site, visit, wanted, &to));
    }
    let said = in_address(wanted);
    let said = pairs(&said);
    if let Some(here) = Here::of(site, parts, visit, bare) {
        return here.ask_as(&to, 1, &said);
    }
    let status = if bare { StatusCode::UNAUTHORIZED } else { StatusCode::FOUND };
    let url = site.own_url(SIGN_IN, Some(&to), &said);
    (Outcome::SignIn, answer::redirect(status, url.as_str()))
}

/// What an address of a sign-in says for [`wanted`] to read.
pub(in crate::http) fn in_address(wanted: &Proof) -> Vec<(&'static str, String)> {
    let words = |name, words: &[String]| (!words.is_empty()).then(|| (name, words.join(" ")));
    let age = wanted.max_age.map(|seconds| (MAX_AGE, seconds.to_string()));
    age.into_iter().chain(words(ACR_VALUES, &wanted.acr)).chain(words(AMR, &wanted.amr)).collect()
}

/// The same as addresses take it.
pub(in crate::http) fn pairs<'s>(said: &'s [(&'static str, String)]) -> Vec<(&'static str, &'s str)> {
    said.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

/// 401 with what is needed (RFC 9470 3), and the address that a person can be sent to.
fn problem(site: &Site, parts: &Parts, visit: &Visit<'_>, wanted: &Proof) -> Response<Body> {
    let said = in_address(wanted);
    let url = site.own_url(SIGN_IN, page_of(site, parts, visit).as_ref(), &pairs(&said));
    let (reference, missing) = (site.references.issue(), in_words(wanted));
    let mut more = json!({ "missing": missing, "ref": reference });
    if let Some(more) = more.as_object_mut() {
        more.extend(said.iter().map(|(name, value)| ((*name).to_owned(), json!(value))));
    }
    let asked = said.iter().filter(|(name, _)| *name != AMR);
    let asked: String = asked.map(|(name, value)| format!(", {name}=\"{value}\"")).collect();
    let challenge = format!("{INSUFFICIENT}{asked}");
    // The configuration has only what a quoted text can hold.
    let challenge = HeaderValue::from_str(&challenge).unwrap_or(HeaderValue::from_static(INSUFFICIENT));
    let title = "A stronger or newer sign-in is required";
    let response = unsigned(&url, ("insufficient-user-authentication", title), more, challenge);
    Mark::new(&reference, NOT_PROVEN).missing(&missing).on(response)
}

/// The page for somebody who came back from the provider as they went.
fn refused(site: &Site, visit: &Visit<'_>, wanted: &Proof, to: &ReturnTo) -> Response<Body> {
    let (reference, missing) = (site.references.issue(), in_words(wanted));
    let wish = missing.join(", ");
    tracing::warn!(
        ref = reference,
        host = to.host(),
        wanted = wish,
        "the provider was asked for a stronger or newer sign-in and did not confirm one"
    );
    site.note(|| Record {
        missing: in_words(wanted),
        ..audit::denied(site, visit, "sign-in-not-enough", &reference)
    });
    let said = in_address(wanted);
    let again = [pairs(&said).as_slice(), &[("account", "retry")]].concat();
    let again = site.own_url(SIGN_IN, Some(to), &again);
    let happened =
        format!("This page needs {wish}. You signed in, but the sign-in service did not confirm that.");
    let page = Trouble {
        css: CSS,
        title: "Your sign-in does not prove enough for this page",
        happened: &happened,
        advice: "Try again. If it happens again, show this page to whoever runs this site.",
        causes: CAUSES,
        again: again.as_str(),
        label: "Sign in again",
        reference: &reference,
    };
    let response = answer::page(StatusCode::FORBIDDEN, Page::new(&page, ""));
    Mark::new(&reference, NOT_CONFIRMED).missing(&missing).on(response)
}

/// What is wanted, for a page and for programs.
fn in_words(wanted: &Proof) -> Vec<String> {
    let age = wanted.max_age.map(|seconds| match seconds {
        seconds if seconds % 60 == 0 && seconds > 60 => {
            format!("a sign-in within the last {} minutes", seconds / 60)
        }
        seconds => format!("a sign-in within the last {seconds} seconds"),
    });
    let one_of = |what: &str, words: &[String]| {
        (!words.is_empty()).then(|| format!("a sign-in {what} {}", words.join(" or ")))
    };
    age.into_iter().chain(one_of("of the kind", &wanted.acr)).chain(one_of("by", &wanted.amr)).collect()
}

/// RFC 9470 3.
const INSUFFICIENT: &str = "Bearer realm=\"foregate\", error=\"insufficient_user_authentication\"";
const SIGN_IN: &str = "/.foregate/sign-in";
const NOT_PROVEN: &str = "the sign-in does not prove what the rule wants";
const NOT_CONFIRMED: &str = "the provider was asked for a stronger or newer sign-in and did not confirm one";
const MAX_AGE: &str = "max_age";
const ACR_VALUES: &str = "acr_values";
const AMR: &str = "amr";
/// Bytes of the longest list of words in an address: it travels through the provider.
const LONGEST: usize = 512;
const CAUSES: &[(&str, &str)] = &[
    (
        "The provider does not know such sign-ins",
        "Compare acr and amr of the rule with what its ID tokens say; some say the same of everybody.",
    ),
    (
        "The provider does not ask again",
        "It must obey max_age and prompt=login, and send auth_time in its ID tokens.",
    ),
    ("Clocks differ", "Compare the clocks of foregate and the provider."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_read_from_an_address_as_it_was_written() {
        for (query, age, acr, amr) in [
            ("max_age=600", Some(600), "", ""),
            ("max_age=0&acr_values=mfa+hw&amr=otp", Some(0), "mfa hw", "otp"),
            ("acr_values=mfa&acr_values=x&amr=otp", None, "", "otp"),
        ] {
            let proof = wanted(&Query::from_bytes(query.as_bytes())).unwrap();
            assert_eq!(
                (proof.max_age, proof.acr.join(" "), proof.amr.join(" ")),
                (age, acr.into(), amr.into())
            );
            let written: Vec<String> = in_address(&proof)
                .iter()
                .map(|(name, value)| format!("{name}={}", value.replace(' ', "+")))
                .collect();
            assert_eq!(wanted(&Query::from_bytes(written.join("&").as_bytes())), Some(proof));
        }
        for query in ["", "max_age=", "max_age=-1", "max_age=1&max_age=2", "acr_values=+", "rd=/"] {
            assert_eq!(wanted(&Query::from_bytes(query.as_bytes())), None, "{query}");
        }
    }
}
