//! A visit that is only thought of, for the command and the API that explain decisions. Decides nothing itself.

use std::net::IpAddr;

use http::{HeaderMap, Method};

use super::dialect::read_url;
use crate::policy::{Explanation, Persona, Policy, Vouching};
use crate::visit::{AskedTenant, Authorization, Client, Credential, Nearest, Visit};

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

impl Question {
    /// What `policy` says of it at `now`, in Unix seconds, and why; sessions and stores aside.
    pub fn answer(&self, policy: &Policy, vouching: &Vouching, now: u64) -> Explanation {
        let target = match read_url(self.url.as_bytes(), self.method.clone()) {
            Ok(target) => target,
            Err(malformed) => return Explanation::malformed(&malformed.to_string()),
        };
        let path = target.path.canonical().unwrap_or("/");
        let issuers = policy.app_at(&target.host, path).and_then(|app| app.issuers.clone());
        let persona = self.persona.as_ref();
        let person = persona.map(|persona| persona.person(vouching, issuers.as_deref(), now));
        let nothing = HeaderMap::new();
        let visit = Visit {
            target,
            credential: Credential::None,
            authorization: Authorization::default(),
            tenant: persona.and_then(Persona::tenant).map_or(AskedTenant::Nothing, AskedTenant::Named),
            client: self.from.map(|from| Client::new(Nearest::Visitor(from), &nothing, &[])),
        };
        policy.explain(&visit, person, now)
    }
}
