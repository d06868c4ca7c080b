//! Parameters of an address or a form, and cookies, read strictly. Knows no meaning of theirs.

use std::time::Duration;

use cookie::Cookie;
use http::HeaderMap;
use http::StatusCode;
use http::header::{CONTENT_TYPE, COOKIE};
use http::request::Parts;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use url::form_urlencoded;

use super::refused::Refused;

/// The parameters as they came.
#[derive(Debug)]
pub(super) struct Form(Vec<(String, String)>);

/// A parameter that stands there twice, which RFC 6749 3.1 forbids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Repeated;

impl Form {
    /// The parameters of an address.
    pub(super) fn of_address(parts: &Parts) -> Self {
        Self::parse(parts.uri.query().unwrap_or_default().as_bytes())
    }

    /// The parameters in a body.
    ///
    /// # Errors
    /// [`Refused::Here`] if it is not a form, larger than [`LARGEST_BYTES`], or does not arrive.
    pub(super) async fn of_body(parts: &Parts, body: Incoming) -> Result<Self, Refused> {
        let kind = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(Refused::Here(StatusCode::UNSUPPORTED_MEDIA_TYPE, "A form was expected."));
        }
        let read = tokio::time::timeout(ARRIVAL, Limited::new(body, LARGEST_BYTES).collect()).await;
        let read =
            read.map_err(|_| Refused::Here(StatusCode::REQUEST_TIMEOUT, "The form did not arrive."))?;
        let read =
            read.map_err(|_| Refused::Here(StatusCode::PAYLOAD_TOO_LARGE, "The form is too large."))?;
        Ok(Self::parse(&read.to_bytes()))
    }

    fn parse(bytes: &[u8]) -> Self {
        Self(form_urlencoded::parse(bytes).into_owned().collect())
    }

    /// The one value of a parameter; an empty one counts as none (RFC 6749 3.1).
    ///
    /// # Errors
    /// [`Repeated`] if there are several.
    pub(super) fn one(&self, name: &str) -> Result<Option<&str>, Repeated> {
        let mut values = self.0.iter().filter(|(other, _)| other == name).map(|(_, value)| value.as_str());
        let first = values.next();
        if values.next().is_some() { Err(Repeated) } else { Ok(first.filter(|value| !value.is_empty())) }
    }
}

/// The first cookie of this name.
pub(super) fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut cookies = lines.flat_map(|line| line.split(';')).filter_map(|pair| Cookie::parse(pair).ok());
    cookies.find(|cookie| cookie.name() == name)?.value_raw()
}

/// Bytes of the largest form.
const LARGEST_BYTES: usize = 16 * 1024;
/// Time a form has to arrive.
const ARRIVAL: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use http::header::HeaderValue;

    use super::*;

    #[test]
    fn a_parameter_stands_there_once_or_not_at_all() {
        let form = Form::parse(b"a=1&b=2&b=2&c=&d=x%20y+z");
        assert_eq!(form.one("a"), Ok(Some("1")));
        assert_eq!(form.one("b"), Err(Repeated));
        assert_eq!((form.one("c"), form.one("e")), (Ok(None), Ok(None)));
        assert_eq!(form.one("d"), Ok(Some("x y z")));
    }

    #[test]
    fn cookies_are_found_by_their_whole_name() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("xname=0; a=b"));
        headers.append(COOKIE, HeaderValue::from_static("name=1; name=2"));
        assert_eq!(cookie(&headers, "name"), Some("1"));
        assert_eq!(cookie(&headers, "nam"), None);
    }
}
