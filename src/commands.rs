//! What can be typed, and what each command does. Only here and in `main` does foregate print.

use std::path::PathBuf;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::app::{House, until_signal};
use crate::config::{self, Config, Loaded};
use crate::demo;
use crate::snippet::{FrontProxy, Snippet};

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
    Demo {
        /// The port to open; a free one if it is taken
        #[arg(long, default_value_t = 4180)]
        port: u16,
    },
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
    /// Print the front proxy's configuration for this set-up
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
    /// The address the front proxy listens on
    #[arg(long, default_value = "0.0.0.0:80", value_name = "ADDRESS")]
    listen: String,
}

/// A command that did not succeed.
#[derive(Debug)]
pub struct Failure(pub anyhow::Error);

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl Cli {
    /// Does what was typed.
    ///
    /// # Errors
    /// [`Failure`] with what to print; the program then ends with 1.
    pub fn run(self, terminal: bool) -> Result<(), Failure> {
        match self.command {
            Command::Serve(file) => serve(&file, terminal),
            Command::Demo { port } => {
                log(terminal, "foregate=warn")?;
                runtime()?.block_on(demo::run(port, terminal)).map_err(Failure)
            }
            Command::Config { what: ConfigCommand::Show(file) } => print(&config::show(&load(&file)?)),
            Command::Config { what: ConfigCommand::Schema } => print(&config::schema()),
            Command::Session { what: SessionCommand::NewKey } => print(&(new_key()? + "\n")),
            Command::Snippet(args) => snippet(&args),
        }
    }
}

fn serve(file: &FromFile, terminal: bool) -> Result<(), Failure> {
    let loaded = load(file)?;
    log(terminal, &config::log_filter())?;
    let config: Config = loaded.config;
    runtime()?.block_on(async {
        let stop = until_signal()?;
        House::build(config)?.run(stop).await;
        Ok(())
    })
}

fn load(file: &FromFile) -> Result<Loaded, Failure> {
    Ok(config::load(file.config.as_deref())?)
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")
}

/// JSON lines unless somebody is looking.
fn log(terminal: bool, filter: &str) -> anyhow::Result<()> {
    let filter =
        EnvFilter::try_new(filter).with_context(|| format!("FOREGATE_LOG is no log filter: {filter}"))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_span_events(FmtSpan::NONE);
    let started = if terminal { log.try_init() } else { log.json().flatten_event(true).try_init() };
    started.map_err(|error| anyhow::anyhow!("cannot start the log: {error}"))
}

fn new_key() -> anyhow::Result<String> {
    let mut key = [0_u8; 32];
    aws_lc_rs::rand::fill(&mut key).map_err(|_| anyhow::anyhow!("the system gives no random bytes"))?;
    Ok(STANDARD.encode(key))
}

fn snippet(args: &SnippetArgs) -> Result<(), Failure> {
    let config = load(&args.file)?.config;
    let names: Vec<String> = config.default_headers.names().map(|name| name.as_str().to_owned()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let foregate = config.server.listen.to_string();
    let snippet = Snippet {
        host: &args.host,
        upstream: &args.upstream,
        foregate: &foregate,
        listen: &args.listen,
        public_host: config.public_url.host_str().unwrap_or_default(),
        headers: &names,
    };
    print(&crate::snippet::render(args.proxy, &snippet))
}

#[expect(clippy::print_stdout, reason = "what a command was asked for")]
fn print(text: &str) -> Result<(), Failure> {
    print!("{text}");
    Ok(())
}
