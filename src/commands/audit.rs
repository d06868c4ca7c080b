//! What commands do, written down in the audit log of the foregate whose store they change.

use super::tell;
use crate::config::Config;
use crate::http::unix_millis;
use crate::journal::{By, Event, Record, Somebody, write_once};
use crate::session::store::{Person, PersonKey};

/// Writes down what a command has done. Where that is not possible it says so, as the deed is done.
pub(super) fn note(config: &Config, record: Record) {
    let Some(output) = &config.journals.audit else { return };
    let uid = Some(rustix::process::getuid().as_raw());
    let record = Record { by: Some(By::Command), uid, ..record };
    if let Err(error) = write_once(output, unix_millis(), &record) {
        tell(&format!(
            "warning: this is done, but it is not in the audit log, which could not be written: {error}"
        ));
    }
}

/// A record about a person.
pub(super) fn about(person: &Person, event: Event) -> Record {
    let PersonKey { issuer, subject } = person.key.clone();
    Record { who: Somebody { user: person.username.clone(), issuer, subject }, ..Record::of(event) }
}
