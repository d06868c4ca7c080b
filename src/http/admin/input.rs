//! What a request to the API says, read strictly: every name known, none of them twice. Knows no sessions.

use std::fmt;
use std::time::Duration;

use http::StatusCode;
use http::request::Parts;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use thiserror::Error;
use url::form_urlencoded;

use super::access::{has_type, is_json};

/// The parameters of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Input(Vec<(String, String)>);

/// What is wrong with a request.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(super) enum Malformed {
    /// A parameter that is not known here.
    #[error("`{0}` is not a parameter here")]
    Unknown(String),
    /// A parameter that stands there twice.
    #[error("`{0}` stands there twice")]
    Repeated(String),
    /// A parameter that is not text.
    #[error("`{0}` is not text")]
    NoText(String),
    /// Nobody is named.
    #[error("user is missing or empty")]
    User,
    /// It is not clear what is to end.
    #[error("say which sessions: user=NAME with issuer and subject where several have the name, or all=true")]
    Which,
    /// No session can have this id.
    #[error("a session is named by its 32 hexadecimal digits")]
    Session,
    /// Not a place of ours in a list.
    #[error("after is not the next of an answer")]
    Place,
    /// Too much or nothing at once.
    #[error("limit is a whole number from 1 to {MOST}")]
    Limit,
    /// Another kind of body.
    #[error("the body is application/json or application/x-www-form-urlencoded")]
    Kind,
    /// A body that is not what it says.
    #[error("the body is not a JSON object")]
    Json,
    /// A visit to be explained that cannot be thought of.
    #[error("{0}")]
    Question(String),
    /// A body that is too long or too slow.
    #[error("the body is longer than {LARGEST} bytes, or did not come in time")]
    Body,
}

impl Malformed {
    /// How it is answered.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Kind => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Body => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unknown(_)
            | Self::Repeated(_)
            | Self::NoText(_)
            | Self::User
            | Self::Which
            | Self::Session
            | Self::Place
            | Self::Limit
            | Self::Question(_)
            | Self::Json => StatusCode::BAD_REQUEST,
        }
    }
}

/// Who is meant, from a body of JSON or a form.
pub(super) async fn read(parts: &Parts, body: Incoming) -> Result<Input, Malformed> {
    let (json, form) =
        (is_json(&parts.headers), has_type(&parts.headers, "application/x-www-form-urlencoded"));
    if !json && !form {
        return Err(Malformed::Kind);
    }
    let limited = Limited::new(body, LARGEST);
    let read = tokio::time::timeout(BODY_TIME, limited.collect()).await;
    let bytes = read.map_err(|_| Malformed::Body)?.map_err(|_| Malformed::Body)?.to_bytes();
    let pairs = if json { of_json(&bytes)? } else { form_urlencoded::parse(&bytes).into_owned().collect() };
    Input::new(pairs, &["user", "issuer", "subject"])
}

fn of_json(bytes: &[u8]) -> Result<Vec<(String, String)>, Malformed> {
    let Members(members) = serde_json::from_slice(bytes).map_err(|_| Malformed::Json)?;
    let text = |(name, value)| match value {
        Value::String(text) => Some(Ok((name, text))),
        Value::Null => None,
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Some(Err(Malformed::NoText(name)))
        }
    };
    members.into_iter().filter_map(text).collect()
}

/// The members of a JSON object as they stand there, also twice.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = object.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

impl Input {
    /// The parameters of an address.
    pub(super) fn of_query(parts: &Parts, known: &[&str]) -> Result<Self, Malformed> {
        let query = parts.uri.query().unwrap_or_default();
        Self::new(form_urlencoded::parse(query.as_bytes()).into_owned().collect(), known)
    }

    fn new(pairs: Vec<(String, String)>, known: &[&str]) -> Result<Self, Malformed> {
        for (index, (name, value)) in pairs.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                return Err(Malformed::Unknown(name.clone()));
            }
            if pairs[..index].iter().any(|(other, _)| other == name) {
                return Err(Malformed::Repeated(name.clone()));
            }
            // No store keeps one, and PostgreSQL would answer with an error of its own.
            if value.contains('\0') {
                return Err(Malformed::NoText(name.clone()));
            }
        }
        Ok(Self(pairs))
    }

    /// A parameter that says something.
    pub(super) fn optional(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// How many parameters there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// How much of a list is wanted.
    pub(super) fn limit(&self) -> Result<u32, Malformed> {
        let Some(text) = self.optional("limit") else { return Ok(USUAL) };
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let limit = text.parse().ok().filter(|limit| digits && (1..=MOST).contains(limit));
        limit.ok_or(Malformed::Limit)
    }
}

/// Entries of a list where nobody says how many.
const USUAL: u32 = 100;
/// Entries of a list at most.
const MOST: u32 = 1000;
/// Bytes of the largest body.
const LARGEST: usize = 16 * 1024;
const BODY_TIME: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Result<Input, Malformed> {
        let pairs = form_urlencoded::parse(text.as_bytes()).into_owned().collect();
        Input::new(pairs, &["user", "limit"])
    }

    #[test]
    fn a_parameter_is_known_and_there_once() {
        let input = query("user=a%20b&limit=").unwrap();
        assert_eq!((input.optional("user"), input.optional("limit"), input.len()), (Some("a b"), None, 2));
        assert_eq!(query("usr=a"), Err(Malformed::Unknown("usr".into())));
        assert_eq!(query("user=a%00"), Err(Malformed::NoText("user".into())));
        assert_eq!(query("user=a&user=a"), Err(Malformed::Repeated("user".into())));
    }

    #[test]
    fn a_limit_is_within_reason() {
        for (text, limit) in [
            ("", Ok(100)),
            ("limit=", Ok(100)),
            ("limit=1", Ok(1)),
            ("limit=1000", Ok(1000)),
            ("limit=0", Err(Malformed::Limit)),
            ("limit=1001", Err(Malformed::Limit)),
            ("limit=%2B5", Err(Malformed::Limit)),
            ("limit=-1", Err(Malformed::Limit)),
            ("limit=99999999999", Err(Malformed::Limit)),
            ("limit=x", Err(Malformed::Limit)),
        ] {
            assert_eq!(query(text).unwrap().limit(), limit, "{text}");
        }
    }

    #[test]
    fn a_body_is_an_object_of_texts() {
        assert_eq!(of_json(br#"{"user":"a","issuer":null}"#), Ok(vec![("user".to_owned(), "a".to_owned())]));
        let twice = of_json(br#"{"user":"a","user":"b"}"#).and_then(|pairs| Input::new(pairs, &["user"]));
        assert_eq!(twice, Err(Malformed::Repeated("user".into())));
        for (body, wrong) in [
            ("", Malformed::Json),
            ("[]", Malformed::Json),
            ("\"a\"", Malformed::Json),
            ("{\"user\":\"a\"} x", Malformed::Json),
            ("{\"user\":5}", Malformed::NoText("user".into())),
            ("{\"user\":[\"a\"]}", Malformed::NoText("user".into())),
        ] {
            assert_eq!(of_json(body.as_bytes()), Err(wrong), "{body}");
        }
    }
}
