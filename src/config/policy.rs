//! The rules as one policy. Knows no sessions.

use std::sync::Arc;

use http::Method;
use url::Origin;

use super::{Config, Rule};
use crate::headers::HeaderSet;
use crate::http::OWN_PATHS;
use crate::outside::SignIns;
use crate::policy::{App, Fallback, HostPattern, Limits, PathPattern, Policy, Requirement, Vouching};

impl Config {
    /// All rules: of the apps, of foregate's own pages, and of hosts that no line names.
    pub fn policy(&self) -> Policy {
        let host = self.public_url.host_str().unwrap_or_default();
        let fallback = self.fallback.can_be_met().then(|| {
            let host = HostPattern::Wildcard(String::new());
            let app = plain_app("allow", host, self.fallback.clone(), &self.default_headers);
            let within = self.session_domain().to_owned();
            let (issuers, tenants) = (self.issuers.clone(), self.tenants.clone());
            let app = App { issuers, tenants, assertion: self.assertion, ..app };
            Fallback { app, within }
        });
        let own = own_app(host, &self.default_headers);
        Policy::new(self.apps.clone(), own, fallback)
            .with_roles(Arc::clone(&self.roles))
            .with_tenants(self.tenants.clone())
    }

    /// Where people sign in, at foregate and at providers of these origins.
    pub fn sign_ins(&self, providers: &[Origin]) -> SignIns {
        SignIns {
            own: self.public_url.origin(),
            paths: std::iter::once(OWN).chain(self.compat.paths().iter().copied()).collect(),
            providers: providers.to_vec(),
        }
    }

    /// Who vouches for people who are only thought of.
    pub fn vouching(&self) -> Vouching {
        let providers =
            self.providers.iter().map(|one| (one.name.to_string(), one.settings.issuer_text.clone()));
        let further = self.bearer.iter().flat_map(|bearer| &bearer.issuers);
        let further = further.map(|one| (one.name.clone(), one.issuer.clone()));
        Vouching { issuers: providers.chain(further).collect(), claims: self.wanted_claims() }
    }
}

/// foregate's own pages, which a front proxy may ask about before it sends anybody to them.
fn own_app(host: &str, headers: &Arc<HeaderSet>) -> App {
    let mut app = plain_app("foregate", HostPattern::Exact(host.to_owned()), Requirement::Nobody, headers);
    let patterns = OWN_PATHS.iter().filter_map(|path| PathPattern::parse(path).ok());
    let public =
        |path| Rule::new("foregate's own page".to_owned(), Some(path), Vec::new(), Requirement::Public);
    app.rules = patterns.map(public).collect();
    app
}

fn plain_app(name: &str, host: HostPattern, allow: Requirement, headers: &Arc<HeaderSet>) -> App {
    let last = Rule::new(name.to_owned(), None, Vec::<Method>::new(), allow);
    App {
        name: name.to_owned(),
        host,
        prefix: None,
        port: None,
        rules: Vec::new(),
        last,
        headers: Arc::clone(headers),
        route: None,
        assertion: false,
        limits: Limits::default(),
        issuers: None,
        emergency: false,
        tenants: None,
    }
}

/// How the paths of foregate's own pages begin.
const OWN: &str = "/.foregate/";
