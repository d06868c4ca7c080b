//! Somebody in each of their tenants, as a person of its own: other roles, other headers. Knows no rules.

use std::sync::{Arc, OnceLock};

use super::Person;
use crate::identity::{Membership, Tenants};

/// The tenants of somebody, and who they are in each of them.
#[derive(Debug)]
pub struct Places {
    of: Arc<Tenants>,
    list: Box<[Place]>,
}

/// Somebody in one of their tenants, made when it is first asked for.
#[derive(Debug)]
struct Place {
    membership: Arc<Membership>,
    person: OnceLock<Arc<Person>>,
}

impl Places {
    fn new(tenants: &Arc<Tenants>, person: &Person) -> Self {
        let place = |membership| Place { membership: Arc::new(membership), person: OnceLock::new() };
        let list = tenants.of(&person.identity).into_iter().map(place).collect();
        Self { of: Arc::clone(tenants), list }
    }

    /// The tenants, the one first that counts where nobody names another.
    pub fn tenants(&self) -> impl Iterator<Item = &str> {
        self.list.iter().map(|place| &*place.membership.tenant)
    }

    /// `person` in the first of the tenants that is `wanted`.
    pub fn find(&self, person: &Person, wanted: impl Fn(&str) -> bool) -> Option<Arc<Person>> {
        let place = self.list.iter().find(|place| wanted(&place.membership.tenant))?;
        let inside = || {
            let identity = person.identity.clone().within(Arc::clone(&place.membership));
            Arc::new(Person::new(identity))
        };
        Some(Arc::clone(place.person.get_or_init(inside)))
    }
}

impl Person {
    /// Their tenants by these settings, found out once unless these change.
    pub fn places(&self, tenants: &Arc<Tenants>) -> Arc<Places> {
        let places = self.places.get_or_init(|| Arc::new(Places::new(tenants, self)));
        if Arc::ptr_eq(&places.of, tenants) || places.of == *tenants {
            Arc::clone(places)
        } else {
            Arc::new(Places::new(tenants, self))
        }
    }
}
