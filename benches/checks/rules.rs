//! The rule engine alone: one host of ten rules against the same among ten thousand, and against a thousand of those in
//! turn. No sessions, no headers.

use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use anyhow::bail;
use foregate::config::{Config, Environment};
use foregate::headers::Person;
use foregate::http::dialect::read_url;
use foregate::identity::{Identity, Profile};
use foregate::policy::{Decision, Policy, Ruling};
use foregate::visit::{AskedTenant, Authorization, Credential, Visit};
use http::Method;

use crate::compare;

const MANY: usize = 10_000;
const TURNS: usize = 200_000;
/// The hosts asked for in turn, where they are spread: their rules are in no cache then.
const ASKED: usize = 1000;

pub(crate) fn run() -> anyhow::Result<()> {
    let (one, many) = (policy(1)?, policy(MANY)?);
    let profile = Profile {
        username: "alice".to_owned(),
        groups: (0..50).map(|number| format!("group-{number:03}")).collect(),
        ..Profile::default()
    };
    let issuer = "https://id.example.com/";
    let alice = Arc::new(Person::new(Identity::pack(&profile, issuer.into(), &[])));
    let urls = |hosts: usize| -> Vec<String> {
        let host = |number: usize| number.wrapping_mul(7919) % hosts;
        (0..ASKED).map(|number| format!("https://app{:05}.example.com/r9/x", host(number))).collect()
    };
    let (same, spread) = (urls(1), urls(MANY));
    let mut ratios = (Vec::new(), Vec::new());
    let mut fastest = [f64::MAX; 3];
    for _ in 0..15 {
        let times = [time(&one, &same, &alice)?, time(&many, &same, &alice)?, time(&many, &spread, &alice)?];
        ratios.0.push(times[1] / times[0]);
        ratios.1.push(times[2] / times[0]);
        for (fastest, time) in fastest.iter_mut().zip(times) {
            *fastest = fastest.min(time);
        }
    }
    println!(
        "rules: a host among {MANY} / alone: {}; hosts in turn / one: {}",
        compare::spread(&mut ratios.0),
        compare::spread(&mut ratios.1)
    );
    let [alone, among, spread] = fastest.map(|seconds| seconds * 1e9 / TURNS as f64);
    println!("rules at their fastest: {alone:.0} ns alone, {among:.0} ns among many, {spread:.0} ns in turn");
    Ok(())
}

fn policy(hosts: usize) -> anyhow::Result<Policy> {
    let mut text =
        "public_url = \"https://auth.example.com\"\n[provider]\nissuer = \"https://id.example.com/\"\n\
                    client_id = \"foregate\"\nclient_secret = \"not-a-secret\"\n\
                    [roles.writer]\ngroups = [\"group-049\"]\npermissions = [\"write\"]\n[apps]\n"
            .to_owned();
    for host in 0..hosts {
        write!(text, "\"app{host:05}.example.com\" = {{ allow = \"nobody\", rules = [")?;
        for rule in 0..9 {
            write!(
                text,
                "{{ path = \"/r{rule}/**\", methods = [\"GET\"], allow = \"group:group-{rule:03}\" }},"
            )?;
        }
        writeln!(text, "{{ path = \"/r9/**\", allow = [\"user:bob\", \"role:writer\"] }}] }}")?;
    }
    Ok(Config::from_text(Some(("bench.toml", &text)), &Environment::default())?.config.policy())
}

fn time(policy: &Policy, urls: &[String], person: &Arc<Person>) -> anyhow::Result<f64> {
    let visits: Vec<Visit<'_>> = urls
        .iter()
        .map(|url| {
            let target = read_url(url.as_bytes(), Method::GET)?;
            Ok(Visit {
                target,
                credential: Credential::None,
                authorization: Authorization::default(),
                tenant: AskedTenant::Nothing,
                client: None,
            })
        })
        .collect::<anyhow::Result<_>>()?;
    let started = Instant::now();
    for visit in visits.iter().cycle().take(TURNS) {
        let Ruling::Rule(app, rule) = policy.rule_for(&black_box(visit).target) else { bail!("no rule") };
        let Decision::Allow(grant) = rule.admits(app, Some(Arc::clone(person)), visit, 0) else {
            bail!("not let in")
        };
        black_box(grant);
    }
    Ok(started.elapsed().as_secs_f64())
}
