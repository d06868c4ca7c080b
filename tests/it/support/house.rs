//! A provider, a backend and a foregate before it, for tests that change them.

use serde_json::Value;
use url::Url;

use super::backend::Backend;
use super::foregate::{Foregate, free_port};
use super::http::Browser;
use super::provider::Provider;

/// A foregate that is the proxy itself, so that a browser meets nothing else.
pub struct House {
    pub provider: Provider,
    pub backend: Backend,
    pub foregate: Foregate,
    pub config: String,
    pub port: u16,
}

impl House {
    pub fn new() -> Self {
        Self::with("store = \"sqlite:DIR/foregate.db\"", Value::Null)
    }

    /// With this `[session]` table and these options of the provider.
    pub fn with(session: &str, provider: Value) -> Self {
        let port = free_port();
        let provider = Provider::for_foregate(&format!("http://auth.foregate.localhost:{port}"), provider);
        let backend = Backend::start();
        let config = config(port, session, &provider.config(), &backend);
        Self { foregate: Foregate::start_at(&config, port), provider, backend, config, port }
    }

    pub fn url(&self, host: &str, page: &str) -> String {
        format!("http://{host}.foregate.localhost:{}{page}", self.port)
    }

    /// The address of a page on a host of any domain.
    pub fn at(&self, host: &str, page: &str) -> String {
        format!("http://{host}:{}{page}", self.port)
    }

    pub fn sign_in(&self, user: &str) -> Browser {
        let mut browser = Browser::default();
        let reply = browser.sign_in(&self.url("app", "/"), user);
        assert!(
            reply.status == 200 && reply.body.contains(&format!("remote-user: {user}")),
            "{reply:?} {:?}",
            browser.visited
        );
        browser
    }

    /// The Cookie line of a browser that is signed in as `user`.
    pub fn cookie(&self, user: &str) -> String {
        let browser = self.sign_in(user);
        format!("Cookie: foregate={}", browser.cookie("foregate").expect("a session").value)
    }

    pub fn tokens_asked(&self) -> usize {
        self.provider.asked("/token/")
    }
}

pub fn config(port: u16, session: &str, provider: &str, backend: &Backend) -> String {
    let upstream = backend.url();
    format!(
        r#"
public_url = "http://auth.foregate.localhost:{port}"
[server]
listen = "LISTEN"
admin_listen = "ADMIN"
[session]
{session}
{provider}
[apps."app.foregate.localhost"]
upstream = "{upstream}"
allow = "signed-in"
rules = [{{ path = "/open/**", allow = "public" }}]
[apps."admins.foregate.localhost"]
upstream = "{upstream}"
allow = "group:Home Server Admins"
[apps."photos.family.localhost"]
upstream = "{upstream}"
allow = "signed-in"
[apps."club.friends.localhost"]
upstream = "{upstream}"
allow = "signed-in"
"#
    )
}

/// The callback that the provider would send this browser to, not yet opened.
pub fn callback_for(browser: &mut Browser, page: &str, user: &str) -> Url {
    let mut url = browser.step("GET", &Url::parse(page).expect("a URL"), "").location();
    for _ in 0..6 {
        let reply = if url.path().starts_with("/if/flow/login/") {
            browser.step("POST", &url, &format!("login={user}"))
        } else {
            browser.step("GET", &url, "")
        };
        url = url.join(reply.header("location").expect("a Location")).expect("a URL");
        if url.path() == "/.foregate/callback" {
            return url;
        }
    }
    panic!("no callback: {:?}", browser.visited);
}
