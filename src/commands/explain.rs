//! `foregate explain`: which rule decides about a request, and why. Decides nothing itself.

use std::net::IpAddr;

use http::Method;

use super::FromFile;
use crate::http::question::Question;
use crate::http::unix_now;
use crate::policy::Persona;

/// A request that is only thought of.
#[derive(Debug, clap::Args)]
pub(super) struct Explain {
    /// The address, as a browser would send it
    url: String,
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
    let persona =
        Persona::parse(&args.who).map_err(|(problem, fix)| anyhow::anyhow!("--as: {problem}; {fix}"))?;
    let method = args.method.to_ascii_uppercase();
    let method =
        Method::from_bytes(method.as_bytes()).map_err(|_| anyhow::anyhow!("`{method}` is not a method"))?;
    let from = args.from.map(|address| address.to_canonical());
    let question = Question { url: args.url.clone(), method, persona, from };
    let explanation = question.answer(&config.policy(), &config.vouching(), unix_now());
    let missing = match explanation.missing.as_slice() {
        [] => String::new(),
        missing => format!("missing: {}\n", missing.join(", or ")),
    };
    Ok(format!("{} {} as {}\n{explanation}{missing}", question.method, args.url, args.who))
}
