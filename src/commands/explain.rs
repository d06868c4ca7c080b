//! `foregate explain`: which rule decides about a request, and why; what a reference is about. Decides nothing itself.

use std::net::IpAddr;

use http::Method;
use serde_json::Value;

use super::FromFile;
use super::admin::{self, Told};
use crate::config::Config;
use crate::http::question::Question;
use crate::http::unix_now;
use crate::policy::Persona;
use crate::wording::printable;

/// A request that is only thought of.
#[derive(Debug, clap::Args)]
pub(super) struct Explain {
    /// The address, as a browser would send it
    #[arg(required_unless_present = "reference")]
    url: Option<String>,
    /// Ask the foregate that runs on this machine what it knows of a reference, as its pages and its log show them
    #[arg(long = "ref", value_name = "REFERENCE", value_parser = read_reference, conflicts_with_all = ["url", "method", "who", "from"])]
    reference: Option<String>,
    /// Its method
    #[arg(long, default_value = "GET")]
    method: String,
    /// Who asks: nobody, or such as user=alice,groups=a;b
    #[arg(long = "as", default_value = "nobody", value_name = "WHO")]
    who: String,
    /// Where from, for rules that look at networks
    #[arg(long, value_name = "ADDRESS")]
    from: Option<IpAddr>,
    #[command(flatten)]
    pub(super) file: FromFile,
}

/// What is decided, and why.
pub(super) fn explain(args: &Explain) -> anyhow::Result<String> {
    let config = super::load(&args.file)?.config;
    let url = match (&args.url, &args.reference) {
        (Some(url), _) => url,
        (None, Some(reference)) => return about(&config, reference),
        (None, None) => anyhow::bail!("name an address, or a reference with --ref"),
    };
    let persona =
        Persona::parse(&args.who).map_err(|(problem, fix)| anyhow::anyhow!("--as: {problem}; {fix}"))?;
    let method = args.method.to_ascii_uppercase();
    let method =
        Method::from_bytes(method.as_bytes()).map_err(|_| anyhow::anyhow!("`{method}` is not a method"))?;
    let from = args.from.map(|address| address.to_canonical());
    let question = Question { url: url.clone(), method, persona, from };
    let explanation = question.answer(&config.policy(), &config.vouching(), unix_now());
    let missing = match explanation.missing.as_slice() {
        [] => String::new(),
        missing => format!("missing: {}\n", missing.join(", or ")),
    };
    Ok(format!("{} {} as {}\n{explanation}{missing}", question.method, url, args.who))
}

/// What the foregate that runs here knows of a reference.
fn about(config: &Config, reference: &str) -> anyhow::Result<String> {
    let Told { status, body } = admin::ask(config, &format!("/api/v1/refs/{reference}"))?;
    let told: Value = serde_json::from_str(&body).unwrap_or_default();
    let detail = told["detail"].as_str().unwrap_or("the admin listener answered with something else");
    anyhow::ensure!(status == 200, "{}", printable(detail));
    let lines = told["told"].as_array().into_iter().flatten().filter_map(Value::as_str);
    Ok(lines.map(|line| printable(line) + "\n").collect())
}

/// A reference, which people also read aloud and type.
fn read_reference(text: &str) -> Result<String, String> {
    let text = text.trim().to_ascii_lowercase();
    let fits = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if fits { Ok(text) } else { Err("a reference is eight letters and digits".to_owned()) }
}
