//! The tenant that a request names for itself. Knows nobody's memberships.

use std::fmt;

use http::header::{HeaderMap, HeaderName};

/// What a request says of tenants, not looked at before somebody asks; nothing by default.
#[derive(Clone, Copy, Default)]
pub enum AskedTenant<'r> {
    /// Nothing is said.
    #[default]
    Nothing,
    /// This one.
    Named(&'r str),
    /// The one that these headers name, if they do.
    In(&'r HeaderMap),
}

/// That a request does not name one tenant, and servers may read several out of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnclearTenant;

impl<'r> AskedTenant<'r> {
    /// The tenant that is named in the header of this name; an empty one names none.
    ///
    /// # Errors
    /// [`UnclearTenant`] if there are two lines, or one that some server would join or split: lines of one name are a
    /// list with commas (RFC 9110 5.3).
    pub fn named(self, header: &HeaderName) -> Result<Option<&'r str>, UnclearTenant> {
        let headers = match self {
            Self::Nothing => return Ok(None),
            Self::Named(name) => return Ok(Some(name)),
            Self::In(headers) => headers,
        };
        let mut lines = headers.get_all(header).iter();
        let Some(line) = lines.next() else { return Ok(None) };
        let text = std::str::from_utf8(line.as_bytes()).map_err(|_| UnclearTenant)?;
        if lines.next().is_some() || text.contains(|c: char| c.is_control() || c == ',') {
            return Err(UnclearTenant);
        }
        Ok(Some(text).filter(|text| !text.is_empty()))
    }
}

impl fmt::Debug for AskedTenant<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("Nothing"),
            Self::Named(name) => write!(f, "Named({name:?})"),
            Self::In(_) => f.write_str("In(…)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn one_line_names_one_tenant() {
        let header = HeaderName::from_static("x-tenant-id");
        for (lines, named) in [
            (&[][..], Ok(None)),
            (&[""], Ok(None)),
            (&["acme"], Ok(Some("acme"))),
            (&["Ä b|c"], Ok(Some("Ä b|c"))),
            (&["acme", "acme"], Err(UnclearTenant)),
            (&["acme", ""], Err(UnclearTenant)),
            (&["", "acme"], Err(UnclearTenant)),
            (&["acme,beta"], Err(UnclearTenant)),
            (&["acme\tbeta"], Err(UnclearTenant)),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(&header, HeaderValue::from_bytes(line.as_bytes()).unwrap());
            }
            assert_eq!(AskedTenant::In(&headers).named(&header), named, "{lines:?}");
        }
        let mut headers = HeaderMap::new();
        headers.append(&header, HeaderValue::from_bytes(b"\xff").unwrap());
        assert_eq!(AskedTenant::In(&headers).named(&header), Err(UnclearTenant));
        headers.clear();
        headers.append("x_tenant_id", HeaderValue::from_static("acme"));
        assert_eq!(AskedTenant::In(&headers).named(&header), Ok(None));
    }
}
