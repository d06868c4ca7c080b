//! What an answer to somebody without a session means. Knows not who asked, nor what is to be done.

use http::StatusCode;
use http::header::LOCATION;
use url::{Origin, Url};

use super::wire::Answer;

/// Where people sign in, as far as an answer can lead there.
#[derive(Clone, Debug)]
pub struct SignIns {
    /// The origin of foregate's own pages.
    pub own: Origin,
    /// How the paths of those pages begin, there and on each host.
    pub paths: Vec<&'static str>,
    /// The origins of providers.
    pub providers: Vec<Origin>,
}

/// What an answer means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The page is there, for anybody.
    Open,
    /// They are sent to where people sign in.
    SignIn(Url),
    /// They are sent elsewhere.
    Elsewhere(Url),
    /// They are sent nowhere.
    Nowhere,
    /// 401, with the address of the sign-in or of nothing else.
    Unauthorized,
    /// 403.
    Forbidden,
    /// Something else, such as 404 or 502.
    Strange,
}

impl SignIns {
    /// What this answer about `asked` means.
    pub fn meaning(&self, asked: &Url, answer: &Answer) -> Meaning {
        let status = answer.status;
        if status.is_success() || status == StatusCode::SWITCHING_PROTOCOLS {
            return Meaning::Open;
        }
        if status.is_redirection() {
            return match leads(asked, answer) {
                Some(to) if self.is_at(asked, &to) => Meaning::SignIn(to),
                Some(to) => Meaning::Elsewhere(to),
                None => Meaning::Nowhere,
            };
        }
        match status {
            StatusCode::UNAUTHORIZED if self.is_named_by(asked, answer) => Meaning::Unauthorized,
            StatusCode::FORBIDDEN => Meaning::Forbidden,
            _ => Meaning::Strange,
        }
    }

    /// Whether people sign in there.
    fn is_at(&self, asked: &Url, to: &Url) -> bool {
        let ours = [&self.own, &asked.origin()].contains(&&to.origin());
        (ours && self.paths.iter().any(|path| to.path().starts_with(path)))
            || self.providers.contains(&to.origin())
    }

    /// Whether foregate made this answer, or the front proxy from one of foregate's.
    fn is_named_by(&self, asked: &Url, answer: &Answer) -> bool {
        let named = serde_json::from_str::<serde_json::Value>(&answer.body).ok();
        let named = named.as_ref().and_then(|body| body["sign_in_url"].as_str());
        let told = [answer.header("foregate-sign-in"), answer.header("location"), named];
        let mut told = told.into_iter().flatten().filter(|to| !to.is_empty()).peekable();
        told.peek().is_some() && told.all(|to| asked.join(to).is_ok_and(|to| self.is_at(asked, &to)))
    }
}

fn leads(asked: &Url, answer: &Answer) -> Option<Url> {
    let location = answer.headers.get(LOCATION)?.to_str().ok()?;
    asked.join(location).ok()
}
