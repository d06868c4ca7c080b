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
        (ours && self.is_own_path(to)) || (self.providers.contains(&to.origin()) && self.comes_back(to))
    }

    /// Whether a provider is to send them back to foregate from there: an app may sign people in by itself.
    pub fn comes_back(&self, to: &Url) -> bool {
        let mut back = to.query_pairs().filter(|(name, _)| name == "redirect_uri");
        let back = back.next().and_then(|(_, back)| Url::parse(&back).ok());
        back.is_some_and(|back| back.origin() == self.own && self.is_own_path(&back))
    }

    fn is_own_path(&self, page: &Url) -> bool {
        self.paths.iter().any(|path| page.path().starts_with(path))
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

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    #[test]
    fn a_sign_in_that_does_not_come_back_to_foregate_is_none() {
        let url = |text: &str| Url::parse(text).expect("a URL");
        let sign_ins = SignIns {
            own: url("https://auth.test/").origin(),
            paths: vec!["/.foregate/", "/oauth2/"],
            providers: vec![url("https://id.test/").origin()],
        };
        for (to, is_sign_in) in [
            ("https://auth.test/.foregate/sign-in?rd=x", true),
            ("https://app.test/oauth2/start", true),
            ("https://auth.test/elsewhere", false),
            ("https://id.test/auth?redirect_uri=https%3A%2F%2Fauth.test%2F.foregate%2Fcallback", true),
            ("https://id.test/auth?redirect_uri=https%3A%2F%2Fapp.test%2F.foregate%2Fcallback", false),
            ("https://id.test/auth?redirect_uri=https%3A%2F%2Fauth.test%2Fcallback", false),
            ("https://id.test/auth", false),
            ("https://else.test/auth?redirect_uri=https%3A%2F%2Fauth.test%2F.foregate%2Fcallback", false),
        ] {
            let headers = HeaderMap::from_iter([(LOCATION, to.parse().expect("a value"))]);
            let answer = Answer { status: StatusCode::FOUND, headers, body: String::new() };
            let meaning = sign_ins.meaning(&url("https://app.test/page"), &answer);
            let expected = if is_sign_in { Meaning::SignIn(url(to)) } else { Meaning::Elsewhere(url(to)) };
            assert_eq!(meaning, expected);
        }
    }
}
