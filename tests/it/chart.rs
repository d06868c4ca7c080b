//! The Helm chart, rendered by Helm itself: what it makes is taken by Kubernetes and by foregate, and nothing that is
//! said in values is without effect.
//!
//! `WRITE_SNAPSHOTS=1 cargo test --test it chart` writes anew what is derived: the snapshots, and in
//! `values.schema.json` the part that is foregate's own schema.

mod effect;
mod fronts;
mod headers;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::foregate::{Foregate, KEY, run};
use crate::support::http::get;
use crate::support::tls::Authority;

/// The least that starts, without a provider that is there.
const SMALL: &str = "public_url = \"http://auth.foregate.localhost\"\nallow = \"signed-in\"\n[provider]\n\
    issuer = \"http://id.foregate.localhost\"\nclient_id = \"foregate\"\nclient_secret = \"hush-hush\"\n";

/// The sets of values in `charts/foregate/ci`.
const SETS: [&str; 4] = ["minimal", "homelab", "everything", "sqlite"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn chart() -> PathBuf {
    root().join("charts/foregate")
}

/// What Helm makes of a set, with more settings over it, some of them in JSON; or what it says against that.
fn render(set: &str, more: &[&str], json: &[&str]) -> Result<String, String> {
    let settings = more.iter().flat_map(|one| ["--set", one]);
    let json = json.iter().flat_map(|one| ["--set-json", one]);
    let told = Command::new(root().join(".tools/bin/helm"))
        .args(["template", "foregate", "--namespace", "auth"])
        .arg(chart())
        .arg("--values")
        .arg(chart().join(format!("ci/{set}.yaml")))
        .args(settings)
        .args(json)
        .output()
        .expect("Helm, which tests/setup.sh installs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    if told.status.success() { Ok(text(told.stdout)) } else { Err(text(told.stderr)) }
}

/// The objects of each text of YAML, all of which Kubernetes knows.
fn objects(texts: &[&str]) -> Vec<Vec<Value>> {
    let dir = tempfile::tempdir().expect("a directory");
    let mut check = Command::new(root().join(".tools/venv/bin/python"));
    check.arg(root().join("tests/parts/manifests.py"));
    for (number, text) in texts.iter().enumerate() {
        let file = dir.path().join(number.to_string());
        std::fs::write(&file, text).expect("a file");
        check.arg(file);
    }
    let told = check.output().expect("python, which tests/setup.sh installs");
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let lines = String::from_utf8(told.stdout).expect("text");
    let read = |line: &str| {
        let mut read: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(read["problems"], json!([]));
        serde_json::from_value(read["objects"].take()).expect("a list")
    };
    lines.lines().map(read).collect()
}

fn find<'o>(objects: &'o [Value], kind: &str, name: &str) -> &'o Value {
    let found = objects.iter().find(|one| one["kind"] == kind && one["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}"))
}

/// The configuration in a directory where the files are that it names, as it is rendered, and as it is there.
fn configuration(objects: &[Value], name: &str) -> (tempfile::TempDir, String, String) {
    let text = find(objects, "ConfigMap", name)["data"]["foregate.toml"].as_str().expect("TOML");
    let dir = tempfile::tempdir().expect("a directory");
    let own = dir.path().to_str().expect("a path");
    std::fs::create_dir(dir.path().join("providers")).expect("a directory");
    for (file, content) in [
        ("admin_token", "0123456789abcdef0123456789abcdef"),
        ("keys", KEY),
        ("store", "postgresql://foregate:secret@foregate-db-rw.auth:5432/foregate"),
        ("client_secret", "hush-hush"),
        ("providers/work", "hush-hush"),
    ] {
        std::fs::write(dir.path().join(file), content).expect("a file");
    }
    let authority = Authority::new();
    std::fs::copy(authority.path("ca.pem"), dir.path().join("ca.crt")).expect("a file");
    let config =
        text.replace("/run/foregate", own).replace("/etc/private", own).replace("/var/lib/foregate", own);
    std::fs::write(dir.path().join("foregate.toml"), &config).expect("a file");
    (dir, text.to_owned(), config)
}

#[cfg(feature = "postgres")]
#[test]
fn foregate_starts_with_each_configuration() {
    let texts = SETS.map(|set| render(set, &[], &[]).unwrap_or_else(|error| panic!("{set}: {error}")));
    for (set, objects) in SETS.into_iter().zip(objects(&texts.each_ref().map(String::as_str))) {
        let name = if set == "everything" { "front-gate" } else { "foregate" };
        let (dir, _, config) = configuration(&objects, name);
        std::fs::write(dir.path().join("store"), crate::support::postgres::fresh_url()).expect("a file");
        let here = |line: &str| match line.split(" = ").next() {
            Some("listen") => "listen = \"LISTEN\"\n".to_owned(),
            Some("admin_listen") => "admin_listen = \"ADMIN\"\n".to_owned(),
            _ => format!("{line}\n"),
        };
        let foregate = Foregate::start(&config.lines().map(here).collect::<String>());
        let ready = get(foregate.admin, "/readyz", &[]);
        assert_eq!(ready.status, 200, "{set}: {}", ready.body);
        assert_eq!(dir.path().join("foregate.db").exists(), set == "sqlite", "{set}");
    }
}

/// Compares with a file that is kept, or writes it.
pub fn same_as_kept(file: &Path, text: &str) {
    if std::env::var_os("WRITE_SNAPSHOTS").is_some() {
        std::fs::write(file, text).expect("a file");
    }
    let kept = std::fs::read_to_string(file).unwrap_or_default();
    let other = kept.lines().zip(text.lines()).position(|(kept, made)| kept != made);
    let line = other.unwrap_or_else(|| kept.lines().count().min(text.lines().count()));
    assert!(
        kept == text,
        "{} differs from line {} on: now `{}`. If that is meant: WRITE_SNAPSHOTS=1 cargo test --test it -- chart book",
        file.display(),
        line + 1,
        text.lines().nth(line).unwrap_or_default()
    );
}

#[test]
fn what_is_rendered_is_taken_by_kubernetes_and_by_foregate() {
    let texts = SETS.map(|set| render(set, &[], &[]).unwrap_or_else(|error| panic!("{set}: {error}")));
    for (set, text) in SETS.into_iter().zip(&texts) {
        same_as_kept(&root().join(format!("tests/it/chart/{set}.yaml")), &without_files(text));
    }
    let texts = texts.each_ref().map(String::as_str);
    for (set, objects) in SETS.into_iter().zip(objects(&texts)) {
        let name = if set == "everything" { "front-gate" } else { "foregate" };
        let (dir, text, _) = configuration(&objects, name);
        let (code, out, err) = run(&["config", "show"], dir.path());
        assert_eq!((code, err.as_str()), (Some(0), ""), "{set}:\n{text}");
        assert!(out.contains("public_url"), "{out}");
        every_secret_is_a_file_from_a_secret(&objects, name, &text);
        let checks = checks_strip_all_that_foregate_tells(&objects, dir.path());
        assert_eq!(checks, usize::from(set == "everything") + 3 * usize::from(set == "homelab"), "{set}");
    }
}

/// A text without the two files that it quotes, which are tested by themselves.
fn without_files(text: &str) -> String {
    let mut text = text.to_owned();
    for (file, indent) in [("rules.yaml", "  "), ("dashboard.json", "    ")] {
        let content = std::fs::read_to_string(chart().join("files").join(file)).expect("a file");
        let quoted: Vec<String> = content.split('\n').map(|line| format!("{indent}{line}")).collect();
        text = text.replace(quoted.join("\n").trim_end(), &format!("{indent}# (files/{file})"));
    }
    text
}

/// The configuration names secrets as files, and each of those is mounted from a Secret.
fn every_secret_is_a_file_from_a_secret(objects: &[Value], name: &str, config: &str) {
    let read: toml::Table = config.parse().expect("TOML");
    assert!(
        !config.contains("store = ") || config.contains("store = \"sqlite:/var/lib/foregate/"),
        "{config}"
    );
    for secret in ["client_secret", "admin_token", "keys"] {
        assert!(
            !names_key(&toml::Value::Table(read.clone()), secret),
            "{secret} is in the ConfigMap:\n{config}"
        );
    }
    assert!(objects.iter().all(|one| one["kind"] != "Secret"), "secrets are never values");
    let pod = &find(objects, "Deployment", name)["spec"]["template"]["spec"];
    let volumes = pod["volumes"].as_array().expect("volumes");
    let sources = volumes.iter().filter_map(|volume| volume["projected"]["sources"].as_array()).flatten();
    let items = sources.filter_map(|source| source["secret"]["items"].as_array()).flatten();
    let mounted: Vec<&str> = items.filter_map(|item| item["path"].as_str()).collect();
    let named: Vec<&str> = config.split('"').filter_map(|text| text.strip_prefix("/run/foregate/")).collect();
    assert!(named.len() >= 3, "{config}");
    assert!(named.iter().all(|file| mounted.contains(file)), "{named:?} of {mounted:?}");
    assert_eq!(named.len(), mounted.len(), "{named:?} of {mounted:?}");
}

fn names_key(value: &toml::Value, name: &str) -> bool {
    let mut entries = value.as_table().into_iter().flatten();
    let mut list = value.as_array().into_iter().flatten();
    entries.any(|(key, value)| key == name || names_key(value, name))
        || list.any(|value| names_key(value, name))
}

/// What the Middlewares hand on and take away is what `foregate snippet` has for every app; how many there are.
fn checks_strip_all_that_foregate_tells(objects: &[Value], dir: &Path) -> usize {
    let checks = objects.iter().map(|one| &one["spec"]["forwardAuth"]).filter(|check| check.is_object());
    for check in checks.clone() {
        let told = check["authResponseHeaders"].as_array().expect("a list");
        let told: Vec<&str> = told.iter().filter_map(Value::as_str).collect();
        let pattern = check["authResponseHeadersRegex"].as_str().expect("a pattern");
        for host in ["kb.example.com", "api.example.com", "any.example.com"] {
            let (code, snippet, err) = run(&["snippet", "traefik", "--host", host], dir);
            assert_eq!(code, Some(0), "{err}");
            let line = |name: &str| {
                let line = snippet.lines().find_map(|line| line.trim().strip_prefix(name));
                line.unwrap_or_else(|| panic!("no {name} in\n{snippet}")).trim().to_owned()
            };
            for name in line("authResponseHeaders:").trim_matches(['[', ']']).split(", ") {
                let name = name.to_ascii_lowercase();
                assert!(told.contains(&&*name), "{name} of {host} is not in {told:?}");
                assert!(pattern.contains(&name.replace('-', "[^a-z0-9]")), "{name}: {pattern}");
            }
        }
    }
    checks.count()
}

#[test]
fn what_would_have_no_effect_is_refused() {
    for (setting, word) in [
        ("sqlite.enabled=true", "sqlite.enabled takes one replica: set replicaCount to 1"),
        (
            "sqlite.enabled=true,autoscaling.enabled=true",
            "sqlite.enabled takes one replica, and autoscaling.enabled",
        ),
        (
            "sqlite.enabled=true,replicaCount=1,cloudnativepg.enabled=true",
            "cloudnativepg.enabled has no effect",
        ),
        (
            "sqlite.enabled=true,replicaCount=1,secrets.store.existingSecret=x",
            "secrets.store.existingSecret has no effect",
        ),
        (
            "sqlite.enabled=true,replicaCount=1,sqlite.existingClaim=x,sqlite.storage.size=2Gi",
            "sqlite.storage.size has no",
        ),
        ("autoscaling.enabled=true,replicaCount=3", "replicaCount has no effect"),
        ("trustedCertificates.key=x", "trustedCertificates.key has no effect"),
        (
            "config.provider.client_auth=none,secrets.clientSecret.key=x",
            "secrets.clientSecret.key has no effect",
        ),
        (
            "secrets.keys.existingSecret=a,secrets.store.existingSecret=b,secrets.adminToken.existingSecret=c,secrets.clientSecret.existingSecret=d",
            "secrets.existingSecret has no effect",
        ),
        ("server.listen=x", "'server' not allowed"),
        ("image.tga=1", "'tga' not allowed"),
        ("config.alow=signed-in", "'alow' not allowed"),
        ("config.server.listen=0.0.0.0:1", "'listen' not allowed"),
        ("config.session.store=sqlite:x.db", "'store' not allowed"),
        ("config.provider.client_secret=hush", "'client_secret' not allowed"),
        ("config.server.limits.connections=many", "connections"),
        ("config.public_url=null", "public_url"),
        ("secrets.keys.value=hush", "'value' not allowed"),
        ("secrets.existingSecret=", "secrets.existingSecret"),
        ("secrets.providers.work.key=x", "config.providers.work"),
        ("traefik.allow[0]=group:x", "traefik.middlewareNamespaces"),
        ("traefik.middlewareNamespaces[0]=Not Good", "middlewareNamespaces"),
        ("serviceAccount.create=false,serviceAccount.annotations.a=b", "serviceAccount.create"),
        ("networkPolicy.enabled=false,networkPolicy.egress[0].ports[0].port=1", "networkPolicy.enabled"),
        ("cloudnativepg.enabled=true,secrets.store.existingSecret=x", "cloudnativepg.enabled"),
        (
            "ingressRoute.enabled=true,ingressRoute.certResolver=a,ingressRoute.tlsSecretName=b",
            "certResolver",
        ),
        ("httpRoute.enabled=true", "parentRefs"),
    ] {
        let told = render("minimal", &[setting], &[]).expect_err(setting);
        assert!(told.contains(word), "{setting}: {told}");
    }
}

#[test]
fn another_configuration_rolls_the_pods_and_only_that_does() {
    let sum = |more: &[&str]| {
        let text = render("minimal", more, &[]).expect("a rendering");
        let line = text.lines().find_map(|line| line.trim().strip_prefix("checksum/config: "));
        line.expect("a checksum").to_owned()
    };
    let first = sum(&[]);
    assert_eq!(first, sum(&["replicaCount=5"]));
    assert_ne!(first, sum(&["config.session.idle=1h"]));
}

#[test]
fn alerts_and_dashboard_speak_of_numbers_that_foregate_has() {
    let files = chart().join("files");
    let rules = files.join("rules.yaml");
    let told = Command::new(root().join(".tools/bin/promtool")).args(["check", "rules"]).arg(&rules).output();
    let told = told.expect("promtool, which tests/setup.sh installs");
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let foregate = Foregate::start(&format!(
        "{}[server]\nlisten = \"LISTEN\"\nadmin_listen = \"ADMIN\"\n[session]\nstore = \"sqlite:DIR/s.db\"\n",
        SMALL
    ));
    let numbers = get(foregate.admin, "/metrics", &[]).body;
    for file in [rules, files.join("dashboard.json")] {
        let text = std::fs::read_to_string(&file).expect("a file");
        let name = |rest: &str| {
            rest.find(|c: char| !(c.is_ascii_lowercase() || c == '_')).map(|end| rest[..end].to_owned())
        };
        let names: Vec<String> =
            text.match_indices("foregate_").filter_map(|(at, _)| name(&text[at..])).collect();
        assert!(names.len() > 10, "{names:?}");
        for name in names {
            let line = numbers
                .lines()
                .any(|line| line.starts_with(&format!("{name} ")) || line.starts_with(&format!("{name}{{")));
            assert!(line, "{} speaks of {name}, which is not in\n{numbers}", file.display());
        }
    }
    let dashboard = std::fs::read_to_string(files.join("dashboard.json")).expect("a file");
    let dashboard: Value = serde_json::from_str(&dashboard).expect("JSON");
    assert_eq!(dashboard["uid"], "foregate");
}

#[test]
fn the_schema_of_values_has_foregates_own_in_it() {
    let (_, own, _) = run(&["config", "schema"], Path::new("/"));
    let own = own.replace("\"#/properties/", "\"#/properties/config/properties/");
    let mut own: Value = serde_json::from_str(&own).expect("JSON");
    for set_by_the_chart in SET_BY_THE_CHART {
        let (table, key) = set_by_the_chart.split_once('.').expect("a path");
        let table = own["properties"][table]["properties"].as_object_mut().expect("a table");
        assert!(table.remove(key).is_some(), "{set_by_the_chart} is no setting any more");
    }
    let file = chart().join("values.schema.json");
    let mut schema: Value =
        serde_json::from_str(&std::fs::read_to_string(&file).expect("a file")).expect("JSON");
    schema["$defs"] = own["$defs"].take();
    schema["properties"]["config"] = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["public_url"],
        "anyOf": [{ "required": ["provider"] }, { "required": ["providers"] }],
        "properties": own["properties"].take(),
    });
    same_as_kept(&file, &(serde_json::to_string_pretty(&schema).expect("JSON") + "\n"));
}

/// Listeners that the Service and the probes reach, and secrets.
const SET_BY_THE_CHART: [&str; 12] = [
    "server.listen",
    "server.admin_listen",
    "server.admin_token",
    "server.admin_token_file",
    "server.socket_mode",
    "server.tls",
    "session.store",
    "session.store_file",
    "session.keys",
    "session.keys_file",
    "provider.client_secret",
    "provider.client_secret_file",
];
