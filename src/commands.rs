//! What can be typed, and what each command does. Only here and in `main` does foregate print.

mod admin;
mod audit;
mod check;
mod colour;
mod explain;
mod health;
mod import;
mod manual;
mod password;
mod progress;
mod session;
mod store;
mod table;
mod token;
mod traced;
mod user;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Parser, Subcommand};
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::app::{House, Signals, Source, signals};
use crate::config::{self, Loaded};
#[cfg(feature = "sqlite")]
use crate::demo;
use crate::http::unix_now;
use crate::policy::HostPattern;
use crate::server::{Address, Listen};
use crate::snippet::{FrontProxy, Snippet, render, render_haproxy_lua};
use traced::Traced;

/// Signs people in with OpenID Connect and tells unmodified apps who they are.
#[derive(Debug, Parser)]
#[command(version, about, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run foregate
    Serve(FromFile),
    /// Try everything out in one process: a provider, an app and foregate between them
    #[cfg(feature = "sqlite")]
    Demo {
        /// The port to open; a free one if it is taken
        #[arg(long, default_value_t = 4180)]
        port: u16,
    },
    /// Look at configuration, store, provider and the way from outside; say what is wrong and what helps
    Check(check::CheckArgs),
    /// Tell which rule decides about a request, and why; or what a reference is about
    Explain(explain::Explain),
    /// Ask the foregate that runs on this machine how it is
    Health(health::Health),
    /// Show the settings in force, or the schema of the file
    Config {
        #[command(subcommand)]
        what: ConfigCommand,
    },
    /// Work with sessions
    Session {
        #[command(subcommand)]
        what: SessionCommand,
    },
    /// Work with people
    User {
        #[command(subcommand)]
        what: UserCommand,
    },
    /// Work with app tokens
    Token {
        #[command(subcommand)]
        what: TokenCommand,
    },
    /// Print completions for a shell
    Completions(manual::Completions),
    /// Print the manual page of foregate or of a command
    Man(manual::Manual),
    /// Print the configuration of another product as a foregate.toml
    Import(import::Import),
    /// Make the hash of a password for emergency access: asked for on a terminal, else the first line of the input
    HashPassword,
    /// Print the front proxy's configuration for this set-up; for HAProxy also write foregate.lua here
    Snippet(SnippetArgs),
}

#[derive(Debug, clap::Args)]
struct FromFile {
    /// The configuration file [default: ./foregate.toml]
    #[arg(long, value_name = "FILE", env = "FOREGATE_CONFIG")]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Every setting in force, and where it came from
    Show(FromFile),
    /// The JSON Schema of the file
    Schema,
}

#[derive(Debug, Subcommand)]
enum SessionCommand {
    /// Print a new sealing key, one line for session.keys_file
    NewKey,
    /// List sessions
    List(session::List),
    /// End sessions, here and on every running foregate
    Revoke(session::Revoke),
}

#[derive(Debug, Subcommand)]
enum UserCommand {
    /// List everybody who has ever signed in
    List(user::List),
    /// Keep somebody from signing in, and end their sessions
    Disable(user::One),
    /// Let somebody sign in again
    Enable(user::One),
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Make a token that stands for somebody at one app, and print it once
    Create(token::Create),
    /// List app tokens
    List(session::List),
    /// Revoke app tokens, here and on every running foregate
    Revoke(token::Revoke),
}

#[derive(Debug, clap::Args)]
struct SnippetArgs {
    /// Which front proxy
    proxy: FrontProxy,
    #[command(flatten)]
    file: FromFile,
    /// The host of the app to protect
    #[arg(long, default_value = "app.example.com")]
    host: String,
    /// Where the app is
    #[arg(long, default_value = "http://127.0.0.1:8000", value_name = "URL")]
    upstream: String,
    /// Where the front proxy reaches foregate [default: server.listen]
    #[arg(long, value_name = "ADDRESS")]
    foregate: Option<String>,
    /// The address the front proxy listens on
    #[arg(long, default_value = "0.0.0.0:80", value_name = "ADDRESS")]
    listen: String,
}

impl Cli {
    /// Does what was typed.
    ///
    /// # Errors
    /// What to print; the program then ends with 1.
    pub fn run(self, terminal: bool) -> anyhow::Result<()> {
        match self.command {
            Command::Serve(file) => serve(&file, terminal),
            #[cfg(feature = "sqlite")]
            Command::Demo { port } => {
                let _log = log(terminal, "foregate=warn")?;
                runtime()?.block_on(demo::run(port, colour::Colour::of_stdout() == colour::Colour::On))
            }
            Command::Check(args) => check::check(&args),
            Command::Explain(args) => print(&explain::explain(&args)?),
            Command::Health(args) => print(&health::health(&args)?),
            Command::Config { what: ConfigCommand::Show(file) } => print(&config::show(&load(&file)?)),
            Command::Config { what: ConfigCommand::Schema } => print(&config::schema()),
            Command::Session { what } => match what {
                SessionCommand::NewKey => print(&(new_key()? + "\n")),
                SessionCommand::List(args) => session::list(&args),
                SessionCommand::Revoke(args) => session::revoke(&args),
            },
            Command::User { what } => match what {
                UserCommand::List(args) => user::list(&args),
                UserCommand::Disable(args) => user::disable(&args),
                UserCommand::Enable(args) => user::enable(&args),
            },
            Command::Token { what } => match what {
                TokenCommand::Create(args) => token::create(&args),
                TokenCommand::List(args) => token::list(&args),
                TokenCommand::Revoke(args) => token::revoke(&args),
            },
            Command::Completions(args) => manual::completions(&args),
            Command::Man(args) => manual::manual(&args),
            Command::Import(args) => import::import(args),
            Command::HashPassword => print(&password::hash()?),
            Command::Snippet(args) => snippet(&args),
        }
    }
}

fn serve(file: &FromFile, terminal: bool) -> anyhow::Result<()> {
    let loaded = load(file)?;
    let _log = log(terminal, &config::log_filter())?;
    let runtime = runtime()?;
    let served = runtime.block_on(async {
        let Signals { stop, reload } = signals()?;
        let house = House::build(loaded.config.clone())?;
        let house = house.following(Source::new(file.config.as_deref(), loaded, reload));
        house.meet_store().await?;
        house.run(stop).await;
        Ok(())
    });
    // Whatever a file or a name server keeps waiting does not keep the program.
    runtime.shutdown_timeout(LAST_MOMENTS);
    served
}

fn load(file: &FromFile) -> anyhow::Result<Loaded> {
    Ok(config::load(file.config.as_deref())?)
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")
}

/// JSON lines unless somebody is looking. A thread of its own writes them, until the guard is dropped: a reader that takes nothing
/// keeps no request waiting, and a full disk ends none. What there is no room for is lost.
fn log(terminal: bool, filter: &str) -> anyhow::Result<WorkerGuard> {
    let filter =
        EnvFilter::try_new(filter).with_context(|| format!("FOREGATE_LOG is no log filter: {filter}"))?;
    let (writer, guard) =
        NonBlockingBuilder::default().buffered_lines_limit(LINES_WAITING).finish(std::io::stderr());
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        // It would tell of what cannot be written where it cannot be written, and panic.
        .log_internal_errors(false)
        .with_span_events(FmtSpan::NONE);
    let started = if terminal {
        log.map_event_format(Traced::in_words).try_init()
    } else {
        log.json().flatten_event(true).map_event_format(Traced::as_json).try_init()
    };
    started.map_err(|error| anyhow::anyhow!("cannot start the log: {error}"))?;
    Ok(guard)
}

fn new_key() -> anyhow::Result<String> {
    let mut key = [0_u8; 32];
    aws_lc_rs::rand::fill(&mut key).map_err(|_| anyhow::anyhow!("the system gives no random bytes"))?;
    Ok(STANDARD.encode(key))
}

/// Prints the one file that matters. HAProxy cannot hold Lua in its own file, so that one is written beside.
fn snippet(args: &SnippetArgs) -> anyhow::Result<()> {
    let foregate = args.foregate.as_ref().map(|address| ("--foregate", address));
    let given = [("--host", &args.host), ("--upstream", &args.upstream), ("--listen", &args.listen)];
    for (name, value) in given.into_iter().chain(foregate) {
        let fits = |c: char| c.is_ascii_alphanumeric() || ".-_:/[]".contains(c);
        anyhow::ensure!(
            !value.is_empty() && value.chars().all(fits),
            "{name} `{value}` is no host or address"
        );
    }
    anyhow::ensure!(args.upstream.starts_with("http://"), "--upstream must be http://host:port");
    let config = load(&args.file)?.config;
    let app = config.apps.iter().find(|app| app.host == HostPattern::Exact(args.host.clone()));
    if app.is_none() {
        tell(&format!(
            "note: no line of [apps] names {}, so a wildcard or the top-level allow decides about it",
            args.host
        ));
    }
    let headers = app.map_or(&config.default_headers, |app| &app.headers);
    // What a browser goes on sending behind an emergency is for foregate, which says what the app gets.
    let emergency = app.filter(|app| app.emergency).map(|_| AUTHORIZATION);
    let names: Vec<&str> = headers.names().map(|name| name.as_str()).chain(emergency).collect();
    let tenant = config.tenants.as_ref().map(|tenants| tenants.header.as_str());
    let asked: Vec<&str> = tenant.into_iter().chain(emergency).collect();
    let foregate = args.foregate.clone().or_else(|| reachable(&config.listeners.listen));
    let foregate = foregate
        .context("no listener speaks plain HTTP on an IP address: name the one to use with --foregate")?;
    let lua = std::path::absolute("foregate.lua").context("cannot tell the current directory")?;
    let snippet = Snippet {
        host: &args.host,
        upstream: &args.upstream,
        foregate: &foregate,
        listen: &args.listen,
        public_host: config.public_url.host_str().unwrap_or_default(),
        headers: &names,
        asked: &asked,
        lua: lua.to_str().context("the name of the current directory is no text")?,
    };
    if args.proxy == FrontProxy::Haproxy {
        write_lua(&lua)?;
    }
    print(&render(args.proxy, &snippet))
}

const AUTHORIZATION: &str = "Authorization";

/// The address to reach the first plain listener at: one that listens everywhere is reached on loopback.
fn reachable(listen: &[Listen]) -> Option<String> {
    let plain = listen.iter().filter(|listen| !listen.tls);
    let mut addresses = plain.filter_map(|listen| match listen.address {
        Address::Tcp(address) => Some(address),
        Address::Unix(_) => None,
    });
    Some(on_loopback(addresses.next()?).to_string())
}

/// The same address, on loopback where it stands for every one.
fn on_loopback(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() {
            Ipv4Addr::LOCALHOST.into()
        } else {
            Ipv6Addr::LOCALHOST.into()
        });
    }
    address
}

/// Writes HAProxy's second file, never over something else.
fn write_lua(path: &Path) -> anyhow::Result<()> {
    let text = render_haproxy_lua();
    match std::fs::read_to_string(path) {
        Ok(found) if found == text => return Ok(()),
        Ok(_) => anyhow::bail!(
            "{} is there and is another file: move it away, or run this elsewhere",
            path.display()
        ),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    tell(&format!("note: wrote {}, which the configuration loads", path.display()));
    Ok(())
}

#[expect(clippy::print_stderr, reason = "what a person should know besides the text asked for")]
fn tell(text: &str) {
    eprintln!("{text}");
}

#[expect(clippy::print_stdout, reason = "what a command was asked for")]
fn print(text: &str) -> anyhow::Result<()> {
    print!("{text}");
    Ok(())
}

/// Lines of the log that may wait to be written.
const LINES_WAITING: usize = 8192;
/// How long threads may go on that wait for the system.
const LAST_MOMENTS: Duration = Duration::from_secs(1);
