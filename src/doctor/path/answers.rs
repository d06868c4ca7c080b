//! What the answer to somebody without a session must be like, and what it means if it is not.

use http::StatusCode;
use url::Url;

use super::Walk;
use crate::outside::{Answer, Meaning};

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asker {
    /// A browser, for a page.
    Person,
    /// A script or a program.
    Program,
    /// A browser, for a WebSocket.
    Socket,
}

/// What was seen if all is well; else that, and what to do.
pub(super) fn judge(
    walk: &Walk<'_>,
    answer: &Result<Answer, String>,
    asker: Asker,
) -> Result<String, (String, String)> {
    let answer = answer.as_ref().map_err(|error| {
        (
            error.clone(),
            "look into the front proxy's log: it took the connection and did not answer".to_owned(),
        )
    })?;
    let status = answer.status;
    match walk.sign_ins.meaning(walk.url, answer) {
        Meaning::Open => Err(open(walk, status)),
        Meaning::Nowhere => Err((format!("{status} that leads nowhere"), LOG.to_owned())),
        Meaning::SignIn(to) => redirect(walk, (status, &to, true), asker),
        Meaning::Elsewhere(to) => redirect(walk, (status, &to, false), asker),
        Meaning::Unauthorized => Ok(match asker {
            Asker::Person => "401 with the address of the sign-in".to_owned(),
            Asker::Program => "401, as a program understands it".to_owned(),
            Asker::Socket => "the upgrade is refused with 401 before anybody signs in".to_owned(),
        }),
        Meaning::Forbidden if walk.refused => Ok("403: nobody may go there, whoever they are".to_owned()),
        Meaning::Forbidden | Meaning::Strange => Err(strange(status)),
    }
}

/// A redirect is right for a person, if it leads to a sign-in.
fn redirect(
    walk: &Walk<'_>,
    (status, to, is_sign_in): (StatusCode, &Url, bool),
    asker: Asker,
) -> Result<String, (String, String)> {
    let shown = format!("{} to {}", status.as_u16(), to.origin().ascii_serialization() + to.path());
    if walk.url.scheme() == "http" && to.scheme() == "https" && to.host() == walk.url.host() {
        return Err((shown, format!("give --url {to}, as http only leads there")));
    }
    match asker {
        Asker::Person if is_sign_in => Ok(shown),
        Asker::Program | Asker::Socket if is_sign_in => Err((
            format!("{shown}: a program cannot follow"),
            "let the front proxy pass on the 401 of foregate as it is".to_owned(),
        )),
        Asker::Person | Asker::Program | Asker::Socket => Err((
            format!(
                "{shown}, which is no sign-in of foregate: the app itself seems to answer, not protected"
            ),
            protect(walk),
        )),
    }
}

fn open(walk: &Walk<'_>, status: StatusCode) -> (String, String) {
    (format!("NOT PROTECTED: {} for somebody without a session", status.as_u16()), protect(walk))
}

fn strange(status: StatusCode) -> (String, String) {
    let fix = match status.as_u16() {
        403 => {
            "see that no other check stands before foregate, and that it trusts the front proxy: its log has the line to add"
        }
        404 => "see that the front proxy has a route for this host, and asks foregate before it",
        502..=504 | 500 => "see that foregate runs, and that the front proxy reaches it",
        _ => LOG,
    };
    (format!("{status}, which is no sign-in"), fix.to_owned())
}

fn protect(walk: &Walk<'_>) -> String {
    let host = walk.url.host_str().unwrap_or_default();
    format!("let the front proxy ask foregate about this host: `foregate snippet … --host {host}` prints how")
}

const LOG: &str = "look into the logs of the front proxy and of foregate";
