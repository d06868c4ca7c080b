//! The rules as one policy, and what it would say of a visit that is only thought of. Knows no sessions.

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, Method};

use super::persona::Persona;
use super::{Config, Rule};
use crate::headers::HeaderSet;
use crate::http::OWN_PATHS;
use crate::http::dialect::read_url;
use crate::policy::{App, Explanation, Fallback, HostPattern, Limits, PathPattern, Policy, Requirement};
use crate::visit::{AskedTenant, Authorization, Client, Credential, Malformed, Nearest, Target, Visit};

/// A visit that is only thought of.
#[derive(Clone, Debug)]
pub struct Question {
    /// The whole address, as a browser would send it.
    pub url: String,
    /// Its method.
    pub method: Method,
    /// Who asks; nobody in particular without.
    pub persona: Option<Persona>,
    /// Where from, if that is known.
    pub from: Option<IpAddr>,
}

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

    /// What `policy` says of a visit at `now`, in Unix seconds, and why; sessions and stores aside.
    pub fn explain(&self, policy: &Policy, question: &Question, now: u64) -> Explanation {
        match self.target(question) {
            Ok(target) => {
                let path = target.path.canonical().unwrap_or("/");
                let issuers = policy.app_at(&target.host, path).and_then(|app| app.issuers.clone());
                let persona = question.persona.as_ref();
                let person = persona.map(|persona| persona.person(self, issuers.as_deref(), now));
                let nothing = HeaderMap::new();
                let client = question.from.map(|from| Client::new(Nearest::Visitor(from), &nothing, &[]));
                let visit = Visit {
                    target,
                    credential: Credential::None,
                    authorization: Authorization::default(),
                    tenant: persona
                        .and_then(Persona::tenant)
                        .map_or(AskedTenant::Nothing, AskedTenant::Named),
                    client,
                };
                policy.explain(&visit, person, now)
            }
            Err(malformed) => Explanation::malformed(&malformed.to_string()),
        }
    }

    fn target<'q>(&self, question: &'q Question) -> Result<Target<'q>, Malformed> {
        read_url(question.url.as_bytes(), question.method.clone())
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
        tenants: None,
    }
}
