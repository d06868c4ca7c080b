//! Where somebody can sign in for a page, and the page that lets them choose. Knows no rules.

use http::{Response, StatusCode};

use super::body::Body;
use super::pages::{CSS, Choose, Page};
use super::portal::errand::Errand;
use super::{Site, answer, kept_form};
use crate::browser::ReturnTo;
use crate::identity::Field;
use crate::login::{Account, Named};
use crate::policy::App;
use crate::session::Session;
use crate::visit::Path;

/// What a page asks of whoever wants to see it, before any rule is looked at.
pub(super) struct Wanted<'s> {
    app: Option<&'s App>,
    /// The providers whose people count: those that its app names, else all.
    pub(super) providers: Vec<&'s Named>,
}

impl<'s> Wanted<'s> {
    pub(super) fn on(site: &'s Site, to: &ReturnTo) -> Self {
        let path = Path::parse(kept_form::page_of(to.path()).as_bytes()).ok();
        // A path without canonical form gets nowhere if paths matter on its host; else any other stands for it.
        let path = path.as_ref().and_then(Path::canonical).unwrap_or("/");
        let app = site.gate.policy.app_at(to.host(), path);
        let open = |named: &&Named| app.is_none_or(|app| app.takes_people_of(named.issuer()));
        Self { app, providers: site.login.providers().iter().filter(open).collect() }
    }

    /// The one that is called so.
    pub(super) fn named(&self, name: Option<&str>) -> Option<&'s Named> {
        self.providers.iter().copied().find(|named| Some(named.name()) == name)
    }

    /// Whether a session is of one of these providers.
    pub(super) fn knows(&self, session: &Session) -> bool {
        self.providers.iter().any(|named| named.issuer() == session.person.identity().issuer())
    }

    /// Whether a session counts now, so that another sign-in would be no use.
    pub(super) fn takes(&self, session: &Session, now: u64) -> bool {
        let good = |app: &App| app.limits.admit(session.created_at, session.last_seen(), now);
        self.knows(session) && self.app.is_none_or(good)
    }
}

/// Where a page navigation that needs a choice is sent.
pub(super) fn address(site: &Site, to: &ReturnTo) -> String {
    site.own_url("/.foregate/sign-in", Some(to), &[]).to_string()
}

/// The page with one way in for each provider; tells whoever is signed in elsewhere why that is not enough.
pub(super) fn page(
    site: &Site,
    (errand, account): (&Errand, Account),
    wanted: &Wanted<'_>,
    session: Option<&Session>,
) -> Response<Body> {
    let (to, carried) = (&errand.to, errand.carried(site));
    let link = |named: &&'_ Named| choice(site, &carried, account, named.name());
    let choices: Vec<(String, &str)> =
        wanted.providers.iter().map(|named| (link(named), named.title())).collect();
    let elsewhere = session.filter(|session| !wanted.knows(session));
    let identity = elsewhere.map(|session| session.person.identity());
    let page = Choose {
        css: CSS,
        host: if to.host() == site.public_url.host_str().unwrap_or_default() { "" } else { to.host() },
        username: identity.map_or("", |identity| identity.field(Field::Username)),
        choices: &choices,
    };
    answer::page(StatusCode::OK, Page::new(&page, ""))
}

fn choice(site: &Site, to: &ReturnTo, account: Account, name: &str) -> String {
    let account = match account {
        Account::Any => None,
        Account::Another => Some(("account", "other")),
        Account::Retry => Some(("account", "retry")),
    };
    let more: Vec<_> = std::iter::once(("provider", name)).chain(account).collect();
    site.own_url("/.foregate/sign-in", Some(to), &more).to_string()
}
