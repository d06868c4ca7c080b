//! authentik: proxy providers with their applications and bindings, from a blueprint or from its API.

use super::plan::{App, Headers, Plan, Rule, Terms, Verdict};
use super::regex::{Against, Matched, paths_of};
use super::tree::{Value, read_yaml};
use super::words::{host_key, host_of, is_on, origin, seconds, term};
use super::{Given, ImportError, Wish};

/// Reads all files as one export.
pub(super) fn read(given: &Given, _wish: &Wish) -> Result<Plan, ImportError> {
    let mut export = Export::default();
    let mut plan =
        Plan { headers: Some(Headers::Preset("authentik")), compat: Some("authentik"), ..Plan::default() };
    plan.carried("X-authentik-…", "headers = \"authentik\"");
    for (name, text) in &given.files {
        for document in read_yaml(name, text)? {
            export.take(&document, &mut plan);
        }
    }
    if export.providers.is_empty() {
        return Err(ImportError::Nothing("no proxy provider of authentik"));
    }
    if !given.variables.is_empty() || !given.flags.is_empty() {
        plan.lost("variables and flags", "authentik keeps its providers in its database");
    }
    plan.provider.title = Some("authentik".to_owned());
    plan.provider.client_id = Some("foregate".to_owned());
    plan.lost("client_id, client_secret, redirect_uris, property_mappings", "make an OAuth2 provider for foregate (deploy/authentik has a blueprint), with the flows of the proxy provider");
    for provider in std::mem::take(&mut export.providers) {
        self::provider(&provider, &export, &mut plan);
    }
    export.told(&mut plan);
    Ok(plan)
}

/// An object of authentik, its attributes and identifiers together.
#[derive(Clone, Debug)]
struct Object {
    /// What `!KeyOf` calls it.
    id: Option<String>,
    /// By which others name it.
    names: Vec<String>,
    attributes: Vec<(String, Value)>,
    place: String,
}

impl Object {
    fn at(&self, key: &str) -> Option<&Value> {
        self.attributes
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value)
            .filter(|value| !value.is_empty())
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.at(key).and_then(Value::text)
    }

    /// Whether something stands there that is no text, such as `!Context`.
    fn is_unreadable(&self, key: &str) -> bool {
        self.at(key).is_some_and(|value| value.text().is_none())
    }
}

/// Everything that matters of an export.
#[derive(Default)]
struct Export {
    providers: Vec<Object>,
    applications: Vec<Object>,
    bindings: Vec<Object>,
    groups: Vec<Object>,
    /// Whether bindings would be here if there were any.
    knows_bindings: bool,
}

impl Export {
    fn take(&mut self, document: &Value, plan: &mut Plan) {
        if let Some(entries) = document.at("entries") {
            self.knows_bindings = true;
            for (index, entry) in entries.items().iter().enumerate() {
                self.entry(index, entry, plan);
            }
            for (key, _) in document.map().unwrap_or_default() {
                match key.as_str() {
                    "entries" | "version" | "metadata" => {}
                    "context" => plan.lost(key, "values of !Context are not looked up"),
                    _ => plan.close(key, "it is not known, and may keep somebody out"),
                }
            }
            return;
        }
        let results = document.at("results").unwrap_or(document);
        if document
            .at("pagination")
            .and_then(|page| page.at("next"))
            .and_then(Value::text)
            .is_some_and(|next| next != "0")
        {
            plan.close("pagination.next", "this is not all of it: ask the API for larger pages");
        }
        for (index, object) in results.items().iter().enumerate() {
            self.answer(index, object, plan);
        }
    }

    /// An entry of a blueprint.
    fn entry(&mut self, index: usize, entry: &Value, plan: &mut Plan) {
        let Some(model) = entry.at("model").and_then(Value::text) else {
            return plan.close(format!("entries[{index}]"), "what it is cannot be read here");
        };
        let place = format!("entries[{index}] {model}");
        if entry.at("state").and_then(Value::text) == Some("absent") {
            return plan.needless(place, "it is to be absent");
        }
        if entry.at("conditions").is_some_and(|conditions| !conditions.is_empty()) {
            plan.close(&place, "whether it is there depends on conditions");
        }
        let own = |key: &str| entry.at(key).and_then(Value::map).unwrap_or_default().to_vec();
        let attributes = [own("attrs"), own("identifiers")].concat();
        let id = entry.at("id").and_then(Value::text).map(str::to_owned);
        let mut object = Object { names: id.iter().cloned().collect(), id, attributes, place };
        for key in ["name", "slug", "pk"] {
            object.names.extend(object.text(key).map(str::to_owned));
        }
        let is_whole = ["attrs", "identifiers"]
            .iter()
            .filter_map(|key| entry.at(key))
            .all(|value| value.is_empty() || value.map().is_some());
        // Django's registry minds no letter case in them.
        let model = model.to_ascii_lowercase();
        if MODELS.contains(&model.as_str()) && !is_whole {
            plan.close(&object.place, "its attributes cannot be read here");
        }
        match model.as_str() {
            "authentik_providers_proxy.proxyprovider" => self.providers.push(object),
            APPLICATION_MODEL => self.applications.push(object),
            "authentik_policies.policybinding" => self.bindings.push(object),
            "authentik_core.group" => self.groups.push(object),
            // authentik's own say nothing of anybody's apps.
            "authentik_blueprints.metaapplyblueprint" if !is_built_in(&object) => {
                plan.close(object.place, "the blueprint that it applies is not read");
            }
            _ => plan.needless(object.place, "it stays in authentik"),
        }
    }

    /// An object as the API tells it; what it is shows in its keys.
    fn answer(&mut self, index: usize, object: &Value, plan: &mut Plan) {
        let attributes = object.map().unwrap_or_default().to_vec();
        let mut read = Object { id: None, names: Vec::new(), attributes, place: format!("[{index}]") };
        for key in ["pk", "name", "slug"] {
            read.names.extend(read.text(key).map(str::to_owned));
        }
        if read.at("external_host").is_some() {
            read.place = format!("provider {}", read.text("name").unwrap_or("?"));
            self.providers.push(read);
        } else if object.at("policy_engine_mode").is_some() && object.at("slug").is_some() {
            read.place = format!("application {}", read.text("slug").unwrap_or("?"));
            self.applications.push(read);
        } else if object.at("target").is_some() && object.at("negate").is_some() {
            self.knows_bindings = true;
            read.place = format!("binding {}", read.text("pk").unwrap_or("?"));
            self.bindings.push(read);
        } else if object.at("num_pk").is_some() || object.at("is_superuser").is_some() {
            self.groups.push(read);
        } else {
            plan.close(read.place, "it is not known, and may keep somebody out");
        }
    }

    fn told(&self, plan: &mut Plan) {
        for group in &self.groups {
            plan.needless(&group.place, "groups stay in authentik; terms group:NAME name them");
        }
        for binding in self
            .bindings
            .iter()
            .filter(|binding| self.applications.iter().all(|app| bound_to(binding, app) == Bound::Elsewhere))
        {
            plan.needless(&binding.place, "it is bound to something that is not here");
        }
    }
}

/// Whether a value names an object: by its id, its key, or what it is found by.
fn refers(value: Option<&Value>, object: &Object) -> bool {
    let is_name = |text: &str| object.names.iter().any(|name| name == text);
    match value {
        Some(Value::Text(text)) => is_name(text),
        Some(Value::Tagged(tag, inner)) if tag == "KeyOf" => inner.text().is_some_and(is_name),
        Some(Value::Tagged(..)) => found_by(value).is_some_and(is_name),
        Some(Value::Null | Value::List(_) | Value::Map(_)) | None => false,
    }
}

/// The name in `!Find [model, [key, name]]`, where the key is one of names.
fn found_by(value: Option<&Value>) -> Option<&str> {
    let (_, key, name) = find(value?)?;
    ["name", "slug", "username", "pk"].contains(&key).then_some(name)
}

/// Model, key and value of a `!Find` with one condition.
fn find(value: &Value) -> Option<(&str, &str, &str)> {
    match value {
        Value::Tagged(tag, inner) if tag == "Find" => match inner.items() {
            [model, wanted] => match wanted.items() {
                [key, value] => Some((model.text()?, key.text()?, value.text()?)),
                _ => None,
            },
            _ => None,
        },
        Value::Tagged(..) | Value::Null | Value::Text(_) | Value::List(_) | Value::Map(_) => None,
    }
}

/// What a binding is about, as seen from an application.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bound {
    Here,
    Elsewhere,
    /// It cannot be told.
    Unsure,
}

fn bound_to(binding: &Object, application: &Object) -> Bound {
    let settle = |known: Option<&str>, wanted: &str| match known {
        Some(known) if known == wanted => Bound::Here,
        Some(_) => Bound::Elsewhere,
        None => Bound::Unsure,
    };
    match binding.at("target") {
        Some(Value::Text(_)) if refers(binding.at("target"), application) => Bound::Here,
        Some(Value::Text(text)) => settle(application.text("pk"), text),
        Some(Value::Tagged(tag, inner)) if tag == "KeyOf" => match inner.text() {
            Some(id) if application.id.as_deref() == Some(id) => Bound::Here,
            Some(_) => Bound::Elsewhere,
            None => Bound::Unsure,
        },
        Some(found @ Value::Tagged(..)) => match find(found) {
            Some((APPLICATION_MODEL, key, wanted)) => settle(application.text(key), wanted),
            // All that bindings can be about is of this model, too.
            Some(("authentik_policies.policybindingmodel", ..)) | None => Bound::Unsure,
            Some(_) => Bound::Elsewhere,
        },
        Some(Value::Null | Value::List(_) | Value::Map(_)) | None => Bound::Unsure,
    }
}

fn provider(provider: &Object, export: &Export, plan: &mut Plan) {
    let mode = provider.text("mode").unwrap_or("proxy").to_owned();
    let Some(external) = provider.text("external_host").map(str::to_owned) else {
        return plan.close(
            &provider.place,
            "its external_host cannot be read here, so that it is not known which host it is about",
        );
    };
    let mut hosts: Vec<String> = Vec::new();
    if mode == "forward_domain" {
        plan.public_url = origin(&external);
        let domain = provider.text("cookie_domain").unwrap_or_default().trim_start_matches('.').to_owned();
        hosts.extend([domain.clone(), format!("*.{domain}")].iter().filter_map(|host| host_key(host)));
    } else {
        hosts.extend(host_of(&external));
    }
    if hosts.is_empty() {
        return plan.close(&provider.place, "it names no host");
    }
    issuer(provider, plan);
    let mut app = App { host: hosts.remove(0), ..App::default() };
    if provider.is_unreadable("mode") {
        plan.close_app(&mut app, format!("{}.mode", provider.place), UNREADABLE);
    }
    who(provider, export, &mut app, plan);
    open_paths(provider, &mode, &mut app, plan);
    if mode == "proxy" {
        app.upstream = provider.text("internal_host").and_then(upstream);
        if app.upstream.is_none() {
            plan.lost(
                format!("{}.internal_host", provider.place),
                "it is no address without a path: write it as the upstream",
            );
        }
    }
    told(provider, &mode, plan, &mut app);
    for host in hosts {
        plan.apps.push(App { host, ..app.clone() });
    }
    plan.apps.push(app);
}

fn upstream(text: &str) -> Option<String> {
    let url = url::Url::parse(text).ok()?;
    matches!(url.scheme(), "http" | "https").then(|| url.origin().ascii_serialization())
}

fn issuer(provider: &Object, plan: &mut Plan) {
    let Some(issuer) =
        provider.at("oidc_configuration").and_then(|found| found.at("issuer")).and_then(Value::text)
    else {
        return;
    };
    plan.lost(format!("{}.oidc_configuration.issuer", provider.place), format!("`{issuer}` is that of the proxy provider: put the one of foregate's own OAuth2 provider into provider.issuer"));
}

/// Whom the bindings of the application let in.
fn who(provider: &Object, export: &Export, app: &mut App, plan: &mut Plan) {
    let names_provider = |application: &&Object| {
        refers(application.at("provider"), provider)
            || provider
                .text("assigned_application_slug")
                .is_some_and(|slug| application.text("slug") == Some(slug))
    };
    let Some(application) = export.applications.iter().find(names_provider) else {
        app.otherwise = Verdict::signed_in();
        return plan.close_app(
            app,
            &provider.place,
            "its application is not here, and may be for some people only",
        );
    };
    plan.carried(&application.place, "[apps]");
    known_only(application, &APPLICATION, app, plan);
    if !export.knows_bindings {
        app.otherwise = Verdict::signed_in();
        return plan.close_app(
            app,
            &application.place,
            "bindings are not here: give what /api/v3/policies/bindings/ says, too",
        );
    }
    let mode = application.text("policy_engine_mode").unwrap_or("any");
    if application.is_unreadable("policy_engine_mode") || !["any", "all"].contains(&mode) {
        plan.close_app(app, format!("{}.policy_engine_mode", application.place), UNREADABLE);
    }
    let all = mode == "all";
    let mut verdict: Option<Verdict> = None;
    for binding in &export.bindings {
        match bound_to(binding, application) {
            Bound::Elsewhere => continue,
            Bound::Unsure => {
                plan.close_app(app, format!("{}.target", binding.place), UNREADABLE);
                continue;
            }
            Bound::Here => {}
        }
        let Some(one) = says(binding, all, export, app, plan) else { continue };
        verdict = Some(match (verdict, all) {
            (None, _) => one,
            (Some(others), true) => others.and(&one),
            (Some(others), false) => others.or(&one),
        });
    }
    app.otherwise = verdict.unwrap_or_else(Verdict::signed_in);
}

/// Whom a binding lets in; `None` if it does not count.
fn says(binding: &Object, all: bool, export: &Export, app: &mut App, plan: &mut Plan) -> Option<Verdict> {
    for key in ["enabled", "negate"].iter().filter(|key| binding.is_unreadable(key)) {
        plan.close_app(app, format!("{}.{key}", binding.place), UNREADABLE);
    }
    if binding.text("enabled").is_some_and(|enabled| is_on(enabled) == Some(false)) {
        plan.needless(&binding.place, "it is not enabled");
        return None;
    }
    known_only(binding, &BINDING, app, plan);
    let negated = binding.text("negate").is_some_and(|negate| is_on(negate) != Some(false));
    let found = if negated { None } else { bound(binding, export) };
    match (found.is_some(), all) {
        (true, _) => plan.carried(&binding.place, "a term in [apps]"),
        (false, true) => plan.close_app(
            app,
            &binding.place,
            "it is a policy, or says who is not let in: foregate has no words for it",
        ),
        (false, false) => {
            plan.lost(&binding.place, "it is a policy, or says who is not let in: whom it lets in stays out")
        }
    }
    Some(found.map_or(Verdict::Nobody, |term| Verdict::who(Terms::one(term))))
}

/// Closes the app for an attribute that is not known.
fn known_only(object: &Object, known: &[&str], app: &mut App, plan: &mut Plan) {
    let unknown = |key: &&String| !known.contains(&key.as_str()) && !key.starts_with("meta_");
    for key in object.attributes.iter().map(|(key, _)| key).filter(unknown) {
        plan.close_app(app, format!("{}.{key}", object.place), "it is not known, and may keep somebody out");
    }
}

/// The group or the person that is bound.
fn bound(binding: &Object, export: &Export) -> Option<String> {
    if let Some(group) = binding.at("group") {
        let told = binding.at("group_obj").and_then(|group| group.at("name")).and_then(Value::text);
        let known = export
            .groups
            .iter()
            .find(|object| refers(Some(group), object))
            .and_then(|object| object.text("name"));
        return term("group", told.or(known).or_else(|| found_by(Some(group)))?);
    }
    let user = binding.at("user")?;
    let told = binding.at("user_obj").and_then(|user| user.at("username")).and_then(Value::text);
    term("user", told.or_else(|| found_by(Some(user)))?)
}

/// Paths for which nobody signs in.
fn open_paths(provider: &Object, mode: &str, app: &mut App, plan: &mut Plan) {
    let Some(value) = provider.at("skip_path_regex") else { return };
    let Some(text) = value.text() else {
        return plan.lost(
            format!("{}.skip_path_regex", provider.place),
            "its value cannot be read here: all stays closed",
        );
    };
    // A blank in an expression is one.
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let key = format!("{}.skip_path_regex {line}", provider.place);
        // There it is held against the whole address.
        let matched =
            if mode == "forward_domain" { Matched::unknown() } else { paths_of(line, Against::Path) };
        if matched.surely.is_empty() {
            plan.lost(key, "no path pattern says just this: it stays closed");
        } else {
            if matched.is_exact() {
                plan.carried(&key, "public rules");
            } else {
                plan.lost(&key, "patterns are whole segments: open is only what surely was");
            }
            app.rules.push(Rule::new(key, Verdict::Public).at(matched));
        }
    }
}

/// What became of all other attributes.
fn told(provider: &Object, mode: &str, plan: &mut Plan, app: &mut App) {
    for (key, value) in provider.attributes.iter().filter(|(_, value)| !value.is_empty()) {
        let place = format!("{}.{key}", provider.place);
        let on = value.text().and_then(is_on);
        match key.as_str() {
            "external_host" | "mode" | "cookie_domain" | "internal_host" => plan.carried(place, "[apps]"),
            "skip_path_regex" | "oidc_configuration" | "name" | "pk" => {}
            "access_token_validity" => match value.text().and_then(seconds).filter(|length| *length >= 60) {
                Some(length) => {
                    let shorter = plan.session.lifetime.map_or(length, |other| other.min(length));
                    plan.session.lifetime = Some(shorter);
                    plan.carried(place, "session.lifetime, the shortest of all");
                }
                None => plan.close_app(app, place, "it is no length of time"),
            },
            "internal_host_ssl_validation" if mode == "proxy" && on == Some(false) => {
                plan.lost(place, "`insecure = true` beside the upstream lets anybody's certificate do; `ca_file` is better");
            }
            "basic_auth_enabled" if on != Some(false) => plan
                .lost(place, "the app gets no Authorization; see `authorization` of apps with an upstream"),
            "intercept_header_auth" => {
                plan.lost(place, "programs with tokens or app passwords need [bearer]")
            }
            "jwt_federation_sources" | "jwt_federation_providers" | "jwks_sources" => {
                plan.lost(place, "programs with tokens need [bearer]")
            }
            "authentication_flow" | "authorization_flow" | "invalidation_flow" | "property_mappings" => {
                plan.lost(place, "choose the same at the OAuth2 provider for foregate");
            }
            "internal_host_ssl_validation"
            | "basic_auth_enabled"
            | "basic_auth_user_attribute"
            | "basic_auth_password_attribute"
            | "certificate"
            | "client_id"
            | "client_secret"
            | "redirect_uris"
            | "cookie_secret"
            | "refresh_token_validity"
            | "outpost_set"
            | "component"
            | "assigned_application_slug"
            | "assigned_application_name"
            | "assigned_backchannel_application_slug"
            | "assigned_backchannel_application_name"
            | "verbose_name"
            | "verbose_name_plural"
            | "meta_model_name"
            | "scopes_to_request" => {
                plan.needless(place, "foregate is a client of its own");
            }
            _ => plan.close_app(app, place, "it is not known, and may keep somebody out"),
        }
    }
}

const UNREADABLE: &str = "its value cannot be read here";
const APPLICATION_MODEL: &str = "authentik_core.application";

/// Whether what is applied is a blueprint that comes with authentik, by its name.
fn is_built_in(object: &Object) -> bool {
    let name = object.at("identifiers").and_then(|which| which.at("name")).and_then(Value::text);
    name.is_some_and(|name| ["Default - ", "System - "].iter().any(|start| name.starts_with(start)))
}

/// Those that are read.
const MODELS: [&str; 4] = [
    "authentik_providers_proxy.proxyprovider",
    APPLICATION_MODEL,
    "authentik_policies.policybinding",
    "authentik_core.group",
];

/// What applications have; only the provider and the mode matter.
const APPLICATION: [&str; 11] = [
    "pk",
    "name",
    "slug",
    "provider",
    "provider_obj",
    "backchannel_providers",
    "backchannel_providers_obj",
    "launch_url",
    "open_in_new_tab",
    "policy_engine_mode",
    "group",
];

/// What bindings have.
const BINDING: [&str; 13] = [
    "pk",
    "policy",
    "group",
    "user",
    "policy_obj",
    "group_obj",
    "user_obj",
    "target",
    "negate",
    "enabled",
    "order",
    "timeout",
    "failure_result",
];
