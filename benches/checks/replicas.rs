//! Two replicas on one PostgreSQL: how fast a sign-out on one is a no on the other, what a flood of sign-outs costs
//! the checks, and what a store of a million rows costs a start and a sweep.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use foregate::http::{Site, unix_now};
use foregate::secret::Secret;
use foregate::session::store::Location;
use foregate::visit::SessionHandle;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::people;

/// Sign-outs on one replica, checks on the other.
pub(crate) async fn run(url: &str, sessions: usize) -> anyhow::Result<()> {
    // Filling the store is not what is measured.
    let fast =
        format!("{url}{}options=-c%20synchronous_commit%3Doff", if url.contains('?') { '&' } else { '?' });
    let handles = Arc::new(fill(&replica(&fast, sessions)?, sessions).await?);
    let (here, there) = (Arc::new(replica(url, sessions)?), Arc::new(replica(url, sessions)?));
    let following: Vec<_> = [&here, &there].map(follow).into();
    known(&there, &handles).await?;
    let living = handles.len() / 2..handles.len();
    let before = checks(&there, &handles[living.clone()], Duration::from_secs(5)).await?;
    let (doomed, alike) = (Arc::clone(&handles), Arc::clone(&there));
    let revoking = tokio::spawn(async move { revoke(&here, &alike, &doomed[..doomed.len() / 2]).await });
    let during = checks(&there, &handles[living], Duration::from_secs(5)).await?;
    let (per_second, delays) = revoking.await??;
    let at = |part: usize| delays[(delays.len() * part / 100).min(delays.len() - 1)].as_secs_f64() * 1e3;
    println!(
        "revocation: {per_second:.0} a second; from commit to refusal elsewhere p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms of {}",
        at(50),
        at(99),
        at(100),
        delays.len()
    );
    println!(
        "checks per second meanwhile / before: {:.2}; p99 {:.2}",
        during.0 / before.0,
        during.1 / before.1
    );
    following.into_iter().for_each(|task| task.abort());
    Ok(())
}

/// A start on a million rows, and a sweep of those that have ended.
pub(crate) async fn rows(url: &str, rows: usize) -> anyhow::Result<()> {
    let site = Arc::new(replica(url, 10_000)?);
    let handles = fill(&site, 5_000).await?;
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
    let connection = tokio::spawn(connection);
    client.batch_execute(&ROWS.replace("COUNT", &rows.to_string())).await?;
    let started = Instant::now();
    let cold = replica(url, 10_000)?;
    ensure!(cold.sessions.find(&handles[0], unix_now()).await?.is_some(), "the session is not found");
    println!(
        "cold start: the first answer came after {:.1} ms with {rows} rows",
        started.elapsed().as_secs_f64() * 1e3
    );
    known(&site, &handles).await?;
    let before = checks(&site, &handles, Duration::from_secs(5)).await?;
    let (over, sweeper) = (Arc::new(AtomicBool::new(false)), Arc::clone(&site));
    let told = Arc::clone(&over);
    let sweeping = tokio::spawn(async move {
        let started = Instant::now();
        let swept = sweeper.sessions.sweep(unix_now()).await;
        told.store(true, Ordering::Relaxed);
        swept.map(|swept| (swept, started.elapsed()))
    });
    let mut during = (Vec::new(), Vec::new());
    while !over.load(Ordering::Relaxed) {
        let part = checks(&site, &handles, Duration::from_secs(1)).await?;
        during.0.push(part.0 / before.0);
        during.1.push(part.1 / before.1);
    }
    let (swept, time) = sweeping.await??;
    println!(
        "sweep: {swept} of {rows} rows in {:.0} s; checks meanwhile / before: {}; p99 {}",
        time.as_secs_f64(),
        crate::compare::spread(&mut during.0),
        crate::compare::spread(&mut during.1)
    );
    drop(client);
    connection.await??;
    Ok(())
}

fn replica(url: &str, sessions: usize) -> anyhow::Result<Site> {
    people::site_at(sessions, Location::Postgres(Secret::new(url)))
}

fn follow(site: &Arc<Site>) -> tokio::task::JoinHandle<()> {
    let site = Arc::clone(site);
    tokio::spawn(async move { site.sessions.follow(unix_now).await })
}

async fn fill(site: &Site, sessions: usize) -> anyhow::Result<Vec<SessionHandle>> {
    let mut handles = Vec::with_capacity(sessions);
    for first in (0..sessions).step_by(AT_ONCE) {
        let batch = (first..sessions.min(first + AT_ONCE))
            .map(|number| people::signed_in(site, people::person(number, 20), unix_now()));
        handles.extend(all(batch).await?);
    }
    Ok(handles)
}

/// Takes the sessions into memory.
async fn known(site: &Site, handles: &[SessionHandle]) -> anyhow::Result<()> {
    for batch in handles.chunks(AT_ONCE) {
        let found =
            all(batch.iter().map(async |handle| Ok(site.sessions.find(handle, unix_now()).await?))).await?;
        ensure!(found.iter().all(Option::is_some), "a session is not found");
    }
    Ok(())
}

/// Waits for all, side by side.
async fn all<T>(
    work: impl Iterator<Item = impl Future<Output = anyhow::Result<T>>>,
) -> anyhow::Result<Vec<T>> {
    let mut pinned: Vec<_> = work.map(|one| (Box::pin(one), None)).collect();
    std::future::poll_fn(|context| {
        let mut open = false;
        for (one, done) in &mut pinned {
            if done.is_none() {
                match one.as_mut().poll(context) {
                    std::task::Poll::Ready(outcome) => *done = Some(outcome),
                    std::task::Poll::Pending => open = true,
                }
            }
        }
        if open { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
    pinned.into_iter().filter_map(|(_, done)| done).collect()
}

/// Sessions found in a second, and the p99 in nanoseconds; one task asks, and lets others have their turn.
async fn checks(site: &Site, handles: &[SessionHandle], time: Duration) -> anyhow::Result<(f64, f64)> {
    let (began, mut times) = (Instant::now(), Vec::new());
    while began.elapsed() < time {
        for handle in handles.iter().cycle().skip(times.len() * 7 % handles.len()).take(200) {
            let asked = Instant::now();
            ensure!(site.sessions.find(handle, unix_now()).await?.is_some(), "a session is not found");
            times.push(asked.elapsed().as_nanos() as f64);
        }
        tokio::task::yield_now().await;
    }
    let per_second = times.len() as f64 / began.elapsed().as_secs_f64();
    times.sort_unstable_by(f64::total_cmp);
    Ok((per_second, times[times.len() * 99 / 100]))
}

/// Ends a thousand sessions a second; says how many it really were, and for some how long until the other replica
/// refused them.
async fn revoke(
    here: &Arc<Site>,
    there: &Arc<Site>,
    handles: &[SessionHandle],
) -> anyhow::Result<(f64, Vec<Duration>)> {
    let mut tick = interval(Duration::from_millis(10));
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (began, mut watched) = (Instant::now(), JoinSet::new());
    let mut ended = 0;
    for (turn, batch) in handles.chunks(10).take(500).enumerate() {
        tick.tick().await;
        all(batch.iter().map(async |handle| Ok(here.sessions.end(handle, unix_now()).await?))).await?;
        ended += batch.len();
        if let Some(handle) = batch.first().filter(|_| turn % 5 == 0) {
            watched.spawn(refused(Arc::clone(there), handle.clone(), Instant::now()));
        }
    }
    let per_second = ended as f64 / began.elapsed().as_secs_f64();
    let mut delays = watched.join_all().await.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    delays.sort_unstable();
    if delays.is_empty() {
        bail!("no session was watched");
    }
    Ok((per_second, delays))
}

async fn refused(site: Arc<Site>, handle: SessionHandle, since: Instant) -> anyhow::Result<Duration> {
    let watching = async {
        while site.sessions.find(&handle, unix_now()).await?.is_some() {
            sleep(Duration::from_millis(1)).await;
        }
        anyhow::Ok(since.elapsed())
    };
    timeout(Duration::from_secs(30), watching).await.context("a session is never refused elsewhere")?
}

const AT_ONCE: usize = 64;

/// Rows of which one in ten has ended.
const ROWS: &str = "INSERT INTO foregate_session (id, proof, issuer, subject, profile, created_at, last_seen, \
    expires_at, tokens, client, user_agent) SELECT decode(md5(number::text), 'hex'), \
    sha256(number::text::bytea), 'https://id.example.com/application/o/foregate/', 'subject-' || number, \
    jsonb_build_object('issuer', 'https://id.example.com/application/o/foregate/', 'subject', 'subject-' || number, \
    'username', 'user-' || number, 'groups', '[\"group-001\", \"group-002\", \"group-003\"]'::jsonb), \
    seconds - 86400, seconds - 60, seconds + CASE WHEN number % 10 = 0 THEN -1 ELSE 86400 END, \
    repeat('x', 600)::bytea, '192.0.2.1', 'bench' \
    FROM generate_series(1, COUNT) AS number, (SELECT extract(epoch FROM now())::bigint AS seconds) AS clock; \
    ANALYZE foregate_session";
