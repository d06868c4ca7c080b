//! The names of headers that the chart writes into resources of front proxies: they are those of `foregate snippet`, for
//! every setting that adds one.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{configuration, objects, render};
use crate::support::foregate::run;
use foregate::visit::METHOD_HEADERS;

/// Settings in JSON that add or change names, each for itself and all together.
const CASES: [&[&str]; 11] = [
    &[],
    &[r#"config.headers="authentik""#],
    &[r#"config.headers="oauth2-proxy""#],
    &[r#"config.headers={"X-WEBAUTH-USER":"{username}"}"#],
    &[r#"config.apps={"wiki.example.com":{"allow":"signed-in","headers":"oauth2-proxy"}}"#],
    &[ROLES],
    &[r#"config.tenants={"claim":"tenants"}"#],
    &[TENANTS],
    &["config.assertion=true"],
    &[EMERGENCY, r#"config.apps={"vault.example.com":{"allow":"signed-in","emergency":true}}"#],
    &[
        ROLES,
        TENANTS,
        EMERGENCY,
        r#"config.apps={"wiki.example.com":{"allow":"signed-in","headers":{"X-Mail":"{email}"},"assertion":true},"vault.example.com":{"allow":"signed-in","emergency":true}}"#,
    ],
];
const ROLES: &str = r#"config.roles={"editor":{"groups":["family"]}}"#;
pub const TENANTS: &str = r#"config.tenants={"claim":"tenants","header":"X-Org"}"#;
pub const EMERGENCY: &str = r#"config.emergency={"users":["ops:$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc:ops"]}"#;

/// Both kinds of checks.
pub const CHECKS: [&str; 2] = [
    r#"traefik.middlewareNamespaces=["apps"]"#,
    r#"envoyGateway.securityPolicies=[{"namespace":"auth","name":"wiki","targetRefs":[{"group":"gateway.networking.k8s.io","kind":"HTTPRoute","name":"wiki"}]}]"#,
];

#[test]
fn no_name_that_foregate_speaks_of_is_missing_in_the_charts_checks() {
    let rendered = CASES.map(|case| {
        let text = render("minimal", &[], &[case, &CHECKS].concat());
        text.unwrap_or_else(|error| panic!("{case:?}: {error}"))
    });
    for (case, objects) in CASES.iter().zip(objects(&rendered.each_ref().map(String::as_str))) {
        let (dir, ..) = configuration(&objects, "foregate");
        let printed = |proxy: &str| {
            ["wiki", "vault", "any"].map(|app| {
                let host = format!("{app}.example.com");
                let (code, text, err) = run(&["snippet", proxy, "--host", &host], dir.path());
                assert_eq!(code, Some(0), "{case:?}: {err}");
                text
            })
        };
        traefik_is_told_the_same(case, &objects, &printed("traefik"));
        envoy_gateway_is_told_the_same(case, &objects, &printed("envoy"));
    }
}

fn traefik_is_told_the_same(case: &[&str], objects: &[Value], snippets: &[String]) {
    let check = part(objects, "/spec/forwardAuth");
    let told = names(&check["authResponseHeaders"]);
    let line = |snippet: &str, name: &str| {
        let line = snippet.lines().find_map(|line| line.trim().strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name} in\n{snippet}")).trim().to_ascii_lowercase()
    };
    let of_snippet = |snippet: &String| -> Vec<String> {
        let list = line(snippet, "authResponseHeaders:");
        list.trim_matches(['[', ']']).split(", ").map(str::to_owned).collect()
    };
    assert_eq!(told, snippets.iter().flat_map(of_snippet).collect(), "{case:?}");
    let pattern = check["authResponseHeadersRegex"].as_str().expect("a pattern");
    for name in &told {
        let spelled = name.replace('-', "[^a-z0-9]");
        assert!(
            pattern.contains(&format!("({spelled}")) || pattern.contains(&format!("|{spelled}")),
            "{name}"
        );
    }
    let removed = part(objects, "/spec/headers/customRequestHeaders").as_object().expect("a table");
    assert!(removed.values().all(|value| value == ""), "{removed:?}");
    let of_snippet = lines_within(&snippets[0], "customRequestHeaders:", "services:");
    let of_snippet = of_snippet.filter_map(|line| line.strip_suffix(": \"\""));
    assert_eq!(removed.keys().map(String::as_str).collect::<BTreeSet<_>>(), of_snippet.collect());
}

fn envoy_gateway_is_told_the_same(case: &[&str], objects: &[Value], snippets: &[String]) {
    let check = part(objects, "/spec/extAuth");
    let (shown, handed) = (names(&check["headersToExtAuth"]), names(&check["http"]["headersToBackend"]));
    let in_snippets = |from: &str, to: &str, kind: &str| -> BTreeSet<String> {
        let lines = snippets.iter().flat_map(|snippet| lines_within(snippet, from, to));
        let lines =
            lines.filter_map(|line| line.strip_prefix("- ")).map(|line| line.trim_matches(['{', '}', ' ']));
        lines.filter_map(|line| line.strip_prefix(kind)).map(str::to_owned).collect()
    };
    let exact = in_snippets("allowed_headers:", "http_service:", "exact: ");
    let prefixes = in_snippets("allowed_headers:", "http_service:", "prefix: ");
    assert!(exact.len() > 9 && prefixes.len() > 4, "{exact:?} {prefixes:?}");
    let begins = |name: &str| prefixes.iter().any(|prefix| name.starts_with(prefix.as_str()));
    assert_eq!(exact.difference(&shown).collect::<Vec<_>>(), [""; 0], "{case:?}: foregate is to see them");
    for prefix in &prefixes {
        assert!(
            shown.iter().any(|name| name.starts_with(prefix.as_str())),
            "{case:?}: {prefix} in {shown:?}"
        );
    }
    for name in METHOD_HEADERS.map(str::to_ascii_lowercase) {
        assert!(
            shown.contains(&name) && shown.contains(&name.replace('-', "_")),
            "{case:?}: {name} in {shown:?}"
        );
    }
    // The snippet adds this one by itself.
    let more = shown.iter().filter(|name| !exact.contains(*name) && !begins(&name.replace('_', "-")));
    assert_eq!(more.collect::<Vec<_>>(), ["x-forwarded-for"], "{case:?}");
    let mut all = in_snippets("allowed_upstream_headers:", "- name: envoy.filters.http.router", "exact: ");
    all.insert("x-foregate-token".to_owned());
    assert_eq!(handed, all, "{case:?}");
}

/// The one object that has something there.
pub fn part<'o>(objects: &'o [Value], path: &str) -> &'o Value {
    objects.iter().find_map(|one| one.pointer(path)).unwrap_or_else(|| panic!("no {path}"))
}

fn names(list: &Value) -> BTreeSet<String> {
    let list = list.as_array().expect("a list");
    list.iter().map(|name| name.as_str().expect("text").to_owned()).collect()
}

fn lines_within<'t>(text: &'t str, from: &str, to: &str) -> impl Iterator<Item = &'t str> {
    let (_, rest) = text.split_once(from).expect(from);
    rest.split_once(to).expect(to).0.lines().map(str::trim)
}
