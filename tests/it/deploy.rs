//! What is in `deploy`: the secrets that Compose starts with, what it tells foregate and Traefik, and that authentik is
//! told the same by the blueprint and by Terraform. And what a release is made of.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::foregate::PROGRAM;

fn compose() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/compose")
}

/// A directory with what Compose has before anything was set up.
fn fresh() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    for file in ["setup.sh", "compose.yaml", "foregate.toml"] {
        std::fs::copy(compose().join(file), dir.path().join(file)).expect("a file");
    }
    dir
}

fn set_up(dir: &Path, args: &[&str]) -> Output {
    Command::new("sh").arg(dir.join("setup.sh")).args(args).output().expect("a shell")
}

#[test]
fn secrets_are_made_once_and_for_their_owner() {
    let dir = fresh();
    let read = |file: &str| std::fs::read_to_string(dir.path().join(file)).expect("a file");
    assert!(set_up(dir.path(), &["example.com", "you@example.com"]).status.success());
    let (env, secret) = (read(".env"), read("secrets/client_secret"));
    assert!(env.contains("DOMAIN=example.com\n") && env.contains(&secret), "{env}");
    assert_eq!(secret.len(), 64);
    assert_ne!(secret, read("secrets/postgresql_password"));
    assert!(set_up(dir.path(), &["other.example", "me@other.example"]).status.success());
    assert_eq!((read(".env"), read("secrets/client_secret")), (env, secret), "what is there stays");
    for (file, mode) in [(".env", 0o600), ("secrets", 0o700), ("secrets/authentik_bootstrap_password", 0o600)]
    {
        let found = std::fs::metadata(dir.path().join(file)).expect("a file").permissions().mode();
        assert_eq!(found & 0o777, mode, "{file}");
    }
}

#[test]
fn names_that_are_none_are_refused_before_anything_is_made() {
    for args in [
        &["example", "you@example.com"][..],
        &["Example.com", "you@example.com"],
        &["a..b", "you@example.com"],
        &["x.com$(id)", "you@example.com"],
        &["example.com\nEVIL=1", "you@example.com"],
        &["example.com", "you"],
        &["example.com", "a@b\nEVIL=1"],
        &["example.com"],
    ] {
        let dir = fresh();
        assert_eq!(set_up(dir.path(), args).status.code(), Some(1), "{args:?}");
        assert!(!dir.path().join(".env").exists() && !dir.path().join("secrets").exists(), "{args:?}");
    }
}

/// What Compose makes of the file, without Compose: JSON, with the domain in it.
fn read_compose() -> Value {
    let told = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/venv/bin/python"))
        .args(["-c", "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))"])
        .arg(compose().join("compose.yaml"))
        .output()
        .expect("python, which tests/setup.sh installs");
    let text = String::from_utf8(told.stdout).expect("text");
    let text =
        text.replace("${DOMAIN:?run setup.sh first}", "example.com").replace("${DOMAIN}", "example.com");
    serde_json::from_str(&text.replace("$$", "$")).expect("JSON")
}

/// foregate with the configuration of its container, in a directory with its files.
fn inside(dir: &Path, foregate: &Value, args: &[&str]) -> String {
    let config = std::fs::read_to_string(compose().join("foregate.toml")).expect("a file");
    std::fs::write(dir.join("client_secret"), "hush-hush").expect("a file");
    let own = dir.to_str().expect("a path");
    std::fs::write(dir.join("foregate.toml"), config.replace("/run/secrets", own)).expect("a file");
    let variables = foregate["environment"].as_object().expect("a table").iter();
    let variables = variables.map(|(name, value)| (name.as_str(), value.as_str().expect("text")));
    let told = Command::new(PROGRAM)
        .args(args)
        .envs(variables)
        .env("FOREGATE_CONFIG", dir.join("foregate.toml"))
        .current_dir(dir)
        .output()
        .expect("foregate");
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    String::from_utf8(told.stdout).expect("text")
}

#[test]
fn compose_tells_foregate_and_traefik_the_same() {
    let (file, dir) = (read_compose(), fresh());
    let foregate = &file["services"]["foregate"];
    let shown = inside(dir.path(), foregate, &["config", "show"]);
    let traefik = &file["services"]["traefik"]["networks"]["front"]["ipv4_address"];
    let trusted = shown.lines().find(|line| line.starts_with("server.trusted_proxies")).expect("a line");
    assert!(trusted.contains(&format!("[{traefik}]")), "{trusted}");
    assert!(shown.contains("\"https://id.example.com/application/o/foregate/\""), "{shown}");

    let snippet = inside(
        dir.path(),
        foregate,
        &["snippet", "traefik", "--host", "whoami.example.com", "--foregate", "foregate:4180"],
    );
    let said = |name: &str| {
        let line = snippet.lines().find_map(|line| line.trim().strip_prefix(name)).expect("a line");
        line.split(" #")
            .next()
            .unwrap_or_default()
            .trim()
            .replace(", ", ",")
            .trim_matches(['[', ']'])
            .to_owned()
    };
    for name in ["address", "trustForwardHeader", "maxResponseBodySize", "authResponseHeaders"] {
        let label =
            &foregate["labels"][format!("traefik.http.middlewares.foregate-check.forwardAuth.{name}")];
        assert_eq!(label.as_str(), Some(said(&format!("{name}:")).as_str()), "{name}");
    }
    for (name, word) in [
        ("foregate.rule", "rule"),
        ("upgrades.rule", "rule"),
        ("upgrades.priority", "priority"),
        ("upgrades.service", "service"),
    ] {
        let label = foregate["labels"][format!("traefik.http.routers.{name}")].as_str().expect("a label");
        assert!(snippet.contains(&format!(" {word}: {label}")), "{name}: {label}");
    }
    let label =
        &foregate["labels"]["traefik.http.middlewares.foregate-check.forwardAuth.authResponseHeadersRegex"];
    assert!(snippet.contains(label.as_str().expect("text")), "{label}");
    let overrides = "traefik.http.middlewares.foregate-overrides.headers.customRequestHeaders.";
    let labels = foregate["labels"].as_object().expect("labels").iter();
    let labels = labels.filter_map(|(name, value)| Some((name.strip_prefix(overrides)?, value.as_str()?)));
    let (_, removed) = snippet.split_once("customRequestHeaders:\n").expect("a list");
    let removed = removed.lines().map_while(|line| line.trim().strip_suffix(": \"\""));
    assert_eq!(labels.collect::<BTreeMap<_, _>>(), removed.map(|name| (name, "")).collect());
}

/// What authentik is told by the blueprint, and by Terraform.
fn read_authentik() -> (Value, Value) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let told = Command::new(root.join(".tools/venv/bin/python"))
        .arg(root.join("tests/parts/terraform.py"))
        .args(["foregate.yaml", "terraform/main.tf"].map(|file| root.join("deploy/authentik").join(file)))
        .output()
        .expect("python, which tests/setup.sh installs");
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let mut both: Value = serde_json::from_slice(&told.stdout).expect("JSON");
    (both["blueprint"].take(), both["terraform"].take())
}

/// An address of foregate's in Terraform, in the words of the blueprint.
fn in_the_blueprints_words(address: &Value) -> Value {
    let text = address.as_str().expect("text");
    let (base, path) = text.strip_prefix("${").and_then(|rest| rest.split_once('}')).expect("an address");
    let variable = match base {
        "var.foregate_url" => "FOREGATE_URL",
        "coalesce(var.foregate_backchannel_url, var.foregate_url)" => "FOREGATE_BACKCHANNEL_URL",
        other => panic!("say which variable {other} is"),
    };
    serde_json::json!({ "Format": [format!("%s{path}"), { "Env": variable }] })
}

#[test]
fn authentik_is_told_the_same_by_the_blueprint_and_by_terraform() {
    let (blueprint, terraform) = read_authentik();
    let provider = &terraform["authentik_provider_oauth2.foregate"];
    let made = &blueprint["authentik_providers_oauth2.oauth2provider foregate"];
    for key in [
        "name",
        "client_type",
        "client_id",
        "grant_types",
        "issuer_mode",
        "sub_mode",
        "include_claims_in_id_token",
        "access_token_validity",
        "refresh_token_validity",
        "logout_method",
    ] {
        assert!(!made[key].is_null() && made[key] == provider[key], "{key}: {} {}", made[key], provider[key]);
    }
    assert_eq!(made["logout_uri"], in_the_blueprints_words(&provider["logout_uri"]));
    let uris = provider["allowed_redirect_uris"].as_array().expect("a list");
    let mut uris = uris.clone();
    uris.iter_mut().for_each(|one| one["url"] = in_the_blueprints_words(&one["url"]));
    assert_eq!(made["redirect_uris"], Value::Array(uris));
    for (kind, name) in [("authorization_flow", "authorization"), ("invalidation_flow", "invalidation")] {
        let flow = &terraform[format!("data.authentik_flow.{name}")]["slug"];
        assert_eq!(made[kind]["Find"][1][1], *flow, "{kind}");
        assert_eq!(provider[kind], format!("${{data.authentik_flow.{name}.id}}"));
    }
    let standard = &terraform["data.authentik_property_mapping_provider_scope.standard"]["managed_list"];
    let found = made["property_mappings"].as_array().expect("a list").iter();
    let found: Vec<&Value> = found.filter_map(|one| one.pointer("/Find/1/1")).collect();
    assert_eq!(found, standard.as_array().expect("a list").iter().collect::<Vec<_>>());
    for name in ["profile", "entitlements"] {
        let mapping = &terraform[format!("authentik_property_mapping_provider_scope.{name}")];
        let made = &blueprint[format!("authentik_providers_oauth2.scopemapping foregate: {name}")];
        assert!(made["expression"].is_string());
        assert_eq!(made, mapping, "{name}");
        let listed = provider["property_mappings"].as_str().expect("an expression");
        assert!(listed.contains(&format!("authentik_property_mapping_provider_scope.{name}.id")), "{listed}");
    }
    let (group, app) = (&terraform["authentik_group.users"], &terraform["authentik_application.foregate"]);
    assert_eq!(*group, blueprint["authentik_core.group foregate-users"]);
    let made = blueprint.as_object().expect("objects").iter().find(|(name, _)| name.contains("application"));
    assert_eq!(made.expect("an application").1["slug"], app["slug"]);
}

/// A file of YAML as JSON.
fn read_yaml(file: &str) -> Value {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let told = Command::new(root.join(".tools/venv/bin/python"))
        .args([
            "-c",
            "import json, sys, yaml; print(json.dumps(yaml.load(open(sys.argv[1]), yaml.BaseLoader)))",
        ])
        .arg(root.join(file))
        .output()
        .expect("python, which tests/setup.sh installs");
    assert!(told.status.success(), "{file}: {}", String::from_utf8_lossy(&told.stderr));
    serde_json::from_slice(&told.stdout).expect("JSON")
}

/// The steps of all jobs of a workflow.
fn steps(workflow: &Value) -> Vec<&Value> {
    let jobs = workflow["jobs"].as_object().expect("jobs").values();
    jobs.flat_map(|job| job["steps"].as_array().expect("steps")).collect()
}

#[test]
fn workflows_run_what_is_pinned_and_name_what_is_here() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in ["ci.yml", "release.yml"] {
        let workflow = read_yaml(&format!(".github/workflows/{file}"));
        assert_eq!(workflow["permissions"], serde_json::json!({ "contents": "read" }), "{file}");
        let steps = steps(&workflow);
        for action in steps.iter().filter_map(|step| step["uses"].as_str()) {
            let pin = action.split_once('@').expect("a version").1;
            let is_pinned = pin.len() == 40 && pin.bytes().all(|byte| byte.is_ascii_hexdigit());
            assert!(is_pinned, "{file}: {action} may become another one tomorrow");
        }
        let mut named = 0;
        let scripts = steps.iter().filter_map(|step| step["run"].as_str());
        let inputs = steps.iter().filter_map(|step| step["with"]["file"].as_str());
        for word in scripts.chain(inputs).flat_map(str::split_whitespace) {
            let path = word.trim_matches(['"', '\'', '(', ')']);
            let is_ours = ["deploy/", "charts/", ".ci/"].iter().any(|dir| path.starts_with(dir));
            let is_page = ["README.md", "LICENSE", "CHANGELOG.md", "Cargo.toml"].contains(&path);
            if is_ours || is_page {
                named += 1;
                assert!(root.join(path).exists(), "{file} names {path}");
            }
        }
        assert!(named > 0, "{file}");
        for needed in workflow["jobs"].as_object().expect("jobs").values().map(|job| &job["needs"]) {
            let all = needed.as_array().into_iter().flatten().filter_map(Value::as_str);
            let before: Vec<&str> = all.chain(needed.as_str()).collect();
            assert!(before.iter().all(|job| workflow["jobs"][job].is_object()), "{file}: {before:?}");
        }
    }
}

/// The release's steps that make an archive, run here on a program that is there.
#[test]
fn an_archive_holds_what_the_pages_promise() {
    let workflow = read_yaml(".github/workflows/release.yml");
    let steps = steps(&workflow);
    let named = |name: &str| {
        let found = steps.iter().find(|step| step["name"] == name);
        found.and_then(|step| step["run"].as_str()).unwrap_or_else(|| panic!("no step {name}"))
    };
    let dir = tempfile::tempdir().expect("a directory");
    let at = |file: &str| dir.path().join(file);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in ["README.md", "LICENSE", "CHANGELOG.md", "deploy/systemd/foregate.service"] {
        std::fs::create_dir_all(at(file).parent().expect("a directory")).expect("a directory");
        std::fs::copy(root.join(file), at(file)).expect("a file");
    }
    std::fs::create_dir_all(at("out")).expect("a directory");
    std::os::unix::fs::symlink(PROGRAM, at("out/foregate")).expect("a link");
    std::fs::write(at("foregate.cdx.json"), "{}").expect("a file");
    let name = format!("foregate-{}-linux-x86_64", env!("CARGO_PKG_VERSION"));
    let script = named("The archive")
        .replace("${{ matrix.arch }}", "amd64")
        .replace("$(git log -1 --format=%ct)", "0");
    let sums = named("The release, with what the changelog says");
    let sums = sums.lines().next().expect("a line").replace("built/dist", "dist");
    let sums = sums.replace("mv \"foregate-$VERSION.tgz\" \"foregate-chart-$VERSION.tgz\" && ", "");
    let told = Command::new("bash")
        .args(["-euc", &format!("{script}\n{sums}")])
        .current_dir(dir.path())
        .envs([("NAME", name.as_str()), ("DIGEST", "sha256:0"), ("VERSION", env!("CARGO_PKG_VERSION"))])
        .output()
        .expect("bash");
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let run = |program: &str, args: &[&str]| {
        let told = Command::new(program).args(args).current_dir(at("dist")).output().expect(program);
        assert!(told.status.success(), "{program}: {}", String::from_utf8_lossy(&told.stderr));
        String::from_utf8(told.stdout).expect("text")
    };
    let held = run("tar", &["-tzf", &format!("{name}.tar.gz")]);
    let held: Vec<&str> = held.lines().filter_map(|line| line.split_once('/')?.1.into()).collect();
    for file in ["foregate", "foregate.cdx.json", "foregate.service", "LICENSE", "README.md", "CHANGELOG.md"]
    {
        assert!(held.contains(&file), "{file}: {held:?}");
    }
    let checked = run("sha256sum", &["-c", "SHA256SUMS"]);
    assert_eq!(checked.lines().filter(|line| line.ends_with(": OK")).count(), 2, "{checked}");
    let page = std::fs::read_to_string(root.join("docs/install.md")).expect("a page");
    assert!(page.contains("foregate-VERSION-linux-x86_64.tar.gz") && page.contains("foregate.cdx.json"));
}
