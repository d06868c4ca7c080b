//! Which of somebody's tenants a visit is about. What a client names counts only if they belong to it. Grants nothing.

use std::sync::Arc;

use super::Refusal;
use crate::headers::Person;
use crate::identity::Tenants;
use crate::visit::{UnclearTenant, Visit};

/// Somebody in the tenant that the visit names, else in the first of theirs that is `wanted`, else in the first of all; as they are
/// where they belong to none, or are in one already.
///
/// # Errors
/// The [`Refusal`] of a visit that names a tenant of others, or does not name one tenant.
pub(super) fn settle(
    tenants: &Arc<Tenants>,
    person: Option<Arc<Person>>,
    visit: &Visit<'_>,
    wanted: impl Fn(&str) -> bool,
) -> Result<Option<Arc<Person>>, Refusal> {
    let named = visit.tenant.named(&tenants.header).map_err(|UnclearTenant| Refusal::AmbiguousTenant)?;
    let Some(person) = person else { return Ok(None) };
    if person.identity().tenant().is_some() {
        return Ok(Some(person));
    }
    let places = person.places(tenants);
    if let Some(named) = named {
        return places.find(&person, |tenant| tenant == named).map(Some).ok_or_else(|| Refusal::NotAllowed {
            missing: vec![format!("membership in the tenant that {} names", spelled(tenants))],
            person: Some(person),
            by_token: false,
        });
    }
    let inside = places.find(&person, wanted).or_else(|| places.find(&person, |_| true));
    Ok(Some(inside.unwrap_or(person)))
}

/// The header as people write it.
fn spelled(tenants: &Tenants) -> String {
    let word = |word: &str| match word {
        "id" => "ID".to_owned(),
        word => word.chars().take(1).flat_map(char::to_uppercase).chain(word.chars().skip(1)).collect(),
    };
    tenants.header.as_str().split('-').map(word).collect::<Vec<String>>().join("-")
}
