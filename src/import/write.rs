//! The text of foregate.toml. Knows no product.

use super::Wish;
use super::decide::{Decided, Table, decide};
use super::plan::{App, Factor, Fate, Headers, Plan, Secret, Verdict};

/// What is said about the text in its first lines.
pub(super) struct About<'a> {
    pub(super) product: &'a str,
    pub(super) source: &'a str,
    pub(super) wish: &'a Wish,
}

/// Settles what each app decides, and notes what is stricter than it was.
pub(super) fn settle(plan: &mut Plan) -> Vec<Table> {
    let tables: Vec<Table> = plan.apps.iter().map(|app| decide(&app.rules, &app.otherwise)).collect();
    let stricter: Vec<(String, String)> = plan
        .apps
        .iter()
        .zip(&tables)
        .flat_map(|(app, table)| {
            table.stricter.iter().map(|key| (key.clone(), app.host.clone())).collect::<Vec<_>>()
        })
        .collect();
    for (key, host) in stricter {
        let why = format!(
            "foregate has no words for just that; {host} keeps out more, so that nobody gets in by it"
        );
        plan.note(key, Fate::Closed(why));
    }
    tables
}

/// The whole text.
pub(super) fn text(plan: &Plan, tables: &[Table], about: &About<'_>) -> String {
    let mut text = head(plan, about);
    text.push_str(&settings(plan, Purpose::Print(about.wish)));
    text.push_str(&apps(plan, tables));
    text.push_str(&fates(plan));
    text
}

/// The same for foregate to read now, without what it would look for in other files.
pub(super) fn trial(plan: &Plan, tables: &[Table]) -> String {
    settings(plan, Purpose::Try) + &apps(plan, tables)
}

#[derive(Clone, Copy)]
enum Purpose<'a> {
    Print(&'a Wish),
    Try,
}

fn head(plan: &Plan, about: &About<'_>) -> String {
    let mut text = comment(&format!(
        "Made by `foregate import {}` from {}. Read it before you use it; try it with `foregate check`.",
        about.product, about.source
    ));
    let of = |kind: fn(&Fate) -> Option<&String>| {
        plan.notes.iter().filter_map(move |note| kind(&note.fate).map(|why| format!("  {}: {why}", note.key)))
    };
    let closed: Vec<String> =
        of(|fate| if let Fate::Closed(why) = fate { Some(why) } else { None }).collect();
    let lost: Vec<String> = of(|fate| if let Fate::Lost(why) = fate { Some(why) } else { None }).collect();
    for (title, lines) in [
        (
            "RESTRICTIONS THAT ARE NOT HERE AS THEY WERE. What they are about is closed, until you have looked at each:",
            closed,
        ),
        ("Not carried over, and nobody gets in by that:", lost),
    ] {
        if !lines.is_empty() {
            text.push_str("#\n");
            text.push_str(&comment(title));
            lines.iter().for_each(|line| text.push_str(&comment(line)));
        }
    }
    text + "\n"
}

/// What became of all other keys.
fn fates(plan: &Plan) -> String {
    let mut text = String::new();
    let carried = plan.notes.iter().filter_map(|note| match &note.fate {
        Fate::Carried(what) => Some(format!("  {}: {what}", note.key)),
        Fate::Needless(_) | Fate::Lost(_) | Fate::Closed(_) => None,
    });
    let needless = plan.notes.iter().filter_map(|note| match &note.fate {
        Fate::Needless(why) => Some(format!("  {}: {why}", note.key)),
        Fate::Carried(_) | Fate::Lost(_) | Fate::Closed(_) => None,
    });
    for (title, lines) in [
        ("Carried over:", carried.collect::<Vec<_>>()),
        ("Without a counterpart, as none is needed:", needless.collect()),
    ] {
        if !lines.is_empty() {
            text.push('\n');
            text.push_str(&comment(title));
            lines.iter().for_each(|line| text.push_str(&comment(line)));
        }
    }
    text
}

fn settings(plan: &Plan, purpose: Purpose<'_>) -> String {
    let mut text = String::new();
    match &plan.public_url {
        Some(url) => line(&mut text, "public_url", &quoted(url)),
        None => text.push_str("public_url = \"https://auth.example.com\"   # not in the source: where browsers reach foregate\n"),
    }
    let open = plan.closed.is_empty() && plan.fallback != Verdict::Nobody;
    match &plan.fallback {
        Verdict::Who(_, Factor::Second) | Verdict::Nobody => {}
        verdict @ (Verdict::Public | Verdict::Who(..)) if open => line(&mut text, "allow", &allow(verdict)),
        verdict @ (Verdict::Public | Verdict::Who(..)) => {
            text.push_str(&comment(&format!("closed, it was to be: allow = {}", allow(verdict))))
        }
    }
    if let Some(headers) = &plan.headers {
        line(&mut text, "headers", &shown(headers));
    }
    if let Some(product) = plan.compat {
        let nginx = if product == "oauth2-proxy" { "   # behind nginx: \"oauth2-proxy-nginx\"" } else { "" };
        line(&mut text, "compat", &format!("[{}]{nginx}", quoted(product)));
    }
    server(&mut text, plan, purpose);
    session(&mut text, plan);
    provider(&mut text, plan, purpose);
    text
}

fn server(text: &mut String, plan: &Plan, purpose: Purpose<'_>) {
    let server = &plan.server;
    if server.listen.is_none() && server.tls.is_none() && server.trusted_proxies.is_empty() {
        return;
    }
    text.push_str("\n[server]\n");
    if let Some(listen) = &server.listen {
        line(text, "listen", &quoted(listen));
    }
    if !server.trusted_proxies.is_empty() {
        line(text, "trusted_proxies", &list(&server.trusted_proxies));
    }
    if let (Some((cert, key)), Purpose::Print(_)) = (&server.tls, purpose) {
        line(text, "tls", &format!("{{ cert_file = {}, key_file = {} }}", quoted(cert), quoted(key)));
    }
}

fn session(text: &mut String, plan: &Plan) {
    let lifetime = plan.session.lifetime;
    let idle = plan
        .session
        .idle
        .or_else(|| lifetime.map(|lifetime| lifetime.min(WEEK)))
        .map(|idle| lifetime.map_or(idle, |lifetime| idle.min(lifetime)));
    if lifetime.is_none() && idle.is_none() {
        return;
    }
    text.push_str("\n[session]\n");
    if let Some(idle) = idle {
        line(text, "idle", &quoted(&duration(idle)));
    }
    if let Some(lifetime) = lifetime {
        line(text, "lifetime", &quoted(&duration(lifetime)));
    }
}

fn provider(text: &mut String, plan: &Plan, purpose: Purpose<'_>) {
    let provider = &plan.provider;
    text.push_str("\n[provider]\n");
    match &provider.issuer {
        Some(issuer) => line(text, "issuer", &quoted(issuer)),
        None => text.push_str("issuer = \"https://id.example.com/\"   # not in the source: your OpenID Provider, as it names itself\n"),
    }
    match &provider.client_id {
        Some(id) => line(text, "client_id", &quoted(id)),
        None => text.push_str("client_id = \"foregate\"   # not in the source\n"),
    }
    match (purpose, &provider.secret) {
        (Purpose::Try, _) => line(text, "client_secret", "\"x\""),
        (Purpose::Print(wish), Some(Secret::There(secret))) if wish.with_secrets => {
            line(text, "client_secret", &quoted(secret))
        }
        (Purpose::Print(_), Some(Secret::File(file))) => line(text, "client_secret_file", &quoted(file)),
        (Purpose::Print(_), Some(Secret::There(_)) | None) => {
            text.push_str(&comment("Put the client secret into this file, or set FOREGATE_PROVIDER__CLIENT_SECRET and remove the line."));
            line(text, "client_secret_file", &quoted(SECRET_FILE));
        }
    }
    if let Some(title) = &provider.title {
        line(text, "title", &quoted(title));
    }
    if !provider.scopes.is_empty() {
        line(text, "scopes", &list(&provider.scopes));
    }
    if let Some(prompt) = &provider.prompt {
        line(text, "prompt", &quoted(prompt));
    }
    if provider.require_verified_email {
        line(text, "require_verified_email", "true");
    }
    if !provider.claims.is_empty() {
        let claims: Vec<String> =
            provider.claims.iter().map(|(key, claim)| format!("{key} = {}", quoted(claim))).collect();
        line(text, "claims", &format!("{{ {} }}", claims.join(", ")));
    }
}

/// Lines before tables, as TOML wants it.
fn apps(plan: &Plan, tables: &[Table]) -> String {
    let (mut lines, mut sections) = (String::new(), String::new());
    for (app, table) in plan.apps.iter().zip(tables) {
        let reasons: Vec<&String> = plan.closed.iter().chain(&app.closed).collect();
        let written = app_text(app, table);
        if reasons.is_empty() {
            match written {
                Written::Line(text) => lines.push_str(&text),
                Written::Section(text) => sections.push_str(&format!("\n{text}")),
            }
            continue;
        }
        lines.push_str(&comment(&format!("{} is closed until you have looked at it:", app.host)));
        app.closed.iter().for_each(|reason| lines.push_str(&comment(&format!("  {reason}"))));
        if !plan.closed.is_empty() {
            lines.push_str(&comment("  what the first lines say"));
        }
        lines.push_str(&comment("It was to be:"));
        let (Written::Line(was) | Written::Section(was)) = written;
        was.lines().for_each(|line| lines.push_str(&comment(&format!("  {line}"))));
        match &app.upstream {
            None => line(&mut lines, &quoted(&app.host), "\"nobody\""),
            Some(upstream) => {
                let table = format!("{{ upstream = {}, allow = \"nobody\" }}", quoted(upstream));
                line(&mut lines, &quoted(&app.host), &table);
            }
        }
    }
    let begin = if lines.is_empty() { "" } else { "\n[apps]\n" };
    format!("{begin}{lines}{sections}")
}

enum Written {
    Line(String),
    Section(String),
}

fn app_text(app: &App, table: &Table) -> Written {
    let second = matches!(&table.otherwise, Verdict::Who(_, Factor::Second));
    let plain = table.rules.is_empty() && !second && app.upstream.is_none() && app.headers.is_none();
    if plain {
        let allow = allow(&table.otherwise);
        // A table at a host would be that of an app.
        let allow = if allow.starts_with('{') { format!("[{allow}]") } else { allow };
        return Written::Line(format!("{} = {allow}\n", quoted(&app.host)));
    }
    let mut text = format!("[apps.{}]\n", quoted(&app.host));
    if let Some(upstream) = &app.upstream {
        line(&mut text, "upstream", &quoted(upstream));
    }
    if let Some(headers) = &app.headers {
        line(&mut text, "headers", &shown(headers));
    }
    if !second && (table.otherwise != Verdict::Nobody || table.rules.is_empty()) {
        line(&mut text, "allow", &allow(&table.otherwise));
    }
    let last = second.then(|| Decided { path: None, methods: Vec::new(), verdict: table.otherwise.clone() });
    let rules: Vec<String> = table.rules.iter().chain(&last).map(rule).collect();
    if !rules.is_empty() {
        text.push_str(&format!("rules = [\n{}]\n", rules.concat()));
    }
    Written::Section(text)
}

fn rule(rule: &Decided) -> String {
    let mut parts = Vec::new();
    if let Some(path) = &rule.path {
        parts.push(format!("path = {}", quoted(&path.to_string())));
    }
    if !rule.methods.is_empty() {
        parts.push(format!("methods = {}", list(&rule.methods)));
    }
    parts.push(format!("allow = {}", allow(&rule.verdict)));
    if matches!(rule.verdict, Verdict::Who(_, Factor::Second)) {
        parts.push("amr = \"mfa\"".to_owned());
    }
    format!("  {{ {} }},\n", parts.join(", "))
}

fn allow(verdict: &Verdict) -> String {
    let terms = match verdict {
        Verdict::Public => return "\"public\"".to_owned(),
        Verdict::Nobody => return "\"nobody\"".to_owned(),
        Verdict::Who(terms, _) => terms,
    };
    let ways: Vec<String> = terms
        .ways()
        .iter()
        .map(|way| {
            let terms: Vec<String> = way.iter().map(|term| quoted(term)).collect();
            if terms.len() == 1 { terms.concat() } else { format!("{{ all = [{}] }}", terms.join(", ")) }
        })
        .collect();
    if ways.len() == 1 { ways.concat() } else { format!("[{}]", ways.join(", ")) }
}

fn shown(headers: &Headers) -> String {
    match headers {
        Headers::Preset(name) => quoted(name),
        Headers::Table(lines) => {
            let lines: Vec<String> = lines
                .iter()
                .map(|(name, template)| format!("{} = {}", quoted(name), quoted(template)))
                .collect();
            format!("{{ {} }}", lines.join(", "))
        }
    }
}

fn line(text: &mut String, key: &str, value: &str) {
    text.push_str(&format!("{key} = {value}\n"));
}

fn list(values: &[String]) -> String {
    let values: Vec<String> = values.iter().map(|value| quoted(value)).collect();
    format!("[{}]", values.join(", "))
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// Lines of a comment; no letter of the source can end one.
fn comment(text: &str) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("# {}\n", clean.trim_end())
}

/// As foregate writes times, the largest whole unit.
fn duration(seconds: u64) -> String {
    let unit = [(86_400, "d"), (3600, "h"), (60, "m")]
        .into_iter()
        .find(|(size, _)| seconds.is_multiple_of(*size) && seconds > 0);
    unit.map_or_else(|| format!("{seconds}s"), |(size, unit)| format!("{}{unit}", seconds / size))
}

const WEEK: u64 = 604_800;

/// Where the client secret is looked for if nobody says.
const SECRET_FILE: &str = "/run/secrets/client_secret";
