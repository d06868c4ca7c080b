//! Small words that several products share: hosts, addresses, times, lists, terms. Knows no product.

use ipnet::IpNet;
use url::Url;

use super::plan::{Plan, Secret, Terms, Verdict};
use super::{ImportError, Wish};
use crate::policy::HostPattern;

/// Puts what the operator says in the place of what the source says.
pub(super) fn settle(plan: &mut Plan, wish: &Wish) -> Result<(), ImportError> {
    let taken = |own: &Option<String>, found: Option<String>| own.clone().or(found);
    if let Some(url) = &wish.public_url {
        let origin =
            origin(url).ok_or_else(|| ImportError::Wish(format!("--public-url {url} is no address")))?;
        plan.public_url = Some(origin);
    }
    plan.provider.issuer = taken(&wish.issuer, plan.provider.issuer.take());
    plan.provider.client_id = taken(&wish.client_id, plan.provider.client_id.take());
    if let Some(file) = &wish.client_secret_file {
        plan.provider.secret = Some(Secret::File(file.clone()));
    }
    Ok(())
}

/// Who may use what the source only says of that it is protected; `None` if nobody said.
pub(super) fn allowed(wish: &Wish) -> Option<Verdict> {
    wish.allow.as_deref().map(|term| match term {
        "public" => Verdict::Public,
        "nobody" => Verdict::Nobody,
        term => Verdict::who(Terms::any(commas(term))),
    })
}

/// Scheme, host and port of an address; http only where foregate takes it, on this machine.
pub(super) fn origin(text: &str) -> Option<String> {
    let mut url = Url::parse(text).ok().filter(Url::has_host)?;
    let host = url.host_str()?.to_owned();
    let here =
        host == "localhost" || host.ends_with(".localhost") || host == "[::1]" || host.starts_with("127.");
    if url.scheme() == "http" && !here {
        url.set_scheme("https").ok()?;
    }
    matches!(url.scheme(), "http" | "https").then(|| url.origin().ascii_serialization())
}

/// The host of an address or of `host:port`.
pub(super) fn host_of(text: &str) -> Option<String> {
    let url = if text.contains("://") {
        Url::parse(text).ok()?
    } else {
        Url::parse(&format!("https://{text}")).ok()?
    };
    host_key(url.host_str()?)
}

/// A key of `[apps]`: a host, or `*.` and a host.
pub(super) fn host_key(text: &str) -> Option<String> {
    match HostPattern::parse(text.trim()).ok()? {
        HostPattern::Exact(host) => Some(host),
        // `*.` before a public suffix would be everybody's hosts.
        HostPattern::Wildcard(host) => host.contains('.').then(|| format!("*.{host}")),
    }
}

/// What stands between commas.
pub(super) fn commas(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|one| !one.is_empty()).map(str::to_owned).collect()
}

/// `user:`, `group:` or the like and a name, if foregate's terms can have that name.
pub(super) fn term(kind: &str, name: &str) -> Option<String> {
    let fits = !name.is_empty()
        && name.trim() == name
        && !name.contains(|c: char| c.is_control() || "{}".contains(c));
    fits.then(|| format!("{kind}:{name}"))
}

/// An address, or `*@` and a domain.
pub(super) fn email(text: &str) -> Option<String> {
    let (name, domain) = text.split_once('@')?;
    let sound = |part: &str| {
        !part.is_empty()
            && !part.contains(|c: char| c.is_whitespace() || c.is_control() || "*@{}".contains(c))
    };
    ((name == "*" || sound(name)) && sound(domain)).then(|| format!("email:{text}"))
}

/// A network or an address.
pub(super) fn network(text: &str) -> Option<String> {
    let text = text.trim();
    let net: IpNet = text.parse().ok().or_else(|| text.parse::<std::net::IpAddr>().ok().map(IpNet::from))?;
    let net = net.trunc();
    let whole = net.prefix_len() == net.max_prefix_len();
    Some(if whole { format!("network:{}", net.addr()) } else { format!("network:{net}") })
}

/// Whether a flag is on; `None` if that cannot be told.
pub(super) fn is_on(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "t" | "yes" | "on" => Some(true),
        "false" | "0" | "f" | "no" | "off" | "" => Some(false),
        _ => None,
    }
}

/// A length of time in seconds, as Go, Authelia and authentik write it; a bare number is seconds.
pub(super) fn seconds(text: &str) -> Option<u64> {
    let text = text.trim();
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let mut total = 0_u64;
    let mut rest = text;
    while !rest.is_empty() {
        // authentik writes `hours=24;minutes=30`.
        let (number, unit, behind) = match rest.split_once('=') {
            Some((unit, behind)) => {
                let (number, behind) = behind.split_once(';').unwrap_or((behind, ""));
                (number, unit, behind)
            }
            None => {
                let digits = rest.find(|c: char| !c.is_ascii_digit())?;
                let (number, behind) = rest.split_at(digits);
                let behind = behind.trim_start();
                let letters = behind.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(behind.len());
                let (unit, behind) = behind.split_at(letters);
                (number, unit, behind.trim_start())
            }
        };
        let factor = match unit.trim() {
            "s" | "second" | "seconds" => 1,
            "m" | "minute" | "minutes" => 60,
            "h" | "hour" | "hours" => 3600,
            "d" | "day" | "days" => 86_400,
            "w" | "week" | "weeks" => 604_800,
            "M" | "month" | "months" => 2_592_000,
            "y" | "year" | "years" => 31_536_000,
            _ => return None,
        };
        total = total.checked_add(number.trim().parse::<u64>().ok()?.checked_mul(factor)?)?;
        rest = behind;
    }
    (total > 0).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_three_products() {
        for (text, wanted) in [
            ("43200", Some(43_200)),
            ("168h0m0s", Some(604_800)),
            ("1h30m", Some(5400)),
            ("1 hour", Some(3600)),
            ("5 minutes", Some(300)),
            ("hours=24", Some(86_400)),
            ("days=1;hours=2", Some(93_600)),
            ("1M", Some(2_592_000)),
            ("", None),
            ("soon", None),
            ("-1h", None),
        ] {
            assert_eq!(seconds(text), wanted, "{text}");
        }
    }

    #[test]
    fn addresses_and_hosts() {
        assert_eq!(
            origin("http://app.example.com/oauth2/callback").as_deref(),
            Some("https://app.example.com")
        );
        assert_eq!(origin("http://localhost:8080/x").as_deref(), Some("http://localhost:8080"));
        assert_eq!(origin("/oauth2/callback"), None);
        assert_eq!(host_of("https://A.example.com:8443/x").as_deref(), Some("a.example.com"));
        assert_eq!((host_key("*.com"), host_key("*.example.com").as_deref()), (None, Some("*.example.com")));
        assert_eq!(network("10.1.2.3/8").as_deref(), Some("network:10.0.0.0/8"));
        assert_eq!((network("192.0.2.7").as_deref(), network("lan")), (Some("network:192.0.2.7"), None));
        assert_eq!((email("*@example.com").as_deref(), email("a b@c")), (Some("email:*@example.com"), None));
        assert_eq!((term("group", "a b").as_deref(), term("group", "{x}")), (Some("group:a b"), None));
    }
}
