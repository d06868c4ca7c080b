//! `foregate session list` and `revoke`.

use super::store::{end, ensure_known, open, person, session};
use super::table::{Reader, Table, line_of, write};
use super::{FromFile, audit, load, runtime, tell, unix_now};
use crate::config::Config;
use crate::journal::{Event, Record};
use crate::session::store::{Listed, Selection, SessionStore};
use crate::session::{IdPrefix, KEYS_FACT, Meant, name_of};
use crate::wording::{day_and_time, device, printable};

/// What to list, of sessions or of app tokens.
#[derive(Debug, clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    pub(super) file: FromFile,
    /// Only those of this username
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(super) user: Option<String>,
    /// One JSON object on each line; times in Unix seconds
    #[arg(long)]
    pub(super) json: bool,
}

/// What to end.
#[derive(Debug, clap::Args)]
#[group(id = "which", required = true, multiple = false, args = ["user", "id", "all"])]
pub(super) struct Revoke {
    #[command(flatten)]
    file: FromFile,
    /// All of this person's, by username
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    user: Option<String>,
    /// The one of this id, or of its first 8 digits or more
    #[arg(long, value_name = "ID")]
    id: Option<IdPrefix>,
    /// Everybody's; also lets a foregate with new keys start over on this store
    #[arg(long)]
    all: bool,
    /// With --user: the provider that knows them
    #[arg(long, value_name = "URL", conflicts_with_all = ["id", "all"])]
    issuer: Option<String>,
    /// With --user: the provider's name for them
    #[arg(long, value_name = "SUB", conflicts_with_all = ["id", "all"])]
    subject: Option<String>,
}

/// Prints sessions page by page, in the order of their ids.
pub(super) fn list(args: &List) -> anyhow::Result<()> {
    let config = load(&args.file)?.config;
    runtime()?.block_on(async {
        let store = open(&config).await?;
        ensure_known(&store, args.user.as_deref()).await?;
        print_all(&store, &config, args).await
    })
}

async fn print_all(store: &SessionStore, config: &Config, args: &List) -> anyhow::Result<()> {
    let which = args.user.as_deref().map_or(Selection::All, Selection::Username);
    let mut table =
        Table::new(&["ID", "USER", "LAST SEEN (UTC)", "SIGNED IN", "ENDS", "ADDRESS", "BROWSER"]).coloured();
    let mut after = None;
    let mut any = false;
    loop {
        let mut page = store.sessions(&which, after, PAGE).await?;
        let whole = page.len() == PAGE as usize;
        after = page.last().map(|last| last.id);
        let now = unix_now();
        page.retain(|one| one.lives(now, config.session.idle));
        any |= !page.is_empty();
        let text = if args.json {
            page.iter().map(|one| line_of(&one.to_json())).collect()
        } else if page.is_empty() {
            String::new()
        } else {
            table.page(&page.iter().map(row).collect::<Vec<_>>())
        };
        if write(&text)? == Reader::Gone {
            return Ok(());
        }
        if !whole {
            break;
        }
    }
    if !any && !args.json {
        tell("there are no sessions");
    }
    Ok(())
}

fn row(one: &Listed) -> Vec<String> {
    let browser = device(&one.user_agent).unwrap_or_else(|| one.user_agent.clone());
    let [seen, created, ends] = [one.last_seen, one.created_at, one.expires_at].map(day_and_time);
    vec![name_of(&one.id), one.username.clone(), seen, created, ends, one.client.clone(), browser]
}

/// Ends sessions, and fails if there were none to end.
pub(super) fn revoke(args: &Revoke) -> anyhow::Result<()> {
    let config = load(&args.file)?.config;
    runtime()?.block_on(async {
        let store = open(&config).await?;
        let told = match (&args.user, args.id) {
            (Some(username), _) => revoke_person((&store, &config), username, args).await?,
            (None, Some(prefix)) => revoke_one((&store, &config), prefix).await?,
            (None, None) => revoke_all(&store, &config).await?,
        };
        write(&format!("{told}\n")).map(drop)
    })
}

async fn revoke_person(
    (store, config): (&SessionStore, &Config),
    username: &str,
    args: &Revoke,
) -> anyhow::Result<String> {
    let meant = Meant { username, issuer: args.issuer.as_deref(), subject: args.subject.as_deref() };
    let person = person(store, meant).await?;
    let ended = end(store, &Selection::Person(&person.key)).await?;
    anyhow::ensure!(ended > 0, "nothing to end: {} has no sessions", printable(username));
    audit::note(config, Record { sessions: Some(ended), ..audit::about(&person, Event::Revoked) });
    Ok(format!("{} of {} ended", count(ended), printable(username)))
}

async fn revoke_one((store, config): (&SessionStore, &Config), prefix: IdPrefix) -> anyhow::Result<String> {
    let id = session(store, prefix).await?;
    let ended = end(store, &Selection::Id(id)).await?;
    anyhow::ensure!(ended > 0, "there is no session {}", name_of(&id));
    let session = Some(name_of(&id));
    audit::note(config, Record { session, sessions: Some(ended), ..Record::of(Event::Revoked) });
    Ok(format!("the session {} ended", name_of(&id)))
}

/// Whose keys seal the store is forgotten with the last thing that was sealed, so that others may begin.
async fn revoke_all(store: &SessionStore, config: &Config) -> anyhow::Result<String> {
    let ended = end(store, &Selection::All).await?;
    audit::note(config, Record { sessions: Some(ended), ..Record::of(Event::Revoked) });
    store.set_fact(KEYS_FACT, None).await?;
    Ok(format!("{} ended", count(ended)))
}

/// A number of sessions, in words.
pub(super) fn count(sessions: u64) -> String {
    match sessions {
        0 => "no sessions".to_owned(),
        1 => "1 session".to_owned(),
        more => format!("{more} sessions"),
    }
}

/// Sessions read at a time.
const PAGE: u32 = 500;
