//! ingress-nginx: which hosts and paths of Ingress objects are protected by `auth-url`, and for whom it says so.

use std::collections::BTreeMap;

use super::asked::Demands;
use super::path::{Paths, Reach};
use super::plan::{App, Headers, Plan, Rule, Verdict};
use super::regex::{Against, Matched, paths_of};
use super::tree::{Value, read_yaml};
use super::words::{allowed, commas, host_key, origin};
use super::{Given, ImportError, Wish};

/// Reads all Ingress objects.
pub(super) fn read(given: &Given, wish: &Wish) -> Result<Plan, ImportError> {
    let mut plan = Plan::default();
    let mut hosts = Found::new();
    let mut any = false;
    for (name, text) in &given.files {
        for document in read_yaml(name, text)? {
            let items = document.at("items").map_or_else(|| std::slice::from_ref(&document), Value::items);
            for object in
                items.iter().filter(|object| object.at("kind").and_then(Value::text) == Some("Ingress"))
            {
                any = true;
                ingress(object, &mut plan, &mut hosts, wish);
            }
        }
    }
    if !any {
        return Err(ImportError::Nothing("no Ingress"));
    }
    for (host, paths) in hosts {
        plan.apps.push(app(host, paths));
    }
    Ok(plan)
}

/// By host: the paths, longest first in the end, and who may use them.
type Found = BTreeMap<String, Vec<(String, Rule, Vec<String>)>>;

fn app(host: String, mut paths: Vec<(String, Rule, Vec<String>)>) -> App {
    paths.sort_by(|(one, ..), (two, ..)| (two.len(), one).cmp(&(one.len(), two)));
    // Which of two objects counts for one path is nginx's affair: nobody gets in whom one of them keeps out.
    for at in (1..paths.len()).rev() {
        if paths[at].0 == paths[at - 1].0 {
            paths[at - 1].1.verdict = paths[at - 1].1.verdict.and(&paths[at].1.verdict);
        }
    }
    let closed = paths.iter().flat_map(|(_, _, reasons)| reasons.clone()).collect();
    App { host, rules: paths.into_iter().map(|(_, rule, _)| rule).collect(), closed, ..App::default() }
}

fn ingress(object: &Value, plan: &mut Plan, hosts: &mut Found, wish: &Wish) {
    let metadata = object.at("metadata").unwrap_or(&Value::Null);
    let name = metadata.at("name").and_then(Value::text).unwrap_or("?").to_owned();
    let annotations: Vec<(String, String)> = metadata
        .at("annotations")
        .and_then(Value::map)
        .unwrap_or_default()
        .iter()
        .filter_map(|(key, value)| {
            Some((
                key.strip_prefix("nginx.ingress.kubernetes.io/")?.to_owned(),
                value.text().unwrap_or_default().to_owned(),
            ))
        })
        .collect();
    let get = |key: &str| annotations.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
    let Some(auth) = get("auth-url") else {
        return plan.needless(
            format!("Ingress {name}"),
            "it has no auth-url, so that nobody asks foregate about it",
        );
    };
    let mut reasons = Vec::new();
    let verdict = who(&name, auth, plan, wish, &mut reasons);
    told(&name, &annotations, plan);
    let regex = get("use-regex").is_some_and(|value| value == "true") || get("rewrite-target").is_some();
    for rule in object.at("spec").and_then(|spec| spec.at("rules")).map(Value::items).unwrap_or_default() {
        let Some(host) = rule.at("host").and_then(Value::text).and_then(host_key) else {
            plan.lost(
                format!("Ingress {name}"),
                "a rule without a host: hosts that no line names stay closed",
            );
            continue;
        };
        let paths = rule.at("http").and_then(|http| http.at("paths")).map(Value::items).unwrap_or_default();
        for path in paths {
            let text = path.at("path").and_then(Value::text).unwrap_or("/").to_owned();
            let kind = path.at("pathType").and_then(Value::text).unwrap_or("Prefix");
            let matched = matched(&text, kind, regex);
            if !matched.is_exact() {
                plan.lost(
                    format!("Ingress {name} {host}{text}"),
                    "patterns are whole segments: what is not surely meant stays closed",
                );
            }
            let rule = Rule::new(format!("Ingress {name} {host}{text}"), verdict.clone()).at(matched);
            hosts.entry(host.clone()).or_default().push((text, rule, reasons.clone()));
        }
        plan.carried(format!("Ingress {name} {host}"), "[apps]");
    }
}

fn matched(path: &str, kind: &str, regex: bool) -> Matched {
    if regex && kind != "Exact" {
        return paths_of(&format!("^{path}"), Against::Path);
    }
    let reach = if kind == "Exact" { Reach::Exact } else { Reach::Open };
    Paths::literal(path, reach)
        .map_or_else(Matched::unknown, |paths| Matched { surely: vec![paths.clone()], maybe: vec![paths] })
}

/// Whom the auth address lets in, as far as it says so; what else its server decides is not here.
fn who(name: &str, auth: &str, plan: &mut Plan, wish: &Wish, reasons: &mut Vec<String>) -> Verdict {
    let key = format!("Ingress {name} auth-url");
    let verdict = allowed(wish).unwrap_or_else(|| {
        let why = "whom its server lets in is not in the Ingress: say so with --allow, or import its own configuration";
        plan.note(&key, super::plan::Fate::Closed(format!("{why}; its hosts are closed")));
        reasons.push(format!("{key}: {why}"));
        Verdict::signed_in()
    });
    let demands = Demands::of(auth);
    for parameter in demands.unknown {
        let why = format!("`{parameter}` may keep somebody out, and foregate has no words for it");
        plan.note(&key, super::plan::Fate::Closed(format!("{why}; its hosts are closed")));
        reasons.push(format!("{key}: {why}"));
    }
    plan.carried(&key, "[apps]");
    verdict.and(&demands.verdict)
}

/// What became of the other annotations. nginx goes on obeying all that are not about the check.
fn told(name: &str, annotations: &[(String, String)], plan: &mut Plan) {
    for (key, value) in annotations {
        let place = format!("Ingress {name} {key}");
        match key.as_str() {
            "auth-url" => {}
            "auth-signin" => {
                if plan.public_url.is_none() {
                    plan.public_url = origin(&value.replace("$host", "auth.example.com"));
                }
                plan.carried(place, "public_url, if it is a host of its own; see docs/front-proxies.md for the annotations of foregate");
            }
            "auth-response-headers" => headers(&place, value, plan),
            "auth-snippet"
            | "auth-proxy-set-headers"
            | "auth-method"
            | "auth-request-redirect"
            | "auth-signin-redirect-param" => {
                plan.lost(place, "take the annotations of docs/front-proxies.md");
            }
            "auth-cache-key"
            | "auth-cache-duration"
            | "auth-keepalive"
            | "auth-keepalive-requests"
            | "auth-keepalive-timeout"
            | "auth-keepalive-share-vars"
            | "auth-always-set-cookie" => plan.lost(place, "leave it out: foregate remembers by itself"),
            _ => plan.needless(place, "it stays in the Ingress, where nginx obeys it"),
        }
    }
}

fn headers(place: &str, value: &str, plan: &mut Plan) {
    let names = commas(&value.to_ascii_lowercase());
    let has = |start: &str| names.iter().any(|name| name.starts_with(start));
    let preset = if has("x-authentik-") {
        "authentik"
    } else if has("x-auth-request-") {
        "oauth2-proxy"
    } else {
        "remote"
    };
    plan.headers = Some(Headers::Preset(preset));
    plan.carried(place, format!("headers = \"{preset}\""));
    let known = |name: &String| {
        ["x-authentik-", "x-auth-request-", "remote-", "set-cookie"]
            .iter()
            .any(|start| name.starts_with(start))
    };
    for name in names.iter().filter(|name| !known(name)) {
        plan.lost(place, format!("`{name}`: write it into `headers`"));
    }
}
