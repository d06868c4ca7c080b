//! The parts of `make bench`: two servers that send the same bytes, a load for them, and the comparisons.
//! `benches/README.md` tells what is measured; `benches/run.sh` runs it all.
#![allow(clippy::print_stdout, reason = "figures are what this is for")]
#![allow(clippy::disallowed_methods, reason = "a benchmark reads clocks and arguments")]

mod backend;
mod compare;
mod hostile;
mod load;
mod people;
mod proxies;
mod replicas;
mod rules;
mod servers;
mod sockets;
mod tokens;

use std::hint::black_box;
use std::time::Instant;

use anyhow::{Context as _, bail};
use foregate::http::dialect::Dialect;
use foregate::http::unix_now;
use foregate::policy::Decision;
use foregate::visit::Scheme;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let number = |word: &str| word.parse::<usize>().with_context(|| format!("`{word}` is no number"));
    match words.as_slice() {
        ["serve-bare"] => servers::bare(),
        ["serve-foregate", sessions] => servers::foregate(number(sessions)?),
        ["load", address, cookies, amount, connections] => {
            load::run(address, cookies, load::Amount::read(amount)?, number(connections)?, None)?.print()
        }
        ["serve-backend"] => backend::serve(),
        ["serve-bare-proxy", backend] => servers::bare_proxy(backend),
        ["serve-foregate-proxy", backend] => servers::foregate_proxy(1000, backend),
        ["load-page", address, cookies, amount, connections, page] => {
            let amount = load::Amount::read(amount)?;
            load::run(address, cookies, amount, number(connections)?, Some(page))?.print()
        }
        ["load-socket", address, cookies, seconds, connections] => {
            sockets::run(address, cookies, number(seconds)?, number(connections)?)?.print()
        }
        ["load-download", address, cookies] => sockets::download(address, cookies)?.print(),
        ["proxies", rounds, seconds, connections] => {
            proxies::run(number(rounds)?, number(seconds)?, number(connections)?)
        }
        ["compare", rounds, seconds, connections, sessions] => {
            compare::run(number(rounds)?, number(seconds)?, number(connections)?, sessions)
        }
        ["serve-foregate-hostile"] => hostile::serve(),
        ["attack", kind, clear, tls, certificate, connections] => {
            hostile::attack(kind, [clear, tls, certificate], number(connections)?)
        }
        ["hostile", rounds, seconds, crowd] => {
            hostile::run(number(rounds)?, number(seconds)?, number(crowd)?, None)
        }
        ["hostile", rounds, seconds, crowd, attack] => {
            hostile::run(number(rounds)?, number(seconds)?, number(crowd)?, Some(attack))
        }
        ["instructions"] => compare::instructions(),
        ["memory", sessions, groups] => memory(number(sessions)?, number(groups)?, 1000),
        ["memory", sessions, groups, lists] => memory(number(sessions)?, number(groups)?, number(lists)?),
        ["decision"] => decision(),
        ["rules"] => rules::run(),
        ["serve-foregate-tokens"] => tokens::serve(),
        ["tokens", rounds, seconds, connections] => {
            tokens::run(number(rounds)?, number(seconds)?, number(connections)?)
        }
        ["replicas", url, sessions] => two_workers()?.block_on(replicas::run(url, number(sessions)?)),
        ["rows", url, rows] => two_workers()?.block_on(replicas::rows(url, number(rows)?)),
        _ => bail!("no such part; benches/run.sh runs them all"),
    }
}

/// Resident memory for each cached session, each with its header lines made, where people have so many different
/// lists of groups. The rows are in a file, as they are for users, so that only the cache counts.
fn memory(sessions: usize, groups: usize, lists: usize) -> anyhow::Result<()> {
    let dir = tempfile::tempdir_in("/dev/shm")?;
    runtime()?.block_on(async {
        let site = people::site(sessions, Some(&dir.path().join("sessions.db")))?;
        let before = resident()?;
        for number in 0..sessions {
            let person = people::member(number, groups, number % lists.max(1));
            let handle = people::signed_in(&site, person, unix_now()).await?;
            let request = load::Request::new(0, &people::cookie(&site, &handle)).parts()?;
            let visit = Dialect::Traefik.read(&request, &site.cookies, Scheme::Https)?;
            let Decision::Allow(grant) = site.gate.judge(&visit, unix_now()).await else {
                bail!("session {number} is not let in")
            };
            black_box(grant.app().headers.lines(grant.person()));
        }
        let each = (resident()? - before) / sessions;
        println!(
            "memory: {each} bytes of RSS for each of {sessions} sessions of {groups} groups, {lists} lists"
        );
        Ok(())
    })
}

/// The decision alone, from parsed request to header lines, against the copy of a header map that a server which
/// decides nothing makes anyway.
fn decision() -> anyhow::Result<()> {
    const SAMPLE: usize = 1000;
    const TURNS: u32 = 200_000;
    runtime()?.block_on(async {
        let site = people::site(SAMPLE, None)?;
        let mut requests = Vec::new();
        for number in 0..SAMPLE {
            let handle = people::signed_in(&site, people::person(number, people::GROUPS), unix_now()).await?;
            requests.push(load::Request::new(number, &people::cookie(&site, &handle)).parts()?);
        }
        let kept = people::answer_of(&site);
        let mut ratios = Vec::new();
        let mut fastest = (f64::MAX, f64::MAX);
        for _ in 0..15 {
            let started = Instant::now();
            for _ in 0..TURNS {
                black_box(black_box(&kept).clone());
            }
            let copy = started.elapsed().as_secs_f64();
            let started = Instant::now();
            for request in requests.iter().cycle().take(TURNS as usize) {
                let visit = Dialect::Traefik.read(black_box(request), &site.cookies, Scheme::Https)?;
                let Decision::Allow(grant) = site.gate.judge(&visit, unix_now()).await else {
                    bail!("not let in")
                };
                black_box(grant.app().headers.lines(grant.person()));
            }
            let decided = started.elapsed().as_secs_f64();
            ratios.push(decided / copy);
            fastest = (fastest.0.min(decided), fastest.1.min(copy));
        }
        let each = |seconds: f64| seconds * 1e9 / f64::from(TURNS);
        println!("decision / copying its answer's headers: {}", compare::spread(&mut ratios));
        println!("decision at its fastest: {:.0} ns; the copy: {:.0} ns", each(fastest.0), each(fastest.1));
        Ok(())
    })
}

/// Resident memory of this process in bytes.
fn resident() -> anyhow::Result<usize> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<usize>()? * 1024)
}

/// As the program itself starts it, with the one worker that one core calls for.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?)
}

/// For replicas that live in one process.
fn two_workers() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}
