//! What the answer to somebody without a session must be like, and what it means if it is not.

use http::StatusCode;

use super::Walk;
use super::wire::Answer;

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
    if status.is_success() || status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(open(walk, status));
    }
    if status.is_redirection() {
        return redirect(walk, answer, asker);
    }
    if status == StatusCode::UNAUTHORIZED && is_ours(walk, answer) {
        return Ok(match asker {
            Asker::Person => "401 with the address of the sign-in".to_owned(),
            Asker::Program => "401, as a program understands it".to_owned(),
            Asker::Socket => "the upgrade is refused with 401 before anybody signs in".to_owned(),
        });
    }
    if status == StatusCode::FORBIDDEN && walk.refused {
        return Ok("403: nobody may go there, whoever they are".to_owned());
    }
    Err(strange(status))
}

/// A redirect is right for a person, if it leads to a sign-in.
fn redirect(walk: &Walk<'_>, answer: &Answer, asker: Asker) -> Result<String, (String, String)> {
    let Some(to) = walk.leads(answer) else {
        return Err((format!("{} that leads nowhere", answer.status), LOG.to_owned()));
    };
    let shown = format!("{} to {}", answer.status.as_u16(), to.origin().ascii_serialization() + to.path());
    if walk.url.scheme() == "http" && to.scheme() == "https" && to.host() == walk.url.host() {
        return Err((shown, format!("give --url {to}, as http only leads there")));
    }
    match asker {
        Asker::Person if walk.is_sign_in(&to) => Ok(shown),
        Asker::Program | Asker::Socket if walk.is_sign_in(&to) => Err((
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

/// Whether foregate made this answer, or the front proxy from one of foregate's.
fn is_ours(walk: &Walk<'_>, answer: &Answer) -> bool {
    let leads = |to: &str| walk.url.join(to).is_ok_and(|to| walk.is_sign_in(&to));
    let named = serde_json::from_str::<serde_json::Value>(&answer.body).ok();
    let named = named.as_ref().and_then(|body| body["sign_in_url"].as_str());
    let mut told = [answer.header("foregate-sign-in"), answer.header("location"), named]
        .into_iter()
        .flatten()
        .peekable();
    told.peek().is_some() && told.all(leads)
}

const LOG: &str = "look into the logs of the front proxy and of foregate";
