//! `foregate token create`, `list` and `revoke`.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::session::List;
use super::store::{ensure_known, open, person};
use super::table::{Reader, Table, line_of, write};
use super::{FromFile, audit, load, runtime, tell, unix_now};
use crate::config::Config;
use crate::journal::{Event, Record};
use crate::session::store::{ListedToken, Selection, SessionStore, TokenId, TokenKept};
use crate::session::{IdPrefix, Meant, NewToken, name_of};
use crate::wording::{day_and_time, parse_duration, printable};

/// What to make.
#[derive(Debug, clap::Args)]
pub(super) struct Create {
    #[command(flatten)]
    file: FromFile,
    /// Whom it stands for, by username: somebody who has signed in
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    user: String,
    /// The one app it is for, by its key in [apps]
    #[arg(long, value_name = "HOST")]
    app: String,
    /// What to call it in lists
    #[arg(long, value_name = "LABEL", default_value = "", value_parser = label)]
    name: String,
    /// Only from this network or address; may be given several times
    #[arg(long, value_name = "CIDR", value_parser = network)]
    network: Vec<IpNet>,
    /// How long it counts, such as 90d [default: until it is revoked]
    #[arg(long, value_name = "TIME", value_parser = time)]
    expires: Option<Duration>,
    /// The provider that knows them, where several do
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// The provider's name for them, where several have this one
    #[arg(long, value_name = "SUB")]
    subject: Option<String>,
}

/// What to revoke.
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
    /// Everybody's
    #[arg(long)]
    all: bool,
    /// With --user: the provider that knows them
    #[arg(long, value_name = "URL", conflicts_with_all = ["id", "all"])]
    issuer: Option<String>,
    /// With --user: the provider's name for them
    #[arg(long, value_name = "SUB", conflicts_with_all = ["id", "all"])]
    subject: Option<String>,
}

/// Makes a token and prints it, this once.
pub(super) fn create(args: &Create) -> anyhow::Result<()> {
    let config = load(&args.file)?.config;
    let names = || config.apps.iter().map(|app| app.name.as_str());
    anyhow::ensure!(
        names().any(|name| name == args.app),
        "there is no app {} in [apps]; it has {}",
        printable(&args.app),
        if config.apps.is_empty() { "none".to_owned() } else { names().collect::<Vec<_>>().join(", ") }
    );
    runtime()?.block_on(async {
        let store = open(&config).await?;
        let (issuer, subject) = (args.issuer.as_deref(), args.subject.as_deref());
        let owner = person(&store, Meant { username: &args.user, issuer, subject }).await?;
        anyhow::ensure!(owner.disabled_at.is_none(), "{} is disabled", printable(&args.user));
        let now = unix_now();
        let expires_at = args.expires.map(|time| now.saturating_add(time.as_secs()));
        let (app, name, networks) = (args.app.clone(), args.name.clone(), args.network.clone());
        let made = Record { app: Some(app.clone()), ..audit::about(&owner, Event::TokenCreated) };
        let (token, row) = NewToken { person: owner.key, app, name, networks, expires_at }.mint(now)?;
        // The limit is for people who make their own.
        let kept = store.keep_token(&row, u32::MAX).await?;
        anyhow::ensure!(kept == TokenKept::Kept, "{} was disabled just now", printable(&args.user));
        audit::note(&config, made);
        tell(&format!(
            "note: this is the only time that the token {} of {} for {} is shown",
            name_of(&row.key.id),
            printable(&args.user),
            printable(&args.app)
        ));
        write(&format!("{}\n", token.expose())).map(drop)
    })
}

/// Prints tokens page by page, in the order of their ids; never the secret, which nobody has.
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
    let titles = &["ID", "USER", "APP", "NAME", "NETWORKS", "MADE (UTC)", "LAST USED", "ENDS", "STATE"];
    let mut table = Table::new(titles).coloured();
    let mut after = None;
    loop {
        let page = store.tokens(&which, after, PAGE).await?;
        let text = if args.json {
            page.iter().map(|one| line_of(&one.to_json())).collect()
        } else if page.is_empty() {
            String::new()
        } else {
            let now = unix_now();
            table.page(&page.iter().map(|one| row(one, config, now)).collect::<Vec<_>>())
        };
        if write(&text)? == Reader::Gone {
            return Ok(());
        }
        if page.is_empty() && after.is_none() && !args.json {
            tell("there are no app tokens");
        }
        match page.last() {
            Some(last) if page.len() == PAGE as usize => after = Some(last.row.key.id),
            Some(_) | None => return Ok(()),
        }
    }
}

fn row(one: &ListedToken, config: &Config, now: u64) -> Vec<String> {
    let token = &one.row;
    let networks: Vec<String> = token.networks.iter().map(ToString::to_string).collect();
    let or_never = |time: Option<u64>| time.map_or_else(|| "never".to_owned(), day_and_time);
    let state = if token.expires_at.is_some_and(|end| end <= now) {
        "expired"
    } else if one.disabled {
        "owner disabled"
    } else if config.apps.iter().all(|app| app.name != token.app) {
        "no such app"
    } else {
        "good"
    };
    vec![
        name_of(&token.key.id),
        one.username.clone(),
        token.app.clone(),
        token.name.clone(),
        if networks.is_empty() { "all".to_owned() } else { networks.join(" ") },
        day_and_time(token.created_at),
        or_never(Some(token.last_used).filter(|used| *used > 0)),
        or_never(token.expires_at),
        state.to_owned(),
    ]
}

/// Revokes tokens, and fails if there were none to revoke.
pub(super) fn revoke(args: &Revoke) -> anyhow::Result<()> {
    let config = load(&args.file)?.config;
    runtime()?.block_on(async {
        let store = open(&config).await?;
        let told = match (&args.user, args.id) {
            (Some(username), _) => {
                let (issuer, subject) = (args.issuer.as_deref(), args.subject.as_deref());
                let owner = person(&store, Meant { username, issuer, subject }).await?;
                let gone = end(&store, &Selection::Person(&owner.key)).await?;
                anyhow::ensure!(gone > 0, "nothing to revoke: {} has no app tokens", printable(username));
                let tokens = Some(gone as u64);
                audit::note(&config, Record { tokens, ..audit::about(&owner, Event::Revoked) });
                format!("{} of {} revoked", count(gone), printable(username))
            }
            (None, Some(prefix)) => {
                let id = token(&store, prefix).await?;
                anyhow::ensure!(
                    end(&store, &Selection::Id(id)).await? > 0,
                    "there is no app token {}",
                    name_of(&id)
                );
                audit::note(&config, Record { tokens: Some(1), ..Record::of(Event::Revoked) });
                format!("the app token {} is revoked", name_of(&id))
            }
            (None, None) => {
                let gone = end(&store, &Selection::All).await?;
                audit::note(&config, Record { tokens: Some(gone as u64), ..Record::of(Event::Revoked) });
                format!("{} revoked", count(gone))
            }
        };
        write(&format!("{told}\n")).map(drop)
    })
}

/// Revokes what is selected and tells running foregates; says how many.
async fn end(store: &SessionStore, which: &Selection<'_>) -> anyhow::Result<usize> {
    let gone = store.revoke_tokens(which).await?.len();
    if gone > 0 {
        store.announce().await;
    }
    Ok(gone)
}

/// The one token whose name begins so.
async fn token(store: &SessionStore, prefix: IdPrefix) -> anyhow::Result<TokenId> {
    if let Some(id) = prefix.whole() {
        return Ok(id);
    }
    let mut page = store.tokens(&Selection::All, prefix.before(), 2).await?;
    page.retain(|one| prefix.fits(&one.row.key.id));
    match page.as_slice() {
        [] => anyhow::bail!("there is no app token whose id begins so"),
        [one] => Ok(one.row.key.id),
        [_, ..] => anyhow::bail!("several app tokens begin so: give more digits"),
    }
}

fn count(tokens: usize) -> String {
    match tokens {
        0 => "no app tokens".to_owned(),
        1 => "1 app token".to_owned(),
        more => format!("{more} app tokens"),
    }
}

fn network(text: &str) -> Result<IpNet, String> {
    let network = text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    let network = network.filter(|network: &IpNet| {
        network.trunc() == *network && network.addr().to_canonical() == network.addr()
    });
    network.ok_or_else(|| "write a network such as 10.0.0.0/8, or one address".to_owned())
}

fn time(text: &str) -> Result<Duration, String> {
    let time = parse_duration(text).filter(|time| *time >= Duration::from_secs(1));
    time.ok_or_else(|| "write a length of time such as 90d or 12h".to_owned())
}

/// Lists show it, so that it is short and printable.
fn label(text: &str) -> Result<String, String> {
    let sound = text.chars().count() <= LONGEST_NAME && !text.contains(char::is_control);
    sound.then(|| text.to_owned()).ok_or_else(|| format!("write {LONGEST_NAME} letters at most"))
}

/// Tokens read at a time.
const PAGE: u32 = 500;
/// Letters of the longest name.
const LONGEST_NAME: usize = 100;
