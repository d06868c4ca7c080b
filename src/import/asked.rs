//! What the address of a check demands by its query, in oauth2-proxy's words. Knows no product that writes such addresses.

use std::collections::BTreeMap;

use super::plan::{Terms, Verdict};
use super::words::{commas, email, term};

/// What an address demands beside what its server does.
pub(super) struct Demands {
    /// `Public` if it demands nothing.
    pub(super) verdict: Verdict,
    /// Parameters that foregate has no words for.
    pub(super) unknown: Vec<String>,
}

impl Demands {
    /// Reads the query. All before it may have variables, so that the address need not be one.
    pub(super) fn of(address: &str) -> Self {
        let query = address.split_once('?').map_or("", |(_, query)| query);
        let query = query.split('#').next().unwrap_or_default();
        let mut demands = Self { verdict: Verdict::Public, unknown: Vec::new() };
        let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (parameter, value) in url::form_urlencoded::parse(query.as_bytes()) {
            values.entry(parameter.into_owned()).or_default().push(value.into_owned());
        }
        // Any value of a parameter will do, and every parameter has to be met.
        for (parameter, values) in values {
            match terms(&parameter, &values.join(",")) {
                Some(terms) => demands.verdict = demands.verdict.and(&Verdict::who(terms)),
                None => demands.unknown.push(parameter),
            }
        }
        demands
    }
}

fn terms(parameter: &str, value: &str) -> Option<Terms> {
    let given = commas(value);
    let terms: Option<Vec<String>> = match parameter {
        "allowed_groups" => given.iter().map(|one| term("group", one)).collect(),
        "allowed_emails" => given.iter().map(|one| email(one)).collect(),
        "allowed_email_domains" => given
            .iter()
            // One that begins with a dot means what is below it.
            .map(|one| email(&format!("*@{one}")).filter(|_| !one.starts_with('.')))
            .collect(),
        _ => None,
    };
    // A `$` begins a variable of the front proxy.
    terms.filter(|terms| !terms.is_empty() && !value.contains('$')).map(Terms::any)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_demands_what_it_says_or_is_told() {
        let group = |name: &str| Verdict::who(Terms::one(format!("group:{name}")));
        for (address, verdict, unknown) in [
            ("http://x:4180/oauth2/auth", Verdict::Public, ""),
            ("http://x/auth?allowed_groups=a", group("a"), ""),
            ("https://$host:$server_port/auth?allowed_groups=a#x", group("a"), ""),
            (
                "x?allowed_groups=a&allowed_groups=b",
                Verdict::who(Terms::any(["group:a", "group:b"].map(str::to_owned))),
                "",
            ),
            ("x?allowed_groups=", Verdict::Public, "allowed_groups"),
            ("x?allowed_groups=$arg_group", Verdict::Public, "allowed_groups"),
            ("x?allowed_groups=a&allowed_groups=$b", Verdict::Public, "allowed_groups"),
            ("x?allowed_email_domains=*.a.org", Verdict::Public, "allowed_email_domains"),
            ("x?allowed_email_domains=.a.org", Verdict::Public, "allowed_email_domains"),
            ("x?zone=9", Verdict::Public, "zone"),
        ] {
            let demands = Demands::of(address);
            assert_eq!((demands.verdict, demands.unknown.concat().as_str()), (verdict, unknown), "{address}");
        }
    }
}
