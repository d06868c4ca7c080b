//! Compose files: which of the products stands in them, its variables and flags, and the labels that say what it protects.

mod filled;
mod routers;
mod service;

use std::collections::{HashMap, HashSet};

use super::options::{Options, variables};
use super::plan::{Plan, Verdict};
use super::tree::{Value, read_yaml};
use super::words::allowed;
use super::{Given, ImportError, Wish, oauth2_proxy, tinyauth, traefik_forward_auth};
use filled::Outside;
use service::{Service, WRITTEN_OUT};

/// Reads all files as one set of services, as Compose reads several: a later one adds to what an earlier one says.
pub(super) fn read(given: &Given, wish: &Wish) -> Result<Plan, ImportError> {
    let outside: Outside = given.variables.iter().flat_map(|(_, text)| variables(text, "")).collect();
    let mut plan = Plan::default();
    let services = services(given, &outside, &mut plan)?;
    if services.is_empty() {
        return Err(ImportError::Nothing("no service"));
    }
    for service in &services {
        for key in &service.hidden {
            plan.close(format!("{}.{key}", service.name), format!("it may have labels, and {WRITTEN_OUT}"));
        }
    }
    let mut labels = tinyauth::Labels::default();
    let found = products(&services, &mut plan, &mut labels, wish);
    let whole = match &found {
        Some(found) => found.whole.clone(),
        None => allowed(wish).unwrap_or_else(|| {
            plan.close("services", "whom the product lets in is not in this file: say so with --allow, or import its own configuration");
            Verdict::signed_in()
        }),
    };
    tinyauth_labels(&services, found.as_ref(), &mut plan, &mut labels);
    labelled(&mut plan, labels, &whole);
    routers::read(&services, found.as_ref().map(|found| found.service), &whole, &mut plan);
    Ok(plan)
}

fn services(given: &Given, outside: &Outside, plan: &mut Plan) -> Result<Vec<Service>, ImportError> {
    let mut layers: Vec<(String, Vec<Value>)> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for (name, text) in &given.files {
        for document in read_yaml(name, text)? {
            if document.at("include").is_some_and(|include| !include.is_empty()) {
                plan.close("include", WRITTEN_OUT);
            }
            for (service, value) in document.at("services").and_then(Value::map).unwrap_or_default() {
                let at = *places.entry(service.clone()).or_insert(layers.len());
                match layers.get_mut(at) {
                    Some((_, values)) => values.push(value.clone()),
                    None => layers.push((service.clone(), vec![value.clone()])),
                }
            }
        }
    }
    Ok(layers.iter().map(|(name, values)| Service::read(name, values, outside)).collect())
}

/// The product that stands in the files.
struct Found<'a> {
    service: &'a Service,
    /// Whom it lets in at all.
    whole: Verdict,
}

/// Reads the products themselves.
fn products<'a>(
    services: &'a [Service],
    plan: &mut Plan,
    labels: &mut tinyauth::Labels,
    wish: &Wish,
) -> Option<Found<'a>> {
    let is_one = |service: &&Service| PRODUCTS.contains(&service.program.as_str());
    let mut products = services.iter().filter(is_one);
    let service = products.next()?;
    for other in products {
        plan.close(&other.name, "there is more than one product: import each by itself");
    }
    let place = |key: &str| format!("{}.{key}", service.name);
    for (key, why) in &service.unread {
        plan.close(place(key), *why);
    }
    let flags = service.flags.as_ref().map_or_else(
        |why| {
            plan.close(place("command"), *why);
            &[][..]
        },
        Vec::as_slice,
    );
    let read = match service.program.as_str() {
        OAUTH2_PROXY => of_oauth2_proxy(service, flags, plan, wish),
        TRAEFIK_FORWARD_AUTH => of_traefik_forward_auth(service, flags, plan, wish),
        _ => {
            let mut settings = service.environment.clone();
            tinyauth::put_flags(&mut settings, flags).map(|()| tinyauth::carry(&settings, plan, labels))
        }
    };
    let whole = read.unwrap_or_else(|error| {
        plan.close(place("command"), error.to_string());
        Verdict::Nobody
    });
    Some(Found { service, whole })
}

fn of_oauth2_proxy(
    service: &Service,
    flags: &[String],
    plan: &mut Plan,
    wish: &Wish,
) -> Result<Verdict, ImportError> {
    let own = |(key, value): &(String, String)| {
        Some((key.strip_prefix(oauth2_proxy::PREFIX)?.to_owned(), value.clone()))
    };
    let own: Vec<(String, String)> = service.environment.iter().filter_map(own).collect();
    let mut options = Options::new(oauth2_proxy::KNOWN);
    oauth2_proxy::put_variables(&mut options, &own);
    options.put_flags(flags)?;
    oauth2_proxy::carry(&options, plan, &[], wish);
    for name in ["config", "alpha-config"] {
        options.without_its_file(name, plan);
    }
    Ok(plan.fallback.clone())
}

fn of_traefik_forward_auth(
    service: &Service,
    flags: &[String],
    plan: &mut Plan,
    wish: &Wish,
) -> Result<Verdict, ImportError> {
    if service.owner != "thomseddon" {
        plan.close(
            format!("{}.image", service.name),
            "of the programs with this name only thomseddon/traefik-forward-auth is known",
        );
    }
    let mut options = Options::new(traefik_forward_auth::KNOWN);
    for name in traefik_forward_auth::put_variables(&mut options, &service.environment) {
        plan.close(
            format!("{}.environment {name}", service.name),
            "it is not known, and may keep somebody out",
        );
    }
    options.put_flags(flags)?;
    traefik_forward_auth::carry(&options, plan, wish);
    options.without_its_file("config", plan);
    Ok(plan.fallback.clone())
}

/// Labels for Tinyauth. Where another product decides, nobody reads them.
fn tinyauth_labels(
    services: &[Service],
    found: Option<&Found<'_>>,
    plan: &mut Plan,
    labels: &mut tinyauth::Labels,
) {
    let obeyed = found.is_none_or(|found| found.service.program == TINYAUTH);
    for (key, value) in services.iter().flat_map(|service| &service.labels) {
        let lower = key.to_ascii_lowercase();
        let Some(rest) = lower.strip_prefix("tinyauth.") else { continue };
        if !obeyed {
            plan.needless(key, "Tinyauth is not here to read it");
            continue;
        }
        match rest.strip_prefix("apps.").and_then(|rest| rest.split_once('.')) {
            Some((app, part)) => {
                labels.entry(app.to_owned()).or_default().push((part.to_owned(), value.clone()));
            }
            None if value.trim().is_empty() => plan.needless(key, "it is empty"),
            None => plan.close(
                key,
                "it is not known, or of Tinyauth 3: write it as tinyauth.apps.NAME.…, with a config.domain",
            ),
        }
    }
}

/// Labels of Tinyauth say more about a host than what its own settings make of all.
fn labelled(plan: &mut Plan, labels: tinyauth::Labels, whole: &Verdict) {
    let own = plan.fallback.clone();
    let behind = std::mem::take(&mut plan.apps);
    tinyauth::finish(plan, labels, whole, &Wish::default());
    let named: HashSet<String> = plan.apps.iter().map(|app| app.host.clone()).collect();
    plan.apps.extend(behind.into_iter().filter(|app| !named.contains(&app.host)));
    plan.fallback = own;
}

const OAUTH2_PROXY: &str = "oauth2-proxy";
const TRAEFIK_FORWARD_AUTH: &str = "traefik-forward-auth";
const TINYAUTH: &str = "tinyauth";
const PRODUCTS: [&str; 3] = [OAUTH2_PROXY, TRAEFIK_FORWARD_AUTH, TINYAUTH];
