//! One request as the visitor made it. Knows neither rules nor sessions, nor which front proxy sent it.

mod app_token;
mod authorization;
mod client;
mod destination;
mod host;
mod overrides;
mod path;
mod tenant;

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use http::Method;
use thiserror::Error;

pub use app_token::{APP_TOKEN, AppToken, RANDOM_BYTES, ShownToken, holds_app_token};
pub use authorization::{Authorization, Shown};
pub use client::{Client, Nearest};
pub use destination::{Destination, has_one as has_destination};
pub use host::{is_within, parse_host};
pub use overrides::{
    ELSEWHERE, METHOD_HEADERS, Overrides, folded, moves_root, overrides as overrides_method,
};
pub use path::Path;
pub use tenant::{AskedTenant, UnclearTenant};

/// What a visitor asks for, and with what.
#[derive(Debug)]
pub struct Visit<'r> {
    /// What is asked for.
    pub target: Target<'r>,
    /// The session cookies the visitor shows for it.
    pub credential: Credential,
    /// What else the visitor shows, for whoever asks.
    pub authorization: Authorization<'r>,
    /// The tenant that it names, for whoever asks.
    pub tenant: AskedTenant<'r>,
    /// Where the visitor is; nobody knows without it.
    pub client: Option<Client<'r>>,
}

impl<'r> Visit<'r> {
    /// The same visit, from there.
    #[must_use]
    pub fn from(self, client: Client<'r>) -> Self {
        Self { client: Some(client), ..self }
    }

    /// The same visit to another path of the host, without what shows who it is.
    #[must_use]
    pub fn to_path<'v>(&'v self, path: Path<'v>) -> Visit<'v> {
        let Target { scheme, ref host, query, ref method, overrides, destination, .. } = self.target;
        let (host, method) = (Cow::Borrowed(&**host), method.clone());
        let target = Target { scheme, host, path, query, method, overrides, destination };
        Visit {
            target,
            credential: Credential::None,
            authorization: Authorization::default(),
            tenant: self.tenant,
            client: self.client,
        }
    }

    /// The visitor's address, if it is known for sure.
    pub fn address(&self) -> Option<IpAddr> {
        self.client.as_ref()?.address()
    }
}

/// The address of a visit.
#[derive(Debug)]
pub struct Target<'r> {
    /// `http` or `https`, as the browser sees it.
    pub scheme: Scheme,
    /// Lower case, without port or trailing dot.
    pub host: Cow<'r, str>,
    /// The path, judged only in its canonical form.
    pub path: Path<'r>,
    /// The query without its `?`, as sent.
    pub query: Option<&'r [u8]>,
    /// The method of the visitor's own request.
    pub method: Method,
    /// Where else some servers would look for a method.
    pub overrides: Overrides<'r>,
    /// Where it is to be put, if it is moved or copied.
    pub destination: Destination<'r>,
}

impl Target<'_> {
    /// Whether some server could act on it as on a request of another method.
    pub fn names_other_method(&self) -> bool {
        self.overrides.differ_from(&self.method, self.query)
    }

    /// Whether some server could serve another path for it than the one that it names.
    pub fn names_other_root(&self) -> bool {
        self.overrides.name_a_root()
    }
}

/// Whether a method is in the letters that all registered ones have: an unknown one is judged like any other. Methods are
/// case-sensitive (RFC 9110 9.1), and software that folds `post` into `POST` would step around a rule for it. `CONNECT` is
/// none that can be judged: it asks for a tunnel (RFC 9110 9.3.6), and nobody would judge what goes through that.
pub fn can_be_judged(method: &Method) -> bool {
    let word = method.as_str().as_bytes();
    *method != Method::CONNECT
        && word.len() <= LONGEST_METHOD
        && word.iter().all(|byte| byte.is_ascii_uppercase() || *byte == b'-')
}

/// The scheme, the host with its port, and the path with its query of a whole address, none of them looked at.
///
/// # Errors
/// [`Malformed::Scheme`] or [`Malformed::Path`] if it has none.
pub fn split_url(url: &[u8]) -> Result<[&[u8]; 3], Malformed> {
    let colon = url.windows(3).position(|part| part == b"://").ok_or(Malformed::Scheme)?;
    let rest = &url[colon + 3..];
    let (host, path) = rest.split_at(rest.iter().position(|&byte| byte == b'/').ok_or(Malformed::Path)?);
    Ok([&url[..colon], host, path])
}

/// Letters of the longest method looked at.
const LONGEST_METHOD: usize = 32;

/// The two schemes a visit can have; `ws` and `wss` read as these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Clear text, or a TLS terminated by nobody we trust.
    Http,
    /// TLS up to the front proxy.
    Https,
}

impl Scheme {
    /// Reads `http`, `https`, `ws` or `wss` in any letter case.
    ///
    /// # Errors
    /// Every other word, lists included, is [`Malformed::Scheme`].
    pub fn parse(word: &[u8]) -> Result<Self, Malformed> {
        match word {
            b"https" => Ok(Self::Https),
            b"http" => Ok(Self::Http),
            _ if word.eq_ignore_ascii_case(b"https") || word.eq_ignore_ascii_case(b"wss") => Ok(Self::Https),
            _ if word.eq_ignore_ascii_case(b"http") || word.eq_ignore_ascii_case(b"ws") => Ok(Self::Http),
            _ => Err(Malformed::Scheme),
        }
    }

    /// The port of URLs that name none.
    pub fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }

    /// The scheme as it stands in a URL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// The session that a visitor's cookies show. Whether it is worth anything is not known here.
#[derive(Debug, Default)]
pub enum Credential {
    /// Nothing that foregate reads.
    #[default]
    None,
    /// One or more well-formed session cookies, in the order sent; a neighbour may have added its own.
    Session(SessionHandle, Vec<SessionHandle>),
}

/// Who waits for the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// A person opening a page: redirects and pages help.
    Navigation,
    /// A script, a socket or a program: only a status helps.
    Call,
}

/// Bytes of the public half of a [`SessionHandle`].
pub const HANDLE_ID_BYTES: usize = 16;
/// Bytes of a whole [`SessionHandle`].
pub const HANDLE_BYTES: usize = 48;

/// The random value a session cookie carries: 16 bytes to find it by, 32 bytes that must match.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionHandle(pub [u8; HANDLE_BYTES]);

impl SessionHandle {
    /// The half that finds the session.
    pub fn id(&self) -> [u8; HANDLE_ID_BYTES] {
        let mut id = [0; HANDLE_ID_BYTES];
        id.copy_from_slice(&self.0[..HANDLE_ID_BYTES]);
        id
    }

    /// The half that proves it and opens what is sealed under it.
    pub fn secret(&self) -> &[u8] {
        &self.0[HANDLE_ID_BYTES..]
    }
}

impl fmt::Debug for SessionHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Why a request could not be read as one visit. Always a 400: nothing is guessed.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Malformed {
    /// A header the front proxy must send is not there or empty.
    #[error("the header {0} is missing: the front proxy must send it")]
    Missing(&'static str),
    /// A header that must be one line came as several, or as a list.
    #[error("the header {0} was sent more than once: the front proxy must overwrite what clients send")]
    Repeated(&'static str),
    /// A header name that some software reads as one of ours, such as `X_Forwarded_Uri`.
    #[error("a look-alike of the header {0} was sent: the front proxy must drop it")]
    Alias(&'static str),
    /// A scheme that is neither http nor https.
    #[error("the scheme is neither http nor https")]
    Scheme,
    /// A method that is no HTTP token, or none that can be judged.
    #[error("the method is not a valid HTTP method, or asks for a tunnel")]
    Method,
    /// A host that is empty, not a name or address, or given twice differently.
    #[error("the host is not a valid name or address")]
    Host,
    /// A path that servers read differently: dot segments, control bytes, `#`, broken percent-encoding.
    #[error("the path is not a valid, unambiguous URL path")]
    Path,
    /// A query with control bytes or a `#`.
    #[error("the query is not valid")]
    Query,
}
