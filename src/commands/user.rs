//! `foregate user list`, `disable` and `enable`.

use super::session::count;
use super::store::{end, open, person};
use super::table::{Reader, Table, line_of, write};
use super::{FromFile, audit, load, runtime, tell, unix_now};
use crate::config::Config;
use crate::journal::{Event, Record};
use crate::session::Meant;
use crate::session::store::{Person, PersonKey, Selection, SessionStore};
use crate::wording::{day_and_time, printable};

/// What to list.
#[derive(Debug, clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    file: FromFile,
    /// One JSON object on each line; times in Unix seconds
    #[arg(long)]
    json: bool,
}

/// Whom to disable or enable.
#[derive(Debug, clap::Args)]
pub(super) struct One {
    #[command(flatten)]
    file: FromFile,
    /// The name they sign in with
    #[arg(value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    user: String,
    /// The provider that knows them, where several do
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// The provider's name for them, where several have this one
    #[arg(long, value_name = "SUB")]
    subject: Option<String>,
}

/// Prints everybody who ever signed in, page by page.
pub(super) fn list(args: &List) -> anyhow::Result<()> {
    let config = load(&args.file)?.config;
    runtime()?.block_on(async {
        let store = open(&config).await?;
        print_all(&store, args.json).await
    })
}

async fn print_all(store: &SessionStore, json: bool) -> anyhow::Result<()> {
    let titles = &["USER", "NAME", "E-MAIL", "LAST SEEN (UTC)", "SESSIONS", "STATE", "ISSUER", "SUBJECT"];
    let mut table = Table::new(titles).coloured();
    let mut after = PersonKey::default();
    loop {
        let page = store.people(None, &after, PAGE).await?;
        let first = after == PersonKey::default();
        let text = if json {
            page.iter().map(|one| line_of(&one.to_json())).collect()
        } else if page.is_empty() {
            String::new()
        } else {
            table.page(&page.iter().map(row).collect::<Vec<_>>())
        };
        if write(&text)? == Reader::Gone {
            return Ok(());
        }
        if page.is_empty() && first && !json {
            tell("nobody has signed in yet");
        }
        match page.last() {
            Some(last) if page.len() == PAGE as usize => after = last.key.clone(),
            Some(_) | None => return Ok(()),
        }
    }
}

fn row(one: &Person) -> Vec<String> {
    let state = if one.disabled_at.is_some() { "disabled" } else { "enabled" };
    let Person { username, name, email, key: PersonKey { issuer, subject }, .. } = one;
    let [username, name, email, issuer, subject] =
        [username, name, email, issuer, subject].map(String::clone);
    let (seen, sessions) = (day_and_time(one.last_seen), one.sessions.to_string());
    vec![username, name, email, seen, sessions, state.to_owned(), issuer, subject]
}

/// Keeps somebody from signing in, and ends the sessions they have.
pub(super) fn disable(args: &One) -> anyhow::Result<()> {
    with_person(args, async |(store, config), person| {
        store.disable(&person.key, Some(unix_now())).await?;
        // Their app tokens count for nothing any more, which is to be heard also if they have no sessions.
        store.announce().await;
        let ended = end(store, &Selection::Person(&person.key)).await?;
        audit::note(config, Record { sessions: Some(ended), ..audit::about(person, Event::Disabled) });
        Ok(format!("{} is disabled; {} ended", printable(&person.username), count(ended)))
    })
}

/// Lets somebody sign in again.
pub(super) fn enable(args: &One) -> anyhow::Result<()> {
    with_person(args, async |(store, config), person| {
        store.disable(&person.key, None).await?;
        store.announce().await;
        audit::note(config, audit::about(person, Event::Enabled));
        Ok(format!("{} may sign in", printable(&person.username)))
    })
}

fn with_person(
    args: &One,
    act: impl AsyncFnOnce((&SessionStore, &Config), &Person) -> anyhow::Result<String>,
) -> anyhow::Result<()> {
    let config = load(&args.file)?.config;
    runtime()?.block_on(async {
        let store = open(&config).await?;
        let (issuer, subject) = (args.issuer.as_deref(), args.subject.as_deref());
        let person = person(&store, Meant { username: &args.user, issuer, subject }).await?;
        write(&format!("{}\n", act((&store, &config), &person).await?)).map(drop)
    })
}

/// People read at a time.
const PAGE: u32 = 500;
