//! What the pages show of `foregate.toml`: every block is read, and every recipe is asked about at a foregate that runs.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::{files, page, root};
use crate::support::foregate::{KEY, run};
use crate::support::http::Reply;
use crate::support::provider::Provider;
use crate::support::scene::Scene;

/// What a block that shows only a part needs to be whole: what it lacks, the text for it, and whether that has to come
/// before every table.
const REST: [(&[&str], &str, bool); 3] = [
    (&["public_url"], "public_url = \"https://auth.example.com\"\n", true),
    (
        &["[provider]", "[providers."],
        "[provider]\nissuer = \"https://id.example.com/\"\nclient_id = \"foregate\"\nclient_secret = \"x\"\n",
        false,
    ),
    (&["[bearer]"], "[bearer]\naudiences = [\"https://api.example.com\"]\n", false),
];

/// The blocks of TOML on a page, also within lists.
fn blocks(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut block: Option<(usize, String)> = None;
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        match (&mut block, line.trim_start()) {
            (None, "```toml") => block = Some((indent, String::new())),
            (None, _) => {}
            (Some(_), "```") => found.extend(block.take().map(|(_, text)| text)),
            (Some((indent, text)), _) => {
                text.push_str(line.get(*indent..).unwrap_or_default());
                text.push('\n');
            }
        }
    }
    found
}

/// A block with what it leaves out, and with files where it names some.
fn whole(block: &str, dir: &Path) -> String {
    let own = dir.to_str().expect("a path");
    let lines = format!("\n{block}");
    let (mut before, mut behind) = (String::new(), String::new());
    for (any_of, text, first) in REST {
        if !any_of.iter().any(|part| lines.contains(part)) {
            if first { &mut before } else { &mut behind }.push_str(text);
        }
    }
    // Nothing would ever be let in otherwise, or nobody would sign in at the provider.
    if !lines.split("\n[").next().is_some_and(|top| top.contains("\nallow")) {
        before.push_str("allow = \"signed-in\"\n");
    }
    let mut text = block.replace('…', "x");
    for place in ["/run/secrets/", "/run/credentials/foregate.service/", "/etc/foregate/"] {
        text = text.replace(place, &format!("{own}/"));
    }
    format!("{before}{text}\n{behind}")
}

/// Whether a block is to be read: not where it is a piece of one table, the tests of rules that stand elsewhere, or about
/// certificates, which are read by tests of their own.
fn is_read(block: &str) -> bool {
    let only_tests = block.starts_with("[[tests]]");
    block.contains('[') && !only_tests && !block.contains(".pem") && !block.contains("tls.crt")
}

#[test]
fn every_configuration_on_the_pages_is_one() {
    let dir = tempfile::tempdir().expect("a directory");
    for (name, text) in [
        ("client_secret", "x"),
        ("work", "x"),
        ("family", "x"),
        ("keys", KEY),
        ("store", "postgres://f:s@db/f"),
        (
            "emergency",
            "ops:$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc:ops",
        ),
    ] {
        std::fs::write(dir.path().join(name), text).expect("a file");
    }
    let (mut seen, mut wrong) = (0, Vec::new());
    for file in files(&root().join("docs"), "md") {
        let text = std::fs::read_to_string(&file).expect("a page");
        for block in blocks(&text).iter().filter(|block| is_read(block)) {
            seen += 1;
            std::fs::write(dir.path().join("foregate.toml"), whole(block, dir.path())).expect("a file");
            let (code, _, err) = run(&["config", "show"], dir.path());
            if code != Some(0) {
                wrong.push(format!("{}:\n{}\n{err}", file.display(), whole(block, dir.path())));
            }
        }
    }
    assert!(seen > 20, "the test reads the pages: {seen} blocks");
    assert!(wrong.is_empty(), "{}", wrong.join("\n---\n"));
}

/// One entry of `[[tests]]` in a recipe.
struct Asked {
    app: String,
    url: String,
    method: String,
    from: Option<String>,
    who: Option<(String, Vec<String>)>,
    expect: String,
}

/// What the recipes say is decided, taken from their own `[[tests]]`.
fn asked(recipes: &[String]) -> Vec<Asked> {
    let text = |one: &toml::Value, key: &str| one.get(key).and_then(toml::Value::as_str).map(str::to_owned);
    let mut all = Vec::new();
    for recipe in recipes {
        let recipe: toml::Table = recipe.parse().expect("TOML");
        let apps = recipe["apps"].as_table().expect("apps");
        let app = apps.keys().next().expect("an app").clone();
        let tests = recipe.get("tests").and_then(toml::Value::as_array);
        let tests = tests.unwrap_or_else(|| panic!("the recipe of {app} has no [[tests]]"));
        all.extend(tests.iter().map(|one| Asked {
            app: app.clone(),
            url: text(one, "url").expect("a URL"),
            method: text(one, "method").unwrap_or_else(|| "GET".to_owned()),
            from: text(one, "from"),
            who: text(one, "as").map(|who| person(&who)),
            expect: text(one, "expect").expect("a verdict"),
        }));
    }
    all
}

/// `user=alice,groups=a;b` taken apart.
fn person(who: &str) -> (String, Vec<String>) {
    let parts: BTreeMap<&str, &str> = who.split(',').filter_map(|part| part.split_once('=')).collect();
    assert!(parts.keys().all(|key| ["user", "groups"].contains(key)), "{who}");
    let groups = parts.get("groups").map(|groups| groups.split(';').map(str::to_owned).collect());
    (parts["user"].to_owned(), groups.unwrap_or_default())
}

/// All recipes in one configuration of a foregate that runs.
fn house(recipes: &[String], users: &Value) -> Scene {
    let all = recipes.join("\n").replace("https://", "http://").replace("example.com", "foregate.localhost");
    // Their own tests and ports are for https.
    let apps = all.split("[[tests]]").enumerate().map(|(index, part)| {
        if index == 0 {
            part.to_owned()
        } else {
            part.split_once("\n\n").map_or("", |(_, rest)| rest).to_owned()
        }
    });
    let apps = apps.collect::<Vec<_>>().join("\n");
    Scene::with(json!({ "users": users }), move |public_url: &str, provider: &Provider| {
        format!(
            "public_url = \"{public_url}\"\n[server]\nlisten = \"LISTEN\"\nadmin_listen = \"ADMIN\"\n[session]\n\
             store = \"sqlite:DIR/f.db\"\n{}\n{apps}",
            provider.config()
        )
    })
}

/// The headers of the app that let somebody in, by the names that its recipe gives them.
fn names_of(recipe: &str) -> Vec<String> {
    let recipe: toml::Table = recipe.parse().expect("TOML");
    let apps = recipe["apps"].as_table().expect("apps");
    let headers = apps.values().next().and_then(|app| app.get("headers"));
    match headers.and_then(toml::Value::as_table) {
        Some(own) => own.keys().cloned().collect(),
        None => vec!["Remote-User".to_owned()],
    }
}

#[test]
fn every_recipe_is_asked_about_at_a_foregate_that_runs() {
    let recipes: Vec<String> =
        blocks(&page("recipes.md")).into_iter().filter(|block| block.contains("[apps")).collect();
    assert!(recipes.len() >= 13, "{}", recipes.len());
    let asked = asked(&recipes);
    let mut users = BTreeMap::new();
    for (index, one) in asked.iter().enumerate() {
        if let Some((user, groups)) = &one.who {
            users.insert(format!("{user}{index}"), json!({ "preferred_username": user, "groups": groups }));
        }
    }
    let scene = house(&recipes, &json!(users));
    for (index, one) in asked.iter().enumerate() {
        let url = one.url.replace("https://", "http://").replace("example.com", "foregate.localhost");
        let cookie = one.who.as_ref().map(|(user, _)| scene.cookie(&format!("{user}{index}")));
        let from = one.from.as_ref().map(|address| format!("X-Forwarded-For: {address}"));
        let lines: Vec<&str> = cookie.as_deref().into_iter().chain(from.as_deref()).collect();
        let reply = scene.ask("traefik", &one.method, &url, &lines);
        let status = match one.expect.as_str() {
            "allow" => 200,
            "sign-in" => 401,
            "forbid" => 403,
            other => panic!("say what {other} is answered with"),
        };
        assert_eq!(reply.status, status, "{} {} {reply:?}", one.method, one.url);
        if let (200, Some((user, _))) = (status, &one.who) {
            told(&recipes, one, &reply, user);
        }
    }
}

/// Whoever is let in is told to the app, in the headers that its recipe names.
fn told(recipes: &[String], one: &Asked, reply: &Reply, user: &str) {
    let recipe =
        recipes.iter().find(|recipe| recipe.contains(&format!("\"{}\"", one.app))).expect("a recipe");
    let is_told = names_of(recipe).iter().any(|name| reply.header(name) == Some(user));
    assert!(is_told, "{} is not told of {user}: {reply:?}", one.app);
}
