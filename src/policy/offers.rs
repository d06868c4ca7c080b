//! Which apps somebody could be let in to, before they ask for a page of them. Knows no requests.

use std::borrow::Cow;

use http::Method;

use super::{App, Policy};
use crate::headers::Person;
use crate::visit::{
    AskedTenant, Authorization, Credential, Destination, Overrides, Path, Scheme, Target, Visit,
};

impl Policy {
    /// Whether an app has this name.
    pub fn has_app(&self, name: &str) -> bool {
        let mut apps = self.exact.values().chain(self.wildcard.values()).flat_map(|site| &site.apps);
        apps.any(|app| app.name == name)
    }

    /// The apps, as they are named, where a rule that does not let in everybody lets in this person. What rules want of
    /// paths and networks is not met here.
    pub fn apps_for(&self, person: &Person) -> Vec<&str> {
        let apps = self.exact.values().chain(self.wildcard.values()).flat_map(|site| &site.apps);
        let mut names: Vec<&str> =
            apps.filter(|app| app.is_for(person)).map(|app| app.name.as_str()).collect();
        names.sort_unstable();
        names
    }
}

impl App {
    fn is_for(&self, person: &Person) -> bool {
        let Ok(path) = Path::parse(b"/") else { return false };
        let (host, method) = (Cow::Borrowed(""), Method::GET);
        let target = Target {
            scheme: Scheme::Https,
            host,
            path,
            query: None,
            method,
            overrides: Overrides::Nowhere,
            destination: Destination::Nowhere,
        };
        let (credential, authorization) = (Credential::None, Authorization::default());
        let (tenant, client) = (AskedTenant::Nothing, None);
        let visit = Visit { target, credential, authorization, tenant, client };
        let identity = person.identity();
        self.takes_people_of(identity.issuer())
            && self.rules.iter().chain([&self.last]).any(|rule| rule.is_for(identity, &visit))
    }
}
