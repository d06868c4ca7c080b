//! Where a visit comes from, looked up only if somebody asks. Knows no networks but those of trusted proxies.

use std::fmt;
use std::net::IpAddr;

use http::HeaderMap;
use ipnet::IpNet;

/// Whom a request came from, with what they say of those before them.
#[derive(Clone, Copy)]
pub struct Client<'r> {
    nearest: Nearest,
    headers: &'r HeaderMap,
    trusted: &'r [IpNet],
}

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nearest {
    /// Whoever it is, as nobody is believed who names another.
    Visitor(IpAddr),
    /// A proxy whose word counts.
    Proxy(IpAddr),
    /// Somebody on this machine who has no address of their own, only this one for lists, and is not believed either.
    Hidden(IpAddr),
}

impl<'r> Client<'r> {
    /// A request with these headers from `nearest`; the proxies in `trusted` are passed over.
    pub fn new(nearest: Nearest, headers: &'r HeaderMap, trusted: &'r [IpNet]) -> Self {
        Self { nearest, headers, trusted }
    }

    /// The visitor's address, for rules: of `X-Forwarded-For` the last that is no trusted proxy. `None` where a proxy
    /// names nobody, or somebody in a way that cannot be read: a proxy is never taken for its visitors.
    pub fn address(&self) -> Option<IpAddr> {
        match self.nearest {
            Nearest::Visitor(address) => Some(address),
            Nearest::Hidden(_) => None,
            Nearest::Proxy(proxy) => self.walk(proxy).ok(),
        }
    }

    /// The address nearest to the visitor that is known, for lists: the proxy's own if it names nobody.
    pub fn nearest_known(&self) -> IpAddr {
        match self.nearest {
            Nearest::Visitor(address) | Nearest::Hidden(address) => address,
            Nearest::Proxy(proxy) => self.walk(proxy).unwrap_or_else(|last| last),
        }
    }

    /// From hop to hop, the nearest first; the error is the last that could be read.
    fn walk(&self, proxy: IpAddr) -> Result<IpAddr, IpAddr> {
        let mut reached = Err(proxy);
        let lines = self.headers.get_all(FORWARDED_FOR).iter().rev();
        for hop in lines.flat_map(|line| line.to_str().unwrap_or("?").rsplit(',')) {
            let (Ok(last) | Err(last)) = reached;
            let address = hop.trim().parse::<IpAddr>().map_err(|_| last)?.to_canonical();
            if !self.trusted.iter().any(|network| network.contains(&address)) {
                return Ok(address);
            }
            reached = Ok(address);
        }
        reached
    }
}

impl fmt::Debug for Client<'_> {
    /// Without the headers, which hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Client").field(&self.nearest).finish()
    }
}

const FORWARDED_FOR: &str = "x-forwarded-for";

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn an_address_is_believed_only_as_far_as_trust_goes() {
        let trusted: Vec<IpNet> = vec!["127.0.0.0/8".parse().unwrap(), "10.0.0.0/8".parse().unwrap()];
        let proxy = Nearest::Proxy("127.0.0.1".parse().unwrap());
        for (lines, address, known) in [
            (&["203.0.113.7"][..], "203.0.113.7", "203.0.113.7"),
            (&["1.1.1.1, 203.0.113.7"], "203.0.113.7", "203.0.113.7"),
            (&["1.1.1.1,203.0.113.7,10.0.0.1"], "203.0.113.7", "203.0.113.7"),
            (&["1.1.1.1, 203.0.113.7", "10.0.0.1"], "203.0.113.7", "203.0.113.7"),
            (&["1.1.1.1", "203.0.113.7"], "203.0.113.7", "203.0.113.7"),
            (&["::ffff:203.0.113.7"], "203.0.113.7", "203.0.113.7"),
            (&["2001:db8::1"], "2001:db8::1", "2001:db8::1"),
            (&["10.1.1.1, 10.0.0.1"], "10.1.1.1", "10.1.1.1"),
            (&["1.1.1.1, rubbish, 10.0.0.1"], "", "10.0.0.1"),
            (&["203.0.113.7, "], "", "127.0.0.1"),
            (&["203.0.113.7", ""], "", "127.0.0.1"),
            (&["a"], "", "127.0.0.1"),
            (&["203.0.113.7:99"], "", "127.0.0.1"),
            (&["[2001:db8::1]"], "", "127.0.0.1"),
            (&["fe80::1%eth0"], "", "127.0.0.1"),
            (&["203.0.113.007"], "", "127.0.0.1"),
            (&[", ,"], "", "127.0.0.1"),
            (&[""], "", "127.0.0.1"),
            (&[], "", "127.0.0.1"),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(FORWARDED_FOR, HeaderValue::from_str(line).unwrap());
            }
            let client = Client::new(proxy, &headers, &trusted);
            let found = client.address().map(|address| address.to_string()).unwrap_or_default();
            assert_eq!(
                (found.as_str(), client.nearest_known().to_string().as_str()),
                (address, known),
                "{lines:?}"
            );
            let stranger = Client::new(Nearest::Visitor("198.51.100.1".parse().unwrap()), &headers, &trusted);
            assert_eq!(stranger.address(), Some(stranger.nearest_known()));
            assert_eq!(stranger.nearest_known().to_string(), "198.51.100.1");
            let hidden = Client::new(Nearest::Hidden("127.0.0.1".parse().unwrap()), &headers, &trusted);
            assert_eq!(
                (hidden.address(), hidden.nearest_known().to_string()),
                (None, "127.0.0.1".to_owned())
            );
        }
    }
}
