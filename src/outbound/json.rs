//! JSON of a provider, read so that it says one thing: an object that names a member twice means what each reader takes of
//! it (RFC 8259 4). Knows no members.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use thiserror::Error;

/// Why JSON is not taken.
#[derive(Debug, Error)]
pub(crate) enum Fault {
    /// An object in it, at any depth, names a member twice.
    #[error("a member stands there twice")]
    Repeated,
    /// It is no JSON, or not of the shape that is wanted.
    #[error(transparent)]
    Unreadable(#[from] serde_json::Error),
}

/// Reads JSON in which no object names a member twice.
///
/// # Errors
/// See [`Fault`].
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fault> {
    match serde_json::from_slice(bytes) {
        Ok(Single) => Ok(serde_json::from_slice(bytes)?),
        // Every value is one to it, so that nothing else is wrong with the data.
        Err(error) if error.is_data() => Err(Fault::Repeated),
        Err(error) => Err(Fault::Unreadable(error)),
    }
}

/// Any JSON whose members are there once. Keeps none of it, as there are tokens in it.
struct Single;

impl<'de> Deserialize<'de> for Single {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Single {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without a member twice")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self, A::Error> {
        let mut names = HashSet::new();
        while let Some(name) = access.next_key::<String>()? {
            if !names.insert(name) {
                return Err(A::Error::custom("a member twice"));
            }
            access.next_value::<Self>()?;
        }
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Self, A::Error> {
        while access.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_member_is_there_once_at_any_depth() {
        for text in [
            "{}",
            "[]",
            "7",
            r#"{"a":1,"b":{"a":-1,"b":[{"a":1.5e3},{"a":null}]},"c":[true,"a","a"],"A":"\u00e4"}"#,
        ] {
            let found: Value = read(text.as_bytes()).unwrap();
            assert_eq!(found, serde_json::from_str::<Value>(text).unwrap(), "{text}");
        }
        for text in [
            r#"{"sub":"mallory","sub":"alice"}"#,
            r#"{"sub":"alice","sub":"alice"}"#,
            r#"{"active":false,"\u0061ctive":true}"#,
            r#"{"a":{"b":1,"b":1}}"#,
            r#"[{"a":[{"b":1,"b":1}]}]"#,
        ] {
            assert!(matches!(read::<Value>(text.as_bytes()), Err(Fault::Repeated)), "{text}");
        }
        let deep = "[".repeat(100_000);
        for text in ["", "{", "{}{}", "{\"a\":1e999}", "{\"a\":\"\\ud800\"}", deep.as_str()] {
            assert!(matches!(read::<Value>(text.as_bytes()), Err(Fault::Unreadable(_))), "{text:.20}");
        }
        assert!(matches!(read::<Vec<u8>>(b"{}"), Err(Fault::Unreadable(_))), "another shape");
    }
}
