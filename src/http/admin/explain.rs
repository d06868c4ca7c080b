//! `/api/v1/explain`: what the command `foregate explain` says, as JSON. Decides nothing itself.

use http::Method;
use http::request::Parts;
use serde_json::{Value, json};

use super::super::question::Question;
use super::super::{Site, unix_now};
use super::input::{Input, Malformed};
use crate::policy::Persona;

/// What would be decided about the visit that the parameters describe, and why.
pub(super) fn explain(site: &Site, parts: &Parts) -> Result<Value, Malformed> {
    let question = read(&Input::of_query(parts, &KNOWN)?)?;
    let told = question.answer(&site.gate.policy, &site.vouching, unix_now());
    Ok(json!({
        "decision": told.verdict.as_str(),
        "rule": Some(&told.rule).filter(|rule| !rule.is_empty()),
        "missing": told.missing,
        "steps": told.steps().iter().map(|step| step.trim_end()).collect::<Vec<_>>(),
    }))
}

fn read(input: &Input) -> Result<Question, Malformed> {
    let wrong = |(problem, fix): (String, &str)| Malformed::Question(format!("{problem}; {fix}"));
    let url =
        input.optional("url").ok_or_else(|| Malformed::Question("url is missing or empty".to_owned()))?;
    let method = input.optional("method").unwrap_or("GET").to_ascii_uppercase();
    let method = Method::from_bytes(method.as_bytes())
        .map_err(|_| Malformed::Question(format!("`{method}` is not a method")))?;
    let from = input.optional("from").map(|text| {
        let address: Result<std::net::IpAddr, _> = text.parse();
        address.map_err(|_| Malformed::Question(format!("`{text}` is not an address")))
    });
    let from = from.transpose()?.map(|address| address.to_canonical());
    let parts: Vec<(&str, &str)> =
        OF_PEOPLE.iter().filter_map(|name| Some((*name, input.optional(name)?))).collect();
    let persona = match (input.optional("as"), parts.is_empty()) {
        (Some(_), false) => {
            return Err(Malformed::Question(
                "say who asks either in as or in parameters of its own".to_owned(),
            ));
        }
        (Some(text), true) => Persona::parse(text).map_err(wrong)?,
        (None, true) => None,
        (None, false) => Some(Persona::of(parts).map_err(wrong)?),
    };
    Ok(Question { url: url.to_owned(), method, persona, from })
}

/// What may be said of whoever asks, as in `--as` of the command.
const OF_PEOPLE: [&str; 10] =
    ["user", "name", "email", "uid", "groups", "provider", "tenant", "acr", "amr", "auth_age"];
const KNOWN: [&str; 14] = [
    "url", "method", "from", "as", "user", "name", "email", "uid", "groups", "provider", "tenant", "acr",
    "amr", "auth_age",
];
