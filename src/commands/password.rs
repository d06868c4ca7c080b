//! `foregate hash-password`: the hash of a password for `[emergency]`. Shows no password and keeps none.

use std::io::{BufRead as _, IsTerminal as _, Write as _, stderr, stdin};

use anyhow::Context as _;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::emergency;
use crate::secret::Secret;

/// Asks for a password twice on a terminal, without showing it, or reads the first line of what is piped in; yields its hash.
pub(super) fn hash() -> anyhow::Result<String> {
    let password = if stdin().is_terminal() { asked()? } else { line()? };
    anyhow::ensure!(!password.expose().is_empty(), "an empty password opens nothing");
    if password.expose().chars().count() < SHORT {
        tell("This password is short: whoever gets hold of the hash can guess it.\n")?;
    }
    let hash = emergency::hash_password(&password).context("no random numbers can be had")?;
    Ok(hash + "\n")
}

fn asked() -> anyhow::Result<Secret> {
    let quiet = Quiet::begin().context("the terminal cannot be told to be quiet")?;
    tell("Password: ")?;
    let password = line()?;
    tell("\nOnce more: ")?;
    let again = line()?;
    tell("\n")?;
    drop(quiet);
    anyhow::ensure!(password == again, "the two are not the same");
    Ok(password)
}

/// One line, without its end.
fn line() -> anyhow::Result<Secret> {
    let mut line = zeroize::Zeroizing::new(String::new());
    stdin().lock().read_line(&mut line).context("the password cannot be read")?;
    let text = line.strip_suffix('\n').map_or(&**line, |text| text.strip_suffix('\r').unwrap_or(text));
    Ok(Secret::new(text))
}

fn tell(text: &str) -> anyhow::Result<()> {
    let mut stderr = stderr().lock();
    stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush()).context("nothing can be said")
}

/// A terminal that does not show what is typed, until this is dropped.
struct Quiet(Termios);

impl Quiet {
    fn begin() -> rustix::io::Result<Self> {
        let before = tcgetattr(stdin())?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(stdin(), OptionalActions::Flush, &quiet)?;
        Ok(Self(before))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.0);
    }
}

/// Letters below which a password is worth a word.
const SHORT: usize = 12;
