//! Where the parts of the demo are, and the configuration that says so. Knows no servers.

use anyhow::Context as _;
use url::Url;

use super::backend::Link;

/// The ports on 127.0.0.1 in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// foregate, for browsers.
    pub public: u16,
    /// foregate, for the operator.
    pub admin: u16,
    /// The OpenID Provider.
    pub provider: u16,
    /// The app.
    pub backend: u16,
}

impl Ports {
    /// The root of a name that foregate answers for.
    pub(super) fn url(&self, name: &str) -> String {
        format!("http://{name}.{DOMAIN}:{}/", self.public)
    }

    /// Where browsers sign out.
    pub(super) fn sign_out_url(&self) -> String {
        self.url(AUTH) + ".foregate/sign-out"
    }

    /// Where people see and end their sessions.
    pub(super) fn account_url(&self) -> String {
        self.url(AUTH) + ".foregate/account"
    }

    /// Who the provider says it is.
    pub(super) fn issuer(&self) -> anyhow::Result<Url> {
        parsed(&format!("http://id.{DOMAIN}:{}/", self.provider))
    }

    /// One of foregate's own addresses.
    pub(super) fn own_url(&self, path: &str) -> anyhow::Result<Url> {
        parsed(&(self.url(AUTH) + path))
    }

    /// Where forms of the provider may lead in the end: to foregate, and from there to an app.
    pub(super) fn form_targets(&self) -> String {
        format!("'self' http://*.{DOMAIN}:{}", self.public)
    }

    /// The `foregate.toml` of the demo. The provider is called by its address, as not every system finds the names
    /// under `localhost`; browsers do. It says nothing of sessions, as a file cannot have them kept in memory.
    ///
    /// # Errors
    /// If no address can be made of the names and ports.
    pub(super) fn config(&self, client_secret: &str) -> anyhow::Result<String> {
        let issuer = self.issuer()?;
        let Self { public, admin, provider, backend } = self;
        Ok(format!(
            r#"public_url = "http://{AUTH}.{DOMAIN}:{public}"

[server]
listen = "127.0.0.1:{public}"
admin_listen = "127.0.0.1:{admin}"
trusted_proxies = []
drain = "1s"
limits = {{ connections = 500 }}

[provider]
issuer = "{issuer}"
internal_url = "http://127.0.0.1:{provider}"
client_id = "{CLIENT}"
client_secret = "{client_secret}"

[apps."{APP}.{DOMAIN}"]
upstream = "http://127.0.0.1:{backend}"
allow = "signed-in"
rules = [{{ path = "/health", allow = "public" }}]

[apps."{FAMILY}.{DOMAIN}"]
upstream = "http://127.0.0.1:{backend}"
allow = "group:family"

[apps."{ADMIN}.{DOMAIN}"]
upstream = "http://127.0.0.1:{backend}"
headers = "authentik"
allow = "group:admins"
"#
        ))
    }

    /// What the app's page leads to.
    pub(super) fn links(&self) -> Vec<Link> {
        let link = |address: String, label: &str, note: &str| Link {
            address,
            label: label.into(),
            note: note.into(),
        };
        let app = self.url(APP);
        vec![
            link(app.clone(), "The app", "For whoever is signed in."),
            link(self.url(FAMILY), "The family app", "For the group family: alice and bob."),
            link(
                self.url(ADMIN),
                "The admin app",
                "For the group admins: alice. It gets its headers under the names authentik uses.",
            ),
            link(
                app.clone() + "api/whoami",
                "The app's API",
                "The headers as JSON. Without a sign-in, programs get a 401.",
            ),
            link(app + "health", "The app's health check", "Open to all by a rule of its own."),
        ]
    }
}

fn parsed(text: &str) -> anyhow::Result<Url> {
    text.parse().with_context(|| format!("reading the address {text}"))
}

/// The name of the app for whoever is signed in.
pub(super) const APP: &str = "app";
/// The name of the app for the group family.
pub(super) const FAMILY: &str = "family";
/// The name of the app for the group admins.
pub(super) const ADMIN: &str = "admin";
/// The client's name at the provider.
pub(super) const CLIENT: &str = "foregate-demo";
/// foregate's own name.
const AUTH: &str = "auth";
/// What all names end in; sessions are kept for it.
const DOMAIN: &str = "foregate.localhost";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_toml_and_names_the_parts() {
        let ports = Ports { public: 1, admin: 2, provider: 3, backend: 4 };
        let text = ports.config("secret").unwrap();
        let config: toml::Table = text.parse().unwrap();
        assert_eq!(config["public_url"].as_str(), Some("http://auth.foregate.localhost:1"));
        assert_eq!(config["provider"]["issuer"].as_str(), Some("http://id.foregate.localhost:3/"));
        assert_eq!(config["provider"]["client_secret"].as_str(), Some("secret"));
        for (app, allow) in [("app", "signed-in"), ("family", "group:family"), ("admin", "group:admins")] {
            let app = &config["apps"][&format!("{app}.foregate.localhost")];
            assert_eq!(
                (app["allow"].as_str(), app["upstream"].as_str()),
                (Some(allow), Some("http://127.0.0.1:4"))
            );
        }
        assert!(!config.contains_key("session"), "who starts foregate keeps its sessions in memory");
    }

    #[test]
    fn addresses_are_as_foregate_builds_them() {
        let ports = Ports { public: 4180, admin: 0, provider: 4182, backend: 0 };
        assert_eq!(
            ports.own_url(".foregate/callback").unwrap().as_str(),
            "http://auth.foregate.localhost:4180/.foregate/callback"
        );
        assert_eq!(ports.sign_out_url(), "http://auth.foregate.localhost:4180/.foregate/sign-out");
        assert_eq!(ports.form_targets(), "'self' http://*.foregate.localhost:4180");
        assert!(ports.links().iter().all(|link| link.address.starts_with("http://")));
    }
}
