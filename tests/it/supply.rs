//! What foregate is made of: each crate on the decision path has a note, and `docs/dependencies.md` tells of it as it is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// A crate, and which release of it.
type Release = (String, String);

/// What `supply-chain/notes.toml` says.
struct Notes {
    path: BTreeSet<String>,
    beside: BTreeMap<String, String>,
    why: BTreeMap<String, String>,
}

impl Notes {
    fn read() -> Self {
        let text = std::fs::read_to_string(root().join("supply-chain/notes.toml")).expect("the notes");
        let table: toml::Table = text.parse().expect("TOML");
        let texts = |name: &str| {
            let table = table[name].as_table().expect("a table");
            table.iter().map(|(name, text)| (name.clone(), text.as_str().expect("text").to_owned())).collect()
        };
        let path = table["path"].as_array().expect("a list").iter();
        let path = path.map(|name| name.as_str().expect("text").to_owned()).collect();
        Self { path, beside: texts("beside"), why: texts("why") }
    }
}

/// The tree of what is compiled into foregate on Linux with its default features.
struct Tree {
    direct: BTreeSet<String>,
    /// What is on the path, with the features that are on.
    path: BTreeMap<Release, String>,
    /// What runs in the compiler for it.
    macros: BTreeSet<Release>,
}

impl Tree {
    fn read(notes: &Notes) -> Self {
        let args = ["tree", "--offline", "--locked", "--edges", "normal", "--no-dedupe", "--prefix", "depth"];
        let text = cargo(&[&args[..], &["--target", LINUX, "--format", "|{p}|{f}"]].concat());
        let mut tree = Self { direct: BTreeSet::new(), path: BTreeMap::new(), macros: BTreeSet::new() };
        let (mut on_path, mut within_macro) = (false, usize::MAX);
        for line in text.lines() {
            let mut parts = line.split('|');
            let mut part = || parts.next().expect("three parts").to_owned();
            let (depth, package, features) = (part().parse::<usize>().expect("a depth"), part(), part());
            let mut words = package.split(' ');
            let name = words.next().expect("a name").to_owned();
            let release = (name, words.next().expect("a release").trim_start_matches('v').to_owned());
            if depth == 1 {
                on_path = notes.path.contains(&release.0);
                tree.direct.insert(release.0.clone());
            }
            if depth <= within_macro {
                within_macro = usize::MAX;
            }
            if depth == 0 || !on_path || within_macro < depth {
                continue;
            }
            if package.contains("(proc-macro)") {
                within_macro = depth;
                tree.macros.insert(release);
            } else {
                tree.path.insert(release, features);
            }
        }
        tree
    }
}

/// What a crate itself says and is.
struct Facts {
    keeper: String,
    built_by_script: bool,
    sources: Sources,
}

#[derive(Default)]
struct Sources {
    forbids: bool,
    count: usize,
}

/// Of the crates on the path alone, as the sources of all are many.
fn facts(tree: &Tree) -> BTreeMap<Release, Facts> {
    let text =
        cargo(&["metadata", "--offline", "--locked", "--format-version", "1", "--filter-platform", LINUX]);
    let metadata: Value = serde_json::from_str(&text).expect("JSON");
    let packages = metadata["packages"].as_array().expect("a list").iter();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let facts = packages.filter_map(|package| {
        let release = (text(&package["name"]), text(&package["version"]));
        tree.path.get(&release)?;
        let manifest = PathBuf::from(text(&package["manifest_path"]));
        let targets = package["targets"].as_array().expect("a list");
        let facts = Facts {
            keeper: keeper(&text(&package["repository"])),
            built_by_script: targets.iter().any(|target| target["kind"].to_string().contains("custom-build")),
            sources: Sources::of(&manifest.with_file_name("src")),
        };
        Some((release, facts))
    });
    facts.collect()
}

/// Whoever has the repository: the host's account or organisation.
fn keeper(repository: &str) -> String {
    let address = repository.trim_start_matches("https://").trim_start_matches("github.com/");
    let parts: Vec<&str> = address.split('/').collect();
    if address.contains('.') && parts[0].contains('.') {
        parts[..parts.len().min(2)].join("/")
    } else {
        parts[0].to_owned()
    }
}

impl Sources {
    fn of(dir: &Path) -> Self {
        let mut sources = Self::default();
        let mut waiting = vec![dir.to_owned()];
        while let Some(dir) = waiting.pop() {
            for entry in std::fs::read_dir(&dir).into_iter().flatten().map_while(Result::ok) {
                let path = entry.path();
                if path.is_dir() {
                    waiting.push(path);
                } else if path.extension().is_some_and(|end| end == "rs") {
                    sources.add(&std::fs::read_to_string(&path).unwrap_or_default());
                }
            }
        }
        sources
    }

    fn add(&mut self, text: &str) {
        for line in text.lines().map(str::trim_start).filter(|line| !line.starts_with("//")) {
            self.forbids |=
                line.starts_with("#![") && line.contains("forbid") && line.contains("unsafe_code");
            self.count += ["unsafe {", "unsafe fn", "unsafe impl", "unsafe trait", "unsafe extern"]
                .iter()
                .map(|word| line.matches(word).count())
                .sum::<usize>();
        }
    }

    fn told(&self) -> String {
        match (self.forbids, self.count) {
            (true, 0) => "forbidden".to_owned(),
            (_, 0) => "none".to_owned(),
            (_, count) => count.to_string(),
        }
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn cargo(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(args).current_dir(root()).output().expect("cargo");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn page(notes: &Notes, tree: &Tree) -> String {
    let facts = facts(tree);
    let mut text = HEAD.to_owned();
    for (release, features) in &tree.path {
        let (name, version) = release;
        let facts = &facts[release];
        let features = if features.is_empty() { "-" } else { &features.replace(',', ", ") };
        let script = if facts.built_by_script { "yes" } else { "no" };
        let why = notes.why.get(name).map_or("", String::as_str);
        let (keeper, code) = (&facts.keeper, facts.sources.told());
        text += &format!("| `{name}` {version} | {why} | {keeper} | {code} | {script} | {features} |\n");
    }
    text += "\n## In the compiler\n\nMacros that write code for these crates and for foregate. They run where foregate is built, and are no part of it.\n\n";
    let macros: Vec<String> =
        tree.macros.iter().map(|(name, version)| format!("`{name}` {version}")).collect();
    text += &macros.join(", ");
    text += ".\n\n## Beside the path\n\nDirect dependencies that decide nothing.\n\n| crate | what it does instead |\n| --- | --- |\n";
    for (name, what) in &notes.beside {
        text += &format!("| `{name}` | {what} |\n");
    }
    text
}

#[test]
fn every_crate_on_the_decision_path_has_a_note() {
    let notes = Notes::read();
    let tree = Tree::read(&notes);
    let told: BTreeSet<String> = notes.path.iter().chain(notes.beside.keys()).cloned().collect();
    assert_eq!(
        tree.direct, told,
        "each dependency of ours is on the path or beside it: supply-chain/notes.toml"
    );
    assert_eq!(notes.path.len() + notes.beside.len(), told.len(), "and not both");
    let found: BTreeSet<&String> = tree.path.keys().map(|(name, _)| name).collect();
    let noted: BTreeSet<&String> = notes.why.keys().collect();
    let missing: Vec<_> = found.difference(&noted).collect();
    assert!(
        missing.is_empty(),
        "supply-chain/notes.toml does not say why these are on the decision path: {missing:?}"
    );
    let gone: Vec<_> = noted.difference(&found).collect();
    assert!(gone.is_empty(), "supply-chain/notes.toml speaks of what is not there: {gone:?}");
    let (file, page) = (root().join("docs/dependencies.md"), page(&notes, &tree));
    if std::env::var_os("WRITE_SNAPSHOTS").is_some() {
        std::fs::write(&file, &page).expect("a page");
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        kept == page,
        "docs/dependencies.md is not as Cargo.lock has it; look at what is new, then WRITE_SNAPSHOTS=1 cargo test --test it supply"
    );
}

/// Nothing of ours runs at build time, so that what is built is what can be read; and no unsafe code.
#[test]
fn foregate_has_no_build_script() {
    for dir in [root(), root().join("fuzz")] {
        let manifest = std::fs::read_to_string(dir.join("Cargo.toml")).expect("a manifest");
        let manifest: toml::Table = manifest.parse().expect("TOML");
        assert!(!dir.join("build.rs").exists(), "{}", dir.display());
        assert!(manifest["package"].get("build").is_none() && !manifest.contains_key("build-dependencies"));
    }
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).expect("a manifest");
    let manifest: toml::Table = manifest.parse().expect("TOML");
    assert!(manifest["lib"].get("proc-macro").is_none());
    assert_eq!(manifest["lints"]["rust"]["unsafe_code"].as_str(), Some("forbid"));
}

const LINUX: &str = "x86_64-unknown-linux-gnu";

const HEAD: &str = "\
# What foregate is made of

<!-- Written by tests/it/supply.rs from supply-chain/notes.toml and Cargo.lock. -->

Crates on the decision path: their code runs between the bytes of a request and its answer, where it could let somebody in. They are
those that foregate names for it and all that these bring, for Linux with both stores. A test holds this page to `Cargo.lock`: a crate
or a release that is new to the path makes it fail, until somebody has looked at it and, if it is new, said why it is there.

- **kept by**: whoever has the repository that the crate names.
- **unsafe**: how many blocks, functions, implementations and traits say so in its `src`; code for other platforms, and what is behind features
  that are off, counts too. foregate itself has none: the compiler forbids it.
- **script**: whether a script of the crate runs where foregate is built. foregate has none.
- **features**: which are on.

| crate | why | kept by | unsafe | script | features |
| --- | --- | --- | --- | --- | --- |
";
