//! `foregate import`: the configuration of another product as a foregate.toml. No restriction is dropped: what foregate
//! has no words for is closed and told. Decides about no request.

mod asked;
mod authelia;
mod authentik;
mod compose;
mod decide;
mod hosts;
mod ingress_nginx;
mod oauth2_proxy;
mod options;
mod path;
mod plan;
mod regex;
mod tinyauth;
mod traefik_forward_auth;
mod traefik_rule;
mod tree;
mod words;
mod write;

use thiserror::Error;

use crate::config::{Config, Environment};
use plan::{Fate, Plan};

/// The products whose configurations can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Product {
    /// Its cfg file, its alpha configuration (YAML), variables, flags
    #[value(name = "oauth2-proxy")]
    Oauth2Proxy,
    /// A blueprint (YAML), or what the API says of providers, applications and bindings (JSON)
    Authentik,
    /// configuration.yml
    Authelia,
    /// Variables, flags
    Tinyauth,
    /// thomseddon's: its ini file, variables, flags
    TraefikForwardAuth,
    /// docker-compose.yml with one of these in it, and Traefik's labels
    Compose,
    /// Ingress objects (YAML)
    IngressNginx,
}

impl Product {
    /// As it is typed and told.
    pub fn name(self) -> &'static str {
        match self {
            Self::Oauth2Proxy => "oauth2-proxy",
            Self::Authentik => "authentik",
            Self::Authelia => "authelia",
            Self::Tinyauth => "tinyauth",
            Self::TraefikForwardAuth => "traefik-forward-auth",
            Self::Compose => "compose",
            Self::IngressNginx => "ingress-nginx",
        }
    }
}

/// What is to be read.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// Files by name, with their text.
    pub files: Vec<(String, String)>,
    /// Variables of the product, as lines `NAME=VALUE`, by the name of their file.
    pub variables: Vec<(String, String)>,
    /// Flags of the product.
    pub flags: Vec<String>,
}

/// What the operator says beside it.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// In place of what the source says or does not say.
    pub public_url: Option<String>,
    /// The same.
    pub issuer: Option<String>,
    /// The same.
    pub client_id: Option<String>,
    /// Where foregate finds the client secret.
    pub client_secret_file: Option<String>,
    /// Hosts that are protected, beside those of the source.
    pub hosts: Vec<String>,
    /// Who may use what the source only says of that it is protected.
    pub allow: Option<String>,
    /// Print secrets that stand in the source.
    pub with_secrets: bool,
}

/// A configuration for foregate.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The text of foregate.toml.
    pub text: String,
    /// What its reader should know, a line each.
    pub notes: Vec<String>,
    /// How many restrictions are not in it as they were, but closed instead.
    pub closed: usize,
    /// What foregate does not take of it.
    pub findings: Option<String>,
}

/// Why there is nothing to print.
#[derive(Debug, Error)]
pub enum ImportError {
    /// It is not what it was said to be.
    #[error("{name} cannot be read: {problem}")]
    Unreadable {
        /// Which file.
        name: String,
        /// What is wrong with it, without an excerpt.
        problem: String,
    },
    /// There is nothing of the product in it.
    #[error("there is nothing to import: {0}")]
    Nothing(&'static str),
    /// What was said beside it cannot be used.
    #[error("{0}")]
    Wish(String),
}

/// Reads a product's configuration.
///
/// # Errors
/// [`ImportError`] if it cannot be read at all.
pub fn import(product: Product, given: &Given, wish: &Wish) -> Result<Imported, ImportError> {
    let mut plan = match product {
        Product::Oauth2Proxy => oauth2_proxy::read(given, wish)?,
        Product::Authentik => authentik::read(given, wish)?,
        Product::Authelia => authelia::read(given, wish)?,
        Product::Tinyauth => tinyauth::read(given, wish)?,
        Product::TraefikForwardAuth => traefik_forward_auth::read(given, wish)?,
        Product::Compose => compose::read(given, wish)?,
        Product::IngressNginx => ingress_nginx::read(given, wish)?,
    };
    words::settle(&mut plan, wish)?;
    let settled = write::settle(&mut plan);
    let files: Vec<&str> =
        given.files.iter().chain(&given.variables).map(|(name, _)| name.as_str()).collect();
    let source = if files.is_empty() { "flags".to_owned() } else { files.join(", ") };
    let text = write::text(&plan, &settled, &write::About { product: product.name(), source: &source, wish });
    let trial = write::trial(&plan, &settled);
    let findings = Config::from_text(Some(("foregate.toml", &trial)), &Environment::default()).err();
    Ok(Imported {
        text,
        notes: notes(&plan),
        closed: plan.notes.iter().filter(|note| matches!(note.fate, Fate::Closed(_))).count(),
        findings: findings.map(|findings| findings.to_string()),
    })
}

/// What is not told by the settings themselves, restrictions first.
fn notes(plan: &Plan) -> Vec<String> {
    let closed = plan.notes.iter().filter_map(|note| match &note.fate {
        Fate::Closed(what) => Some(format!("closed: {}: {what}", note.key)),
        Fate::Carried(_) | Fate::Needless(_) | Fate::Lost(_) => None,
    });
    let lost = plan.notes.iter().filter_map(|note| match &note.fate {
        Fate::Lost(why) => Some(format!("not carried over: {}: {why}", note.key)),
        Fate::Carried(_) | Fate::Needless(_) | Fate::Closed(_) => None,
    });
    closed.chain(lost).collect()
}
