//! Claims made into a profile: pure. Knows the usual shapes of claims, not where they came from.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::error::ProfileError;
use super::settings::{ClaimNames, Settings};
use crate::identity::{Profile, claim_at, exact, names_in};

type Claims = Map<String, Value>;

/// A profile, and what had to be left out of it.
#[derive(Clone, Debug)]
pub struct Mapped {
    /// The person.
    pub profile: Profile,
    /// What is missing from it, for the log.
    pub warnings: Vec<Warning>,
}

/// Something that was left out of a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// There are more groups than 1,000, or than fit into 64 KiB.
    GroupsCut {
        /// How many are kept: the first ones.
        kept: usize,
        /// How many there were.
        of: usize,
    },
    /// Some groups are no texts, or the groups as a whole have no shape we know.
    GroupsUnreadable {
        /// How many.
        count: usize,
    },
    /// A claim is not kept, as all together are more than 64 KiB, or as there is a NUL in it.
    ClaimLeftOut {
        /// Its name.
        name: String,
    },
}

/// The claims of an ID token, with those of userinfo over them, but for those that only the token can know.
///
/// A claim that vouches for another one counts beside that very value alone: neither makes an address of the one
/// verified by what the other says of its own. `names` says which claim the address is.
pub(super) fn merge(id_token: Claims, userinfo: Claims, names: &ClaimNames) -> Claims {
    let (mut merged, mut userinfo) = (id_token, userinfo);
    part(&mut merged, &mut userinfo, (EMAIL_VERIFIED, &[EMAIL, &names.email]));
    part(&mut merged, &mut userinfo, (PHONE_VERIFIED, &[PHONE]));
    merged.extend(
        userinfo
            .into_iter()
            .filter(|(name, _)| !PROTOCOL.contains(&name.as_str()) && !PROOFS.contains(&name.as_str())),
    );
    merged
}

/// Whether all claims that people are judged by are those of userinfo, and none is left of an ID token of an earlier time: those
/// that `names` says, and those `wanted`. How somebody signed in is the sign-in's affair.
pub(super) fn tells_anew(
    id_token: &Claims,
    userinfo: &Claims,
    (names, wanted): (&ClaimNames, &[String]),
) -> bool {
    let merged = merge(id_token.clone(), userinfo.clone(), names);
    let is_left = |path: &str| {
        let of_the_token = PROTOCOL.contains(&path) || PROOFS.contains(&path);
        !of_the_token && claim_at(&merged, path).is_some() && claim_at(userinfo, path).is_none()
    };
    let usual = [&names.groups, &names.username, &names.email].map(String::as_str);
    !userinfo.is_empty() && !usual.into_iter().chain(wanted.iter().map(String::as_str)).any(is_left)
}

/// Takes a claim away that vouches for others, where its own source does not have the values that will count.
fn part(id_token: &mut Claims, userinfo: &mut Claims, (voucher, vouched): (&str, &[&str])) {
    let told = |path: &&str| claim_at(userinfo, path).is_some();
    let anew = |path: &&str| told(path) && claim_at(userinfo, path) != claim_at(id_token, path);
    let (tells, differs) = (vouched.iter().any(told), vouched.iter().any(anew));
    let agrees = userinfo.get(voucher).is_none_or(|said| id_token.get(voucher) == Some(said));
    if !tells && userinfo.remove(voucher).is_some() && !agrees {
        // It speaks of nothing that we know, and not well of what the token says.
        id_token.remove(voucher);
    }
    if differs {
        id_token.remove(voucher);
    }
}

/// Maps verified claims to a profile.
pub(super) fn map(claims: &Claims, settings: &Settings) -> Result<Mapped, ProfileError> {
    if settings.require_verified_email && !is_email_verified(claims, &settings.claims) {
        subject(claims)?;
        return Err(ProfileError::EmailNotVerified);
    }
    profile_of(claims, &settings.issuer_text, &settings.claims)
}

/// Maps verified claims of `issuer` to a profile, an e-mail address being taken as it is.
///
/// # Errors
/// See [`ProfileError`].
pub fn profile_of(claims: &Claims, issuer: &str, names: &ClaimNames) -> Result<Mapped, ProfileError> {
    let text = |path: &str| claim_at(claims, path).and_then(plain_text).unwrap_or_default();
    let subject = subject(claims)?;
    let username = Some(text(&names.username)).filter(|name| !name.is_empty());
    let mut profile = Profile {
        issuer: issuer.to_owned(),
        nameless: username.is_none(),
        username: username.unwrap_or_else(|| subject.to_owned()),
        subject: subject.to_owned(),
        name: text(&names.name),
        email: text(&names.email),
        auth_time: auth_time(claims),
        ..Profile::default()
    };
    if [&profile.subject, &profile.username].iter().any(|name| name.len() > NAME_LIMIT_BYTES) {
        return Err(ProfileError::TooLong);
    }
    let singles = [&profile.subject, &profile.username, &profile.name, &profile.email];
    let used: usize = singles.iter().map(|text| text.len()).sum();
    let left = TEXT_LIMIT_BYTES.checked_sub(used).ok_or(ProfileError::TooLong)?;
    let mut warnings = Vec::new();
    profile.groups = groups(claim_at(claims, &names.groups), left, &mut warnings);
    profile.claims = kept(claims, &mut warnings);
    Ok(Mapped { profile, warnings })
}

/// The provider's own session, if it names one.
///
/// # Errors
/// [`ProfileError::Session`] if it cannot be kept by that name: whoever went on without one could not be signed out by it.
pub fn session_of(claims: &Claims) -> Result<Option<String>, ProfileError> {
    let Some(name) = claims.get("sid").and_then(Value::as_str) else { return Ok(None) };
    if name.len() > NAME_LIMIT_BYTES || name.contains('\0') {
        return Err(ProfileError::Session);
    }
    Ok(Some(name.to_owned()))
}

fn subject(claims: &Claims) -> Result<&str, ProfileError> {
    let subject = claims.get("sub").and_then(Value::as_str).filter(|subject| !subject.is_empty());
    // PostgreSQL keeps no NUL, and a name that only one store keeps would be two people.
    subject.filter(|subject| !subject.contains('\0')).ok_or(ProfileError::NoSubject)
}

fn plain_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.replace('\0', "\u{fffd}")),
        Value::Number(number) => exact(number),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn groups(value: Option<&Value>, limit_bytes: usize, warnings: &mut Vec<Warning>) -> Vec<String> {
    let mut unreadable = 0;
    let found: Vec<String> = match value {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(items)) => {
            let texts: Vec<String> = items.iter().filter_map(plain_text).collect();
            unreadable = items.len() - texts.len();
            texts
        }
        Some(Value::String(list)) => {
            // Other blanks are a part of the name, as in an array: without them it would be another group.
            list.replace('\0', "\u{fffd}").split(',').map(|name| name.trim_ascii().to_owned()).collect()
        }
        Some(Value::Object(members)) => {
            names_in(members).map(|name| name.replace('\0', "\u{fffd}")).collect()
        }
        Some(Value::Bool(_) | Value::Number(_)) => {
            unreadable = 1;
            Vec::new()
        }
    };
    if unreadable > 0 {
        warnings.push(Warning::GroupsUnreadable { count: unreadable });
    }
    let mut seen = HashSet::new();
    let distinct: Vec<String> =
        found.into_iter().filter(|name| !name.is_empty() && seen.insert(name.clone())).collect();
    let mut used = 0;
    let fits = |name: &&String| {
        used += name.len();
        used <= limit_bytes
    };
    let kept: Vec<String> = distinct.iter().take(GROUP_LIMIT).take_while(fits).cloned().collect();
    if kept.len() < distinct.len() {
        warnings.push(Warning::GroupsCut { kept: kept.len(), of: distinct.len() });
    }
    kept
}

/// All claims but those of the protocol; the largest are left out until the rest fits.
fn kept(claims: &Claims, warnings: &mut Vec<Warning>) -> Claims {
    let mut kept: Claims = claims.clone();
    kept.retain(|name, value| {
        let is_whole = !name.contains('\0') && !value.to_string().contains("\\u0000");
        if !is_whole {
            warnings.push(Warning::ClaimLeftOut { name: name.replace('\0', "\u{fffd}") });
        }
        // Rules may name somebody by it.
        is_whole && (name == "sub" || !PROTOCOL.contains(&name.as_str()))
    });
    let mut sizes: Vec<(usize, String)> =
        kept.iter().map(|(name, value)| (name.len() + value.to_string().len(), name.clone())).collect();
    sizes.sort_unstable();
    let mut total: usize = sizes.iter().map(|(size, _)| size).sum();
    while total > TEXT_LIMIT_BYTES {
        let Some((size, name)) = sizes.pop() else { break };
        total -= size;
        kept.remove(&name);
        warnings.push(Warning::ClaimLeftOut { name });
    }
    kept
}

/// Some providers write the boolean as a text. It is about `email` (Core 5.1), whichever claim is taken for the address.
fn is_email_verified(claims: &Claims, names: &ClaimNames) -> bool {
    let address = |path: &str| claim_at(claims, path).and_then(plain_text);
    let is_meant = match (address(EMAIL), address(&names.email)) {
        (Some(vouched), Some(taken)) => vouched.eq_ignore_ascii_case(&taken),
        (Some(_) | None, None) | (None, Some(_)) => true,
    };
    is_meant && claims.get(EMAIL_VERIFIED).is_some_and(|verified| verified == true || verified == "true")
}

/// Whether the claim `email` holds something, which rules read even where the address is taken from elsewhere.
pub(super) fn has_address(claims: &Claims) -> bool {
    claims.get(EMAIL).is_some_and(|address| !address.is_null() && address != "")
}

/// When the person proved who they are; 0 if that is missing or absurd, and never after the token was issued.
fn auth_time(claims: &Claims) -> u64 {
    let seconds = |name: &str| {
        let seconds = claims.get(name).and_then(Value::as_f64)?;
        (0.0..YEAR_9999_SECONDS).contains(&seconds).then_some(seconds as u64)
    };
    let proved = seconds("auth_time").unwrap_or(0);
    seconds("iat").map_or(proved, |issued| proved.min(issued))
}

const EMAIL: &str = "email";
const EMAIL_VERIFIED: &str = "email_verified";
const PHONE: &str = "phone_number";
const PHONE_VERIFIED: &str = "phone_number_verified";
/// How somebody signed in. Userinfo cannot set them.
const PROOFS: [&str; 2] = ["acr", "amr"];
/// Claims about the token rather than the person, or that the profile holds elsewhere. Userinfo cannot set them.
const PROTOCOL: &[&str] = &[
    "iss",
    "sub",
    "aud",
    "azp",
    "exp",
    "nbf",
    "iat",
    "jti",
    "nonce",
    "at_hash",
    "c_hash",
    "s_hash",
    "sid",
    "session_state",
    "auth_time",
    "typ",
    "token_use",
    "events",
    "cnf",
];
/// People are found by these names, and an index of PostgreSQL takes no more than 2,704 bytes for a row.
const NAME_LIMIT_BYTES: usize = 1024;
const GROUP_LIMIT: usize = 1000;
const TEXT_LIMIT_BYTES: usize = 64 * 1024;
const YEAR_9999_SECONDS: f64 = 253_402_300_800.0;

#[cfg(test)]
mod tests;
