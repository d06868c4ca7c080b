//! `foregate check`: what the doctor says, line by line as it comes, or as one document.

use url::Url;

use super::colour::Colour;
use super::table::write;
use super::{FromFile, runtime};
use crate::doctor::{self, Check, State};
use crate::wording::{escaped, printable};

/// What to look at.
#[derive(Debug, clap::Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    file: FromFile,
    /// Also go the real way from outside to this address of an app; may be given more than once
    #[arg(long = "url", value_name = "URL", value_parser = read_url)]
    urls: Vec<Url>,
    /// One JSON document in place of lines
    #[arg(long)]
    json: bool,
}

/// Looks at everything; an error if something failed.
pub(super) fn check(args: &CheckArgs) -> anyhow::Result<()> {
    let colour = Colour::of_stdout();
    let mut tell = |check: &Check| {
        // Whoever has stopped reading is told nothing more.
        let _ = write(&line(check, colour));
    };
    let mut quiet = |_: &Check| {};
    let file = args.file.config.as_deref();
    let runtime = runtime()?;
    let report = if args.json {
        runtime.block_on(doctor::examine(file, &args.urls, &mut quiet))
    } else {
        runtime.block_on(doctor::examine(file, &args.urls, &mut tell))
    };
    // A name server that keeps a thread waiting does not keep the program.
    runtime.shutdown_background();
    if args.json {
        write(&escaped(&format!("{:#}\n", report.to_json())))?;
    }
    let (failed, warnings) = (report.count(State::Failed), report.count(State::Warning));
    anyhow::ensure!(failed == 0, "{failed} failed, {warnings} to be known, {} fine", report.count(State::Ok));
    if !args.json {
        write(&format!("nothing failed, {warnings} to be known, {} fine\n", report.count(State::Ok)))?;
    }
    Ok(())
}

/// One line: the state, what was looked at, what was seen, and the fix.
fn line(check: &Check, colour: Colour) -> String {
    let state = format!("{:7}", check.state.as_str());
    let state = colour.paint(code(check.state), &state);
    let fix = if check.fix.is_empty() { String::new() } else { format!("; fix: {}", printable(&check.fix)) };
    let (name, seen) = (printable(&check.name), printable(&check.seen));
    format!("{state}  {:8}  {name}: {seen}{fix}\n", check.stage.as_str())
}

fn code(state: State) -> u8 {
    match state {
        State::Ok => 32,
        State::Warning => 33,
        State::Failed => 31,
        State::Skipped => 90,
    }
}

fn read_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    let is_plain = url.username().is_empty() && url.password().is_none() && url.has_host();
    if is_plain && matches!(url.scheme(), "http" | "https") {
        Ok(url)
    } else {
        Err("write such as https://app.example.com/".to_owned())
    }
}
