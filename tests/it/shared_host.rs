//! An app on the host of foregate's own pages, behind the five real front proxies: those pages are foregate's in one spelling, and
//! every other one falls to the app's rules.

use crate::support::backend::Backend;
use crate::support::foregate::{Foregate, free_port};
use crate::support::http::{Reply, raw, request};
use crate::support::proxies::{FrontProxy, PROXIES};

const HOST: &str = "app.foregate.localhost";
/// foregate's own addresses, each with a way to write it that servers read alike.
const SPELLINGS: [&str; 9] = [
    "/%2eforegate/account",
    "/%2Eforegate/account?id=7",
    "/.foregate%2faccount",
    "/.foregat%65/account",
    "/.foregate/%61ccount",
    "/%2eforegate/sign-in?action=dump",
    "/.foregate/sign%2Din",
    "/%2eforegate/session",
    "/%2eforegate/jwks.json",
];

/// A front proxy by its snippet before an app that shares foregate's host.
struct Street {
    port: u16,
    backend: Backend,
    _foregate: Foregate,
    _proxy: FrontProxy,
}

impl Street {
    fn behind(name: &'static str) -> Self {
        let (port, backend) = (free_port(), Backend::start());
        let foregate = Foregate::start(&format!(
            "public_url = \"http://{HOST}:{port}\"\n[server]\nlisten = \"LISTEN\"\nadmin_listen = \"ADMIN\"\n\
             [session]\nstore = \"sqlite:DIR/f.db\"\n\
             [provider]\nissuer = \"http://127.0.0.1:9/\"\nclient_id = \"f\"\nclient_auth = \"none\"\n\
             [apps.\"{HOST}\"]\nallow = \"signed-in\"\nrules = [{{ path = \"/open/**\", allow = \"public\" }}]\n"
        ));
        let proxy = FrontProxy::by_snippet(name, port, HOST, (&foregate, &backend), str::to_owned);
        proxy.wait_for(&format!("http://{HOST}:{port}/open/ready"), |reply| reply.status == 200);
        Self { port, backend, _foregate: foregate, _proxy: proxy }
    }

    fn ask(&self, method: &str, page: &str) -> Reply {
        let host = format!("Host: {HOST}:{}", self.port);
        let lines = [host.as_str(), "Connection: close", "Accept: application/json"];
        raw(([127, 0, 0, 1], self.port).into(), request(method, page, &lines, "").as_bytes())
    }
}

#[test]
fn no_spelling_of_foregates_own_pages_is_a_way_into_the_app() {
    for name in PROXIES {
        let street = Street::behind(name);
        let before = street.backend.seen().len();
        for page in SPELLINGS {
            for method in ["GET", "POST", "DELETE"] {
                // Some make one spelling of it and get foregate's page, which is as good.
                street.ask(method, page);
            }
        }
        assert_eq!(street.backend.seen_after(before), Vec::<String>::new(), "{name}: the app was asked");
        let keys = street.ask("GET", "/.foregate/jwks.json");
        assert!(keys.status == 200 && keys.body.contains("\"keys\""), "{name}: {keys:?}");
        assert_eq!(street.ask("GET", "/page").status, 401, "{name}");
    }
}
